"""Splits, intervals, decompositions, curves and calibration: against scikit-learn, SciPy, identities, closed forms."""

from __future__ import annotations

import itertools
import json
import math
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.model_selection import learning_curve as sklearn_learning_curve
from sklearn.naive_bayes import GaussianNB

import fastnn
from fastnn import models, nn, optim
from fastnn.data import Digits, Subset
from fastnn.diagnose import hessian_spectrum, sharpness
from fastnn.evaluation import (
    accuracy,
    bias_variance,
    bootstrap_interval,
    calibration,
    confusion,
    cross_validate,
    fit_temperature,
    k_fold,
    learner_bias_variance,
    learning_curve,
    split,
    wilson_interval,
)
from fastnn.train import NetworkLearner
from tests.learners import SklearnLearner, blobs, columns, rows_of

# Splits


def test_parts_hold_every_row_once_and_the_classes_in_proportion():
    data = Digits()
    parts = split(data, (0.6, 0.3, 0.1), seed=4)
    rows = np.concatenate([rows_of(part) for part in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(data)))
    whole = np.bincount(data.labels)
    for part, fraction in zip(parts, (0.6, 0.3, 0.1), strict=True):
        assert abs(len(part) - fraction * len(data)) <= 1
        assert np.abs(np.bincount(part.labels) - fraction * whole).max() <= 2
    again, other = split(data, (0.6, 0.3, 0.1), seed=4), split(data, (0.6, 0.3, 0.1), seed=5)
    np.testing.assert_array_equal(rows_of(again[2]), rows_of(parts[2]))
    assert not np.array_equal(rows_of(other[2]), rows_of(parts[2]))


def test_a_division_in_two_is_sklearns():
    data = Digits()
    train, _ = train_test_split(np.arange(len(data)), train_size=0.8, stratify=data.labels, random_state=1)
    np.testing.assert_array_equal(rows_of(split(data, (0.8, 0.2), seed=1)[0]), train)


def test_unstratified_parts_are_random_splits():
    data = Digits()
    parts = split(data, (0.5, 0.5), stratified=False, seed=3)
    assert [len(part) for part in parts] == [721, 721]


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_every_row_is_tested_once_and_classes_are_even(folds):
    data = Digits()
    found = k_fold(data, folds)
    np.testing.assert_array_equal(np.sort(np.concatenate([rows_of(fold.test) for fold in found])), np.arange(len(data)))
    counts = np.stack([np.bincount(fold.test.labels, minlength=10) for fold in found])
    assert np.ptp(counts, axis=0).max() <= 1
    for fold in found:
        assert not set(rows_of(fold.train)) & set(rows_of(fold.test))
        assert len(fold.train) + len(fold.test) == len(data)


def test_plain_folds_in_order():
    found = k_fold(Digits(), 3, stratified=False, seed=None)
    np.testing.assert_array_equal(np.concatenate([rows_of(fold.test) for fold in found]), np.arange(len(Digits())))


def test_cross_validation_is_sklearns():
    data = blobs()
    found = cross_validate(SklearnLearner(lambda seed: GaussianNB()), data, folds=4, seed=2)
    x, y = columns(data)
    pairs = [(rows_of(fold.train), rows_of(fold.test)) for fold in k_fold(data, 4, seed=2)]
    expected = cross_val_score(GaussianNB(), x, y, cv=pairs)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-12)
    assert found.mean == pytest.approx(expected.mean())
    assert found.std == pytest.approx(expected.std(ddof=1))


def test_divisions_that_cannot_be():
    with pytest.raises(ValueError, match="split: expected positive fractions"):
        split(Digits(), (0.5, 0.4))
    with pytest.raises(ValueError, match="n_splits"):
        k_fold(Digits(), 1)


# Bootstrap intervals


def test_the_percentile_interval_by_hand():
    """Resamples drawn in a loop: the ends agree within what 20,000 draws leave open."""
    x = np.random.default_rng(0).exponential(size=40)
    found = bootstrap_interval(x, statistic=np.median, resamples=20_000, method="percentile", confidence=0.9)
    rng = np.random.default_rng(1)
    drawn = [np.median(rng.choice(x, 40)) for _ in range(20_000)]
    np.testing.assert_allclose([found.low, found.high], np.quantile(drawn, [0.05, 0.95]), atol=0.03)
    assert found.estimate == np.median(x)
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.05)


def test_the_standard_error_of_a_mean_and_normal_limits():
    """For a mean the bootstrap's standard error is σ̂ / √n, and the interval the normal one for many rows."""
    x = np.random.default_rng(2).standard_normal(2000)
    found = bootstrap_interval(x)
    error = x.std() / math.sqrt(len(x))
    assert found.standard_error == pytest.approx(error, rel=0.03)
    np.testing.assert_allclose([found.low, found.high], x.mean() + 1.96 * error * np.array([-1, 1]), atol=0.05 * error)


def test_the_interval_of_an_accuracy_is_near_wilsons():
    right = np.array([1] * 180 + [0] * 20)
    wilson = stats.binomtest(180, 200).proportion_ci(method="wilson")
    found = bootstrap_interval(right)
    np.testing.assert_allclose([found.low, found.high], [wilson.low, wilson.high], atol=0.012)


def test_paired_columns_and_seeds():
    rng = np.random.default_rng(3)
    x = rng.standard_normal(100)
    y = x + 0.1 * rng.standard_normal(100)

    def difference(a, b):
        return np.mean(a) - np.mean(b)

    paired = bootstrap_interval(x, y, statistic=difference, resamples=500)
    assert paired.high - paired.low < 0.1  # unpaired it would be above 0.5
    again = bootstrap_interval(x, y, statistic=difference, resamples=500)
    np.testing.assert_array_equal(paired.distribution, again.distribution)


def test_no_spread_no_width():
    found = bootstrap_interval(np.ones(50))
    assert (found.low, found.estimate, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("right", "rows"), [(0, 1), (1, 1), (0, 355), (350, 355), (9123, 10_000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_wilsons_interval_is_scipys(right, rows, confidence):
    found = wilson_interval(right, rows, confidence)
    expected = stats.binomtest(right, rows).proportion_ci(confidence, "wilson")
    assert found == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)


def test_wilsons_interval_checks_its_arguments():
    for bad in ((-1, 5), (6, 5), (0, 0), (1, 5, 0.0), (1, 5, 1.0)):
        with pytest.raises(ValueError, match="wilson_interval: expected"):
            wilson_interval(*bad)


def test_coverage():
    """1,000 intervals of 90 % for the mean of 100 exponential values: between 86 % and 93 % hold 1.

    The true coverage of BCa is about 89.5 %; the count leaves the range once in 2,000 runs.
    """
    rng = np.random.default_rng(4)
    held = 0
    for seed in range(1000):
        found = bootstrap_interval(rng.exponential(size=100), confidence=0.9, resamples=999, seed=seed)
        held += found.low <= 1 <= found.high
    assert 860 <= held <= 930


# Bias and variance


@settings(deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 6), st.integers(1, 8))
def test_squared_loss_is_bias_plus_variance(seed, models_, rows):
    rng = np.random.default_rng(seed)
    p, y = rng.standard_normal((models_, rows)), rng.standard_normal(rows)
    found = bias_variance(p, y)
    assert found.loss == pytest.approx(np.mean((p - y) ** 2))
    assert found.loss == pytest.approx(found.bias + found.variance)
    assert found.bias == pytest.approx(np.mean((p.mean(0) - y) ** 2))


@settings(deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 7), st.integers(2, 5))
def test_zero_one_loss_is_bias_plus_net_variance(seed, models_, classes):
    """Domingos' decomposition row by row, its terms counted in loops."""
    rng = np.random.default_rng(seed)
    p, y = rng.integers(0, classes, (models_, 9)), rng.integers(0, classes, 9)
    found = bias_variance(p, y, "zero-one")
    assert found.loss == pytest.approx(np.mean(p != y))
    assert found.loss == pytest.approx(found.bias + found.variance)
    for row in range(9):
        votes = [sum(p[m, row] == c for m in range(models_)) for c in range(classes)]
        main = votes.index(max(votes))
        assert found.row_bias[row] == (main != y[row])
        differ = sum(p[m, row] != main for m in range(models_)) / models_
        right = sum(p[m, row] == y[row] for m in range(models_)) / models_
        assert found.row_variance[row] == pytest.approx(differ if main == y[row] else -right)


@settings(deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 6), st.integers(2, 5))
def test_cross_entropy_is_bias_plus_a_divergence(seed, models_, classes):
    rng = np.random.default_rng(seed)
    p, y = rng.dirichlet(np.ones(classes), (models_, 7)), rng.integers(0, classes, 7)
    found = bias_variance(p, y, "cross-entropy")
    assert found.loss == pytest.approx(np.mean([sk.log_loss(y, q, labels=range(classes)) for q in p]))
    assert found.loss == pytest.approx(found.bias + found.variance)
    main = stats.gmean(p, axis=0)
    main /= main.sum(axis=1, keepdims=True)
    assert found.bias == pytest.approx(sk.log_loss(y, main, labels=range(classes)))
    assert found.variance == pytest.approx(np.mean([stats.entropy(main, q, axis=1) for q in p]))


def test_a_main_prediction_is_as_good_as_the_vote():
    """Squared loss: the average of the models loses exactly the variance."""
    rng = np.random.default_rng(0)
    p, y = rng.standard_normal((5, 50)), rng.standard_normal(50)
    found = bias_variance(p, y)
    assert np.mean((p.mean(0) - y) ** 2) == pytest.approx(found.loss - found.variance)


def test_least_squares_has_the_variance_of_the_text_book():
    """Fixed design, n rows, p features: bias 0, variance σ² p / n, noise σ² (Hastie et al., section 7.3).

    2,000 training sets leave about two per cent of uncertainty in the mean variance.
    """
    rng = np.random.default_rng(5)
    n, p, sigma = 40, 8, 0.7
    x = rng.standard_normal((n, p))
    clean = x @ rng.standard_normal(p)
    hat = x @ np.linalg.pinv(x)
    predictions = np.stack([hat @ (clean + sigma * rng.standard_normal(n)) for _ in range(2000)])
    found = bias_variance(predictions, clean, clean=clean)
    assert found.variance == pytest.approx(sigma**2 * p / n, rel=0.08)
    assert found.bias < 1e-3
    assert found.noise == 0
    noisy = bias_variance(predictions, clean + sigma * rng.standard_normal(n), clean=clean)
    assert noisy.loss == pytest.approx(noisy.noise + noisy.bias + noisy.variance)
    assert noisy.noise == pytest.approx(sigma**2, rel=0.6)


def test_shrinkage_trades_bias_for_variance():
    """Ridge: bias and variance in closed form, (I - S)f and σ² tr SᵀS / n."""
    rng = np.random.default_rng(6)
    n, p, sigma, penalty = 30, 6, 1.0, 20.0
    x = rng.standard_normal((n, p))
    clean = x @ rng.standard_normal(p)
    shrunk = x @ np.linalg.solve(x.T @ x + penalty * np.eye(p), x.T)
    predictions = np.stack([shrunk @ (clean + sigma * rng.standard_normal(n)) for _ in range(3000)])
    found = bias_variance(predictions, clean, clean=clean)
    assert found.bias == pytest.approx(np.mean((clean - shrunk @ clean) ** 2), rel=0.05)
    assert found.variance == pytest.approx(sigma**2 * np.trace(shrunk.T @ shrunk) / n, rel=0.08)


def test_a_learners_decomposition():
    """Naive Bayes barely varies with its training set; a small tree that is grown to the end does."""
    from sklearn.tree import DecisionTreeClassifier

    data, test = blobs(200), blobs(400, seed=1)
    stable = learner_bias_variance(SklearnLearner(lambda seed: GaussianNB()), data, test, models=8)
    learner = SklearnLearner(lambda seed: DecisionTreeClassifier(random_state=seed))
    wild = learner_bias_variance(learner, data, test, models=8)
    assert wild.variance > 2 * stable.variance
    x, y = columns(test)
    assert wild.loss == pytest.approx(np.mean([np.mean(tree.predict(x) != y) for tree in learner.trained]))


def test_decompositions_that_cannot_be():
    with pytest.raises(ValueError, match="expected loss to be one of"):
        bias_variance([[1.0]], [1.0], "absolute")
    with pytest.raises(ValueError, match="expected predictions"):
        bias_variance([1.0], [1.0])
    with pytest.raises(ValueError, match="clean targets"):
        bias_variance([[1]], [1], "zero-one", clean=[1])


# Learning curves


def test_learning_curves_are_sklearns():
    """The same model on the same rows: scikit-learn's scores when it is given the same order."""
    from fastnn.data import RandomSampler

    data, test = blobs(300), blobs(200, seed=1)
    found = learning_curve(SklearnLearner(lambda seed: GaussianNB()), data, test, (20, 0.5, 300), repeats=2, seed=7)
    assert found.sizes == [20, 150, 300]
    (x, y), (a, b) = columns(data), columns(test)
    for repeat in range(2):
        order = RandomSampler(data).order(7, repeat)
        together = np.concatenate([x[order], a]), np.concatenate([y[order], b])
        cv = [(np.arange(300), 300 + np.arange(200))]
        _, train, scores = sklearn_learning_curve(GaussianNB(), *together, train_sizes=[20, 150, 300], cv=cv)
        np.testing.assert_allclose(found.train[:, repeat], train[:, 0])
        np.testing.assert_allclose(found.test[:, repeat], scores[:, 0])


def test_sizes_that_cannot_be():
    learner = SklearnLearner(lambda seed: GaussianNB())
    for sizes in ((), (0,), (301,), (1.5,)):
        with pytest.raises(ValueError, match="learning_curve: expected sizes"):
            learning_curve(learner, blobs(300), blobs(10), sizes)


# Confusion


def test_confusion_is_sklearns():
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((200, 4)), rng.integers(0, 4, 200)
    found = confusion(scores, labels, list("abcd"))
    predicted = scores.argmax(1)
    np.testing.assert_array_equal(found.counts, sk.confusion_matrix(labels, predicted))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(labels, predicted)
    np.testing.assert_allclose([found.precision, found.recall, found.f1], [precision, recall, f1])
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    assert accuracy(scores, labels) == found.accuracy


def test_classes_that_do_not_occur():
    found = confusion([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0, 1])
    assert math.isnan(found.precision[1])
    assert math.isnan(found.recall[2])
    assert found.f1[1] == 0
    assert math.isnan(found.f1[2])
    assert found.balanced_accuracy == 0.5
    with pytest.raises(ValueError, match="confusion: expected"):
        confusion([[1.0, 0.0]], [0], ["only one"])


# Calibration


def draws(seed=0, rows=500, classes=4):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(0.5 * np.ones(classes), rows), rng.integers(0, classes, rows)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_curve_is_sklearns(strategy):
    """scikit-learn's is binary; confidence and being right make it so."""
    p, y = draws(rows=600)
    found = calibration(p, y, bins=10, strategy=strategy)
    share, mean = calibration_curve(p.argmax(1) == y, p.max(1), n_bins=10, strategy=strategy)
    if strategy == "uniform":
        np.testing.assert_allclose(found.accuracy, share)
        np.testing.assert_allclose(found.confidence, mean)
    else:  # its quantiles interpolate, so that one row may fall on the other side of an edge
        np.testing.assert_allclose(found.accuracy, share, atol=0.02)
        np.testing.assert_allclose(found.confidence, mean, atol=0.02)
        assert found.counts == [60] * 10


def test_calibration_errors_by_definition():
    p, y = draws(3)
    found = calibration(p, y, bins=15)
    error, largest = 0.0, 0.0
    for k in range(15):
        rows = [i for i in range(len(p)) if k / 15 < max(p[i]) <= (k + 1) / 15]
        if rows:
            gap = abs(np.mean([p[i].argmax() == y[i] for i in rows]) - np.mean([max(p[i]) for i in rows]))
            error, largest = error + len(rows) / len(p) * gap, max(largest, gap)
    assert found.error == pytest.approx(error)
    assert found.largest_error == pytest.approx(largest)
    assert found.nll == pytest.approx(sk.log_loss(y, p, labels=range(4)))
    assert found.brier == pytest.approx(np.square(p - np.eye(4)[y]).sum(1).mean())


def test_the_binary_brier_score_is_twice_sklearns():
    rng = np.random.default_rng(1)
    share, y = rng.uniform(size=200), rng.integers(0, 2, 200)
    found = calibration(np.stack([1 - share, share], 1), y)
    assert found.brier == pytest.approx(2 * sk.brier_score_loss(y, share))


def test_labels_drawn_from_the_probabilities_are_calibrated():
    """100,000 rows: each of 15 bins is off by about 0.006, so the weighted error stays below 0.02."""
    p, _ = draws(5, rows=100_000)
    y = (np.random.default_rng(6).uniform(size=(len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, 3)
    assert calibration(p, y).error < 0.02
    overconfident = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert calibration(overconfident, y).error > 0.1


def test_the_temperature_of_logits_that_were_scaled():
    """Labels drawn from softmax(z); of 3 z the temperature is 3, and its loss the lowest of a grid."""
    rng = np.random.default_rng(7)
    z = 2 * rng.standard_normal((20_000, 5))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.uniform(size=(len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, 4)
    temperature = fit_temperature(3 * z, y)
    assert temperature == pytest.approx(3, rel=0.05)

    def loss(t):
        q = np.exp(3 * z / t)
        return sk.log_loss(y, q / q.sum(axis=1, keepdims=True))

    assert loss(temperature) <= min(loss(t) for t in np.linspace(2, 4, 41)) + 1e-9
    assert fit_temperature(z, y) == pytest.approx(temperature / 3, rel=1e-4)


def test_probabilities_are_checked():
    with pytest.raises(ValueError, match="calibration: expected rows of probabilities"):
        calibration([[0.5, 0.6]], [0])
    with pytest.raises(ValueError, match="calibration: expected labels from 0 to 1"):
        calibration([[0.5, 0.5]], [2])
    with pytest.raises(ValueError, match="fit_temperature: expected scores"):
        fit_temperature([0.5], [0])
    with pytest.raises(ValueError, match="calibration: expected bins"):
        calibration([[0.5, 0.5]], [0], bins=0)


# Networks, pictures


def test_networks_learn_through_all_of_it():
    learner = NetworkLearner(lambda: models.create("mlp", 10, 1, 8), partial(optim.Adam, lr=3e-3), epochs=3)
    data, test = Digits(), Digits(train=False)
    validated = cross_validate(learner, Subset(data, range(600)), folds=3)
    assert min(validated.scores) > 0.7
    curve = learning_curve(learner, data, test, (60, 600), repeats=1)
    assert curve.test[1, 0] > curve.test[0, 0] + 0.1
    assert learner_bias_variance(learner, data, test, models=2, loss="cross-entropy").variance > 0


def test_the_guides_example_runs(capsys):
    from tests.process import ROOT

    example = (ROOT / "docs" / "diagnosis.md").read_text().split("```python\n")[1].split("```")[0]
    exec(compile(example, "docs/diagnosis.md", "exec"), {"__name__": "__main__"})
    said = capsys.readouterr().out
    assert "accuracy 0.9" in said
    assert "Linear" in said


def test_what_is_missing_is_named(monkeypatch):
    """Without SciPy or scikit-learn, one line that says which extra brings it."""
    for module in ("scipy", "scipy.optimize", "scipy.sparse.linalg", "sklearn"):
        monkeypatch.setitem(sys.modules, module, None)
    p, y = draws(rows=10)
    batches = [(fastnn.ones(2, 3), fastnn.ones(2, 1))]
    calls = {
        "scipy": [
            lambda: bootstrap_interval(y),
            lambda: fit_temperature(p, y),
            lambda: hessian_spectrum(nn.Linear(3, 1), batches, nn.MSELoss()),
            lambda: sharpness(nn.Linear(3, 1), batches, nn.MSELoss()),
        ],
        "sklearn": [lambda: k_fold(Digits()), lambda: split(Digits())],
    }
    for extra, functions in calls.items():
        for call in functions:
            with pytest.raises(ImportError, match=rf"needs .*: pip install fastnn\[{extra}\]$"):
                call()


def test_everything_draws_and_turns_into_json(tmp_path):
    pytest.importorskip("matplotlib")
    p, y = draws()
    learner = SklearnLearner(lambda seed: GaussianNB())
    reports = [
        bootstrap_interval(y, resamples=99),
        bias_variance(np.stack([p, p[::-1]]), y, "cross-entropy"),
        learning_curve(learner, blobs(), blobs(), (50, 100)),
        cross_validate(learner, blobs()),
        confusion(p, y),
        calibration(p, y),
    ]
    for number, report in enumerate(reports):
        assert json.loads(report.to_json()).keys() == report.to_dict().keys()
        report.plot(tmp_path / f"{number}.png")
    assert len(list(itertools.islice(tmp_path.glob("*.png"), 99))) == len(reports)
