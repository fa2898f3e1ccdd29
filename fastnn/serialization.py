"""Saving and loading nested dicts of tensors: safetensors files with a checksum, written atomically.

A file is an ordinary safetensors file: any reader of the format finds the tensors of a state dict in it under
their own names. Two entries of its metadata are fastnn's: `fastnn`, a JSON text with the structure around the
tensors and the numbers, strings and lists between them, and `sha256`, a checksum over that text and all
tensors. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .autograd.dtype import SUPPORTED
from .autograd.tensor import Tensor

_STRUCTURE, _CHECKSUM = "fastnn", "sha256"
_HEADER_LIMIT = 100_000_000
_MARKS = ("$tensor", "$array", "$tuple", "$dict")


def save(state: Mapping[Any, Any], path: str | os.PathLike[str]) -> None:
    """Write a state to `path`, so that at every moment the file is the old one or the whole new one.

    It is written to a temporary file in the same folder, flushed to the disk and renamed.

    Args:
        state: a dict, such as a module's `state_dict()`. Its values may be Tensors, ndarrays, numbers,
            strings, bools, None, and lists, tuples and dicts of such, nested to any depth; keys may be
            strings or numbers.
        path: where to; conventionally it ends in ".safetensors".

    Raises:
        TypeError: if the state holds something else.
        ValueError: if two tensors would get the same dotted name.

    Example:
        >>> import fastnn, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fastnn.save({"epoch": 3, "w": fastnn.tensor([1.0, 2.0])}, folder + "/state.safetensors")
        ...     fastnn.load(folder + "/state.safetensors")["epoch"]
        3
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"save: expected a dict, got {type(state).__name__}")
    from safetensors.numpy import save as encode

    tensors: dict[str, npt.NDArray[Any]] = {}
    structure = json.dumps(_encoded(state, "", tensors), separators=(",", ":"))
    metadata = {_STRUCTURE: structure, _CHECKSUM: _checksum(structure, tensors)}
    write_file(Path(path), _in_fixed_order(encode(tensors, metadata)))


def load(path: str | os.PathLike[str]) -> dict[Any, Any]:
    """Read what `save` wrote, or the tensors of any other safetensors file.

    Args:
        path: the file.

    Returns:
        The state, with Tensors and ndarrays that own their memory. A file without fastnn's metadata, such as a state
        dict that PyTorch's users saved, gives a flat dict of Tensors; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, damaged or not a safetensors file.
    """
    path = Path(path)
    _check_header(path)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: _read(path, file, name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"load: {path} is damaged, or holds a dtype NumPy does not have: {error}") from error
    if _STRUCTURE not in metadata:
        return {name: _tensor(path, name, array) for name, array in tensors.items()}
    structure = metadata[_STRUCTURE]
    if metadata.get(_CHECKSUM) != _checksum(structure, tensors):
        raise ValueError(f"load: {path} is damaged: its checksum does not match its contents")
    try:
        state = _decoded(json.loads(structure), tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"load: {path} has a structure that is not fastnn's: {error}") from error
    if not isinstance(state, dict):
        raise ValueError(f"load: {path} has a structure that is not fastnn's: its root is not a dict")
    return state


def _read(path: Path, file: Any, name: str) -> npt.NDArray[Any]:
    """One tensor of an open file, whose header the library has checked."""
    if file.get_slice(name).get_dtype() != "BF16":
        array: npt.NDArray[Any] = file.get_tensor(name)
        return array
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        entry = json.loads(raw.read(length))[name]
        begin, end = entry["data_offsets"]
        raw.seek(8 + length + begin)
        upper = np.frombuffer(raw.read(end - begin), "<u2")
    # A bfloat16 is the upper half of a float32.
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def _tensor(path: Path, name: str, array: npt.NDArray[Any]) -> Tensor:
    if array.dtype not in SUPPORTED:
        raise ValueError(f"load: '{name}' in {path} has dtype {array.dtype}, which a Tensor cannot have")
    return Tensor(array)


def _encoded(value: Any, name: str, tensors: dict[str, npt.NDArray[Any]]) -> Any:
    """`value` as JSON; its arrays go to `tensors` under dotted names, and leave `{"$tensor": name}`."""
    if isinstance(value, Tensor | np.ndarray):
        if name in tensors:
            raise ValueError(f"save: two tensors would be named '{name}'")
        array = value.data if isinstance(value, Tensor) else value
        if array.dtype.kind not in "biuf":
            raise TypeError(f"save: dtype {array.dtype} of '{name}' cannot be saved")
        tensors[name] = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape)
        return {"$tensor" if isinstance(value, Tensor) else "$array": name}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return {"$tuple": [_encoded(each, _below(name, i), tensors) for i, each in enumerate(value)]}
    if isinstance(value, list):
        return [_encoded(each, _below(name, i), tensors) for i, each in enumerate(value)]
    if isinstance(value, Mapping):
        items = [(key, _encoded(each, _below(name, key), tensors)) for key, each in value.items()]
        if all(isinstance(key, str) for key, _ in items) and not any(mark in value for mark in _MARKS):
            return dict(items)
        for key, _ in items:
            if not isinstance(key, str | bool | int | float):
                raise TypeError(f"save: a key of '{name}' is a {type(key).__name__}; use strings or numbers")
        return {"$dict": [list(pair) for pair in items]}
    raise TypeError(f"save: '{name}' is a {type(value).__name__}, which cannot be saved")


def _below(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _decoded(value: Any, tensors: Mapping[str, npt.NDArray[Any]]) -> Any:
    """What `_encoded` was given."""
    if isinstance(value, list):
        return [_decoded(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return Tensor(tensors[value["$tensor"]])
    if "$array" in value:
        return tensors[value["$array"]]
    if "$tuple" in value:
        return tuple([_decoded(each, tensors) for each in value["$tuple"]])
    if "$dict" in value:
        return {key: _decoded(each, tensors) for key, each in value["$dict"]}
    return {key: _decoded(each, tensors) for key, each in value.items()}


def _checksum(structure: str, tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 over the structure, and over name, dtype, shape and bytes of every tensor by name."""
    digest = hashlib.sha256(structure.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"\n{name} {array.dtype.str} {tensors[name].shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _check_header(path: Path) -> None:
    """Raise ValueError unless the file begins like a safetensors file: a length, then that much JSON."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9:
        raise ValueError(f"load: {path} is not a safetensors file: it has only {size} bytes")
    length = int.from_bytes(start[:8], "little")
    if start[8:] != b"{" or length > _HEADER_LIMIT:
        raise ValueError(f"load: {path} is not a safetensors file: its first bytes are {start!r}")
    if 8 + length > size:
        raise ValueError(f"load: {path} is truncated: {size} bytes, its header alone ends at {8 + length}")


def _in_fixed_order(content: bytes) -> bytes:
    """The same file with its metadata sorted: the library writes them in another order in each process."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def write_file(path: Path, content: bytes) -> None:
    """Write `content` to `path`, so that at every moment the file is the old one or the whole new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise naming(error, path) from None
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def naming(error: OSError, path: Path) -> OSError:
    """The error with the file that could not be written: a full disk names none, and a temporary name tells nothing."""
    return OSError(error.errno, error.strerror, str(path)) if error.errno is not None else error


def json_text(value: Any, *, indent: int | None = None, strict: bool = True) -> str:
    """`value` as JSON.

    Args:
        value: of numbers, strings, lists, dicts and what NumPy makes of them.
        indent: spaces per level; None puts everything on one line.
        strict: whether NaN and infinities, which JSON lacks, become null. Otherwise they are written as Python's
            json module reads them, for files that must give back exactly what was put in.
    """
    return json.dumps(_plain(value, strict), indent=indent, allow_nan=not strict, ensure_ascii=False)


def _plain(value: Any, strict: bool) -> Any:
    """`value` made of what JSON has."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each, strict) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, strict) for each in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist(), strict)
    if strict and isinstance(value, float) and not math.isfinite(value):
        return None
    return value
