"""Schedules: their formulas written out, going on from the step alone, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import Tensor, optim
from fastnn.optim import lr_scheduler as lrs

STEPS = 120
Make = Callable[[optim.Optimizer], lrs.LRScheduler]


def sgd(**options: Any) -> optim.SGD:
    return optim.SGD([Tensor(np.zeros(1), requires_grad=True)], lr=0.8, momentum=0.9, **options)


def half_wave(u: float) -> float:
    return (1 + math.cos(math.pi * u)) / 2


def restarts(t: int) -> float:
    wave = 10
    while t >= wave:
        t, wave = t - wave, 2 * wave
    return 0.1 + 0.7 * half_wave(t / wave)


def triangle(t: int) -> float:
    place = t % 30
    return 0.1 + 0.4 * (place / 10 if place <= 10 else (30 - place) / 20)


def one_cycle(t: int) -> float:
    rise = 0.25 * 121 - 1
    if t <= rise:
        return 2.0 + (0.08 - 2.0) * half_wave(t / rise)
    return 0.08e-4 + (2.0 - 0.08e-4) * half_wave((t - rise) / (120 - rise))


def warm_up_then_cosine(t: int) -> float:
    return 0.8 * (0.1 + 0.9 * t / 20) if t < 20 else 0.8 * half_wave((t - 20) / 100)


FORMULAS: dict[str, tuple[Make, Callable[[int], float]]] = {
    "step": (lambda o: lrs.StepLR(o, 25, gamma=0.3), lambda t: 0.8 * 0.3 ** (t // 25)),
    "multi-step": (
        lambda o: lrs.MultiStepLR(o, [10, 50, 90], gamma=0.1),
        lambda t: 0.8 * 0.1 ** sum(t >= m for m in (10, 50, 90)),
    ),
    "exponential": (lambda o: lrs.ExponentialLR(o, 0.95), lambda t: 0.8 * 0.95**t),
    "1/t": (lambda o: lrs.InverseTimeLR(o, 0.2), lambda t: 0.8 / (1 + 0.2 * t)),
    "polynomial": (lambda o: lrs.PolynomialLR(o, 100, 2.0), lambda t: 0.8 * max(1 - t / 100, 0.0) ** 2),
    "cosine": (lambda o: lrs.CosineAnnealingLR(o, 120, 0.1), lambda t: 0.1 + 0.7 * half_wave(t / 120)),
    "warm restarts": (lambda o: lrs.CosineAnnealingWarmRestarts(o, 10, 2, 0.1), restarts),
    "cyclic": (lambda o: lrs.CyclicLR(o, 0.1, 0.5, 10, 20, cycle_momentum=False), triangle),
    "one-cycle": (lambda o: lrs.OneCycleLR(o, 2.0, 121, pct_start=0.25), one_cycle),
    "warm-up": (lambda o: lrs.LinearLR(o, 0.1, 1.0, 30), lambda t: 0.8 * (0.1 + 0.9 * min(t, 30) / 30)),
    "constant": (lambda o: lrs.ConstantLR(o, 0.5, 9), lambda t: 0.4 if t < 9 else 0.8),
    "function": (lambda o: lrs.LambdaLR(o, lambda t: 1 / (t + 1) ** 0.5), lambda t: 0.8 / (t + 1) ** 0.5),
    "product": (
        lambda o: lrs.MultiplicativeLR(o, lambda t: t / (t + 1)),
        lambda t: 0.8 / (t + 1),
    ),
    "swa": (lambda o: lrs.SWALR(o, 0.05, 40, "linear"), lambda t: 0.8 + (0.05 - 0.8) * min(t / 40, 1)),
    "sequence": (
        lambda o: lrs.SequentialLR(o, [lrs.LinearLR(o, 0.1, 1.0, 20), lrs.CosineAnnealingLR(o, 100)], [20]),
        warm_up_then_cosine,
    ),
    "chain": (
        lambda o: lrs.ChainedScheduler([lrs.LinearLR(o, 0.1, 1.0, 20), lrs.ExponentialLR(o, 0.97)]),
        lambda t: 0.8 * (0.1 + 0.9 * min(t, 20) / 20) * 0.97**t,
    ),
}
EACH = pytest.mark.parametrize("name", FORMULAS)


@EACH
def test_the_rates_are_those_of_the_formula(name: str) -> None:
    make, formula = FORMULAS[name]
    optimizer = sgd()
    schedule = make(optimizer)
    for t in range(STEPS):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(formula(t), rel=1e-12, abs=1e-15)
        assert schedule.last_epoch == t
        schedule.step()


@EACH
def test_goes_on_from_the_step_alone(name: str) -> None:
    """A schedule of a fresh optimiser that is told the number of the step sets the very same rates."""
    make, _ = FORMULAS[name]
    optimizer = sgd()
    schedule = make(optimizer)
    for _ in range(57):
        schedule.step()
    fresh = sgd()
    resumed = make(fresh)
    if name in ("sequence", "chain"):
        resumed.step(57)
    else:
        resumed.load_state_dict({"last_epoch": 57})
    for _ in range(20):
        assert fresh.param_groups[0]["lr"] == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-14)
        assert fresh.param_groups[0]["momentum"] == optimizer.param_groups[0]["momentum"]
        schedule.step()
        resumed.step()


@EACH
def test_a_state_dict_holds_what_is_needed(name: str) -> None:
    make, _ = FORMULAS[name]
    optimizer, fresh = sgd(), sgd()
    schedule = make(optimizer)
    for _ in range(33):
        schedule.step()
    resumed = make(fresh)
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(10):
        assert fresh.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
        assert resumed.last_epoch == schedule.last_epoch
        schedule.step()
        resumed.step()


def test_a_function_of_the_step_needs_no_schedule() -> None:
    w = Tensor(np.zeros(1), requires_grad=True)
    optimizer = optim.SGD([w], lr=lambda t: 1.0 / (1 + t))
    expected = 0.0
    for t in range(5):
        w.grad = Tensor(np.ones(1))
        optimizer.step()
        expected -= 1.0 / (1 + t)
    assert w.item() == pytest.approx(expected)
    with pytest.raises(TypeError, match="function already"):
        lrs.StepLR(optimizer, 3)


def test_momentum_moves_against_the_rate() -> None:
    optimizer = sgd()
    schedule = lrs.OneCycleLR(optimizer, 1.0, 21, base_momentum=0.8, max_momentum=0.95)
    rates, momenta = [], []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        schedule.step()
    assert np.argmax(rates) == np.argmin(momenta)
    assert (min(momenta), momenta[0]) == (pytest.approx(0.8, abs=0.01), 0.95)
    with pytest.raises(ValueError, match="no momentum to cycle"):
        lrs.CyclicLR(optim.Adagrad([Tensor(np.zeros(1), requires_grad=True)]), 0.1, 1.0)


def test_plateau_state_travels() -> None:
    optimizer, fresh = sgd(), sgd()
    schedule = lrs.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1)
    losses = [3.0, 2.0, 2.0, 2.0, 2.1, 1.9, 1.9, 1.9, 1.9, math.nan, 1.0]
    for loss in losses[:5]:
        schedule.step(loss)
    resumed = lrs.ReduceLROnPlateau(fresh, factor=0.5, patience=1, cooldown=1)
    resumed.load_state_dict(schedule.state_dict())
    for loss in losses[5:]:
        schedule.step(loss)
        resumed.step(loss)
        assert fresh.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    assert optimizer.param_groups[0]["lr"] == 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: lrs.StepLR(o, 0), "StepLR: expected step_size > 0"),
        (lambda o: lrs.StepLR(o, 3, last_epoch=-2), "last_epoch >= -1"),
        (lambda o: lrs.StepLR(o, 3, last_epoch=4), "needs 'initial_lr'"),
        (lambda o: lrs.ConstantLR(o, 1.5), "ConstantLR: expected factor"),
        (lambda o: lrs.LinearLR(o, 0.0), "LinearLR: expected start_factor"),
        (lambda o: lrs.PolynomialLR(o, 0), "PolynomialLR: expected total_iters"),
        (lambda o: lrs.InverseTimeLR(o, -1.0), "InverseTimeLR: expected decay"),
        (lambda o: lrs.CosineAnnealingLR(o, 0), "CosineAnnealingLR: expected T_max"),
        (lambda o: lrs.CosineAnnealingWarmRestarts(o, 5, 0), "T_mult"),
        (lambda o: lrs.CyclicLR(o, 0.1, 1.0, mode="square"), "CyclicLR: expected mode"),
        (lambda o: lrs.CyclicLR(o, 0.1, [1.0, 2.0]), "2 values|1 values"),
        (lambda o: lrs.OneCycleLR(o, 1.0), "OneCycleLR: expected total_steps"),
        (lambda o: lrs.OneCycleLR(o, 1.0, 10, pct_start=2.0), "pct_start"),
        (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), "factor < 1"),
        (lambda o: lrs.SWALR(o, 0.1, -1), "SWALR: expected anneal_epochs"),
        (lambda o: lrs.SWALR(o, 0.1, anneal_strategy="step"), "SWALR: expected anneal_strategy"),
        (lambda o: lrs.SequentialLR(o, [lrs.ExponentialLR(o, 0.9)], [3]), "rising milestones"),
        (lambda o: lrs.ChainedScheduler([]), "at least one"),
    ],
)
def test_impossible_arguments_are_named(make: Make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(sgd())


def test_a_cycle_ends() -> None:
    schedule = lrs.OneCycleLR(sgd(), 1.0, 3)
    for _ in range(3):
        schedule.step()
    with pytest.raises(ValueError, match="beyond total_steps=3"):
        schedule.step()
