#!/usr/bin/env python3
"""Write fastnn/data/embedded/digits.bin from scikit-learn's copy of the UCI digits.

    python scripts/make_digits.py [--check]

With --check it writes nothing and only compares the file with scikit-learn.
Needs numpy and scikit-learn. What is compared is the unpacked content: zlib may pack it into different
bytes from one release to the next.
"""

import argparse
import pathlib
import zlib

import numpy as np
from sklearn.datasets import load_digits

from fastnn.data.digits import HEADER, MAGIC, read_digits

TOP = 16
TARGET = pathlib.Path(__file__).resolve().parents[1] / "fastnn/data/embedded/digits.bin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    args = parser.parse_args()
    source = load_digits()
    pixels = source.images.astype(np.uint8)
    labels = source.target.astype(np.uint8)
    if not np.array_equal(pixels, source.images) or pixels.max() != TOP:
        raise SystemExit("scikit-learn's digits are not the integers 0..16 that this format stores")
    if not args.check:
        packed = zlib.compress(labels.tobytes() + pixels.tobytes(), 9)
        TARGET.write_bytes(HEADER.pack(MAGIC, *pixels.shape, TOP) + packed)
    stored_pixels, stored_labels, top = read_digits(TARGET)
    same = top == TOP and np.array_equal(stored_pixels[..., 0], pixels) and np.array_equal(stored_labels, labels)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, {'as' if same else 'NOT as'} in scikit-learn")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
