"""A few training steps of a run, on a copy of its network: statistics of its layers, and where their time goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .. import cpu
from ..autograd import Tensor, autocast
from ..bench.machine import inspect, peaks
from ..diagnose import LayerReport, UpdateRatios, UpdateReport, WeightReport, layer_statistics, weight_statistics
from ..profiler import Profile, profile, record_function
from ..train import Run, Trainer
from ..train.phases import PHASES

__all__ = ["Layers", "Timing", "examine_layers", "measure_steps", "recorded_phases"]

_ROWS = 256
"""Images, at most, that layers are looked at with."""
_STEPS = 4
_DATA = "data"


@dataclass(frozen=True)
class Layers:
    """The layers of a network on one batch of training images, in training mode.

    Attributes:
        rows: images in the batch.
        statistics: activations and gradients.
        weights: parameters and their gradients.
        updates: for each parameter, `‖Δw‖ / ‖w‖` of the next step of the optimiser at the learning rate `lr`.
        lr: the highest learning rate of the run.
    """

    rows: int
    statistics: LayerReport
    weights: WeightReport
    updates: UpdateReport
    lr: float


@dataclass(frozen=True)
class Timing:
    """Where the time of training steps goes.

    Attributes:
        steps: how many were measured.
        images: rows of a step.
        seconds: mean time of a step.
        phases: seconds of a step by phase: "data" (waiting for the loader), "forward" with the loss, "backward",
            "optimizer"; and "elsewhere", what belongs to none.
        profile: operations.
        gflops, gb_per_second: what the machine reaches at most, that shares of the roofline refer to.
        shares: for each operation its share of the roofline; None where no work is counted.
        processor, level, threads: what the steps were measured on, which need not be what the run was trained on.
    """

    steps: int
    images: int
    seconds: float
    phases: dict[str, float]
    profile: Profile
    gflops: float
    gb_per_second: float
    shares: dict[str, float | None]
    processor: str
    level: str
    threads: int


def recorded_phases(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds by phase over a whole run, as its epochs recorded them; empty for runs that did not."""
    if not history or not all(f"{phase}_seconds" in record for record in history for phase in PHASES):
        return {}
    found = {phase: sum(float(record[f"{phase}_seconds"]) for record in history) for phase in PHASES}
    found["elsewhere"] = max(sum(float(record["seconds"]) for record in history) - sum(found.values()), 0.0)
    return found | {"evaluation": sum(float(record["eval_seconds"]) for record in history)}


def examine_layers(run: Run, highest: float) -> Layers:
    """Look at the layers of a run's network on a batch of its training images.

    Args:
        run: read for this, and not written; its network is changed, as one step is made.
        highest: the highest learning rate of the run.
    """
    x, y = next(iter(run.train_loader))
    x, y = Tensor(x.data[:_ROWS]), Tensor(y.data[:_ROWS])
    trainer, model, optimizer = run.trainer, run.model, run.trainer.optimizer
    statistics = layer_statistics(model, [(x, y)], trainer.loss, training=True)
    model.train()
    optimizer.zero_grad()
    with autocast() if trainer.autocast else nullcontext():
        loss = trainer.loss(model(x), y)
    loss.backward()
    weights = weight_statistics(model)
    # The last rate of most schedules is almost 0, and so would be the ratios.
    for group in optimizer.param_groups:
        group["lr"] = highest if len(optimizer.param_groups) == 1 else group.get("max_lr", group["lr"])
    ratios = UpdateRatios()
    ratios.before(model)
    optimizer.step()
    ratios.after(trainer.step + 1)
    return Layers(len(y.data), statistics, weights, ratios.report(), trainer.lr)


def measure_steps(run: Run) -> Timing:
    """Profile a few training steps of a run's own kind, after one to warm up. The network is changed."""
    made = run.trainer
    trainer = Trainer(
        run.model,
        made.optimizer,
        made.loss,
        clip_norm=made.clip_norm,
        accumulate=made.accumulate,
        autocast=made.autocast,
    )
    batches = _endless(run)
    trainer.fit(list(islice(batches, made.accumulate)), epochs=1)
    count = _STEPS * made.accumulate
    with profile() as measured:
        trainer.fit(_noted(batches, count), epochs=2)
    found, reached = measured.report(), peaks()
    name = f"{type(made.optimizer).__name__}.step"
    return Timing(
        steps=_STEPS,
        images=int(trainer.history[-1]["images"]) // _STEPS,
        seconds=found.elapsed / _STEPS,
        phases={phase: seconds / _STEPS for phase, seconds in _phases(found, name).items()},
        profile=found,
        gflops=reached.gflops,
        gb_per_second=reached.copy_gb_per_second,
        shares={each.name: each.roofline_share(reached) for each in found.operations},
        processor=inspect({}, measure_peaks=False).processor,
        level=cpu.level(),
        threads=cpu.get_num_threads(),
    )


def _phases(found: Profile, step: str) -> dict[str, float]:
    """Sums of the entries of a profile; `step` is the name of the optimiser's."""
    named = {each.name: each.seconds for each in found.operations}
    operations = [each for each in found.operations if each.name not in (_DATA, step)]
    phases = {
        "data": named.get(_DATA, 0.0),
        "forward": sum(each.forward.seconds for each in operations),
        "backward": sum(each.backward.seconds for each in operations),
        "optimizer": named.get(step, 0.0),
    }
    return phases | {"elsewhere": max(found.elapsed - sum(phases.values()), 0.0)}


def _endless(run: Run) -> Iterator[tuple[Tensor, ...]]:
    """Batches of the training images, epoch after epoch."""
    while True:
        yield from run.train_loader


def _noted(batches: Iterator[tuple[Tensor, ...]], count: int) -> Iterator[tuple[Tensor, ...]]:
    """The next `count` batches; waiting for each counts as `_DATA`."""
    for _ in range(count):
        with record_function(_DATA):
            batch = next(batches)
        yield batch
