"""Every backward pass of the NumPy reference against central differences of its forward pass, in float64."""

import numpy as np
import pytest

from fastnn.reference import (
    activation,
    conv,
    dropout,
    elementwise,
    linear,
    loss,
    norm,
    pool,
    reduce,
)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def positive(*shape):
    return np.random.default_rng(shape).uniform(0.2, 0.8, size=shape)


def first(result):
    return result[0] if isinstance(result, tuple) else result


def check_gradients(forward, backward, inputs):
    """Compares ``backward(dy, *inputs)``, one gradient per input, with central differences of ``forward``."""
    before = [x.copy() for x in inputs]
    y = np.asarray(first(forward(*inputs)))
    dy = np.random.default_rng(7).normal(size=y.shape)
    gradients = backward(dy, *inputs)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    assert len(gradients) == len(inputs)
    for x, original in zip(inputs, before):
        np.testing.assert_array_equal(x, original)
    step = 1e-6
    for which, (x, gradient) in enumerate(zip(inputs, gradients)):
        assert gradient.shape == x.shape
        numeric = np.empty(x.shape)
        for index in np.ndindex(*x.shape):
            moved = [a.copy() for a in inputs]
            moved[which][index] += step
            above = (dy * first(forward(*moved))).sum()
            moved[which][index] -= 2 * step
            numeric[index] = (above - (dy * first(forward(*moved))).sum()) / (2 * step)
        np.testing.assert_allclose(gradient, numeric, rtol=2e-6, atol=2e-8)


POINTWISE = [
    ("sigmoid", {}), ("tanh", {}), ("relu", {}), ("leaky_relu", {"negative_slope": 0.2}),
    ("elu", {"alpha": 0.7}), ("selu", {}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("silu", {}),
    ("softplus", {"beta": 2.0, "threshold": 1.5}), ("hardsigmoid", {}), ("hardswish", {}),
    ("hardtanh", {"min_val": -0.5, "max_val": 1.5}), ("relu6", {}), ("mish", {}), ("logsigmoid", {}),
    ("softsign", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), POINTWISE)
def test_pointwise_gradients(name, options):
    forward, backward = getattr(activation, f"{name}_fwd"), getattr(activation, f"{name}_bwd")
    x = 4 * normal(3, 7)
    if name != "softplus":  # which jumps a little at its threshold
        x = np.concatenate([x, [np.linspace(-7.03, 6.41, 7)]])
    check_gradients(lambda x: forward(x, **options), lambda dy, x: backward(dy, x, **options), [x])


def from_output(forward, backward, **options):
    return lambda dy, x: backward(dy, forward(x, **options), **options)


LABELS = np.array([2, 0, 3])
POOL = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 1), "ceil_mode": True}

GRADIENTS = {
    "matmul": (linear.matmul_fwd, linear.matmul_bwd, [normal(2, 1, 3, 4), normal(3, 4, 2)]),
    "matmul_transposed": (
        lambda a, b: linear.matmul_fwd(a, b, True, True),
        lambda dy, a, b: linear.matmul_bwd(dy, a, b, True, True),
        [normal(4, 3), normal(2, 5, 4)],
    ),
    "linear": (
        linear.linear_fwd,
        lambda dy, x, w, b: linear.linear_bwd(dy, x, w),
        [normal(2, 3, 4), normal(5, 4), normal(5)],
    ),
    "prelu": (activation.prelu_fwd, activation.prelu_bwd, [normal(2, 3, 4), normal(3)]),
    "prelu_shared": (activation.prelu_fwd, activation.prelu_bwd, [normal(2, 3, 4), normal(1)]),
    "softmax": (
        lambda x: activation.softmax_fwd(x, axis=1),
        from_output(activation.softmax_fwd, activation.softmax_bwd, axis=1),
        [normal(3, 4, 2)],
    ),
    "log_softmax": (
        activation.log_softmax_fwd,
        from_output(activation.log_softmax_fwd, activation.log_softmax_bwd),
        [normal(3, 4)],
    ),
    "max_pool": (
        lambda x: pool.max_pool_fwd(x, **POOL, dilation=(1, 2)),
        lambda dy, x: pool.max_pool_bwd(dy, pool.max_pool_fwd(x, **POOL, dilation=(1, 2))[1], x.shape),
        [normal(2, 2, 6, 5)],
    ),
    "relu_max_pool": (
        lambda x: pool.relu_max_pool_fwd(x, **POOL),
        lambda dy, x: pool.relu_max_pool_bwd(
            dy, pool.relu_max_pool_fwd(x, **POOL), pool.max_pool_fwd(x, **POOL)[1], x.shape
        ),
        [normal(2, 2, 6, 5) - 0.8],
    ),
    "avg_pool": (
        lambda x: pool.avg_pool_fwd(x, **POOL),
        lambda dy, x: pool.avg_pool_bwd(dy, x.shape, **POOL),
        [normal(2, 2, 6, 5)],
    ),
    "avg_pool_without_padding": (
        lambda x: pool.avg_pool_fwd(x, **POOL, count_include_pad=False),
        lambda dy, x: pool.avg_pool_bwd(dy, x.shape, **POOL, count_include_pad=False),
        [normal(2, 2, 6, 5)],
    ),
    "lp_pool": (
        lambda x: pool.lp_pool_fwd(x, 3, 2, 1),
        lambda dy, x: pool.lp_pool_bwd(dy, x, 3, 2, 1),
        [positive(1, 2, 3, 4)],
    ),
    "adaptive_avg_pool": (
        lambda x: pool.adaptive_avg_pool_fwd(x, (3, None)),
        lambda dy, x: pool.adaptive_avg_pool_bwd(dy, x.shape),
        [normal(2, 2, 5, 4)],
    ),
    "adaptive_max_pool": (
        lambda x: pool.adaptive_max_pool_fwd(x, 3),
        lambda dy, x: pool.max_pool_bwd(dy, pool.adaptive_max_pool_fwd(x, 3)[1], x.shape),
        [normal(2, 2, 5, 4)],
    ),
    "global_avg_pool": (
        pool.global_avg_pool_fwd,
        lambda dy, x: pool.global_avg_pool_bwd(dy, x.shape),
        [normal(2, 2, 3, 2)],
    ),
    "global_max_pool": (
        pool.global_max_pool_fwd,
        lambda dy, x: pool.max_pool_bwd(dy, pool.global_max_pool_fwd(x)[1], x.shape),
        [normal(2, 2, 3, 2)],
    ),
    "batch_norm_train": (
        norm.batch_norm_train_fwd,
        lambda dy, x, w, b: norm.batch_norm_train_bwd(dy, x, *norm.batch_norm_train_fwd(x, w, b)[1:], w),
        [normal(4, 3, 2), normal(3), normal(3)],
    ),
    "batch_norm_eval": (
        lambda x, w, b: norm.batch_norm_eval_fwd(x, normal(3), positive(3), w, b),
        lambda dy, x, w, b: norm.batch_norm_eval_bwd(dy, x, normal(3), positive(3), w),
        [normal(4, 3, 2), normal(3), normal(3)],
    ),
    "batch_norm_relu_train": (
        norm.batch_norm_relu_train_fwd,
        lambda dy, x, w, b, residual: norm.batch_norm_relu_train_bwd(
            dy, (f := norm.batch_norm_relu_train_fwd(x, w, b, residual))[0], x, f[1], f[2], w
        ),
        [normal(4, 3, 2), normal(3), normal(3), normal(4, 3, 2, seed=1)],
    ),
    "batch_norm_relu_eval": (
        lambda x, w, b, r: norm.batch_norm_relu_eval_fwd(x, normal(3), positive(3), w, b, r),
        lambda dy, x, w, b, r: norm.batch_norm_relu_eval_bwd(
            dy,
            norm.batch_norm_relu_eval_fwd(x, normal(3), positive(3), w, b, r),
            x,
            normal(3),
            positive(3),
            w,
        ),
        [normal(4, 3, 2), normal(3), normal(3), normal(4, 3, 2, seed=1)],
    ),
    "layer_norm": (
        lambda x, w, b: norm.layer_norm_fwd(x, (3, 4), w, b),
        lambda dy, x, w, b: norm.layer_norm_bwd(dy, x, (3, 4), *norm.layer_norm_fwd(x, (3, 4), w, b)[1:], w),
        [normal(2, 3, 4), normal(3, 4), normal(3, 4, seed=1)],
    ),
    "group_norm": (
        lambda x, w, b: norm.group_norm_fwd(x, 2, w, b),
        lambda dy, x, w, b: norm.group_norm_bwd(dy, x, 2, *norm.group_norm_fwd(x, 2, w, b)[1:], w),
        [normal(2, 4, 3), normal(4), normal(4, seed=1)],
    ),
    "instance_norm": (
        norm.instance_norm_fwd,
        lambda dy, x, w, b: norm.instance_norm_bwd(dy, x, *norm.instance_norm_fwd(x, w, b)[1:], w),
        [normal(2, 3, 4), normal(3), normal(3, seed=1)],
    ),
    "pow": (lambda a, b: a**b, elementwise.pow_bwd, [positive(3, 4), normal(4)]),
    "div": (np.divide, elementwise.div_bwd, [normal(3, 4), positive(3, 1)]),
    "mul": (np.multiply, elementwise.mul_bwd, [normal(3, 4), normal(2, 1, 4)]),
    "add": (np.add, elementwise.add_bwd, [normal(3, 4), normal(4)]),
    "sub": (np.subtract, elementwise.sub_bwd, [normal(3, 4), normal(4)]),
    "maximum": (np.maximum, elementwise.maximum_bwd, [normal(3, 4), normal(4)]),
    "minimum": (np.minimum, elementwise.minimum_bwd, [normal(3, 4), normal(4)]),
    "abs": (np.abs, elementwise.abs_bwd, [normal(3, 4)]),
    "clip": (
        lambda x: np.clip(x, -0.5, 0.5),
        lambda dy, x: elementwise.clip_bwd(dy, x, -0.5, 0.5),
        [normal(3, 4)],
    ),
    "where": (
        lambda a, b: np.where(normal(3, 4) > 0, a, b),
        lambda dy, a, b: elementwise.where_bwd(dy, normal(3, 4) > 0, a, b),
        [normal(3, 4), normal(4)],
    ),
    "sum": (lambda x: x.sum(axis=1), lambda dy, x: reduce.sum_bwd(dy, x.shape, 1), [normal(3, 4)]),
    "mean": (lambda x: x.mean(), lambda dy, x: reduce.mean_bwd(dy, x.shape), [normal(3, 4)]),
    "prod": (lambda x: x.prod(axis=1), lambda dy, x: reduce.prod_bwd(dy, x, 1), [normal(3, 4)]),
    "prod_zeros": (
        lambda x: x.prod(axis=1),
        lambda dy, x: reduce.prod_bwd(dy, x, 1),
        [np.array([[0.0, 2, 3], [0, 0, 5], [1, 2, 3]])],
    ),
    "var": (
        lambda x: reduce.var_fwd(x, (0, 2)),
        lambda dy, x: reduce.var_bwd(dy, x, (0, 2)),
        [normal(3, 4, 2)],
    ),
    "std": (lambda x: reduce.std_fwd(x, -1, 0), lambda dy, x: reduce.std_bwd(dy, x, -1, 0), [normal(3, 4)]),
    "logsumexp": (
        lambda x: reduce.logsumexp_fwd(x, 1),
        lambda dy, x: reduce.logsumexp_bwd(dy, x, 1),
        [normal(3, 4)],
    ),
    "amax": (lambda x: x.max(axis=0), lambda dy, x: reduce.amax_bwd(dy, x, 0), [normal(3, 4)]),
    "amin": (lambda x: x.min(axis=0), lambda dy, x: reduce.amin_bwd(dy, x, 0), [normal(3, 4)]),
    "max": (
        lambda x: x.max(axis=1),
        lambda dy, x: reduce.max_bwd(dy, x.argmax(axis=1), x.shape, 1),
        [normal(3, 4)],
    ),
    **{
        f"norm_{p}": (
            lambda x, p=p: reduce.norm_fwd(x, p, 1),
            lambda dy, x, p=p: reduce.norm_bwd(dy, x, p, 1),
            [normal(3, 4)],
        )
        for p in (1, 2, 3, np.inf)
    },
    "conv_transpose": (
        lambda x, w, b: conv.conv_transpose_fwd(x, w, b, (2, 1), 1, (1, 0), 2, (1, 2)),
        lambda dy, x, w, b: conv.conv_transpose_bwd(dy, x, w, (2, 1), 1, 2, (1, 2)),
        [normal(2, 4, 3, 3), normal(4, 1, 3, 2), normal(2)],
    ),
    "dropout": (
        lambda x: dropout.dropout_fwd(x, 0.4, seed=1, stream=2),
        lambda dy, x: dropout.dropout_bwd(dy, 0.4, seed=1, stream=2),
        [normal(5, 7)],
    ),
    "feature_dropout": (
        lambda x: dropout.feature_dropout_fwd(x, 0.4, seed=1),
        lambda dy, x: dropout.feature_dropout_bwd(dy, 0.4, seed=1),
        [normal(3, 4, 2)],
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name):
    check_gradients(*GRADIENTS[name])


CONVOLUTIONS = {
    "1d": ((2, 3, 7), (4, 3, 3), {"stride": 2, "padding": 1}),
    "2d": ((2, 2, 5, 6), (3, 2, 3, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}),
    "2d_groups": ((2, 4, 4, 5), (6, 2, 3, 3), {"padding": 1, "groups": 2}),
    "2d_depthwise": ((1, 3, 6, 5), (3, 1, 3, 3), {"stride": 2, "groups": 3}),
    "2d_same": ((1, 2, 4, 5), (2, 2, 2, 4), {"padding": "same"}),
    "3d": ((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), {"stride": (1, 2, 1), "padding": 1}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_gradients(name):
    x_shape, w_shape, options = CONVOLUTIONS[name]
    check_gradients(
        lambda x, w, b: conv.conv_fwd(x, w, b, **options),
        lambda dy, x, w, b: (
            conv.conv_bwd_x(dy, w, x_shape, **options),
            conv.conv_bwd_w(dy, x, w_shape, **options),
            conv.conv_bwd_b(dy),
        ),
        [normal(*x_shape), normal(*w_shape), normal(w_shape[0])],
    )


SOFT = activation.softmax_fwd(normal(3, 5))
CLASSIFICATION = {
    "cross_entropy": ("cross_entropy", LABELS, {}),
    "cross_entropy_all": (
        "cross_entropy",
        LABELS,
        {"weight": positive(5), "ignore_index": 0, "label_smoothing": 0.1},
    ),
    "cross_entropy_soft": ("cross_entropy", SOFT, {"weight": positive(5), "label_smoothing": 0.2}),
    "nll": ("nll", LABELS, {"weight": positive(5), "ignore_index": 3}),
    "multi_margin": ("multi_margin", LABELS, {}),
    "multi_margin_squared": ("multi_margin", LABELS, {"p": 2, "margin": 1.5, "weight": positive(5)}),
}
ELEMENTWISE = {
    "bce": ("bce", positive(3, 5), SOFT, {"weight": positive(5)}),
    "bce_with_logits": (
        "bce_with_logits",
        normal(3, 5),
        SOFT,
        {"weight": positive(5), "pos_weight": positive(5)},
    ),
    "mse": ("mse", normal(3, 5), SOFT, {}),
    "l1": ("l1", normal(3, 5), SOFT, {}),
    "smooth_l1": ("smooth_l1", normal(3, 5), SOFT, {"beta": 0.7}),
    "huber": ("huber", normal(3, 5), SOFT, {"delta": 0.7}),
    "kl_div": ("kl_div", normal(3, 5), SOFT, {}),
    "kl_div_log": ("kl_div", normal(3, 5), np.log(SOFT), {"log_target": True}),
}


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", [*CLASSIFICATION, *ELEMENTWISE])
def test_loss_gradients(name, reduction):
    if name in CLASSIFICATION:
        (op, target, options), x = CLASSIFICATION[name], normal(3, 5)
    else:
        (op, x, target, options) = ELEMENTWISE[name]
    forward, backward = getattr(loss, f"{op}_fwd"), getattr(loss, f"{op}_bwd")
    options = {**options, "reduction": reduction}
    check_gradients(lambda x: forward(x, target, **options), lambda dy, x: backward(dy, x, target, **options), [x])


def test_kl_div_batchmean_and_loss_of_images():
    x = normal(2, 5, 3)
    check_gradients(
        lambda x: loss.kl_div_fwd(x, positive(2, 5, 3), "batchmean"),
        lambda dy, x: loss.kl_div_bwd(dy, x, positive(2, 5, 3), "batchmean"),
        [x],
    )
    labels = np.array([[1, 0, 4], [2, 2, -100]])
    check_gradients(
        lambda x: loss.cross_entropy_fwd(x, labels, label_smoothing=0.1),
        lambda dy, x: loss.cross_entropy_bwd(dy, x, labels, label_smoothing=0.1),
        [x],
    )
