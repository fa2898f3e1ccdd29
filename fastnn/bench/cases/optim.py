"""Steps of the optimisers on many parameters of different sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import optim
from ...autograd import Tensor
from ...reference import optim as reference
from ..case import Array, Case, Contenders, noise
from ..timer import Work

__all__ = ["MILLION", "SIZES", "cases", "parameter_sizes"]

MILLION = 1_000_000
SIZES = (MILLION, 10 * MILLION)
TENSORS = 60
"""As many as a ResNet-20 has."""

_Definition = Callable[[Array, Array, list[Array], int], tuple[Any, ...]]


@dataclass(frozen=True)
class _Method:
    """An optimiser.

    Attributes:
        name: of the row.
        kind: its class, in `fastnn.optim` and `torch.optim`.
        options: its hyperparameters.
        states: how many arrays it keeps for each parameter.
        define: one step of the definition on (w, g, states, step): (w, *states).
        matrix: whether it is for matrices: 60 of them, as nearly square as their sizes allow.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    states: int
    define: _Definition
    matrix: bool = False


def _sgd(**options: Any) -> _Definition:
    return lambda w, g, s, t: reference.sgd_step(w, g, s[0] if s else None, **options)[: 1 + len(s)]


def _adam(define: Callable[..., tuple[Any, ...]], **options: Any) -> _Definition:
    return lambda w, g, s, t: define(w, g, s[0], s[1], t, *s[2:], **options)[: 1 + len(s)]


_LR = 1e-3
_DECAY = {"lr": _LR, "weight_decay": 5e-4}
_NESTEROV = {**_DECAY, "momentum": 0.9, "nesterov": True}
_CENTERED: dict[str, Any] = {"lr": _LR, "momentum": 0.9, "centered": True}
_METHODS = (
    _Method("SGD", "SGD", _DECAY, 0, _sgd(**_DECAY)),
    _Method("SGD momentum", "SGD", {**_DECAY, "momentum": 0.9}, 1, _sgd(**_DECAY, momentum=0.9)),
    _Method("SGD Nesterov", "SGD", _NESTEROV, 1, _sgd(**_NESTEROV)),
    _Method("Adagrad", "Adagrad", {"lr": _LR}, 1, lambda w, g, s, t: reference.adagrad_step(w, g, s[0], t, lr=_LR)),
    _Method("Adadelta", "Adadelta", {}, 2, lambda w, g, s, t: reference.adadelta_step(w, g, s[0], s[1])),
    _Method("RMSprop", "RMSprop", {"lr": _LR}, 1, lambda w, g, s, t: reference.rmsprop_step(w, g, s[0], lr=_LR)[:2]),
    _Method(
        "RMSprop centred", "RMSprop", _CENTERED, 3, lambda w, g, s, t: reference.rmsprop_step(w, g, *s, **_CENTERED)
    ),
    _Method("Adam", "Adam", {"lr": _LR}, 2, _adam(reference.adam_step, lr=_LR)),
    _Method("Adam AMSGrad", "Adam", {"lr": _LR, "amsgrad": True}, 3, _adam(reference.adam_step, lr=_LR, amsgrad=True)),
    _Method("AdamW", "AdamW", {"lr": _LR}, 2, _adam(reference.adamw_step, lr=_LR)),
    _Method("NAdam", "NAdam", {"lr": _LR}, 2, _adam(reference.nadam_step, lr=_LR)),
    _Method("RAdam", "RAdam", {"lr": _LR}, 2, _adam(reference.radam_step, lr=_LR)),
    _Method("Adamax", "Adamax", {"lr": _LR}, 2, _adam(reference.adamax_step, lr=_LR)),
    _Method("Lion", "Lion", {"lr": _LR}, 1, lambda w, g, s, t: reference.lion_step(w, g, s[0], lr=_LR)),
    _Method("LARS", "LARS", {"lr": _LR}, 1, lambda w, g, s, t: reference.lars_step(w, g, s[0], lr=_LR)),
    _Method("LAMB", "LAMB", {"lr": _LR}, 2, _adam(reference.lamb_step, lr=_LR)),
    _Method("Muon", "Muon", {"lr": _LR}, 1, lambda w, g, s, t: reference.muon_step(w, g, s[0], lr=_LR), matrix=True),
)


def cases(sizes: Sequence[int] = (MILLION,)) -> Iterator[Case]:
    """Every optimiser on so many numbers altogether."""
    for size in sizes:
        for method in _METHODS:
            yield _case(method, size)


def parameter_sizes(total: int, count: int = TENSORS) -> list[int]:
    """Sizes that add up to `total`: a third of them vectors of 64, of the rest each third one four times as large."""
    vectors = [64 if total > 64 * count else 1] * (count // 3)
    shares = [4 if i % 3 == 0 else 1 for i in range(count - len(vectors))]
    unit = (total - sum(vectors)) // sum(shares)
    sizes = vectors + [unit * share for share in shares]
    sizes[-1] += total - sum(sizes)
    return sizes


def _matrix_of(size: int) -> tuple[int, int]:
    """The most nearly square shape of so many numbers."""
    rows = next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)
    return rows, size // rows


def _case(method: _Method, size: int) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        sizes = parameter_sizes(size)
        shapes = [_matrix_of(n) if method.matrix else (n,) for n in sizes]
        weights = [noise(*shape, seed=i) for i, shape in enumerate(shapes)]
        gradients = [noise(*shape, seed=1000 + i) for i, shape in enumerate(shapes)]
        works: Contenders = {"fastnn": _fastnn(method, weights, gradients)}
        if "numpy" in against:
            works["numpy"] = _numpy(method, weights, gradients)
        if "torch" in against:
            works.update(_torch(against["torch"], method, weights, gradients))
        return works

    moved = 4.0 * size * (3 + 2 * method.states)
    name = f"{method.name} {size / MILLION:g} M in {TENSORS}"
    return Case("optim", name, moved, "GB/s", build, comparable=False)


def _fastnn(method: _Method, weights: Sequence[Array], gradients: Sequence[Array]) -> Work:
    parameters = [Tensor(w.copy(), requires_grad=True) for w in weights]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = Tensor(gradient)
    step: Work = getattr(optim, method.kind)(parameters, **method.options).step
    return step


def _numpy(method: _Method, weights: Sequence[Array], gradients: Sequence[Array]) -> Work:
    values: list[tuple[Array, ...]] = [(w, *(np.zeros_like(w) for _ in range(method.states))) for w in weights]
    count = 0

    def step() -> None:
        nonlocal values, count
        count += 1
        values = [method.define(v[0], g, list(v[1:]), count) for v, g in zip(values, gradients)]

    return step


def _torch(torch: Any, method: _Method, weights: Sequence[Array], gradients: Sequence[Array]) -> Contenders:
    """PyTorch's implementations: fused where it has one, for-each, and its loop."""
    works: Contenders = {}
    for form, choice in (("fused", {"fused": True}), ("foreach", {"foreach": True}), ("default", {})):
        parameters = [torch.from_numpy(w).clone().requires_grad_() for w in weights]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = torch.from_numpy(gradient)
        try:
            optimizer = getattr(torch.optim, method.kind)(parameters, **method.options, **choice)
        except (AttributeError, TypeError, RuntimeError):
            continue  # PyTorch has no such optimiser, or no such implementation of it
        works[f"torch {form}"] = optimizer.step
    return works
