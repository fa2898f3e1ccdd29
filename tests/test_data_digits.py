"""The embedded digits against scikit-learn's copy of the same collection."""

import importlib.util
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from fastnn.data import Digits
from fastnn.data.digits import read_digits

EMBEDDED = Path(importlib.util.find_spec("fastnn.data").origin).parent / "embedded"


@pytest.fixture(scope="module")
def sklearn_digits():
    datasets = pytest.importorskip("sklearn.datasets")
    source = datasets.load_digits()
    return source.images.astype(int), source.target


def test_both_parts_together_are_the_whole_collection(sklearn_digits):
    counts, target = sklearn_digits
    expected = np.floor(counts * 255 / 16 + 0.5).astype(np.uint8)
    train, test = Digits(train=True), Digits(train=False)
    ours = sorted(
        (int(label), image.tobytes())
        for part in (train, test)
        for image, label in zip(part.images[..., 0], part.labels, strict=True)
    )
    assert ours == sorted((int(label), image.tobytes()) for image, label in zip(expected, target, strict=True))
    assert train.images.dtype == np.uint8
    assert train.labels.dtype == np.int64
    assert train.classes == list("0123456789")


def test_every_fifth_of_each_digit_is_held_out(sklearn_digits):
    _, target = sklearn_digits
    seen = dict.fromkeys(range(10), 0)
    expected = []
    for label in target:
        seen[label] += 1
        if seen[label] % 5 == 0:
            expected.append(label)
    test = Digits(train=False)
    assert test.labels.tolist() == expected
    share = np.bincount(test.labels) / np.bincount(target)
    assert np.all(np.abs(share - 0.2) < 0.006)


def test_values_span_the_whole_byte():
    images = Digits().images
    assert images.shape == (1442, 8, 8, 1)
    assert images.min() == 0
    assert images.max() == 255
    assert len(np.unique(images)) == 17


def test_file_is_small_and_its_licence_lies_beside_it():
    assert (EMBEDDED / "digits.bin").stat().st_size < 60_000
    note = (EMBEDDED / "DIGITS.md").read_text("utf-8")
    assert "CC BY 4.0" in note
    assert "Alpaydin" in note


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"NOTDIGIT" + content[8:],
        lambda content: content[:-1],
        lambda content: content[:1000] + bytes([content[1000] ^ 1]) + content[1001:],
        lambda content: content[:8] + struct.pack("<4H", 1798, 8, 8, 16) + content[16:],
        lambda content: content[:8] + struct.pack("<4H", 1797, 8, 8, 15) + content[16:],
    ],
)
def test_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "digits.bin"
    path.write_bytes(damage((EMBEDDED / "digits.bin").read_bytes()))
    with pytest.raises(ValueError, match=r"Digits: .*digits\.bin"):
        read_digits(path)


def test_format_is_as_documented(tmp_path):
    path = tmp_path / "tiny.bin"
    path.write_bytes(b"FNNDIGIT" + struct.pack("<4H", 2, 1, 3, 9) + zlib.compress(bytes([7, 1, 0, 9, 4, 5, 6, 8])))
    pixels, labels, top = read_digits(path)
    assert pixels[..., 0].tolist() == [[[0, 9, 4]], [[5, 6, 8]]]
    assert labels.tolist() == [7, 1]
    assert top == 9
