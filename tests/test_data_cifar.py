"""CIFAR-10 and CIFAR-100 in both layouts, from files made here."""

import pickle

import numpy as np
import pytest

from fastnn import data

RNG = np.random.default_rng(5)
TRAIN = [f"data_batch_{i}" for i in range(1, 6)]
CIFAR10_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def make_rows(count):
    return RNG.integers(0, 256, (count, 3072), dtype=np.uint8)


def as_image(row):
    """The definition: 1024 red, 1024 green, 1024 blue bytes, each row by row."""
    image = np.empty((32, 32, 3), np.uint8)
    for channel in range(3):
        for y in range(32):
            for x in range(32):
                image[y, x, channel] = row[channel * 1024 + y * 32 + x]
    return image


@pytest.fixture
def cifar10():
    return {name: (make_rows(3), RNG.integers(0, 10, 3)) for name in [*TRAIN, "test_batch"]}


def write_binary10(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (rows, labels) in files.items():
        records = b"".join(bytes([label]) + row.tobytes() for row, label in zip(rows, labels, strict=True))
        (folder / f"{name}.bin").write_bytes(records)


def write_python10(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (rows, labels) in files.items():
        content = {b"batch_label": name.encode(), b"labels": [int(x) for x in labels], b"data": rows}
        with open(folder / name, "wb") as file:
            pickle.dump(content, file, protocol=2)


def check10(dataset, files, names):
    rows = np.concatenate([files[name][0] for name in names])
    assert dataset.images.shape == (len(rows), 32, 32, 3)
    assert dataset.images.flags.c_contiguous
    for index in (0, 1, len(rows) - 1):
        assert np.array_equal(dataset.images[index], as_image(rows[index]))
    assert dataset.labels.tolist() == np.concatenate([files[name][1] for name in names]).tolist()
    assert dataset.labels.dtype == np.int64
    assert dataset.classes == CIFAR10_CLASSES


@pytest.mark.parametrize(
    ("write", "folder"),
    [
        (write_binary10, "."),
        (write_binary10, "cifar-10-batches-bin"),
        (write_binary10, "cifar10/cifar-10-batches-bin"),
        (write_python10, "."),
        (write_python10, "cifar-10-batches-py"),
        (write_python10, "cifar10/cifar-10-batches-py"),
    ],
)
def test_cifar10(tmp_path, cifar10, write, folder):
    write(tmp_path / folder, cifar10)
    train, test = data.load("cifar-10", tmp_path)
    check10(train, cifar10, TRAIN)
    check10(test, cifar10, ["test_batch"])


def test_cifar10_missing(tmp_path, cifar10):
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin or data_batch_1 in .*cifar-10-batches-py"):
        data.CIFAR10(tmp_path)
    write_binary10(tmp_path, cifar10)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"no file data_batch_4\.bin beside"):
        data.CIFAR10(tmp_path)
    assert len(data.CIFAR10(tmp_path, train=False)) == 3


@pytest.mark.parametrize("length", [0, 1, 3072, 3074, 2 * 3073 - 1])
def test_cifar10_truncated_binary(tmp_path, cifar10, length):
    write_binary10(tmp_path, cifar10)
    (tmp_path / "test_batch.bin").write_bytes(bytes(length))
    with pytest.raises(ValueError, match=r"test_batch\.bin should hold records of 3073 bytes"):
        data.CIFAR10(tmp_path, train=False)


def test_cifar10_files_of_unequal_length(tmp_path, cifar10):
    cifar10["data_batch_3"] = cifar10["data_batch_3"][0][:2], cifar10["data_batch_3"][1][:2]
    write_binary10(tmp_path, cifar10)
    with pytest.raises(ValueError, match=r"equally many images .* \[3, 3, 2, 3, 3\]"):
        data.CIFAR10(tmp_path)


@pytest.mark.parametrize("write", [write_binary10, write_python10])
def test_cifar10_label_out_of_range(tmp_path, cifar10, write):
    cifar10["test_batch"][1][1] = 10
    write(tmp_path, cifar10)
    with pytest.raises(ValueError, match=r"expected labels 0\.\.9"):
        data.CIFAR10(tmp_path, train=False)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {b"data": make_rows(2)},
        {b"labels": [1, 2]},
        {b"data": make_rows(2), b"labels": [1]},
        {b"data": make_rows(2), b"labels": [b"1", b"2"]},
        {b"data": make_rows(2)[:, :3000], b"labels": [1, 2]},
        {b"data": make_rows(2).ravel(), b"labels": [1] * 6144},
        {b"data": make_rows(0), b"labels": []},
        {b"data": b"bytes", b"labels": [1]},
    ],
)
def test_cifar10_python_batch_without_its_parts(tmp_path, content):
    with open(tmp_path / "test_batch", "wb") as file:
        pickle.dump(content, file, protocol=2)
    with pytest.raises(ValueError, match=r"test_batch(, byte \d+: the file asks for| should hold)"):
        data.CIFAR10(tmp_path, train=False)


@pytest.fixture
def cifar100():
    return {name: (make_rows(4), RNG.integers(0, 20, 4), RNG.integers(0, 100, 4)) for name in ("train", "test")}


def write_binary100(folder, files, names):
    folder.mkdir(parents=True, exist_ok=True)
    for part, (rows, coarse, fine) in files.items():
        records = b"".join(bytes([c, f]) + row.tobytes() for row, c, f in zip(rows, coarse, fine, strict=True))
        (folder / f"{part}.bin").write_bytes(records)
    for kind, entries in names.items():
        (folder / f"{kind}_label_names.txt").write_text("\n".join(entries) + "\n\n")


def write_python100(folder, files, names):
    folder.mkdir(parents=True, exist_ok=True)
    for part, (rows, coarse, fine) in files.items():
        content = {b"data": rows, b"coarse_labels": coarse.tolist(), b"fine_labels": fine.tolist()}
        (folder / part).write_bytes(pickle.dumps(content, protocol=2))
    meta = {f"{kind}_label_names".encode(): [name.encode() for name in entries] for kind, entries in names.items()}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))


@pytest.mark.parametrize(
    ("write", "folder"),
    [(write_binary100, "cifar-100-binary"), (write_python100, "cifar-100-python"), (write_python100, ".")],
)
def test_cifar100(tmp_path, cifar100, write, folder):
    names = {"fine": [f"fine {i}" for i in range(100)], "coarse": [f"coarse {i}" for i in range(20)]}
    write(tmp_path / folder, cifar100, names)
    for train, part in ((True, "train"), (False, "test")):
        rows, coarse, fine = cifar100[part]
        dataset = data.CIFAR100(tmp_path, train=train)
        assert np.array_equal(dataset.images[2], as_image(rows[2]))
        assert dataset.labels.tolist() == fine.tolist()
        assert dataset.classes == names["fine"]
        dataset = data.CIFAR100(tmp_path, train=train, coarse=True)
        assert dataset.labels.tolist() == coarse.tolist()
        assert dataset.classes == names["coarse"]
    assert [len(part) for part in data.load("cifar100", tmp_path)] == [4, 4]


def test_cifar100_without_names(tmp_path, cifar100):
    write_binary100(tmp_path, cifar100, {})
    assert data.CIFAR100(tmp_path).classes == [str(i) for i in range(100)]
    (tmp_path / "fine_label_names.txt").write_text("apple\n")
    with pytest.raises(ValueError, match="expected 100 fine class names"):
        data.CIFAR100(tmp_path)
