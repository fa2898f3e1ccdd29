"""The model summary: per layer the output's shape, parameters, multiply-adds and activation bytes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

import numpy as np

from ..autograd.tensor import Tensor
from ..nn.conv import Conv1d, Conv2d, Conv3d
from ..nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..nn.linear import Linear
from ..nn.mode import evaluation_mode
from ..nn.module import Module


@dataclass(frozen=True)
class LayerSummary:
    """One call of one layer.

    Attributes:
        name: the layer's dotted name, "" for the model itself.
        kind: its class.
        output_shape: the shape of its output.
        parameters: the number of its parameters, counted where a shared one first occurs.
        multiply_adds: multiplications that are followed by an addition, in convolutions and linear layers;
            what other layers do is not counted.
        activation_bytes: the size of its output.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """What `summary` found; `print` it, or take `to_dict()` as JSON.

    Attributes:
        model: the model's class.
        input_shape: the input's shape.
        layers: one entry per call of a layer that has no layers below it, or parameters of its own.
        parameters: the number of parameters of the model.
        trainable: how many of them require a gradient.
        buffers: the number of values in buffers.
    """

    model: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerSummary, ...]
    parameters: int
    trainable: int
    buffers: int

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of all layers."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Bytes of the outputs of all layers."""
        return sum(layer.activation_bytes for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Everything as a dict of plain values."""
        totals = {"multiply_adds": self.multiply_adds, "activation_bytes": self.activation_bytes}
        return {**asdict(self), **totals}

    def __str__(self) -> str:
        head = ("layer", "kind", "output shape", "parameters", "multiply-adds", "activation")
        rows = [
            (
                layer.name or "(itself)",
                layer.kind,
                str(layer.output_shape),
                f"{layer.parameters:,}",
                f"{layer.multiply_adds:,}",
                _size(layer.activation_bytes),
            )
            for layer in self.layers
        ]
        sums = (f"{self.parameters:,}", f"{self.multiply_adds:,}", _size(self.activation_bytes))
        total = ("total", "", "", *sums)
        widths = [max(len(row[i]) for row in (head, *rows, total)) for i in range(len(head))]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [f"{self.model}, input {self.input_shape}", _row(head, widths), rule]
        lines += [_row(row, widths) for row in rows]
        lines += [rule, _row(total, widths), f"trainable {self.trainable:,}, buffers {self.buffers:,} values"]
        return "\n".join(lines)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The cells in columns: text to the left, numbers to the right."""
    text = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
    return "  ".join(text + numbers).rstrip()


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def summary(
    model: Module, input_shape: Sequence[int], dtype: np.dtype[Any] | type[np.generic] | None = None
) -> Summary:
    """Run `model` once on zeros, in evaluation mode and without gradients, and note what each layer does.

    Layers that a call of the model does not reach are not listed, but their parameters are counted.

    Args:
        model: the model; its modes, hooks and values are as before afterwards.
        input_shape: the input's shape with the batch, such as (1, 3, 32, 32).
        dtype: the input's dtype; None means that of the model's first parameter, or float32.

    Returns:
        The summary.

    Raises:
        ValueError: if the shape does not suit the model.

    Example:
        >>> from fastnn import nn
        >>> summary(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), (1, 1, 28, 28)).multiply_adds
        7840
    """
    first = next(model.parameters(), None)
    if dtype is None:
        dtype = np.dtype(np.float32) if first is None else first.dtype
    layers: list[LayerSummary] = []
    counted: set[int] = set()

    def note(name: str, module: Module, inputs: Any, output: Any) -> None:
        parts = output if isinstance(output, tuple) else (output,)
        outputs = [each for each in parts if isinstance(each, Tensor)]
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(id(p) for p in own)
        shape = outputs[0].shape if outputs else ()
        layers.append(
            LayerSummary(
                name=name,
                kind=type(module).__name__,
                output_shape=shape,
                parameters=sum(p.data.size for p in own),
                multiply_adds=_multiply_adds(module, inputs, shape),
                activation_bytes=sum(each.data.nbytes for each in outputs),
            )
        )

    with ExitStack() as stack, evaluation_mode(model):
        for name, module in model.named_modules():
            if not list(module.children()) or any(True for _ in module.parameters(recurse=False)):
                stack.enter_context(module.register_forward_hook(lambda m, x, y, name=name: note(name, m, x, y)))
        model(Tensor(np.zeros(tuple(input_shape), dtype)))
    parameters = list(model.parameters())
    return Summary(
        model=type(model).__name__,
        input_shape=tuple(input_shape),
        layers=tuple(layers),
        parameters=sum(p.data.size for p in parameters),
        trainable=sum(p.data.size for p in parameters if p.requires_grad),
        buffers=sum(b.data.size for b in model.buffers()),
    )


def _multiply_adds(module: Module, inputs: Any, output_shape: tuple[int, ...]) -> int:
    """Of a linear layer or convolution: every output value is a sum over its share of the weight; of a transposed
    convolution: every input value goes with its share into the output."""
    if isinstance(module, Linear | Conv1d | Conv2d | Conv3d):
        return prod(output_shape) * prod(module.weight.shape[1:])
    if isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d):
        return int(prod(inputs[0].shape)) * prod(module.weight.shape[1:])
    return 0
