"""The tape: backward, grad, hooks, modes, what is freed and when, what raises."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor, tensor
from fastnn.autograd import OPS, Array, Backward, Operand, grad, gradcheck, hessian, hvp, jacobian, op


def _leaf(*values: float) -> Tensor:
    return tensor(values, dtype=fastnn.float64, requires_grad=True)


def test_chain_rule_on_a_small_graph() -> None:
    x, y = _leaf(2.0), _leaf(3.0)
    z = (x * y + x.sin()) ** 2
    z.sum().backward()
    outer = 2 * (6 + np.sin(2))
    assert x.grad is not None
    assert y.grad is not None
    np.testing.assert_allclose(x.grad.data, outer * (3 + np.cos(2)))
    np.testing.assert_allclose(y.grad.data, outer * 2)


def test_a_tensor_used_many_times() -> None:
    x = _leaf(1.5)
    y = x * x
    (y * y + y + x).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, 4 * 1.5**3 + 3 + 1)


def test_gradients_accumulate_and_keep_identity() -> None:
    x = _leaf(1.0, 2.0)
    (x * 3).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad is first
    assert first is not None
    assert first.tolist() == [5.0, 7.0]
    x.grad = None
    x.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0]


def test_deep_graphs_do_not_recurse() -> None:
    x = _leaf(1.0)
    y = x
    for _ in range(20000):
        y = y + 1
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 1
    del y


def test_shared_gradients_are_never_overwritten() -> None:
    """Closures may return dy itself to several inputs; sums must not leak from one into the other."""
    x, y = _leaf(1.0, 2.0), _leaf(3.0, 4.0)
    s = x + y
    seed = np.array([1.0, 1.0])
    found = grad([s, s, x * 5], [x, y], [seed, seed, seed])
    assert seed.tolist() == [1.0, 1.0]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].tolist() == [7.0, 7.0]
    assert found[1].tolist() == [2.0, 2.0]
    a, b = x + y, x - y
    (a + b + a).backward(seed)
    assert seed.tolist() == [1.0, 1.0]
    assert x.grad is not None
    assert y.grad is not None
    assert x.grad.tolist() == [3.0, 3.0]
    assert y.grad.tolist() == [1.0, 1.0]


def test_grad_of_the_seed_is_a_copy() -> None:
    x = _leaf(1.0, 2.0)
    seed = np.array([1.0, 2.0])
    x.backward(seed)
    seed[0] = 9
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 2.0]


def test_fresh_gradients_are_taken_over_and_summed_without_copies() -> None:
    made: list[int] = []

    @op
    def fresh(x: Array) -> tuple[Array, Backward]:
        def backward(dy: Array, needs: tuple[bool, ...]) -> list[Array]:
            dx = dy * 2
            made.append(dx.ctypes.data)
            return [dx]

        return x + 0, backward

    try:
        x = _leaf(1.0, 2.0)
        (fresh(x) + fresh(x) + fresh(x)).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [6.0, 6.0]
        assert x.grad.data.ctypes.data == made[0]
    finally:
        del OPS["fresh"]


def test_gradients_have_the_memory_layout_of_the_leaf() -> None:
    x = Tensor(np.ones((2, 4, 4, 3)).transpose(0, 3, 1, 2), requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad is not None
    assert x.grad.data.strides == x.data.strides
    y = Tensor(np.ones((3, 2)), requires_grad=True)
    y.T.backward(np.arange(6.0).reshape(2, 3))
    assert y.grad is not None
    assert y.grad.data.flags.c_contiguous
    assert y.grad.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_mixed_widths_give_gradients_of_the_leafs_dtype() -> None:
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * tensor([3.0, 4.0], dtype=fastnn.float64)
    assert y.dtype == fastnn.float64
    (y.exp() + x).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == fastnn.float32


def test_nothing_is_recorded_without_need() -> None:
    x, w = tensor([1.0]), _leaf(1.0)
    assert (x * 2).grad_fn is None
    with fastnn.no_grad():
        assert not (w * 2).requires_grad
        with fastnn.enable_grad():
            assert (w * 2).requires_grad
    assert (w > 0).requires_grad is False
    assert w.argmax().requires_grad is False
    assert w.detach().requires_grad is False
    assert w.long().requires_grad is False


def test_modes_as_decorators_and_functions() -> None:
    @fastnn.no_grad()
    def without() -> bool:
        return fastnn.is_grad_enabled()

    @fastnn.set_grad_enabled(False)
    def also_without() -> bool:
        return fastnn.is_grad_enabled()

    assert fastnn.is_grad_enabled()
    assert not without()
    assert not also_without()
    fastnn.set_grad_enabled(False)
    assert not fastnn.is_grad_enabled()
    fastnn.set_grad_enabled(True)
    with pytest.raises(KeyError), fastnn.no_grad():
        raise KeyError
    with fastnn.set_grad_enabled(False), fastnn.set_grad_enabled(True):
        assert fastnn.is_grad_enabled()
    assert fastnn.is_grad_enabled()


def test_the_mode_belongs_to_the_thread() -> None:
    seen: list[bool] = []
    with fastnn.no_grad():
        thread = threading.Thread(target=lambda: seen.append(fastnn.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_build_and_run_their_own_graphs() -> None:
    results: dict[int, Any] = {}

    def work(number: int) -> None:
        x = _leaf(*range(1, 50))
        for _ in range(20):
            (x * x * number).sum().backward()
        results[number] = None if x.grad is None else x.grad.data

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in results.items():
        np.testing.assert_allclose(found, 40.0 * number * np.arange(1, 50))


def test_second_backward_raises_and_retain_graph_allows_it() -> None:
    x = _leaf(2.0)
    y = (x * x).exp()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, 2 * 4 * np.exp(4))
    with pytest.raises(RuntimeError, match="backward through 'exp' a second time"):
        y.backward()


def test_closures_are_freed_as_soon_as_they_have_run() -> None:
    freed_when_first_runs: list[bool] = []

    @op
    def first(x: Array) -> tuple[Array, Backward]:
        def backward(dy: Array, needs: tuple[bool, ...]) -> list[Array]:
            freed_when_first_runs.append(watched() is None)
            return [dy]

        return x + 0, backward

    try:
        x = _leaf(1.0)
        y = first(x).exp()
        z = y * y
        watched = weakref.ref(y.grad_fn.backward)  # type: ignore[union-attr]
        z.backward()
        assert freed_when_first_runs == [True]
        assert y.grad_fn is not None
        assert y.grad_fn.backward is None
    finally:
        del OPS["first"]


def test_graphs_have_no_reference_cycles() -> None:
    gc.disable()
    try:
        x = _leaf(1.0)
        y = (x * x).max(0).values.exp()
        alive = weakref.ref(y.grad_fn)  # type: ignore[arg-type]
        del y
        assert alive() is None
    finally:
        gc.enable()


def test_interior_tensors_are_not_kept_alive() -> None:
    x = _leaf(1.0)
    y = x + 1
    alive = weakref.ref(y)
    z = y + 1
    del y
    assert alive() is None
    z.backward()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.add_(1),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: x.view(-1).zero_(),
        lambda x: x[:1].fill_(3),
        lambda x: x.detach().mul_(2),
        lambda x: Tensor.bump(x),
    ],
)
def test_saved_arrays_changed_in_place_raise(change: Any) -> None:
    x, w = tensor([1.0, 2.0], dtype=fastnn.float64), _leaf(1.0, 2.0)
    y = (w * x).sum()
    with fastnn.no_grad():
        change(x)
    with pytest.raises(RuntimeError, match="'mul': an array it saved was changed in place"):
        y.backward()


def test_saved_outputs_and_leaves_changed_in_place_raise() -> None:
    w = _leaf(1.0, 2.0)
    y = w.exp()
    with fastnn.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="'exp'"):
        y.sum().backward()
    z = (w * w).sum()
    with fastnn.no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match="'mul'"):
        z.backward()


def test_arrays_captured_in_lists_and_inner_functions_are_watched() -> None:
    @op
    def product(x: Array, y: Array, *, listed: bool) -> tuple[Array, Backward]:
        def other() -> Array:
            return y

        pair = [y]

        def by_list(dy: Array, needs: tuple[bool, ...]) -> Any:
            return dy * pair[0], None

        def by_function(dy: Array, needs: tuple[bool, ...]) -> Any:
            return dy * other(), None

        return x * y, by_list if listed else by_function

    try:
        for listed in (True, False):
            w, x = _leaf(1.0), tensor([2.0], dtype=fastnn.float64)
            z = product(w, x, listed=listed)
            x.zero_()
            with pytest.raises(RuntimeError, match="'product'"):
                z.backward()
    finally:
        del OPS["product"]


def test_what_is_not_saved_may_change() -> None:
    x, w = tensor([1.0, 2.0]), _leaf(1.0, 2.0)
    y = (w + x).sum()
    x.zero_()
    y.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [1.0, 1.0]


def test_recorded_changes_in_place_are_differentiable() -> None:
    w = _leaf(1.0, 2.0, 3.0)
    y = w * 1
    y *= y
    y += w
    y[0] = w[2] * 5
    y.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [0.0, 5.0, 12.0]


def test_a_buffer_filled_from_recorded_parts() -> None:
    w = _leaf(1.0, 2.0)
    out = fastnn.zeros(2, 2, dtype=fastnn.float64)
    for i in range(2):
        out[i] = w * (i + 1)
    assert out.requires_grad
    out.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [3.0, 3.0]


def test_changes_in_place_that_cannot_be_recorded_raise() -> None:
    w = _leaf(1.0, 2.0)
    for change in (lambda: w.add_(1), lambda: w.__setitem__(0, 1.0), lambda: w.zero_()):
        with pytest.raises(RuntimeError, match="leaf that requires a gradient"):
            change()
    y = w * 2
    view = y[:1]
    with pytest.raises(RuntimeError, match="view"):
        y.mul_(2)
    with pytest.raises(RuntimeError, match="view"):
        view.mul_(2)
    del view
    y.mul_(2)
    y.sum().backward()
    assert w.grad is not None
    assert w.grad.tolist() == [4.0, 4.0]


def test_parameters_change_under_no_grad() -> None:
    w = _leaf(1.0, 2.0)
    array = w.data
    (w * w).sum().backward()
    assert w.grad is not None
    with fastnn.no_grad():
        w -= 0.5 * w.grad
    assert w.data is array
    assert w.requires_grad
    assert w.is_leaf
    assert w.tolist() == [0.0, 0.0]


def test_hooks_on_leaves_and_interior_tensors() -> None:
    x = _leaf(1.0, 2.0)
    seen: list[Any] = []
    y = x * 2
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    leaf_handle = x.register_hook(lambda g: g + 1)
    (y.sum() + y.sum()).backward(retain_graph=True)
    assert seen == [[2.0, 2.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [41.0, 41.0]
    handle.remove()
    handle.remove()
    leaf_handle.remove()
    x.grad = None
    y.sum().backward()
    assert seen == [[2.0, 2.0]]
    assert x.grad is not None
    assert x.grad.tolist() == [20.0, 20.0]
    with pytest.raises(RuntimeError, match="register_hook"):
        tensor([1.0]).register_hook(lambda g: g)


def test_hooks_of_the_wrong_shape_raise() -> None:
    x = _leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: g.sum())
    with pytest.raises(RuntimeError, match="hook"):
        y.sum().backward()


def test_retain_grad_of_interior_tensors() -> None:
    x = _leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad is not None
    assert y.grad.tolist() == [6.0, 12.0]
    parts = (x * 1).split(1)
    parts[1].retain_grad()
    (parts[0] + parts[1] * 4).backward()
    assert parts[1].grad is not None
    assert parts[1].grad.tolist() == [4.0]


def test_operations_with_several_outputs() -> None:
    x = _leaf(3.0, 1.0, 2.0)
    values, indices = x.sort()
    assert not indices.requires_grad
    (values * tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [100.0, 1.0, 10.0]
    a, _, c = _leaf(1.0, 2.0, 3.0).split(1)
    assert a.grad_fn is c.grad_fn


def test_grad_leaves_grad_alone_and_stops_early() -> None:
    x, y = _leaf(2.0), _leaf(5.0)
    h = x * x
    z = h * y
    (gh,) = grad(z, h, retain_graph=True)
    gx, gy = grad(z, [x, y])
    assert gh is not None
    assert gx is not None
    assert gy is not None
    assert (gh.item(), gx.item(), gy.item()) == (5.0, 20.0, 4.0)
    assert x.grad is None
    with pytest.raises(RuntimeError, match="second time"):
        grad(z, x)


def test_grad_runs_only_what_lies_between() -> None:
    x, y = _leaf(2.0), _leaf(3.0)
    a, b = x.exp(), y.exp()
    grad((a * b).sum(), y)
    a.backward()
    assert x.grad is not None
    with pytest.raises(RuntimeError, match="'exp' a second time"):
        b.backward()


def test_grad_of_an_output_itself_and_of_unused_inputs() -> None:
    x, y = _leaf(2.0), _leaf(3.0)
    z = x * 2
    (same,) = grad(z, z)
    assert same is not None
    assert same.item() == 1
    z = x * 2
    assert grad(z, [y], allow_unused=True) == (None,)
    with pytest.raises(RuntimeError, match="do not depend on input 0"):
        grad(x * 2, [y])
    with pytest.raises(RuntimeError, match="input 1 does not require"):
        grad(x * 2, [x, tensor([1.0])])


def test_backward_checks_its_arguments() -> None:
    x = _leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="a gradient must be given"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(2,\)"):
        (x * 2).backward(np.ones(3))
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        tensor(1.0).backward()
    with pytest.raises(NotImplementedError, match="create_graph"):
        (x * 2).sum().backward(create_graph=True)
    with pytest.raises(TypeError, match="floating"):
        tensor([1], requires_grad=True)
    with pytest.raises(RuntimeError, match="detach"):
        (x * 2).requires_grad_(False)


def test_several_roots_at_once() -> None:
    x = _leaf(2.0)
    fastnn.autograd.backward([x * x, x * 3], [np.ones(1), np.ones(1)])
    assert x.grad is not None
    assert x.grad.item() == 7
    with pytest.raises(ValueError, match="one gradient for each"):
        fastnn.autograd.backward([x * x, x * 3], [np.ones(1)])


def test_operations_of_ones_own() -> None:
    @op
    def scaled(x: Array, weight: Array | None, factor: float, other: Operand = 1, *, flip: bool = False) -> Any:
        def backward(dy: Array, needs: tuple[bool, ...]) -> Any:
            assert needs == (True, False, True)
            return dy * factor * other, None, (dy * factor * x).sum()

        return x * factor * other, backward

    try:
        x, s = _leaf(1.0, 2.0), tensor(3.0, dtype=fastnn.float64, requires_grad=True)
        for y in (scaled(x, None, 2.0, s), scaled(x, factor=2.0, other=s, weight=None), scaled(x, None, 2.0, other=s)):
            x.grad = s.grad = None
            y.sum().backward()
            assert x.grad is not None
            assert s.grad is not None
            assert x.grad.tolist() == [6.0, 6.0]
            assert s.grad.item() == 6.0
        with pytest.raises(TypeError, match="scaled: expected at most 4 positional"):
            scaled(x, None, 1.0, 2.0, True)
        with pytest.raises(TypeError, match="scaled: expected 'weight' to be a Tensor or an ndarray, got float"):
            scaled(x, 1.0, 1.0)
    finally:
        del OPS["scaled"]
    with pytest.raises(TypeError, match="no parameter is a tensor"):

        @op
        def nothing(size: int) -> Any:
            return size


def test_wrong_closures_are_named() -> None:
    @op
    def wrong(x, bad):  # type: ignore[no-untyped-def]
        return x * 1, lambda dy, needs: [dy.sum()] if bad[0] else [dy.sum(), None]

    try:
        with pytest.raises(RuntimeError, match=r"backward of 'wrong' returned a gradient of shape \(\) for input 0"):
            wrong(_leaf(1.0, 2.0), np.zeros(1)).sum().backward()
        with pytest.raises(RuntimeError, match="returned 1 gradients for 2 tensor inputs"):
            wrong(_leaf(1.0, 2.0), np.ones(1)).sum().backward()
    finally:
        del OPS["wrong"]


def test_gradcheck_accepts_the_right_and_refuses_the_wrong() -> None:
    x, y = _leaf(0.3, -0.7), _leaf(1.2, 0.4)
    assert gradcheck(lambda a, b: (a * b.exp(), a.sin()), [x, y])

    def wrong(a: Tensor) -> Tensor:
        return a * a.detach()

    assert not gradcheck(wrong, x, raise_exception=False)
    with pytest.raises(AssertionError, match="output 0 by input 0"):
        gradcheck(wrong, x)
    with pytest.raises(TypeError, match="float64"):
        gradcheck(lambda a: a, tensor([1.0], requires_grad=True))
    with pytest.raises(ValueError, match="no input requires"):
        gradcheck(lambda a: a, tensor([1.0], dtype=fastnn.float64))


def _rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def test_hessian_and_products_against_the_closed_form() -> None:
    from scipy.optimize import rosen_hess, rosen_hess_prod

    x = np.array([0.7, -1.3, 2.1])
    v = np.array([0.2, 1.0, -0.5])
    exact = rosen_hess(x)
    np.testing.assert_allclose(hessian(_rosenbrock, Tensor(x)).data, exact, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(hvp(_rosenbrock, Tensor(x), Tensor(v)).data, rosen_hess_prod(x, v), rtol=1e-7, atol=1e-6)
    assert hvp(_rosenbrock, Tensor(x), Tensor(0 * v)).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(TypeError, match="float64"):
        hessian(_rosenbrock, tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="one value"):
        hessian(lambda a: a * 2, Tensor(x))
    assert hessian(lambda a: (a * a).sum(), Tensor(np.ones((2, 2)))).shape == (2, 2, 2, 2)


def test_jacobian_of_a_linear_map_is_its_matrix() -> None:
    matrix = np.arange(6.0).reshape(2, 3)
    found = jacobian(lambda x: Tensor(matrix) @ x, tensor([1.0, 2.0, 3.0], dtype=fastnn.float64))
    np.testing.assert_allclose(found.data, matrix)
