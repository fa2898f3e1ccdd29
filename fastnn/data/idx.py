"""The IDX file format of MNIST and its relatives, plain or gzip-compressed.

An IDX file is big-endian: two zero bytes, a type byte, a byte with the number of dimensions, one uint32 per
dimension, then the elements in C order (Y. LeCun, C. Cortes, C. Burges, "The MNIST database").
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_idx(path: str | Path) -> npt.NDArray[Any]:
    """Read one IDX file, compressed or not (its first bytes tell, not its name).

    Args:
        path: the file.

    Returns:
        A new array in the shape and type that the header states, native byte order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if magic, type or size is wrong, or the compressed stream is damaged.
    """
    import gzip

    path = Path(path)
    with open(path, "rb") as raw:
        compressed = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        try:
            return _parse(gzip.GzipFile(fileobj=raw) if compressed else raw, path)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"read_idx: {path} is damaged: {error}") from error


def _parse(stream: _Readable, path: Path) -> npt.NDArray[Any]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or magic[3] == 0:
        raise ValueError(f"read_idx: {path} is no IDX file: it begins with {magic.hex() or 'nothing'}")
    header = stream.read(4 * magic[3])
    if len(header) != 4 * magic[3]:
        raise ValueError(f"read_idx: {path} ends within its header")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    dtype = np.dtype(_DTYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    body = _read_upto(stream, expected + 1)
    if len(body) != expected:
        found = "more" if len(body) > expected else str(len(body))
        raise ValueError(f"read_idx: {path} should hold {expected} bytes for shape {shape}, found {found}")
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_upto(stream: _Readable, limit: int) -> bytes:
    # Piece by piece: a header that lies about its sizes must not make us allocate what it claims.
    pieces: list[bytes] = []
    while limit > 0 and (piece := stream.read(min(limit, _PIECE))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)
