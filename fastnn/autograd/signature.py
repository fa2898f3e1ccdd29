"""Which parameters of an operation are tensors: read off its signature once, when it is defined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .dtype import SUPPORTED, Operand

OPTION, ARRAY, OPERAND = range(3)
"""Kinds of parameters: passed on as it is; a Tensor or ndarray; one of those or a Python number."""

_REQUIRED = object()
_HAS_STAR = 0x04  # inspect.CO_VARARGS


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
        plain: Any = function
        while hasattr(plain, "__wrapped__"):
            plain = plain.__wrapped__
        code, annotations = plain.__code__, plain.__annotations__  # inspect.signature takes ten times as long
        self.name: str = function.__name__.lstrip("_")
        self._names: tuple[str, ...] = code.co_varnames[: code.co_argcount]
        defaults = plain.__defaults__ or ()
        self._defaults = (_REQUIRED,) * (len(self._names) - len(defaults)) + defaults
        self._optional = [
            default is None or "None" in str(annotations.get(name, ""))
            for name, default in zip(self._names, self._defaults, strict=True)
        ]
        kinds: list[int] = []
        for name, default in zip(self._names, self._defaults, strict=True):
            kinds.append(_kind(annotations.get(name), default is _REQUIRED and OPTION not in kinds))
        self.kinds = tuple(kinds)
        self.open = bool(code.co_flags & _HAS_STAR)
        star = code.co_varnames[code.co_argcount + code.co_kwonlyargcount] if self.open else ""
        self.variadic = self.open and _kind(annotations.get(star), not kinds) == ARRAY
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
            elif self._defaults[i] is _REQUIRED:
                raise TypeError(f"{self.name}: missing argument '{self._names[i]}'")
            else:
                moved.append(self._defaults[i])
        return tuple(moved), rest

    def foreign(self, value: Any, i: int) -> Any:
        """Argument `i`, which is neither a Tensor nor a plain number where one may stand, as an array.

        Raises:
            TypeError: if it is not something this parameter takes.
        """
        if value is None and not self.variadic and self._optional[i]:
            return None
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
        wanted = "a Tensor, an ndarray or a number" if kind == OPERAND else "a Tensor or an ndarray"
        raise TypeError(f"{self.name}: expected '{name}' to be {wanted}, got {type(value).__name__}")


def _kind(annotation: Any, bare_is_tensor: bool) -> int:
    """The kind of a parameter by its annotation, which may be a string, or None if it has none."""
    if annotation is None:
        return ARRAY if bare_is_tensor else OPTION
    if not isinstance(annotation, str):
        if annotation == Operand:
            return OPERAND
        annotation = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    parts = {part.strip().split("[")[0].split(".")[-1] for part in annotation.split("|")}
    if "Operand" in parts:
        return OPERAND
    return ARRAY if parts & {"Array", "ndarray", "NDArray"} else OPTION
