"""The learning-rate range test: rates, where it ends, what it suggests, and that it leaves no trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor, nn, optim
from fastnn.train import lr_range_test


def bowl() -> tuple[nn.Module, Any, list[Any]]:
    """Least squares with a curvature of 2: gradient descent diverges above the rate 1."""
    model = nn.Linear(1, 1, bias=False).double()
    model.weight.data[...] = 5.0
    return model, lambda y, t: ((y - t) ** 2).mean(), [(Tensor(np.ones((4, 1))), Tensor(np.zeros((4, 1))))]


@pytest.mark.parametrize("mode", ["exp", "linear"])
def test_rates_and_losses_are_those_of_the_steps(mode: Any) -> None:
    model, loss, loader = bowl()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    result = lr_range_test(model, optimizer, loss, loader, 1e-4, 0.5, 30, mode=mode, smoothing=0.0)
    expected = np.geomspace(1e-4, 0.5, 30) if mode == "exp" else np.linspace(1e-4, 0.5, 30)
    np.testing.assert_allclose(result.rates, expected, rtol=1e-12)
    w, losses = 5.0, []
    for rate in expected:
        losses.append(w * w)
        w -= rate * 2 * w
    np.testing.assert_allclose(result.losses, losses, rtol=1e-9)
    np.testing.assert_array_equal(result.smoothed, result.losses)
    assert not result.diverged


def test_it_ends_where_the_loss_grows_and_suggests_a_rate_below() -> None:
    model, loss, loader = bowl()
    result = lr_range_test(model, optim.SGD(model.parameters(), lr=0.1), loss, loader, 1e-4, 1e4, 200, smoothing=0.5)
    assert result.diverged
    assert len(result.rates) < 200
    assert 1 < result.rates[-1] < 100
    assert 1e-3 < result.suggestion < 1
    assert np.isfinite(result.smoothed).all()


def test_everything_is_as_it_was() -> None:
    fastnn.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).eval()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    rng = np.random.default_rng(0)
    loader = [(Tensor(rng.standard_normal((6, 4)).astype(np.float32)), Tensor(rng.integers(0, 3, 6)))]
    loss = nn.CrossEntropyLoss()
    loss(model(loader[0][0]), loader[0][1]).backward()
    optimizer.step()
    before = {name: t.data.copy() for name, t in model.state_dict().items()}
    moments = [t.data.copy() for state in optimizer.state.values() for t in state.values()]
    generator = fastnn.get_rng_state()
    lr_range_test(model, optimizer, loss, loader, steps=20)
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.data, before[name])
    for one, two in zip(moments, [t for state in optimizer.state.values() for t in state.values()]):
        np.testing.assert_array_equal(one, two.data)
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert optimizer.step_count == 1
    assert fastnn.get_rng_state() == generator
    assert not model.training


def test_the_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model, loss, loader = bowl()
    result = lr_range_test(model, optim.SGD(model.parameters(), lr=0.1), loss, loader, 1e-3, 10.0, 50)
    result.plot(tmp_path / "range.png")
    assert (tmp_path / "range.png").read_bytes()[:4] == b"\x89PNG"
    assert '"suggestion"' in result.to_json()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_lr": 0.0}, "0 < start_lr < end_lr"),
        ({"start_lr": 1.0, "end_lr": 0.1}, "0 < start_lr < end_lr"),
        ({"steps": 1}, "steps >= 2"),
        ({"smoothing": 1.0}, r"smoothing in \[0, 1\)"),
        ({"mode": "square"}, "'exp' or 'linear'"),
        ({"loader": []}, "yields no batches"),
    ],
)
def test_impossible_arguments_are_named(options: dict[str, Any], message: str) -> None:
    model, loss, loader = bowl()
    with pytest.raises(ValueError, match=message):
        lr_range_test(model, optim.SGD(model.parameters(), lr=0.1), loss, **{"loader": loader, **options})
