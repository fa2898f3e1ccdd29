"""`autocast`: products of operands rounded to bfloat16, by every unit that the processor has."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import _C, backends, nn, optim
from fastnn.reference import conv as reference
from fastnn.reference.bfloat16 import round_to_bfloat16

Array: TypeAlias = npt.NDArray[Any]
UNITS = backends.bf16.units()
EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    unit, level, threads = backends.bf16.unit, fastnn.cpu.level(), fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(threads)
    fastnn.cpu.set_level(level)
    backends.bf16.unit = unit
    assert not fastnn.is_autocast_enabled()


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def rounded(x: Array) -> Array:
    return round_to_bfloat16(x.astype(np.float64))


def run(call: Callable[..., fastnn.Tensor], arrays: tuple[Array, ...], dy: Array) -> list[Array]:
    """Output and gradients of `call` under autocast; the backward pass runs outside."""
    tensors = [fastnn.Tensor(x, True) for x in arrays]
    with fastnn.autocast():
        y = call(*tensors)
    return [y.data, *(g.data for g in fastnn.autograd.grad(y, tensors, dy))]


def assert_close(found: Array, right: Array, terms: int) -> None:
    """Within what float32 sums of that many products are off, relative to the largest element."""
    assert found.dtype == np.float32
    assert found.shape == right.shape
    scale = float(np.abs(right).max(initial=0))
    np.testing.assert_allclose(found, right, rtol=0, atol=4 * EPS * scale * max(1, terms**0.5 / 8))


PRODUCTS = [(1, 10, 1), (5, 16, 2), (17, 33, 7), (64, 32, 64), (70, 10, 100), (33, 70, 1100), (40, 20, 5003)]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("rows", "outputs", "features"), PRODUCTS)
def test_linear_is_the_product_of_rounded_operands(unit: str, rows: int, outputs: int, features: int) -> None:
    backends.bf16.unit = unit
    x, w, b = normal(rows, features), normal(outputs, features, seed=1), normal(outputs, seed=2)
    dy = normal(rows, outputs, seed=3)
    y, dx, dw, db = run(F.linear, (x, w, b), dy)
    assert_close(y, rounded(x) @ rounded(w).T + b, features)
    assert_close(dx, rounded(dy) @ rounded(w), outputs)
    assert_close(dw, rounded(dy).T @ rounded(x), rows)
    assert_close(db, dy.astype(np.float64).sum(0), rows)


@pytest.mark.parametrize("unit", UNITS)
def test_matmul_in_every_transpose_and_of_stacks(unit: str) -> None:
    backends.bf16.unit = unit
    a, b = normal(3, 20, 34), normal(34, 50, seed=1)
    for left in (a, np.ascontiguousarray(a.swapaxes(1, 2)).swapaxes(1, 2), a[0]):
        for right in (b, np.ascontiguousarray(b.T).T, np.stack([b, b, b]) if left.ndim == 3 else b):
            dy = normal(*left.shape[:-1], 50, seed=2)
            y, da, _ = run(fastnn.matmul, (left, right), dy)
            assert_close(y, rounded(left) @ rounded(right), 34)
            assert_close(da, rounded(dy) @ rounded(right).swapaxes(-1, -2), 50)


# (n, c, h, w), k, kernel, stride, padding
CONVOLUTIONS = [
    ((2, 64, 8, 8), 40, (1, 1), 1, 0),
    ((3, 33, 5, 7), 17, (1, 1), 1, 0),
    ((2, 20, 7, 7), 17, (1, 1), 2, 0),
    ((2, 16, 6, 6), 16, (1, 1), 2, 1),
    ((3, 16, 9, 9), 20, (3, 3), 2, 1),
    ((2, 70, 5, 5), 70, (3, 3), 2, 0),
    ((2, 33, 10, 11), 35, (5, 5), 1, 2),
    ((2, 40, 6, 5), 33, (2, 3), 2, 1),
    ((1, 24, 12, 12), 16, (3, 3), 3, 1),
    ((2, 18, 6, 6), 16, (3, 3), 4, 0),
    ((2, 16, 4, 4), 48, (2, 2), 1, 0),
    ((17, 16, 4, 4), 33, (3, 1), (2, 1), (1, 0)),
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("shape", "k", "kernel", "stride", "padding"), CONVOLUTIONS)
def test_convolution_of_rounded_operands(
    unit: str, shape: tuple[int, ...], k: int, kernel: tuple[int, int], stride: Any, padding: Any
) -> None:
    backends.bf16.unit = unit
    x, w, b = normal(*shape), normal(k, shape[1], *kernel, seed=1), normal(k, seed=2)
    options = (stride, padding, 1, 1)
    right = reference.conv_fwd(rounded(x), rounded(w), b.astype(np.float64), *options)
    dy = normal(*right.shape, seed=3)
    y, dx, dw, _ = run(lambda *tensors: F.conv2d(*tensors, *options), (x, w, b), dy)
    assert_close(y, right, w[0].size)
    assert_close(dx, reference.conv_bwd_x(rounded(dy), rounded(w), x.shape, *options), k * kernel[0] * kernel[1])
    assert_close(dw, reference.conv_bwd_w(rounded(dy), rounded(x), w.shape, *options), dy[:, 0].size)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("shape", "k", "padding"), [((5, 16, 8, 8), 16, 1), ((2, 40, 7, 33), 35, 0), ((1, 17, 40, 40), 70, 2)]
)
def test_what_winograd_computes_is_rounded_for_tile_registers_only(
    unit: str, shape: tuple[int, ...], k: int, padding: int
) -> None:
    backends.bf16.unit = unit
    x, w, b = normal(*shape), normal(k, shape[1], 3, 3, seed=1), normal(k, seed=2)
    options = (1, padding, 1, 1)
    dy = normal(*reference.conv_fwd(x, w, b, *options).shape, seed=3)
    y, dx, dw, _ = run(lambda *tensors: F.conv2d(*tensors, *options), (x, w, b), dy)
    if unit != "amx":
        assert y.tobytes() == F.conv2d(fastnn.tensor(x), fastnn.tensor(w), fastnn.tensor(b), *options).data.tobytes()
        return
    assert_close(y, reference.conv_fwd(rounded(x), rounded(w), b.astype(np.float64), *options), w[0].size)
    assert_close(dx, reference.conv_bwd_x(rounded(dy), rounded(w), x.shape, *options), k * 9)
    assert_close(dw, reference.conv_bwd_w(rounded(dy), rounded(x), w.shape, *options), dy[:, 0].size)


@pytest.mark.parametrize("unit", UNITS)
def test_one_dimensional_convolution(unit: str) -> None:
    backends.bf16.unit = unit
    x, w = normal(2, 16, 41), normal(24, 16, 5, seed=1)
    right = reference.conv_fwd(rounded(x), rounded(w), None, 2, 1)
    y, _, _ = run(lambda *tensors: F.conv1d(*tensors, None, 2, 1), (x, w), normal(*right.shape))
    assert_close(y, right, 80)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("k", "kernel", "stride"), [(40, 1, 1), (33, 3, 2)])
def test_epilogues_follow_the_products(unit: str, k: int, kernel: int, stride: int) -> None:
    backends.bf16.unit = unit
    x, w, b = normal(2, 1, 9, 9, 32), normal(k, 32, 1, kernel, kernel, seed=1), normal(k, seed=2)
    size = (9 - kernel) // stride + 1
    residual = normal(2, 1, size, size, k, seed=3)
    where = ((1, stride, stride), (0, 0, 0), (1, 1, 1), 1, _C.CONV_BF16)
    plain, finished, activated = (np.empty_like(residual) for _ in range(3))
    _C.conv_fwd(x, w, b, plain, *where)
    _C.conv_fwd(x, w, b, finished, *where, residual=residual, activation=_C.ACTIVATIONS["relu"])
    np.testing.assert_array_equal(finished, np.maximum(plain + residual, 0))
    _C.conv_fwd(x, w, b, activated, *where, activation=_C.ACTIVATIONS["tanh"])
    np.testing.assert_allclose(activated, np.tanh(plain), rtol=1e-5, atol=1e-7)
    assert _C.conv_prepare(x, w, plain, *where) is None


@pytest.mark.parametrize("unit", UNITS)
def test_transposed_convolution(unit: str) -> None:
    """Forward is the data gradient of a convolution, and so on."""
    backends.bf16.unit = unit
    x, w = normal(2, 32, 5, 5), normal(32, 16, 2, 2, seed=1)
    dy = normal(2, 16, 10, 10, seed=2)
    y, dx, dw = run(lambda *tensors: F.conv_transpose2d(*tensors, stride=2), (x, w), dy)
    assert_close(y, reference.conv_bwd_x(rounded(x), rounded(w), dy.shape, 2), 128)
    assert_close(dx, reference.conv_fwd(rounded(dy), rounded(w), None, 2), 64)
    assert_close(dw, reference.conv_bwd_w(rounded(x), rounded(dy), w.shape, 2), 50)


def test_the_error_is_bfloat16s() -> None:
    """Two operands, each off by up to 2⁻⁹ to 2⁻⁸: together a relative 2.3e-3 or so."""
    x, w = normal(256, 512), normal(128, 512, seed=1)
    right = x.astype(np.float64) @ w.T.astype(np.float64)
    with fastnn.autocast():
        y = F.linear(fastnn.tensor(x), fastnn.tensor(w)).data
    error = np.linalg.norm(y - right) / np.linalg.norm(right)
    assert 1.5e-3 < error < 3e-3


@pytest.mark.parametrize("unit", UNITS)
def test_same_bits_for_any_number_of_threads(unit: str) -> None:
    backends.bf16.unit = unit
    x, w, dy = normal(32, 32, 16, 16), normal(64, 32, 3, 3, seed=1), normal(32, 64, 8, 8, seed=2)
    rows, matrix, drows = normal(4100, 40), normal(70, 40, seed=1), normal(4100, 70, seed=2)
    found = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        results = run(lambda a, b: F.conv2d(a, b, None, 2, 1), (x, w), dy) + run(F.linear, (rows, matrix), drows)
        found.append([each.tobytes() for each in results])
    assert found[0] == found[1] == found[2]


def test_what_gains_nothing_stays_as_it_is() -> None:
    """Few channels, groups, dilation, three dimensions, float64, other operations: not a bit moves."""
    x, few = normal(2, 16, 8, 8), normal(2, 3, 8, 8)
    calls: list[Callable[[], fastnn.Tensor]] = [
        lambda: F.conv2d(fastnn.tensor(few), fastnn.tensor(normal(16, 3, 5, 5)), None, 2, 1),
        lambda: F.conv2d(fastnn.tensor(x), fastnn.tensor(normal(16, 1, 3, 3)), None, 2, 1, 1, 16),
        lambda: F.conv2d(fastnn.tensor(x), fastnn.tensor(normal(16, 16, 2, 2)), None, 1, 0, 2),
        lambda: F.conv3d(fastnn.tensor(normal(1, 16, 4, 4, 4)), fastnn.tensor(normal(16, 16, 2, 2, 2)), None, 2),
        lambda: F.linear(fastnn.tensor(normal(4, 9).astype(float)), fastnn.tensor(normal(3, 9).astype(float))),
        lambda: fastnn.softmax(fastnn.tensor(x), 1).exp().sum(),
    ]
    for call in calls:
        plain = call().data
        with fastnn.autocast():
            assert call().data.tobytes() == plain.tobytes()


def test_a_chosen_algorithm_computes_in_float32() -> None:
    x, w = fastnn.tensor(normal(1, 16, 6, 6)), fastnn.tensor(normal(16, 16, 1, 1))
    backends.conv.algorithm = "im2col"
    try:
        plain = F.conv2d(x, w).data
        with fastnn.autocast():
            assert F.conv2d(x, w).data.tobytes() == plain.tobytes()
    finally:
        backends.conv.algorithm = "auto"


@pytest.mark.parametrize("unit", UNITS)
def test_infinities_and_nans_come_through_where_they_belong(unit: str) -> None:
    backends.bf16.unit = unit
    x = normal(20, 40)
    x[3, 5], x[7, 0] = np.nan, np.inf
    x[9, 1] = 3.4e38  # rounds to infinity
    with fastnn.autocast():
        y = F.linear(fastnn.tensor(x), fastnn.ones(30, 40)).data
    assert np.isnan(y[3]).all()
    assert (y[7] == np.inf).all()
    assert (y[9] == np.inf).all()
    assert np.isfinite(np.delete(y, (3, 7, 9), 0)).all()


@pytest.mark.parametrize("unit", UNITS)
def test_empty_batches(unit: str) -> None:
    backends.bf16.unit = unit
    y, dx, dw = run(F.linear, (normal(0, 20), normal(16, 20)), normal(0, 16))
    assert y.shape == (0, 16)
    assert dx.shape == (0, 20)
    assert not dw.any()
    y, _, dw = run(lambda *t: F.conv2d(*t, None, 2), (normal(0, 16, 8, 8), normal(16, 16, 2, 2)), normal(0, 16, 4, 4))
    assert y.shape == (0, 16, 4, 4)
    assert not dw.any()


# The switch


def test_contexts_nest_and_end_with_exceptions() -> None:
    assert not fastnn.is_autocast_enabled()
    context = fastnn.autocast()
    with context:
        with fastnn.autocast(enabled=False):
            assert not fastnn.is_autocast_enabled()
            with context:
                assert fastnn.is_autocast_enabled()
            assert not fastnn.is_autocast_enabled()
        assert fastnn.is_autocast_enabled()
        with pytest.raises(KeyError), fastnn.autocast(enabled=False):
            raise KeyError
        assert fastnn.is_autocast_enabled()
    assert not fastnn.is_autocast_enabled()


def test_as_a_decorator_also_of_a_recursive_function() -> None:
    @fastnn.autocast()
    def depth(n: int) -> int:
        assert fastnn.is_autocast_enabled()
        return depth(n - 1) + 1 if n else 0

    assert depth(3) == 3
    assert not fastnn.is_autocast_enabled()


def test_a_thread_has_a_switch_of_its_own() -> None:
    seen: list[bool] = []
    with fastnn.autocast():
        thread = threading.Thread(target=lambda: seen.append(fastnn.is_autocast_enabled()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(ValueError, match="autocast: expected dtype 'bfloat16', got 'float16'"):
        fastnn.autocast("float16")


def test_units_belong_to_the_best_level() -> None:
    features = fastnn.cpu.features()
    level = fastnn.cpu.level()
    assert UNITS[0] == "rounding"
    assert "avx512" not in UNITS or (level == "avx512" and "avx512bf16" in features)
    assert "amx" not in UNITS or "amx-bf16" in features
    for other in fastnn.cpu.levels():
        fastnn.cpu.set_level(other)
        assert other == "avx512" or backends.bf16.units() == ["rounding"]
    fastnn.cpu.set_level("portable")
    assert backends.bf16.unit == "rounding"
    with pytest.raises(ValueError, match=r"backends.bf16.unit: expected one of \['auto', 'rounding'\]"):
        backends.bf16.unit = "amx"


@pytest.mark.parametrize("level", fastnn.cpu.levels())
def test_levels_without_a_unit_round_alike(level: str) -> None:
    fastnn.cpu.set_level(level)
    backends.bf16.unit = "rounding"
    x, w = normal(9, 70), normal(20, 70, seed=1)
    x[0, :3] = np.nan, 1 + 2**-8, 1 + 3 * 2**-8
    y, _, dw = run(F.linear, (x[1:], w), normal(8, 20, seed=2))
    assert_close(y, rounded(x[1:]) @ rounded(w).T, 70)
    assert_close(dw, rounded(normal(8, 20, seed=2)).T @ rounded(x[1:]), 8)


def test_a_network_trains_as_in_float32() -> None:
    def losses(enabled: bool) -> list[float]:
        fastnn.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 9, 4),
        )  # fmt: skip
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        x, labels = fastnn.tensor(normal(64, 16, 8, 8)), fastnn.tensor(np.arange(64) % 4)
        found = []
        for _ in range(20):
            with fastnn.autocast(enabled=enabled):
                loss = F.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        for parameter in model.parameters():
            assert parameter.grad is not None
            assert parameter.dtype == parameter.grad.dtype == np.float32
        return found

    plain, reduced = losses(False), losses(True)
    assert plain != reduced
    assert plain[-1] < plain[0] / 4
    np.testing.assert_allclose(reduced, plain, rtol=0.05, atol=0.02)
