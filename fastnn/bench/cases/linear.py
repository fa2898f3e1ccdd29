"""Matrix products in all transposes, stacks of them, and the affine map of a linear layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

from ...autograd import autocast
from ...reference import linear as reference
from ..case import Array, Case, Contenders, backward, forward, noise, reference_layout

__all__ = ["BF16_LAYERS", "LAYERS", "PRODUCTS", "cases"]

Product: TypeAlias = tuple[tuple[int, ...], int, int, int]

PRODUCTS: tuple[Product, ...] = (
    # Leading dimensions, then m, k, n of (m, k) @ (k, n).
    ((), 128, 784, 256),
    ((), 512, 512, 512),
    ((), 1024, 1024, 1024),
    ((64,), 64, 64, 64),
)
"""Products that are measured in every transpose."""

_PIXELS: tuple[Product, ...] = (((), 131072, 64, 128), ((), 8192, 256, 256), ((), 32, 120, 84))
"""Products that occur as they are: 1×1 convolutions, and a small layer."""

LAYERS = ((128, 784, 256), (128, 400, 120), (128, 2048, 10), (32, 400, 120), (512, 1024, 1024))
"""Linear layers: batch, inputs, outputs."""

BF16_LAYERS = ((128, 784, 256), (128, 400, 120), (512, 1024, 1024))
"""Layers that are measured under `autocast` too; PyTorch's contender then has bfloat16 tensors."""


def cases(products: Sequence[Product] = PRODUCTS, layers: Sequence[tuple[int, int, int]] = LAYERS) -> Iterator[Case]:
    """Products, then layers."""
    for product in products:
        for turned_a, turned_b in ((False, False), (False, True), (True, False), (True, True)):
            yield _product(product, turned_a, turned_b)
    if products is PRODUCTS:
        for product in _PIXELS:
            yield _product(product, False, False)
    for layer in layers:
        for direction in ("fwd", "bwd_x", "bwd_w"):
            yield _layer(layer, direction)
    for layer in BF16_LAYERS if layers is LAYERS else ():
        for direction in ("fwd", "bwd_x", "bwd_w"):
            yield _layer(layer, direction, bf16=True)


def _product(product: Product, turned_a: bool, turned_b: bool) -> Case:
    batch, m, k, n = product

    def build(against: Mapping[str, Any]) -> Contenders:
        a = noise(*batch, *((k, m) if turned_a else (m, k)))
        b = noise(*batch, *((n, k) if turned_b else (k, n)), seed=1)
        left, right = _turned(a, turned_a), _turned(b, turned_b)
        works: Contenders = {"fastnn": forward("matmul", left, right)}
        if "numpy" in against:
            works["numpy"] = lambda: reference.matmul_fwd(a, b, turned_a, turned_b)
        if "torch" in against:
            torch = against["torch"]
            one, other = torch.from_numpy(left), torch.from_numpy(right)
            works["torch"] = lambda: torch.matmul(one, other)
        return works

    sizes = "x".join(map(str, (*batch, m, k, n)))
    marks = ("t" if turned_a else "n") + ("t" if turned_b else "n")
    return Case("linear", f"matmul {sizes} {marks}", 2.0 * prod(batch) * m * k * n, "GFLOP/s", build)


def _turned(matrix: Array, flag: bool) -> Array:
    """The transpose of a matrix as a view, if asked for."""
    return matrix.swapaxes(-1, -2) if flag else matrix


def _layer(layer: tuple[int, int, int], direction: str, bf16: bool = False) -> Case:
    rows, inputs, outputs = layer

    def build(against: Mapping[str, Any]) -> Contenders:
        x, w, b = noise(rows, inputs), noise(outputs, inputs, seed=1), noise(outputs, seed=2)
        dy = noise(rows, outputs, seed=3)
        if direction == "fwd":
            works: Contenders = {"fastnn": autocast(enabled=bf16)(forward("linear", x, w, b))}
        else:
            needs = (direction == "bwd_x", direction == "bwd_w", direction == "bwd_w")
            with autocast(enabled=bf16):
                works = {"fastnn": backward("linear", dy, needs, x, w, b)}
        if "numpy" in against:
            plain = reference_layout(x, w, b, dy)
            works["numpy"] = {
                "fwd": lambda: reference.linear_fwd(*plain[:3]),
                "bwd_x": lambda: dy @ w,
                "bwd_w": lambda: (dy.T @ x, dy.sum(axis=0)),
            }[direction]
        if "torch" in against:
            torch = against["torch"]
            dtype = torch.bfloat16 if bf16 else torch.float32
            tx, tw, tb, tdy = (torch.from_numpy(each).to(dtype) for each in (x, w, b, dy))
            works["torch"] = {
                "fwd": lambda: torch.nn.functional.linear(tx, tw, tb),
                "bwd_x": lambda: torch.mm(tdy, tw),
                "bwd_w": lambda: (torch.mm(tdy.t(), tx), tdy.sum(0)),
            }[direction]
        return works

    name = f"layer {rows}x{inputs} -> {outputs} {direction}"
    return Case(
        "linear bf16" if bf16 else "linear", name, 2.0 * rows * inputs * outputs, "GFLOP/s", build, comparable=not bf16
    )
