"""Bagging, boosting, snapshots and averages: against scikit-learn, bounds, formulas of the papers, linear models."""

from __future__ import annotations

import json
import math
from functools import partial

import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier
from sklearn.tree import DecisionTreeClassifier

import fastnn
import fastnn.nn.functional as F
from fastnn import nn, optim
from fastnn.data import DataLoader, Digits, TensorDataset
from fastnn.ensemble import (
    Snapshots,
    average_checkpoints,
    average_states,
    bagging,
    boosting,
    snapshot_schedule,
)
from fastnn.train import Checkpoints, NetworkLearner, Trainer
from fastnn.transforms import FlipViews
from tests.learners import SklearnLearner, blobs, columns

# Learners


def linear_learner(**options):
    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    return NetworkLearner(make, partial(optim.SGD, lr=0.1), epochs=1, **options)


def weights_of(model):
    return np.concatenate([value.data.ravel() for value in model.state_dict().values()])


def test_a_learners_seed_decides_and_the_default_generator_stays():
    learner, data = linear_learner(), Digits()
    fastnn.random.default_generator.rng()
    before = fastnn.get_rng_state()
    first, again, other = (weights_of(learner.fit(data, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert fastnn.get_rng_state() == before


def test_whole_weights_count_rows_several_times():
    """One full batch: weights 0, 1, 2 give the gradient of the rows repeated so often."""
    data = blobs(12)
    weights = np.array([0, 1, 2] * 4, np.float64)
    x, y = columns(data)
    repeated = np.repeat(np.arange(12), weights.astype(int))
    make = partial(nn.Linear, 4, 3, dtype=fastnn.float64)
    full = {"epochs": 1, "batch_size": 12}
    weighted = NetworkLearner(make, partial(optim.SGD, lr=0.5), **full).fit(data, 3, 7 * weights)
    plain = NetworkLearner(make, partial(optim.SGD, lr=0.5), **full).fit(TensorDataset(x[repeated], y[repeated]), 3)
    np.testing.assert_allclose(weights_of(weighted), weights_of(plain), rtol=1e-12)


def test_equal_weights_change_nothing():
    learner, data = linear_learner(), Digits()
    np.testing.assert_allclose(
        weights_of(learner.fit(data, 0, np.full(len(data), 0.3))), weights_of(learner.fit(data, 0)), rtol=1e-6
    )


def test_weights_and_numbers_are_checked():
    data = blobs(10)
    for bad in (np.ones(9), -np.ones(10), np.zeros(10), np.full(10, np.nan)):
        with pytest.raises(ValueError, match="expected 10 finite weights"):
            linear_learner().fit(data, 0, bad)
    with pytest.raises(ValueError, match="NetworkLearner: expected epochs"):
        NetworkLearner(nn.ReLU, optim.SGD, epochs=0)


def test_a_learners_schedule_is_given_the_number_of_steps():
    seen = []

    def schedule(optimizer, steps):
        seen.append(steps)
        return optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    linear_learner(batch_size=100, scheduler=schedule).fit(Digits(), 0)
    assert seen == [15]


# Bagging


def test_out_of_bag_votes_come_from_models_that_did_not_see_the_row():
    data = blobs(60)
    learner = SklearnLearner(lambda seed: DecisionTreeClassifier(random_state=seed))
    found = bagging(learner, data, 7, seed=3)
    x, y = columns(data)
    right, counted = 0, 0
    for row in range(60):
        votes = [
            tree.predict_proba(x[row : row + 1])[0]
            for tree, rows in zip(learner.trained, found.rows, strict=True)
            if row not in rows
        ]
        if votes:
            np.testing.assert_allclose(found.votes[row], np.mean(votes, axis=0), atol=1e-12)
            counted += 1
            right += np.mean(votes, axis=0).argmax() == y[row]
        else:
            assert np.isnan(found.votes[row]).all()
    assert found.out_of_bag_accuracy == pytest.approx(right / counted)


def test_resamples_leave_out_as_many_rows_as_they_should():
    """Of 1,000 rows (1 - 1/1000)^1000 = 36.8 % are left out, by 20 resamples ± 0.22 %; allowed is five times that."""
    learner = SklearnLearner(lambda seed: DecisionTreeClassifier(max_depth=1))
    found = bagging(learner, blobs(1000), 20)
    share = np.mean([1 - len(np.unique(rows)) / 1000 for rows in found.rows])
    assert abs(share - (1 - 1 / 1000) ** 1000) < 0.011


def test_the_bagged_vote_is_the_commonest_class():
    data, test = blobs(100), blobs(200, seed=1)
    learner = SklearnLearner(lambda seed: DecisionTreeClassifier(random_state=seed))
    found = bagging(learner, data, 9)
    x, _ = columns(test)
    votes = np.stack([tree.predict(x) for tree in learner.trained])
    expected = [np.bincount(column, minlength=3).argmax() for column in votes.T]
    np.testing.assert_array_equal(found.predictor().classes(fastnn.Tensor(x)), expected)


def test_bagging_lowers_the_error_of_trees():
    data, test = blobs(300), blobs(2000, seed=1)
    learner = SklearnLearner(lambda seed: DecisionTreeClassifier(random_state=seed))
    found = bagging(learner, data, 25)
    x, y = columns(test)
    single = np.mean([np.mean(tree.predict(x) == y) for tree in learner.trained])
    together = np.mean(found.predictor().classes(fastnn.Tensor(x)) == y)
    assert together > single + 0.03
    assert abs(found.out_of_bag_accuracy - together) < 0.08


def test_one_member_that_saw_every_row():
    data = TensorDataset(np.zeros((1, 2)), np.zeros(1, np.int64))
    found = bagging(SklearnLearner(lambda seed: DecisionTreeClassifier()), data, 2)
    assert math.isnan(found.out_of_bag_accuracy)
    with pytest.raises(ValueError, match="members >= 1"):
        bagging(linear_learner(), data, 0)


# Boosting


@pytest.mark.parametrize(("classes", "depth", "rate"), [(2, 1, 1.0), (3, 1, 1.0), (5, 2, 1.0), (3, 2, 0.5)])
def test_samme_is_sklearns_adaboost(classes, depth, rate):
    """The same trees with the same weights: equal errors, votes and predictions."""
    data, test = blobs(400, classes), blobs(300, classes, seed=1)
    x, y = columns(data)
    seeds = np.random.RandomState(0)
    # The order of scikit-learn's draws: one per round, before it knows whether the round will be kept.
    drawn = iter([seeds.randint(np.iinfo(np.int32).max) for _ in range(20)])
    learner = SklearnLearner(lambda seed: DecisionTreeClassifier(max_depth=depth, random_state=next(drawn)))
    found = boosting(learner, data, 12, learning_rate=rate)
    theirs = AdaBoostClassifier(
        DecisionTreeClassifier(max_depth=depth), n_estimators=12, learning_rate=rate, random_state=0
    ).fit(x, y)
    count = len(theirs.estimators_)
    assert len(found.models) == count
    np.testing.assert_allclose(found.errors, theirs.estimator_errors_[:count], rtol=1e-9)
    np.testing.assert_allclose(found.alphas, theirs.estimator_weights_[:count], rtol=1e-9)
    inputs, _ = columns(test)
    np.testing.assert_array_equal(found.predictor().classes(fastnn.Tensor(inputs)), theirs.predict(inputs))


def test_the_training_error_keeps_freund_and_schapires_bound():
    """For two classes it is at most Π 2 √(ε (1 - ε))."""
    data = blobs(200, 2)
    found = boosting(SklearnLearner(lambda seed: DecisionTreeClassifier(max_depth=1, random_state=seed)), data, 30)
    x, y = columns(data)
    bound = np.prod([2 * math.sqrt(error * (1 - error)) for error in found.errors])
    error = np.mean(found.predictor().classes(fastnn.Tensor(x)) != y)
    assert error <= bound + 1e-12
    assert bound < 0.7


def test_after_each_round_the_last_model_is_at_chance():
    """The new weights give the model that they come from the error 1 - 1/K (Zhu et al. 2009)."""
    data = blobs(300, 4)
    learner = SklearnLearner(lambda seed: DecisionTreeClassifier(max_depth=2, random_state=seed))
    found = boosting(learner, data, 5)
    x, y = columns(data)
    assert found.weights[learner.trained[-1].predict(x) != y].sum() == pytest.approx(1 - 1 / 4)
    assert found.weights.sum() == pytest.approx(1)


def test_a_model_without_error_and_one_without_merit_end_the_boosting():
    data = blobs(50)
    perfect = boosting(SklearnLearner(lambda seed: DecisionTreeClassifier()), data, 10)
    assert (len(perfect.models), perfect.alphas, perfect.errors) == (1, (1.0,), (0.0,))

    class Useless(SklearnLearner):
        def fit(self, dataset, seed, weights=None):
            def model(inputs):
                scores = np.zeros((len(inputs.data), 3))
                scores[:, seed] = 1
                return fastnn.Tensor(scores)

            return model

    rare = TensorDataset(np.zeros((10, 1)), np.array([0] * 8 + [1, 2]))
    found = boosting(Useless(None), rare, 5)
    assert len(found.models) < 5
    with pytest.raises(ValueError, match="no better than guessing"):
        boosting(Useless(None), rare, 5, seed=1)


def test_boosted_networks_beat_one():
    """Four hidden units and two epochs: weak, together better; by weights and by resampling."""

    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 10))

    learner = NetworkLearner(make, partial(optim.Adam, lr=0.02), epochs=2, batch_size=64)
    data = Digits()
    x, y = columns(data)
    inputs = fastnn.Tensor((x / np.float32(255)).astype(np.float32).transpose(0, 3, 1, 2))
    for resample in (False, True):
        found = boosting(learner, data, 10, resample=resample)
        share = np.mean(found.predictor().classes(inputs) == y)
        assert share > 1 - found.errors[0] + 0.08


def test_boosting_checks_its_arguments():
    with pytest.raises(ValueError, match="rounds >= 1"):
        boosting(linear_learner(), blobs(10), 0)
    with pytest.raises(ValueError, match="at least 2 classes"):
        boosting(linear_learner(), TensorDataset(np.zeros((3, 1)), np.zeros(3, np.int64)))


# Snapshots and averages


def test_the_snapshot_schedule_is_the_papers():
    """Equation 2 of Huang et al., t counted from 1."""
    layer = nn.Linear(1, 1)
    optimizer = optim.SGD(layer.parameters(), lr=0.2)
    schedule = snapshot_schedule(optimizer, 50, 3)
    cycle = math.ceil(50 / 3)
    for t in range(1, 51):
        expected = 0.1 * (math.cos(math.pi * ((t - 1) % cycle) / cycle) + 1)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-12)
        layer(fastnn.ones(1, 1)).sum().backward()
        optimizer.step()
        schedule.step()


def trained_with_snapshots(folder, epochs=4):
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    loader = DataLoader(Digits(), 72, shuffle=True, seed=0, drop_last=True)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    snapshots = Snapshots(folder, 10)
    schedule = snapshot_schedule(optimizer, 20 * epochs, 2 * epochs)
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), schedule, [snapshots], schedule_every="step")
    return trainer, snapshots, loader


def test_snapshots_are_the_models_at_the_ends_of_the_cycles(tmp_path):
    trainer, snapshots, loader = trained_with_snapshots(tmp_path, 2)
    kept = {}

    class Keep(fastnn.train.Callback):
        def on_step_end(self, trainer, result):
            kept[result.step] = (weights_of(trainer.model).copy(), result.lr)

    trainer.callbacks.append(Keep())
    trainer.fit(loader, epochs=2)
    assert snapshots.names == [f"snapshot-000{number}.safetensors" for number in (1, 2, 3, 4)]
    for number, model in enumerate(snapshots.models(trainer.model), 1):
        np.testing.assert_array_equal(weights_of(model), kept[10 * number][0])
        rates = [kept[step][1] for step in range(10 * number - 9, 10 * number + 1)]
        assert rates.index(min(rates)) == 9
        assert not model.training
    x = fastnn.rand(5, 1, 8, 8)
    predictor = snapshots.predictor(trainer.model, last=2)
    expected = np.mean([F.softmax(model(x), dim=1).data for model in snapshots.models(trainer.model, 2)], axis=0)
    np.testing.assert_allclose(predictor.probabilities(x), expected, rtol=1e-5)
    assert trainer.model.training


def test_a_resumed_training_goes_on_with_its_snapshots(tmp_path):
    trainer, snapshots, loader = trained_with_snapshots(tmp_path)
    trainer.fit(loader, epochs=2)
    state = trainer.state_dict()
    state["training"] = json.loads(json.dumps(state["training"]))
    other, resumed, again = trained_with_snapshots(tmp_path)
    other.load_state_dict(state)
    other.fit(again, epochs=4)
    assert len(resumed.names) == 8
    assert resumed.names[:4] == snapshots.names


def test_snapshots_check_their_arguments(tmp_path):
    with pytest.raises(ValueError, match="cycle >= 1"):
        Snapshots(tmp_path, 0)
    with pytest.raises(ValueError, match="expected a snapshot"):
        Snapshots(tmp_path, 1).models(nn.ReLU())
    with pytest.raises(ValueError, match="snapshot_schedule: expected"):
        snapshot_schedule(optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1), 0, 1)


def test_the_average_of_linear_models_predicts_the_average():
    """For a linear model the mean of the weights gives the mean of the outputs."""
    layers = [nn.Linear(4, 3) for _ in range(3)]
    average = nn.Linear(4, 3)
    average.load_state_dict(average_states((layer.state_dict() for layer in layers), weights=(1, 2, 5)))
    x = fastnn.randn(10, 4)
    outputs = [layer(x).data for layer in layers]
    np.testing.assert_allclose(average(x).data, np.average(outputs, axis=0, weights=(1, 2, 5)), rtol=1e-4, atol=1e-6)


def test_averages_are_numpys_and_counters_the_last():
    models = [nn.BatchNorm1d(3) for _ in range(2)]
    for number, model in enumerate(models):
        model(fastnn.randn(20, 3))
        if number:
            model(fastnn.randn(20, 3))
    found = average_states([model.state_dict() for model in models])
    expected = np.mean([model.running_var.data for model in models], axis=0)
    np.testing.assert_allclose(found["running_var"].data, expected, rtol=1e-6)
    assert found["num_batches_tracked"].item() == 2
    assert found["weight"].dtype == np.float32


def test_checkpoints_and_snapshots_are_averaged_from_their_files(tmp_path):
    trainer, snapshots, loader = trained_with_snapshots(tmp_path / "snapshots", 1)
    trainer.callbacks.append(Checkpoints(tmp_path / "run", monitor=None))
    trainer.fit(loader, epochs=1)
    paths = [tmp_path / "run" / "last", tmp_path / "snapshots" / snapshots.names[0]]
    found = average_checkpoints(paths)
    first = snapshots.models(trainer.model)[0].state_dict()
    for name, value in trainer.model.state_dict().items():
        expected = (value.data.astype(np.float64) + first[name].data) / 2
        np.testing.assert_allclose(found[name].data, expected, rtol=1e-6)


def test_states_that_do_not_suit():
    state = nn.Linear(2, 2).state_dict()
    for bad in ([], [state]):
        with pytest.raises(ValueError, match="average_states: expected"):
            average_states(bad, weights=(1, 2))
    with pytest.raises(ValueError, match="state 0 and the last differ in weight"):
        average_states([nn.Linear(3, 2).state_dict(), state])


# One predictor for all of them


def test_every_ensemble_takes_test_time_views(tmp_path):
    """Members times views, averaged or put to the vote: written out."""
    data = Digits()
    learner = linear_learner()
    bag = bagging(learner, data, 3)
    boost = boosting(learner, data, 3)
    trainer, snapshots, loader = trained_with_snapshots(tmp_path, 1)
    trainer.fit(loader, epochs=1)
    x, _ = next(iter(DataLoader(data, 50)))
    flipped = fastnn.Tensor(np.ascontiguousarray(x.data[..., ::-1]))

    def scores(models):
        return np.stack([[F.softmax(model(view), dim=1).data for view in (x, flipped)] for model in models])

    for predictor, models in (
        (bag.predictor("probabilities", FlipViews()), bag.models),
        (snapshots.predictor(trainer.model, views=FlipViews()), snapshots.models(trainer.model)),
    ):
        expected = scores(models).mean(axis=(0, 1))
        np.testing.assert_allclose(predictor.probabilities(x), expected, rtol=1e-5, atol=1e-7)
    votes = np.eye(10)[scores(boost.models).argmax(axis=-1)].mean(axis=1)
    expected = np.average(votes, axis=0, weights=boost.alphas)
    np.testing.assert_allclose(boost.predictor(FlipViews()).probabilities(x), expected, rtol=1e-5, atol=1e-7)
