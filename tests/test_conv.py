"""Convolutions: what the table of cases does not say. Errors, unbatched input, the algorithm switch, memory layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import _C
from fastnn.autograd import Tensor
from fastnn.ops.conv import conv_output_size
from fastnn.reference import conv as reference


def tensor(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.conv2d(tensor(1, 3, 5, 5), tensor(4, 2, 3, 3)), "conv2d: expected input with 2 channels"),
        (lambda: F.conv2d(tensor(1, 3, 5), tensor(4, 3, 3)), "conv2d: expected weight of 4 dimensions"),
        (lambda: F.conv2d(tensor(3, 5), tensor(4, 3, 3, 3)), "conv2d: expected input of 4 dimensions"),
        (lambda: F.conv2d(tensor(1, 3, 2, 2), tensor(4, 3, 3, 3)), "the filter does not fit"),
        (lambda: F.conv2d(tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), tensor(3)), r"bias of shape \(4,\)"),
        (lambda: F.conv2d(tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), stride=0), "'stride'"),
        (lambda: F.conv2d(tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), padding=-1), "'padding'"),
        (lambda: F.conv2d(tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), padding="full"), "'same' or 'valid'"),
        (lambda: F.conv2d(tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), stride=2, padding="same"), "needs stride 1"),
        (lambda: F.conv2d(tensor(1, 4, 5, 5), tensor(4, 2, 3, 3), groups=3), "'groups'"),
        (lambda: F.conv2d(tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), dilation=(1, 2, 3)), "'dilation'"),
    ],
)
def test_bad_shapes_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_mixed_dtypes_raise():
    with pytest.raises(TypeError, match="weight of the input's dtype float32"):
        F.conv2d(tensor(1, 3, 5, 5), tensor(4, 3, 3, 3).double())


def test_unbatched_input_is_a_batch_of_one():
    x, w = tensor(3, 6, 5), tensor(4, 3, 3, 3)
    assert np.array_equal(F.conv2d(x, w).numpy(), F.conv2d(x.reshape(1, 3, 6, 5), w).numpy()[0])


def test_output_lies_channels_last():
    y = F.conv2d(tensor(2, 3, 6, 5), tensor(4, 3, 3, 3), padding=1)
    assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_memory_layout_of_the_input_does_not_matter():
    x, w = tensor(2, 3, 6, 5), tensor(4, 3, 3, 3)
    last = Tensor(np.ascontiguousarray(x.data.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
    assert np.array_equal(F.conv2d(x, w).numpy(), F.conv2d(last, w).numpy())


def test_unknown_algorithm_raises_and_changes_nothing():
    before = fastnn.backends.conv.algorithm
    with pytest.raises(ValueError, match="expected one of"):
        fastnn.backends.conv.algorithm = "fft"
    assert fastnn.backends.conv.algorithm == before


@pytest.mark.parametrize(
    ("kind", "draw"),
    [
        ("normal", lambda rng, shape: rng.standard_normal(shape)),
        ("relu", lambda rng, shape: np.maximum(rng.standard_normal(shape), 0)),
        ("large mean", lambda rng, shape: rng.standard_normal(shape) + 10),
    ],
)
@pytest.mark.parametrize("channels", [16, 64])
def test_winograd_error_is_within_four_times_direct(kind, draw, channels):
    """Relative L2 error of float32 against float64; the bound is the one that docs/kernels/winograd.md states."""
    rng = np.random.default_rng(1)
    x = draw(rng, (4, channels, 16, 16)).astype(np.float32)
    w = (rng.standard_normal((32, channels, 3, 3)) * np.sqrt(2 / (channels * 9))).astype(np.float32)
    exact = F.conv2d(Tensor(x).double(), Tensor(w).double(), padding=1).numpy()
    error = {}
    try:
        for name in ("direct", "winograd"):
            fastnn.backends.conv.algorithm = name
            y = F.conv2d(Tensor(x), Tensor(w), padding=1).numpy()
            error[name] = np.linalg.norm(y - exact) / np.linalg.norm(exact)
    finally:
        fastnn.backends.conv.algorithm = "auto"
    assert 0 < error["direct"] < 1e-6
    assert error["winograd"] <= 4 * error["direct"]


@pytest.mark.parametrize(
    "shape", [(2, 16, 16, 32), (3, 24, 10, 15), (2, 64, 64, 8), (3, 130, 144, 7), (12, 128, 160, 12)]
)
def test_winograd_passes_are_within_four_times_direct_and_independent_of_threads(shape):
    """All three passes of ReLU'd input against float64.

    Direct float32 is the less exact one of the direct kernel, which sums in many short parts, and the definition
    (im2col and NumPy's products). With 128 channels each way the weight gradient goes product by product.
    """
    n, c, k, size = shape
    rng = np.random.default_rng(2)
    x = np.maximum(rng.standard_normal((n, c, size, size)), 0).astype(np.float32)
    w = (rng.standard_normal((k, c, 3, 3)) * np.sqrt(2 / (c * 9))).astype(np.float32)
    dy = rng.standard_normal((n, k, size, size)).astype(np.float32)

    def definition(dtype):
        a, b, g = (each.astype(dtype) for each in (x, w, dy))
        return (
            reference.conv_fwd(a, b, padding=1),
            reference.conv_bwd_x(g, b, a.shape, padding=1),
            reference.conv_bwd_w(g, a, b.shape, padding=1),
        )

    def passes():
        a, b = (Tensor(each, requires_grad=True) for each in (x, w))
        y = F.conv2d(a, b, padding=1)
        y.backward(Tensor(dy))
        return y.detach().numpy(), a.grad.numpy(), b.grad.numpy()

    threads, found = fastnn.get_num_threads(), []
    try:
        fastnn.backends.conv.algorithm = "direct"
        direct = passes()
        fastnn.backends.conv.algorithm = "winograd"
        for count in (1, 2, 3, 4):
            fastnn.set_num_threads(count)
            found.append(passes())
    finally:
        fastnn.backends.conv.algorithm = "auto"
        fastnn.set_num_threads(threads)
    columns = zip(definition(np.float64), definition(np.float32), direct, *found, strict=True)
    for want, defined, computed, first, *others in columns:
        plain = max(np.linalg.norm(defined - want), np.linalg.norm(computed - want))
        assert 0 < np.linalg.norm(first - want) <= 4 * plain
        for other in others:
            np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "expected"),
    [(32, 3, 1, 1, 1, 32), (32, 3, 2, 1, 1, 16), (28, 5, 1, 0, 1, 24), (7, 3, 1, 0, 2, 3), (2, 3, 1, 0, 1, 0)],
)
def test_output_size(size, kernel, stride, padding, dilation, expected):
    assert conv_output_size(size, kernel, stride, padding, dilation) == expected


@pytest.fixture
def streaming() -> Iterator[None]:
    """Every output past the caches, however small."""
    _C.set_stream_bytes(1)
    yield
    _C.set_stream_bytes(0)


def on_threads(compute: Callable[[], np.ndarray]) -> list[np.ndarray]:
    """What `compute` gives on two threads and on one."""
    threads, found = fastnn.get_num_threads(), []
    try:
        for count in (2, 1):
            fastnn.set_num_threads(count)
            found.append(compute())
    finally:
        fastnn.set_num_threads(threads)
    return found


@pytest.mark.parametrize(("size", "channels"), [(12, 16), (13, 16), (8, 48), (9, 20)])
def test_outputs_that_go_past_the_caches_are_the_same(streaming, size, channels):
    """Whole tiles of whole vectors are stored past the caches; ragged ones (13), parts of vectors (20) are not."""
    rng = np.random.default_rng(3)
    x, w = tensor(5, 16, size, size), Tensor(rng.standard_normal((channels, 16, 3, 3)).astype(np.float32))
    past = on_threads(lambda: F.conv2d(x, w, padding=1).numpy())
    _C.set_stream_bytes(0)
    np.testing.assert_array_equal(past[0], F.conv2d(x, w, padding=1).numpy())
    np.testing.assert_array_equal(*past)


@pytest.mark.parametrize("columns", [64, 60, 200])
@pytest.mark.parametrize("inner", [32, 300])
def test_products_that_go_past_the_caches(streaming, columns, inner):
    """Whole vectors of C are stored past the caches (64 columns), unless k comes in blocks (300)."""
    rng = np.random.default_rng(columns + inner)
    a = rng.standard_normal((517, inner)).astype(np.float32)
    b = rng.standard_normal((inner, columns)).astype(np.float32)
    bias = Tensor(rng.standard_normal(columns).astype(np.float32))
    past = on_threads(lambda: F.linear(Tensor(a), Tensor(np.ascontiguousarray(b.T)), bias).numpy())
    np.testing.assert_allclose(past[0], a.astype(np.float64) @ b.astype(np.float64) + bias.data, rtol=1e-4, atol=1e-4)
    _C.set_stream_bytes(0)
    plain = F.linear(Tensor(a), Tensor(np.ascontiguousarray(b.T)), bias).numpy()
    np.testing.assert_array_equal(past[0], plain)
    np.testing.assert_array_equal(past[1], plain)


def test_what_goes_past_the_caches_is_asked_of_the_machine():
    assert _C.stream_bytes() == _C.cache_bytes(3) // 2
    with pytest.raises(ValueError, match="set_stream_bytes: expected at least 0, got -1"):
        _C.set_stream_bytes(-1)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (6, 25), (50, 33), (130, 70), (256, 128)])
@pytest.mark.parametrize("inner", [2047, 2048, 5000, 40_001])
def test_long_inner_dimensions(m, n, inner):
    """Chunks of k, each in blocks that meet all of C: the same bits on any number of threads."""
    rng = np.random.default_rng(inner)
    a = rng.standard_normal((inner, m)).astype(np.float32)
    b = rng.standard_normal((inner, n)).astype(np.float32)
    threads, found = fastnn.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            fastnn.set_num_threads(count)
            found.append((Tensor(a).T @ Tensor(b)).numpy())
    finally:
        fastnn.set_num_threads(threads)
    exact = a.T.astype(np.float64) @ b.astype(np.float64)
    assert np.linalg.norm(found[0] - exact) <= 1e-6 * np.linalg.norm(exact) + 1e-4
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize("few", range(1, 9))
@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [
        ((3, 1, 28, 28), (5, 5), 2),
        ((2, 3, 9, 40), (3, 2), (0, 1)),
        ((5, 2, 7, 5), (1, 5), (3, 4)),
        ((1, 4, 70, 33), 3, 1),
    ],
)
def test_weight_gradient_of_few_filters(few, shape, kernel, padding):
    """Vectors along the pixels of a band, with zeros between dy's rows."""
    rng = np.random.default_rng(few)
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    x = rng.standard_normal(shape)
    w = Tensor(rng.standard_normal((few, shape[1], height, width)).astype(np.float32), requires_grad=True)
    y = F.conv2d(Tensor(x.astype(np.float32)), w, padding=padding)
    dy = rng.standard_normal(y.shape)
    y.backward(Tensor(dy.astype(np.float32)))
    expected = reference.conv_bwd_w(dy, x, w.shape, padding=padding)
    assert np.linalg.norm(w.grad.numpy() - expected) <= 1e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize("few", range(1, 9))
@pytest.mark.parametrize("size", [9, 37])
def test_few_channels_on_either_side(few, size):
    """Vectors along pixels, two rows or two neighbours at a time, where channels would not fill one."""
    rng = np.random.default_rng(few)
    x, w = rng.standard_normal((2, 3, size, size)), rng.standard_normal((few, 3, 5, 5))
    a = Tensor(x.astype(np.float32))
    y = F.conv2d(a, Tensor(w.astype(np.float32)), padding=2).numpy()
    np.testing.assert_allclose(y, reference.conv_fwd(x, w, padding=2), rtol=1e-4, atol=1e-4)
    dy, w = rng.standard_normal((2, 20, size, size)), rng.standard_normal((20, few, 5, 5))
    b = Tensor(np.zeros((2, few, size, size), np.float32), requires_grad=True)
    F.conv2d(b, Tensor(w.astype(np.float32)), padding=2).backward(Tensor(dy.astype(np.float32)))
    np.testing.assert_allclose(b.grad.numpy(), reference.conv_bwd_x(dy, w, b.shape, padding=2), rtol=1e-4, atol=3e-4)
