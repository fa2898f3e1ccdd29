"""Alpha dropout: its two values, its moments, its gradient, whole channels."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.nn import functional as F

LIMIT = -1.0507009873554805 * 1.6732632423543772


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_values_and_gradient(p: float) -> None:
    """Each output is a x + b or a limit + b; the gradient is a for those kept, else 0."""
    x = fastnn.Tensor(np.random.default_rng(0).standard_normal(1000), requires_grad=True)
    y = F.alpha_dropout(x, p, True)
    a = ((1 - p) * (1 + p * LIMIT**2)) ** -0.5
    b = -a * p * LIMIT
    kept = np.isclose(y.data, a * x.data + b, rtol=1e-12)
    np.testing.assert_allclose(y.data[~kept], a * LIMIT + b, rtol=1e-12)
    assert abs((~kept).mean() - p) < 5 * (p * (1 - p) / 1000) ** 0.5
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, np.where(kept, a, 0), rtol=1e-12)


def test_mean_and_variance_are_kept() -> None:
    """Within five standard errors, which a right implementation leaves once in a million runs."""
    count = 400_000
    x = np.random.default_rng(1).standard_normal(count)
    y = F.alpha_dropout(fastnn.Tensor(x), 0.3, True, generator=fastnn.Generator(7)).data
    assert abs(y.mean()) < 5 / count**0.5
    kurtosis = ((y - y.mean()) ** 4).mean() / y.var() ** 2
    assert abs(y.var() - 1) < 5 * ((kurtosis - 1) / count) ** 0.5


def test_whole_channels() -> None:
    x = fastnn.Tensor(np.random.default_rng(2).standard_normal((20, 30, 4, 5)))
    y = F.feature_alpha_dropout(x, 0.5, True).data
    a = (0.5 * (1 + 0.5 * LIMIT**2)) ** -0.5
    b = -a * 0.5 * LIMIT
    dropped = np.isclose(y, a * LIMIT + b).all(axis=(2, 3))
    np.testing.assert_allclose(y, np.where(dropped[:, :, None, None], a * LIMIT + b, a * x.data + b), rtol=1e-10)
    assert 0.4 < dropped.mean() < 0.6
    matrix = F.feature_alpha_dropout(fastnn.Tensor(np.ones((5, 400))), 0.5, True).data
    assert len(np.unique(matrix.round(12))) == 2


def test_outside_of_training_and_at_the_ends() -> None:
    x = fastnn.Tensor(np.ones((2, 3)))
    for layer in (nn.AlphaDropout(0.4), nn.FeatureAlphaDropout(0.4)):
        assert layer.eval()(x).tolist() == x.tolist()
    assert F.alpha_dropout(x, 0.0, True).tolist() == x.tolist()
    assert not F.alpha_dropout(x, 1.0, True).data.any()
    with pytest.raises(ValueError, match="expected p from 0 to 1"):
        F.alpha_dropout(x, 1.5, True)
    with pytest.raises(ValueError, match=r"expected \(N, C, \*\)"):
        F.feature_alpha_dropout(fastnn.Tensor(np.ones(3)), 0.5, True)


def test_the_generator_decides() -> None:
    x = fastnn.Tensor(np.random.default_rng(0).standard_normal(200))
    first, again, other = (F.alpha_dropout(x, 0.5, True, generator=fastnn.Generator(s)).data for s in (1, 1, 2))
    assert first.tobytes() == again.tobytes() != other.tobytes()
