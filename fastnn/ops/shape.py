"""Operations that change the shape."""

from __future__ import annotations

from ..autograd import Array, Backward, op


@op
def reshape(input: Array, shape: tuple[int, ...]) -> tuple[Array, Backward]:
    """The same elements in another shape."""
    before = input.shape

    def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        return (dy.reshape(before),)

    return input.reshape(shape), backward
