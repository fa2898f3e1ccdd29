"""Initialisers against PyTorch's: same parameters, same law (two-sample tests), same structures."""

import inspect

import numpy as np
import pytest
from scipy import stats

torch = pytest.importorskip("torch")

from fastnn.autograd.tensor import Tensor  # noqa: E402 - after the check for torch
from fastnn.nn import init  # noqa: E402
from fastnn.random import Generator  # noqa: E402

pytestmark = pytest.mark.torch

SHAPE = (40, 20, 3, 3)
RANDOM = [
    ("uniform_", (-1.0, 2.0)),
    ("normal_", (1.0, 2.0)),
    ("trunc_normal_", (0.0, 1.0, -1.0, 2.0)),
    ("xavier_uniform_", (1.5,)),
    ("xavier_normal_", (1.5,)),
    ("kaiming_uniform_", ()),
    ("kaiming_uniform_", (5**0.5,)),
    ("kaiming_uniform_", (0, "fan_out", "tanh")),
    ("kaiming_normal_", (0, "fan_in", "relu")),
    ("kaiming_normal_", (0.1, "fan_out")),
    ("orthogonal_", (2.0,)),
]


@pytest.mark.parametrize(("name", "arguments"), RANDOM)
def test_same_law(name, arguments):
    ours = getattr(init, name)(Tensor(np.zeros(SHAPE)), *arguments, generator=Generator(1)).data
    torch.manual_seed(1)
    theirs = getattr(torch.nn.init, name)(torch.zeros(SHAPE, dtype=torch.float64), *arguments).numpy()
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3
    assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


@pytest.mark.parametrize(
    ("name", "shape", "arguments"),
    [
        ("constant_", (2, 3), (1.5,)),
        ("zeros_", (2, 3), ()),
        ("ones_", (2, 3), ()),
        ("eye_", (3, 5), ()),
        ("eye_", (5, 3), ()),
        ("dirac_", (6, 3, 5), ()),
        ("dirac_", (6, 2, 3, 4), (3,)),
        ("dirac_", (4, 8, 3, 3, 3), (2,)),
    ],
)
def test_same_values(name, shape, arguments):
    ours = getattr(init, name)(Tensor(np.full(shape, 7.0)), *arguments).data
    theirs = getattr(torch.nn.init, name)(torch.full(shape, 7.0, dtype=torch.float64), *arguments)
    np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("nonlinearity", ["linear", "conv1d", "conv_transpose2d", "sigmoid", "tanh", "relu", "selu"])
def test_gains(nonlinearity):
    assert init.calculate_gain(nonlinearity) == torch.nn.init.calculate_gain(nonlinearity)


@pytest.mark.parametrize("slope", [None, 0.3, 1])
def test_leaky_gains(slope):
    theirs = torch.nn.init.calculate_gain("leaky_relu", slope)
    assert init.calculate_gain("leaky_relu", slope) == pytest.approx(theirs, rel=1e-15)


@pytest.mark.parametrize("name", sorted({name for name, _ in RANDOM} | {"sparse_", "dirac_", "eye_", "constant_"}))
def test_signatures(name):
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (init, torch.nn.init))
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]


@pytest.mark.parametrize(("layer", "arguments"), [("Linear", (50, 400)), ("Conv2d", (30, 60, 3))])
def test_layers_start_with_pytorchs_law(layer, arguments):
    from fastnn import nn

    ours = getattr(nn, layer)(*arguments, generator=Generator(3))
    torch.manual_seed(3)
    theirs = getattr(torch.nn, layer)(*arguments)
    for name, parameter in theirs.named_parameters():
        values = ours.get_parameter(name).data.ravel()
        assert stats.ks_2samp(values, parameter.detach().numpy().ravel()).pvalue > 1e-3
