"""Sums, means and variances over all, over rows, over the batch and over pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ...reference import reduce as reference
from ..case import Case, Contenders, forward, noise_images, reference_layout, torch_forms

__all__ = ["SHAPES", "cases"]

Shape: TypeAlias = tuple[int, ...]
Dim: TypeAlias = int | tuple[int, ...] | None

SHAPES: tuple[Shape, ...] = ((128, 16, 32, 32), (128, 256), (8192, 1000))


@dataclass(frozen=True)
class _Kind:
    """A reduction, its dimensions, and its definition in NumPy."""

    name: str
    dim: Dim
    define: Callable[..., Any]


def _kinds(shape: Shape) -> Iterator[_Kind]:
    """What is reduced in practice: everything, and what leaves channels, or columns, or rows."""
    yield _Kind("sum", None, np.sum)
    if len(shape) > 2:
        yield _Kind("sum", (0, 2, 3), np.sum)
        yield _Kind("mean", (2, 3), np.mean)
        yield _Kind("var", (0, 2, 3), reference.var_fwd)
    else:
        yield _Kind("sum", 0, np.sum)
        yield _Kind("sum", 1, np.sum)
        yield _Kind("amax", 1, np.max)
        yield _Kind("logsumexp", 1, reference.logsumexp_fwd)


def cases(shapes: Sequence[Shape] = SHAPES) -> Iterator[Case]:
    """Every reduction of every shape."""
    for shape in shapes:
        for kind in _kinds(shape):
            yield _case(kind, shape)


def _case(kind: _Kind, shape: Shape) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        x = noise_images(shape[0], shape[1], *shape[2:])
        given = () if kind.dim is None else (kind.dim,)
        works: Contenders = {"fastnn": forward(kind.name, x, *given)}
        if "numpy" in against:
            (plain,) = reference_layout(x)
            works["numpy"] = lambda: kind.define(plain, axis=kind.dim)
        if "torch" in against:
            run = getattr(against["torch"], kind.name)
            forms = torch_forms(against["torch"], x)
            for form, (tx,) in forms.items() if len(shape) > 2 else [("torch", forms["torch NCHW"])]:
                works[form] = partial(run, tx, *given)
        return works

    sizes, over = "x".join(map(str, shape)), "" if kind.dim is None else f" over {kind.dim}"
    return Case("reduce", f"{kind.name} {sizes}{over}".replace(", ", ","), 4.0 * prod(shape), "GB/s", build)
