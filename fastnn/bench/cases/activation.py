"""Pointwise activations and softmax, both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from ...reference import activation as reference
from ..case import Array, Case, Contenders, backward, forward, noise

__all__ = ["SHAPES", "SOFTMAX_SHAPES", "cases"]

Torch: TypeAlias = Callable[..., Any]

SHAPES = ((128, 64, 32, 32), (128, 16, 32, 32), (128, 256))
"""33.6 MB, 8.4 MB, and a hidden layer of a small network."""

SOFTMAX_SHAPES = ((128, 10), (8192, 1000))


@dataclass(frozen=True)
class _Kind:
    """An activation: its name in the reference, if another one, its options, and PyTorch's two functions.

    `torch_bwd` gets (aten, dy, x, y).
    """

    name: str
    torch_bwd: Torch
    options: Mapping[str, Any]


_KINDS = (
    _Kind("relu", lambda aten, dy, x, y: aten.threshold_backward(dy, y, 0), {}),
    _Kind("gelu", lambda aten, dy, x, y: aten.gelu_backward(dy, x), {}),
    _Kind(
        "gelu",
        lambda aten, dy, x, y: aten.gelu_backward(dy, x, approximate="tanh"),
        {"approximate": "tanh"},
    ),
    _Kind("silu", lambda aten, dy, x, y: aten.silu_backward(dy, x), {}),
    _Kind("sigmoid", lambda aten, dy, x, y: aten.sigmoid_backward(dy, y), {}),
    _Kind("tanh", lambda aten, dy, x, y: aten.tanh_backward(dy, y), {}),
    _Kind("leaky_relu", lambda aten, dy, x, y: aten.leaky_relu_backward(dy, x, 0.01, False), {}),
    _Kind("elu", lambda aten, dy, x, y: aten.elu_backward(dy, 1.0, 1.0, 1.0, False, x), {}),
    _Kind("hardswish", lambda aten, dy, x, y: aten.hardswish_backward(dy, x), {}),
    _Kind("softplus", lambda aten, dy, x, y: aten.softplus_backward(dy, x, 1.0, 20.0), {}),
    _Kind("mish", lambda aten, dy, x, y: aten.mish_backward(dy, x), {}),
)


def cases(
    shapes: Sequence[tuple[int, ...]] = SHAPES, softmax_shapes: Sequence[tuple[int, int]] = SOFTMAX_SHAPES
) -> Iterator[Case]:
    """Every activation on the second shape; ReLU and GELU on all."""
    for place, shape in enumerate(shapes):
        for kind in _KINDS:
            if place == min(1, len(shapes) - 1) or (kind.name in ("relu", "gelu") and not kind.options):
                for direction in ("fwd", "bwd"):
                    yield _pointwise(kind, shape, direction)
    for lines in softmax_shapes:
        for name in ("softmax", "log_softmax"):
            for direction in ("fwd", "bwd"):
                yield _softmax(name, lines, direction)


def _pointwise(kind: _Kind, shape: tuple[int, ...], direction: str) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise(*shape), noise(*shape, seed=1)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward(kind.name, x, **kind.options)}
        else:
            works = {"fastnn": backward(kind.name, dy, (True,), x, **kind.options)}
        if "numpy" in against:
            ahead, back = (getattr(reference, f"{kind.name}_{pass_}") for pass_ in ("fwd", "bwd"))
            works["numpy"] = {
                "fwd": lambda: ahead(x, **kind.options),
                "bwd": lambda: back(dy, x, **kind.options),
            }[direction]
        if "torch" in against:
            works["torch"] = _torch_pointwise(against["torch"], kind, direction, x, dy)
        return works

    sizes = "x".join(map(str, shape))
    variant = "".join(f" {value}" for value in kind.options.values())
    moved = 4.0 * prod(shape) * (2 if direction == "fwd" else 3)
    return Case("activation", f"{kind.name}{variant} {sizes} {direction}", moved, "GB/s", build)


def _torch_pointwise(torch: Any, kind: _Kind, direction: str, x: Array, dy: Array) -> Callable[[], Any]:
    run = getattr(torch, kind.name, None) or getattr(torch.nn.functional, kind.name)
    tx, tdy = torch.from_numpy(x), torch.from_numpy(dy)
    if direction == "fwd":
        return lambda: run(tx, **kind.options)
    y, aten = run(tx, **kind.options), torch.ops.aten
    return lambda: kind.torch_bwd(aten, tdy, tx, y)


def _softmax(name: str, shape: tuple[int, int], direction: str) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise(*shape), noise(*shape, seed=1)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward(name, x, 1)}
        else:
            works = {"fastnn": backward(name, dy, (True,), x, 1)}
        if "numpy" in against:
            ahead, back = (getattr(reference, f"{name}_{pass_}") for pass_ in ("fwd", "bwd"))
            y = ahead(x)
            works["numpy"] = {"fwd": lambda: ahead(x), "bwd": lambda: back(dy, y)}[direction]
        if "torch" in against:
            torch = against["torch"]
            tx, tdy = torch.from_numpy(x), torch.from_numpy(dy)
            ty = getattr(torch, name)(tx, 1)
            gradient = getattr(torch.ops.aten, f"_{name}_backward_data")
            works["torch"] = {
                "fwd": lambda: getattr(torch, name)(tx, 1),
                "bwd": lambda: gradient(tdy, ty, 1, tx.dtype),
            }[direction]
        return works

    moved = 4.0 * prod(shape) * (2 if direction == "fwd" else 3)
    return Case("activation", f"{name} {shape[0]}x{shape[1]} {direction}", moved, "GB/s", build)
