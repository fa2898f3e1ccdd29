"""Download of one file, resumable and checked, with nothing but the standard library."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from http.client import HTTPResponse

Progress = Callable[[int, int | None], None]
_PIECE = 1 << 18


def download(
    url: str, path: str | Path, sha256: str, *, progress: bool | Progress = True, timeout: float = 30.0
) -> Path:
    """Fetch a file unless it is already there, and make sure that it is the right one.

    The bytes go to `path` + ".part"; an interrupted download is taken up where it stopped when the function
    is called again (HTTP `Range`). Only a complete file with the right checksum is renamed to `path`, so
    `path` is never a partial or a wrong file. If a resumed download has the wrong checksum, as when the file
    on the server has changed meanwhile, it is fetched once more from the start.

    Args:
        url: an http or https address.
        path: where the file goes; folders above it are made.
        sha256: the expected SHA-256 in hexadecimal.
        progress: True for a tqdm bar on stderr, False for silence, or a function called with the bytes
            present so far and the total (None if the server does not say).
        timeout: seconds without an answer after which the connection counts as dead.

    Returns:
        `path` as a Path.

    Raises:
        ValueError: if the address or the checksum is malformed, or the file on the server has another one.
        OSError: if the server cannot be reached, refuses (`urllib.error.HTTPError`), or the connection ends
            early; what has arrived is kept for the next call.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"download: expected an http or https address, got {url!r}")
    wanted = sha256.lower()
    if len(wanted) != 64 or set(wanted) - set("0123456789abcdef"):
        raise ValueError(f"download: expected a SHA-256 of 64 hexadecimal digits, got {sha256!r}")
    path = Path(path)
    if path.is_file() and _sha256(path) == wanted:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    resumed = part.is_file() and part.stat().st_size > 0
    _transfer(url, part, progress, timeout)
    if resumed and _sha256(part) != wanted:
        part.unlink()
        _transfer(url, part, progress, timeout)
    found = _sha256(part)
    if found != wanted:
        part.unlink()
        raise ValueError(f"download: {url} has the SHA-256 {found}, expected {wanted}")
    os.replace(part, path)
    return path


def _sha256(path: Path) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _transfer(url: str, part: Path, progress: bool | Progress, timeout: float) -> None:
    """Bring `part` up to the length of the file on the server."""
    import http.client
    import urllib.error
    import urllib.request

    present = part.stat().st_size if part.is_file() else 0
    # Without "identity" a server may compress the answer, and byte ranges would count compressed bytes.
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if present:
        request.add_header("Range", f"bytes={present}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            _receive(response, url, part, present, progress)
    except urllib.error.HTTPError as error:
        error.close()
        # 416: nothing lies beyond what we have. The checksum tells whether that is the file or rubbish.
        if error.code != 416 or not present:
            raise
    except http.client.HTTPException as error:
        raise OSError(f"download: the answer of {url} broke off ({error!r}); call again to resume") from error


def _receive(response: HTTPResponse, url: str, part: Path, present: int, progress: bool | Progress) -> None:
    """Append the body of the answer, or start over if the server sends the whole file."""
    if response.status == 206:
        unit = response.headers.get("Content-Range", "")
        if not unit.startswith(f"bytes {present}-"):
            raise OSError(f"download: {url} answered a request for bytes {present}- with {unit!r}")
    else:
        present = 0
    length = response.headers.get("Content-Length")
    total = None if length is None else present + int(length)
    name = part.name.removesuffix(".part")
    with _display(progress, name, total) as report, open(part, "ab" if present else "wb") as file:
        report(present)
        while piece := response.read(_PIECE):
            file.write(piece)
            present += len(piece)
            report(present)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and present != total:
        raise OSError(f"download: {url} ended after {present} of {total} bytes; call again to resume")


@contextmanager
def _display(progress: bool | Progress, name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Give a function to be told the number of bytes present."""
    if callable(progress):
        yield lambda present: progress(present, total)
    elif progress:
        from tqdm import tqdm

        # disable=None: no bar where stderr is not a terminal.
        with tqdm(total=total, desc=name, unit="B", unit_scale=True, disable=None) as bar:
            yield lambda present: _advance(bar, present)
    else:
        yield lambda present: None


def _advance(bar: Any, present: int) -> None:
    bar.update(present - bar.n)
