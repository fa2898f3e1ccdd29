"""Schedules against PyTorch's: 200 steps each, alone and composed, with momentum where it moves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastnn import Tensor, optim  # noqa: E402 - after the check for torch
from fastnn.optim import lr_scheduler as ours  # noqa: E402

pytestmark = pytest.mark.torch

theirs = torch.optim.lr_scheduler
STEPS = 200
SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, [lambda t: 0.95**t, lambda t: 1 / (1 + t)]),
    "MultiplicativeLR": lambda m, o: m.MultiplicativeLR(o, lambda t: 1.0 - 1.0 / (t + 10)),
    "StepLR": lambda m, o: m.StepLR(o, 30, gamma=0.5),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [20, 80, 80, 150], gamma=0.3),
    "ConstantLR": lambda m, o: m.ConstantLR(o, factor=0.4, total_iters=17),
    "LinearLR": lambda m, o: m.LinearLR(o, start_factor=0.1, end_factor=0.9, total_iters=70),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.98),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, total_iters=150, power=2.5),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, T_max=60, eta_min=0.01),
    "WarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=10, T_mult=2, eta_min=0.001),
    "WarmRestarts even": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=25),
    "CyclicLR": lambda m, o: m.CyclicLR(o, 0.01, [0.2, 0.4], step_size_up=13, step_size_down=20),
    "CyclicLR triangular2": lambda m, o: m.CyclicLR(o, 0.01, 0.2, step_size_up=20, mode="triangular2"),
    "CyclicLR exp_range": lambda m, o: m.CyclicLR(o, 0.01, 0.2, step_size_up=20, mode="exp_range", gamma=0.99),
    "CyclicLR scale_fn": lambda m, o: m.CyclicLR(
        o, 0.01, 0.2, step_size_up=20, scale_fn=lambda c: 1 / (5 ** (c * 1e-4)), scale_mode="iterations"
    ),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, [0.5, 1.0], total_steps=STEPS + 1),
    "OneCycleLR linear": lambda m, o: m.OneCycleLR(
        o, 0.5, epochs=21, steps_per_epoch=10, anneal_strategy="linear", pct_start=0.4, div_factor=10
    ),
    "OneCycleLR three phases": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=STEPS + 1, three_phase=True),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o,
        [
            m.LinearLR(o, start_factor=0.1, total_iters=20),
            m.CosineAnnealingLR(o, T_max=100),
            m.ExponentialLR(o, 0.97),
        ],
        milestones=[20, 120],
    ),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler(
        [m.ConstantLR(o, factor=0.1, total_iters=20), m.ExponentialLR(o, 0.99), m.StepLR(o, 50, gamma=0.5)]
    ),
}
EACH = pytest.mark.parametrize("name", SCHEDULES)


def optimizers(kind: str = "SGD", **options: Any) -> tuple[Any, Any]:
    """Two groups with rates of their own."""
    rates = (0.1, 0.03)
    mine = [{"params": [Tensor(np.zeros(1), requires_grad=True)], "lr": lr} for lr in rates]
    its = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in rates]
    return getattr(optim, kind)(mine, **options), getattr(torch.optim, kind)(its, **options)


def present(optimizer: Any) -> list[Any]:
    """Rates and momenta of the groups."""
    keys = [key for key in ("lr", "momentum", "betas") if key in optimizer.param_groups[0]]
    return [float(v) for g in optimizer.param_groups for key in keys for v in np.atleast_1d(g[key])]


def step_theirs(schedule: Any, *arguments: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimiser has made no step
        schedule.step(*arguments)


@EACH
def test_two_hundred_steps(name: str) -> None:
    one, other = optimizers(momentum=0.9)
    mine, its = SCHEDULES[name](ours, one), SCHEDULES[name](theirs, other)
    for _ in range(STEPS):
        np.testing.assert_allclose(present(one), present(other), rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(mine.get_last_lr(), its.get_last_lr(), rtol=1e-10, atol=1e-15)
        mine.step()
        step_theirs(its)


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_betas_take_the_place_of_momentum(name: str) -> None:
    one, other = optimizers("Adam")
    mine, its = SCHEDULES[name](ours, one), SCHEDULES[name](theirs, other)
    for _ in range(STEPS):
        np.testing.assert_allclose(present(one), present(other), rtol=1e-10)
        mine.step()
        step_theirs(its)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"factor": 0.5, "patience": 2, "cooldown": 3},
        {"mode": "max", "threshold_mode": "abs", "threshold": 0.05, "patience": 1, "min_lr": [0.01, 0.001]},
    ],
    ids=str,
)
def test_plateaus(options: dict[str, Any]) -> None:
    one, other = optimizers()
    mine, its = ours.ReduceLROnPlateau(one, **options), theirs.ReduceLROnPlateau(other, **options)
    rng = np.random.default_rng(0)
    level = 1.0
    for step in range(STEPS):
        level *= 0.97 if step % 40 < 15 else 1.0
        metric = level + 0.02 * rng.standard_normal()
        mine.step(metric)
        step_theirs(its, metric)
        np.testing.assert_allclose(present(one), present(other), rtol=1e-10)
        assert mine.num_bad_epochs == its.num_bad_epochs


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 10])
def test_the_rate_of_weight_averaging(strategy: str, epochs: int) -> None:
    one, other = optimizers()
    mine = ours.SWALR(one, [0.05, 0.3], epochs, strategy)
    its = torch.optim.swa_utils.SWALR(other, [0.05, 0.3], epochs, strategy)
    for _ in range(STEPS):
        np.testing.assert_allclose(present(one), present(other), rtol=1e-10)
        mine.step()
        step_theirs(its)


@EACH
def test_a_state_of_pytorchs_is_gone_on_from(name: str) -> None:
    if name in ("SequentialLR", "ChainedScheduler"):
        pytest.skip("the state of a composed schedule is that of its parts")
    one, other = optimizers(momentum=0.9)
    mine, its = SCHEDULES[name](ours, one), SCHEDULES[name](theirs, other)
    for _ in range(37):
        step_theirs(its)
    mine.load_state_dict({key: value for key, value in its.state_dict().items() if "lambda" not in key})
    np.testing.assert_allclose(present(one), present(other), rtol=1e-10, atol=1e-15)
