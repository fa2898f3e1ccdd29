"""Metrics: values against plain definitions, in any division into batches, with states that go on exactly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn.train import Accuracy, ConfusionMatrix, Mean, TopK


def draws(seed, rows=37, classes=6):
    rng = np.random.default_rng(seed)
    # Few different scores, so that there are ties.
    return rng.integers(0, 4, (rows, classes)).astype(np.float32), rng.integers(0, classes, rows)


def top_k_by_definition(output, target, k):
    order = np.argsort(-output, axis=1, kind="stable")
    return np.mean([label in row[:k] for row, label in zip(order, target)])


@given(st.integers(0, 2**16), st.integers(1, 7), st.integers(1, 36))
def test_top_k_of_any_batches(seed, k, cut):
    output, target = draws(seed)
    metric = TopK(k)
    for part in (slice(None, cut), slice(cut, None)):
        metric.update(output[part], target[part])
    assert metric.compute() == pytest.approx(top_k_by_definition(output, target, k), abs=1e-12)


def test_accuracy_is_argmax():
    output, target = draws(1)
    metric = Accuracy()
    metric.update(output, target)
    assert metric.compute() == np.mean(output.argmax(axis=1) == target)


def test_probabilities_as_targets():
    output, target = draws(2)
    metric, soft = Accuracy(), Accuracy()
    metric.update(output, target)
    soft.update(output, 0.8 * np.eye(6)[target] + 0.2 / 6)
    assert soft.compute() == metric.compute()


def test_nan_is_wrong():
    metric = TopK(3)
    metric.update(np.array([[np.nan, 1.0, 2.0], [3.0, 1.0, 2.0]]), np.array([0, 0]))
    assert metric.compute() == 0.5


def test_confusion_matrix():
    output, target = draws(3)
    metric = ConfusionMatrix(6)
    metric.update(output[:10], target[:10])
    metric.update(output[10:], target[10:])
    expected = np.zeros((6, 6), np.int64)
    np.add.at(expected, (target, output.argmax(axis=1)), 1)
    assert np.array_equal(metric.compute(), expected)
    metric.reset()
    assert metric.compute().sum() == 0


def test_mean_is_weighted():
    mean = Mean()
    assert math.isnan(mean.value)
    mean.add(2.0, 3)
    mean.add(4.0, 1)
    assert mean.value == 2.5


@pytest.mark.parametrize("make", [Accuracy, lambda: TopK(2), lambda: ConfusionMatrix(6)])
def test_state_goes_on(make):
    output, target = draws(4)
    whole, first, second = make(), make(), make()
    whole.update(output, target)
    first.update(output[:20], target[:20])
    second.load_state_dict(first.state_dict())
    second.update(output[20:], target[20:])
    assert np.array_equal(whole.compute(), second.compute())
    with pytest.raises(ValueError, match="load_state_dict: expected"):
        first.load_state_dict({"other": 1})


@pytest.mark.parametrize(
    ("output", "target"),
    [(np.zeros(3), np.zeros(3, int)), (np.zeros((3, 2)), np.zeros(2, int)), (np.zeros((1, 2)), np.array([2]))],
)
def test_shapes_and_classes_are_checked(output, target):
    with pytest.raises(ValueError, match="Accuracy: expected"):
        Accuracy().update(output, target)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="k >= 1"):
        TopK(0)
    with pytest.raises(ValueError, match="num_classes >= 1"):
        ConfusionMatrix(0)
