"""`autocast` beside PyTorch's on the CPU: the same rounding to the bit, results as far apart as bfloat16 allows."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fastnn  # noqa: E402 - after the check for torch
import fastnn.nn.functional as F  # noqa: E402
from fastnn.reference.bfloat16 import round_to_bfloat16  # noqa: E402

pytestmark = pytest.mark.torch


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def test_rounding_to_the_bit():
    bits = np.random.default_rng(0).integers(0, 2**32, 200_000, np.uint32)
    ties = (np.arange(0, 2**16, 7, dtype=np.uint32) << 16) + np.uint32(0x8000)
    x = np.concatenate([bits, ties, ties - 1, ties + 1]).view(np.float32)
    x = x[np.isfinite(x) & (np.abs(x) >= 2.0**-126)]
    theirs = torch.from_numpy(x).bfloat16().float().numpy()
    np.testing.assert_array_equal(round_to_bfloat16(x).view(np.uint32), theirs.view(np.uint32))


def distance(ours, theirs):
    theirs = theirs.detach().float().numpy()
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


LAYERS = [
    (F.linear, torch.nn.functional.linear, (64, 200), (50, 200), ()),
    (F.conv2d, torch.nn.functional.conv2d, (4, 32, 8, 8), (48, 32, 1, 1), ()),
    (F.conv2d, torch.nn.functional.conv2d, (4, 32, 9, 9), (48, 32, 3, 3), (2, 1)),
]


@pytest.mark.parametrize(("call", "theirs", "shape", "weight", "options"), LAYERS)
def test_layers(call, theirs, shape, weight, options):
    x, w, b = normal(*shape), normal(*weight, seed=1), normal(weight[0], seed=2)
    tensors = [fastnn.tensor(each, requires_grad=True) for each in (x, w, b)]
    torches = [torch.from_numpy(each).requires_grad_() for each in (x, w, b)]
    with fastnn.autocast():
        y = call(*tensors, *options)
    with torch.autocast("cpu", torch.bfloat16):
        right = theirs(*torches, *options)
    assert right.dtype == torch.bfloat16
    assert y.dtype == np.float32
    dy = round_to_bfloat16(normal(*y.shape, seed=3))
    y.backward(fastnn.tensor(dy))
    right.backward(torch.from_numpy(dy).bfloat16())
    assert distance(y.data, right) < 4e-3  # theirs is rounded once more
    for ours, their in zip(tensors, torches, strict=True):
        assert distance(ours.grad.data, their.grad) < 4e-3


def test_which_operations_nest_as_theirs():
    for enabled in (True, False):
        with fastnn.autocast(enabled=enabled), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            assert fastnn.is_autocast_enabled() == torch.is_autocast_enabled("cpu")
