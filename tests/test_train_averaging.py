"""Averaged weights, gradient accumulation, noise and early stopping in the training loop; Monte-Carlo predictions."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor, data, nn, optim
from fastnn.random import Generator
from fastnn.train import (
    AdaptiveClipping,
    AveragedModel,
    Callback,
    Config,
    EarlyStopping,
    GradientNoise,
    Trainer,
    WeightAverage,
    WeightNoise,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    predict_monte_carlo,
    read_checkpoint,
    update_bn,
    write_checkpoint,
)
from fastnn.train.build import make_optimizer
from fastnn.train.defaults import OPTIMIZERS

ROWS, BATCH = 96, 24


@pytest.fixture(scope="module")
def images() -> Any:
    train, test = data.load("digits")
    rows = np.arange(ROWS)
    return data.ArrayDataset(*train.batch(rows)), data.ArrayDataset(*test.batch(rows[:50]))


def make(images: Any, callbacks: Any = (), batch: int = BATCH, **options: Any) -> tuple[Trainer, Any, Any]:
    fastnn.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(256, 10)
    )
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    loader = data.DataLoader(images[0], batch, shuffle=True, seed=4)
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), None, callbacks, **options)
    return trainer, loader, data.DataLoader(images[1], 50, seed=0)


def weights(model: nn.Module) -> list[Any]:
    return [t.data.copy() for t in model.state_dict().values()]


class Recorder(Callback):
    """Keeps the weights after every step and every epoch."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.epochs: list[Any] = []

    def on_step_end(self, trainer: Trainer, result: Any) -> None:
        self.steps.append([p.data.copy() for p in trainer.model.parameters()])

    def on_epoch_end(self, trainer: Trainer, record: Any) -> None:
        self.epochs.append([p.data.copy() for p in trainer.model.parameters()])


# Averages


def test_plain_and_exponential_averages_by_hand() -> None:
    history = [np.random.default_rng(i).standard_normal((3, 4)) for i in range(6)]
    model = nn.Linear(4, 3, bias=False).double()
    decay = 0.8
    plain, plain_each = AveragedModel(model), AveragedModel(model, avg_fn=get_swa_avg_fn())
    moving = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    moving_each = AveragedModel(model, avg_fn=get_ema_avg_fn(decay))
    expected = history[0]
    for step, w in enumerate(history):
        model.weight.data[...] = w
        for averaged in (plain, plain_each, moving, moving_each):
            averaged.update_parameters(model)
        expected = expected if step == 0 else decay * expected + (1 - decay) * w
    for averaged, value in ((plain, np.mean(history, axis=0)), (moving, expected)):
        np.testing.assert_allclose(averaged.module.weight.data, value, rtol=1e-12)
    np.testing.assert_allclose(plain_each.module.weight.data, plain.module.weight.data, rtol=1e-12)
    np.testing.assert_allclose(moving_each.module.weight.data, moving.module.weight.data, rtol=1e-12)
    assert plain.n_averaged.item() == 6
    assert list(plain.state_dict()) == ["n_averaged", "module.weight"]
    x = Tensor(np.ones((2, 4)))
    np.testing.assert_array_equal(plain(x).data, plain.module(x).data)


def test_an_average_is_a_model_of_its_own() -> None:
    model = nn.Linear(2, 2)
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    before = averaged.module.weight.data.copy()
    model.weight.data[...] += 1
    np.testing.assert_array_equal(averaged.module.weight.data, before)
    with pytest.raises(ValueError, match="got both"):
        AveragedModel(model, avg_fn=get_swa_avg_fn(), multi_avg_fn=get_ema_multi_avg_fn())
    with pytest.raises(ValueError, match="of 2 tensors, got 1"):
        averaged.update_parameters(nn.Linear(2, 2, bias=False))
    with pytest.raises(ValueError, match="decay from 0 to 1"):
        get_ema_multi_avg_fn(1.5)


@pytest.mark.parametrize("use_buffers", [False, True])
def test_buffers_are_copied_or_averaged(use_buffers: bool) -> None:
    model = nn.BatchNorm1d(3)
    averaged = AveragedModel(model, use_buffers=use_buffers)
    means = []
    for step in range(4):
        model(Tensor(np.random.default_rng(step).standard_normal((20, 3)).astype(np.float32) + step))
        means.append(model.running_mean.data.copy())
        averaged.update_parameters(model)
    expected = np.mean(means, axis=0) if use_buffers else means[-1]
    np.testing.assert_allclose(averaged.module.running_mean.data, expected, rtol=1e-5)
    assert averaged.module.num_batches_tracked.item() == 4


def test_running_statistics_are_those_of_the_loader() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(3, 2, (16, 3, 4, 4)).astype(np.float32) for _ in range(5)]
    model = nn.Sequential(nn.BatchNorm2d(3, momentum=0.01), nn.Dropout(0.5)).eval()
    model[0].running_mean.data[...] = 77.0
    update_bn([(Tensor(b), None) for b in batches], model)
    norm = model[0]
    np.testing.assert_allclose(norm.running_mean.data, np.mean([b.mean((0, 2, 3)) for b in batches], axis=0), rtol=1e-5)
    variances = [b.transpose(1, 0, 2, 3).reshape(3, -1).var(1, ddof=1) for b in batches]
    np.testing.assert_allclose(norm.running_var.data, np.mean(variances, axis=0), rtol=1e-5)
    assert (norm.momentum, model.training, norm.training) == (0.01, False, False)
    update_bn([], nn.Linear(2, 2))


def test_stochastic_weight_averaging_of_a_training(images: Any) -> None:
    recorder, average = Recorder(), WeightAverage(start_epoch=1)
    trainer, loader, test = make(images, [recorder, average])
    trainer.fit(loader, test, 4)
    for i, parameter in enumerate(trainer.model.parameters()):
        expected = np.mean([epoch[i] for epoch in recorder.epochs[1:]], axis=0, dtype=np.float64)
        np.testing.assert_allclose(parameter.data, expected, rtol=1e-4, atol=1e-6)
    # The statistics are those of the averaged weights over the training data.
    norm = trainer.model[1]
    mean, variance = norm.running_mean.data.copy(), norm.running_var.data.copy()
    update_bn(loader, trainer.model)
    np.testing.assert_allclose(mean, norm.running_mean.data, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance, norm.running_var.data, rtol=1e-2)  # batches are other ones


def test_an_exponential_average_of_a_training(images: Any) -> None:
    recorder, average = Recorder(), WeightAverage(decay=0.7, swap=False)
    trainer, loader, _ = make(images, [recorder, average])
    trainer.fit(loader, None, 2)
    expected = recorder.steps[0]
    for step in recorder.steps[1:]:
        expected = [0.7 * a + 0.3 * w for a, w in zip(expected, step)]
    assert average.averaged is not None
    for parameter, value in zip(average.averaged.parameters(), expected):
        np.testing.assert_allclose(parameter.data, value, rtol=1e-4, atol=1e-6)
    for parameter, value in zip(trainer.model.parameters(), recorder.steps[-1]):
        np.testing.assert_array_equal(parameter.data, value)


@pytest.mark.parametrize(
    "callbacks",
    [
        lambda: [WeightAverage()],
        lambda: [WeightAverage(decay=0.9)],
        lambda: [EarlyStopping("test_loss", "min", patience=1)],
        lambda: [GradientNoise(0.1), WeightNoise(0.05), AdaptiveClipping(0.05)],
    ],
)
def test_a_resumed_training_ends_with_the_same_bits(images: Any, tmp_path: Any, callbacks: Any) -> None:
    trainer, loader, test = make(images, callbacks())
    trainer.fit(loader, test, 4)
    first, loader, test = make(images, callbacks())
    stopped: list[Any] = []

    class Stop(Callback):
        def on_step_end(self, trainer: Trainer, result: Any) -> None:
            if result.step == 10 and not stopped:
                stopped.append(write_checkpoint(tmp_path, "half", trainer.state_dict()))
                raise KeyboardInterrupt

    first.callbacks.append(Stop())
    with pytest.raises(KeyboardInterrupt):
        first.fit(loader, test, 4)
    again, loader, test = make(images, callbacks())
    again.load_state_dict(read_checkpoint(stopped[0]))
    again.fit(loader, test, 4)
    for one, two in zip(weights(trainer.model), weights(again.model)):
        np.testing.assert_array_equal(one, two)
    json.dumps(again.state_dict()["training"])


# Early stopping


@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping_goes_back_to_the_best_weights(images: Any, restore: bool) -> None:
    class Watched(Callback):
        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            record["watched"] = [1.0, 3.0, 2.0, 1.5, 9.0][record["epoch"] - 1]

    class States(Callback):
        def __init__(self) -> None:
            self.states: list[Any] = []

        def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
            self.states.append(weights(trainer.model))

    states = States()
    stopper = EarlyStopping("watched", patience=2, restore_best=restore)
    trainer, loader, test = make(images, [Watched(), states, stopper])
    assert len(trainer.fit(loader, test, 5)) == 4
    for got, best, last in zip(weights(trainer.model), states.states[1], states.states[3]):
        np.testing.assert_array_equal(got, best if restore else last)


# Accumulation


def test_accumulation_is_the_big_batch(images: Any) -> None:
    """Without batch norm and dropout, whose batches are other ones; 96 rows in batches of 20, the last ones short."""
    results = []
    for batch, parts in ((60, 1), (20, 3)):
        fastnn.manual_seed(3)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).double()
        optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
        loader = data.DataLoader(images[0], batch, shuffle=True, seed=4)
        double = [(Tensor(x.data.astype(np.float64)), y) for x, y in loader]
        trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), clip_norm=1.0, accumulate=parts)
        trainer.fit(double, None, 3)
        assert trainer.step == 6
        results.append((weights(model), [record["train_loss"] for record in trainer.history]))
    for one, two in zip(results[0][0], results[1][0]):
        np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-11)
    with pytest.raises(ValueError, match="accumulate >= 1"):
        make(images, accumulate=0)


# Noise and clipping in the loop


def test_weight_noise_leaves_clean_weights_to_the_step(images: Any) -> None:
    seen = []

    class Look(Callback):
        def on_step_start(self, trainer: Trainer) -> None:
            seen.append(weights(trainer.model)[0])

    class After(Callback):
        def on_gradients(self, trainer: Trainer) -> None:
            seen.append(weights(trainer.model)[0])

    trainer, loader, _ = make(images, [Look(), WeightNoise(0.5), After()])
    plain, other, _ = make(images)
    trainer.fit(loader, None, 1)
    plain.fit(other, None, 1)
    for before, after in zip(seen[::2], seen[1::2]):
        np.testing.assert_array_equal(before, after)
    assert (weights(trainer.model)[0] != weights(plain.model)[0]).any()


def test_gradient_noise_falls_with_the_steps(images: Any) -> None:
    seen = []

    class Norm(Callback):
        def on_gradients(self, trainer: Trainer) -> None:
            seen.append(math.sqrt(sum(float((p.grad.data**2).mean()) for p in trainer.model.parameters())))

    trainer, loader, _ = make(images, [GradientNoise(100.0, gamma=2.0), Norm()])
    trainer.optimizer.param_groups[0]["lr"] = 0.0
    trainer.fit(loader, None, 2)
    np.testing.assert_allclose(np.array(seen) / seen[0], 1 / np.arange(1, 9), rtol=0.3)


# Monte-Carlo predictions


def test_monte_carlo_mean_and_spread_of_a_linear_layer() -> None:
    """y = Σ wᵢ xᵢ mᵢ / q with q = 1 - p has the mean Σ wᵢ xᵢ and the variance p / q Σ (wᵢ xᵢ)²."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Dropout(0.3, generator=Generator(1)), nn.BatchNorm1d(50), nn.Linear(50, 3, bias=False))
    model = model.double()
    model[1].eps = 0.0
    model.eval()
    x = rng.standard_normal((4, 50))
    n = 4000
    result = predict_monte_carlo(model, Tensor(x), n)
    terms = x[:, None, :] * model[2].weight.data
    mean, spread = terms.sum(2), np.sqrt(0.3 / 0.7 * (terms**2).sum(2))
    # 12 means and 12 spreads: 5 standard errors are exceeded for one seed in 70,000.
    assert (np.abs(result.mean - mean) < 5 * spread / math.sqrt(n)).all()
    np.testing.assert_allclose(result.spread, spread, rtol=5 / math.sqrt(2 * n))
    assert result.samples == n
    assert not model.training
    assert not model[0].training


def test_monte_carlo_probabilities_batches_and_errors() -> None:
    model = nn.Sequential(nn.DropConnectLinear(6, 4, p=0.5, generator=Generator(2)), nn.StochasticDepth(0.1))
    x = np.random.default_rng(0).standard_normal((10, 6)).astype(np.float32)
    batches = [(Tensor(x[:7]), 0), (Tensor(x[7:]), 0)]
    result = predict_monte_carlo(model, batches, 20, probabilities=True)
    np.testing.assert_allclose(result.mean.sum(1), 1)
    assert result.spread.shape == (10, 4)
    assert (result.spread > 0).all()
    still = predict_monte_carlo(nn.Linear(6, 4), Tensor(x), 3)
    np.testing.assert_allclose(still.spread, 0, atol=1e-12)
    with pytest.raises(ValueError, match="samples >= 2"):
        predict_monte_carlo(model, Tensor(x), 1)
    with pytest.raises(ValueError, match="empty loader"):
        predict_monte_carlo(model, [], 3)


# Optimisers of whole runs


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_of_a_run_makes_the_loss_fall(images: Any, name: str) -> None:
    config = Config.create("digits", optimizer=name)
    trainer, loader, _ = make(images)
    trainer.optimizer = make_optimizer(config, trainer.model)
    assert trainer.optimizer.param_groups[0]["weight_decay"] == config.weight_decay
    history = trainer.fit(loader, None, 8)
    assert history[-1]["train_loss"] < 0.95 * history[0]["train_loss"]  # RAdam begins slowly
