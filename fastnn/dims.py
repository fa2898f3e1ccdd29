"""NumPy's names `axis` and `keepdims` accepted for PyTorch's `dim` and `keepdim`, in one place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_ALIASES = {"axis": "dim", "keepdims": "keepdim"}


def dims(function: Callable[..., _Result]) -> Callable[..., _Result]:
    """Let `function`, which has a parameter `dim` or `dims`, be called with `axis` and `keepdims` as well.

    Raises:
        TypeError: when called with both names of a parameter.

    Example:
        >>> @dims
        ... def length(shape, dim=None):
        ...     return shape[dim]
        >>> length((2, 3), axis=1)
        3
    """
    plain: Any = function
    while hasattr(plain, "__wrapped__"):
        plain = plain.__wrapped__
    names = dict(_ALIASES)
    if "dims" in plain.__code__.co_varnames[: plain.__code__.co_argcount]:
        names["axis"] = "dims"

    @functools.wraps(function)
    def accept(*args: Any, **options: Any) -> _Result:
        if options and ("axis" in options or "keepdims" in options):
            for alias, name in names.items():
                if alias in options:
                    if name in options:
                        raise TypeError(f"{function.__name__}: got both {name!r} and its alias {alias!r}")
                    options[name] = options.pop(alias)
        return function(*args, **options)

    return accept
