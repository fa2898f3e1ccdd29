"""Convolutions: the shapes of the study in KERNELS, those of its networks, depthwise and grouped ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...autograd import autocast
from ...reference import conv as reference
from ..case import Array, Case, Contenders, backward, forward, noise, noise_images, reference_layout, torch_forms

__all__ = ["BF16_SHAPES", "SHAPES", "Shape", "cases"]

_PASSES = ("fwd", "bwd_x", "bwd_w", "bwd")
_NEEDS = {"bwd_x": (True, False, False), "bwd_w": (False, True, False), "bwd": (True, True, False)}


@dataclass(frozen=True)
class Shape:
    """Images (n, c, size, size), `k` filters, and how they move."""

    n: int
    c: int
    size: int
    k: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1

    @property
    def out(self) -> int:
        """Height and width of the output."""
        return (self.size + 2 * self.padding - self.dilation * (self.kernel - 1) - 1) // self.stride + 1

    @property
    def flops(self) -> float:
        """Operations of any of the passes, computed directly."""
        return 2.0 * self.n * self.out**2 * self.k * (self.c // self.groups) * self.kernel**2

    def __str__(self) -> str:
        extras = {"s": (self.stride, 1), "d": (self.dilation, 1), "g": (self.groups, 1)}
        marks = "".join(f" {mark}{value}" for mark, (value, usual) in extras.items() if value != usual)
        return f"{self.n}x{self.c}x{self.size}x{self.size} K{self.k} k{self.kernel}{marks}"


SHAPES = (
    # The table of the study: a first layer, 3×3 with 16 to 256 channels, LeNet's two, stride 2, 1×1.
    Shape(128, 3, 32, 16),
    Shape(128, 16, 32, 16),
    Shape(128, 32, 16, 32),
    Shape(128, 64, 8, 64),
    Shape(128, 64, 32, 64),
    Shape(128, 128, 16, 128),
    Shape(128, 256, 8, 256),
    Shape(128, 1, 28, 6, kernel=5, padding=2),
    Shape(128, 6, 14, 16, kernel=5, padding=0),
    Shape(128, 32, 32, 64, stride=2),
    Shape(128, 64, 16, 128, kernel=1, padding=0),
    # Small batches and odd sizes.
    Shape(32, 16, 32, 16),
    Shape(32, 64, 8, 64),
    Shape(32, 256, 8, 256),
    Shape(256, 256, 4, 256),
    Shape(128, 16, 8, 16),
    Shape(128, 16, 16, 32),
    Shape(1, 64, 32, 64),
    Shape(256, 3, 32, 24, kernel=2, padding=0),
    Shape(256, 24, 31, 64),
    # ResNet's and MobileNet's.
    Shape(128, 16, 32, 32, stride=2),
    Shape(128, 32, 32, 64, kernel=1, padding=0),
    Shape(128, 256, 8, 256, kernel=1, padding=0),
    Shape(128, 32, 32, 32, groups=32),
    Shape(128, 64, 32, 64, stride=2, groups=64),
    Shape(128, 256, 8, 256, groups=256),
    Shape(128, 128, 16, 128, groups=128),
    Shape(128, 128, 16, 128, stride=2, groups=128),
    Shape(128, 64, 16, 64, kernel=5, padding=2, groups=64),
    # Groups and dilation: groups of 16 channels, ResNeXt's of 4 and 8, groups that fill no vector.
    Shape(128, 64, 16, 64, groups=4),
    Shape(32, 128, 28, 128, groups=32),
    Shape(32, 256, 14, 256, groups=32),
    Shape(32, 128, 28, 128, stride=2, groups=32),
    Shape(32, 96, 28, 96, stride=2, groups=4),
    Shape(128, 60, 16, 60, groups=5),
    Shape(128, 32, 16, 32, padding=2, dilation=2),
    Shape(32, 64, 32, 64, padding=4, dilation=4),
    Shape(128, 16, 32, 16, padding=2, dilation=2),
)


BF16_SHAPES = (
    # 1×1, stride 2, 3×3, 5×5.
    Shape(128, 64, 16, 128, kernel=1, padding=0),
    Shape(128, 32, 32, 64, kernel=1, padding=0),
    Shape(128, 256, 8, 256, kernel=1, padding=0),
    Shape(128, 32, 32, 64, stride=2),
    Shape(128, 16, 32, 32, stride=2),
    Shape(128, 16, 32, 16),
    Shape(128, 32, 16, 32),
    Shape(128, 64, 8, 64),
    Shape(128, 64, 32, 64),
    Shape(128, 32, 16, 32, kernel=5, padding=2),
)
"""Shapes that are measured under `autocast` too; PyTorch's contender then has bfloat16 tensors."""


def cases(shapes: Sequence[Shape] = SHAPES) -> Iterator[Case]:
    """Every shape in every pass: forward, each gradient by itself, and both together, as training wants them."""
    for shape in shapes:
        for direction in _PASSES:
            yield Case("conv", f"{shape} {direction}", _flops(shape, direction), "GFLOP/s", _builder(shape, direction))
    for shape in BF16_SHAPES if shapes is SHAPES else ():
        for direction in _PASSES:
            build, flops = _builder(shape, direction, bf16=True), _flops(shape, direction)
            yield Case("conv bf16", f"{shape} {direction}", flops, "GFLOP/s", build, comparable=False)


def _flops(shape: Shape, direction: str) -> float:
    return 2 * shape.flops if direction == "bwd" else shape.flops


def _builder(s: Shape, direction: str, bf16: bool = False) -> Callable[[Mapping[str, Any]], Contenders]:
    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(s.n, s.c, s.size, s.size), noise_images(s.n, s.k, s.out, s.out, seed=1)
        w = noise(s.k, s.c // s.groups, s.kernel, s.kernel, seed=2)
        w /= (s.c // s.groups * s.kernel**2) ** 0.5
        options = (None, s.stride, s.padding, s.dilation, s.groups)
        if direction == "fwd":
            works: Contenders = {"fastnn": autocast(enabled=bf16)(forward("conv2d", x, w, *options))}
        else:
            with autocast(enabled=bf16):
                works = {"fastnn": backward("conv2d", dy, _NEEDS[direction], x, w, *options)}
        if "numpy" in against:
            works["numpy"] = _numpy(s, direction, *reference_layout(x, w, dy))
        if "torch" in against:
            torch = against["torch"]
            for form, tensors in torch_forms(torch, x, w, dy).items():
                given = [each.bfloat16() if bf16 else each for each in tensors]
                works[form] = _torch(torch, s, direction, *given)
        return works

    return build


def _numpy(s: Shape, direction: str, x: Array, w: Array, dy: Array) -> Callable[[], Any]:
    options = (s.stride, s.padding, s.dilation, s.groups)
    if direction == "fwd":
        return lambda: reference.conv_fwd(x, w, None, *options)
    if direction == "bwd_x":
        return lambda: reference.conv_bwd_x(dy, w, x.shape, *options)
    if direction == "bwd_w":
        return lambda: reference.conv_bwd_w(dy, x, w.shape, *options)
    return lambda: (reference.conv_bwd_x(dy, w, x.shape, *options), reference.conv_bwd_w(dy, x, w.shape, *options))


def _torch(torch: Any, s: Shape, direction: str, x: Any, w: Any, dy: Any) -> Callable[[], Any]:
    stride, padding, dilation = ([value, value] for value in (s.stride, s.padding, s.dilation))
    if direction == "fwd":
        return lambda: torch.nn.functional.conv2d(x, w, None, stride, padding, dilation, s.groups)
    mask = list(_NEEDS[direction])
    gradients = torch.ops.aten.convolution_backward
    which = slice(int(not mask[0]), 1 + int(mask[1]))
    return lambda: gradients(dy, x, w, None, stride, padding, dilation, False, [0, 0], s.groups, mask)[which]
