"""Initialisers: moments and ranges of the distributions, orthogonality, structure, and the fans."""

import math

import numpy as np
import pytest
from scipy import stats

from fastnn import nn
from fastnn.autograd.tensor import Tensor
from fastnn.random import Generator

init = nn.init


def blank(*shape):
    return Tensor(np.full(shape, np.nan))


def test_fans():
    assert init.fans(blank(5, 3)) == (3, 5)
    assert init.fans(blank(8, 2, 3, 5)) == (30, 120)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        init.fans(blank(4))


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [
        ("linear", None, 1),
        ("conv2d", None, 1),
        ("conv_transpose3d", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / 1.0001)),
        ("leaky_relu", 1, 1),
        ("leaky_relu", 0, math.sqrt(2)),
        ("selu", None, 0.75),
    ],
)
def test_gains(name, param, gain):
    assert init.calculate_gain(name, param) == pytest.approx(gain, rel=1e-12)


def test_unknown_gain():
    with pytest.raises(ValueError, match="got 'mish'"):
        init.calculate_gain("mish")


def test_constants():
    assert np.all(init.constant_(blank(3, 2), 2.5).data == 2.5)
    assert np.all(init.ones_(blank(3)).data == 1)
    assert np.all(init.zeros_(blank(3)).data == 0)


FAN_IN, FAN_OUT = 3 * 25, 64 * 25
BOTH = FAN_IN + FAN_OUT
NORMAL = {  # name: (call, mean, variance)
    "normal": (lambda t, g: init.normal_(t, 1.0, 3.0, g), 1.0, 9.0),
    "xavier": (lambda t, g: init.xavier_normal_(t, 2.0, g), 0, 8 / BOTH),
    "kaiming": (lambda t, g: init.kaiming_normal_(t, nonlinearity="relu", generator=g), 0, 2 / FAN_IN),
    "kaiming out": (lambda t, g: init.kaiming_normal_(t, 1, "fan_out", generator=g), 0, 1 / FAN_OUT),
    "lecun": (init.lecun_normal_, 0, 1 / FAN_IN),
}
UNIFORM = {  # name: (call, middle, variance)
    "uniform": (lambda t, g: init.uniform_(t, -1.0, 3.0, g), 1, 16 / 12),
    "xavier": (lambda t, g: init.xavier_uniform_(t, 2.0, g), 0, 8 / BOTH),
    "kaiming": (lambda t, g: init.kaiming_uniform_(t, generator=g), 0, 2 / FAN_IN),
    "pytorch": (lambda t, g: init.kaiming_uniform_(t, 5**0.5, generator=g), 0, 1 / (3 * FAN_IN)),
    "lecun": (init.lecun_uniform_, 0, 1 / FAN_IN),
}


@pytest.mark.parametrize("name", NORMAL)
def test_normal_distributions(name):
    fill, mean, variance = NORMAL[name]
    values = fill(blank(64, 3, 5, 5), Generator(1)).data.ravel()
    assert stats.kstest(values, stats.norm(mean, variance**0.5).cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_distributions(name):
    fill, middle, variance = UNIFORM[name]
    bound = (3 * variance) ** 0.5
    values = fill(blank(64, 3, 5, 5), Generator(2)).data.ravel()
    assert abs(values - middle).max() <= bound
    assert stats.kstest(values, stats.uniform(middle - bound, 2 * bound).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (0, 0.02, -2, 2), (1, 2, 0, 1.5), (0, 1, 0.1, 0.2), (0, 1, 3, 5), (0, 1, -5, -3.5)],
)
def test_truncated_normal(mean, std, a, b):
    values = init.trunc_normal_(blank(5000), mean, std, a, b, Generator(3)).data
    assert a <= values.min() <= values.max() <= b
    law = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert stats.kstest(values, law.cdf).pvalue > 1e-3


def test_truncated_normal_out_of_reach():
    with pytest.raises(ValueError, match="within reach"):
        init.trunc_normal_(blank(5), 0.0, 0.1, 1.0, 2.0)
    with pytest.raises(ValueError, match="a < b"):
        init.trunc_normal_(blank(5), 0.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (8, 2, 3, 3), (1, 5)])
def test_orthogonal(shape):
    matrix = init.orthogonal_(blank(*shape), 3.0, Generator(4)).data.reshape(shape[0], -1) / 3
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_is_uniformly_distributed():
    """Signs of the determinant and law of the first entry, which come out wrong without R's signs."""
    matrices = [init.orthogonal_(blank(3, 3), 1, Generator(seed)).data for seed in range(1000)]
    assert 400 < sum(np.linalg.det(m) > 0 for m in matrices) < 600
    first = np.array([m[0, 0] for m in matrices])
    assert stats.kstest(first, stats.uniform(-1, 2).cdf).pvalue > 1e-3  # Archimedes: uniform on the sphere


def test_orthogonal_edges():
    assert init.orthogonal_(Tensor(np.ones((0, 3)))).shape == (0, 3)
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        init.orthogonal_(blank(3))


def test_eye_and_dirac():
    np.testing.assert_array_equal(init.eye_(blank(2, 3)).data, [[1, 0, 0], [0, 1, 0]])
    weight = init.dirac_(blank(4, 2, 3, 5), groups=2).data
    assert weight.sum() == 4
    assert weight[0, 0, 1, 2] == weight[1, 1, 1, 2] == weight[2, 0, 1, 2] == weight[3, 1, 1, 2] == 1
    with pytest.raises(ValueError, match="2 dimensions"):
        init.eye_(blank(2, 3, 4))
    with pytest.raises(ValueError, match="3, 4 or 5 dimensions"):
        init.dirac_(blank(2, 3))
    with pytest.raises(ValueError, match="groups to divide 4"):
        init.dirac_(blank(4, 2, 3), groups=3)


def test_sparse():
    values = init.sparse_(blank(50, 20), 0.31, 2.0, Generator(5)).data
    np.testing.assert_array_equal((values == 0).sum(axis=0), 16)
    assert stats.kstest(values[values != 0], stats.norm(0, 2).cdf).pvalue > 1e-3
    with pytest.raises(ValueError, match="matrix"):
        init.sparse_(blank(3), 0.5)


def test_generator_decides_and_dtype_does_not():
    double = init.normal_(Tensor(np.zeros(100)), generator=Generator(7)).data
    single = init.normal_(Tensor(np.zeros(100, np.float32)), generator=Generator(7)).data
    np.testing.assert_array_equal(double.astype(np.float32), single)
    assert not np.array_equal(double, init.normal_(blank(100), generator=Generator(8)).data)


def test_layout_of_the_tensor_does_not_matter():
    memory = np.zeros((4, 5, 5, 3))
    last = init.normal_(Tensor(memory.transpose(0, 3, 1, 2)), generator=Generator(7)).data
    first = init.normal_(blank(4, 3, 5, 5), generator=Generator(7)).data
    np.testing.assert_array_equal(last, first)


def test_change_in_place_is_noted():
    parameter = nn.Parameter(np.ones(3))
    loss = (parameter * parameter).sum()
    init.zeros_(parameter)
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_layers_start_as_pytorch_has_it():
    conv = nn.Conv2d(16, 64, 3, groups=2, generator=Generator(9))
    bound = (8 * 9) ** -0.5
    for values in (conv.weight.data.ravel(), conv.bias.data):
        assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    again = nn.Conv2d(16, 64, 3, groups=2, generator=Generator(9))
    np.testing.assert_array_equal(conv.weight.data, again.weight.data)


def _variances(model, x):
    """Of the outputs of every layer with a weight, recomputed layer by layer."""
    found = []
    for layer in model:
        x = layer(x)
        if hasattr(layer, "weight"):
            found.append(x.data.var())
    return found


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
def test_lsuv_makes_every_layers_variance_one(activation):
    g = Generator(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, generator=g),
        activation(),
        nn.Conv2d(8, 8, 3, groups=2, generator=g),
        activation(),
        nn.Dropout(0.5),
        nn.Flatten(),
        *[each for _ in range(6) for each in (nn.Linear(288, 288, generator=g), activation())],
        nn.Linear(288, 10, generator=g),
    )
    x = Tensor((np.random.default_rng(1).standard_normal((32, 3, 8, 8)) * 7 + 2).astype(np.float32))
    model.train()
    before = {name: p.data.copy() for name, p in model.named_parameters()}
    assert init.lsuv_(model, x, generator=Generator(2)) is model
    assert all(module.training for module in model.modules())
    np.testing.assert_allclose(_variances(model.eval(), x), 1, atol=0.0101)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            np.testing.assert_array_equal(parameter.data, before[name])
    weight = model[-1].weight.data.astype(np.float64)
    product = weight @ weight.T
    np.testing.assert_allclose(product / product[0, 0], np.eye(10), atol=1e-5)


def test_lsuv_without_orthogonal_weights_only_scales():
    model = nn.Sequential(nn.Linear(5, 7, bias=False, generator=Generator(0)), nn.Tanh(), nn.Linear(7, 3))
    weight = model[0].weight.data.copy()
    init.lsuv_(model, Tensor(np.random.default_rng(0).standard_normal((100, 5)).astype(np.float32)), orthogonal=False)
    ratio = model[0].weight.data / weight
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-5)


def test_lsuv_errors():
    x = Tensor(np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match="layers with weights"):
        init.lsuv_(nn.ReLU(), x)
    with pytest.raises(ValueError, match="output of '0' that varies"):
        init.lsuv_(nn.Sequential(nn.Linear(3, 1)), x)
