"""Rows of the norms: batch norm in every mode and fusion, channel counts around the vectors' edges, the others."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from fastnn.autograd import OPS
from fastnn.reference import batch_norm as batch
from fastnn.reference import norm as reference
from fastnn.reference import pool
from tests.cases import Array, OpCase, normal, positive

_SHAPES = [
    (9, 5),
    (4, 16, 7),
    (3, 1, 5, 5),
    (3, 3, 5, 7),
    (5, 6, 5, 4),
    (2, 24, 3, 5),
    (2, 64, 3, 3),
    (3, 101, 2, 2),
    (2, 600, 2, 1),
    (2, 5, 3, 4, 2),
]


def _train(x: Array, mean: None, var: None, w: Any, b: Any, *residual: Any, **options: Any) -> Array:
    y = batch.batch_norm_train_fwd(x, w, b, options.get("eps", 1e-5))[0]
    return np.maximum(y + residual[0], 0) if residual and residual[0] is not None else y


def _eval(x: Array, mean: Array, var: Array, w: Any, b: Any, *residual: Any, **options: Any) -> Array:
    y = batch.batch_norm_eval_fwd(x, mean, var, w, b, options.get("eps", 1e-5))
    return np.maximum(y + residual[0], 0) if residual and residual[0] is not None else y


def _relu(definition: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *arrays, **options: np.maximum(definition(*arrays, **options), 0)


def _fused(*tensors: Any, **options: Any) -> Any:
    return OPS["batch_norm_relu"](*tensors[:5], residual=tensors[5] if len(tensors) > 5 else None, **options)


def _batch(shape: tuple[int, ...], training: bool, fusion: str, affine: bool = True, large: bool = False) -> OpCase:
    """A row of batch_norm (no fusion) or batch_norm_relu ("relu", "residual")."""

    def draw(rng: np.random.Generator, dtype: Any, n: int) -> Any:
        c, shape_here = shape[1], (n, *shape[1:])
        vectors = [None if training else make(rng, c, dtype=dtype) for make in (normal, positive)]
        vectors += [positive(rng, c, dtype=dtype), normal(rng, c, dtype=dtype)] if affine else [None, None]
        more = [normal(rng, *shape_here, dtype=dtype)] if fusion == "residual" else []
        return (normal(rng, *shape_here, dtype=dtype) * 2 + 1, *vectors, *more), {"training": training}

    definition = _train if training else _eval
    mode = ("train" if training else "eval") + ("" if affine else "-plain") + (f"-{fusion}" if fusion else "")
    return OpCase(
        f"batch_norm-{mode}-{'x'.join(map(str, shape))}",
        "batch_norm_relu" if fusion else "batch_norm",
        lambda rng, dtype: draw(rng, dtype, shape[0]),
        _relu(definition) if fusion == "relu" else definition,
        call=_fused if fusion else None,
        rtol=2e-5,
        atol=1e-5,
        grads=(0, *((3, 4) if affine else ()), *((5,) if fusion == "residual" else ())),
        batch=() if training else ((0, 5) if fusion == "residual" else (0,)),
        large=(lambda rng, dtype: draw(rng, dtype, 60000 // prod(shape[1:]))) if large else None,
    )


def _pooled(shape: tuple[int, ...], kernel: Any, training: bool, affine: bool = True, large: bool = False) -> OpCase:
    """A row of the maximum over windows side by side of the ReLU of batch norm."""

    def draw(rng: np.random.Generator, dtype: Any, n: int) -> Any:
        c = shape[1]
        vectors = [None if training else make(rng, c, dtype=dtype) for make in (normal, positive)]
        vectors += [normal(rng, c, dtype=dtype), normal(rng, c, dtype=dtype)] if affine else [None, None]
        return (normal(rng, n, *shape[1:], dtype=dtype) * 2 + 1, *vectors), {
            "training": training, "kernel_size": kernel
        }  # fmt: skip

    def defined(*arrays: Any, kernel_size: Any, training: bool) -> Array:
        return pool.relu_max_pool_fwd((_train if training else _eval)(*arrays), kernel_size)

    size = "x".join(map(str, kernel)) if isinstance(kernel, tuple) else kernel
    mode = ("train" if training else "eval") + ("" if affine else "-plain")
    return OpCase(
        f"batch_norm-{mode}-pooled-{'x'.join(map(str, shape))}-{size}",
        "batch_norm_relu_max_pool2d",
        lambda rng, dtype: draw(rng, dtype, shape[0]),
        defined,
        rtol=2e-5,
        atol=1e-5,
        grads=(0, *((3, 4) if affine else ())),
        batch=() if training else (0,),
        large=(lambda rng, dtype: draw(rng, dtype, 60000 // prod(shape[1:]))) if large else None,
    )


def _group(shape: tuple[int, ...], groups: int, affine: bool = True) -> OpCase:
    def draw(rng: np.random.Generator, dtype: Any, n: int) -> Any:
        c = shape[1]
        vectors = [positive(rng, c, dtype=dtype), normal(rng, c, dtype=dtype)] if affine else [None, None]
        return (normal(rng, n, *shape[1:], dtype=dtype) * 2 - 1, *vectors), {"num_groups": groups}

    return OpCase(
        f"group_norm-{groups}-{'x'.join(map(str, shape))}{'' if affine else '-plain'}",
        "group_norm",
        lambda rng, dtype: draw(rng, dtype, shape[0]),
        lambda x, w, b, num_groups: reference.group_norm_fwd(x, num_groups, w, b)[0],
        call=lambda x, w, b, num_groups: OPS["group_norm"](x, num_groups, w, b),
        rtol=2e-5,
        atol=1e-5,
        batch=(0,),
        large=lambda rng, dtype: draw(rng, dtype, 60000 // prod(shape[1:])),
    )


def _instance(shape: tuple[int, ...], own: bool) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        c = shape[1]
        running = [None if own else make(rng, c, dtype=dtype) for make in (normal, positive)]
        vectors = [*running, positive(rng, c, dtype=dtype), normal(rng, c, dtype=dtype)]
        return (normal(rng, *shape, dtype=dtype), *vectors), {"use_input_stats": own}

    def defined(x: Array, mean: Any, var: Any, w: Array, b: Array, use_input_stats: bool) -> Array:
        return reference.instance_norm_fwd(x, w, b)[0] if own else batch.batch_norm_eval_fwd(x, mean, var, w, b)

    return OpCase(
        f"instance_norm-{'own' if own else 'running'}-{'x'.join(map(str, shape))}",
        "instance_norm",
        sample,
        defined,
        rtol=2e-5,
        atol=1e-5,
        grads=(0, 3, 4),
        batch=(0,),
    )


def _layer(shape: tuple[int, ...], over: tuple[int, ...], affine: bool = True) -> OpCase:
    def draw(rng: np.random.Generator, dtype: Any, n: int) -> Any:
        vectors = [positive(rng, *over, dtype=dtype), normal(rng, *over, dtype=dtype)] if affine else [None, None]
        return (normal(rng, n, *shape[1:], dtype=dtype) * 2 + 3, *vectors), {}

    return OpCase(
        f"layer_norm-{'x'.join(map(str, shape))}-{len(over)}{'' if affine else '-plain'}",
        "layer_norm",
        lambda rng, dtype: draw(rng, dtype, shape[0]),
        lambda x, w, b: reference.layer_norm_fwd(x, over, w, b)[0],
        call=lambda x, w, b: OPS["layer_norm"](x, over, w, b),
        rtol=2e-5,
        atol=1e-5,
        batch=(0,),
        large=lambda rng, dtype: draw(rng, dtype, 60000 // prod(shape[1:])),
    )


CASES = [
    *[_batch(shape, True, "", large=True) for shape in _SHAPES],
    *[_batch(shape, False, "") for shape in _SHAPES],
    *[
        _batch(shape, training, fusion, large=True)
        for shape in ((4, 16, 7), (3, 3, 5, 7), (3, 101, 2, 2), (2, 64, 3, 3))
        for training in (True, False)
        for fusion in ("relu", "residual")
    ],
    *[_batch((3, 7, 4, 4), training, "", affine=False) for training in (True, False)],
    *[
        _pooled(shape, kernel, training, large=True)
        for shape, kernel in (
            ((3, 16, 4, 6), 2), ((3, 3, 5, 7), 2), ((2, 101, 5, 4), 2), ((3, 6, 8, 10), 3), ((2, 20, 7, 6), (3, 2)),
            ((3, 5, 4, 4), (1, 4)),
        )
        for training in (True, False)
    ],
    *[_pooled((3, 7, 5, 4), 2, training, affine=False) for training in (True, False)],
    *[_group(shape, groups) for shape, groups in
      (((3, 6), 2), ((2, 24, 5, 5), 8), ((2, 64, 4, 4), 64), ((3, 6, 4, 4), 1), ((2, 100, 3), 5))],
    _group((2, 6, 3, 3), 3, affine=False),
    *[_instance(shape, own) for shape in ((3, 5, 7), (2, 16, 5, 6), (2, 3, 3, 2, 4)) for own in (True, False)],
    *[_layer(shape, over) for shape, over in
      (((4, 5), (5,)), ((3, 7, 64), (64,)), ((2, 3, 4, 5), (4, 5)), ((2, 3, 4, 5), (3, 4, 5)), ((3, 1, 97), (97,)))],
    _layer((4, 33), (33,), affine=False),
]  # fmt: skip
