"""Sharpness, Hessian spectra, gradient noise and update ratios: against closed forms of linear models."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn, optim
from fastnn.data import DataLoader, TensorDataset
from fastnn.diagnose import UpdateRatios, gradient_noise_scale, hessian_spectrum, sharpness
from fastnn.train import Trainer


def regression(rows=40, features=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features))
    y = x @ rng.standard_normal((features, 1)) + 0.5 * rng.standard_normal((rows, 1))
    return x, y


def tensors(x, y):
    return fastnn.Tensor(x.astype(np.float32)), fastnn.Tensor(y.astype(np.float32))


def at_minimum(x, y):
    model = nn.Linear(x.shape[1], 1, bias=False)
    model.weight.data[...] = np.linalg.lstsq(x, y, rcond=None)[0].T
    return model


def test_the_hessian_of_a_linear_model():
    """It is 2 XᵀX / N for the mean squared error."""
    x, y = regression()
    a, b = tensors(x, y)
    batches = [(a[:15], b[:15]), (a[15:], b[15:])]
    exact = np.linalg.eigvalsh(2 * a.data.T.astype(np.float64) @ a.data.astype(np.float64) / len(x))[::-1]
    found = hessian_spectrum(nn.Linear(6, 1, bias=False), batches, F.mse_loss, count=3, probes=400)
    np.testing.assert_allclose(found.eigenvalues, exact[:3], rtol=1e-6)
    # The mean of 400 draws lies within five standard errors but once in a million times.
    assert abs(found.trace - exact.sum()) < 5 * found.trace_error
    assert found.parameters == 6


def test_the_hessian_of_a_network_is_that_of_autograd():
    """Against `autograd.hessian` of the same function of one vector, written with plain operations."""
    fastnn.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x, y = fastnn.randn(20, 3).double(), fastnn.tensor(np.arange(20) % 2)

    def function(w):
        hidden = F.linear(x, w[:12].reshape(4, 3), w[12:16]).tanh()
        return F.cross_entropy(F.linear(hidden, w[16:24].reshape(2, 4), w[24:26]), y)

    flat = np.concatenate([parameter.data.ravel() for parameter in model.parameters()])
    exact = np.linalg.eigvalsh(fastnn.autograd.hessian(function, fastnn.Tensor(flat)).data)[::-1]
    found = hessian_spectrum(model, [(x, y)], F.cross_entropy, count=4)
    np.testing.assert_allclose(found.eigenvalues, exact[:4], rtol=1e-4, atol=1e-6)
    assert math.isnan(found.trace)


def test_sharpness_of_a_linear_model_at_its_minimum():
    """The worst corner of the box, by trying all of them: a convex function is largest at a corner."""
    x, y = regression(features=5)
    model, batch = at_minimum(x, y), tensors(x, y)
    found = sharpness(model, [batch], F.mse_loss, epsilon=0.01, rho=0.1)
    a, b = (each.data.astype(np.float64) for each in batch)
    w = model.weight.data[0].astype(np.float64)

    def loss(v):
        return float(np.square(a @ v - b[:, 0]).mean())

    corners = [loss(w + 0.01 * (np.abs(w) + 1) * np.array(signs)) for signs in itertools.product((-1, 1), repeat=5)]
    assert found.loss == pytest.approx(loss(w), rel=1e-9)
    assert found.loss < found.worst <= max(corners) * (1 + 1e-12)
    assert found.worst - found.loss > 0.5 * (max(corners) - found.loss)
    assert found.sharpness == pytest.approx(100 * (found.worst - found.loss) / (1 + found.loss))
    assert found.profile[0] == pytest.approx(found.loss)
    assert found.profile[-1] == pytest.approx(found.worst)


def test_sharpness_where_the_loss_is_nearly_linear_is_its_slope():
    """Far from the minimum the worst corner is that of the gradient's signs."""
    x, y = regression(features=3)
    model, batch = nn.Linear(3, 1, bias=False), tensors(x, y)
    model.weight.data[...] = [[30.0, -20.0, 10.0]]
    found = sharpness(model, [batch], F.mse_loss, epsilon=1e-3, rho=0.05)
    a, b = (each.data.astype(np.float64) for each in batch)
    w = model.weight.data[0].astype(np.float64)
    gradient = 2 * a.T @ (a @ w - b[:, 0]) / len(a)
    width = 1e-3 * (np.abs(w) + 1)
    assert found.worst == pytest.approx(np.square(a @ (w + width * np.sign(gradient)) - b[:, 0]).mean(), rel=1e-9)
    length = np.linalg.norm(gradient)
    curved = gradient @ (2 * a.T @ a / len(a)) @ gradient / length**2
    assert found.ascent == pytest.approx(0.05 * length + 0.05**2 * curved / 2, rel=1e-9)


def test_a_narrower_minimum_is_sharper():
    """Features twice as large, weights half as large: the same function, four times the curvature."""
    x, y = regression()
    wide = sharpness(at_minimum(x, y), [tensors(x, y)], F.mse_loss)
    narrow = sharpness(at_minimum(2 * x, y), [tensors(2 * x, y)], F.mse_loss)
    assert narrow.loss == pytest.approx(wide.loss, rel=1e-5)
    assert narrow.sharpness > 1.5 * wide.sharpness


def test_the_model_is_not_changed():
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    batch = tensors(*regression())
    sharpness(model, [batch], F.mse_loss)
    hessian_spectrum(model, [batch], F.mse_loss)
    gradient_noise_scale(model, [batch, batch], F.mse_loss)
    assert model.training
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert parameter.dtype == np.float32
        np.testing.assert_array_equal(parameter.data, before[name])


def row_gradients(x, y, w):
    return 2 * (x @ w - y[:, 0])[:, None] * x


def test_the_noise_scale_is_unbiased():
    """Over every way to draw two batches of two rows, with replacement, the estimates average to |G|² and tr Σ."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((4, 3)), rng.standard_normal((4, 1))
    model = nn.Linear(3, 1, bias=False).double()
    each = row_gradients(x, y, model.weight.data[0])
    found = []
    for rows in itertools.product(range(4), repeat=4):
        batches = [(fastnn.Tensor(x[list(part)]), fastnn.Tensor(y[list(part)])) for part in (rows[:2], rows[2:])]
        noise = gradient_noise_scale(model, batches, F.mse_loss)
        found.append((noise.squared_norm, noise.variance))
    mean = each.mean(axis=0)
    np.testing.assert_allclose(np.mean(found, axis=0), [mean @ mean, np.square(each - mean).sum(1).mean()], rtol=1e-10)


def test_the_noise_scale_of_a_large_sample():
    """50,000 rows in batches of 100 against the rows' own gradients; both estimates within five per cent."""
    x, y = regression(rows=50_000, features=4)
    model = nn.Linear(4, 1, bias=False)
    model.weight.data[...] = [[0.3, -0.2, 0.1, 0.5]]
    loader = DataLoader(TensorDataset(x.astype(np.float32), y.astype(np.float32)), 100)
    noise = gradient_noise_scale(model, loader, F.mse_loss)
    each = row_gradients(x, y, model.weight.data[0].astype(np.float64))
    mean = each.mean(axis=0)
    variance = np.square(each - mean).sum(1).mean()
    np.testing.assert_allclose([noise.squared_norm, noise.variance], [mean @ mean, variance], rtol=0.05)
    assert noise.noise_scale == noise.variance / noise.squared_norm
    assert (noise.batch_size, noise.batches, len(noise.norms)) == (100, 500, 500)


def test_batches_of_one_size():
    model = nn.Linear(2, 1)
    batches = [(fastnn.randn(n, 2), fastnn.randn(n, 1)) for n in (8, 8, 3)]
    assert gradient_noise_scale(model, batches, F.mse_loss).batches == 2
    with pytest.raises(ValueError, match="batches of one size"):
        gradient_noise_scale(model, batches[::-1], F.mse_loss)
    with pytest.raises(ValueError, match="at least two"):
        gradient_noise_scale(model, batches[:1], F.mse_loss)


def test_update_ratios_of_sgd_and_of_adams_first_step():
    """SGD moves by η ‖g‖; Adam's first step moves every weight by η."""
    x, y = tensors(*regression())
    for make, length in (
        (lambda p: optim.SGD(p, lr=0.1), lambda w: 0.1 * np.linalg.norm(w.grad.data)),
        (lambda p: optim.Adam(p, lr=0.1), lambda w: 0.1 * math.sqrt(w.data.size)),
    ):
        model = nn.Linear(6, 1)
        optimizer = make(model.parameters())
        F.mse_loss(model(x), y).backward()
        before = {name: np.linalg.norm(each.data) for name, each in model.named_parameters()}
        ratios = UpdateRatios()
        ratios.before(model)
        optimizer.step()
        found = ratios.after()
        for name, parameter in model.named_parameters():
            assert found[name] == pytest.approx(length(parameter) / before[name], rel=1e-4)


def test_update_ratios_in_training_and_resumed():
    x, y = (each.data for each in tensors(*regression()))
    loader = DataLoader(TensorDataset(x, y), 8)
    model = nn.Linear(6, 1)
    nn.init.zeros_(model.bias)
    ratios = UpdateRatios(every=3)
    Trainer(model, optim.SGD(model.parameters(), lr=0.01), nn.MSELoss(), callbacks=[ratios], metrics={}).fit(
        loader, epochs=4
    )
    report = ratios.report()
    assert report.steps == [1, 4, 7, 10, 13, 16, 19]
    assert math.isnan(report.ratios["bias"][0])
    assert np.isfinite(report.ratios["weight"]).all()
    other = UpdateRatios()
    other.load_state_dict(json.loads(json.dumps(ratios.state_dict())))
    assert other.report().ratios["weight"] == report.ratios["weight"]


def test_plots_and_json(tmp_path):
    pytest.importorskip("matplotlib")
    model, batch = nn.Linear(6, 1), tensors(*regression())
    ratios = UpdateRatios()
    ratios.before(model)
    model.weight.data *= 1.01
    ratios.after()
    reports = [
        hessian_spectrum(model, [batch], F.mse_loss, count=2, probes=2),
        sharpness(model, [batch], F.mse_loss),
        gradient_noise_scale(model, [batch, batch], F.mse_loss),
        ratios.report(),
    ]
    for number, report in enumerate(reports):
        assert json.loads(report.to_json()).keys() == report.to_dict().keys()
        report.plot(tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_arguments_are_checked():
    model, batch = nn.Linear(6, 1), tensors(*regression())
    with pytest.raises(ValueError, match="hessian_spectrum: expected 1 <= count"):
        hessian_spectrum(model, [batch], F.mse_loss, count=7)
    with pytest.raises(ValueError, match="hessian_spectrum: expected at least one batch"):
        hessian_spectrum(model, [], F.mse_loss)
    with pytest.raises(ValueError, match="sharpness: expected epsilon"):
        sharpness(model, [batch], F.mse_loss, epsilon=0)
    with pytest.raises(ValueError, match="no parameters"):
        sharpness(nn.ReLU(), [batch], F.mse_loss)
    with pytest.raises(ValueError, match="UpdateRatios: expected every"):
        UpdateRatios(0)
    with pytest.raises(RuntimeError, match="call before"):
        UpdateRatios().after()
