"""Optimisers against PyTorch's: twenty steps with random options, state dicts, clipping and loss scaling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastnn import Tensor, optim  # noqa: E402 - after the check for torch

pytestmark = pytest.mark.torch

SHAPES = ((7,), (4, 5), (6, 3, 3, 3), (1, 1))
STEPS = 20
DECAY = {"weight_decay": 0.05}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, **DECAY}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True, **DECAY}),
    ("SGD", {"lr": 0.1, "momentum": 0.6, "dampening": 0.2}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-3, **DECAY}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-4, "maximize": True, **DECAY}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "alpha": 0.9, **DECAY}),
    ("RMSprop", {"centered": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.9), "amsgrad": True, "maximize": True, **DECAY}),
    ("Adam", {"lr": 0.1, "decoupled_weight_decay": True, **DECAY}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "amsgrad": True, "eps": 1e-4, "weight_decay": 0.3}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "momentum_decay": 0.5, "betas": (0.8, 0.9), "maximize": True, **DECAY}),
    ("NAdam", {"lr": 0.1, "decoupled_weight_decay": True, **DECAY}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.1, "betas": (0.8, 0.7), **DECAY}),
    ("RAdam", {"lr": 0.1, "decoupled_weight_decay": True, "maximize": True, **DECAY}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.5), "eps": 1e-3, "maximize": True, **DECAY}),
    ("Muon", {"lr": 0.1}),
    ("Muon", {"lr": 0.1, "nesterov": False, "momentum": 0.5, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}),
]
IDS = [f"{kind} {' '.join(map(str, options))}" for kind, options in OPTIONS]
MATRICES = ((4, 5), (9, 3), (1, 4), (8, 8))


@pytest.fixture
def _whole_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch's Muon iterates in bfloat16 and its NAdam keeps a product in the default dtype: here in float64."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pairs(kind: str, dtype: str) -> tuple[list[Tensor], list[Any]]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(dtype) for s in (MATRICES if kind == "Muon" else SHAPES)]
    ours = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    return ours, [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]


def step_both(ours: list[Tensor], theirs: list[Any], one: Any, other: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for mine, its in zip(ours, theirs):
        gradient = rng.standard_normal(mine.shape).astype(mine.dtype)
        mine.grad, its.grad = Tensor(gradient.copy()), torch.from_numpy(gradient.copy())
    one.step()
    other.step()


def compare(ours: list[Tensor], theirs: list[Any], factor: float = 1.0) -> None:
    for mine, its in zip(ours, theirs):
        tolerance = (1e-10 if mine.dtype == np.float64 else 1e-5) * factor
        np.testing.assert_allclose(mine.data, its.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=IDS)
@pytest.mark.usefixtures("_whole_precision")
def test_twenty_steps(kind: str, options: dict[str, Any], dtype: str) -> None:
    ours, theirs = pairs(kind, dtype)
    one, other = getattr(optim, kind)(ours, **options), getattr(torch.optim, kind)(theirs, **options)
    for step in range(STEPS):
        step_both(ours, theirs, one, other, step)
        compare(ours, theirs, 10.0 if kind == "Muon" else 1.0)


@pytest.mark.parametrize("bfloat16", [None, True])
def test_muon_stays_near_pytorchs_in_bfloat16(bfloat16: bool | None) -> None:
    """A step of rate 1 moves singular values by 1; bfloat16 has eight bits, five iterations amplify their error."""
    ours, theirs = pairs("Muon", "float32")
    one = optim.Muon(ours, lr=1.0, ns_bfloat16=bfloat16)
    step_both(ours, theirs, one, torch.optim.Muon(theirs, lr=1.0), 0)
    for mine, its in zip(ours, theirs):
        assert np.abs(mine.data - its.detach().numpy()).max() < 0.05


@pytest.mark.parametrize("shape", [(64, 96), (200, 72)])
def test_muon_in_bfloat16_is_no_further_from_float64_than_pytorchs(shape: tuple[int, int]) -> None:
    """PyTorch rounds what it keeps between products as well."""
    gradient = np.random.default_rng(0).standard_normal(shape)
    moved = {}
    for dtype in (np.float32, np.float64):
        w = Tensor(np.zeros(shape, dtype), requires_grad=True)
        w.grad = Tensor(gradient.astype(dtype))
        optim.Muon([w], lr=1.0, ns_bfloat16=True).step()
        moved[dtype] = w.data
    its = torch.zeros(shape, requires_grad=True)
    its.grad = torch.from_numpy(gradient.astype(np.float32))
    torch.optim.Muon([its], lr=1.0).step()
    error = np.linalg.norm(moved[np.float32] - moved[np.float64])
    assert 0 < error <= np.linalg.norm(its.detach().numpy() - moved[np.float64])


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=IDS)
@pytest.mark.usefixtures("_whole_precision")
def test_defaults_and_a_loaded_state_are_pytorchs(kind: str, options: dict[str, Any]) -> None:
    ours, theirs = pairs(kind, "float64")
    other = getattr(torch.optim, kind)(theirs, **options)
    for step in range(5):
        for its in theirs:
            its.grad = torch.from_numpy(np.random.default_rng([step, its.numel()]).standard_normal(its.shape))
        other.step()
    for mine, its in zip(ours, theirs):
        mine.data[...] = its.detach().numpy()
    one = getattr(optim, kind)(ours)
    for key, value in getattr(torch.optim, kind)(theirs).param_groups[0].items():
        if key in one.param_groups[0] and key != "params":
            assert one.param_groups[0][key] == value, key
    one.load_state_dict(other.state_dict())
    for step in range(5):
        step_both(ours, theirs, one, other, 100 + step)
        compare(ours, theirs, 10.0)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping(norm_type: float, max_norm: float) -> None:
    ours, theirs = pairs("SGD", "float64")
    rng = np.random.default_rng(0)
    for mine, its in zip(ours, theirs):
        gradient = rng.standard_normal(mine.shape)
        mine.grad, its.grad = Tensor(gradient.copy()), torch.from_numpy(gradient.copy())
    norm = optim.clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(norm.item(), expected.item(), rtol=1e-12)
    for mine, its in zip(ours, theirs):
        np.testing.assert_allclose(mine.grad.data, its.grad.numpy(), rtol=1e-12)
    optim.clip_grad_value_(ours, 0.01)
    torch.nn.utils.clip_grad_value_(theirs, 0.01)
    for mine, its in zip(ours, theirs):
        np.testing.assert_allclose(mine.grad.data, its.grad.numpy(), rtol=1e-12)


def test_grad_scaler_goes_the_way_of_pytorchs() -> None:
    """Overflows at some steps: the scale, the tracker and the weights after each."""
    ours, theirs = pairs("SGD", "float64")
    one, other = optim.SGD(ours, lr=0.1), torch.optim.SGD(theirs, lr=0.1)
    options = {"init_scale": 64.0, "growth_interval": 3, "growth_factor": 4.0, "backoff_factor": 0.25}
    mine, its = optim.GradScaler(**options), torch.amp.GradScaler("cpu", **options)
    its.scale(torch.zeros(()))
    rng = np.random.default_rng(0)
    for step in range(30):
        for a, b in zip(ours, theirs):
            gradient = rng.standard_normal(a.shape) * mine.get_scale()
            if step in (4, 5, 17) and a.ndim == 2:
                gradient[0, 0] = [np.inf, np.nan, -np.inf][step % 3]
            a.grad, b.grad = Tensor(gradient.copy()), torch.from_numpy(gradient.copy())
        if step % 2:
            mine.unscale_(one)
            its.unscale_(other)
        mine.step(one)
        its.step(other)
        mine.update()
        its.update()
        assert mine.get_scale() == its.get_scale()
        assert mine.state_dict() == its.state_dict()
        compare(ours, theirs)


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 7},
        {"line_search_fn": "strong_wolfe", "lr": 0.3, "max_eval": 6},
        {"lr": 0.1},
        {"lr": 0.2, "max_iter": 3, "history_size": 5},
    ],
    ids=lambda options: " ".join(f"{key}={value}" for key, value in options.items()),
)
def test_lbfgs_goes_the_way_of_pytorchs(options: dict[str, Any]) -> None:
    """Weights and evaluations after each of 20 steps, on a function with curved valleys."""
    start = np.array([-0.5, 0.8, 0.3, -0.2])
    mine, its = Tensor(start.copy(), requires_grad=True), torch.from_numpy(start.copy()).requires_grad_()
    one, other = optim.LBFGS([mine], **options), torch.optim.LBFGS([its], **options)

    def value(w: Any) -> Any:
        return (10.0 * (w[1:] - w[:-1] ** 2) ** 2 + (1.0 - w[:-1]) ** 2).sum()

    def closure_of(optimizer: Any, w: Any) -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = value(w)
            loss.backward()
            return loss

        return closure

    for _ in range(20):
        first, second = one.step(closure_of(one, mine)), other.step(closure_of(other, its))
        assert first.item() == pytest.approx(second.item(), rel=1e-7, abs=1e-12)
        np.testing.assert_allclose(mine.data, its.detach().numpy(), rtol=1e-6, atol=1e-8)
        state = other.state[its]
        assert (one.memory["n_iter"], one.memory["func_evals"]) == (state["n_iter"], state["func_evals"])
