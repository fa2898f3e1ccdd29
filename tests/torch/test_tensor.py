"""The Tensor beside PyTorch's: the same expression on both, values, dtypes, shapes and gradients compared."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

_DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64"]


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


@pytest.mark.parametrize(
    "operation", [operator.add, operator.mul, operator.truediv, torch.maximum], ids=lambda f: f.__name__
)
def test_promotion_of_every_pair_of_dtypes(operation: Any) -> None:
    ours = fastnn.maximum if operation is torch.maximum else operation
    for (a, b), (na, nb) in itertools.product(itertools.product(_DTYPES, _DTYPES), [(1, 1), (1, 0), (0, 1), (0, 0)]):
        x, y = np.ones((2,) * na, a), np.ones((2,) * nb, b)
        expected = operation(torch.from_numpy(x), torch.from_numpy(y))
        assert _name(ours(Tensor(x), Tensor(y)).dtype) == _name(expected.dtype), (a, na, b, nb)


@pytest.mark.parametrize("number", [2, 2.5, True])
def test_promotion_of_every_dtype_with_numbers(number: Any) -> None:
    for dtype, ndim in itertools.product(_DTYPES, (0, 1)):
        x = np.ones((2,) * ndim, dtype)
        for operation in (operator.add, operator.mul, operator.truediv, operator.gt):
            expected = operation(torch.from_numpy(x), number).dtype
            assert _name(operation(Tensor(x), number).dtype) == _name(expected), (dtype, operation)


_X = np.random.default_rng(0).standard_normal((3, 4, 5))
_Y = np.random.default_rng(1).uniform(0.5, 2, (3, 4, 5))
_I = np.array([[[2, 0, 1, 3, 3]], [[1, 1, 0, 2, 0]], [[0, 0, 0, 0, 0]]])

# Each is applied to (x, y) float64 with gradients, i int64, and the library as m.
_EXPRESSIONS: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda x, y, i, m: (x + y * 2 - 1 / y) ** 2 - x % y + (x // y).detach(),
    "add-alpha": lambda x, y, i, m: m.add(x, y, alpha=0.3).sub(y, alpha=2),
    "pow": lambda x, y, i, m: y**x + y**0.5 + 2**x + x**2 + x**3 + x**0,
    "div-modes": lambda x, y, i, m: x.div(y, rounding_mode="trunc") + m.div(x, y, rounding_mode="floor"),
    "remainders": lambda x, y, i, m: m.remainder(x, y) + m.fmod(x, y) + x.remainder(-0.3),
    "unary": lambda x, y, i, m: (
        x.exp() + y.log() + y.sqrt() + y.rsqrt() + x.sin() * x.cos() + x.tanh() + x.sigmoid() + x.relu()
    ),
    "more-unary": lambda x, y, i, m: (
        x.expm1() + y.log1p() + y.log2() + y.log10() + y.reciprocal() + x.square() + x.abs() - x.sign()
    ),
    "inverse": lambda x, y, i, m: (
        m.asin(x / 4) + m.acos(x / 4) + m.atan(x) + m.atan2(x, y) + m.asinh(x) + m.atanh(x / 4) + m.acosh(y + 1)
    ),
    "hyperbolic": lambda x, y, i, m: x.sinh() + x.cosh() + m.exp2(x) + m.tan(x / 4),
    "rounding": lambda x, y, i, m: x.floor() + x.ceil() * 2 + x.trunc() * 3 + x.round() * 4 + m.round(x, decimals=1),
    "extremes": lambda x, y, i, m: (
        m.maximum(x, y) + m.minimum(x, m.zeros_like(x)) + x.clamp(-0.5, 0.5) + x.clamp(max=0.1)
    ),
    "ties": lambda x, y, i, m: m.maximum(x.round(), y.round()) + m.minimum(x.round() * x, x.round() * x),
    "clamp-tensors": lambda x, y, i, m: m.clamp(x, x[:1] * 0.5 - 1, y[0] * 0.1),
    "where": lambda x, y, i, m: m.where(x > 0, x, y) + m.where(x > 0, x, 0.5) + x.masked_fill(x > 1, 7),
    "lerp": lambda x, y, i, m: m.lerp(x, y, 0.3) + x.lerp(y, x),
    "sums": lambda x, y, i, m: (
        x.sum() + x.sum(1).mean() + x.sum((0, 2), keepdim=True).sum() + x.mean((0, 1)).prod() + x.prod(2).sum()
    ),
    "moments": lambda x, y, i, m: (
        x.var()
        + x.std(0).sum()
        + x.var(1, unbiased=False).sum()
        + m.std(x, dim=2, correction=0).sum()
        + x.var((0, 2)).sum()
    ),
    "extreme-reductions": lambda x, y, i, m: (
        x.max() + x.min() + x.max(1).values.sum() + x.min(dim=2, keepdim=True)[0].sum() + x.amax((0, 1)).sum()
    ),
    "extreme-ties": lambda x, y, i, m: (x.round() * y.detach().round()).amax(1) + x.round().max() * 2,
    "places": lambda x, y, i, m: m.cat(
        [
            x.argmax(1).flatten(),
            x.argmin().reshape(1),
            x.argsort(-1, descending=True).flatten(),
            x.max(0).indices.flatten(),
        ]
    ),
    "logsumexp": lambda x, y, i, m: m.logsumexp(x, 1) + (x * 1000).logsumexp((0, 1)).sum(),
    "norms": lambda x, y, i, m: (
        x.norm() + x.norm(p=1, dim=1).sum() + x.norm(3, dim=(0, 2)).sum() + x.norm(float("inf"), dim=2).sum()
    ),
    "logical": lambda x, y, i, m: m.stack(
        [x.gt(0).all().double(), (x > 1).any().double(), m.count_nonzero(x > 0).double()]
    ),
    "einsum": lambda x, y, i, m: (
        m.einsum("ijk,ijl->kl", x, y) + m.einsum("bij,bkj,kl->", x, y, x[:, 0, 1:].T @ x[:, 0, 1:])
    ),
    "einsum-dots": lambda x, y, i, m: m.einsum("...j,...j", x, y[:1]) + m.einsum("a...,b...->b", x, y)[:, None],
    "einsum-diagonal": lambda x, y, i, m: m.einsum("iij->j", x[:, :3]) * m.einsum("ij,ii->j", x[0, :3], y[0, :3, :3]),
    "cumsum": lambda x, y, i, m: x.cumsum(1) + m.cumsum(y, dim=-1),
    "sort": lambda x, y, i, m: x.sort(1, descending=True).values * y + x.topk(2, dim=1)[0].sum() + x.sort().indices,
    "reshape": lambda x, y, i, m: x.reshape(4, -1).view(15, 4).flatten().unflatten(0, (5, 12)) @ y.reshape(12, 5),
    "axes": lambda x, y, i, m: x.permute(2, 0, 1).transpose(0, 1) + y.movedim(2, 1) + x.mT.unsqueeze(0).squeeze(0),
    "expand": lambda x, y, i, m: x[:1].expand(3, -1, 5) + x[..., :1].expand_as(y) + x[0, 0].broadcast_to((3, 4, 5)),
    "flip": lambda x, y, i, m: x.flip(0, 2) + m.roll(y, 2, 1) + m.roll(x, (1, 2), (0, 1)) + x.roll(3),
    "triangles": lambda x, y, i, m: x.tril(1) + y.triu(-1) + m.diag(x[0, 0])[0, 0] + m.diag(x[0]).sum(),
    "repeat": lambda x, y, i, m: x.repeat(2, 1, 1) * m.tile(y, (2, 1, 1)),
    "cat": lambda x, y, i, m: (
        m.cat([x, y[:, :2]], 1).sum() * m.stack([x, y], -1).prod() + m.concat((x, y), dim=0).sum()
    ),
    "split": lambda x, y, i, m: (
        x.split(2, 1)[0] * y.split([1, 3], 1)[1][:, :2] + m.chunk(x, 2, 1)[1] + x.unbind(1)[3].unsqueeze(1)
    ),
    "chunk": lambda x, y, i, m: m.stack([c.sum() * k for k, c in enumerate(x.chunk(3, dim=2))]),
    "pad": lambda x, y, i, m: (
        m.nn.functional.pad(x, (1, 2, 0, 1), value=2.0).sum(0)
        * m.nn.functional.pad(y, (2, 1, 1, 0), mode="reflect").sum(0)
    ),
    "pad-more": lambda x, y, i, m: (
        m.nn.functional.pad(x, (1, 2), "replicate") * m.nn.functional.pad(y, (2, 1), "circular")
    ),
    "index": lambda x, y, i, m: (
        x[1] + x[:, 1:3].sum() + x[i[0, 0] % 3].sum() + x[..., -1].mean() + x[[0, 2], [1, 1]].sum() + x[x > 0].sum()
    ),
    "index-mixed": lambda x, y, i, m: (
        x[i[0, 0] % 3, :, i[1, 0]] + x[:, None, [1, 1, 1, 0, 0]].sum() + x[y > 1].square().sum()
    ),
    "gather": lambda x, y, i, m: x.gather(1, i) + m.index_select(y, 1, i[0, 0])[:, :1] + m.take_along_dim(x, i, 1),
    "scatter": lambda x, y, i, m: (
        x.scatter_add(1, i, y[:, :1]) + x.scatter(1, i[:1], 0.5) * x.masked_select(x > 0).sum()
    ),
    "one-hot": lambda x, y, i, m: m.nn.functional.one_hot(i, 5),
    "scans": lambda x, y, i, m: (
        x.cumprod(1)
        + m.cumprod(x * (x.abs() > 0.3), dim=-1)
        + x.cummax(0).values
        + x.cummin(2)[0]
        + x.cummax(1).indices
        + x.round().cummin(2).indices
    ),
    "median": lambda x, y, i, m: (
        x.median() + x.median(1).values.sum() * x.median(2, keepdim=True)[0] + x.median(0).indices
    ),
    "quantile": lambda x, y, i, m: (
        m.quantile(x, 0.3, dim=1, keepdim=True) * x.quantile(0.77) + m.quantile(y, 1.0, dim=2).sum()
    ),
    "moments-together": lambda x, y, i, m: m.stack([*m.var_mean(x, 1), *m.std_mean(y, 1, correction=0)]),
    "aminmax": lambda x, y, i, m: m.stack([*x.aminmax(dim=1)]) * m.stack([*m.aminmax(y)]).sum(),
    "special": lambda x, y, i, m: (
        x.erf()
        + (y / 2.1).logit()
        + m.logit(x, eps=0.2)
        + x.frac()
        + x.sinc()
        + m.logaddexp(x, y * 3)
        + x.logaddexp(x[:1])
        + m.nan_to_num(x / (x > 0), posinf=3.0)
        + x.clamp_min(0.1)
        + x.clamp_max(-0.2)
        + m.addcmul(x, x, y, value=0.5)
        + x.addcdiv(x, y, value=-2)
    ),
    "products": lambda x, y, i, m: (
        m.outer(x[0, 0], y[0, 1]).sum() * x[0].mv(y[1, 2])
        + m.addmm(x[0, 0, :4], x[0], y[1].T, beta=0.3, alpha=2)
        + m.tensordot(x, y, dims=([0, 2], [0, 2])).trace()
        + m.tensordot(x[0], y[0].T, 1).sum()
    ),
    "parts": lambda x, y, i, m: (
        x.narrow(1, 1, 2)
        + y.narrow(1, -3, 2)
        + x.select(1, -1).unsqueeze(1)
        + y.tensor_split(2, 1)[1]
        + m.tensor_split(x, (1, 3), dim=1)[1]
        + x.ravel()[3]
        + x.moveaxis(0, 1)[1:3, 0].sum()
    ),
    "turns": lambda x, y, i, m: (
        (x.fliplr() + y.flipud()).sum(2, keepdim=True) * x.rot90(2, (1, 2))
        + x.rot90(4, (0, 1))
        + x.rot90(1, (0, 2)).sum() * y.rot90(-1, (1, 2)).mean()
    ),
    "repeat-interleave": lambda x, y, i, m: (
        x.repeat_interleave(2, 1) * m.repeat_interleave(y, i[0, 0, :4] + 1, dim=1)[:, :8] + x.repeat_interleave(3).sum()
    ),
    "grids": lambda x, y, i, m: (
        m.meshgrid(x[0, 0], y[0, :, 0], indexing="ij")[0] * m.meshgrid(x[0, 0], y[0, :, 0], indexing="xy")[1].T
    ),
    "diagonals": lambda x, y, i, m: (
        x.diagonal(1, 1, 2).sum(0) * y.diagonal(-1, 2, 1)[:, :1].sum()
        + x.diagonal(offset=0, dim1=-1, dim2=0).sum()
        + x[0].diagonal(-3).sum()
    ),
    "index-by": lambda x, y, i, m: (
        x.index_add(1, i[0, 0], y[:, [0, 1, 2, 3, 0]], alpha=0.7)
        + x.index_copy(1, i[1, 0, 1:4], y[:, 1:]) * x.index_fill(2, i[0, 0, :2], 0.5)
    ),
    "unique": lambda x, y, i, m: m.cat(
        [
            i.unique(),
            *m.unique(i, return_inverse=True, return_counts=True)[1:][1:],
            m.unique(i[0], dim=1).flatten(),
            i.flatten().bincount(minlength=6),
            m.unique(i, return_inverse=True)[1].flatten(),
        ]
    ),
    "bincount": lambda x, y, i, m: m.bincount(i.flatten(), weights=y.detach().flatten()[:15]),
    "conversions": lambda x, y, i, m: x.float().double() + i.double().sum() + x.to(y.dtype) + x.long() + x.type_as(y),
    "clone": lambda x, y, i, m: x.clone() + y.contiguous() + x.T.contiguous().sum(),
    "allclose": lambda x, y, i, m: m.isclose(x, x + 1e-9) & ~m.isnan(x) | (x == y) & m.logical_not(x),
}


@pytest.mark.parametrize("name", _EXPRESSIONS)
@pytest.mark.filterwarnings("ignore:The use of `x.T` on tensors of dimension")
def test_expressions(name: str) -> None:
    x, y = (fastnn.tensor(v, requires_grad=True) for v in (_X, _Y))
    tx, ty = (torch.tensor(v, requires_grad=True) for v in (_X, _Y))
    ours = _EXPRESSIONS[name](x, y, Tensor(_I), fastnn)
    theirs = _EXPRESSIONS[name](tx, ty, torch.from_numpy(_I), torch)
    assert ours.shape == tuple(theirs.shape)
    assert ours.dtype.name == _name(theirs.dtype)
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert ours.requires_grad == theirs.requires_grad
    if not theirs.requires_grad:
        return
    dy = np.random.default_rng(2).standard_normal(ours.shape)
    ours.backward(dy)
    theirs.backward(torch.from_numpy(np.asarray(dy)))
    for leaf, their_leaf in ((x, tx), (y, ty)):
        if their_leaf.grad is None:
            assert leaf.grad is None or not leaf.grad.data.any()
        else:
            assert leaf.grad is not None
            np.testing.assert_allclose(leaf.grad.data, their_leaf.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.0],
        [1.5, -2.25],
        [1e-6, 1.0],
        [1e9, 1.5],
        [float("nan"), 1.0],
        [float("inf"), -1.0],
        [[1, 20], [-3, 4]],
        [True, False],
        [0.0001, 0.5],
        [100000.0, 0.25],
        3.0,
        2,
        [[[1.0, 2.0]], [[3.5, 4.0]]],
    ],
)
def test_printing(values: Any) -> None:
    assert repr(fastnn.tensor(values)) == repr(torch.tensor(values))


def test_dlpack_both_ways_without_a_copy() -> None:
    x = fastnn.rand(2, 3)
    theirs = torch.from_dlpack(x)
    theirs[0, 0] = 7
    assert x[0, 0].item() == 7
    back = fastnn.from_dlpack(theirs)
    assert np.shares_memory(back.data, x.data)
    image = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert fastnn.from_dlpack(image).stride() == image.stride()
    assert torch.from_dlpack(fastnn.from_dlpack(image)).stride() == image.stride()
    from_theirs = fastnn.from_dlpack(torch.arange(3))
    from_theirs += 1
    assert from_theirs.tolist() == [1, 2, 3]
