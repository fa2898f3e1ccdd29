"""Dropout of elements and of channels, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, TypeAlias

from ...reference import dropout as reference
from ..case import Case, Contenders, backward, forward, noise, noise_images, reference_layout, torch_forms

__all__ = ["SHAPES", "cases"]

Shape: TypeAlias = tuple[int, ...]

SHAPES: tuple[Shape, ...] = ((128, 16, 32, 32), (128, 1024))
_P = 0.5
_SEED = 1


def cases(shapes: Sequence[Shape] = SHAPES) -> Iterator[Case]:
    """Elements of all shapes, then channels of images. Masks differ between libraries."""
    for shape in shapes:
        for direction in ("fwd", "bwd"):
            yield _elements(shape, direction)
    for shape in shapes:
        if len(shape) == 4:
            yield _channels(shape)


def _elements(shape: Shape, direction: str) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise(*shape), noise(*shape, seed=1)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("dropout", x, _P, True)}
        else:
            works = {"fastnn": backward("dropout", dy, (True,), x, _P, True)}
        if "numpy" in against:
            works["numpy"] = {
                "fwd": lambda: reference.dropout_fwd(x, _P, _SEED),
                "bwd": lambda: reference.dropout_bwd(dy, _P, _SEED),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            tx, tdy = torch.from_numpy(x), torch.from_numpy(dy)
            _, mask = torch.native_dropout(tx, _P, True)
            works["torch"] = {
                "fwd": lambda: torch.native_dropout(tx, _P, True),
                "bwd": lambda: torch.ops.aten.native_dropout_backward(tdy, mask, 1 / (1 - _P)),
            }[direction]
        return works

    name = f"elements {'x'.join(map(str, shape))} {direction}"
    return Case("dropout", name, 8.0 * prod(shape), "GB/s", build, comparable=False)


def _channels(shape: Shape) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        n, c, *spatial = shape
        x = noise_images(n, c, *spatial)
        works: Contenders = {"fastnn": forward("dropout2d", x, _P, True)}
        if "numpy" in against:
            (plain,) = reference_layout(x)
            works["numpy"] = lambda: reference.feature_dropout_fwd(plain, _P, _SEED)
        if "torch" in against:
            torch = against["torch"]
            for form, (tx,) in torch_forms(torch, x).items():
                works[form] = partial(torch.nn.functional.dropout2d, tx, _P, True)
        return works

    name = f"channels {'x'.join(map(str, shape))} fwd"
    return Case("dropout", name, 8.0 * prod(shape), "GB/s", build, comparable=False)
