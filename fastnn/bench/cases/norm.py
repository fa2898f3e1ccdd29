"""Batch norm alone and fused with ReLU and residual, layer norm, group norm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ...reference import norm as reference
from ...reference import pool
from ..case import Array, Case, Contenders, backward, forward, noise, noise_images, reference_layout, torch_forms

__all__ = ["IMAGES", "POOLED", "ROWS", "cases"]

Shape: TypeAlias = tuple[int, int, int]

IMAGES: tuple[Shape, ...] = ((128, 64, 32), (128, 16, 32), (128, 64, 8), (32, 16, 8))
"""n, c, size."""

POOLED: Shape = (128, 32, 32)
"""The first stage of the network `small`."""

ROWS = ((128, 512), (8192, 256))
"""Rows and their length, for layer norm."""

_EPS = 1e-5
_VARIANTS = ("bn", "bn+relu", "bn+add+relu")
_TRAFFIC = {"fwd": 3, "bwd": 5}
"""Passes over a tensor that two sweeps make: x twice and y; dy and x twice and dx."""


def cases(images: Sequence[Shape] = IMAGES, rows: Sequence[tuple[int, int]] = ROWS) -> Iterator[Case]:
    """Every norm in both directions."""
    for shape in images:
        for variant in _VARIANTS:
            for direction in ("fwd", "bwd"):
                yield _batch(shape, variant, direction)
    for direction in ("fwd", "bwd"):
        yield _pooled(POOLED, direction)
    for shape in images[:2]:
        yield _evaluation(shape)
    for lines, length in rows:
        for direction in ("fwd", "bwd"):
            yield _layer(lines, length, direction)
    for shape in images[:2]:
        for direction in ("fwd", "bwd"):
            yield _group(shape, direction)


def _name(kind: str, shape: Shape, direction: str) -> str:
    n, c, size = shape
    return f"{kind} {n}x{c}x{size}x{size} {direction}"


def _batch(shape: Shape, variant: str, direction: str) -> Case:
    n, c, size = shape

    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(n, c, size, size), noise_images(n, c, size, size, seed=1)
        w, b = noise(c, seed=2), noise(c, seed=3)
        residual = noise_images(n, c, size, size, seed=4) if variant == "bn+add+relu" else None
        running = np.zeros(c, np.float32), np.ones(c, np.float32)
        name = "batch_norm" if variant == "bn" else "batch_norm_relu"
        options = {} if residual is None else {"residual": residual}
        arguments = (x, *running, w, b, True)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward(name, *arguments, **options)}
        else:
            needs = (True, False, False, True, True, residual is not None)
            works = {"fastnn": backward(name, dy, needs, *arguments, **options)}
        if "numpy" in against:
            plain = [None if each is None else np.ascontiguousarray(each) for each in (x, dy, residual)]
            works["numpy"] = _numpy_batch(variant, direction, w, b, *plain)
        if "torch" in against:
            torch = against["torch"]
            given = (x, dy) if residual is None else (x, dy, residual)
            for form, (tx, tdy, *rest) in torch_forms(torch, *given).items():
                vectors = [torch.from_numpy(each) for each in (w, b, *(each.copy() for each in running))]
                works[form] = _torch_batch(torch, variant, direction, tx, tdy, rest[0] if rest else None, *vectors)
        return works

    extra = 1 if variant == "bn+add+relu" else 0
    moved = 4.0 * n * c * size**2 * (_TRAFFIC[direction] + extra)
    return Case("norm", _name(variant, shape, direction), moved, "GB/s", build)


def _numpy_batch(variant: str, direction: str, w: Array, b: Array, x: Any, dy: Any, residual: Any) -> Any:
    if variant == "bn":
        if direction == "fwd":
            return lambda: reference.batch_norm_train_fwd(x, w, b)
        _, mean, rstd = reference.batch_norm_train_fwd(x, w, b)
        return lambda: reference.batch_norm_train_bwd(dy, x, mean, rstd, w)
    if direction == "fwd":
        return lambda: reference.batch_norm_relu_train_fwd(x, w, b, residual)
    y, mean, rstd = reference.batch_norm_relu_train_fwd(x, w, b, residual)
    return lambda: reference.batch_norm_relu_train_bwd(dy, y, x, mean, rstd, w)


def _torch_batch(
    torch: Any, variant: str, direction: str, x: Any, dy: Any, residual: Any, w: Any, b: Any, mean: Any, var: Any
) -> Callable[[], Any]:
    """PyTorch's operations one after another, the addition and the ReLU in place, as its networks are written."""

    def run() -> Any:
        y = torch.nn.functional.batch_norm(x, mean, var, w, b, True, 0.1, _EPS)
        if residual is not None:
            y += residual
        return y if variant == "bn" else y.relu_()

    if direction == "fwd":
        return run
    aten, y = torch.ops.aten, run()
    _, saved_mean, saved_rstd = aten.native_batch_norm(x, w, b, mean, var, True, 0.1, _EPS)

    def gradient() -> Any:
        dz = dy if variant == "bn" else aten.threshold_backward(dy, y, 0)
        gradients = aten.native_batch_norm_backward(
            dz, x, w, mean, var, saved_mean, saved_rstd, True, _EPS, [True, True, True]
        )
        return gradients if residual is None else (*gradients, dz)

    return gradient


def _pooled(shape: Shape, direction: str) -> Case:
    """Batch norm, ReLU and maximum of 2 x 2 windows in one pass; the others compute them one after another."""
    n, c, size = shape

    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(n, c, size, size), noise_images(n, c, size // 2, size // 2, seed=1)
        w, b = noise(c, seed=2), noise(c, seed=3)
        running = np.zeros(c, np.float32), np.ones(c, np.float32)
        name, arguments = "batch_norm_relu_max_pool2d", (x, *running, w, b, True)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward(name, *arguments)}
        else:
            works = {"fastnn": backward(name, dy, (True, False, False, True, True), *arguments)}
        if "numpy" in against:
            works["numpy"] = _numpy_pooled(direction, w, b, *reference_layout(x, dy))
        if "torch" in against:
            torch = against["torch"]
            for form, (tx, tdy) in torch_forms(torch, x, dy).items():
                vectors = [torch.from_numpy(each) for each in (w, b, *(each.copy() for each in running))]
                works[form] = _torch_pooled(torch, direction, tx, tdy, *vectors)
        return works

    moved = 4.0 * n * c * size**2 * (2.25 if direction == "fwd" else 3.5)
    return Case("norm", _name("bn+relu+max", shape, direction), moved, "GB/s", build)


def _numpy_pooled(direction: str, w: Array, b: Array, x: Array, dy: Array) -> Any:
    if direction == "fwd":
        return lambda: pool.max_pool_fwd(reference.batch_norm_relu_train_fwd(x, w, b)[0], 2)
    z, mean, rstd = reference.batch_norm_relu_train_fwd(x, w, b)
    _, argmax = pool.max_pool_fwd(z, 2)
    return lambda: reference.batch_norm_relu_train_bwd(pool.max_pool_bwd(dy, argmax, z.shape), z, x, mean, rstd, w)


def _torch_pooled(torch: Any, direction: str, x: Any, dy: Any, w: Any, b: Any, mean: Any, var: Any) -> Any:
    aten, windows = torch.ops.aten, ([2, 2], [2, 2], [0, 0], [1, 1], False)

    def run() -> Any:
        z = torch.nn.functional.batch_norm(x, mean, var, w, b, True, 0.1, _EPS).relu_()
        return z, *aten.max_pool2d_with_indices(z, *windows)

    if direction == "fwd":
        return lambda: run()[1]
    z, _, indices = run()
    _, saved_mean, saved_rstd = aten.native_batch_norm(x, w, b, mean, var, True, 0.1, _EPS)

    def gradient() -> Any:
        dz = aten.threshold_backward(aten.max_pool2d_with_indices_backward(dy, z, *windows, indices), z, 0)
        return aten.native_batch_norm_backward(
            dz, x, w, mean, var, saved_mean, saved_rstd, True, _EPS, [True, True, True]
        )

    return gradient


def _evaluation(shape: Shape) -> Case:
    n, c, size = shape

    def build(against: Mapping[str, Any]) -> Contenders:
        x, w, b = noise_images(n, c, size, size), noise(c, seed=2), noise(c, seed=3)
        mean, var = noise(c, seed=4), np.ones(c, np.float32)
        works: Contenders = {"fastnn": forward("batch_norm", x, mean, var, w, b)}
        if "numpy" in against:
            (plain,) = reference_layout(x)
            works["numpy"] = lambda: reference.batch_norm_eval_fwd(plain, mean, var, w, b)
        if "torch" in against:
            torch = against["torch"]
            for form, tensors in torch_forms(torch, x, mean, var, w, b).items():
                works[form] = partial(torch.nn.functional.batch_norm, *tensors)
        return works

    return Case("norm", _name("bn eval", shape, "fwd"), 8.0 * n * c * size**2, "GB/s", build)


def _layer(rows: int, length: int, direction: str) -> Case:
    shape = (length,)

    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy, w, b = noise(rows, length), noise(rows, length, seed=1), noise(length, seed=2), noise(length, seed=3)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("layer_norm", x, shape, w, b)}
        else:
            works = {"fastnn": backward("layer_norm", dy, (True, True, True), x, shape, w, b)}
        if "numpy" in against:
            _, mean, rstd = reference.layer_norm_fwd(x, shape, w, b)
            works["numpy"] = {
                "fwd": lambda: reference.layer_norm_fwd(x, shape, w, b),
                "bwd": lambda: reference.layer_norm_bwd(dy, x, shape, mean, rstd, w),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            aten = torch.ops.aten
            tx, tdy, tw, tb = (torch.from_numpy(each) for each in (x, dy, w, b))
            _, tmean, trstd = aten.native_layer_norm(tx, [length], tw, tb, _EPS)
            works["torch"] = {
                "fwd": lambda: aten.native_layer_norm(tx, [length], tw, tb, _EPS),
                "bwd": lambda: aten.native_layer_norm_backward(
                    tdy, tx, [length], tmean, trstd, tw, tb, [True, True, True]
                ),
            }[direction]
        return works

    moved = 4.0 * rows * length * (2 if direction == "fwd" else 3)
    return Case("norm", f"layer norm {rows}x{length} {direction}", moved, "GB/s", build)


def _group(shape: Shape, direction: str, groups: int = 8) -> Case:
    n, c, size = shape

    def build(against: Mapping[str, Any]) -> Contenders:
        x, dy = noise_images(n, c, size, size), noise_images(n, c, size, size, seed=1)
        w, b = noise(c, seed=2), noise(c, seed=3)
        if direction == "fwd":
            works: Contenders = {"fastnn": forward("group_norm", x, groups, w, b)}
        else:
            works = {"fastnn": backward("group_norm", dy, (True, True, True), x, groups, w, b)}
        if "numpy" in against:
            px, pdy = reference_layout(x, dy)
            _, mean, rstd = reference.group_norm_fwd(px, groups, w, b)
            works["numpy"] = {
                "fwd": lambda: reference.group_norm_fwd(px, groups, w, b),
                "bwd": lambda: reference.group_norm_bwd(pdy, px, groups, mean, rstd, w),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            for form, tensors in torch_forms(torch, x, dy, w, b).items():
                works[form] = _torch_group(torch, direction, groups, *tensors)
        return works

    moved = 4.0 * n * c * size**2 * _TRAFFIC[direction]
    return Case("norm", _name(f"group norm {groups}", shape, direction), moved, "GB/s", build)


def _torch_group(torch: Any, direction: str, groups: int, x: Any, dy: Any, w: Any, b: Any) -> Callable[[], Any]:
    aten = torch.ops.aten
    n, c, area = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    if direction == "fwd":
        return lambda: aten.native_group_norm(x, w, b, n, c, area, groups, _EPS)
    _, mean, rstd = aten.native_group_norm(x, w, b, n, c, area, groups, _EPS)
    mask = [True, True, True]
    return lambda: aten.native_group_norm_backward(dy, x, mean, rstd, w, n, c, area, groups, mask)
