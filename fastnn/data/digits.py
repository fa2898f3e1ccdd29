"""The embedded dataset: 1,797 handwritten digits of 8 x 8 pixels, in the package itself.

`embedded/digits.bin` is written by scripts/make_digits.py; DIGITS.md beside it names source and licence.

Layout of the file, little-endian: 8 bytes magic, then uint16 count, height, width and largest pixel value,
then one zlib stream of `count` label bytes followed by count * height * width pixel bytes, row by row.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastnn.data.dataset import ArrayDataset

MAGIC = b"FNNDIGIT"
HEADER = struct.Struct("<8s4H")
TEST_EVERY = 5


class Digits(ArrayDataset):
    """Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998), embedded.

    Each pixel counts the dark pixels (0 to 16) in a 4 x 4 block of a 32 x 32 bitmap; here it is scaled to
    0 .. 255 by ``(value * 255 + 8) // 16``. The 1,797 images are the test set of the UCI collection, written
    by 13 people, in scikit-learn's order. No split was published for them; ours is fixed: of the images of
    each digit, every fifth (the 5th, 10th, ... in file order) is held out. This gives 1,442 training and 355
    held-out images, all ten digits within one image of a fifth, and the same writers in both parts, so the
    held-out accuracy says how well a network reads these hands, not unknown ones.

    Args:
        train: the training part if true, the held-out part otherwise.

    Shape:
        images uint8 (1442 or 355, 8, 8, 1), labels int64 (1442 or 355,).

    Raises:
        ValueError: if the file in the package is damaged.

    Example:
        >>> Digits(train=True).images.shape, Digits(train=False).images.shape
        ((1442, 8, 8, 1), (355, 8, 8, 1))

    Source:
        https://doi.org/10.24432/C50P49, CC BY 4.0.
    """

    def __init__(self, train: bool = True):
        pixels, labels, top = read_digits(Path(__file__).parent / "embedded" / "digits.bin")
        rows = np.flatnonzero(held_out(labels) != train)
        scaled = (pixels[rows].astype(np.uint16) * 255 + top // 2) // top
        super().__init__(scaled.astype(np.uint8), labels[rows], [str(digit) for digit in range(10)])


def held_out(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Mark the test part: of each class every fifth image, in file order.

    Shape:
        labels (N,) -> bool (N,).
    """
    mask = np.zeros(len(labels), np.bool_)
    for digit in np.unique(labels):
        mask[np.flatnonzero(labels == digit)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return mask


def read_digits(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], int]:
    """Read the packed file.

    Returns:
        Pixels uint8 (N, H, W, 1) as counted, labels uint8 (N,), and the largest value a pixel can have.

    Raises:
        ValueError: if magic, sizes or checksum (zlib's Adler-32) do not fit.
    """
    content = path.read_bytes()
    if len(content) < HEADER.size or not content.startswith(MAGIC):
        raise ValueError(f"Digits: {path} is not a packed digits file")
    _, count, height, width, top = HEADER.unpack_from(content)
    try:
        unpacked = np.frombuffer(zlib.decompress(content[HEADER.size :]), np.uint8)
    except zlib.error as error:
        raise ValueError(f"Digits: {path} is damaged: {error}") from error
    if len(unpacked) != count * (1 + height * width) or unpacked[count:].max() > top:
        raise ValueError(f"Digits: {path} is damaged: its header does not fit its content")
    return unpacked[count:].reshape(count, height, width, 1), unpacked[:count], top
