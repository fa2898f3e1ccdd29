"""Mean and variance of a convolution's outputs, found as they are computed, and the batch norm that takes them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import _C, cpu
from fastnn.autograd.pending import Measured
from fastnn.autograd.tensor import Tensor

# (images, size, channels, filters, taps, stride, padding, groups): Winograd with whole and ragged tiles and vectors,
# pointwise, direct, depthwise, and long sums in one task
SHAPES = [
    (4, 32, 16, 16, 3, 1, 1, 1), (3, 9, 24, 40, 3, 1, 1, 1), (2, 1, 16, 130, 3, 1, 1, 1), (5, 7, 48, 33, 3, 1, 0, 1),
    (1, 40, 32, 32, 3, 1, 1, 2), (37, 8, 64, 128, 1, 1, 0, 1), (1, 3, 5, 7, 1, 1, 0, 1), (3, 17, 3, 24, 3, 2, 1, 1),
    (2, 12, 8, 40, 5, 1, 2, 1), (1, 64, 33, 33, 3, 1, 1, 33), (6, 10, 16, 16, 3, 2, 1, 16),
]  # fmt: skip


def convolved(shape: tuple[int, ...], dtype: str, mean: float = 3.0) -> tuple[np.ndarray, np.ndarray, bool]:
    """The output as (pixels, channels), its moments, and whether the kernel found them."""
    n, size, c, k, taps, stride, padding, groups = shape
    rng = np.random.default_rng(size * c)
    x = (rng.standard_normal((n, 1, size, size, c)) + mean).astype(dtype)
    w = rng.standard_normal((k, c // groups, 1, taps, taps)).astype(dtype)
    out = (size + 2 * padding - taps) // stride + 1
    y, moments = np.empty((n, 1, out, out, k), dtype), np.full((2, k), np.nan)
    where = (1, stride, stride), (0, padding, padding), (1, 1, 1), groups
    measured = _C.conv_fwd(x, w, None, y, *where, moments=moments)
    return y.reshape(-1, k), moments, measured


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_of_outputs(shape: tuple[int, ...], dtype: str) -> None:
    """Against the definition in float64, at every level, with the same bits on one and two threads."""
    threads, level = fastnn.get_num_threads(), cpu.level()
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    try:
        for name in cpu.levels():
            cpu.set_level(name)
            found = []
            for count in (1, 2):
                fastnn.set_num_threads(count)
                y, moments, measured = convolved(shape, dtype)
                assert measured
                found.append(moments)
            exact = y.astype(np.float64)
            spread = exact.std(axis=0)
            assert (np.abs(found[0][0] - exact.mean(axis=0)) <= tolerance * (spread + 1e-6)).all()
            np.testing.assert_allclose(found[0][1], exact.var(axis=0), rtol=tolerance, atol=1e-12)
            np.testing.assert_array_equal(found[0], found[1])
    finally:
        cpu.set_level(level)
        fastnn.set_num_threads(threads)


def test_a_large_mean_costs_no_accuracy() -> None:
    for shape in (SHAPES[0], SHAPES[5]):
        y, moments, _ = convolved((*shape[:6], 0, shape[7]), "float32", mean=1000.0)
        np.testing.assert_allclose(moments[1], y.astype(np.float64).var(axis=0), rtol=2e-5)


def test_few_channels_are_not_measured() -> None:
    """The planar algorithm does not, and leaves the array alone."""
    _, moments, measured = convolved((2, 9, 3, 6, 3, 1, 1, 1), "float32")
    assert not measured
    assert np.isnan(moments).all()


class Layers:
    """A convolution and a batch norm's arguments."""

    def __init__(self, channels: int = 16) -> None:
        rng = np.random.default_rng(5)
        images = rng.standard_normal((4, 8, 8, 16)).astype(np.float32).transpose(0, 3, 1, 2)
        self.x = Tensor(images + 1, requires_grad=True)
        self.w = Tensor(rng.standard_normal((channels, 16, 3, 3)).astype(np.float32), requires_grad=True)
        self.mean, self.var = Tensor(np.zeros(channels, np.float32)), Tensor(np.ones(channels, np.float32))
        self.scale = Tensor(rng.standard_normal(channels).astype(np.float32), requires_grad=True)

    def conv(self) -> Tensor:
        return F.conv2d(self.x, self.w, None, 1, 1)

    def norm(self, y: Tensor) -> Tensor:
        return F.batch_norm(y, self.mean, self.var, self.scale, None, True)

    def outcome(self, between: Callable[[Tensor], Any] = lambda y: None) -> list[np.ndarray]:
        """Output, running statistics and gradients, with something done to the convolution's output first."""
        y = self.conv()
        between(y)
        z = F.relu(self.norm(y))
        del y
        (z * z).sum().backward()
        leaves = (self.x, self.w, self.scale)
        return [z.data, self.mean.data, self.var.data, *[leaf.grad.data for leaf in leaves]]  # type: ignore[union-attr]


def counted(name: str, function: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        calls.append(name)
        return function(*args)

    return call


def test_batch_norm_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("norm_batch_measured", "norm_batch_stats"):
        monkeypatch.setattr(_C, name, counted(name, getattr(_C, name), calls))
    found = Layers().outcome()
    expected = Layers().outcome(lambda y: y.data)  # who looks has the norm measure by itself
    assert calls == ["norm_batch_measured", "norm_batch_stats"]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def double(y: Tensor) -> None:
    with fastnn.no_grad():
        y *= 2.0


CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "itself": double,
    "data": lambda y: y.data.__setitem__(..., 2 * y.data),
    "numpy": lambda y: y.detach().numpy().__setitem__(0, 5.0),
    "index": lambda y: y.detach().__setitem__(0, 5.0),
    "view": lambda y: y[0].detach().mul_(3.0),
    "in place": lambda y: y.detach().add_(Tensor(np.float32(1.5))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_between_is_seen(change: str) -> None:
    """The running mean is that of what the output has become."""
    layers = Layers()
    y = layers.conv()
    CHANGES[change](y)
    values = np.array(y.data)
    layers.norm(y).data.sum()
    np.testing.assert_allclose(layers.mean.numpy(), 0.1 * values.mean(axis=(0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_what_is_measured_is_a_tensor_like_others() -> None:
    layers = Layers()
    y = layers.conv()
    assert type(y) is Measured
    total = y + layers.conv()
    assert type(y) is Measured  # operations only read
    with pytest.raises(RuntimeError, match="deepcopy: only leaves"):
        copy.deepcopy(y)
    assert type(y) is Tensor  # its memory was asked for
    np.testing.assert_array_equal(total.data, 2 * y.data)


def test_nothing_is_measured_without_need() -> None:
    layers = Layers()
    bias = Tensor(np.zeros(16, np.float32))
    assert type(F.conv2d(layers.x, layers.w, bias, 1, 1)) is Tensor
    assert type(F.conv2d(layers.x.detach(), layers.w.detach(), None, 1, 1)) is Tensor
    with fastnn.no_grad():
        assert type(layers.conv()) is Tensor


def test_two_norms_of_one_output_agree() -> None:
    """The first one takes the moments, the second one measures again."""
    layers = Layers()
    y = layers.conv()
    first, second = layers.norm(y), layers.norm(y)
    np.testing.assert_allclose(first.data, second.data, rtol=1e-5, atol=1e-5)
