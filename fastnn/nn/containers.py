"""Modules that hold other modules or parameters: in a row, in a list, in a dict.

A container keeps what it holds as its own attributes, named "0", "1", ... or by key, so that the attribute
walk of `Module` finds it and `state_dict` gets PyTorch's keys without anything being registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from ..autograd.tensor import Tensor
from .module import Module
from .parameter import Parameter


class _Sequence(Module):
    """A list of modules whose names are their places, unless they were given names."""

    def _items(self) -> list[tuple[str, Module]]:
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def _place(self, index: int) -> int:
        """`index` from the front, or IndexError."""
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f"{type(self).__name__}: index {index} is out of range for {size} modules")
        return index % size

    def _rebuild(self, items: Iterable[tuple[str, Module]]) -> None:
        """Hold just these modules, in this order; those whose names are numbers are numbered anew."""
        items = list(items)
        for name, _ in self._items():
            delattr(self, name)
        for i, (name, module) in enumerate(items):
            self.add_module(str(i) if name.isdigit() else name, module)

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter([module for _, module in self._items()])

    def __contains__(self, module: object) -> bool:
        return any(module is each for each in self)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Any:
        """The module at a place, or a container of the same kind with the modules of a slice."""
        items = self._items()
        if isinstance(index, slice):
            # A subclass is a whole network, and a part of it is not one; its own container is.
            kind = next(base for base in type(self).__mro__ if base.__module__ == __name__)
            part = kind()
            part._rebuild(items[index])
            return part
        return items[self._place(index)][1]

    def __setitem__(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        setattr(self, self._items()[self._place(index)][0], module)

    def __delitem__(self, index: int | slice) -> None:
        items = self._items()
        del items[index]
        self._rebuild(items)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self.add_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Put a module before place `index`, as `list.insert` does."""
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        items = self._items()
        items.insert(index, ("0", module))
        self._rebuild(items)
        return self

    def pop(self, index: int = -1) -> Any:
        """Remove the module at a place and return it."""
        items = self._items()
        _, module = items.pop(self._place(index))
        self._rebuild(items)
        return module

    def __add__(self, other: Iterable[Module]) -> Self:
        """A new container with the modules of both."""
        joined = type(self)()
        joined._rebuild(self._items())
        return joined.extend(other)


class Sequential(_Sequence):
    """Modules in a row: each takes what the one before it gives.

    Args:
        args: the modules in order, or one dict that gives each a name.

    Shape:
        Input: what the first module takes. Output: what the last one gives; an empty row is the identity.

    Example:
        >>> from fastnn import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        >>> list(net.state_dict())
        ['1.weight', '1.bias']
    """

    def __init__(self, *args: Module | Mapping[str, Module]) -> None:
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, each in enumerate(args):
                self.add_module(str(i), each)  # type: ignore[arg-type]

    def forward(self, input: Any) -> Any:
        for _, module in self._items():
            input = module(input)
        return input


class ModuleList(_Sequence):
    """A list of modules that is part of a model; it has no forward of its own.

    A plain Python list in an attribute works as well and gives the same names.

    Args:
        modules: the modules to begin with.
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(modules or ())


class _Keyed(Module):
    """A dict of modules or parameters, stored as attributes."""

    _content: type[Any] = Module

    def _items(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if isinstance(value, self._content)}

    def __getitem__(self, key: str) -> Any:
        return self._items()[key]

    def __delitem__(self, key: str) -> None:
        if key not in self._items():
            raise KeyError(key)
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __contains__(self, key: object) -> bool:
        return key in self._items()

    def keys(self) -> Iterable[str]:
        """The keys, in order of insertion."""
        return self._items().keys()

    def values(self) -> Iterable[Any]:
        """What is held, in order of insertion."""
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of key and what it stands for."""
        return self._items().items()

    def clear(self) -> None:
        """Remove everything."""
        for key in self._items():
            delattr(self, key)

    def pop(self, key: str) -> Any:
        """Remove what `key` stands for and return it."""
        value = self[key]
        delattr(self, key)
        return value


class ModuleDict(_Keyed):
    """A dict of modules that is part of a model; it has no forward of its own.

    Args:
        modules: names and modules to begin with. A name must not be one of the dict's own methods.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def __setitem__(self, key: str, module: Module) -> None:
        if key in self and isinstance(module, Module):
            setattr(self, key, module)
        else:
            self.add_module(key, module)

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Set all these names."""
        for key, module in dict(modules).items():
            self[key] = module


class ParameterList(Module):
    """A list of parameters; Tensors and arrays put into it become Parameters that share their memory.

    Args:
        values: the tensors to begin with.
    """

    def __init__(self, values: Iterable[Tensor | npt.NDArray[Any]] | None = None) -> None:
        self.extend(values or ())

    def _items(self) -> list[Parameter]:
        return [value for value in vars(self).values() if isinstance(value, Parameter)]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._items())

    def __getitem__(self, index: int) -> Parameter:
        return self._items()[index]

    def __setitem__(self, index: int, value: Tensor | npt.NDArray[Any]) -> None:
        setattr(self, str(range(len(self))[index]), _parameter("ParameterList", value))

    def append(self, value: Tensor | npt.NDArray[Any]) -> Self:
        """Add a parameter at the end."""
        self.register_parameter(str(len(self)), _parameter("ParameterList", value))
        return self

    def extend(self, values: Iterable[Tensor | npt.NDArray[Any]]) -> Self:
        """Add parameters at the end."""
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(f"({i}): {_described(each)}" for i, each in enumerate(self))


class ParameterDict(_Keyed):
    """A dict of parameters; Tensors and arrays put into it become Parameters that share their memory.

    Args:
        parameters: names and tensors to begin with. A name must not be one of the dict's own methods.
    """

    _content = Parameter

    def __init__(self, parameters: Mapping[str, Tensor | npt.NDArray[Any]] | None = None) -> None:
        self.update(parameters or {})

    def __setitem__(self, key: str, value: Tensor | npt.NDArray[Any]) -> None:
        parameter = _parameter("ParameterDict", value)
        if key in self:
            setattr(self, key, parameter)
        else:
            self.register_parameter(key, parameter)

    def update(self, parameters: Mapping[str, Tensor | npt.NDArray[Any]]) -> None:
        """Set all these names."""
        for key, value in dict(parameters).items():
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join(f"({key}): {_described(each)}" for key, each in self.items())


def _parameter(container: str, value: Any) -> Parameter:
    if isinstance(value, Parameter):
        return value
    if isinstance(value, Tensor | np.ndarray):
        return Parameter(value)
    raise TypeError(f"{container}: expected a Parameter, Tensor or ndarray, got {type(value).__name__}")


def _described(parameter: Parameter) -> str:
    return f"Parameter of shape {parameter.shape} and dtype {parameter.dtype}"
