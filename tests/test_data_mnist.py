"""IDX files made by hand, byte by byte, and the datasets that consist of them."""

import gzip
import struct

import numpy as np
import pytest

from fastnn import data


def idx(code, shape, body):
    return bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + body


IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = [7, 0, 9]


def write_mnist(folder, part="train", suffix="", images=IMAGES, labels=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    pack = gzip.compress if suffix else bytes
    body = idx(8, images.shape, images.tobytes())
    (folder / f"{part}-images-idx3-ubyte{suffix}").write_bytes(pack(body))
    (folder / f"{part}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(8, (len(labels),), bytes(labels))))


@pytest.mark.parametrize(
    ("code", "form", "dtype", "values"),
    [
        (0x08, "B", np.uint8, [0, 1, 255]),
        (0x09, "b", np.int8, [-128, 0, 127]),
        (0x0B, "h", np.int16, [-32768, 1, 258]),
        (0x0C, "i", np.int32, [-(2**31), 1, 65536]),
        (0x0D, "f", np.float32, [-1.5, 0.0, 3.25]),
        (0x0E, "d", np.float64, [-1e300, 0.1, 2.0]),
    ],
)
def test_idx_element_types(tmp_path, code, form, dtype, values):
    path = tmp_path / "values"
    path.write_bytes(idx(code, (3,), struct.pack(f">3{form}", *values)))
    array = data.read_idx(path)
    assert array.dtype == np.dtype(dtype)
    assert array.dtype.isnative
    assert array.tolist() == values


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file"),
        (b"\x89PNG\r\n", "no IDX file"),
        (b"\0\0\x0a\x01" + bytes(8), "no IDX file"),
        (b"\0\0\x08\x00", "no IDX file"),
        (b"\0\0\x08\x03\0\0\0\1", "within its header"),
        (idx(8, (2, 2), b"abc"), "should hold 4 bytes .* found 3"),
        (idx(8, (2, 2), b"abcde"), "found more"),
        (idx(8, (2**32 - 1, 2**32 - 1), b"abc"), "found 3"),
    ],
)
def test_damaged_idx_is_refused(tmp_path, compress, content, message):
    path = tmp_path / "damaged"
    path.write_bytes(compress(content))
    with pytest.raises(ValueError, match=message):
        data.read_idx(path)


def test_damaged_gzip_is_refused(tmp_path):
    whole = gzip.compress(idx(8, (200,), bytes(range(200))))
    path = tmp_path / "damaged.gz"
    for content in (whole[:-9], whole[:30], whole[:40] + bytes([whole[40] ^ 255]) + whole[41:]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"read_idx: .*damaged\.gz"):
            data.read_idx(path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("folder", [".", "mnist", "MNIST", "MNIST/raw"])
def test_mnist_in_every_place(tmp_path, folder, suffix):
    write_mnist(tmp_path / folder, "train", suffix)
    write_mnist(tmp_path / folder, "t10k", suffix, IMAGES[:1] + 1, [3])
    train, test = data.load("MNIST", tmp_path)
    assert np.array_equal(train.images, IMAGES[..., np.newaxis])
    assert train.labels.tolist() == LABELS
    assert train.labels.dtype == np.int64
    assert test.images.tolist() == (IMAGES[:1, ..., np.newaxis] + 1).tolist()
    assert test.labels.tolist() == [3]
    assert train.classes == list("0123456789")
    image, label = train[1]
    assert np.array_equal(image[..., 0], IMAGES[1])
    assert label == 0
    assert isinstance(label, int)


@pytest.mark.parametrize("folder", ["fashion", "fashion-mnist", "FashionMNIST/raw", "."])
def test_fashion_mnist(tmp_path, folder):
    write_mnist(tmp_path / folder)
    dataset = data.FashionMNIST(str(tmp_path))
    assert [dataset.classes[label] for label in dataset.labels] == ["Sneaker", "T-shirt/top", "Ankle boot"]


def test_fashion_is_preferred_to_mnist_beside_it(tmp_path):
    write_mnist(tmp_path, labels=[1, 1, 1])
    write_mnist(tmp_path / "fashion", labels=[2, 2, 2])
    assert data.FashionMNIST(tmp_path).labels.tolist() == [2, 2, 2]
    assert data.MNIST(tmp_path).labels.tolist() == [1, 1, 1]


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"MNIST: no file train-images-idx3-ubyte or .*gz in .*MNIST/raw"):
        data.MNIST(tmp_path)
    write_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="train-labels-idx1-ubyte"):
        data.MNIST(tmp_path)


def test_files_that_do_not_belong_together(tmp_path):
    write_mnist(tmp_path, labels=[1, 2])
    with pytest.raises(ValueError, match="should hold 3 uint8 labels"):
        data.MNIST(tmp_path)
    write_mnist(tmp_path, labels=[1, 2, 10])
    with pytest.raises(ValueError, match=r"label 10, expected 0\.\.9"):
        data.MNIST(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(0x0B, (1, 1, 1), b"\0\1"))
    with pytest.raises(ValueError, match="should hold uint8"):
        data.MNIST(tmp_path)


def test_load_names(tmp_path):
    with pytest.raises(ValueError, match="expected one of digits, mnist"):
        data.load("minst", tmp_path)
    with pytest.raises(ValueError, match="needs the folder"):
        data.load("mnist")
    write_mnist(tmp_path / "fashion", "train")
    write_mnist(tmp_path / "fashion", "t10k")
    assert [len(part) for part in data.load("fashion_mnist", tmp_path)] == [3, 3]
    assert [len(part) for part in data.load("Digits")] == [1442, 355]
