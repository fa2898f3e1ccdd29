"""Where the weights of the zoo lie: in the package, in a folder of the user's, or in the cache of what was fetched."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .cards import FOLDER, Card

__all__ = ["SOURCE", "cache_folder", "find"]

SOURCE = "FASTNN_ZOO"
"""The environment variable that says where larger files are: a folder, or the file, http or https address of one."""


def find(card: Card, source: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Path:
    """The file with the weights of a card, fetched first if need be.

    It is looked for in the package, then in the cache, then in the source. A file from a server goes to the cache under
    a temporary name, is checked, and renamed: what is there is whole. One in a folder stays there.

    Args:
        card: of the network.
        source: a folder that holds the file, or the file, http or https address of one; None means the environment
            variable `FASTNN_ZOO`.
        progress: whether to show a bar.

    Raises:
        FileNotFoundError: if the file is not in the package, and there is no source or it does not have the file.
        OSError: if an address cannot be reached.
        ValueError: if a file has another SHA-256 than the card says.
    """
    packaged, cached = FOLDER / card.file, cache_folder() / card.file
    if packaged.is_file():
        return _checked(packaged, card)
    if cached.is_file() and _sha256(cached) == card.sha256:
        return cached
    place = os.fspath(source) if source is not None else os.environ.get(SOURCE, "")
    wanted = f"{card.file} ({card.bytes:,} bytes, SHA-256 {card.sha256})"
    if not place:
        raise FileNotFoundError(
            f"zoo: the weights of {card.name!r} are not in the package; put {wanted} into a folder and name it, or the "
            f"address of one, by source or {SOURCE}"
        )
    if "://" not in place or place.startswith("file://"):
        path = _folder(place) / card.file
        if not path.is_file():
            raise FileNotFoundError(f"zoo: the folder {path.parent} has no {wanted}")
        return _checked(path, card)
    return _fetched(f"{place.rstrip('/')}/{card.file}", cached, card, wanted, progress)


def _fetched(url: str, path: Path, card: Card, wanted: str, progress: bool) -> Path:
    from ...data.fetch import download

    try:
        return download(url, path, card.sha256, progress=progress)
    except OSError as error:
        raise OSError(
            f"zoo: cannot fetch {url} ({error}); or put {wanted} into a folder and name it by {SOURCE}"
        ) from error


def _folder(place: str) -> Path:
    """The folder that a path or a file address stands for."""
    if not place.startswith("file://"):
        return Path(place).expanduser()
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(place).path))


def cache_folder() -> Path:
    """The folder of what was fetched: `fastnn/zoo` in `XDG_CACHE_HOME`, or else in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastnn" / "zoo"


def _checked(path: Path, card: Card) -> Path:
    found = _sha256(path)
    if found != card.sha256:
        raise ValueError(f"zoo: {path} has the SHA-256 {found}, the card of {card.name!r} says {card.sha256}")
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
