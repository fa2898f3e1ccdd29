"""Settings of a run against their formulas, and that a run with any of them resumes to the same bits."""

import math

import numpy as np
import pytest

import fastnn
from fastnn import data, models, nn, optim, transforms
from fastnn.autograd import Tensor
from fastnn.nn import CrossEntropyLoss
from fastnn.train import Callback, Config, FinalAverage, Freeze, LookaheadAverage, Run, Trainer
from fastnn.train.build import make_averaging, make_loaders, make_optimizer, make_schedule, parameter_groups
from fastnn.train.config import DataFacts, steps_of


class Kill(Exception):
    """Stands for a process that is killed."""


class _Killed(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer, result):
        if result.step == self.step:
            raise Kill


class _Recorder(Callback):
    """Keeps copies of the weights and buffers after every step."""

    def __init__(self):
        self.steps = []
        self.epochs = []

    def on_step_end(self, trainer, result):
        self.steps.append(copies(trainer.model))

    def on_epoch_trained(self, trainer, record):
        self.epochs.append(copies(trainer.model))


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch):
    """Most of the time of a run this short."""
    monkeypatch.setattr("fastnn.train.plots.plot_curves", lambda *arguments: None)
    monkeypatch.setattr("fastnn.train.plots.plot_mistakes", lambda *arguments: None)


def copies(model):
    return {name: tensor.data.copy() for name, tensor in model.state_dict().items()}


def small_net():
    fastnn.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(16, 10)
    )


def trained(callbacks, epochs, *, kill=None, batch=200, **options):
    """A small net trained on the digits; (trainer, recorder)."""
    train, test = data.load("digits")
    normalize = transforms.Normalize(0.3, 0.37)
    loader = data.DataLoader(train, batch, shuffle=True, transform=normalize, seed=0)
    recorder = _Recorder()
    model = small_net()
    trainer = Trainer(
        model,
        optim.SGD(model.parameters(), 0.05, momentum=0.9),
        CrossEntropyLoss(),
        callbacks=[recorder, *callbacks],
        **options,
    )
    trainer.fit(loader, data.DataLoader(test, 355, transform=normalize, seed=0), epochs)
    return trainer, recorder


# Length


@pytest.mark.parametrize(("epochs", "steps"), [(2, 16), (2.5, 20), (0.1, 1), (1.99, 16), (2.01, 16), (0.06, 1)])
def test_a_run_may_end_within_an_epoch(epochs, steps):
    trainer, _ = trained([], epochs)
    assert steps == steps_of(epochs, 8)
    assert trainer.step == steps
    assert len(trainer.history) == trainer.epoch == math.ceil(steps / 8)
    assert "test_accuracy" in trainer.history[-1]
    assert trainer.history[-1]["images"] == (1442 if steps % 8 == 0 else 200 * (steps % 8))


def test_the_part_of_an_epoch_is_its_beginning():
    _, whole = trained([], 3)
    _, part = trained([], 2.5)
    for one, other in zip(whole.steps[:20], part.steps, strict=True):
        assert all((one[name] == other[name]).all() for name in one)


def test_a_fraction_needs_a_length():
    model = small_net()
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), CrossEntropyLoss())
    with pytest.raises(ValueError, match=r"0.5 epochs need a training loader with a length"):
        trainer.fit(iter([]), None, 0.5)


def test_evaluation_every_few_epochs_and_at_the_end():
    trainer, _ = trained([], 5, evaluate_every=2)
    assert ["test_accuracy" in record for record in trainer.history] == [False, True, False, True, True]


# Averages


def test_lookahead_is_its_formula():
    """Weights at t are those that a step of SGD made of the weights before; every five they go back to the average."""
    total = 20
    trainer, recorder = trained([LookaheadAverage(total)], 2.5)
    slow = copies(small_net())
    for step in range(5, total + 1, 5):
        kept = 0.95**5 * (step / total) ** 3
        # What the recorder saw at a fifth step is from before the lookahead, which comes after it.
        slow = {n: kept * slow[n] + (1 - kept) * w for n, w in recorder.steps[step - 1].items()}
    final = copies(trainer.model)
    for name, value in final.items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, slow[name], rtol=1e-5, atol=1e-7, err_msg=name)
    assert not np.allclose(final["0.weight"], recorder.steps[-1]["0.weight"], rtol=1e-4)


def test_the_exponential_average_is_its_formula_and_what_is_evaluated():
    trainer, recorder = trained([FinalAverage(0.8, start_step=3)], 2.5)
    average = recorder.steps[3]
    for count, weights in enumerate(recorder.steps[4:], start=1):
        e = min(0.8, (1 + count) / (10 + count))
        average = {name: e * average[name] + (1 - e) * weights[name] for name in average}
    for name, value in copies(trainer.model).items():
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, average[name], rtol=1e-5, atol=1e-6, err_msg=name)
    again = trainer.evaluate(trainer.test_loader)
    assert again["accuracy"] == trainer.history[-1]["test_accuracy"]
    before = small_net()
    before.load_state_dict({name: Tensor(value) for name, value in recorder.steps[-1].items()})
    trainer.model = before
    scores = trainer.evaluate(trainer.test_loader)
    assert scores["loss"] == pytest.approx(trainer.history[-1]["test_loss_unaveraged"], rel=1e-6)
    assert "test_loss_unaveraged" not in trainer.history[0]


def test_the_plain_average_is_that_of_the_epochs_and_has_statistics_of_its_own():
    trainer, recorder = trained([FinalAverage(start_epoch=1)], 3.5)
    final = copies(trainer.model)
    for name, parameter in trainer.model.named_parameters():
        expected = np.mean([epoch[name] for epoch in recorder.epochs[1:]], axis=0)
        np.testing.assert_allclose(parameter.data, expected, rtol=1e-5, atol=1e-7)
    assert final["1.num_batches_tracked"] == 8
    images = trainer.train_loader.dataset.batch(np.arange(1442))[0]
    x = Tensor(transforms.Normalize(0.3, 0.37)(images).transpose(0, 3, 1, 2))
    seen = trainer.model[0](x).data
    np.testing.assert_allclose(final["1.running_mean"], seen.mean(axis=(0, 2, 3)), rtol=0.05, atol=0.02)


@pytest.mark.parametrize(
    ("settings", "kind", "details"),
    [
        ({"averaging": "none"}, None, {}),
        ({"averaging": "ema"}, FinalAverage, {"decay": 0.999, "start_step": 0}),
        ({"averaging": "ema", "averaging_start": 0.5}, FinalAverage, {"start_step": 50}),
        ({"averaging": "ema", "averaging_start": 1.0}, FinalAverage, {"start_step": 99}),
        ({"averaging": "swa", "epochs": 9}, FinalAverage, {"decay": None, "start_epoch": 6}),
        ({"averaging": "swa", "averaging_start": 1.0}, FinalAverage, {"decay": None, "start_epoch": 9}),
        ({"averaging": "lookahead"}, LookaheadAverage, {"decay": 0.95, "total_steps": 100, "every": 5}),
        ({"averaging": "lookahead", "averaging_decay": 0.5}, LookaheadAverage, {"decay": 0.5}),
    ],
)
def test_averages_of_a_run(settings, kind, details):
    callbacks = make_averaging(Config.create("digits", **{"epochs": 10, **settings}), 10)
    assert len(callbacks) == (kind is not None)
    for callback in callbacks:
        assert isinstance(callback, kind)
        assert {name: getattr(callback, name) for name in details} == details


# Freezing, groups, clipping


def test_frozen_parameters_learn_for_their_epochs_only():
    _, recorder = trained([Freeze({"1.bias": 2, "5.weight": 0})], 4)
    biases = [epoch["1.bias"] for epoch in recorder.epochs]
    assert (biases[0] != biases[1]).any()
    assert (biases[1] == biases[2]).all()
    assert (biases[1] == biases[3]).all()
    assert (recorder.epochs[3]["5.weight"] == small_net()[5].weight.data).all()
    assert (recorder.epochs[2]["0.weight"] != recorder.epochs[3]["0.weight"]).all()
    with pytest.raises(ValueError, match=r"no parameters 7\.bias"):
        trained([Freeze({"7.bias": 1})], 1)


def test_parameter_groups():
    model = small_net()
    config = Config.create("digits", bias_lr_factor=4.0, lr=0.1, weight_decay=8e-3)
    found = [(g["lr"], g["weight_decay"], [name for name, _ in g["params"]]) for g in parameter_groups(config, model)]
    assert found == [
        (0.1, 8e-3, ["0.weight", "0.bias", "1.weight", "5.weight", "5.bias"]),
        (0.4, 2e-3, ["1.bias"]),
    ]
    config = Config.create("digits", decay_norms=False, lr=0.1, weight_decay=8e-3)
    found = [(g["lr"], g["weight_decay"], [name for name, _ in g["params"]]) for g in parameter_groups(config, model)]
    assert found == [(0.1, 8e-3, ["0.weight", "5.weight"]), (0.1, 0.0, ["0.bias", "1.weight", "1.bias", "5.bias"])]
    assert len(parameter_groups(Config.create("digits"), model)) == 1


@pytest.mark.parametrize("schedule", ["onecycle", "linear", "cosine", "triangle", "step", "exponential"])
def test_schedules_keep_the_ratio_of_the_groups(schedule):
    config = Config.create("digits", schedule=schedule, epochs=2, bias_lr_factor=4.0)
    optimizer = make_optimizer(config, small_net())
    scheduler = make_schedule(config, optimizer, 10)
    for _ in range(20):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates[1] == pytest.approx(4.0 * rates[0], rel=1e-9)
        scheduler.step()


@pytest.mark.parametrize(("warm_up", "start", "end"), [(0.23, 0.2, 0.07), (0.5, 0.0, 0.0), (0.0, 0.3, 0.1)])
def test_the_triangle_is_interpolated(warm_up, start, end):
    config = Config.create(
        "digits", schedule="triangle", warm_up=warm_up, lr_start=start, lr_end=end, lr=2.0, epochs=2.5
    )
    optimizer = make_optimizer(config, small_net())
    scheduler = make_schedule(config, optimizer, 20)
    peak = int(warm_up * 50)
    corners = ([0, peak, 50], [start, 1.0, end]) if peak else ([0, 50], [1.0, end])
    for step in range(50):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(2.0 * np.interp(step, *corners), abs=1e-12)
        scheduler.step()


def test_loaders_mix_and_drop():
    train, test = data.load("digits")
    facts = DataFacts.of(train)
    loader, _ = make_loaders(Config.create("digits", mix="cutmix", drop_last=True, batch_size=100), facts, train, test)
    x, y = next(iter(loader))
    assert len(loader) == 14
    assert y.shape == (100, 10)
    np.testing.assert_allclose(y.data.sum(1), 1.0, rtol=1e-6)
    assert x.shape == (100, 1, 8, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"averaging_start": 0.5}, "averaging_start needs averaging, got averaging_start 0.5 with averaging none"),
        ({"averaging_decay": 0.5}, "averaging_decay needs averaging, got averaging_decay 0.5 with averaging none"),
        ({"averaging": "lookahead", "averaging_start": 0.5}, "averaging lookahead has no averaging_start, got 0.5"),
        ({"mix_alpha": 0.4}, "mix_alpha needs mix, got mix_alpha 0.4 with mix none"),
    ],
)
def test_settings_that_nothing_reads_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Config.create("digits", **settings)


def test_a_network_with_trained_patches_keeps_them(tmp_path):
    """speed94 whitens patches with a first layer that does not train: nor does it with weights from elsewhere."""
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for i in range(20):
                pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{i}.png")
    settings = {"data_dir": str(tmp_path / "data"), "model": "speed94", "epochs": 1, "batch_size": 10}
    first = Run(Config.create("folder", **settings), tmp_path / "first")
    assert not first.model[0].weight.requires_grad
    path = tmp_path / "weights.safetensors"
    fastnn.save(first.model.state_dict(), path)
    again = Run(Config.create("folder", init=str(path), seed=1, **settings), tmp_path / "again")
    assert not again.model[0].weight.requires_grad
    np.testing.assert_array_equal(again.model[0].weight.data, first.model[0].weight.data)


# Interruption


SETTINGS = {
    "lookahead": {"averaging": "lookahead", "augment": "alternate-shift", "freeze": ("1.bias@1", "4.*@2"),
                  "drop_last": True, "schedule": "triangle", "bias_lr_factor": 8.0, "epochs": 2.6},
    "ema": {"averaging": "ema", "averaging_decay": 0.9, "decay_norms": False, "clip_norm": 0.5, "mix": "mixup"},
    "swa": {"averaging": "swa", "averaging_start": 0.3, "augment": "alternate", "evaluate_every": 2},
    "affine": {"augment": "affine", "epochs": 1.3, "mix": "cutmix"},
}  # fmt: skip


def files(run):
    last = run / "checkpoints" / "last"
    return {path.name: path.read_bytes() for path in last.glob("*.safetensors")}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kill", [7, 25, 35])
def test_a_killed_run_ends_with_the_same_bits(tmp_path, name, kill):
    """Killed within the first epoch, the second, and the last one; checkpoints are every three steps."""
    chosen = {"epochs": 2.6, **SETTINGS[name]}
    config = Config.create("digits", **{"batch_size": 100, "checkpoint_every": 3, **chosen})
    whole = Run(config, tmp_path / "whole")
    result = whole.fit(quiet=True)
    run = Run(config, tmp_path / "killed")
    run.trainer.callbacks.insert(0, _Killed(min(kill, whole.trainer.step - 1)))
    with pytest.raises(Kill):
        run.fit(quiet=True)
    resumed = Run.resume(tmp_path / "killed")
    assert 0 < resumed.trainer.step < whole.trainer.step
    again = resumed.fit(quiet=True)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    assert again["test_accuracy"] == result["test_accuracy"]
    assert again["test_loss"] == result["test_loss"]


class _Whitened(nn.Sequential):
    """Its first layer learns from images, once, and is fixed then."""

    def fit_patches(self, images):
        self.shown = images.data.copy()
        self[0].weight.data[...] = images.data[:4, :, :3, :3]
        self[0].weight.bump()
        self[0].weight.requires_grad_(False)


def test_a_network_that_begins_with_images_does_so_once(tmp_path, monkeypatch):
    made = []

    def create(name, *arguments):
        made.append(_Whitened(*small_net().children()))
        return made[-1]

    monkeypatch.setattr(models, "create", create)
    config = Config.create("digits", batch_size=100, checkpoint_every=3, epochs=2)
    whole = Run(config, tmp_path / "whole")
    train, _ = data.load("digits")
    images = train.batch(np.arange(1442))[0].astype(np.float64) / 255
    np.testing.assert_allclose(
        made[0].shown[:, 0], (images[..., 0] - images.mean()) / images.std(), rtol=1e-4, atol=1e-5
    )
    first = made[0][0].weight.data.copy()
    whole.fit(quiet=True)
    assert (made[0][0].weight.data == first).all()
    run = Run(config, tmp_path / "killed")
    run.trainer.callbacks.insert(0, _Killed(20))
    with pytest.raises(Kill):
        run.fit(quiet=True)
    resumed = Run.resume(tmp_path / "killed")
    assert not hasattr(made[2], "shown")
    assert not made[2][0].weight.requires_grad
    resumed.fit(quiet=True)
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    # Killed before there is a checkpoint, it begins anew and is shown the images.
    run = Run(config, tmp_path / "early")
    Run.resume(tmp_path / "early").fit(quiet=True)
    assert files(tmp_path / "early") == files(tmp_path / "whole")


def test_views_are_the_weighted_mean_of_outputs(tmp_path):
    run = Run(Config.create("digits", model="mlp", epochs=1, views="flip-translate"), tmp_path / "run")
    result = run.fit(quiet=True)
    _, test = data.load("digits")
    images, labels = test.batch(np.arange(len(test)))
    x = transforms.Normalize(run.facts.mean, run.facts.std)(images)[..., 0]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    total = 0.0
    for weight, moved in ((0.5, x), (0.25, padded[:, :8, :8]), (0.25, padded[:, 2:, 2:])):
        for view in (moved, moved[:, :, ::-1]):
            with fastnn.no_grad():
                total = total + weight / 2 * run.model.eval()(Tensor(np.ascontiguousarray(view[:, None]))).data
    assert result["test_accuracy_views"] == pytest.approx((total.argmax(1) == labels).mean(), abs=1e-9)
    assert result["test_accuracy"] != result["test_accuracy_views"]


def test_old_folders_can_be_read():
    """The settings that version 0.1.0 wrote, before these."""
    old = {"dataset": "digits", "data_dir": None, "image_size": None, "model": "mlp", "epochs": 3, "batch_size": 32,
           "optimizer": "adam", "lr": 1e-3, "momentum": None, "weight_decay": 0.0, "schedule": "cosine",
           "augment": "none", "preprocess": "standardize", "label_smoothing": 0.0, "seed": 0,
           "checkpoint_every": None, "autocast": False}  # fmt: skip
    assert Config.from_dict(old) == Config.create("digits", model="mlp", epochs=3, optimizer="adam", lr=1e-3,
                                                  schedule="cosine", label_smoothing=0.0)  # fmt: skip
    with pytest.raises(ValueError, match="missing or unknown settings: model"):
        Config.from_dict({name: value for name, value in old.items() if name != "model"})
