"""One step of every optimiser, as a pure function: parameter, gradient and state in, parameter and state out.

State that a method does not use, or does not have before its first step, is None. Definitions and defaults
are PyTorch's. Everywhere, ``maximize`` flips the sign of the gradient first, then ``weight_decay`` (λ) adds
``λ w`` to it (AdamW instead shrinks the weight itself). All arrays have the shape of ``w``; step numbers
count from 1.

The descendants of Adam are defined in `optim_moments`, methods that look at a parameter as a whole in
`optim_layerwise`; both can be had from here.
"""

from math import sqrt

import numpy as np

from ._typing import Array
from .optim_layerwise import lamb_step as lamb_step
from .optim_layerwise import lars_step as lars_step
from .optim_layerwise import muon_step as muon_step
from .optim_layerwise import nesterov_step as nesterov_step
from .optim_layerwise import orthogonalize as orthogonalize
from .optim_moments import adamax_step as adamax_step
from .optim_moments import lion_step as lion_step
from .optim_moments import nadam_step as nadam_step
from .optim_moments import radam_step as radam_step


def _effective(w: Array, g: Array, weight_decay: float, maximize: bool) -> Array:
    g = -g if maximize else g
    return g + weight_decay * w if weight_decay else g


def sgd_step(
    w: Array,
    g: Array,
    velocity: Array | None = None,
    *,
    lr: float = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> tuple[Array, Array | None]:
    """Stochastic gradient descent, with momentum if ``momentum`` (μ) is not 0.

        v ← g                        at the first step
        v ← μ v + (1 - dampening) g  later
        w ← w - lr v,  or with Nesterov  w ← w - lr (g + μ v)

    Args:
        w: parameter.
        g: gradient.
        velocity: v after the previous step, None before the first.
        lr: learning rate.
        momentum: μ.
        dampening: how much of the gradient momentum leaves out.
        weight_decay: λ.
        nesterov: look ahead; needs momentum and no dampening.
        maximize: ascend instead.

    Shape:
        w, g, velocity (*) -> (*)

    Returns:
        ``(w, velocity)``.

    Raises:
        ValueError: for Nesterov without momentum or with dampening.

    Source: Sutskever et al. 2013 for the Nesterov form.

    Example:
        >>> w, v = sgd_step(np.array([1.0]), np.array([2.0]), lr=0.1, momentum=0.9)
        >>> w.tolist(), v.tolist()
        ([0.8], [2.0])
    """
    if nesterov and (momentum <= 0 or dampening != 0):
        raise ValueError(f"sgd_step: nesterov needs momentum > 0 and dampening 0, got {momentum} and {dampening}")
    g = _effective(w, g, weight_decay, maximize)
    if momentum == 0:
        return w - lr * g, velocity
    velocity = g.copy() if velocity is None else momentum * velocity + (1 - dampening) * g
    return w - lr * (g + momentum * velocity if nesterov else velocity), velocity


def adagrad_step(
    w: Array,
    g: Array,
    square_sum: Array,
    step: int,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    eps: float = 1e-10,
    maximize: bool = False,
) -> tuple[Array, Array]:
    """AdaGrad: the rate of each element falls with the sum of its squared gradients.

        s ← s + g²;  w ← w - lr / (1 + (step - 1) lr_decay) g / (√s + ε)

    Args:
        w: parameter.
        g: gradient.
        square_sum: s, zeros (or the initial accumulator value) at first.
        step: number of this step, from 1.
        lr: learning rate.
        lr_decay: decay of the learning rate.
        weight_decay: λ.
        eps: ε.
        maximize: ascend instead.

    Shape:
        w, g, square_sum (*) -> (*)

    Returns:
        ``(w, square_sum)``.

    Source: Duchi, Hazan, Singer 2011.
    """
    g = _effective(w, g, weight_decay, maximize)
    square_sum = square_sum + g * g
    return w - lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(square_sum) + eps), square_sum


def adadelta_step(
    w: Array,
    g: Array,
    square_avg: Array,
    delta_avg: Array,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Array, Array, Array]:
    """Adadelta: the step is scaled by the root mean square of earlier steps over that of the gradients.

        s ← ρ s + (1 - ρ) g²;  d = g √(h + ε) / √(s + ε);  h ← ρ h + (1 - ρ) d²;  w ← w - lr d

    Args:
        w: parameter.
        g: gradient.
        square_avg: s, zeros at first.
        delta_avg: h, zeros at first.
        lr: factor of the step.
        rho: ρ.
        eps: ε.
        weight_decay: λ.
        maximize: ascend instead.

    Shape:
        w, g, square_avg, delta_avg (*) -> (*)

    Returns:
        ``(w, square_avg, delta_avg)``.

    Source: Zeiler 2012.
    """
    g = _effective(w, g, weight_decay, maximize)
    square_avg = rho * square_avg + (1 - rho) * g * g
    delta = g * np.sqrt(delta_avg + eps) / np.sqrt(square_avg + eps)
    delta_avg = rho * delta_avg + (1 - rho) * delta * delta
    return w - lr * delta, square_avg, delta_avg


def rmsprop_step(
    w: Array,
    g: Array,
    square_avg: Array,
    velocity: Array | None = None,
    grad_avg: Array | None = None,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    maximize: bool = False,
) -> tuple[Array, Array, Array | None, Array | None]:
    """RMSprop: the gradient over a moving root mean square of itself.

        s ← α s + (1 - α) g²;  r = √s + ε
        centered:  m ← α m + (1 - α) g;  r = √(s - m²) + ε
        w ← w - lr g / r,  or with momentum  v ← μ v + g / r;  w ← w - lr v

    Args:
        w: parameter.
        g: gradient.
        square_avg: s, zeros at first.
        velocity: v, None or zeros at first.
        grad_avg: m, None or zeros at first.
        lr: learning rate.
        alpha: α.
        eps: ε.
        weight_decay: λ.
        momentum: μ.
        centered: use the variance instead of the second moment.
        maximize: ascend instead.

    Shape:
        w, g and the states (*) -> (*)

    Returns:
        ``(w, square_avg, velocity, grad_avg)``.

    Source: Tieleman, Hinton 2012; centred form from Graves 2013.
    """
    g = _effective(w, g, weight_decay, maximize)
    square_avg = alpha * square_avg + (1 - alpha) * g * g
    moment = square_avg
    if centered:
        grad_avg = (0 if grad_avg is None else alpha * grad_avg) + (1 - alpha) * g
        moment = square_avg - grad_avg * grad_avg
    update = g / (np.sqrt(moment) + eps)
    if momentum > 0:
        update = velocity = (0 if velocity is None else momentum * velocity) + update
    return w - lr * update, square_avg, velocity, grad_avg


def adam_step(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    v_max: Array | None = None,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    maximize: bool = False,
    eps_inside: bool = False,
) -> tuple[Array, Array, Array, Array | None]:
    """Adam: momentum over a moving root mean square, both corrected for starting at zero.

        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
        w ← w - lr / (1 - β₁ᵗ) m / (√v / √(1 - β₂ᵗ) + ε)

    AMSGrad uses the largest v so far in place of v. With ``eps_inside`` the denominator is
    ``√(v + ε) / √(1 - β₂ᵗ)``.

    Args:
        w: parameter.
        g: gradient.
        m: first moment, zeros at first.
        v: second moment, zeros at first.
        step: number t of this step, from 1.
        v_max: largest v so far, for AMSGrad; None or zeros at first.
        lr: learning rate.
        betas: ``(β₁, β₂)``.
        eps: ε.
        weight_decay: λ, added to the gradient.
        amsgrad: use the largest second moment.
        maximize: ascend instead.
        eps_inside: put ε under the root.

    Shape:
        w, g and the states (*) -> (*)

    Returns:
        ``(w, m, v, v_max)``.

    Source: Kingma, Ba 2015; AMSGrad from Reddi, Kale, Kumar 2018.

    Example:
        >>> w, *state = adam_step(np.array([1.0]), np.array([5.0]), np.zeros(1), np.zeros(1), 1, lr=0.1)
        >>> round(w.item(), 6)
        0.9
    """
    g = _effective(w, g, weight_decay, maximize)
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    second = v
    if amsgrad:
        second = v_max = v if v_max is None else np.maximum(v_max, v)
    root = sqrt(1 - beta2**step)
    denominator = np.sqrt(second + eps) / root if eps_inside else np.sqrt(second) / root + eps
    return w - lr / (1 - beta1**step) * m / denominator, m, v, v_max


def adamw_step(
    w: Array,
    g: Array,
    m: Array,
    v: Array,
    step: int,
    v_max: Array | None = None,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    maximize: bool = False,
    eps_inside: bool = False,
) -> tuple[Array, Array, Array, Array | None]:
    """AdamW: ``w ← (1 - lr λ) w``, then a step of `adam_step` without weight decay.

    Args:
        w: parameter.
        g: gradient.
        m: first moment, zeros at first.
        v: second moment, zeros at first.
        step: number t of this step, from 1.
        v_max: largest v so far, for AMSGrad; None or zeros at first.
        lr: learning rate.
        betas: ``(β₁, β₂)``.
        eps: ε.
        weight_decay: λ, decoupled from the gradient.
        amsgrad: use the largest second moment.
        maximize: ascend instead.

    Shape:
        w, g and the states (*) -> (*)

    Returns:
        ``(w, m, v, v_max)``.

    Source: Loshchilov, Hutter 2019.
    """
    shrunk = w * (1 - lr * weight_decay)
    return adam_step(shrunk, g, m, v, step, v_max, lr=lr, betas=betas, eps=eps, amsgrad=amsgrad, maximize=maximize)
