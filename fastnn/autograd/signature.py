"""Which parameters of an operation are tensors: read off its signature once, when it is defined."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .dtype import SUPPORTED, Operand

OPTION, ARRAY, OPERAND = range(3)
"""Kinds of parameters: passed on as it is; a Tensor or ndarray; one of those or a Python number."""


class Signature:
    """The tensor parameters of an operation.

    A parameter is a tensor if it is annotated `Array`, `np.ndarray` or `Operand` (`| None` allowed), or if it
    has neither annotation nor default and no option stands before it. `*tensors` takes any number of them.

    Attributes:
        name: the operation's name, that of the function without leading underscores.
        kinds: the kind of each positional parameter.
        positions: which of them are tensors.
        width: how many those are; 0 if variadic.
        leading: whether the tensors stand before all options.
        variadic: whether the parameters are `*tensors`.
        open: whether there is any `*` parameter, of tensors or of options.
        tensor_names: names of the tensors, for those passed by keyword.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.name = function.__name__.lstrip("_")
        self.open = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.variadic = self.open and _takes_tensors(parameters)
        self._names = [p.name for p in positional]
        self._defaults = [p.default for p in positional]
        self._optional = [p.default is None or "None" in str(p.annotation) for p in positional]
        kinds: list[int] = []
        for p in positional:
            bare = p.default is p.empty and OPTION not in kinds
            kinds.append(_kind(p.annotation, bare))
        self.kinds = tuple(kinds)
        self.positions = tuple(i for i, kind in enumerate(kinds) if kind != OPTION)
        self.width = 0 if self.variadic else len(self.positions)
        self.leading = self.variadic or self.positions == tuple(range(len(self.positions)))
        self.tensor_names = frozenset(self._names[i] for i in self.positions)
        if not self.variadic and not self.positions:
            raise TypeError(f"op '{self.name}': no parameter is a tensor; annotate the tensors as Array")

    def positional(self, args: Sequence[Any], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Move tensors that were passed by keyword, and what stands before them, to their positions."""
        moved, rest = list(args), dict(options)
        last = max(i for i in self.positions if self._names[i] in rest)
        for i in range(len(moved), last + 1):
            if self._names[i] in rest:
                moved.append(rest.pop(self._names[i]))
            elif self._defaults[i] is inspect.Parameter.empty:
                raise TypeError(f"{self.name}: missing argument '{self._names[i]}'")
            else:
                moved.append(self._defaults[i])
        return tuple(moved), rest

    def foreign(self, value: Any, i: int) -> Any:
        """Argument `i`, which is neither a Tensor nor a plain number where one may stand, as an array.

        Raises:
            TypeError: if it is not something this parameter takes.
        """
        kind = ARRAY if self.variadic else self.kinds[i]
        name = f"tensors[{i}]" if self.variadic else self._names[i]
        if kind == OPERAND and isinstance(value, np.generic):
            value = value.item()
        if kind == OPERAND and isinstance(value, bool | int | float):
            return value
        if isinstance(value, np.ndarray | np.generic):
            if value.dtype not in SUPPORTED:
                raise TypeError(f"{self.name}: dtype {value.dtype} of '{name}' is not supported")
            return np.asarray(value)
        if value is None and not self.variadic and self._optional[i]:
            return None
        wanted = "a Tensor, an ndarray or a number" if kind == OPERAND else "a Tensor or an ndarray"
        raise TypeError(f"{self.name}: expected '{name}' to be {wanted}, got {type(value).__name__}")


def _takes_tensors(parameters: list[inspect.Parameter]) -> bool:
    """Whether a `*` parameter, the first of all if it is unannotated, collects tensors."""
    first = parameters[0]
    star = next(p for p in parameters if p.kind is p.VAR_POSITIONAL)
    return _kind(star.annotation, star is first) == ARRAY


def _kind(annotation: Any, bare_is_tensor: bool) -> int:
    """The kind of a parameter by its annotation, which may be a string."""
    if annotation is inspect.Parameter.empty:
        return ARRAY if bare_is_tensor else OPTION
    if not isinstance(annotation, str):
        if annotation == Operand:
            return OPERAND
        annotation = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    parts = {part.strip().split("[")[0].split(".")[-1] for part in annotation.split("|")}
    if "Operand" in parts:
        return OPERAND
    return ARRAY if parts & {"Array", "ndarray", "NDArray"} else OPTION
