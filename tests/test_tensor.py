"""The Tensor itself: making one, dtypes, conversions, operators, printing, indexing, changes in place."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor, tensor
from fastnn.autograd.methods import METHODS, TensorMethods


def test_python_numbers_become_default_dtypes() -> None:
    assert tensor([1.0, 2.0]).dtype == fastnn.float32
    assert tensor([1, 2]).dtype == fastnn.int64
    assert tensor([True]).dtype == fastnn.bool
    assert tensor([]).dtype == fastnn.float32
    assert tensor(np.zeros(2)).dtype == fastnn.float64
    assert tensor(np.zeros(2, ">f4")).dtype == fastnn.float32
    assert tensor([np.float64(1)]).dtype == fastnn.float64
    assert tensor([tensor(1.0), tensor(2.0)]).tolist() == [1.0, 2.0]
    assert tensor(3, dtype=fastnn.float64).item() == 3.0


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.zeros(3, np.float32)
    copied, shared = tensor(array), fastnn.from_numpy(array)
    array[0] = 1
    assert copied[0].item() == 0
    assert shared[0].item() == 1
    assert fastnn.as_tensor(shared) is shared


@pytest.mark.parametrize("bad", [np.zeros(2, complex), np.zeros(2, np.uint16), np.array(["a"]), np.array([None])])
def test_unsupported_dtypes_raise(bad: Any) -> None:
    with pytest.raises(TypeError, match="not supported"):
        Tensor(bad)


def test_dtype_names_are_numpys() -> None:
    for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"):
        assert getattr(fastnn, name) is np.dtype(name)
    assert fastnn.bool is np.dtype(bool)


def test_default_dtype_can_be_changed() -> None:
    fastnn.set_default_dtype(fastnn.float64)
    try:
        assert tensor(1.5).dtype == fastnn.float64
        assert fastnn.zeros(2).dtype == fastnn.float64
    finally:
        fastnn.set_default_dtype(fastnn.float32)
    with pytest.raises(TypeError, match="floating"):
        fastnn.set_default_dtype(fastnn.int64)


_F32, _F64, _I64, _U8, _B = (np.ones(3, t) for t in (np.float32, np.float64, np.int64, np.uint8, bool))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (_F32, 2, "float32"),
        (_F32, 2.5, "float32"),
        (_F32, _I64, "float32"),
        (_F32, _F64, "float64"),
        (_F32, np.ones((), np.float64), "float32"),
        (_F32, np.float64(2), "float32"),
        (_I64, 2.5, "float32"),
        (_I64, np.ones((), np.float64), "float64"),
        (_I64, np.ones((), np.float32), "float32"),
        (_U8, 2, "uint8"),
        (_U8, _I64, "int64"),
        (_U8, np.ones((), np.int64), "uint8"),
        (_B, 2, "int64"),
        (_B, 2.5, "float32"),
        (_B, _U8, "uint8"),
    ],
)
def test_promotion_is_pytorchs(a: Any, b: Any, expected: str) -> None:
    other = Tensor(b) if isinstance(b, np.ndarray) else b
    assert (Tensor(a) * other).dtype == expected
    assert (other * Tensor(a)).dtype == expected


def test_division_of_integers_is_float() -> None:
    x = tensor([7, -7])
    assert (x / 2).dtype == fastnn.float32
    assert (x // 2).tolist() == [3, -4]
    assert (x % 4).tolist() == [3, 1]
    assert x.div(2, rounding_mode="trunc").tolist() == [3, -3]
    with pytest.raises(ZeroDivisionError):
        x // 0


_BINARY = [operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow]
_COMPARE = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("operation", [*_BINARY, *_COMPARE])
def test_operators_forwards_and_reflected(operation: Any) -> None:
    x = np.array([1.5, 2.0, 3.5], np.float32)
    y = np.array([2.0, 0.5, 3.5], np.float32)
    for a, b in ((Tensor(x), Tensor(y)), (Tensor(x), y), (x, Tensor(y))):
        result = operation(a, b)
        assert isinstance(result, Tensor)
        np.testing.assert_allclose(result.data, operation(x, y), rtol=1e-6)
    np.testing.assert_allclose(operation(Tensor(x), 2).data, operation(x, np.float32(2)), rtol=1e-6)
    np.testing.assert_allclose(operation(2, Tensor(x)).data, operation(np.float32(2), x), rtol=1e-6)


def test_bit_operators() -> None:
    x, y = tensor([True, False, True]), tensor([True, True, False])
    assert (x & y).tolist() == [True, False, False]
    assert (x | y).tolist() == [True, True, True]
    assert (x ^ y).tolist() == [False, True, True]
    assert (~x).tolist() == [False, True, False]
    assert (tensor([6]) & 3).tolist() == [2]
    with pytest.raises(TypeError, match="floats"):
        tensor([1.0]) & 1


def test_unary_operators_and_matmul() -> None:
    x = tensor([[1.0, -2.0], [3.0, 4.0]])
    assert (-x).tolist() == [[-1.0, 2.0], [-3.0, -4.0]]
    assert abs(x).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert +x is x
    np.testing.assert_allclose((x @ x).data, x.data @ x.data)
    np.testing.assert_allclose((x.data @ x).data, x.data @ x.data)


def test_equality_with_something_else_is_pythons() -> None:
    x = tensor([1.0])
    assert (x == "a") is False
    assert (x != None) is True  # noqa: E711 - the operator is what is tested
    assert x in [tensor([2.0]), x]
    assert {x: 1}[x] == 1


def test_operands_of_other_kinds_raise() -> None:
    with pytest.raises(TypeError, match="add: expected 'other'"):
        tensor([1.0]) + [1.0]  # noqa: RUF005 - the operator is what is tested
    with pytest.raises(TypeError, match="exp: expected 'input' to be a Tensor or an ndarray, got list"):
        fastnn.exp([1.0])
    with pytest.raises(ValueError, match=r"mul: shapes \(2,\) and \(3,\) do not broadcast"):
        tensor([1.0, 2.0]) * tensor([1.0, 2.0, 3.0])


def test_python_conversions() -> None:
    assert float(tensor(2.5)) == 2.5
    assert int(tensor([3])) == 3
    assert bool(tensor([0.0])) is False
    assert [10, 20, 30][tensor(1)] == 20
    assert f"{tensor(2.5):.2f}" == "2.50"
    assert len(tensor([[1], [2]])) == 2
    assert [x.item() for x in tensor([1, 2])] == [1, 2]
    assert 2 in tensor([1, 2])
    assert 3 not in tensor([1, 2])
    for bad in (lambda: bool(tensor([1, 2])), lambda: tensor([1.0, 2.0]).item()):
        with pytest.raises(ValueError, match="shape"):
            bad()
    for worse in (lambda: len(tensor(1)), lambda: iter(tensor(1)), lambda: [1][tensor(0.0)]):
        with pytest.raises(TypeError):
            worse()


def test_attributes() -> None:
    x = fastnn.zeros(2, 3)
    assert (x.shape, x.ndim, x.dim(), x.numel(), x.size(), x.size(1), x.nbytes) == ((2, 3), 2, 2, 6, (2, 3), 3, 24)
    assert x.device == "cpu"
    assert x.stride() == (3, 1)
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x.T.shape == (3, 2)
    assert fastnn.zeros(4, 2, 3).mT.shape == (4, 3, 2)
    assert x.T.contiguous().is_contiguous()
    assert x.contiguous() is x
    assert x.is_floating_point()


@pytest.mark.parametrize("dtype", [fastnn.bool_, fastnn.uint8, fastnn.int32, fastnn.int64])
def test_integers_and_bools_have_no_gradient(dtype):
    x = fastnn.ones(3, dtype=dtype)
    with pytest.raises(TypeError, match="only floating tensors have gradients"):
        x.requires_grad_()
    with pytest.raises(TypeError, match="only floating tensors have gradients"):
        fastnn.Tensor(x.data, requires_grad=True)
    w = fastnn.ones(3, requires_grad=True)
    (w * x).sum().backward()
    assert w.grad.tolist() == [1.0, 1.0, 1.0]
    assert x.grad is None
    assert not (w > 0).requires_grad


def test_conversions_of_dtype() -> None:
    x = tensor([1.7, -1.7])
    assert x.int().dtype == fastnn.int32
    assert x.long().tolist() == [1, -1]
    assert x.double().dtype == x.to(fastnn.float64).dtype == x.type(np.float64).dtype == fastnn.float64
    assert x.float() is x
    assert x.to("cpu") is x
    assert x.cpu() is x
    assert x.to(fastnn.float32, copy=True) is not x
    assert x.to(tensor([1])).dtype == fastnn.int64
    assert x.bool().dtype == fastnn.bool
    assert x.astype("float64").type_as(x).dtype == fastnn.float32
    with pytest.raises(ValueError, match="cuda"):
        x.to("cuda")
    with pytest.raises(TypeError, match="not supported"):
        x.to(np.complex64)


def test_numpy_and_dlpack_share_memory() -> None:
    x = tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.data)
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.shares_memory(np.from_dlpack(x), x.data)
    assert np.shares_memory(fastnn.from_dlpack(np.ones(3, np.float32)).data, x.data) is False
    channels_last = Tensor(np.zeros((2, 4, 4, 3), np.float32).transpose(0, 3, 1, 2))
    assert fastnn.from_dlpack(channels_last).data.strides == channels_last.data.strides
    leaf = tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        leaf.numpy()
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(leaf)
    assert np.exp(x).dtype == np.float32


def test_pickle_and_copies() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    for twin in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert twin.requires_grad
        assert twin.tolist() == [1.0, 2.0]
        assert not np.shares_memory(twin.data, x.data)
    assert copy.deepcopy(x).grad.tolist() == [2.0, 4.0]
    assert copy.copy(x).data is x.data
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2)
    holder = [x, x]
    twins = copy.deepcopy(holder)
    assert twins[0] is twins[1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (tensor(1.0), "tensor(1.)"),
        (tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (tensor([1.0, -2.0]), "tensor([ 1., -2.])"),
        (tensor([1, 2]), "tensor([1, 2])"),
        (tensor([True, False]), "tensor([ True, False])"),
        (tensor([1.0], dtype=fastnn.float64), "tensor([1.], dtype=float64)"),
        (tensor([1e-6, 1.0]), "tensor([1.0000e-06, 1.0000e+00])"),
        (tensor([float("nan"), 1.5]), "tensor([   nan, 1.5000])"),
        (tensor([]), "tensor([], dtype=float32)"),
        (fastnn.zeros(2, 0), "tensor([], size=(2, 0), dtype=float32)"),
        (tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (tensor([1.0], requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward>)"),
        (tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
    ],
)
def test_printing(value: Tensor, text: str) -> None:
    assert repr(value) == text


def test_large_tensors_print_their_corners() -> None:
    text = repr(fastnn.arange(10000.0).reshape(100, 100))
    assert "..." in text
    assert len(text) < 1000


def test_indexing_views_and_copies() -> None:
    x = fastnn.arange(12).reshape(3, 4)
    assert np.shares_memory(x[1].data, x.data)
    assert np.shares_memory(x[1, 2].data, x.data)
    assert x[1, 2].shape == ()
    assert x[tensor([0, 2]), tensor([1, 1])].tolist() == [1, 9]
    assert x[x > 9].tolist() == [10, 11]
    assert x[[0, 2]].shape == (2, 4)
    assert x[None, ..., -1].tolist() == [[3, 7, 11]]
    with pytest.raises(IndexError):
        x[3]
    with pytest.raises(TypeError, match="uint8"):
        x[tensor([1], dtype=fastnn.uint8)]


def test_assignment_by_index() -> None:
    x = fastnn.zeros(3, 2)
    x[1] = 5
    x[:, 0] = tensor([1.0, 2.0, 3.0])
    x[x == 5] = -1.0
    assert x.tolist() == [[1.0, 0.0], [2.0, -1.0], [3.0, 0.0]]
    with pytest.raises(ValueError, match="shape"):
        x[0] = tensor([1.0, 2.0, 3.0])


def test_changes_in_place_are_seen_by_views() -> None:
    x = fastnn.ones(4)
    view, same = x[:2], x.detach()
    x += 1
    x.mul_(3).sub_(1).div_(5).clamp_(max=0.9)
    view.add_(1, alpha=2)
    assert x.tolist() == pytest.approx([2.9, 2.9, 0.9, 0.9])
    assert same.tolist() == x.tolist()
    x.zero_()
    assert view.tolist() == [0.0, 0.0]
    x.fill_(2).neg_().copy_(tensor([1, 2, 3, 4]))
    assert x.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert x.masked_fill_(x > 2, 0).tolist() == [1.0, 2.0, 0.0, 0.0]


@pytest.mark.parametrize("operation", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow])
def test_operators_in_place(operation: Any) -> None:
    x = tensor([1.0, 4.0])
    array, before = x.data, x.data.copy()
    result = operation(x, 2)
    assert result is x
    assert x.data is array
    np.testing.assert_allclose(array, operation(before, 2))


def test_integer_operators_in_place() -> None:
    x = tensor([5, 6])
    x //= 2
    x %= 3
    x |= 4
    x &= 6
    x ^= 1
    assert x.tolist() == [7, 5]


def test_changes_in_place_must_fit() -> None:
    with pytest.raises(ValueError, match=r"add_: the result has shape \(3,\), the tensor \(1,\)"):
        tensor([1.0]).add_(fastnn.ones(3))
    with pytest.raises(TypeError, match="div_"):
        tensor([1, 2]).div_(2)
    with pytest.raises(ValueError, match="read-only"):
        fastnn.ones(1).expand(3).zero_()


def test_every_method_of_the_table_is_there() -> None:
    for name in METHODS:
        method = getattr(TensorMethods, name)
        assert method.__doc__, name
        assert method.__name__.lstrip("_") in {name, *_ALIASES.get(name, ())}


_ALIASES = {
    "clip": ("clamp",), "divide": ("div",), "multiply": ("mul",), "negative": ("neg",), "subtract": ("sub",),
    "swapaxes": ("transpose",), "true_divide": ("div",), "absolute": ("abs",), "moveaxis": ("movedim",),
    "swapdims": ("transpose",),
}  # fmt: skip


def test_the_stub_lists_the_methods_of_the_table() -> None:
    from pathlib import Path

    import fastnn.autograd.methods as module

    lines = Path(module.__file__).with_suffix(".pyi").read_text().splitlines()
    listed = [line.split("(")[0].removeprefix("    def ") for line in lines if line.startswith("    def ")]
    assert listed == METHODS


def test_axis_and_keepdims_are_accepted() -> None:
    x = fastnn.ones(2, 3)
    assert x.sum(axis=1).shape == (2,)
    assert x.mean(axis=0, keepdims=True).shape == (1, 3)
    assert x.max(axis=1).values.shape == (2,)
    assert fastnn.cat([x, x], axis=1).shape == (2, 6)
    assert x.norm(axis=1).shape == (2,)
    with pytest.raises(TypeError, match="alias"):
        x.sum(dim=1, axis=1)


def test_reduction_errors_name_the_operation() -> None:
    with pytest.raises(IndexError, match="sum: dimension 2 is out of range"):
        fastnn.ones(2, 2).sum(2)
    with pytest.raises(ValueError, match="mean: a dimension is named twice"):
        fastnn.ones(2, 2).mean((0, -2))
    with pytest.raises(TypeError, match="mean: expected a floating tensor"):
        tensor([1, 2]).mean()
    with pytest.raises(ValueError, match="amax: no elements"):
        fastnn.zeros(0, 2).amax(0)
    assert fastnn.zeros(0, 2).sum(0).tolist() == [0.0, 0.0]
    assert fastnn.zeros(3, 0).amax(0).shape == (0,)
    assert np.isnan(fastnn.zeros(0).mean().item())


def test_max_and_min_in_their_three_forms() -> None:
    x = tensor([[1.0, 5.0], [7.0, 3.0]])
    assert x.max().item() == 7
    values, indices = x.max(1)
    assert values.tolist() == [5.0, 7.0]
    assert indices.tolist() == [1, 0]
    assert indices.dtype == fastnn.int64
    assert x.min(dim=0).indices.tolist() == [0, 1]
    assert fastnn.max(x, tensor(4.0)).tolist() == [[4.0, 5.0], [7.0, 4.0]]


def test_nan_goes_through_extremes() -> None:
    x = tensor([1.0, float("nan"), 2.0])
    assert np.isnan(x.max().item())
    assert x.argmax().item() == 1
    assert fastnn.maximum(x, tensor(0.0)).isnan().tolist() == [False, True, False]


def test_factories() -> None:
    assert fastnn.zeros(2, 3).shape == fastnn.ones((2, 3)).shape == fastnn.empty([2, 3]).shape
    assert fastnn.full((2,), 7).dtype == fastnn.int64
    assert fastnn.full((2,), 7.0).tolist() == [7.0, 7.0]
    assert fastnn.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert fastnn.arange(1, 2, 0.25).tolist() == [1.0, 1.25, 1.5, 1.75]
    assert fastnn.arange(3, 0, -1).tolist() == [3, 2, 1]
    assert fastnn.linspace(0, 1, 5).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert fastnn.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    x = Tensor(np.zeros((2, 4, 4, 3), np.float32).transpose(0, 3, 1, 2))
    assert fastnn.ones_like(x).data.strides == x.data.strides
    assert fastnn.zeros_like(x, dtype=fastnn.int64).dtype == fastnn.int64
    assert fastnn.full_like(x, 2).dtype == fastnn.float32
    assert fastnn.ones(2, requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="arange"):
        fastnn.arange(0, 1, -1)
    with pytest.raises(ValueError, match="device"):
        fastnn.zeros(2, device="cuda")


def test_shape_errors_name_the_operation() -> None:
    x = fastnn.zeros(2, 3)
    for call, message in (
        (lambda: x.reshape(4), r"reshape: a tensor of shape \(2, 3\)"),
        (lambda: x.permute(0, 0), "permute"),
        (lambda: x.expand(3, 3), "expand"),
        (lambda: x.split([1, 2]), "split: lengths"),
        (lambda: fastnn.cat([x, fastnn.zeros(2, 2)]), "cat: shapes"),
        (lambda: fastnn.stack([x, fastnn.zeros(2, 2)]), "stack"),
        (lambda: x.repeat(2), "repeat"),
        (lambda: fastnn.pad(x, (1, 1), "mirror"), "pad: expected mode"),
        (lambda: fastnn.pad(x, (3, 1), "reflect"), "too wide"),
        (lambda: x.unflatten(1, (2, 2)), "unflatten"),
        (lambda: x.topk(4), "topk"),
        (lambda: fastnn.one_hot(tensor([3]), 3), "one_hot"),
        (lambda: x.masked_fill(x > 0, tensor([1.0, 2.0])), "masked_fill"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(IndexError, match="gather"):
        x.gather(1, tensor([[3]]))
    with pytest.raises(IndexError, match="transpose"):
        x.transpose(0, 2)


def test_results_keep_the_memory_layout() -> None:
    x = Tensor(np.ones((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    bias = fastnn.ones(3, 1, 1)
    for y in (x + x, x * bias, x.exp(), x.clamp(min=0), x.clone(), fastnn.where(x > 0, x, x), x.double()):
        assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous
    assert fastnn.cat([x, x], 1).data.transpose(0, 2, 3, 1).flags.c_contiguous
