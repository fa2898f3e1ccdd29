"""The JSON files of a run: every write leaves the old file or the whole new one."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..serialization import json_text, naming, write_file

__all__ = ["append_line", "json_text", "read_json", "write_file", "write_json", "write_lines"]


def write_json(path: Path, value: Any, *, strict: bool = True) -> None:
    """Write `value` as indented JSON (see `json_text`), in one step.

    Raises:
        OSError: if it cannot be written; the old file stays.
    """
    write_file(path, (json_text(value, indent=2, strict=strict) + "\n").encode())


def write_lines(path: Path, values: Iterable[Any]) -> None:
    """Replace the file by one line of JSON per value, in one step."""
    write_file(path, "".join(json_text(value) + "\n" for value in values).encode())


def append_line(path: Path, value: Any) -> None:
    """Add one line of JSON to the file, by a single write that is on the disk when this returns.

    Raises:
        OSError: if it cannot be written; the file is then as it was.
    """
    line = (json_text(value) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError as error:
            os.ftruncate(descriptor, size)
            raise naming(error, path) from None
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value
