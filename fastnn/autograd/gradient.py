"""`backward` and `grad` as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from .engine import backward_pass, gradients
from .tensor import Tensor, root, wrap


def _sequence(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


def _roots(name: str, outputs: Any, grad_outputs: Any, create_graph: bool) -> list[Any]:
    """The outputs with the gradients to start from."""
    tensors = _sequence(outputs)
    seeds = [None] * len(tensors) if grad_outputs is None else _sequence(grad_outputs)
    if len(seeds) != len(tensors):
        raise ValueError(f"{name}: expected one gradient for each of {len(tensors)} outputs, got {len(seeds)}")
    return [root(name, tensor, seed, create_graph) for tensor, seed in zip(tensors, seeds, strict=True)]


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: npt.ArrayLike | Sequence[Any] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradients of the sum of several tensors to the `.grad` of the leaves; see `Tensor.backward`.

    Args:
        tensors: one or several.
        grad_tensors: a gradient for each, or None for scalars.
        retain_graph: keep what the operations saved, so that backward can run through them again.
        create_graph: must be False.
    """
    backward_pass(_roots("backward", tensors, grad_tensors, create_graph), retain_graph)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: npt.ArrayLike | Sequence[Any] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of `outputs` with respect to `inputs`; no `.grad` changes.

    Only what lies between the two is computed.

    Args:
        outputs: one tensor or several.
        inputs: tensors that require a gradient: leaves, or results of recorded operations.
        grad_outputs: a gradient for each output, or None for scalars.
        retain_graph: keep what the operations saved, so that backward can run through them again.
        create_graph: must be False; see `hvp` and `hessian` for second derivatives.
        allow_unused: give None for an input that the outputs do not depend on instead of raising.

    Returns:
        a tuple with a Tensor per input.

    Raises:
        RuntimeError: if an input requires no gradient, or does not lead to the outputs.

    Example:
        >>> x = fastnn.tensor(3.0, requires_grad=True)
        >>> fastnn.autograd.grad(x * x, x)
        (tensor(6.),)
    """
    wanted: list[Tensor] = _sequence(inputs)
    for i, tensor in enumerate(wanted):
        if not tensor.requires_grad:
            raise RuntimeError(f"grad: input {i} does not require a gradient")
    edges = [tensor if tensor._edge is None else tensor._edge for tensor in wanted]
    found = gradients(_roots("grad", outputs, grad_outputs, create_graph), edges, retain_graph)
    for i, gradient in enumerate(found):
        if gradient is None and not allow_unused:
            raise RuntimeError(f"grad: the outputs do not depend on input {i}; allow_unused=True gives None for it")
    return tuple(None if gradient is None else wrap(gradient) for gradient in found)
