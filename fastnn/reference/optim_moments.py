"""One step of the descendants of Adam, in the form of `fastnn.reference.optim`: plain functions of the gradient.

Penalties are left to the caller, who adds them to ``g`` or shrinks ``w``. Steps count from 1.
"""

from math import prod, sqrt

import numpy as np

from ._typing import Array


def _moments(g: Array, m: Array, v: Array, betas: tuple[float, float]) -> tuple[Array, Array]:
    return betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g


def nadam_step(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum_decay: float = 4e-3,
) -> tuple[Array, Array, Array]:
    """NAdam: Adam with Nesterov's momentum, ``μₜ = β₁ (1 - ½ 0.96^(tψ))``.

        m, v as Adam
        w ← w - lr ((1 - μₜ) g / (1 - ∏ᵢ₌₁ᵗ μᵢ) + μₜ₊₁ m / (1 - ∏ᵢ₌₁ᵗ⁺¹ μᵢ)) / (√(v / (1 - β₂ᵗ)) + ε)

    Args:
        w: parameter.
        g: gradient.
        m: first moment, zeros at first.
        v: second moment, zeros at first.
        step: number t of this step, from 1.
        lr: learning rate.
        betas: ``(β₁, β₂)``.
        eps: ε.
        momentum_decay: ψ.

    Shape:
        w, g, m, v (*) -> (*)

    Returns:
        ``(w, m, v)``.

    Source: Dozat 2016.
    """
    m, v = _moments(g, m, v, betas)
    momenta = [betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in range(1, step + 2)]
    ahead = (1 - momenta[-2]) * g / (1 - prod(momenta[:-1])) + momenta[-1] * m / (1 - prod(momenta))
    return w - lr * ahead / (np.sqrt(v / (1 - betas[1] ** step)) + eps), m, v


def radam_step(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """RAdam: Adam with a rectified rate.

        ρ∞ = 2 / (1 - β₂) - 1;  ρ = ρ∞ - 2t β₂ᵗ / (1 - β₂ᵗ)
        r = √((ρ - 4)(ρ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρ))
        w ← w - lr r m / (1 - β₁ᵗ) √(1 - β₂ᵗ) / (√v + ε)  where ρ > 5, else  w ← w - lr m / (1 - β₁ᵗ)

    Args:
        w: parameter.
        g: gradient.
        m: first moment, zeros at first.
        v: second moment, zeros at first.
        step: number t of this step, from 1.
        lr: learning rate.
        betas: ``(β₁, β₂)``.
        eps: ε.

    Shape:
        w, g, m, v (*) -> (*)

    Returns:
        ``(w, m, v)``.

    Source: Liu et al. 2020.
    """
    m, v = _moments(g, m, v, betas)
    longest, power = 2 / (1 - betas[1]) - 1, betas[1] ** step
    length = longest - 2 * step * power / (1 - power)
    update = m / (1 - betas[0] ** step)
    if length > 5:
        square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        update = update * sqrt(square) * sqrt(1 - power) / (np.sqrt(v) + eps)
    return w - lr * update, m, v


def adamax_step(
    w: Array,
    g: Array,
    m: Array,
    u: Array,
    step: int,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Array, Array, Array]:
    """Adamax: ``m`` as Adam, ``u ← max(β₂ u, |g| + ε)``, ``w ← w - lr / (1 - β₁ᵗ) m / u``.

    Args:
        w: parameter.
        g: gradient.
        m: first moment, zeros at first.
        u: largest gradient of late, zeros at first.
        step: number t of this step, from 1.
        lr: learning rate.
        betas: ``(β₁, β₂)``.
        eps: ε.

    Shape:
        w, g, m, u (*) -> (*)

    Returns:
        ``(w, m, u)``.

    Source: Kingma, Ba 2015.
    """
    m = betas[0] * m + (1 - betas[0]) * g
    u = np.maximum(betas[1] * u, np.abs(g) + eps)
    return w - lr / (1 - betas[0] ** step) * m / u, m, u


def lion_step(
    w: Array, g: Array, m: Array, *, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99)
) -> tuple[Array, Array]:
    """Lion: ``w ← w - lr sign(β₁ m + (1 - β₁) g)``, then ``m ← β₂ m + (1 - β₂) g``.

    Args:
        w: parameter.
        g: gradient.
        m: momentum, zeros at first.
        lr: learning rate.
        betas: ``(β₁, β₂)``.

    Shape:
        w, g, m (*) -> (*)

    Returns:
        ``(w, m)``.

    Source: Chen et al. 2023.
    """
    return w - lr * np.sign(betas[0] * m + (1 - betas[0]) * g), betas[1] * m + (1 - betas[1]) * g
