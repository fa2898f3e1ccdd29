"""Statistics of layers: against NumPy on the activations themselves, by hand where a unit is dead."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn
import fastnn.nn.functional as F
from fastnn import nn
from fastnn.diagnose import LayerMonitor, layer_statistics
from fastnn.diagnose.histogram import RunningHistogram


@settings(deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 5), st.floats(1e-30, 1e30))
def test_a_running_histogram_is_that_of_all_values(seed, parts, scale):
    rng = np.random.default_rng(seed)
    chunks = [scale * rng.standard_normal(rng.integers(1, 50)) * 10.0 ** rng.integers(-3, 4) for _ in range(parts)]
    running, once = RunningHistogram(), RunningHistogram()
    for chunk in chunks:
        running.add(chunk)
    whole = np.concatenate(chunks)
    once.add(whole)
    assert running.bins() == once.bins()
    edges, counts = running.bins()
    np.testing.assert_array_equal(np.histogram(whole, edges)[0], counts)
    assert edges[0] <= whole.min() <= whole.max() < edges[-1]
    assert running.count == whole.size
    np.testing.assert_allclose(running.mean, whole.mean(), rtol=1e-9, atol=1e-9 * np.abs(whole).max())
    np.testing.assert_allclose(running.std, whole.std(), rtol=1e-9)
    assert (running.minimum, running.maximum) == (whole.min(), whole.max())


def test_a_running_histogram_leaves_out_what_is_not_finite():
    values = RunningHistogram()
    assert values.bins() == ([], [])
    assert math.isnan(values.std)
    values.add(np.array([np.nan, np.inf, 0.0, 0.0, 2.0]))
    assert (values.count, values.nonfinite, values.zeros) == (3, 2, 2)
    assert sum(values.bins()[1]) == 3


def convnet():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 6), nn.Tanh(), nn.Linear(6, 3)
    )


def test_activations_and_gradients_are_those_of_the_tape():
    """The forward pass written out, gradients by `retain_grad`, statistics by NumPy."""
    model = convnet()
    x, y = fastnn.randn(16, 1, 8, 8), fastnn.tensor(np.arange(16) % 3)
    report = layer_statistics(model, [(x, y)], F.cross_entropy)
    values = []
    z = x
    for layer in model:
        z = layer(z)
        z.retain_grad()
        values.append(z)
    F.cross_entropy(z, y).backward()
    assert [each.kind for each in report.activations] == [type(layer).__name__ for layer in model]
    for each, value in zip(report.activations, values, strict=True):
        np.testing.assert_allclose([each.mean, each.std], [value.data.mean(), value.data.std()], rtol=1e-4, atol=1e-6)
        assert (each.minimum, each.maximum) == (value.data.min(), value.data.max())
        assert each.zeros == np.mean(value.data == 0)
        assert each.count == value.data.size == sum(each.counts)
    for each, value in zip(report.gradients, values, strict=True):
        expected = value.grad.data.astype(np.float64)
        np.testing.assert_allclose([each.mean, each.std], [expected.mean(), expected.std()], rtol=1e-3, atol=1e-8)


def test_saturated_and_dead_by_hand():
    relu = nn.Sequential(nn.Identity(), nn.ReLU())
    x = fastnn.tensor([[1.0, -1.0, 2.0, 0.0], [-1.0, -2.0, 3.0, 0.0]])
    found = layer_statistics(relu, [(x,)]).activations[1]
    assert (found.saturated, found.dead, found.units) == (5 / 8, 0.5, 4)
    parts = layer_statistics(relu, [(x[:1],), (x[1:],)]).activations[1]
    assert (parts.saturated, parts.dead) == (5 / 8, 0.5)
    assert layer_statistics(relu, [(x,)]).activations[0].saturated is None


@pytest.mark.parametrize(
    ("layer", "flat"),
    [
        (nn.Tanh(), lambda x: 1 - np.tanh(x) ** 2 < 0.05),
        (nn.Sigmoid(), lambda x: 4 * (1 / (1 + np.exp(-x))) * (1 / (1 + np.exp(x))) < 0.05),
        (nn.ReLU6(), lambda x: (x <= 0) | (x >= 6)),
        (nn.Hardtanh(), lambda x: np.abs(x) >= 1),
        (nn.LeakyReLU(0.1), lambda x: np.zeros(x.shape, bool)),
        (nn.ELU(), lambda x: (x < 0) & (np.exp(x) < 0.05)),
        (nn.Softsign(), lambda x: 1 / (1 + np.abs(x)) ** 2 < 0.05),
    ],
    ids=lambda value: type(value).__name__,
)
def test_saturation_is_where_the_slope_is_small(layer, flat):
    x = 4 * np.random.default_rng(0).standard_normal((50, 3, 5)).astype(np.float32)
    found = layer_statistics(nn.Sequential(layer), [(fastnn.Tensor(x),)]).activations[0]
    expected = flat(x.astype(np.float64))
    assert found.saturated == expected.mean()
    assert found.dead == expected.all(axis=(0, 2)).mean()


def test_variance_by_depth_under_two_initialisations():
    """Linear layers of width n multiply the variance by n σ²: Xavier keeps it, 0.01 shrinks it (CS231n, lecture 6)."""
    width = 256
    x = fastnn.randn(200, width)
    for std, factor in ((1 / np.sqrt(width), 1.0), (0.01, width * 1e-4)):
        model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(4)))
        for layer in model:
            nn.init.normal_(layer.weight, std=std)
        stds = [each.std for each in layer_statistics(model, [(x,)]).activations]
        np.testing.assert_allclose(stds, [factor ** (k / 2) for k in (1, 2, 3, 4)], rtol=0.1)


def test_the_model_is_left_as_it_was():
    model = convnet()
    model[1].eval()
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    model[0].weight.grad = kept = fastnn.ones(4, 1, 3, 3)
    x, y = fastnn.randn(8, 1, 8, 8), fastnn.zeros(8, dtype=fastnn.int64)
    layer_statistics(model, [(x, y)], F.cross_entropy, training=True)
    assert model[0].weight.grad is kept
    assert model[4].weight.grad is None
    assert not any(module._hooks for module in model.modules())
    assert not model[1].training
    assert model.training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])


def test_modes():
    model = nn.Sequential(nn.BatchNorm1d(2))
    x = 10 + fastnn.randn(50, 2)
    assert abs(layer_statistics(model, [(x,)], training=True).activations[0].mean) < 1e-3
    assert layer_statistics(model, [(x,)], training=False).activations[0].mean > 5


def test_a_monitor_gathers_what_happens_while_it_is_there():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    with LayerMonitor(model) as monitor:
        model(fastnn.randn(4, 3))
        model(fastnn.randn(6, 3))
    model(fastnn.randn(100, 3))
    report = monitor.report()
    assert [each.count for each in report.activations] == [30, 30]
    assert report.gradients == ()


def test_nonfinite_values_are_counted():
    x = fastnn.tensor([[np.nan, np.inf, 1.0]])
    found = layer_statistics(nn.Sequential(nn.Identity()), [(x,)]).activations[0]
    assert (found.count, found.nonfinite, found.mean) == (1, 2, 1.0)


def test_text_json_and_plot(tmp_path):
    pytest.importorskip("matplotlib")
    x, y = fastnn.randn(16, 1, 8, 8), fastnn.zeros(16, dtype=fastnn.int64)
    report = layer_statistics(convnet(), [(x, y)], F.cross_entropy)
    table = json.loads(report.to_json(tmp_path / "layers.json"))
    assert json.loads((tmp_path / "layers.json").read_text()) == table
    assert table["activations"][2]["kind"] == "ReLU"
    assert len(str(report).splitlines()) == 8
    layer_statistics(convnet(), [(x,)]).plot(tmp_path / "forward.png")
    report.plot(tmp_path / "layers.png")
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="LayerMonitor: expected tolerance"):
        LayerMonitor(nn.ReLU(), tolerance=1.0)
    with pytest.raises(ValueError, match="at least one batch"):
        layer_statistics(nn.ReLU(), [])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_statistics_do_not_depend_on_the_division_into_batches(seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((12, 5)).astype(np.float32)
    model = nn.Sequential(nn.ReLU(), nn.Sigmoid())
    cut = int(rng.integers(1, 12))
    whole = layer_statistics(model, [(fastnn.Tensor(x),)])
    parts = layer_statistics(model, [(fastnn.Tensor(x[:cut]),), (fastnn.Tensor(x[cut:]),)])
    for one, other in zip(whole.activations, parts.activations, strict=True):
        assert (one.counts, one.edges, one.dead, one.saturated) == (
            other.counts,
            other.edges,
            other.dead,
            other.saturated,
        )
        assert one.std == pytest.approx(other.std, rel=1e-9)
