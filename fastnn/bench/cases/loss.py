"""Cross-entropy with and without label smoothing, and the squared error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from ...autograd import OPS, Tensor
from ...reference import loss as reference
from ..case import Array, Case, Contenders, backward, forward, noise

__all__ = ["SHAPES", "cases"]

SHAPES = ((128, 10), (1024, 100), (8192, 1000))
"""Rows and classes."""


def cases(shapes: Sequence[tuple[int, int]] = SHAPES) -> Iterator[Case]:
    """Cross-entropy forward, backward, and both through the tape with label smoothing; the squared error."""
    for shape in shapes:
        yield _cross_entropy(shape, "fwd")
        yield _cross_entropy(shape, "bwd")
        yield _smoothed_step(shape)
    for direction in ("fwd", "bwd"):
        yield _squared_error(shapes[-1], direction)


def _scores(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Logits and the classes they are to have."""
    return noise(*shape), np.random.default_rng(1).integers(0, shape[1], shape[0])


def _cross_entropy(shape: tuple[int, int], direction: str) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        x, target = _scores(shape)
        one = np.ones((), np.float32)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("cross_entropy", x, target)}
        else:
            works = {"fastnn": backward("cross_entropy", one, (True, False, False), x, target)}
        if "numpy" in against:
            works["numpy"] = {
                "fwd": lambda: reference.cross_entropy_fwd(x, target),
                "bwd": lambda: reference.cross_entropy_bwd(one, x, target),
            }[direction]
        if "torch" in against:
            works["torch"] = _torch_cross_entropy(against["torch"], direction, x, target)
        return works

    moved = 4.0 * prod(shape) * (1 if direction == "fwd" else 2)
    return Case("loss", f"cross-entropy {shape[0]}x{shape[1]} {direction}", moved, "GB/s", build)


def _torch_cross_entropy(torch: Any, direction: str, x: Array, target: Array) -> Any:
    tx, labels = torch.from_numpy(x), torch.from_numpy(target)
    if direction == "fwd":
        return lambda: torch.nn.functional.cross_entropy(tx, labels)
    aten = torch.ops.aten
    logp = torch.log_softmax(tx, 1)
    _, total = aten.nll_loss_forward(logp, labels, None, 1, -100)
    one = torch.ones(())

    def gradient() -> Any:
        spread = aten.nll_loss_backward(one, logp, labels, None, 1, -100, total)
        return aten._log_softmax_backward_data(spread, logp, 1, tx.dtype)

    return gradient


def _smoothed_step(shape: tuple[int, int], smoothing: float = 0.1) -> Case:
    """Forward and backward together, as a training step has them, tape included."""

    def build(against: Mapping[str, Any]) -> Contenders:
        x, target = _scores(shape)
        logits, labels = Tensor(x, requires_grad=True), Tensor(target)
        loss_of = OPS["cross_entropy"]

        def step() -> Array:
            logits.grad = None
            loss_of(logits, labels, label_smoothing=smoothing).backward()
            gradient: Any = logits.grad
            return np.asarray(gradient.data)

        works: Contenders = {"fastnn": step}
        if "numpy" in against:
            one = np.ones((), np.float32)

            def definition() -> Array:
                reference.cross_entropy_fwd(x, target, label_smoothing=smoothing)
                return reference.cross_entropy_bwd(one, x, target, label_smoothing=smoothing)

            works["numpy"] = definition
        if "torch" in against:
            works["torch"] = _torch_step(against["torch"], x, target, smoothing)
        return works

    moved = 4.0 * prod(shape) * 3
    return Case("loss", f"cross-entropy smoothed {shape[0]}x{shape[1]} fwd+bwd", moved, "GB/s", build)


def _torch_step(torch: Any, x: Array, target: Array, smoothing: float) -> Any:
    logits, labels = torch.from_numpy(x).clone().requires_grad_(), torch.from_numpy(target)

    def step() -> Any:
        logits.grad = None
        with torch.enable_grad():
            torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing).backward()
        return logits.grad

    return step


def _squared_error(shape: tuple[int, int], direction: str) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        x, target = noise(*shape), noise(*shape, seed=1)
        one = np.ones((), np.float32)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("mse_loss", x, target)}
        else:
            works = {"fastnn": backward("mse_loss", one, (True, False), x, target)}
        if "numpy" in against:
            works["numpy"] = {
                "fwd": lambda: reference.mse_fwd(x, target),
                "bwd": lambda: reference.mse_bwd(one, x, target),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            tx, goal, dy = torch.from_numpy(x), torch.from_numpy(target), torch.ones(())
            works["torch"] = {
                "fwd": lambda: torch.nn.functional.mse_loss(tx, goal),
                "bwd": lambda: torch.ops.aten.mse_loss_backward(dy, tx, goal, 1),
            }[direction]
        return works

    moved = 4.0 * prod(shape) * (2 if direction == "fwd" else 3)
    return Case("loss", f"squared error {shape[0]}x{shape[1]} {direction}", moved, "GB/s", build)
