"""Finding a dataset's files below a folder that the user names, and saying clearly when they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def locate(owner: str, root: str | Path, folders: Sequence[str], names: Sequence[str]) -> Path:
    """Return the first existing file among the candidate names in the candidate folders.

    Args:
        owner: the dataset's name, for the message.
        root: where the user said to look.
        folders: paths relative to `root`, in order of preference.
        names: alternative names of the same file, in order of preference.

    Raises:
        FileNotFoundError: naming the file and every folder searched.
    """
    for folder in folders:
        for name in names:
            path = Path(root) / folder / name
            if path.is_file():
                return path
    searched = ", ".join(str(Path(root) / folder) for folder in folders)
    raise FileNotFoundError(f"{owner}: no file {' or '.join(names)} in {searched}")
