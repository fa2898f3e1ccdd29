"""Datasets over arrays, their parts, and their division."""

import numpy as np
import pytest

from fastnn import Tensor, data


def images(count, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 5, channels), dtype=np.uint8)


def test_array_dataset():
    pixels, labels = images(6), np.array([2, 0, 1, 2, 0, 1], np.uint8)
    dataset = data.ArrayDataset(pixels, labels)
    assert len(dataset) == 6
    assert dataset.classes == ["0", "1", "2"]
    assert dataset.labels.dtype == np.int64
    got_images, got_labels = dataset.batch([5, 5, 0])
    assert got_images.tolist() == [pixels[5].tolist(), pixels[5].tolist(), pixels[0].tolist()]
    assert got_labels.tolist() == [1, 1, 2]
    image, label = dataset[-1]
    assert np.array_equal(image, pixels[5])
    assert label == 1
    assert repr(dataset) == "ArrayDataset(6 images of 4x5x3, 3 classes)"
    assert data.ArrayDataset(pixels[..., 0], labels, ["a", "b", "c", "d"]).images.shape == (6, 4, 5, 1)


def test_batch_is_a_copy_and_the_dataset_is_none():
    pixels = images(3)
    dataset = data.ArrayDataset(pixels, [0, 0, 0])
    assert np.shares_memory(dataset.images, pixels)
    batch, _ = dataset.batch([1])
    batch[:] = 0
    assert np.array_equal(dataset.images, images(3))


def test_strided_images():
    pixels = images(8)[::2, :, ::-1]
    assert np.array_equal(data.ArrayDataset(pixels, range(4)).batch([3, 1])[0], np.stack([pixels[3], pixels[1]]))


def test_memmap_stays_on_disk(tmp_path):
    pixels = images(10)
    pixels.tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "r", shape=pixels.shape)
    dataset = data.ArrayDataset(mapped, np.arange(10))
    assert np.shares_memory(dataset.images, mapped)
    batch, _ = dataset.batch(np.array([9, 4]))
    assert np.array_equal(batch, pixels[[9, 4]])
    assert not isinstance(batch, np.memmap)
    rows = data.TensorDataset(np.memmap(tmp_path / "pixels", "<f4", "r", shape=(10, 15)))
    assert np.shares_memory(rows.tensors[0], mapped) or rows.tensors[0].base is not None
    assert rows.batch([2])[0].tobytes() == pixels[2].tobytes()


@pytest.mark.parametrize("bad", [[6], [-1], [0, 1, 99]])
def test_index_out_of_range(bad):
    for dataset in (data.ArrayDataset(images(6), [0] * 6), data.TensorDataset(np.zeros((6, 2)))):
        with pytest.raises(IndexError, match=r"indices in \[0, 6\)"):
            dataset.batch(bad)


def test_indices_of_the_wrong_kind():
    dataset = data.ArrayDataset(images(2), [0, 1])
    with pytest.raises(TypeError, match="integer indices, got float64"):
        dataset.batch([0.0, 1.0])
    with pytest.raises(TypeError, match="integer indices, got bool"):
        dataset.batch([True, False])
    with pytest.raises(ValueError, match="one-dimensional"):
        dataset.batch([[0, 1]])


@pytest.mark.parametrize(
    ("pixels", "labels", "error", "message"),
    [
        (np.zeros((2, 4, 4, 3)), [0, 1], TypeError, "uint8 images, got float64"),
        (np.zeros((2, 3, 32, 32), np.uint8), [0, 1], ValueError, r"\(N, H, W, C\).*got \(2, 3, 32, 32\)"),
        (np.zeros((2, 16), np.uint8), [0, 1], ValueError, r"got \(2, 16\)"),
        (images(2), [0], ValueError, "expected 2 labels"),
        (images(2), [[0], [1]], ValueError, r"got shape \(2, 1\)"),
        (images(2), [0.0, 1.0], TypeError, "integer labels, got float64"),
        (images(2), [0, -1], ValueError, "labels >= 0, got -1"),
    ],
)
def test_array_dataset_refuses(pixels, labels, error, message):
    with pytest.raises(error, match=message):
        data.ArrayDataset(pixels, labels)


def test_too_few_class_names():
    with pytest.raises(ValueError, match="label 2 has no name among the 2 classes"):
        data.ArrayDataset(images(3), [0, 1, 2], ["a", "b"])


def test_empty_dataset():
    dataset = data.ArrayDataset(np.zeros((0, 8, 8), np.uint8), [])
    assert len(dataset) == 0
    assert dataset.classes == []
    assert dataset.batch([])[0].shape == (0, 8, 8, 1)
    assert [len(part) for part in data.random_split(dataset, [0.5, 0.5])] == [0, 0]


def test_tensor_dataset():
    x, y = np.arange(12.0).reshape(4, 3), np.array([1, 2, 3, 4], np.int32)
    dataset = data.TensorDataset(Tensor(x), y, [5, 6, 7, 8])
    assert len(dataset) == 4
    assert dataset.tensors[0] is x
    got = dataset.batch([3, 0])
    assert [column.tolist() for column in got] == [[[9, 10, 11], [0, 1, 2]], [4, 1], [8, 5]]
    assert [column.dtype for column in got] == [np.float64, np.int32, np.int64]
    row = dataset[1]
    assert row[0].tolist() == [3, 4, 5]
    assert row[1:] == (2, 6)


@pytest.mark.parametrize("arrays", [[], [np.float32(1)], [np.zeros(3), np.zeros(4)]])
def test_tensor_dataset_refuses(arrays):
    with pytest.raises(ValueError, match="TensorDataset"):
        data.TensorDataset(*arrays)


class Squares(data.Dataset):
    """A dataset that only knows single rows."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return np.full(2, index, np.int16), index * index, index / 2, np.float64(index)


def test_rows_are_stacked_by_default():
    columns = Squares().batch([4, 1])
    assert [column.tolist() for column in columns] == [[[4, 4], [1, 1]], [16, 1], [2.0, 0.5], [4.0, 1.0]]
    assert [column.dtype.name for column in columns] == ["int16", "int64", "float32", "float64"]
    with pytest.raises(ValueError, match="at least one index"):
        Squares().batch([])


def test_subset():
    dataset = data.ArrayDataset(images(10), np.arange(10), list("abcdefghij"))
    part = data.Subset(dataset, [7, 2, 2, 9])
    assert len(part) == 4
    assert part.labels.tolist() == [7, 2, 2, 9]
    assert np.array_equal(part.images, images(10)[[7, 2, 2, 9]])
    assert part.classes == list("abcdefghij")
    assert part[3][1] == part[-1][1] == 9
    assert part.batch([3, 0])[1].tolist() == [9, 7]
    inner = data.Subset(part, [3, 1])
    assert inner.dataset is dataset
    assert inner.labels.tolist() == [9, 2]
    with pytest.raises(IndexError, match=r"\[0, 10\)"):
        data.Subset(dataset, [10])
    with pytest.raises(IndexError, match=r"\[0, 2\)"):
        inner.batch([2])
    with pytest.raises(AttributeError, match="labels"):
        _ = data.Subset(data.TensorDataset(np.zeros(3)), [0]).labels


def test_class_subset_numbers_its_classes_anew():
    labels = np.array([2, 0, 1, 2, 0, 3])
    dataset = data.ArrayDataset(images(6), labels, list("abcd"))
    part = data.ClassSubset(dataset, ["c", "a"])
    assert part.classes == ["c", "a"]
    assert part.indices.tolist() == [0, 1, 3, 4]
    assert part.labels.tolist() == [0, 1, 0, 1]
    assert np.array_equal(part.images, images(6)[[0, 1, 3, 4]])
    assert part[2][1] == 0
    assert np.array_equal(part[2][0], images(6)[3])
    pixels, numbers = part.batch([3, 0])
    assert numbers.tolist() == [1, 0]
    assert np.array_equal(pixels, images(6)[[4, 0]])
    # A part of it keeps the new numbers, and a selection of a part knows that part's.
    inner = data.Subset(part, [2, 1])
    assert inner.labels.tolist() == [0, 1]
    assert inner.batch([0])[1].tolist() == [0]
    assert data.ClassSubset(part, ["a"]).labels.tolist() == [0, 0]
    assert data.ClassSubset(data.Subset(dataset, [5, 2]), ["d"]).labels.tolist() == [0]


@pytest.mark.parametrize("classes", [[], ["a", "a"], ["a", "e"]])
def test_class_subset_refuses_other_names(classes):
    dataset = data.ArrayDataset(images(4), np.arange(4), list("abcd"))
    with pytest.raises(ValueError, match="ClassSubset: expected different names among a, b, c, d, got"):
        data.ClassSubset(dataset, classes)


@pytest.mark.parametrize(
    ("total", "lengths", "expected"),
    [
        (10, [7, 3], [7, 3]),
        (10, [10, 0], [10, 0]),
        (10, [0.8, 0.2], [8, 2]),
        (10, [1 / 3, 1 / 3, 1 / 3], [4, 3, 3]),
        (11, [0.5, 0.25, 0.25], [6, 3, 2]),
        (1, [1], [1]),
        (7, [1.0], [7]),
    ],
)
def test_random_split_divides(total, lengths, expected):
    dataset = data.TensorDataset(np.arange(total))
    parts = data.random_split(dataset, lengths, seed=3)
    assert [len(part) for part in parts] == expected
    assert sorted(int(row) for part in parts for row in part.indices) == list(range(total))


@pytest.mark.torch
def test_random_split_sizes_are_those_of_pytorch():
    torch_data = pytest.importorskip("torch.utils.data")
    for total in (20, 100, 1797):
        for lengths in ([0.29, 0.71], [0.1] * 10, [0.6, 0.3, 0.1]):
            ours = data.random_split(data.TensorDataset(np.arange(total)), lengths)
            theirs = torch_data.random_split(range(total), lengths)
            assert [len(part) for part in ours] == [len(part) for part in theirs]


def test_random_split_depends_on_the_seed_alone():
    first, second = (data.TensorDataset(np.arange(100) + i) for i in range(2))
    orders = [np.concatenate([p.indices for p in data.random_split(first, [60, 40], seed)]) for seed in (1, 1, 2)]
    assert np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[0], orders[2])
    again = data.random_split(second, [60, 40], 1)
    assert np.array_equal(orders[0], np.concatenate([p.indices for p in again]))


@pytest.mark.parametrize("lengths", [[5, 4], [0.5, 0.6], [-1, 11], [], [5.5, 4.5]])
def test_random_split_refuses(lengths):
    with pytest.raises(ValueError, match="random_split"):
        data.random_split(data.TensorDataset(np.zeros(10)), lengths)
