"""The convolution's prepared filters and its epilogue: the same bits as without them, and as separate passes."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import _C, cpu

# One shape for each algorithm of csrc/ops/conv.inc.h: (n, in, c, k, kernel, stride, pad, dilation, groups), sizes odd
# so that every kernel has tails.
SHAPES = {
    "winograd": (2, (1, 11, 9), 17, 35, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "direct": (2, (1, 11, 9), 5, 35, (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 1),
    "pointwise": (2, (1, 7, 9), 19, 35, (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "pointwise rows": (3, (1, 1, 1), 19, 70, (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "pointwise chunks": (9, (1, 1, 1), 2500, 7, (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "depthwise": (2, (1, 11, 9), 19, 19, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 19),
    "planar": (2, (1, 11, 9), 5, 1, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "im2col": (2, (3, 7, 9), 6, 10, (2, 3, 3), (1, 1, 1), (1, 1, 1), (1, 2, 1), 2),
}
RELU, GELU, HARDTANH = (_C.ACTIVATIONS[name] for name in ("relu", "gelu", "hardtanh"))


class Case:
    """Arrays of one shape, and the calls on them."""

    def __init__(self, name: str, dtype: str) -> None:
        n, size, c, k, kernel, stride, pad, dilation, groups = SHAPES[name]
        rng = np.random.default_rng(3)
        axes = zip(size, kernel, stride, pad, dilation, strict=True)
        out = [(i + 2 * p - d * (r - 1) - 1) // s + 1 for i, r, s, p, d in axes]
        self.x = rng.standard_normal((n, *size, c)).astype(dtype)
        self.w = rng.standard_normal((k, c // groups, *kernel)).astype(dtype)
        self.bias = rng.standard_normal(k).astype(dtype)
        self.residual = rng.standard_normal((n, *out, k)).astype(dtype)
        self.geometry = (stride, pad, dilation, groups)

    def prepare(self):
        return _C.conv_prepare(self.x, self.w, self.residual, *self.geometry)

    def run(self, bias=None, **options):
        y = np.full_like(self.residual, np.nan)
        _C.conv_fwd(self.x, self.w, bias, y, *self.geometry, **options)
        return y


@pytest.fixture(params=cpu.levels())
def level(request):
    before = cpu.level()
    cpu.set_level(request.param)
    yield request.param
    cpu.set_level(before)


@pytest.fixture(params=["float32", "float64"])
def case_of(request, level):
    return lambda name: Case(name, request.param)


@pytest.mark.parametrize("name", SHAPES)
def test_prepared_filters_change_no_bit(case_of, name):
    case = case_of(name)
    prepared = case.prepare()
    assert (prepared is None) == (name in ("pointwise rows", "pointwise chunks"))
    assert np.array_equal(case.run(case.bias), case.run(case.bias, prepared=prepared))


@pytest.mark.parametrize("activation", [-1, RELU, GELU, HARDTANH])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_epilogue_has_the_bits_of_separate_passes(case_of, name, added, activation):
    case = case_of(name)
    parameters = (-0.5, 0.75, 0.0) if activation == HARDTANH else (0.0, 0.0, 0.0)
    expected = case.run(case.bias)
    if added:
        expected += case.residual
    if activation >= 0:
        _C.activation_fwd(activation, expected.copy(), expected, *parameters)
    residual = case.residual if added else None
    got = case.run(case.bias, residual=residual, activation=activation, parameters=parameters)
    assert np.array_equal(expected, got)


@pytest.mark.parametrize("name", SHAPES)
def test_epilogue_has_the_same_bits_on_any_number_of_threads(name):
    case, before = Case(name, "float32"), cpu.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        cpu.set_num_threads(threads)
        results.append(case.run(case.bias, prepared=case.prepare(), residual=case.residual, activation=GELU))
    cpu.set_num_threads(before)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize("name", SHAPES)
def test_a_nan_passes_through_a_relu(name):
    case = Case(name, "float32")
    case.residual[0, 0, 0, 0, 0] = np.nan
    y = case.run(residual=case.residual, activation=RELU)
    assert np.isnan(y[0, 0, 0, 0, 0])
    assert np.isnan(y).sum() == 1


def test_sizes_and_codes_are_checked():
    case = Case("winograd", "float32")
    prepared = case.prepare()
    with pytest.raises(ValueError, match="prepared: expected"):
        case.run(prepared=prepared[:-1].copy())
    with pytest.raises(ValueError, match="residual: expected"):
        case.run(residual=case.residual[:1].copy())
    with pytest.raises(TypeError, match="residual: expected"):
        case.run(residual=case.residual.astype(np.float64))
    with pytest.raises(ValueError, match="no activation 99"):
        case.run(activation=99)
