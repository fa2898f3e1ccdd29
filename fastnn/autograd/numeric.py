"""Derivatives checked by, or taken as, finite differences, in float64.

Gradients here are exact but not differentiable themselves, so second derivatives are central differences of
exact gradients: for a step h their error is of order h**2 plus rounding of order 1e-16/h, about 1e-10 at the
default step, relative to the size of the derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .dtype import Array
from .gradient import grad
from .mode import enable_grad, no_grad
from .tensor import Tensor

_Function = Callable[..., Any]


def _inputs(name: str, inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The inputs as a list; floats must be float64."""
    tensors: list[Tensor] = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, tensor in enumerate(tensors):
        if tensor.data.dtype.kind == "f" and tensor.data.dtype != np.float64:
            raise TypeError(f"{name}: expected float64 inputs, input {i} is {tensor.data.dtype}")
    return tensors


def _outputs(function: _Function, inputs: Sequence[Tensor]) -> list[Tensor]:
    result = function(*inputs)
    return list(result) if isinstance(result, list | tuple) else [result]


def _slopes(function: _Function, inputs: list[Tensor], i: int, eps: float) -> list[Array]:
    """For each output its derivatives by the elements of input i, (elements of input, elements of output)."""
    x = inputs[i].data.copy()
    columns: list[list[Array]] = []
    with no_grad():
        for place in np.ndindex(x.shape):
            ends = []
            for step in (eps, -eps):
                moved = x.copy()
                moved[place] += step
                given = [*inputs[:i], Tensor(moved), *inputs[i + 1 :]]
                ends.append([np.array(y.data, np.float64) for y in _outputs(function, given)])
            columns.append([(up - down).ravel() / (2 * eps) for up, down in zip(*ends, strict=True)])
    count = len(columns[0]) if columns else 0
    return [np.stack([column[k] for column in columns]) for k in range(count)]


def gradcheck(
    function: _Function,
    inputs: Tensor | Sequence[Tensor],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
) -> bool:
    """Whether the gradients of a function agree with central differences of its values.

    Args:
        function: takes the inputs, returns a Tensor or several.
        inputs: float64 tensors; those that require a gradient are checked.
        eps: step of the differences.
        atol: absolute tolerance.
        rtol: relative tolerance.
        raise_exception: raise where they differ instead of returning False.

    Raises:
        TypeError: if a float input is not float64.
        ValueError: if no input requires a gradient.
        AssertionError: if a derivative differs; the message says which.

    Example:
        >>> x = fastnn.tensor([1.0, 2.0], dtype=fastnn.float64, requires_grad=True)
        >>> gradcheck(lambda x: x.exp(), x)
        True
    """
    tensors = _inputs("gradcheck", inputs)
    checked = [i for i, tensor in enumerate(tensors) if tensor.requires_grad]
    if not checked:
        raise ValueError("gradcheck: no input requires a gradient")
    leaves = [Tensor(t.data.copy(), t.requires_grad) for t in tensors]
    with enable_grad():
        outputs = _outputs(function, leaves)
    for i in checked:
        numeric = _slopes(function, leaves, i, eps)
        for k, output in enumerate(outputs):
            exact = _rows(output, leaves[i])
            if numeric and not np.allclose(exact, numeric[k].T, rtol, atol):
                if not raise_exception:
                    return False
                difference = float(np.abs(exact - numeric[k].T).max())
                raise AssertionError(
                    f"gradcheck: output {k} by input {i}: the gradient differs from the differences by up to "
                    f"{difference:.3g}\ngradient:\n{exact}\ndifferences:\n{numeric[k].T}"
                )
    return True


def _rows(output: Tensor, leaf: Tensor) -> Array:
    """The Jacobian of an output by a leaf, (elements of output, elements of leaf)."""
    rows = np.zeros((output.data.size, leaf.data.size))
    if output.requires_grad:
        for row in range(output.data.size):
            seed = np.zeros(output.data.size)
            seed[row] = 1
            found = grad(output, leaf, seed.reshape(output.shape), retain_graph=True, allow_unused=True)[0]
            if found is not None:
                rows[row] = found.data.ravel()
    return rows


def jacobian(function: _Function, input: Tensor) -> Tensor:
    """The matrix of first derivatives of a function of one tensor, exact.

    Args:
        function: takes a Tensor, returns one.
        input: where, floating.

    Returns:
        a Tensor of shape (*output, *input).
    """
    leaf = Tensor(input.data.copy(), requires_grad=True)
    with enable_grad():
        output = function(leaf)
    return Tensor(_rows(output, leaf).reshape(output.shape + leaf.shape).astype(leaf.dtype, copy=False))


def _gradient(name: str, function: _Function, x: Array) -> Array:
    """The exact gradient of a scalar function at `x`."""
    leaf = Tensor(x, requires_grad=True)
    with enable_grad():
        value = function(leaf)
    if value.data.size != 1:
        raise ValueError(f"{name}: expected a function with one value, got shape {value.shape}")
    found = grad(value, leaf, allow_unused=True)[0] if value.requires_grad else None
    return np.zeros_like(x) if found is None else found.data


def hessian_product(gradient: Callable[[Array], Array], x: Array, v: Array, eps: float = 1e-5) -> Array:
    """`(g(x + h v) - g(x - h v)) / 2h`, the product of the Hessian at x with v, given the gradient as a function.

    Args:
        gradient: g, float64, of x's shape.
        x: where, float64.
        v: the vector, of x's shape.
        eps: step of the difference, relative to the lengths of x and v.

    Returns:
        float64, of x's shape.
    """
    length = float(np.linalg.norm(v))
    if length == 0:
        return np.zeros_like(x)
    step = eps * (1 + float(np.abs(x).max(initial=0))) * np.sqrt(x.size) / length
    up, down = gradient(x + step * v), gradient(x - step * v)
    product: Array = (up - down) / (2 * step)
    return product


def hessian_matrix(gradient: Callable[[Array], Array], x: Array, eps: float = 1e-5) -> Array:
    """The symmetric matrix of second derivatives at x, given the gradient as a function: differences along the axes.

    Args:
        gradient: g, float64, of x's shape.
        x: where, float64.
        eps: step, relative to 1 + |x| of each element.

    Returns:
        float64, (x.size, x.size).
    """
    rows = []
    for place in np.ndindex(x.shape):
        step = eps * (1 + abs(float(x[place])))
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(gradient(moved))
        rows.append((ends[0] - ends[1]).ravel() / (2 * step))
    matrix: Array = np.stack(rows) if rows else np.zeros((0, 0))
    return (matrix + matrix.T) / 2


def hvp(function: _Function, input: Tensor, v: Tensor, eps: float = 1e-5) -> Tensor:
    """The product of the Hessian of a scalar function with a vector: `(g(x + h v) - g(x - h v)) / 2h`.

    g is the exact gradient; the step h is `eps` scaled to the lengths of x and v.

    Args:
        function: takes a float64 Tensor, returns one with one element.
        input: where, float64.
        v: the vector, of the input's shape.
        eps: relative step of the difference.

    Returns:
        a float64 Tensor of the input's shape.

    Raises:
        TypeError: if the input is not float64.
        ValueError: if `v` has another shape or the function has several values.
    """
    (tensor,) = _inputs("hvp", input)
    x, direction = tensor.data, np.asarray(v.data, np.float64)
    if direction.shape != x.shape:
        raise ValueError(f"hvp: expected v of shape {x.shape}, got {direction.shape}")
    return Tensor(hessian_product(lambda at: _gradient("hvp", function, at), x, direction, eps))


def hessian(function: _Function, input: Tensor, eps: float = 1e-5) -> Tensor:
    """The matrix of second derivatives of a scalar function, by central differences of its exact gradient.

    Args:
        function: takes a float64 Tensor, returns one with one element.
        input: where, float64.
        eps: step, relative to 1 + |x| of each element.

    Returns:
        a float64 Tensor of shape (*input, *input), symmetric.

    Raises:
        TypeError: if the input is not float64.
        ValueError: if the function has several values.

    Example:
        >>> x = fastnn.tensor([1.0, 2.0], dtype=fastnn.float64)
        >>> hessian(lambda x: (x**3).sum(), x).data.round(6).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    (tensor,) = _inputs("hessian", input)
    x = tensor.data
    matrix = hessian_matrix(lambda at: _gradient("hessian", function, at), x, eps)
    return Tensor(matrix.reshape(x.shape + x.shape))
