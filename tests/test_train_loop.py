"""The training loop: what it computes, whom it calls when, and that a state goes on with the same bits."""

import json
import math

import numpy as np
import pytest

import fastnn
from fastnn import data, models, nn, optim
from fastnn.optim import lr_scheduler
from fastnn.train import (
    Callback,
    Checkpoints,
    DivergedError,
    EarlyStopping,
    LearningRateMonitor,
    MetricsWriter,
    TopK,
    Trainer,
    evaluate,
    predict,
    read_checkpoint,
)

ROWS, BATCH = 200, 64


@pytest.fixture(autouse=True)
def _one_thread():
    """These networks are too small for two, which on a busy machine would wait for each other."""
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(1)
    yield
    fastnn.set_num_threads(before)


@pytest.fixture(scope="module")
def images():
    train, test = data.load("digits")
    rows = np.arange(ROWS)
    return data.ArrayDataset(*train.batch(rows)), data.ArrayDataset(*test.batch(rows[:100]))


def network():
    """A little of everything that has state: convolution, running statistics, dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Dropout(0.1, generator=fastnn.Generator(5)),
        nn.Linear(256, 10),
    )


def make(images, callbacks=(), schedule="step", **options):
    """A trainer and its loaders, the same ones at every call."""
    fastnn.manual_seed(3)
    model = network()
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)
    loader = data.DataLoader(images[0], BATCH, shuffle=True, seed=4)
    scheduler = {
        "step": lambda: lr_scheduler.OneCycleLR(optimizer, 0.1, 3 * len(loader), cycle_momentum=False),
        "epoch": lambda: lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
        "plateau": lambda: lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
        None: lambda: None,
    }[schedule]()
    unit = "step" if schedule == "step" else "epoch"
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler, callbacks, schedule_every=unit, **options)
    return trainer, loader, data.DataLoader(images[1], 50, seed=0)


def bits(trainer):
    state = trainer.state_dict()
    slots = state["optimizer"]["state"]
    tensors = {**state["model"], **{f"{i}.{k}": v for i, s in slots.items() for k, v in s.items()}}
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}


class Recorder(Callback):
    def __init__(self):
        self.calls = []

    def on_fit_start(self, trainer):
        self.calls.append("fit start")

    def on_epoch_start(self, trainer):
        self.calls.append(f"epoch start {trainer.epoch}")
        assert trainer.model.training is True or trainer.step == 0

    def on_step_end(self, trainer, result):
        assert trainer.model.training
        self.calls.append(f"step {result.step} batch {result.batch} images {result.images}")

    def on_epoch_end(self, trainer, record):
        self.calls.append(f"epoch end {record['epoch']}")

    def on_fit_end(self, trainer):
        self.calls.append("fit end")

    def close(self):
        self.calls.append("close")


def test_order_of_calls(images):
    recorder = Recorder()
    trainer, loader, test = make(images, [recorder])
    trainer.fit(loader, test, 2)
    steps = [f"step {n} batch {(n - 1) % 4 + 1} images {8 if n % 4 == 0 else 64}" for n in range(1, 9)]
    first, second = steps[:4], steps[4:]
    assert recorder.calls == [
        "fit start", "epoch start 0", *first, "epoch end 1", "epoch start 1", *second, "epoch end 2", "fit end",
        "close",
    ]  # fmt: skip


def test_a_loop_written_out_gives_the_same_bits(images):
    trainer, loader, test = make(images, clip_norm=0.5)
    history = trainer.fit(loader, test, 2)

    other, loader, test = make(images)
    model, optimizer, schedule = other.model, other.optimizer, other.scheduler
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(2):
        loader.set_epoch(epoch)
        model.train()
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(y.numpy())
        assert history[epoch]["train_loss"] == pytest.approx(total / ROWS, rel=1e-12)
    assert bits(trainer) == bits(other)
    with fastnn.no_grad():
        model.eval()
        x, y = next(iter(data.DataLoader(images[1], 100, seed=0)))
        output = model(x)
    assert history[-1]["test_loss"] == pytest.approx(loss_of(output, y).item(), rel=1e-5)
    assert history[-1]["test_accuracy"] == np.mean(output.numpy().argmax(axis=1) == y.numpy())


def test_records(images):
    trainer, loader, test = make(images, metrics={"top3": TopK(3)}, eval_loss=nn.CrossEntropyLoss())
    record = trainer.fit(loader, test, 1)[0]
    assert set(record) == {
        "epoch", "step", "lr", "train_loss", "train_top3", "test_loss", "test_top3", "images", "images_per_second",
        "seconds", "data_seconds", "forward_seconds", "backward_seconds", "optimizer_seconds", "eval_seconds",
    }  # fmt: skip
    assert record["images"] == ROWS
    assert record["images_per_second"] == pytest.approx(ROWS / record["seconds"])
    assert trainer.fit(loader, test, 1) == [record]  # one epoch in all, and it is done


def test_without_a_test_loader(images):
    trainer, loader, _ = make(images)
    assert "test_loss" not in trainer.fit(loader, epochs=1)[0]


@pytest.mark.parametrize("schedule", ["step", "epoch", "plateau", None])
@pytest.mark.parametrize("stop", [1, 4, 6, 8])
def test_resuming_after_any_step_gives_the_same_bits(images, tmp_path, schedule, stop):
    whole, loader, test = make(images, schedule=schedule)
    whole.fit(loader, test, 3)

    class Interrupt(Callback):
        runs_last = True

        def on_step_end(self, trainer, result):
            if result.step == stop:
                raise KeyboardInterrupt

    first, loader, test = make(images, [Interrupt(), Checkpoints(tmp_path, every_steps=1)], schedule)
    first.callbacks.reverse()  # the checkpoint of the step, then the interruption
    with pytest.raises(KeyboardInterrupt):
        first.fit(loader, test, 3)

    fastnn.manual_seed(999)
    second, loader, test = make(images, schedule=schedule)
    fastnn.manual_seed(1000)
    second.load_state_dict(read_checkpoint(tmp_path / "last"))
    assert second.step == stop
    second.fit(loader, test, 3)
    assert bits(second) == bits(whole)
    timeless = [{k: v for k, v in record.items() if "second" not in k} for record in whole.history + second.history]
    assert timeless[:3] == timeless[3:]


def test_evaluation_changes_nothing(images):
    trainer, loader, test = make(images)
    trainer.fit(loader, test, 1)
    frozen = trainer.model[1]
    trainer.model.train()
    frozen.eval()
    before = bits(trainer), fastnn.get_rng_state()
    result = trainer.evaluate(test)
    assert (bits(trainer), fastnn.get_rng_state()) == before
    assert trainer.model.training
    assert not frozen.training
    assert fastnn.is_grad_enabled()
    assert result == evaluate(trainer.model, test, nn.CrossEntropyLoss())


def test_predict(images):
    trainer, _, test = make(images)
    scores = trainer.predict(test)
    assert scores.shape == (100, 10)
    x, _ = next(iter(test))
    assert np.allclose(scores[:50], predict(trainer.model, x), atol=1e-6)
    with pytest.raises(ValueError, match="empty loader"):
        predict(trainer.model, [])


def test_early_stopping(images):
    class Constant(Callback):
        def on_epoch_end(self, trainer, record):
            record["watched"] = [1.0, 2.0, 2.0, 1.5, 3.0][record["epoch"] - 1]

    stopper = EarlyStopping("watched", patience=2)
    trainer, loader, test = make(images, [Constant(), stopper], schedule=None)
    assert len(trainer.fit(loader, test, 5)) == 4
    assert stopper.best == 2.0
    state = trainer.state_dict()
    again, loader, test = make(images, [Constant(), EarlyStopping("watched", patience=2)], schedule=None)
    again.load_state_dict(state)
    assert len(again.fit(loader, test, 5)) == 4
    with pytest.raises(ValueError, match="no 'missing' to watch, only epoch"):
        make(images, [EarlyStopping("missing")])[0].fit(loader, test, 1)


def test_learning_rates_are_kept(images):
    monitor = LearningRateMonitor(every=2)
    trainer, loader, test = make(images, [monitor])
    trainer.fit(loader, test, 3)
    schedule = make(images)[0].scheduler
    rates = []
    for _ in range(12):
        rates.append(schedule.get_last_lr()[0])
        schedule.step()
    assert monitor.steps == [1, 3, 5, 7, 9, 11]
    assert monitor.rates == rates[::2]
    assert [record["lr"] for record in trainer.history] == rates[3::4]


def test_metrics_file_follows_the_history(images, tmp_path):
    path = tmp_path / "metrics.jsonl"
    trainer, loader, test = make(images, [MetricsWriter(path)])
    trainer.fit(loader, test, 2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == trainer.history
    # What an interrupted run left behind: a line beyond the checkpoint, and half a line.
    state = trainer.state_dict()
    path.write_text(path.read_text() + json.dumps({"epoch": 3}) + '\n{"epo')
    again, loader, test = make(images, [MetricsWriter(path)])
    again.load_state_dict(state)
    again.fit(loader, test, 3)
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_divergence_is_an_error(images):
    recorder = Recorder()
    trainer, loader, test = make(images, [recorder], schedule=None)
    trainer.model[6].weight.data[0, 0] = np.inf
    with pytest.raises(DivergedError, match=r"the loss is (nan|inf) at step 1 \(epoch 1, learning rate 0.1\)"):
        trainer.fit(loader, test, 3)
    assert recorder.calls[-1] == "close"
    assert not any(call.startswith("epoch end") for call in recorder.calls)


def test_arguments_are_checked(images):
    trainer, loader, test = make(images)
    with pytest.raises(ValueError, match="epochs >= 0"):
        trainer.fit(loader, test, -1)
    with pytest.raises(ValueError, match="no batches"):
        trainer.fit([], test, 1)
    with pytest.raises(ValueError, match="schedule_every"):
        Trainer(trainer.model, trainer.optimizer, trainer.loss, schedule_every="week")
    with pytest.raises(ValueError, match="clip_norm"):
        Trainer(trainer.model, trainer.optimizer, trainer.loss, clip_norm=0)
    with pytest.raises(ValueError, match="no schedule"):
        make(images, schedule=None)[0].load_state_dict(trainer.state_dict())
    with pytest.raises(ValueError, match="expected the metrics"):
        make(images, metrics={"top3": TopK(3)})[0].load_state_dict(trainer.state_dict())


def test_any_iterable_is_a_loader(images):
    trainer, loader, _ = make(images, schedule=None)
    batches = [(x, y) for x, y in loader]
    trainer.fit(batches, batches, 2)
    assert trainer.step == 8
    assert all(math.isfinite(record["test_loss"]) for record in trainer.history)


def test_steps_under_autocast_and_evaluation_without(images):
    seen = []

    def loss(output, target):
        seen.append((trainer.model.training, fastnn.is_autocast_enabled()))
        return nn.functional.cross_entropy(output, target)

    trainer, loader, test = make(images, autocast=True)
    trainer.loss = trainer.eval_loss = loss
    trainer.fit(loader, test, 1)
    assert set(seen) == {(True, True), (False, False)}
    plain, loader, test = make(images)
    plain.fit(loader, test, 1)
    assert bits(plain) != bits(trainer)
    assert plain.history[0]["train_loss"] == pytest.approx(trainer.history[0]["train_loss"], rel=0.02)


def test_default_model_learns(images):
    fastnn.manual_seed(0)
    model = models.create("digits", 10, 1, 8)
    trainer = Trainer(model, optim.Adam(model.parameters(), 1e-2), nn.CrossEntropyLoss())
    train, test = data.load("digits")
    history = trainer.fit(data.DataLoader(train, 64, shuffle=True, seed=0), data.DataLoader(test, 200), 3)
    assert history[-1]["test_accuracy"] > 0.95
