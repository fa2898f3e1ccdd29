"""What the walk back may overwrite, and gradients that are added rather than handed over.

A large gradient that is written to new memory costs three passes over memory, one of them to fetch lines that are
overwritten; a sum of two gradients costs three more. Both are saved where nobody else sees the memory:

* A closure marked by `reusing` gets a third argument, a `Reuse`. It says whether the closure may write its result
  over the gradient that it was given, and what has arrived already where a gradient of its goes, to add to.
* A closure may return a `Deferred` gradient, which knows how to add itself to an array: what is zero but in one place
  touches that place only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, TypeVar

import numpy as np

from .dtype import Array, DType

if TYPE_CHECKING:
    from .engine import Edge

Slots: TypeAlias = "list[Array | None]"
_Backward = TypeVar("_Backward", bound=Callable[..., Any])


def _accumulate_by_numpy(total: Array, a: Array) -> None:
    np.add(total, a, out=total)


class Memory:
    """What the walk must know of the memory under arrays; `ops` puts its own here.

    Attributes:
        owners: types of `ndarray.base` whose reference count tells how many arrays look at the memory.
        accumulate: `accumulate(total, a)` adds a gradient to another in place.
    """

    owners: ClassVar[set[type]] = {np.ndarray}
    accumulate: ClassVar[Callable[[Array, Array], None]] = _accumulate_by_numpy


def sole_owner(slots: Slots, i: int) -> bool:
    """Whether `slots[i]` is the only reference to writable memory of its own, so that it may be overwritten.

    The slot's reference and the argument of `getrefcount` make two; a view's base is held by the view, by
    the local name and by the argument, which makes three.
    """
    if getrefcount(slots[i]) != 2:
        return False
    return slots[i] is not None and _sole_memory(slots[i])  # type: ignore[arg-type]


def _sole_memory(array: Array) -> bool:
    """Whether no other array looks at the memory of `array`, no two of its elements share any, and it may be written.

    The strides come first: to ask an array that NumPy has broadcast whether it may be written to is a warning.
    """
    if 0 in array.strides or not array.flags.writeable:
        return False
    owner = array.base
    del array
    while owner is not None:
        if type(owner) not in Memory.owners or getrefcount(owner) != 3:
            return False
        owner = owner.base if isinstance(owner, np.ndarray) else None
    return True


class Deferred(ABC):
    """A gradient that a closure returns in place of an array, and that is best added to another.

    Attributes:
        shape: the gradient's.
        dtype: the gradient's.
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype

    @abstractmethod
    def dense(self) -> Array:
        """The gradient as an array of its own."""

    @abstractmethod
    def add_to(self, total: Array) -> None:
        """Add the gradient to `total` in place."""


class _Added:
    """The type of `ADDED`."""

    __slots__ = ()


ADDED: Final = _Added()
"""What a closure returns in place of a gradient that it has added to `Reuse.arrived` of that input."""


class Reuse:
    """Memory that a closure marked by `reusing` may write to.

    Attributes:
        owned: whether nobody else sees the gradient that the closure was given, so that it may be overwritten.
    """

    __slots__ = ("_edges", "_find", "_last", "owned")

    def __init__(self, owned: bool, last: bool, edges: Sequence[Edge], find: Callable[[Edge], Array | None]) -> None:
        self.owned = owned
        self._last = last
        self._edges = edges
        self._find = find

    def arrived(self, j: int) -> Array | None:
        """The gradient that has arrived where that of input `j` goes, if it may be added to in place.

        A closure that adds to it returns `ADDED` for that input.
        """
        return self._find(self._edges[j])

    def spent(self, saved: Array) -> bool:
        """Whether an array that the closure captured may be overwritten: it runs for the last time, nobody else has it.

        To be asked of the captured variable itself.
        """
        return self._last and getrefcount(saved) == _CAPTURED and _sole_memory(saved)


def _references_of_a_captured_array() -> int:
    """What `getrefcount` says in `Reuse.spent` of an array that only a closure holds; this is the interpreter's."""

    class Counting(Reuse):
        __slots__ = ()

        def spent(self, saved: Array) -> int:  # type: ignore[override]
            return getrefcount(saved)

    def closure() -> int:
        return Counting(False, True, (), lambda edge: None).spent(array)

    array = np.empty(1)  # being captured, this variable is the closure's cell
    return closure()


_CAPTURED = _references_of_a_captured_array()

NOTHING = Reuse(False, False, (None,), lambda edge: None)
"""For closures that are called by others than the walk."""


def reusing(backward: _Backward) -> _Backward:
    """Mark a closure `backward(dy, needs, reuse=NOTHING)` that makes use of a `Reuse`."""
    backward.reuses = True  # type: ignore[attr-defined]
    return backward
