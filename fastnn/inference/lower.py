"""From recorded calls to steps: one function for each operation that there is a step for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Tensor
from ..ops.conv import Geometry
from ..ops.window import ADAPTIVE, Window, adaptive_size, hashable, sliding_windows
from .graph import (
    Activate,
    Activation,
    BatchNorm,
    Binary,
    Buffer,
    Conv,
    Copy,
    Fill,
    Graph,
    Pool,
    Sizes,
    Softmax,
    Statistics,
    Step,
    Unsupported,
    View,
)
from .trace import Call, Operand, Trace

__all__ = ["lower"]

Arguments: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[["_Lowering", Call, Arguments], None]

_MOST_AXES = 6
"""Of a copy in csrc/program.h."""


def lower(trace: Trace) -> Graph:
    """The steps that compute what was recorded, with inputs of one dtype.

    Raises:
        Unsupported: if there is no step for an operation, or not for what it was given.
    """
    lowering = _Lowering(trace)
    for call in trace.calls:
        handler = _HANDLERS.get(call.name)
        if handler is None:
            raise Unsupported(f"there is no step for '{call.name}'")
        handler(lowering, call, call.arguments)
    return lowering.finish()


class _Lowering:
    """The steps so far, and the buffer of each root."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.dtype = trace.inputs[0].dtype
        self.buffers = {root: Buffer(math.prod(root.whole.shape), i) for i, root in enumerate(trace.inputs)}
        self.steps: list[Step] = []

    def view(self, operand: Any, name: str) -> View:
        """The view that a computed operand is."""
        if not isinstance(operand, Operand):
            raise Unsupported(f"'{name}' of a number, not of two tensors")
        if operand.root.tensor is not None:
            raise Unsupported(f"'{name}' computes with a parameter or buffer")
        return View(self.buffers[operand.root], operand.shape, operand.strides, operand.offset)

    def constant(self, operand: Operand | None, name: str) -> Tensor | None:
        """The parameter or buffer that an operand is, as a whole."""
        if operand is None:
            return None
        tensor = operand.root.tensor
        if tensor is None or tensor.data.shape != operand.shape or operand != operand.root.whole:
            raise Unsupported(f"a weight of '{name}' is not a parameter or buffer but computed from one")
        if tensor.data.dtype != self.dtype:
            raise Unsupported(f"'{name}' has weights of dtype {tensor.data.dtype} for inputs of {self.dtype}")
        return tensor

    def needed(self, operand: Operand | None, name: str) -> Tensor:
        """`constant` that must not be None."""
        tensor = self.constant(operand, name)
        if tensor is None:
            raise Unsupported(f"'{name}' without one of its weights")
        return tensor

    def result(self, call: Call) -> View:
        """The buffer of a call's only result, a view of all of it, which lies as the result does."""
        if len(call.results) != 1:
            raise Unsupported(f"'{call.name}' with several results")
        operand = call.results[0]
        if len(operand.shape) > _MOST_AXES:
            raise Unsupported(f"the result of '{call.name}' has more than {_MOST_AXES} dimensions")
        if operand.root.dtype != self.dtype:
            raise Unsupported(f"'{call.name}' has a result of dtype {operand.root.dtype}")
        buffer = self.buffers.setdefault(operand.root, Buffer(math.prod(operand.shape)))
        view = View(buffer, operand.shape, operand.strides, 0)
        if not view.dense():
            raise Unsupported(f"the result of '{call.name}' has gaps in memory")
        return view

    def packed(self, view: View) -> View:
        """A view whose elements lie side by side in its order: the view itself, or a copy."""
        return view if view.contiguous() else self.copied(view, view.shape, _steps(view.shape))

    def copied(self, view: View, shape: Sizes, strides: Sizes) -> View:
        """A copy in a buffer of its own."""
        copy = View(Buffer(view.size), shape, strides)
        self.steps.append(Copy(view, copy))
        return copy

    def like(self, view: View, layout: View) -> View:
        """A view that lies as `layout` does: the view itself, or a copy."""
        return view if view.lies_like(layout) and view.dense() else self.copied(view, layout.shape, layout.strides)

    def finish(self) -> Graph:
        """The graph; results that the steps do not make are copied."""
        outputs = []
        for operand in _leaves(self.trace.outcome):
            view = self.view(operand, "the network")
            if view.buffer.argument is not None:
                view = self.copied(view, view.shape, _steps(view.shape))
            outputs.append(view)
        return Graph(self.dtype, [self.buffers[root] for root in self.trace.inputs], self.steps, outputs)


def _leaves(outcome: Any) -> list[Operand]:
    """The operands in a nest of tuples, lists and dicts, in order."""
    if isinstance(outcome, Operand):
        return [outcome]
    return [leaf for each in (outcome.values() if isinstance(outcome, dict) else outcome) for leaf in _leaves(each)]


def _steps(shape: Sizes) -> Sizes:
    """The steps of a contiguous array, in elements."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


# Layers


def _conv(dims: int) -> Handler:
    def handler(lowering: _Lowering, call: Call, a: Arguments) -> None:
        weight = lowering.needed(a["weight"], call.name)
        x = lowering.view(a["input"], call.name)
        x = x if len(x.shape) == dims + 2 else x.batched()
        g = Geometry(call.name, x.shape, weight.shape, a["stride"], a["padding"], a["dilation"], a["groups"])
        x = lowering.packed(x.channels_last())
        ones = (1,) * (3 - dims)
        step = Conv(
            x=x,
            y=lowering.result(call),
            weight=weight,
            bias=lowering.constant(a["bias"], call.name),
            x_shape=(x.shape[0], *ones, *x.shape[1:]),
            weight_shape=g.weight_shape,
            y_shape=(x.shape[0], *g.out, weight.shape[0]),
            stride=g.stride,
            padding=g.before,
            dilation=g.dilation,
            groups=g.groups,
        )
        lowering.steps.append(step)

    return handler


def _linear(lowering: _Lowering, call: Call, a: Arguments) -> None:
    weight = lowering.needed(a["weight"], call.name)
    x = lowering.packed(lowering.view(a["input"], call.name))
    outputs, features = weight.shape
    rows = x.size // features
    step = Conv(
        x=View(x.buffer, (rows, features), (features, 1), x.offset),
        y=lowering.result(call),
        weight=weight,
        bias=lowering.constant(a["bias"], call.name),
        x_shape=(rows, 1, 1, 1, features),
        weight_shape=(outputs, features, 1, 1, 1),
        y_shape=(rows, 1, 1, 1, outputs),
    )
    lowering.steps.append(step)


def _batch_norm(lowering: _Lowering, call: Call, a: Arguments) -> None:
    if a["training"]:
        raise Unsupported("batch norm with the statistics of the batch")
    name, relu = call.name, call.name == "batch_norm_relu"
    norm = Statistics(
        lowering.needed(a["running_mean"], name),
        lowering.needed(a["running_var"], name),
        lowering.constant(a["weight"], name),
        lowering.constant(a["bias"], name),
        a["eps"],
    )
    x, y = lowering.packed(lowering.view(a["input"], name).channels_last()), lowering.result(call)
    residual = a.get("residual")
    added = None if residual is None else lowering.packed(lowering.view(residual, name).channels_last())
    lowering.steps.append(BatchNorm(x, y, norm, x.shape[-1], added, relu))


# Pooling


def _pooled(
    lowering: _Lowering, call: Call, dims: int, maximum: bool, window: Callable[[Sizes], tuple[Sizes, Window]]
) -> Pool:
    x = lowering.view(call.arguments["input"], call.name)
    x = lowering.packed((x if len(x.shape) == dims + 2 else x.batched()).channels_last())
    out, found = window(x.shape[1:-1])
    step = Pool(x, lowering.result(call), maximum, x.shape, (x.shape[0], *out, x.shape[-1]), found)
    lowering.steps.append(step)
    return step


def _sliding(dims: int, maximum: bool) -> Handler:
    def handler(lowering: _Lowering, call: Call, a: Arguments) -> None:
        def window(spatial: Sizes) -> tuple[Sizes, Window]:
            kernel, stride, padding = (hashable(a[name]) for name in ("kernel_size", "stride", "padding"))
            dilation = hashable(a.get("dilation", 1))
            return sliding_windows(call.name, spatial, kernel, stride, padding, dilation, a["ceil_mode"])

        step = _pooled(lowering, call, dims, maximum, window)
        step.include_pad = a.get("count_include_pad", True)
        step.divisor = a.get("divisor_override") or 0

    return handler


def _adaptive(dims: int, maximum: bool) -> Handler:
    def handler(lowering: _Lowering, call: Call, a: Arguments) -> None:
        _pooled(
            lowering,
            call,
            dims,
            maximum,
            lambda spatial: (adaptive_size(call.name, spatial, a["output_size"]), ADAPTIVE),
        )

    return handler


def _mean(lowering: _Lowering, call: Call, a: Arguments) -> None:
    """The mean over all spatial dimensions of (N, C, *spatial)."""
    dims, x = a["dim"], lowering.view(a["input"], call.name)
    ndim = len(x.shape)
    axes = sorted(d % ndim for d in (dims if isinstance(dims, tuple) else (dims,))) if dims is not None else []
    if not 3 <= ndim <= 5 or axes != list(range(2, ndim)):
        raise Unsupported("'mean' over other dimensions than all spatial ones")
    _pooled(lowering, call, ndim - 2, False, lambda spatial: ((1,) * len(spatial), ADAPTIVE))


# Elementwise


def _activation(entry: Callable[[Arguments], Activation]) -> Handler:
    def handler(lowering: _Lowering, call: Call, a: Arguments) -> None:
        y = lowering.result(call)
        lowering.steps.append(Activate(lowering.like(lowering.view(a["input"], call.name), y), y, entry(a)))

    return handler


def _binary(lowering: _Lowering, call: Call, a: Arguments) -> None:
    if a.get("alpha", 1) != 1:
        raise Unsupported(f"'{call.name}' with a factor")
    if isinstance(a["other"], int | float):
        _affine(lowering, call, a["input"], float(a["other"]))
        return
    x, other, y = lowering.view(a["input"], call.name), lowering.view(a["other"], call.name), lowering.result(call)
    if x.shape != other.shape:
        raise Unsupported(f"'{call.name}' that broadcasts")
    lowering.steps.append(Binary(lowering.like(x, y), y, call.name, lowering.like(other, y)))


def _affine(lowering: _Lowering, call: Call, operand: Any, number: float) -> None:
    """A number added or multiplied: a batch norm whose channels are all alike, so that it can join a convolution."""
    y = lowering.result(call)
    if not y.size or (call.name == "div" and number == 0):
        raise Unsupported(f"'{call.name}' of nothing, or by 0")
    x, channels = lowering.like(lowering.view(operand, call.name), y), y.shape[y.axes()[-1]] if y.shape else 1
    scale = {"mul": number, "div": 1 / number if number else 0.0}.get(call.name, 1.0)
    shift = {"add": number, "sub": -number}.get(call.name)
    mean, var, weight = (Tensor(np.full(channels, value, lowering.dtype)) for value in (0.0, 1.0, scale))
    bias = None if shift is None else Tensor(np.full(channels, shift, lowering.dtype))
    lowering.steps.append(BatchNorm(x, y, Statistics(mean, var, weight, bias, 0.0), channels))


def _softmax(lowering: _Lowering, call: Call, a: Arguments) -> None:
    y = lowering.result(call)
    if not y.shape:
        raise Unsupported(f"'{call.name}' of a single number")
    x, axes = lowering.like(lowering.view(a["input"], call.name), y), y.axes()
    place = axes.index(a["dim"] % len(y.shape))
    sizes = [y.shape[axis] for axis in axes]
    outer, inner = math.prod(sizes[:place]), math.prod(sizes[place + 1 :])
    lowering.steps.append(Softmax(x, y, call.name == "log_softmax", outer, sizes[place], inner))


# Layout


def _copy(lowering: _Lowering, call: Call, a: Arguments) -> None:
    """Operations that give the same elements in the same order, in another shape or memory layout."""
    x, y = lowering.view(a["input"], call.name), lowering.result(call)
    if x.shape != y.shape:
        if not y.contiguous():
            raise Unsupported(f"'{call.name}' to a result that does not lie in order")
        y = View(y.buffer, x.shape, _steps(x.shape))
    lowering.steps.append(Copy(x, y))


def _pad(lowering: _Lowering, call: Call, a: Arguments) -> None:
    x, y, widths = lowering.view(a["input"], call.name), lowering.result(call), a["pad"]
    if a["mode"] != "constant" or min(widths, default=0) < 0:
        raise Unsupported("'pad' that mirrors, repeats or cuts off")
    before = [widths[2 * i] if 2 * i < len(widths) else 0 for i in reversed(range(len(x.shape)))]
    offset = sum(n * step for n, step in zip(before, y.strides, strict=True))
    lowering.steps.append(Fill(y, y, 0.0 if a["value"] is None else float(a["value"])))
    lowering.steps.append(Copy(x, View(y.buffer, x.shape, y.strides, offset)))


def _cat(lowering: _Lowering, call: Call, a: Arguments) -> None:
    y, offset = lowering.result(call), 0
    axis = a["dim"] % len(y.shape)
    for operand in a["tensors"]:
        x = lowering.view(operand, call.name)
        lowering.steps.append(Copy(x, View(y.buffer, x.shape, y.strides, offset)))
        offset += x.shape[axis] * y.strides[axis]


_PLAIN = (
    "relu", "sigmoid", "tanh", "silu", "mish", "softsign", "tanhshrink", "logsigmoid", "hardsigmoid", "hardswish",
)  # fmt: skip
"""Activations without parameters whose entry has their name."""

_HANDLERS: dict[str, Handler] = {
    **{f"conv{dims}d": _conv(dims) for dims in (1, 2, 3)},
    **{f"max_pool{dims}d": _sliding(dims, True) for dims in (1, 2, 3)},
    **{f"avg_pool{dims}d": _sliding(dims, False) for dims in (1, 2, 3)},
    **{f"adaptive_max_pool{dims}d": _adaptive(dims, True) for dims in (1, 2, 3)},
    **{f"adaptive_avg_pool{dims}d": _adaptive(dims, False) for dims in (1, 2, 3)},
    **dict.fromkeys(("add", "sub", "mul", "div"), _binary),
    **dict.fromkeys(("reshape", "flatten", "unflatten", "clone", "contiguous"), _copy),
    **{name: _activation(lambda a, name=name: Activation(name)) for name in _PLAIN},  # type: ignore[misc]
    "linear": _linear,
    "batch_norm": _batch_norm,
    "batch_norm_relu": _batch_norm,
    "mean": _mean,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "pad": _pad,
    "cat": _cat,
    "relu6": _activation(lambda a: Activation("hardtanh", (0.0, 6.0, 0.0))),
    "hardtanh": _activation(lambda a: Activation("hardtanh", (a["min_val"], a["max_val"], 0.0))),
    "leaky_relu": _activation(lambda a: Activation("leaky_relu", (a["negative_slope"], 0.0, 0.0))),
    "elu": _activation(lambda a: Activation("elu", (a["alpha"], 1.0, 1.0))),
    "gelu": _activation(lambda a: Activation("gelu" if a["approximate"] == "none" else "gelu_tanh")),
    "softplus": _activation(lambda a: Activation("softplus", (a["beta"], a["threshold"], 0.0))),
}  # fmt: skip
