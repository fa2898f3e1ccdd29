"""One step of the methods that look at a parameter as a whole: its norm, or its singular values.

The form is that of `fastnn.reference.optim`. Steps count from 1.
"""

from math import sqrt

import numpy as np

from ._typing import Array


def nesterov_step(
    w: Array, g_ahead: Array, v: Array, *, lr: float = 1e-3, momentum: float = 0.9
) -> tuple[Array, Array]:
    """Nesterov's momentum, look-ahead form: ``v ← ρ v - lr ∇f(w + ρ v)``, ``w ← w + v``.

    Args:
        w: parameter.
        g_ahead: gradient at ``w + ρ v``.
        v: velocity, zeros at first.
        lr: learning rate.
        momentum: ρ.

    Shape:
        w, g_ahead, v (*) -> (*)

    Returns:
        ``(w, v)``.

    Source: Nesterov 1983.
    """
    v = momentum * v - lr * g_ahead
    return w + v, v


def lars_step(
    w: Array,
    g: Array,
    v: Array,
    *,
    lr: float = 1.0,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    trust_coefficient: float = 1e-3,
    nesterov: bool = False,
    adapt: bool = True,
) -> tuple[Array, Array]:
    """LARS: ``v ← μ v + a (g + λ w)``, ``w ← w - lr v``, with ``a = η ‖w‖ / (‖g‖ + λ ‖w‖)``.

    Args:
        w: parameter.
        g: gradient.
        v: momentum, zeros at first.
        lr: learning rate.
        momentum: μ.
        weight_decay: λ.
        trust_coefficient: η.
        nesterov: step by ``a (g + λ w) + μ v`` instead of v.
        adapt: False has a = 1, as has a norm of 0.

    Shape:
        w, g, v (*) -> (*)

    Returns:
        ``(w, v)``.

    Source: You, Gitman, Ginsburg 2017.
    """
    weight, gradient = float(np.linalg.norm(w)), float(np.linalg.norm(g))
    ratio = 1.0
    if adapt and weight > 0 and gradient > 0:
        ratio = trust_coefficient * weight / (gradient + weight_decay * weight)
    scaled = ratio * (g + weight_decay * w)
    v = momentum * v + scaled
    return w - lr * (scaled + momentum * v if nesterov else v), v


def lamb_step(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 1e-2,
    adapt: bool = True,
) -> tuple[Array, Array, Array]:
    """LAMB: Adam's direction plus ``λ w``, scaled to the norm of the weights: ``w ← w - lr ‖w‖ / ‖r‖ r``.

    Args:
        w: parameter.
        g: gradient.
        m: first moment, zeros at first.
        v: second moment, zeros at first.
        step: number t of this step, from 1.
        lr: learning rate.
        betas: ``(β₁, β₂)``.
        eps: ε.
        weight_decay: λ.
        adapt: False has the factor 1, as has a norm of 0.

    Shape:
        w, g, m, v (*) -> (*)

    Returns:
        ``(w, m, v)``.

    Source: You et al. 2020.
    """
    m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    r = m / (1 - betas[0] ** step) / (np.sqrt(v / (1 - betas[1] ** step)) + eps) + weight_decay * w
    weight, length = float(np.linalg.norm(w)), float(np.linalg.norm(r))
    return w - lr * (weight / length if adapt and weight > 0 and length > 0 else 1.0) * r, m, v


def orthogonalize(
    matrix: Array,
    coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
    steps: int = 5,
    eps: float = 1e-7,
) -> Array:
    """Newton-Schulz: ``X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X`` from the matrix over its norm.

    In terms of singular values ``s ← a s + b s³ + c s⁵``: those of the result are near 1, its singular vectors are the
    matrix's.

    Args:
        matrix: what to orthogonalise.
        coefficients: ``(a, b, c)``.
        steps: iterations.
        eps: least norm to divide by.

    Shape:
        matrix (rows, columns) -> (rows, columns)

    Returns:
        The nearly orthogonal matrix.

    Source: Jordan et al. 2024.
    """
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    a, b, c = coefficients
    values = values / max(float(np.linalg.norm(matrix)), eps)
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return (left * values) @ right


def muon_step(
    w: Array,
    g: Array,
    buffer: Array,
    *,
    lr: float = 1e-3,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    nesterov: bool = True,
    match_rms: bool = False,
) -> tuple[Array, Array]:
    """Muon: ``w ← (1 - lr λ) w - lr a orthogonalize(u)`` of the momentum u, a by the shape of the matrix.

    Args:
        w: parameter.
        g: gradient.
        buffer: momentum, zeros at first.
        lr: learning rate.
        weight_decay: λ.
        momentum: μ.
        nesterov: look ahead by the momentum.
        match_rms: ``a = 0.2 √max(rows, columns)`` instead of ``√max(1, rows / columns)``.

    Shape:
        w, g, buffer (rows, columns) -> (rows, columns)

    Returns:
        ``(w, buffer)``.

    Source: Jordan et al. 2024.
    """
    buffer = momentum * buffer + (1 - momentum) * g
    update = (1 - momentum) * g + momentum * buffer if nesterov else buffer
    rows, columns = w.shape
    factor = 0.2 * sqrt(max(rows, columns)) if match_rms else sqrt(max(1.0, rows / columns))
    return (1 - lr * weight_decay) * w - lr * factor * orthogonalize(update), buffer
