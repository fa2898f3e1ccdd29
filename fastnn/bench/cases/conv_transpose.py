"""Transposed convolutions: doubling the size, as decoders do, and keeping it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...ops.conv_transpose import conv_transpose_output_size
from ...reference import conv as reference
from ..case import Case, Contenders, backward, forward, noise, noise_images, reference_layout, torch_forms

__all__ = ["SHAPES", "Shape", "cases"]


@dataclass(frozen=True)
class Shape:
    """Images (n, c, size, size), `k` output channels, and the filter."""

    n: int
    c: int
    size: int
    k: int
    kernel: int = 4
    stride: int = 2
    padding: int = 1

    @property
    def out(self) -> int:
        """Height and width of the output."""
        return conv_transpose_output_size(self.size, self.kernel, self.stride, self.padding)

    @property
    def flops(self) -> float:
        """Operations of one pass: every input point meets every filter."""
        return 2.0 * self.n * self.size**2 * self.c * self.k * self.kernel**2

    def __str__(self) -> str:
        return f"{self.n}x{self.c}x{self.size}x{self.size} K{self.k} k{self.kernel} s{self.stride}"


SHAPES = (Shape(128, 64, 8, 32), Shape(128, 32, 16, 16), Shape(128, 64, 16, 64, kernel=3, stride=1))


def cases(shapes: Sequence[Shape] = SHAPES) -> Iterator[Case]:
    """Every shape forward, and backward to the input and to the weight."""
    for shape in shapes:
        for direction in ("fwd", "bwd_x", "bwd_w"):
            yield Case("conv_transpose", f"{shape} {direction}", shape.flops, "GFLOP/s", _builder(shape, direction))


def _builder(s: Shape, direction: str) -> Callable[[Mapping[str, Any]], Contenders]:
    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(s.n, s.c, s.size, s.size), noise_images(s.n, s.k, s.out, s.out, seed=1)
        w = noise(s.c, s.k, s.kernel, s.kernel, seed=2) / (s.c * s.kernel**2) ** 0.5
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("conv_transpose2d", x, w, None, s.stride, s.padding)}
        else:
            needs = (direction == "bwd_x", direction == "bwd_w", False)
            works = {"fastnn": backward("conv_transpose2d", dy, needs, x, w, None, s.stride, s.padding)}
        if "numpy" in against:
            nx, nw, ndy = reference_layout(x, w, dy)
            works["numpy"] = {
                "fwd": lambda: reference.conv_transpose_fwd(nx, nw, None, s.stride, s.padding),
                "bwd_x": lambda: reference.conv_fwd(ndy, nw, None, s.stride, s.padding),
                "bwd_w": lambda: reference.conv_bwd_w(nx, ndy, nw.shape, s.stride, s.padding),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            for form, (tx, tw, tdy) in torch_forms(torch, x, w, dy).items():
                works[form] = _torch(torch, s, direction, tx, tw, tdy)
        return works

    return build


def _torch(torch: Any, s: Shape, direction: str, x: Any, w: Any, dy: Any) -> Callable[[], Any]:
    stride, padding = [s.stride] * 2, [s.padding] * 2
    if direction == "fwd":
        return lambda: torch.nn.functional.conv_transpose2d(x, w, None, stride, padding)
    mask = [direction == "bwd_x", direction == "bwd_w", False]
    gradients = torch.ops.aten.convolution_backward
    which = 0 if direction == "bwd_x" else 1
    return lambda: gradients(dy, x, w, None, stride, padding, [1, 1], True, [0, 0], 1, mask)[which]
