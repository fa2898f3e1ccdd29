"""Backward pooling where windows leave pixels out, and where the gradient is too large for the caches."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _C
from fastnn.reference import pool as reference
from tests.cases import Array, normal

Options = dict[str, Any]

# (spatial sizes, kernel_size, the other options): the last pixels, or those between the windows, are in no window.
WINDOWS: dict[str, tuple[tuple[int, ...], Any, Options]] = {
    "31 to 15": ((31, 31), 2, {}),
    "7 to 3": ((7, 7), 2, {}),
    "rows left out": ((9, 8), 2, {}),
    "columns left out": ((8, 9), 2, {}),
    "stride 3": ((11, 13), 2, {"stride": 3}),
    "stride 3, up to the end": ((11, 8), 2, {"stride": 3}),
    "stride 5": ((13, 19), 2, {"stride": 5}),
    "stride 5, padded": ((13, 18), 2, {"stride": 5, "padding": 1}),
    "stride 5, overhanging": ((11, 16), 2, {"stride": 5, "ceil_mode": True}),
    "single pixels": ((9, 10), 1, {"stride": (2, 4)}),
    "between rows": ((11, 9), (2, 3), {"stride": (3, 3)}),
    "between columns": ((9, 11), (3, 2), {"stride": (3, 4)}),
    "one window": ((5, 6), (2, 3), {}),
    "line": ((31,), 2, {}),
    "line, stride 3": ((32,), 2, {"stride": 3}),
    "line, stride 5, padded": ((23,), 2, {"stride": 5, "padding": 1}),
    "volume": ((4, 7, 9), 2, {}),
    "volume, stride 3": ((6, 8, 7), (3, 2, 2), {"stride": 3}),
    "volume, planes left out": ((5, 7, 6), 2, {}),
    "volume, padded": ((4, 9, 11), 2, {"stride": (2, 5, 3), "padding": (0, 1, 1)}),
}
CHANNELS_AND_THREADS = [(1, 2), (3, 1), (16, 2), (24, 1), (24, 2), (33, 2)]


def last(a: Array, dtype: str) -> Array:
    """As the kernels take it."""
    return np.ascontiguousarray(np.moveaxis(a, 1, -1)).astype(dtype)


class Case:
    """Small whole numbers in channels-last images: many ties, and sums without rounding."""

    def __init__(self, name: str, channels: int) -> None:
        spatial, self.kernel, self.options = WINDOWS[name]
        self.axes = len(spatial)
        rng = np.random.default_rng(channels)
        self.x = rng.integers(-6, 2, (3, channels, *spatial)).astype(np.float64)
        self.y, self.argmax = reference.max_pool_fwd(self.x, self.kernel, **self.options)
        self.dy = rng.integers(1, 9, self.y.shape).astype(np.float64)  # never 0, as what is left out is
        sizes = [self.kernel, self.options.get("stride") or self.kernel, self.options.get("padding", 0), 1]
        self.window = tuple((size,) * self.axes if isinstance(size, int) else size for size in sizes)

    @cache  # noqa: B019 - there are few, and they live as long as the module
    def average(self, inside: bool, divisor: int) -> Array:
        """The gradient of the average by definition."""
        options = {**self.options, "count_include_pad": not inside, "divisor_override": divisor or None}
        return reference.avg_pool_bwd(self.dy, self.x.shape, self.kernel, **options)

    def check(self, dtype: str, expected: Array, kernel: Callable[[Array], None]) -> None:
        """The kernel writes dx to memory that nobody has cleared, in the middle of numbers that must stay."""
        whole = np.full(self.x.size + 2 * 37, np.nan, dtype)
        whole[:37] = whole[-37:] = 7
        dx = whole[37:-37].reshape(np.moveaxis(self.x, 1, -1).shape)
        kernel(dx)
        assert (whole[:37] == 7).all()
        assert (whole[-37:] == 7).all()
        found = np.moveaxis(dx, -1, 1)
        np.testing.assert_array_equal(found == 0, expected == 0)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if dx.dtype == np.float32 else 1e-14)

    def check_maximum(self, dtype: str, relu: bool) -> None:
        y = np.maximum(self.y, 0) if relu else self.y
        expected = reference.max_pool_bwd(np.where(y == 0, 0, self.dy) if relu else self.dy, self.argmax, self.x.shape)
        dy, x, y = (last(each, dtype) for each in (self.dy, self.x, y))
        self.check(dtype, expected, lambda dx: _C.pool_max_bwd(dy, x, y, dx, self.window, relu))


case_of = cache(Case)


pytestmark = pytest.mark.usefixtures("restored")
levels = pytest.mark.parametrize("level", fastnn.cpu.levels())
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
names = pytest.mark.parametrize("name", WINDOWS)


@levels
@dtypes
@names
def test_maximum(name: str, dtype: str, level: str) -> None:
    fastnn.cpu.set_level(level)
    for (channels, threads), relu in product(CHANNELS_AND_THREADS, (False, True)):
        fastnn.set_num_threads(threads)
        case_of(name, channels).check_maximum(dtype, relu)


@levels
@dtypes
@names
def test_nan_gets_the_gradient(name: str, dtype: str, level: str) -> None:
    """A NaN inside a window is its maximum; one that no window covers does nothing."""
    fastnn.cpu.set_level(level)
    for channels, relu in product((3, 24), (False, True)):
        case = Case(name, channels)
        chosen = np.random.default_rng(1).random(case.y.shape) < 0.3
        tops = reference.max_pool_bwd(chosen.astype(float), case.argmax, case.x.shape)
        covered = reference.avg_pool_bwd(np.ones_like(case.y), case.x.shape, case.kernel, **case.options)
        case.x[(tops > 0) | (covered == 0)] = np.nan
        case.y[chosen] = np.nan
        assert 0 < chosen.sum() < chosen.size
        case.check_maximum(dtype, relu)


@levels
@dtypes
@names
def test_average(name: str, dtype: str, level: str) -> None:
    fastnn.cpu.set_level(level)
    for (channels, threads), inside, divisor in product(CHANNELS_AND_THREADS, (False, True), (0, 3)):
        fastnn.set_num_threads(threads)
        case = case_of(name, channels)
        options: Options = {"window": case.window, "include_pad": not inside, "divisor": divisor}
        case.check(dtype, case.average(inside, divisor), partial(_C.pool_avg_bwd, last(case.dy, dtype), **options))


def test_the_windows_leave_pixels_out() -> None:
    """The cases above prove nothing if they do not; and a ReLU takes away some of the gradient."""
    for name in WINDOWS:
        case = case_of(name, 33)
        covered = reference.avg_pool_bwd(np.ones_like(case.y), case.x.shape, case.kernel, **case.options)
        assert (covered == 0).any()
        assert 0 < (case.y > 0).sum() < case.y.size


# (images, height, width, channels, kernel, stride): 24 channels fill whole vectors of some levels only.
LARGE = [
    (64, 57, 57, 16, 2, 2),
    (64, 56, 60, 16, 2, 2),
    (48, 53, 56, 24, 2, 3),
    (32, 60, 59, 32, (3, 2), (3, 2)),
    (40, 60, 59, 24, 3, 3),
]


@levels
@pytest.mark.parametrize(("n", "height", "width", "channels", "kernel", "stride"), LARGE)
def test_a_gradient_that_goes_past_the_caches(
    n: int, height: int, width: int, channels: int, kernel: Any, stride: Any, level: str
) -> None:
    """Above 12 MB: the same bits as in small batches, with NaN and ties and what no window covers."""
    fastnn.cpu.set_level(level)
    rng = np.random.default_rng(0)
    x: Array = rng.integers(-3, 4, (n, height, width, channels)).astype(np.float32)
    x[rng.integers(n), 4, 4, channels - 1] = np.nan
    sizes = [(size,) * 2 if isinstance(size, int) else size for size in (kernel, stride)]
    window = (*sizes, (0, 0), (1, 1))
    out = [(i - k) // s + 1 for i, k, s in zip((height, width), *sizes, strict=True)]
    y = np.empty((n, *out, channels), np.float32)
    dy = normal(rng, *y.shape, dtype=np.float32)
    assert x.nbytes > 12_000_000
    for relu in (False, True):
        _C.pool_max_fwd(x, y, window, relu)
        expected = np.full_like(x, np.nan)
        for i in range(0, n, 8):
            part = slice(i, i + 8)
            _C.pool_max_bwd(dy[part], x[part], y[part], expected[part], window, relu)
        assert np.isfinite(expected).all()
        for threads in (1, 2):
            fastnn.set_num_threads(threads)
            dx: Array = _C.empty(x.shape, x.dtype)
            dx.fill(np.nan)
            _C.pool_max_bwd(dy, x, y, dx, window, relu)
            np.testing.assert_array_equal(dx, expected)


def test_windows_in_the_padding_alone_have_no_gradient() -> None:
    """Windows that no public function asks for: some lie outside the image altogether."""
    x = np.ones((2, 7, 5, 3), np.float32)
    for out, kernel, stride, pad in ((2, 1, 9, 8), (1, 2, 1, 8), (3, 2, 6, 6)):
        window = ((kernel, 2), (stride, 2), (pad, 0), (1, 1))
        y = np.empty((2, out, 2, 3), np.float32)
        _C.pool_max_fwd(x, y, window)
        dx = np.full_like(x, np.nan)
        _C.pool_max_bwd(np.ones_like(y), x, y, dx, window)
        rows = [i * stride - pad for i in range(out)]
        inside = [first for first in rows if first + kernel > 0 and first < 7]
        assert dx.sum() == len(inside) * 2 * 2 * 3
        assert not dx[:, :, 4:].any()
