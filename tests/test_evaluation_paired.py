"""Two networks on the same rows: against SciPy, by hand, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.evaluation import PairedComparison, compare_predictions, confusion

stats = pytest.importorskip("scipy.stats")


def rows(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictions with the given counts, in a random order."""
    one = np.repeat([0, 0, 1, 1], [both, first, second, neither])
    other = np.repeat([0, 1, 0, 2], [both, first, second, neither])
    order = np.random.default_rng(0).permutation(len(one))
    return one[order], other[order], np.zeros(len(one), np.int64)


@pytest.mark.parametrize("counts", [(50, 4, 9, 7), (10, 0, 0, 3), (0, 1, 0, 0), (9000, 310, 265, 425), (5, 600, 2, 1)])
def test_mcnemar_is_scipys_binomial_test(counts):
    both, first, second, _ = counts
    found = compare_predictions(*rows(*counts))
    assert (found.both, found.only_first, found.only_second, found.neither) == counts
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert found.difference == pytest.approx((first - second) / sum(counts))
    assert found.agreement == pytest.approx(both / sum(counts))
    assert found.low <= found.difference <= found.high


def test_the_interval_by_hand():
    """b = 9.5, c = 4.5 and N = 102 after the halves."""
    found = compare_predictions(*rows(80, 9, 4, 7), confidence=0.9)
    centre, spread = 5 / 102, np.sqrt(14 - 25 / 102) / 102
    z = stats.norm.ppf(0.95)
    assert (found.low, found.high) == pytest.approx((centre - z * spread, centre + z * spread))


def test_the_interval_of_a_difference_covers_it():
    """95 % intervals hold the true difference 95 times in a hundred."""
    rng = np.random.default_rng(3)
    shares = np.array([0.8, 0.08, 0.04, 0.08])
    trials, covered = 2000, 0
    for counts in rng.multinomial(200, shares, size=trials):
        found = compare_predictions(*rows(*counts))
        covered += found.low <= 0.04 <= found.high
    assert 0.94 <= covered / trials <= 0.965


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="three arrays"):
        compare_predictions([0, 1], [0], [0, 1])
    with pytest.raises(ValueError, match="three arrays"):
        compare_predictions([], [], [])
    with pytest.raises(ValueError, match="three arrays"):
        compare_predictions([0.5], [0.5], [0])
    with pytest.raises(ValueError, match="0 < confidence < 1"):
        compare_predictions([0], [0], [0], confidence=1.0)


def test_text_json_and_picture(tmp_path):
    found = compare_predictions(*rows(80, 9, 4, 7))
    assert isinstance(found, PairedComparison)
    assert "+5.00 points" in str(found)
    assert '"only_first": 9' in found.to_json()
    pytest.importorskip("matplotlib")
    found.plot(tmp_path / "pair.png")
    assert (tmp_path / "pair.png").stat().st_size > 2000


def test_most_confused_by_hand():
    predicted = np.array([0, 1, 1, 2, 2, 2, 0, 2])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    found = confusion(np.eye(3)[predicted], labels)
    assert found.most_confused() == [(0, 1, 2), (1, 2, 2), (0, 2, 1), (1, 0, 1)]
    assert found.most_confused(1) == [(0, 1, 2)]
    assert confusion(np.eye(3), np.arange(3)).most_confused() == []
