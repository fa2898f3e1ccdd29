"""Rows of `unfold` and `fold`."""

from __future__ import annotations

from typing import Any

from fastnn.reference import conv as reference
from tests.cases import Array, OpCase, normal


def _im2col(x: Array, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Array:
    return reference.im2col(x, kernel_size, stride, padding, dilation)


def _col2im(
    x: Array, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Array:
    taps = kernel_size[0] * kernel_size[1] if isinstance(kernel_size, tuple) else kernel_size**2
    size = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    return reference.col2im(x, (len(x), x.shape[1] // taps, *size), kernel_size, stride, padding, dilation)


def _case(op: str, name: str, *shape: int, **options: Any) -> OpCase:
    return OpCase(
        f"{op}-{name}",
        op,
        lambda rng, dtype: ((normal(rng, *shape, dtype=dtype),), options),
        _im2col if op == "unfold" else _col2im,
        linear=(0,),
        batch=(0,),
        kernel=False,
    )


CASES = [
    _case("unfold", "plain", 2, 3, 6, 7, kernel_size=3),
    _case("unfold", "padding", 2, 3, 6, 7, kernel_size=(3, 2), padding=(1, 2)),
    _case("unfold", "all", 2, 3, 9, 8, kernel_size=(3, 2), padding=(2, 0), stride=(1, 3), dilation=(2, 1)),
    _case("unfold", "gaps", 2, 3, 9, 8, kernel_size=1, stride=4),
    _case("fold", "plain", 2, 12, 30, output_size=(6, 7), kernel_size=2),
    _case("fold", "padding", 2, 18, 12, output_size=(4, 3), kernel_size=3, padding=1),
    _case("fold", "all", 2, 18, 18, output_size=(9, 8), kernel_size=(3, 2), padding=(2, 0), stride=(1, 3),
          dilation=(2, 4)),
]  # fmt: skip
