"""Both gradients of a convolution in one call: each as it is alone."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import _C
from tests.cases import Array, normal
from tests.test_conv_add import SHAPES, Case

# (images, height, width, channels, filters, padding, groups): tiles enough for Winograd to find both gradients
# together. Odd sizes, tails of vectors, one and more vectors of channels on either side.
JOINT = {
    "one vector": (40, 29, 27, 16, 16, 1, 1),
    "whole tiles": (60, 24, 28, 16, 16, 1, 1),
    "tails": (50, 29, 27, 24, 20, 1, 1),
    "more filters": (40, 27, 31, 16, 40, 0, 1),
    "fewer filters": (40, 26, 27, 40, 18, 2, 1),
    "groups": (40, 27, 29, 32, 64, 1, 2),
}
# The same where it does not: few tiles, many filters.
APART = {"few tiles": (2, 9, 11, 16, 16, 1, 1), "many filters": (20, 40, 41, 64, 64, 1, 1)}


class Both:
    """Arrays of one shape."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        n, height, width, c, k, pad, groups = shape
        rng = np.random.default_rng(5)
        self.x = normal(rng, n, 1, height, width, c, dtype=dtype)
        self.w = normal(rng, k, c // groups, 1, 3, 3, dtype=dtype)
        self.dy = normal(rng, n, 1, height + 2 * pad - 2, width + 2 * pad - 2, k, dtype=dtype)
        self.geometry = (1, 1, 1), (0, pad, pad), (1, 1, 1), groups

    def alone(self, algorithm: str) -> tuple[Array, Array]:
        """The gradients of x and w, one after the other."""
        dx, dw = np.full_like(self.x, np.nan), np.full_like(self.w, np.nan)
        _C.conv_bwd_x(self.dy, self.w, dx, *self.geometry, _C.CONV_ALGORITHMS[algorithm])
        _C.conv_bwd_w(self.dy, self.x, dw, *self.geometry, _C.CONV_ALGORITHMS[algorithm])
        return dx, dw

    def together(self, algorithm: str = "winograd", before: Array | None = None) -> tuple[Array, Array]:
        """The same by one call; dx is added to `before`."""
        dx: Array = _C.empty(self.x.shape, self.x.dtype)  # aligned, as what goes past the caches must be
        dx[...] = np.nan if before is None else before
        dw = np.full_like(self.w, np.nan)
        code = _C.CONV_ALGORITHMS[algorithm]
        _C.conv_bwd(self.dy, self.x, self.w, dx, dw, *self.geometry, code, before is not None)
        return dx, dw


def distance(a: Array, b: Array) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("level", fastnn.cpu.levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", JOINT | APART)
def test_both_gradients_are_those_of_direct_sums(name: str, dtype: str, level: str) -> None:
    """dx has the bits that it has alone, dw those of any number of threads; both are as near to direct sums in float64
    as single passes are."""
    fastnn.cpu.set_level(level)
    case = Both((JOINT | APART)[name], dtype)
    dx, dw = case.alone("winograd")
    exact = Both((JOINT | APART)[name], dtype)
    exact.x, exact.w, exact.dy = (a.astype("float64") for a in (case.x, case.w, case.dy))
    exact_dx, exact_dw = exact.alone("direct")
    seen = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        joint_dx, joint_dw = case.together()
        np.testing.assert_array_equal(joint_dx, dx)
        seen.append(joint_dw)
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    limit = 3e-6 if dtype == "float32" else 6e-15
    assert distance(dx, exact_dx) < limit
    assert distance(dw, exact_dw) < limit
    assert distance(seen[0], exact_dw) < limit


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("level", fastnn.cpu.levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("c", "k"), [(16, 33), (70, 20), (5, 130), (256, 24)])
def test_products_of_1x1_share_what_they_read(c: int, k: int, dtype: str, level: str) -> None:
    """More pixels than one chunk of the weight gradient; the bits of one pass after the other."""
    fastnn.cpu.set_level(level)
    rng = np.random.default_rng(8)
    x, dy = normal(rng, 7, 1, 23, 29, c, dtype=dtype), normal(rng, 7, 1, 23, 29, k, dtype=dtype)
    w = normal(rng, k, c, 1, 1, 1, dtype=dtype)
    geometry = (1, 1, 1), (0, 0, 0), (1, 1, 1), 1
    dx, dw = np.full_like(x, np.nan), np.full_like(w, np.nan)
    _C.conv_bwd_x(dy, w, dx, *geometry)
    _C.conv_bwd_w(dy, x, dw, *geometry)
    rtol = 1e-4 if dtype == "float32" else 1e-12
    flat = dy.reshape(-1, k).astype("float64")
    np.testing.assert_allclose(dx.reshape(-1, c), flat @ w.reshape(k, c), rtol, 30 * rtol)
    np.testing.assert_allclose(dw.reshape(k, c), flat.T @ x.reshape(-1, c), rtol, 30 * rtol)
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        both = np.full_like(x, np.nan), np.full_like(w, np.nan)
        _C.conv_bwd(dy, x, w, *both, *geometry)
        np.testing.assert_array_equal(both[0], dx)
        np.testing.assert_array_equal(both[1], dw)
        total = x.copy()
        _C.conv_bwd(dy, x, w, total, dw, *geometry, 0, True)
        np.testing.assert_array_equal(total, x + dx)


@pytest.mark.parametrize("name", JOINT | APART)
def test_the_shapes_of_this_file_are_found_together_or_not(name: str) -> None:
    """Together, dw is summed in another order: were the bits the same, the other path would have been tested."""
    case = Both((JOINT | APART)[name], "float32")
    same = np.array_equal(case.together()[1], case.alone("winograd")[1])
    assert same == (name in APART)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("name", JOINT)
def test_the_data_gradient_is_added(name: str) -> None:
    case = Both(JOINT[name], "float32")
    before = normal(np.random.default_rng(6), *case.x.shape, dtype="float32")
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        dx, dw = case.together()
        total, again = case.together(before=before)
        np.testing.assert_array_equal(total, before + dx)
        np.testing.assert_array_equal(again, dw)


@pytest.mark.parametrize("name", ["whole tiles", "more filters", "groups"])
def test_a_data_gradient_that_goes_past_the_caches(name: str) -> None:
    """The same bits, where only its rows are, and added or not."""
    case = Both(JOINT[name], "float32")
    near = case.together()
    before = normal(np.random.default_rng(9), *case.x.shape, dtype="float32")
    _C.set_stream_bytes(1)
    try:
        far, total = case.together(), case.together(before=before)
    finally:
        _C.set_stream_bytes(0)
    for a, b in zip(far, near, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(total[0], before + near[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_every_algorithm_gives_both(name: str, dtype: str) -> None:
    """The bits of one pass after the other, where nothing is shared."""
    n, size, c, *_ = SHAPES[name]
    case = Case(SHAPES[name], dtype)
    x = normal(np.random.default_rng(7), n, *size, c, dtype=dtype)
    for algorithm in (*_C.CONV_ALGORITHMS.values(), _C.CONV_BF16):
        dx, dw, alone = np.full_like(x, np.nan), np.full_like(case.w, np.nan), np.full_like(case.w, np.nan)
        _C.conv_bwd(case.dy, x, case.w, dx, dw, *case.geometry, algorithm)
        _C.conv_bwd_w(case.dy, x, alone, *case.geometry, algorithm)
        np.testing.assert_array_equal(dx, case.gradient(algorithm))
        np.testing.assert_array_equal(dw, alone)


def test_no_images_no_filters_no_channels() -> None:
    for n, c, k, groups in ((0, 16, 16, 1), (4, 0, 16, 1), (4, 16, 0, 1), (4, 16, 0, 2), (0, 16, 16, 16)):
        case = Both((n, 9, 9, c, k, 1, groups), "float32")
        dx, dw = case.together()
        np.testing.assert_array_equal(dx, np.zeros_like(dx))
        np.testing.assert_array_equal(dw, np.zeros_like(dw))


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    """Nothing is written then."""
    case = Both(APART["few tiles"], "float32")
    for argument, wrong in (("dx", case.x[:1].copy()), ("dw", case.w[1:].copy()), ("dx", case.x.astype("float64"))):
        given = {"dx": case.x.copy(), "dw": case.w.copy(), argument: wrong.copy()}
        with pytest.raises((TypeError, ValueError), match=argument):
            _C.conv_bwd(case.dy, case.x, case.w, given["dx"], given["dw"], *case.geometry)
        np.testing.assert_array_equal(given[argument], wrong)
