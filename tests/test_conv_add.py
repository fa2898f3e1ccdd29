"""The convolution's data gradient added to what is there: the bits of computing it apart and adding it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _C
from tests.cases import Array, normal
from tests.process import python

# (n, in, c, k, kernel, stride, pad, dilation, groups): every algorithm of csrc/ops/conv.inc.h, sizes odd so that
# tiles and vectors have tails; what each can do for the others is in their own tests.
SHAPES: dict[str, Any] = {
    "3x3": (2, (1, 11, 9), 24, 16, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "3x3 whole tiles": (3, (1, 8, 16), 16, 24, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "3x3 wide": (1, (1, 6, 7), 130, 144, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "3x3 few channels": (2, (1, 11, 9), 10, 10, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "3x3 colours": (2, (1, 37, 9), 3, 16, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "3x3 without padding": (2, (1, 5, 10), 24, 20, (1, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "3x3 more padding": (2, (1, 5, 7), 16, 16, (1, 3, 3), (1, 1, 1), (0, 2, 2), (1, 1, 1), 1),
    "3x3 one pixel": (3, (1, 1, 1), 24, 16, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "3x3 groups": (2, (1, 9, 7), 48, 32, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 2),
    "3x3 small groups": (2, (1, 9, 8), 32, 32, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 8),
    "3x3 stride": (2, (1, 11, 9), 24, 16, (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 1),
    "3x3 stride, few channels": (2, (1, 10, 9), 3, 10, (1, 3, 3), (1, 2, 1), (0, 1, 1), (1, 1, 1), 1),
    "3x3 dilation": (2, (1, 9, 10), 24, 10, (1, 3, 3), (1, 1, 1), (0, 2, 2), (1, 2, 2), 1),
    "1x1": (2, (1, 7, 9), 24, 10, (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
    "1x1 stride": (2, (1, 7, 9), 10, 24, (1, 1, 1), (1, 2, 2), (0, 0, 0), (1, 1, 1), 1),  # leaves pixels out
    "1x1 padding": (2, (1, 3, 4), 3, 5, (1, 1, 1), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1),
    "5x4": (2, (1, 8, 9), 10, 6, (1, 5, 4), (1, 1, 1), (0, 2, 1), (1, 1, 1), 1),
    "depthwise": (2, (1, 11, 9), 24, 24, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 24),
    "depthwise stride": (2, (1, 8, 7), 10, 10, (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1), 10),
    "line": (2, (1, 1, 17), 5, 24, (1, 1, 3), (1, 1, 1), (0, 0, 1), (1, 1, 1), 1),
    "volume": (2, (3, 7, 9), 6, 10, (2, 3, 3), (1, 1, 2), (1, 1, 1), (1, 2, 1), 2),
}


class Case:
    """The arrays of one shape, and both ways to the same sum."""

    def __init__(self, shape: Any, dtype: str) -> None:
        n, size, c, k, kernel, stride, pad, dilation, groups = shape
        axes = zip(size, kernel, stride, pad, dilation, strict=True)
        out = [(i + 2 * p - d * (r - 1) - 1) // s + 1 for i, r, s, p, d in axes]
        rng = np.random.default_rng(3)
        self.dy = normal(rng, n, *out, k, dtype=dtype)
        self.w = normal(rng, k, c // groups, *kernel, dtype=dtype)
        self.before = normal(rng, n, *size, c, dtype=dtype)
        self.geometry = stride, pad, dilation, groups

    def gradient(self, algorithm: int) -> Array:
        """The gradient by itself, over numbers that must not matter."""
        dx: Array = _C.empty(self.before.shape, self.before.dtype)
        dx.fill(np.nan)
        _C.conv_bwd_x(self.dy, self.w, dx, *self.geometry, algorithm)
        return dx

    def added(self, algorithm: int) -> Array:
        """What was there and the gradient, in memory that no vector's width divides; what lies around is as it was."""
        size = self.before.size
        memory = np.full(size + 36, 7, self.before.dtype)
        dx = memory[17 : 17 + size].reshape(self.before.shape)
        dx[...] = self.before
        _C.conv_bwd_x(self.dy, self.w, dx, *self.geometry, algorithm, True)
        assert (memory[:17] == 7).all()
        assert (memory[17 + size :] == 7).all()
        return dx


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("level", fastnn.cpu.levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_sum_has_the_bits_of_gradient_and_addition(name: str, dtype: str, level: str) -> None:
    fastnn.cpu.set_level(level)
    case = Case(SHAPES[name], dtype)
    for algorithm in (*_C.CONV_ALGORITHMS.values(), _C.CONV_BF16):
        fastnn.set_num_threads(1)
        alone = case.gradient(algorithm)
        assert np.isfinite(alone).all()
        assert alone.any()
        for threads in (1, 2):
            fastnn.set_num_threads(threads)
            np.testing.assert_array_equal(case.added(algorithm), case.before + alone)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("algorithm", ["auto", "direct"])
@pytest.mark.parametrize("size", [112, 113])
def test_a_sum_above_the_caches(size: int, algorithm: str) -> None:
    """Above 12 MB Winograd's gradient goes past the caches by itself, but not where it adds."""
    case = Case((16, (1, size, size), 16, 16, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1), "float32")
    code = _C.CONV_ALGORITHMS[algorithm]
    alone = case.gradient(code)
    assert alone.nbytes > 12_000_000
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        total: Array = _C.empty(alone.shape, alone.dtype)
        total[...] = case.before
        _C.conv_bwd_x(case.dy, case.w, total, *case.geometry, code, True)
        np.testing.assert_array_equal(total, case.before + alone)


@pytest.mark.parametrize("algorithm", [*_C.CONV_ALGORITHMS.values(), _C.CONV_BF16])
def test_nothing_is_added_where_there_are_no_images(algorithm: int) -> None:
    for shape in SHAPES.values():
        assert Case((0, *shape[1:]), "float32").added(algorithm).size == 0


@pytest.mark.parametrize("algorithm", ["auto", "direct", "im2col"])
def test_nan_is_added_where_it_belongs(algorithm: str) -> None:
    """In what was there: to that element alone; in the output's gradient: to all that the filters reach from there."""
    case = Case(SHAPES["3x3"], "float32")
    case.before[0, 0, 5, 5, 3] = np.nan
    total = case.added(_C.CONV_ALGORITHMS[algorithm])
    assert np.argwhere(np.isnan(total)).tolist() == [[0, 0, 5, 5, 3]]
    case.dy[1, 0, 4, 4, 2] = np.inf
    assert not np.isfinite(case.added(_C.CONV_ALGORITHMS[algorithm])[1, 0, 3:6, 3:6]).any()


def test_no_filters_give_no_gradient() -> None:
    """No output channels: nothing to add, and a gradient of 0. In a process of its own, which a division by 0 ends."""
    done = python("""if True:
        from fastnn import _C
        from tests.test_conv_add import Case
        case = Case((2, (1, 5, 6), 4, 0, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1), 1), "float32")
        for algorithm in _C.CONV_ALGORITHMS.values():
            print((case.added(algorithm) == case.before).all(), (case.gradient(algorithm) == 0).all())
    """)
    assert done.stdout.split() == ["True"] * 2 * len(_C.CONV_ALGORITHMS)


def test_memory_that_cannot_be_added_to_is_refused() -> None:
    case = Case(SHAPES["3x3"], "float32")
    fixed = case.before.copy()
    fixed.flags.writeable = False
    for wrong in (fixed, case.before[:, :, ::-1], case.before.astype(np.float64)):
        kept = wrong.copy()
        with pytest.raises((TypeError, ValueError), match="dx"):
            _C.conv_bwd_x(case.dy, case.w, wrong, *case.geometry, 0, True)
        np.testing.assert_array_equal(wrong, kept)
