"""Images in folders, one folder per class."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import numpy.typing as npt

from fastnn.cpu import get_num_threads
from fastnn.data.dataset import Dataset, Images, Labels
from fastnn.data.gather import checked_indices, gather_rows

_SMALL_FILE = 8 << 10
SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"})


class ImageFolder(Dataset):
    """JPEG and PNG files below ``root/<class>/``, decoded by Pillow on several threads.

    Classes are the sub-folders of `root` in alphabetical order, files are found below them at any depth and
    sorted by path, so that indices are stable. Photographs are turned upright as their EXIF entry says.
    Nothing is decoded before it is asked for.

    Args:
        root: the folder of the class folders.
        size: None if all images have one size, that of the first; else their height and width (one number
            for a square): each image is scaled, keeping its proportions, until it just covers that size, and
            the centre is cut out.
        mode: "RGB" for three channels or "L" for one; files are converted.
        keep_bytes: decoded images are kept in memory if together they take no more than this.
        threads: decoding threads. By default `fastnn.get_num_threads()`, but one alone if the first file is
            smaller than 8 kB: most of what Pillow does for a small file holds the interpreter's lock.

    Attributes:
        images: uint8 (N, H, W, C), all images decoded; made at first use.
        labels: int64 (N,). classes: the folder names. paths: the N files.

    Shape:
        `batch(indices (n,))` -> images uint8 (n, H, W, C), labels int64 (n,).

    Raises:
        ImportError: if Pillow is missing; it comes with the extra `images`.
        FileNotFoundError: if there is no such folder, or no class folder or no image in it.
        ValueError: if a file is not a decodable 8-bit image or, without `size`, has another size than the
            first.
    """

    def __init__(
        self,
        root: str | Path,
        size: int | tuple[int, int] | None = None,
        *,
        mode: Literal["RGB", "L"] = "RGB",
        keep_bytes: int = 1 << 30,
        threads: int | None = None,
    ):
        _pillow()
        if mode not in ("RGB", "L"):
            raise ValueError(f"ImageFolder: expected mode 'RGB' or 'L', got {mode!r}")
        self.mode = mode
        self.classes, self.paths, labels = _scan(Path(root))
        self.labels: Labels = np.array(labels, np.int64)
        self._resize = size is not None
        self._threads = _decoding_threads(self.paths[0]) if threads is None else threads
        self._shape = (*self._image_size(size), 3 if mode == "RGB" else 1)
        self._known = np.zeros(len(self.paths), np.bool_)
        keep = len(self.paths) * int(np.prod(self._shape)) <= keep_bytes
        self._images: Images | None = np.empty((len(self.paths), *self._shape), np.uint8) if keep else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Images, int]:
        row = range(len(self))[index]
        images, labels = self.batch([row])
        return images[0], int(labels[0])

    def __repr__(self) -> str:
        height, width, channels = self._shape
        return f"ImageFolder({len(self)} images of {height}x{width}x{channels}, {len(self.classes)} classes)"

    @property
    def images(self) -> Images:
        """All images, uint8 (N, H, W, C), decoded now unless they were; needs memory for all of them."""
        rows = np.arange(len(self))
        if self._images is None:
            return self._decode(rows)
        self._fill(rows)
        return self._images

    def batch(self, indices: npt.ArrayLike) -> tuple[Images, Labels]:
        """Images uint8 (n, H, W, C) and labels int64 (n,); IndexError outside [0, len(self))."""
        rows = checked_indices("batch", indices, len(self))
        labels = self.labels[rows]
        if self._images is None:
            return self._decode(rows), labels
        self._fill(rows)
        return gather_rows(self._images, rows), labels

    def _fill(self, rows: npt.NDArray[np.int64]) -> None:
        assert self._images is not None
        missing = np.unique(rows[~self._known[rows]])
        if len(missing):
            self._images[missing] = self._decode(missing)
            self._known[missing] = True

    def _decode(self, rows: npt.NDArray[np.int64]) -> Images:
        out = np.empty((len(rows), *self._shape), np.uint8)

        threads = min(self._threads, len(rows))

        def decode_share(share: int) -> None:
            for place in range(share, len(rows), threads):
                out[place] = self._read(self.paths[rows[place]])

        if threads <= 1:
            decode_share(0)
            return out
        from concurrent.futures import ThreadPoolExecutor

        # A pool per call costs little beside decoding and leaves no thread behind to fork or to join.
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(decode_share, range(threads)):
                pass  # raises what the thread raised
        return out

    def _image_size(self, size: int | tuple[int, int] | None) -> tuple[int, int]:
        if size is None:
            return self._open(self.paths[0]).shape[:2]
        height, width = (size, size) if isinstance(size, int) else size
        if height < 1 or width < 1:
            raise ValueError(f"ImageFolder: expected a size of at least one pixel, got {size}")
        return height, width

    def _read(self, path: Path) -> Images:
        pixels = self._open(path)
        if pixels.shape[:2] != self._shape[:2]:
            raise ValueError(
                f"ImageFolder: {path} has {pixels.shape[0]}x{pixels.shape[1]} pixels, the first image "
                f"{self._shape[0]}x{self._shape[1]}; give a size to bring them to one"
            )
        return pixels

    def _open(self, path: Path) -> Images:
        """Decode one file to uint8 (h, w, C), brought to the given size if there is one."""
        pillow = _pillow()
        from PIL import ImageOps

        try:
            with pillow.open(path) as image:
                if image.mode not in EIGHT_BIT_MODES:
                    raise ValueError(f"ImageFolder: {path} has pixels of mode {image.mode}, not of 8 bits")
                upright = ImageOps.exif_transpose(image).convert(self.mode)
        except (OSError, SyntaxError, pillow.DecompressionBombError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"ImageFolder: cannot decode {path}: {error}") from error
        if self._resize:
            height, width, _ = self._shape
            upright = ImageOps.fit(upright, (width, height), pillow.Resampling.BILINEAR)
        pixels = np.asarray(upright, np.uint8)
        return pixels if self.mode == "RGB" else pixels[..., np.newaxis]


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("ImageFolder needs Pillow: pip install fastnn[images]") from None
    return Image


def _decoding_threads(first: Path) -> int:
    return 1 if first.stat().st_size < _SMALL_FILE else get_num_threads()


def _scan(root: Path) -> tuple[list[str], list[Path], list[int]]:
    if not root.is_dir():
        raise FileNotFoundError(f"ImageFolder: no folder {root}")
    classes = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(p for p in (root / name).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise FileNotFoundError(f"ImageFolder: no .jpg, .jpeg or .png file below {root}/<class>/")
    return classes, paths, labels
