"""A seed decides everything: weights, batches, dropout; in any process, on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import data, nn, transforms
from tests.process import python

TRAIN = "from tests.training import train; print(train(3))"


def test_a_seed_decides_training_in_every_process() -> None:
    """Neither the process, nor hash randomisation, nor threads enter the result."""
    digests = {
        python(TRAIN, PYTHONHASHSEED=hash_seed, FASTNN_NUM_THREADS=threads).stdout
        for hash_seed, threads in (("1", "1"), ("2", "2"), ("3", "3"))
    }
    assert len(digests) == 1


def test_a_process_that_sets_no_seed_has_the_same_one_each_time() -> None:
    """As in PyTorch; `fastnn.seed()` draws one."""
    drawn = "import fastnn; print(fastnn.rand(4).tolist())"
    assert python(drawn).stdout == python(drawn).stdout
    anew = "import fastnn; fastnn.seed(); print(fastnn.rand(4).tolist())"
    assert python(anew).stdout != python(anew).stdout


def epoch(seed: int) -> list[np.ndarray]:
    """One epoch of shuffled, augmented batches, the loader's seed left to the default generator."""
    fastnn.manual_seed(seed)
    augment = transforms.Compose([transforms.RandomCrop(8, padding=1), transforms.Normalize(0.5, 0.5)])
    loader = data.DataLoader(data.Digits(), 200, shuffle=True, transform=augment)
    return [part.numpy() for batch in loader for part in batch]


def test_a_seed_decides_order_and_augmentation() -> None:
    first, again, other = epoch(1), epoch(1), epoch(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_seed_decides_initial_values_and_dropout() -> None:
    def values(seed: int) -> tuple[np.ndarray, np.ndarray]:
        fastnn.manual_seed(seed)
        return nn.Linear(5, 4).weight.data.copy(), F.dropout(fastnn.ones(100), 0.5).numpy()

    (w, mask), (w_again, mask_again), (w_other, mask_other) = values(3), values(3), values(4)
    assert np.array_equal(w, w_again)
    assert np.array_equal(mask, mask_again)
    assert not np.array_equal(w, w_other)
    assert not np.array_equal(mask, mask_other)


def test_what_is_drawn_in_between_changes_nothing_that_has_a_generator() -> None:
    """A generator of one's own is apart from the default one."""
    own = fastnn.Generator(9)
    first = fastnn.rand(3, generator=own).tolist()
    fastnn.rand(100)
    second = fastnn.rand(3, generator=own).tolist()
    own = fastnn.Generator(9)
    assert [fastnn.rand(3, generator=own).tolist(), fastnn.rand(3, generator=own).tolist()] == [first, second]


def test_numpys_generator_is_neither_used_nor_changed() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    fastnn.manual_seed(1)
    first = fastnn.randn(5).tolist()
    assert np.random.get_state()[1].tolist() == before
    np.random.seed(1)
    fastnn.manual_seed(1)
    assert fastnn.randn(5).tolist() == first


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None])
def test_a_bad_seed_is_refused(seed: object) -> None:
    with pytest.raises((TypeError, ValueError), match="seed"):
        fastnn.manual_seed(seed)  # type: ignore[arg-type]
