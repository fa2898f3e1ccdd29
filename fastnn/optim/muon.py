"""Muon."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import _C, backends
from ..autograd import Tensor
from ..autograd.dtype import Array
from .checks import nonnegative
from .optimizer import Group, Optimizer, Parameters
from .table import StateTable, mix

__all__ = ["Muon"]

_ADJUSTMENTS = ("original", "match_rms_adamw")
_BF16_ROWS = 64
"""Rows and columns of a matrix, at least, whose products in bfloat16 are faster than in float32."""


class Muon(Optimizer):
    """Muon: momentum whose singular values are all brought near 1, for the matrices inside a network.

        b ← μ b + (1 - μ) g;  u = (1 - μ) g + μ b  with Nesterov, else b
        w ← (1 - lr λ) w - lr a · orthogonal(u)

    `orthogonal` is a fixed number of Newton-Schulz iterations on X = u / ‖u‖, of which with A = X Xᵀ each is
    `X ← (a I + b A + c A²) X`. A parameter with more than two dimensions, such as a filter, counts as the matrix
    (first dimension, the rest). Biases, norms, embeddings and the last layer are better left to `AdamW`.

    Args:
        params: parameters of at least two dimensions, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        weight_decay: λ.
        momentum: μ.
        nesterov: look ahead by the momentum.
        ns_coefficients: (a, b, c) of the iteration.
        eps: least norm to divide by.
        ns_steps: iterations.
        adjust_lr_fn: "original" or None for a = √max(1, rows / columns), "match_rms_adamw" for
            a = 0.2 √max(rows, columns).
        maximize: ascend instead.
        decoupled_weight_decay: False adds λ w to g instead.
        ns_bfloat16: round A and the factors of the iteration's products to bfloat16, as the source does; products are
            summed, and X is kept, in float32. True always does, False never, None where that is faster: for matrices
            of at least 64 rows and columns, on a processor that multiplies bfloat16 (`backends.bf16.unit` is not
            "rounding"). Parameters in float64 are never rounded.

    Raises:
        ValueError: for a parameter with fewer than two dimensions, a negative value or an unknown adjustment.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the adjustment from Liu et
    al. 2025, arXiv:2502.16982. PyTorch keeps X in bfloat16 too, for matrices of any size.
    """

    slots = ("momentum_buffer",)

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = True,
        ns_bfloat16: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
            "ns_bfloat16": ns_bfloat16,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        nonnegative("Muon", group, "weight_decay", "momentum", "eps", "ns_steps")
        if group["adjust_lr_fn"] not in (None, *_ADJUSTMENTS):
            raise ValueError(f"Muon: expected adjust_lr_fn in {_ADJUSTMENTS} or None, got {group['adjust_lr_fn']!r}")
        if group["ns_bfloat16"] not in (None, False, True):
            raise ValueError(f"Muon: expected ns_bfloat16 to be None, False or True, got {group['ns_bfloat16']!r}")
        if len(group["ns_coefficients"]) != 3:
            raise ValueError(f"Muon: expected three ns_coefficients, got {group['ns_coefficients']!r}")
        for parameter in group["params"]:
            if parameter.ndim < 2:
                raise ValueError(f"Muon: expected parameters of at least two dimensions, got shape {parameter.shape}")

    def _advance(self, group: Group, lr: float, table: StateTable, live: list[Tensor]) -> None:
        decay, _, decoupled, _ = self._penalty(group)
        momentum = group["momentum"]
        gradients = [self._penalised(group, parameter) for parameter in live]
        buffers = [self.state[parameter]["momentum_buffer"].data for parameter in live]
        mix(buffers, momentum, gradients, 1.0 - momentum)
        for parameter in live:
            self.state[parameter]["step"].data[...] += 1
        # Matrices of one shape and dtype are orthogonalised together.
        alike: dict[tuple[Any, ...], list[int]] = {}
        for i, parameter in enumerate(live):
            shape = (parameter.shape[0], parameter.data.size // max(parameter.shape[0], 1))
            alike.setdefault((shape, parameter.data.dtype), []).append(i)
        for (shape, dtype), members in alike.items():
            matrices = _C.empty((len(members), *shape), dtype)
            for row, i in enumerate(members):
                update = gradients[i] * (1.0 - momentum) + buffers[i] * momentum if group["nesterov"] else buffers[i]
                matrices[row] = update.reshape(shape)
            rounded = group["ns_bfloat16"]
            if rounded is None:
                rounded = min(shape) >= _BF16_ROWS and backends.bf16.unit != "rounding"
            directions = orthogonalized(matrices, group["ns_coefficients"], group["ns_steps"], group["eps"], rounded)
            weights = [live[i].data for i in members]
            moves = [direction.reshape(weight.shape) for direction, weight in zip(directions, weights)]
            mix(weights, 1.0 - lr * decay if decoupled else 1.0, moves, -lr * _adjustment(group["adjust_lr_fn"], shape))

    def _penalised(self, group: Group, parameter: Tensor) -> Array:
        """The gradient with what the penalties add to it."""
        decay, l1, decoupled, maximize = self._penalty(group)
        gradient, weight = parameter.grad.data, parameter.data  # type: ignore[union-attr]
        gradient = -gradient if maximize else gradient
        if l1:
            gradient = gradient + (l1 * np.sign(weight)).astype(weight.dtype)
        if decay and not decoupled:
            gradient = gradient + (decay * weight).astype(weight.dtype)
        return gradient


def _adjustment(name: str | None, shape: tuple[int, ...]) -> float:
    rows, columns = shape
    if name == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1.0, rows / columns))


def orthogonalized(
    matrices: Array, coefficients: tuple[float, float, float], steps: int, eps: float, bfloat16: bool = False
) -> Array:
    """Newton-Schulz iterations from each matrix over its Frobenius norm, (n, rows, columns) -> (n, rows, columns).

    The results have the singular vectors of the matrices, and singular values between about 0.7 and 1.2. With
    `bfloat16` the factors of all products are rounded to it, if they are float32.
    """
    a, b, c = coefficients
    wide = matrices.shape[1] <= matrices.shape[2]
    x: Array = matrices if wide else np.ascontiguousarray(matrices.transpose(0, 2, 1))
    norms = np.array([math.sqrt(_C.sum_all(matrix, True)) for matrix in x])
    x = x / np.maximum(norms, eps).astype(x.dtype).reshape(-1, 1, 1)
    count, rows, _ = x.shape
    gram, powers = (_C.empty((count, rows, rows), x.dtype) for _ in range(2))
    following = _C.empty(x.shape, x.dtype)
    diagonal = powers.reshape(count, -1)[:, :: rows + 1]
    for _ in range(steps):
        _C.matmul(x, False, x, True, gram, bf16=bfloat16)
        if bfloat16 and x.dtype == np.float32:
            _round_to_bfloat16(gram, powers)
        _C.matmul(gram, False, gram, False, powers, bf16=bfloat16)
        _C.axpby(b, gram, c, powers, powers)
        diagonal += a
        _C.matmul(powers, False, x, False, following, bf16=bfloat16)
        x, following = following, x
    return x if wide else x.transpose(0, 2, 1)


def _round_to_bfloat16(x: Array, room: Array) -> None:
    """Rounds to eight significant bits in place, by Veltkamp's splitting: t - (t - x) with t = (2¹⁶ + 1) x.

    `b A + c A²` would otherwise have one A rounded and one not, and their difference doubles the error of the whole.
    """
    _C.axpby(65537.0, x, 0.0, x, room)
    _C.axpby(1.0, room, -1.0, x, x)
    _C.axpby(1.0, room, -1.0, x, x)
