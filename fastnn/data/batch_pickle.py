"""A reader for the pickled batches of CIFAR that can do nothing else.

Unpickling runs whatever callables a file names, so a data file must never be handed to `pickle.load`. A
pickle is, however, only a program for a small stack machine. The batches of CIFAR-10 and CIFAR-100 were
written by Python 2 at protocol 2 and use some thirty of its instructions: they build one dictionary of byte
strings, lists of small integers or byte strings, and a single uint8 array. The machine below knows these
instructions, calls nothing, and stands symbols in for the few names such a file mentions:

    numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), "b")   an array yet to be filled
    numpy.dtype("u1", 0, 1)                                        its element type
    _codecs.encode(text, "latin1")                                 how Python 3 writes bytes at protocol 2

Everything else, down to an unexpected argument of these three, is refused with a ValueError. The work done
and the memory taken are bounded by the length of the file.

Source: the instruction set is documented in CPython's Lib/pickletools.py.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Value = bytes | int | list[Any] | npt.NDArray[np.uint8]


class _Symbol(Enum):
    RECONSTRUCT = "numpy.core.multiarray _reconstruct"
    NDARRAY = "numpy ndarray"
    DTYPE = "numpy dtype"
    ENCODE = "_codecs encode"
    UINT8 = "the uint8 element type"
    MARK = "a mark on the stack"


_GLOBALS = {
    (b"numpy.core.multiarray", b"_reconstruct"): _Symbol.RECONSTRUCT,
    (b"numpy._core.multiarray", b"_reconstruct"): _Symbol.RECONSTRUCT,
    (b"numpy", b"ndarray"): _Symbol.NDARRAY,
    (b"numpy", b"dtype"): _Symbol.DTYPE,
    (b"_codecs", b"encode"): _Symbol.ENCODE,
}
_UINT8_STATE = (3, b"|", None, None, None, -1, -1, 0)


class _Array:
    """An array between its REDUCE, which makes it, and its BUILD, which fills it."""

    def __init__(self) -> None:
        self.content: npt.NDArray[np.uint8] | None = None


def read_batch_pickle(path: str | Path) -> dict[bytes, Value]:
    """Read one pickled CIFAR file: a dictionary of strings, integers, flat lists and uint8 arrays.

    Args:
        path: a file such as `data_batch_1`, `batches.meta`, `train`.

    Returns:
        The dictionary with keys as bytes. Lists hold only integers or only bytes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or holds anything that CIFAR's own files do not; nothing in the
            file is ever executed.
    """
    content = Path(path).read_bytes()
    machine = _Machine(content)
    try:
        return _checked(machine.run())
    except (ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        # IndexError is an empty stack, KeyError an unknown memo entry, struct.error a file cut short.
        raise ValueError(f"read_batch_pickle: {path}, byte {machine.at}: {error!s}") from error


def _checked(result: object) -> dict[bytes, Value]:
    if not isinstance(result, dict):
        raise ValueError(f"expected a dictionary, got {type(result).__name__}")
    checked: dict[bytes, Value] = {}
    for key, value in result.items():
        if isinstance(value, _Array):
            value = value.content
        if isinstance(value, list):
            if {type(entry) for entry in value} not in ({int}, {bytes}, set()):
                raise ValueError(f"expected the list {key!r:.60} to hold only integers or only strings")
        elif type(value) not in (bytes, int) and not isinstance(value, np.ndarray):
            raise ValueError(f"the entry {key!r:.60} is a {type(value).__name__}, which CIFAR's files never hold")
        checked[key] = value
    return checked


class _Machine:
    """The stack machine: `stack` for operands, `memo` for values referred to again, `at` in the file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0  # bytes made by _codecs.encode

    def run(self) -> object:
        """Execute up to STOP and return the one value left."""
        if self.take(2) != pickle.PROTO + b"\x02":
            raise ValueError("expected a pickle of protocol 2")
        while (code := self.take(1)) != pickle.STOP:
            step = self.steps.get(code)
            if step is None:
                raise ValueError(f"the instruction {code!r} does not occur in CIFAR's files")
            step(self)
        if len(self.stack) != 1 or self.at != len(self.content):
            raise ValueError("expected the pickle to end with one value and the file with the pickle")
        return self.stack[0]

    def take(self, count: int) -> bytes:
        """The next `count` bytes of the file."""
        piece = self.content[self.at : self.at + count]
        if len(piece) != count:
            raise ValueError(f"the file ends where {count} more bytes are due")
        self.at += count
        return piece

    def number(self, form: str) -> int:
        """The next bytes as one little-endian number."""
        value: int = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]
        return value

    def line(self) -> bytes:
        """The next bytes up to a line feed."""
        end = self.content.find(b"\n", self.at, self.at + 200)
        if end < 0:
            raise ValueError("expected a name ending with a line feed")
        text = self.content[self.at : end]
        self.at = end + 1
        return text

    def pop_to_mark(self) -> list[Any]:
        """Pop everything above the topmost mark, and the mark."""
        for depth in range(len(self.stack) - 1, -1, -1):
            if self.stack[depth] is _Symbol.MARK:
                values = self.stack[depth + 1 :]
                del self.stack[depth:]
                return values
        raise ValueError("expected a mark on the stack")

    def pop_tuple(self, count: int) -> None:
        """Replace the topmost `count` values by a tuple of them."""
        if len(self.stack) < count:
            raise ValueError(f"expected {count} values on the stack, found {len(self.stack)}")
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(values)

    def put(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def find_global(self) -> None:
        name = (self.line(), self.line())
        if name not in _GLOBALS:
            raise ValueError(f"the file asks for {b'.'.join(name).decode('latin-1')!r}, which is refused")
        self.stack.append(_GLOBALS[name])

    def append(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError(f"cannot append to a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(values) % 2:
            raise ValueError("expected a dictionary and pairs to put into it")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_as_bytes(key)] = value

    def reduce(self) -> None:
        """What REDUCE would call, for the three known callables with their only known arguments."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple:
            raise ValueError("expected a tuple of arguments")
        if function is _Symbol.ENCODE and len(arguments) == 2 and _as_bytes(arguments[1]) == b"latin1":
            self.stack.append(self.encode(arguments[0]))
        elif function is _Symbol.DTYPE and len(arguments) == 3 and _as_bytes(arguments[0]) == b"u1":
            self.stack.append(_Symbol.UINT8)
        elif function is _Symbol.RECONSTRUCT and arguments[:2] == (_Symbol.NDARRAY, (0,)):
            self.stack.append(_Array())
        else:
            name = function.value if isinstance(function, _Symbol) else type(function).__name__
            raise ValueError(f"a call of {name!r} with these arguments is refused")

    def encode(self, text: object) -> bytes:
        # A pickler encodes each text once. Doing it again and again would let a short file fill the memory.
        result = _as_bytes(text)
        self.encoded += len(result)
        if self.encoded > len(self.content):
            raise ValueError("the file encodes more text than it holds")
        return result

    def build(self) -> None:
        """Give the value below its state: the element type's (fixed) or the array's (shape and bytes)."""
        state, target = self.stack.pop(), self.stack[-1]
        if type(state) is not tuple:
            raise ValueError("expected a tuple of state")
        if target is _Symbol.UINT8:
            if tuple(_as_bytes(x) if isinstance(x, str) else x for x in state) != _UINT8_STATE:
                raise ValueError("expected the element type to be plain uint8")
        elif isinstance(target, _Array) and target.content is None and len(state) == 5:
            _, shape, dtype, fortran, data = state
            if dtype is not _Symbol.UINT8 or type(shape) is not tuple or type(data) is not bytes:
                raise ValueError("expected an array's state: version, shape, uint8, order, bytes")
            flat = np.frombuffer(data, np.uint8)
            target.content = flat.reshape(shape, order="F" if fortran else "C")
        else:
            raise ValueError(f"a state for a {type(target).__name__} is refused")

    steps: ClassVar[dict[bytes, Callable[[_Machine], None]]] = {
        pickle.MARK: lambda m: m.stack.append(_Symbol.MARK),
        pickle.NONE: lambda m: m.stack.append(None),
        pickle.NEWTRUE: lambda m: m.stack.append(True),
        pickle.NEWFALSE: lambda m: m.stack.append(False),
        pickle.BININT: lambda m: m.stack.append(m.number("i")),
        pickle.BININT1: lambda m: m.stack.append(m.number("B")),
        pickle.BININT2: lambda m: m.stack.append(m.number("H")),
        pickle.BINSTRING: lambda m: m.stack.append(m.take(m.number("I"))),
        pickle.SHORT_BINSTRING: lambda m: m.stack.append(m.take(m.number("B"))),
        pickle.BINUNICODE: lambda m: m.stack.append(m.take(m.number("I")).decode("utf-8")),
        pickle.EMPTY_DICT: lambda m: m.stack.append({}),
        pickle.EMPTY_LIST: lambda m: m.stack.append([]),
        pickle.EMPTY_TUPLE: lambda m: m.stack.append(()),
        pickle.TUPLE: lambda m: m.stack.append(tuple(m.pop_to_mark())),
        pickle.TUPLE1: lambda m: m.pop_tuple(1),
        pickle.TUPLE2: lambda m: m.pop_tuple(2),
        pickle.TUPLE3: lambda m: m.pop_tuple(3),
        pickle.APPEND: lambda m: m.append([m.stack.pop()]),
        pickle.APPENDS: lambda m: m.append(m.pop_to_mark()),
        pickle.SETITEM: lambda m: m.set_items([m.stack.pop(-2), m.stack.pop()]),
        pickle.SETITEMS: lambda m: m.set_items(m.pop_to_mark()),
        pickle.BINPUT: lambda m: m.put(m.number("B")),
        pickle.LONG_BINPUT: lambda m: m.put(m.number("I")),
        pickle.BINGET: lambda m: m.get(m.number("B")),
        pickle.LONG_BINGET: lambda m: m.get(m.number("I")),
        pickle.GLOBAL: lambda m: m.find_global(),
        pickle.REDUCE: lambda m: m.reduce(),
        pickle.BUILD: lambda m: m.build(),
    }


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, bytes):
        raise ValueError(f"expected a string, got a {type(value).__name__}")
    return value
