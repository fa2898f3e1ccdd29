"""Mini-batches: content, order, layout, exact resume, and the same bits however they are made."""

import gc
import threading

import numpy as np
import pytest

from fastnn import Tensor, data, transforms
from fastnn.random import manual_seed

COUNT = 53


@pytest.fixture(scope="module")
def dataset():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, 6, 5, 3), dtype=np.uint8)
    return data.ArrayDataset(pixels, np.arange(COUNT))


def noisy(images, rng):
    """A transform that uses randomness of every kind of shape."""
    shift = rng.uniform(-1, 1)[:, None, None, None]
    scale = rng.uniform(0.5, 2.0, k=3)[:, None, None, :]
    return (images * scale + shift).astype(np.float32)


def labels_of(loader):
    return [y.numpy().tolist() for _, y in loader]


def rows_of(loader):
    return [label for batch in labels_of(loader) for label in batch]


def bits_of(batches):
    return [tuple(column.numpy().tobytes() for column in batch) for batch in batches]


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_batches_are_slices_in_order(dataset, prefetch):
    loader = data.DataLoader(dataset, batch_size=20, prefetch=prefetch)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [x.shape for x, _ in batches] == [(20, 3, 6, 5), (20, 3, 6, 5), (13, 3, 6, 5)]
    for batch, (x, y) in enumerate(batches):
        rows = np.arange(batch * 20, min(batch * 20 + 20, COUNT))
        assert isinstance(x, Tensor)
        assert isinstance(y, Tensor)
        assert y.numpy().tolist() == rows.tolist()
        assert y.dtype == np.int64
        expected = np.float32(dataset.images[rows].transpose(0, 3, 1, 2)) / np.float32(255)
        assert x.dtype == np.float32
        assert np.array_equal(x.numpy(), expected)


def test_memory_is_channels_last(dataset):
    def mirrored(images, rng):
        return noisy(images, rng)[:, :, ::-1]

    def swapped(images, rng):
        return images.transpose(0, 2, 1, 3)

    for transform in (None, noisy, mirrored, swapped):
        (x, _), *_ = data.DataLoader(dataset, 4, transform=transform, seed=0)
        assert x.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


def test_drop_last_and_batches_beyond_the_dataset(dataset):
    assert [len(b) for b in labels_of(data.DataLoader(dataset, 20, drop_last=True))] == [20, 20]
    assert len(data.DataLoader(dataset, 20, drop_last=True)) == 2
    assert [len(b) for b in labels_of(data.DataLoader(dataset, 1000))] == [COUNT]
    assert labels_of(data.DataLoader(dataset, 1000, drop_last=True)) == []
    assert len(data.DataLoader(dataset, 1000, drop_last=True)) == 0
    assert [len(b) for b in labels_of(data.DataLoader(dataset, COUNT, drop_last=True))] == [COUNT]
    assert len(data.DataLoader(dataset)) == COUNT


@pytest.mark.parametrize("prefetch", [0, 1])
@pytest.mark.parametrize("shuffle", [False, True])
def test_empty_dataset(prefetch, shuffle):
    empty = data.ArrayDataset(np.zeros((0, 8, 8, 1), np.uint8), [])
    loader = data.DataLoader(empty, 8, shuffle, prefetch=prefetch, seed=0)
    assert len(loader) == 0
    assert list(loader) == []
    assert loader.epoch == 1


def test_shuffle_visits_every_row_once_and_anew_each_epoch(dataset):
    loader = data.DataLoader(dataset, 10, shuffle=True, seed=3)
    epochs = [rows_of(loader) for _ in range(3)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    loader.set_epoch(1)
    assert rows_of(loader) == epochs[1]
    other = data.DataLoader(dataset, 7, shuffle=True, seed=3)
    assert rows_of(other) == epochs[0]


@pytest.mark.parametrize("shuffle", [False, True])
def test_prefetch_changes_no_bit(dataset, shuffle):
    runs = []
    for prefetch in (0, 1, 4):
        loader = data.DataLoader(dataset, 8, shuffle, transform=noisy, seed=5, prefetch=prefetch)
        runs.append(bits_of([*loader, *loader]))
    assert runs[0] == runs[1] == runs[2]


def test_randomness_belongs_to_the_image_not_to_its_place(dataset):
    def images_by_label(batch_size, shuffle, epoch):
        loader = data.DataLoader(dataset, batch_size, shuffle, transform=noisy, seed=5)
        loader.set_epoch(epoch)
        return {int(k): x.numpy()[i].tobytes() for x, y in loader for i, k in enumerate(y.numpy())}

    first = images_by_label(8, False, 2)
    assert images_by_label(8, True, 2) == first
    assert images_by_label(COUNT, False, 2) == first
    other = images_by_label(8, False, 3)
    assert all(other[label] != first[label] for label in first)


def test_repeated_rows_get_fresh_randomness_each_time(dataset):
    sampler = data.WeightedRandomSampler([1.0] * 3 + [0.0] * (COUNT - 3), 30)
    loader = data.DataLoader(dataset, 7, transform=noisy, sampler=sampler, seed=1)
    seen = [(int(k), x.numpy()[i].tobytes()) for x, y in loader for i, k in enumerate(y.numpy())]
    assert len(set(seen)) == 30
    assert {label for label, _ in seen} == {0, 1, 2}


@pytest.mark.parametrize("stop", range(8))
@pytest.mark.parametrize("prefetch", [0, 2])
def test_resume_in_mid_epoch_is_exact(dataset, stop, prefetch):
    def fresh(seed):
        return data.DataLoader(dataset, 8, shuffle=True, transform=noisy, seed=seed, prefetch=prefetch)

    whole = fresh(9)
    expected = bits_of([*whole, *whole, *whole])
    interrupted = fresh(9)
    list(interrupted)
    batches = iter(interrupted)
    before = [next(batches) for _ in range(stop)]
    state = interrupted.state_dict()
    del batches
    assert all(type(value) is int for value in state.values())
    resumed = fresh(1234)
    resumed.load_state_dict(state)
    resumed.set_epoch(1)
    assert resumed.state_dict() == state
    after = [*resumed, *resumed]
    assert bits_of([*before, *after]) == expected[7:]


def test_state_between_epochs(dataset):
    loader = data.DataLoader(dataset, 8, seed=9)
    assert loader.state_dict() == {"seed": 9, "epoch": 0, "position": 0}
    positions = [loader.state_dict()["position"] for _ in loader]
    assert positions == [8, 16, 24, 32, 40, 48, 53]
    assert loader.state_dict() == {"seed": 9, "epoch": 1, "position": 0}
    loader.load_state_dict({"seed": 9, "epoch": 4, "position": 53})
    assert list(loader) == []
    assert loader.epoch == 5


def test_leaving_early_and_beginning_again(dataset):
    loader = data.DataLoader(dataset, 8, shuffle=True, seed=9)
    peeked = next(iter(loader))[1].numpy().tolist()
    assert loader.epoch == 0
    assert labels_of(loader)[0] == peeked
    next(iter(loader))
    loader.set_epoch(7)
    assert loader.state_dict() == {"seed": 9, "epoch": 7, "position": 0}


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"seed": 1, "epoch": 0},
        {"seed": 1, "epoch": 0, "position": 0, "more": 1},
        {"seed": 1, "epoch": -1, "position": 0},
        {"seed": 1, "epoch": 0, "position": COUNT + 1},
        {"seed": 1, "epoch": 0, "position": -1},
        {"seed": -1, "epoch": 0, "position": 0},
    ],
)
def test_bad_state_changes_nothing(dataset, state):
    loader = data.DataLoader(dataset, 8, seed=9)
    with pytest.raises(ValueError, match="load_state_dict"):
        loader.load_state_dict(state)
    assert loader.state_dict() == {"seed": 9, "epoch": 0, "position": 0}


def test_seed_comes_from_the_default_generator(dataset):
    def order():
        return labels_of(data.DataLoader(dataset, 8, shuffle=True))

    manual_seed(4)
    first, second = order(), order()
    manual_seed(4)
    assert order() == first != second


def test_float_datasets_pass_through():
    x = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    y = np.arange(10)
    loader = data.DataLoader(data.TensorDataset(x, y, x.astype(np.float64)), 4)
    batches = list(loader)
    assert np.array_equal(np.concatenate([b[0].numpy() for b in batches]), x)
    assert np.concatenate([b[1].numpy() for b in batches]).tolist() == list(range(10))
    assert [column.dtype for column in batches[0]] == [np.float32, np.int64, np.float64]
    flat = data.TensorDataset(np.arange(6, dtype=np.uint8).reshape(3, 2))
    assert next(iter(data.DataLoader(flat, 3)))[0].dtype == np.uint8


def test_subset_and_memmap(dataset, tmp_path):
    dataset.images.tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", np.uint8, "r", shape=dataset.images.shape)
    on_disk = data.ArrayDataset(mapped, dataset.labels)
    expected = bits_of(data.DataLoader(dataset, 8, shuffle=True, transform=noisy, seed=2))
    assert bits_of(data.DataLoader(on_disk, 8, shuffle=True, transform=noisy, seed=2)) == expected
    part, _ = data.random_split(dataset, [20, 33], seed=1)
    seen = rows_of(data.DataLoader(part, 6, shuffle=True, seed=0))
    assert sorted(seen) == sorted(part.indices.tolist())


def test_class_balanced_epoch():
    digits = data.Digits()
    keep = np.flatnonzero((digits.labels != 3) | (np.arange(len(digits)) % 10 == 0))
    rare = data.Subset(digits, keep)
    loader = data.DataLoader(rare, 50, sampler=data.ClassBalancedSampler(rare.labels, 1000), seed=0)
    assert np.bincount(rows_of(loader)).tolist() == [100] * 10


class Broken(data.TensorDataset):
    def batch(self, indices):
        if 6 in indices:
            raise RuntimeError("row 6 cannot be read")
        return super().batch(indices)


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_exceptions_reach_the_consumer_in_their_place(prefetch):
    loader = data.DataLoader(Broken(np.arange(10.0)), 2, prefetch=prefetch)
    batches = iter(loader)
    assert [next(batches)[0].numpy().tolist() for _ in range(3)] == [[0, 1], [2, 3], [4, 5]]
    assert loader.state_dict()["position"] == 6
    with pytest.raises(RuntimeError, match="row 6"):
        next(batches)
    assert loader.epoch == 0


def test_consumer_that_stops_early_leaves_no_thread(dataset):
    for _ in data.DataLoader(dataset, 2, prefetch=3):
        break
    abandoned = iter(data.DataLoader(dataset, 2, prefetch=3))
    next(abandoned)
    del abandoned
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "fastnn-prefetch"]


def test_two_iterators_of_one_loader_do_not_disturb_each_other(dataset):
    loader = data.DataLoader(dataset, 8, shuffle=True, transform=noisy, seed=1)
    for left, right in zip(iter(loader), iter(loader), strict=True):
        assert bits_of([left]) == bits_of([right])


def test_images_still_uint8_after_the_transform_are_scaled(dataset):
    plain = list(data.DataLoader(dataset, 20))
    turned = list(data.DataLoader(dataset, 20, transform=lambda images, rng: images[:, :, ::-1]))
    for (x, _), (mirrored, _) in zip(plain, turned, strict=True):
        assert np.array_equal(mirrored.numpy(), x.numpy()[..., ::-1])


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda images, rng: images / 255, r"float32 or uint8 \(4, h, w, c\), got float64"),
        (lambda images, rng: images[:, :3, 0], r"got uint8 \(4, 3, 3\)"),
        (lambda images, rng: np.float32(images)[:2], r"got float32 \(2, 6, 5, 3\)"),
        (lambda images, rng: np.float32(images)[..., 0], r"got float32 \(4, 6, 5\)"),
        (lambda images, rng: None, "an ndarray, got NoneType"),
    ],
)
@pytest.mark.parametrize("prefetch", [0, 1])
def test_result_of_the_transform_is_checked(dataset, transform, message, prefetch):
    with pytest.raises(ValueError, match=message):
        list(data.DataLoader(dataset, 4, transform=transform, prefetch=prefetch))


def test_transform_needs_images():
    with pytest.raises(ValueError, match=r"needs images.*float64 \(2, 3\)"):
        list(data.DataLoader(data.TensorDataset(np.zeros((2, 3))), 2, transform=noisy))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size >= 1, got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size to be an integer"),
        ({"prefetch": -1}, ValueError, "prefetch >= 0"),
        ({"seed": -1}, ValueError, "seed >= 0"),
        (
            {"shuffle": True, "sampler": data.SequentialSampler([1])},
            ValueError,
            "either shuffle or a sampler",
        ),
        ({"sampler": [1, 2]}, TypeError, r"fastnn\.data\.Sampler, got list"),
        ({"dataset": np.zeros(3)}, TypeError, r"fastnn\.data\.Dataset, got ndarray"),
    ],
)
def test_refused_arguments(dataset, options, error, message):
    with pytest.raises(error, match=message):
        data.DataLoader(**{"dataset": dataset, **options})


class Fixed(data.Sampler):
    def __init__(self, length, rows):
        self.length, self.rows = length, rows

    def __len__(self):
        return self.length

    def order(self, seed, epoch):
        return np.array(self.rows)


@pytest.mark.parametrize("prefetch", [0, 1])
def test_sampler_of_the_user(dataset, prefetch):
    loader = data.DataLoader(dataset, 2, sampler=Fixed(3, [9, 9, 4]), seed=0, prefetch=prefetch)
    assert labels_of(loader) == [[9, 9], [4]]
    for sampler, error, message in (
        (Fixed(3, [1, 2]), ValueError, "promised 3 rows, its order has 2"),
        (Fixed(1, [COUNT]), IndexError, r"Fixed: expected indices in \[0, 53\)"),
        (Fixed(1, [2**60]), IndexError, "Fixed: expected indices"),
        (Fixed(1, [-1]), IndexError, "Fixed: expected indices"),
        (Fixed(1, [0.5]), TypeError, "Fixed: expected integer indices"),
    ):
        with pytest.raises(error, match=message):
            list(data.DataLoader(dataset, 2, sampler=sampler, seed=0, prefetch=prefetch))


def test_negative_epoch(dataset):
    with pytest.raises(ValueError, match="epoch >= 0"):
        data.DataLoader(dataset).set_epoch(-1)


@pytest.mark.parametrize("prefetch", [0, 2])
def test_batches_are_mixed(prefetch):
    """Classes are the constant values of the images: a mixture's mean value is the mean of its classes."""
    labels = np.arange(40) % 4
    dataset = data.ArrayDataset((60 * labels[:, None, None, None] + np.zeros((1, 6, 6, 1))).astype(np.uint8), labels)
    epochs = []
    for _ in range(2):
        mix = transforms.MixUp(alpha=1.0, num_classes=4)
        loader = data.DataLoader(dataset, 10, shuffle=True, mix=mix, seed=3, prefetch=prefetch)
        epochs.append([(x.data.copy(), y.data.copy()) for x, y in loader])
    for (x, y), (again, same) in zip(*epochs, strict=True):
        assert y.shape == (10, 4)
        assert y.dtype == np.float32
        np.testing.assert_allclose(x.mean(axis=(1, 2, 3)) * 255 / 60, y @ np.arange(4), atol=1e-4)
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(y, same)
