"""Arithmetic of arrays with arrays, numbers and one number per channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ...reference import elementwise as reference
from ..case import Array, Case, Contenders, backward, forward, noise, noise_images, reference_layout, torch_forms

__all__ = ["SHAPES", "cases"]

Shape: TypeAlias = tuple[int, ...]

SHAPES: tuple[Shape, ...] = ((128, 64, 32, 32), (128, 16, 32, 32), (128, 256))

_BINARY: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (np.add, reference.add_bwd),
    "mul": (np.multiply, reference.mul_bwd),
    "div": (np.divide, reference.div_bwd),
}
_UNARY: dict[str, Callable[..., Any]] = {"exp": np.exp, "sqrt": np.sqrt, "abs": np.abs}


def cases(shapes: Sequence[Shape] = SHAPES) -> Iterator[Case]:
    """Sums and products on all shapes; the rest on images of middling size."""
    for shape in shapes:
        yield _binary("add", shape, "fwd")
        yield _binary("mul", shape, "fwd")
        yield _number(shape)
    middle = shapes[min(1, len(shapes) - 1)]
    yield _binary("div", middle, "fwd")
    yield _binary("mul", middle, "bwd")
    yield _per_channel(middle)
    for name in _UNARY:
        yield _unary(name, middle)


def _label(name: str, shape: Shape, direction: str = "fwd") -> str:
    return f"{name} {'x'.join(map(str, shape))} {direction}"


def _binary(name: str, shape: Shape, direction: str) -> Case:
    ahead, back = _BINARY[name]

    def build(against: Mapping[str, Any]) -> Contenders:
        a, b, dy = noise(*shape), np.abs(noise(*shape, seed=1)) + 1, noise(*shape, seed=2)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward(name, a, b)}
        else:
            works = {"fastnn": backward(name, dy, (True, True), a, b)}
        if "numpy" in against:
            works["numpy"] = {"fwd": lambda: ahead(a, b), "bwd": lambda: back(dy, a, b)}[direction]
        if "torch" in against:
            torch = against["torch"]
            run, ta, tb, tdy = getattr(torch, name), *(torch.from_numpy(each) for each in (a, b, dy))
            works["torch"] = {"fwd": lambda: run(ta, tb), "bwd": lambda: (tdy * tb, tdy * ta)}[direction]
        return works

    moved = 4.0 * prod(shape) * (3 if direction == "fwd" else 5)
    return Case("elementwise", _label(name, shape, direction), moved, "GB/s", build)


def _number(shape: Shape) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        a = noise(*shape)
        works: Contenders = {"fastnn": forward("mul", a, 0.5)}
        if "numpy" in against:
            half = np.float32(0.5)
            works["numpy"] = lambda: a * half
        if "torch" in against:
            ta = against["torch"].from_numpy(a)
            works["torch"] = lambda: ta * 0.5
        return works

    return Case("elementwise", _label("mul by number", shape), 8.0 * prod(shape), "GB/s", build)


def _per_channel(shape: Shape) -> Case:
    """What adds a bias to images."""

    def build(against: Mapping[str, Any]) -> Contenders:
        images, bias = _images(shape), noise(shape[1], *(1 for _ in shape[2:]), seed=1)
        works: Contenders = {"fastnn": forward("add", images, bias)}
        if "numpy" in against:
            plain, plain_bias = reference_layout(images, bias)
            works["numpy"] = lambda: plain + plain_bias
        if "torch" in against:
            torch = against["torch"]
            tbias = torch.from_numpy(bias)
            for form, (timages,) in torch_forms(torch, images).items():
                works[form] = partial(torch.add, timages, tbias)
        return works

    return Case("elementwise", _label("add per channel", shape), 8.0 * prod(shape), "GB/s", build)


def _images(shape: Shape) -> Array:
    return noise_images(shape[0], shape[1], *shape[2:])


def _unary(name: str, shape: Shape) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        a = np.abs(noise(*shape))
        works: Contenders = {"fastnn": forward(name, a)}
        if "numpy" in against:
            works["numpy"] = lambda: _UNARY[name](a)
        if "torch" in against:
            run, ta = getattr(against["torch"], name), against["torch"].from_numpy(a)
            works["torch"] = lambda: run(ta)
        return works

    return Case("elementwise", _label(name, shape), 8.0 * prod(shape), "GB/s", build)
