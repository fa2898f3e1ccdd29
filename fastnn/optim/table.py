"""The table of pointers through which a step reaches the arrays of one parameter group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _C
from ..autograd import Tensor
from ..autograd.dtype import Array, DType

__all__ = ["StateTable", "array_in_layout_of", "mix"]


def array_in_layout_of(weight: Array, value: float) -> Array:
    """An array of the shape, dtype and memory order of `weight`, filled with `value`.

    It comes from the caching allocator, aligned for the kernels' vectors.
    """
    order = sorted(range(weight.ndim), key=lambda dim: -weight.strides[dim])
    flat: Array = _C.empty(tuple(weight.shape[dim] for dim in order), weight.dtype)
    flat.fill(value)
    return flat.transpose(np.argsort(order)) if weight.ndim > 1 else flat


def mix(targets: Sequence[Array], keep: float, sources: Sequence[Array], add: float) -> None:
    """`a ← keep · a + add · b` in place for every target a and its source b: one pass over those of each dtype.

    Raises:
        TypeError, ValueError: if a pair differs in dtype or shape, or a target has gaps; nothing has changed then.
    """
    by_dtype: dict[DType, list[int]] = {}
    for i, array in enumerate(targets):
        by_dtype.setdefault(array.dtype, []).append(i)
    tables = []
    for members in by_dtype.values():
        spans = _C.Spans([targets[i] for i in members], [[]] * len(members), [None] * len(members))
        spans.aim([sources[i] for i in members])
        tables.append(spans)
    for spans in tables:
        _C.optim_mix(spans, keep, add)


class StateTable:
    """Spans over the parameters of one group that have a gradient, one set for each dtype among them.

    Args:
        live: the parameters.
        states: the state of each, `{"step": Tensor, slot: Tensor, ...}`, empty if the method keeps none.
        slots: the slots that the group's options use, in the kernel's order, None for those they do not.
    """

    def __init__(
        self, live: Sequence[Tensor], states: Sequence[dict[str, Tensor]], slots: tuple[str | None, ...]
    ) -> None:
        self.slots = slots
        by_dtype: dict[DType, list[int]] = {}
        for i, parameter in enumerate(live):
            by_dtype.setdefault(parameter.data.dtype, []).append(i)
        self.members = list(by_dtype.values())
        self.spans = [self._spans(members, live, states) for members in self.members]

    def _spans(self, members: list[int], live: Sequence[Tensor], states: Sequence[dict[str, Tensor]]) -> Any:
        rows = [[None if s is None else states[i][s].data for s in self.slots] for i in members]
        steps = [states[i]["step"].data if "step" in states[i] else None for i in members]
        return _C.Spans([live[i].data for i in members], rows, steps)

    def matches(self, weights: list[Array], slots: tuple[str | None, ...]) -> bool:
        """Whether the table is of these very arrays, in this order, and of these slots."""
        if slots != self.slots or len(weights) != sum(map(len, self.members)):
            return False
        if len(self.spans) == 1:
            return bool(self.spans[0].matches(weights))
        return all(s.matches([weights[i] for i in m]) for s, m in zip(self.spans, self.members))

    def aim(self, gradients: list[Array]) -> None:
        """Take the gradients of the next step, checking dtype and shape of each."""
        if len(self.spans) == 1:
            self.spans[0].aim(gradients)
            return
        for spans, members in zip(self.spans, self.members):
            spans.aim([gradients[i] for i in members])
