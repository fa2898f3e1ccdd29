"""Max and average pooling, sliding and global."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ...reference import pool as reference
from ..case import Array, Case, Contenders, backward, forward, noise_images, reference_layout, torch_forms

__all__ = ["SHAPES", "cases"]

Shape: TypeAlias = tuple[int, int, int, int]

SHAPES: tuple[Shape, ...] = (
    # n, c, size, window
    (128, 64, 32, 2),
    (128, 16, 32, 2),
    (128, 6, 28, 2),
    (256, 256, 3, 3),
)


def cases(shapes: Sequence[Shape] = SHAPES) -> Iterator[Case]:
    """Windows that do not overlap, overlapping ones, and averages of whole planes."""
    for shape in shapes:
        for direction in ("fwd", "bwd"):
            yield _max(shape, shape[3], 0, direction)
    for shape in shapes[1:3]:
        for direction in ("fwd", "bwd"):
            yield _max(shape, shape[3], 0, direction, rectified=True)
    n, c, size, _ = shapes[0]
    for direction in ("fwd", "bwd"):
        yield _max((n, c, size, 3), 2, 1, direction)
    for shape in shapes[:2]:
        for direction in ("fwd", "bwd"):
            yield _average(shape, direction)
    for direction in ("fwd", "bwd"):
        yield _global((n, c, max(size // 4, 1)), direction)


def _out(size: int, window: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - window) // stride + 1


def _max(shape: Shape, stride: int, padding: int, direction: str, rectified: bool = False) -> Case:
    """Maximum pooling, or `rectified` that of the ReLU in one pass; the others compute both one after the other."""
    n, c, size, window = shape
    out = _out(size, window, stride, padding)

    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(n, c, size, size), noise_images(n, c, out, out, seed=1)
        options, name = (window, stride, padding), "relu_max_pool2d" if rectified else "max_pool2d"
        if direction == "fwd":
            works: Contenders = {"fastnn": forward(name, x, *options)}
        else:
            works = {"fastnn": backward(name, dy, (True,), x, *options)}
        if "numpy" in against:
            works["numpy"] = _numpy_max(direction, rectified, options, *reference_layout(x, dy))
        if "torch" in against:
            torch = against["torch"]
            for form, (tx, tdy) in torch_forms(torch, x, dy).items():
                works[form] = _torch_max(torch, direction, tx, tdy, options, rectified)
        return works

    overlap = "" if stride == window else f" s{stride}"
    moved = _bytes(n, c, size, out, direction)
    kind = "relu+max" if rectified else "max"
    return Case("pool", f"{kind} {n}x{c}x{size}x{size} k{window}{overlap} {direction}", moved, "GB/s", build)


def _bytes(n: int, c: int, size: int, out: int, direction: str) -> float:
    """Input and output, and backward the gradients of both beside the input."""
    return 4.0 * n * c * ((2 if direction == "bwd" else 1) * size**2 + out**2)


def _numpy_max(direction: str, rectified: bool, options: tuple[int, int, int], x: Array, dy: Array) -> Any:
    if direction == "fwd":
        return lambda: (reference.relu_max_pool_fwd if rectified else reference.max_pool_fwd)(x, *options)
    y, argmax = reference.max_pool_fwd(x, *options)
    if rectified:
        positive = np.maximum(y, 0)
        return lambda: reference.relu_max_pool_bwd(dy, positive, argmax, x.shape)
    return lambda: reference.max_pool_bwd(dy, argmax, x.shape)


def _torch_max(torch: Any, direction: str, x: Any, dy: Any, options: tuple[int, int, int], rectified: bool) -> Any:
    window, stride, padding = ([each, each] for each in options)
    pool = torch.ops.aten.max_pool2d_with_indices
    if direction == "fwd":
        return lambda: pool(torch.relu(x) if rectified else x, window, stride, padding, [1, 1], False)
    z = torch.relu(x) if rectified else x
    _, indices = pool(z, window, stride, padding, [1, 1], False)
    gradient, through = torch.ops.aten.max_pool2d_with_indices_backward, torch.ops.aten.threshold_backward

    def run() -> Any:
        dz = gradient(dy, z, window, stride, padding, [1, 1], False, indices)
        return through(dz, z, 0) if rectified else dz

    return run


def _average(shape: Shape, direction: str) -> Case:
    n, c, size, window = shape
    out = _out(size, window, window, 0)

    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(n, c, size, size), noise_images(n, c, out, out, seed=1)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("avg_pool2d", x, window)}
        else:
            works = {"fastnn": backward("avg_pool2d", dy, (True,), x, window)}
        if "numpy" in against:
            px, pdy = reference_layout(x, dy)
            works["numpy"] = {
                "fwd": lambda: reference.avg_pool_fwd(px, window),
                "bwd": lambda: reference.avg_pool_bwd(pdy, px.shape, window),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            for form, (tx, tdy) in torch_forms(torch, x, dy).items():
                works[form] = _torch_average(torch, direction, tx, tdy, [window, window])
        return works

    moved = 4.0 * n * c * (size**2 + out**2)
    return Case("pool", f"avg {n}x{c}x{size}x{size} k{window} {direction}", moved, "GB/s", build)


def _torch_average(torch: Any, direction: str, x: Any, dy: Any, window: list[int]) -> Any:
    if direction == "fwd":
        return lambda: torch.nn.functional.avg_pool2d(x, window)
    gradient = torch.ops.aten.avg_pool2d_backward
    return lambda: gradient(dy, x, window, window, [0, 0], False, True, None)


def _global(shape: tuple[int, int, int], direction: str) -> Case:
    n, c, size = shape

    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(n, c, size, size), noise_images(n, c, 1, 1, seed=1)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("adaptive_avg_pool2d", x, 1)}
        else:
            works = {"fastnn": backward("adaptive_avg_pool2d", dy, (True,), x, 1)}
        if "numpy" in against:
            px, pdy = reference_layout(x, dy)
            works["numpy"] = {
                "fwd": lambda: reference.global_avg_pool_fwd(px),
                "bwd": lambda: reference.global_avg_pool_bwd(pdy, px.shape),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            for form, (tx, tdy) in torch_forms(torch, x, dy).items():
                works[form] = _torch_global(torch, direction, tx, tdy)
        return works

    moved = 4.0 * n * c * (size**2 + 1)
    return Case("pool", f"global avg {n}x{c}x{size}x{size} {direction}", moved, "GB/s", build)


def _torch_global(torch: Any, direction: str, x: Any, dy: Any) -> Any:
    """PyTorch computes a global average as a mean; the second formula is that of the mean's gradient."""
    if direction == "fwd":
        return lambda: torch.nn.functional.adaptive_avg_pool2d(x, 1)
    area = x.shape[2] * x.shape[3]
    return lambda: dy.expand(x.shape) / area
