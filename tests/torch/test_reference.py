"""The NumPy reference against PyTorch in float64: values, gradients and optimiser trajectories."""

import numpy as np
import pytest

from fastnn.reference import (
    activation,
    augment,
    conv,
    linear,
    loss,
    norm,
    optim,
    pool,
    reduce,
    window,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def positive(*shape):
    return np.random.default_rng(shape).uniform(0.2, 0.8, size=shape)


def tensor(array):
    return None if array is None else torch.tensor(array)


def torch_gradients(call, inputs, dy=None):
    """PyTorch's output, the gradient sent in, and the gradients of the inputs."""
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    y = call(*tensors)
    dy = np.random.default_rng(3).normal(size=tuple(y.shape)) if dy is None else dy
    gradients = torch.autograd.grad(y, tensors, torch.tensor(dy).reshape(y.shape))
    return y.detach().numpy(), dy, [g.numpy() for g in gradients]


def compare(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, **CLOSE)


KINKS = np.array([-6.0, -3.0, -1.0, -0.0, 0.0, 1.0, 3.0, 6.0, 20.0, 25.0, -1e4, 1e4])
ACTIVATIONS = [
    ("sigmoid", F.sigmoid, {}), ("tanh", F.tanh, {}), ("relu", F.relu, {}),
    ("leaky_relu", F.leaky_relu, {}), ("leaky_relu", F.leaky_relu, {"negative_slope": 0.3}),
    ("elu", F.elu, {}), ("elu", F.elu, {"alpha": 0.6}), ("selu", F.selu, {}), ("gelu", F.gelu, {}),
    ("gelu", F.gelu, {"approximate": "tanh"}), ("silu", F.silu, {}), ("softplus", F.softplus, {}),
    ("softplus", F.softplus, {"beta": 3.0, "threshold": 2.0}), ("hardsigmoid", F.hardsigmoid, {}),
    ("hardswish", F.hardswish, {}), ("hardtanh", F.hardtanh, {}),
    ("hardtanh", F.hardtanh, {"min_val": -3.0, "max_val": 6.0}), ("relu6", F.relu6, {}),
    ("mish", F.mish, {}), ("logsigmoid", F.logsigmoid, {}), ("softsign", F.softsign, {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "call", "options"), ACTIVATIONS)
def test_activation(name, call, options):
    x = np.concatenate([KINKS, 4 * normal(60)])
    if name == "gelu":  # PyTorch's own formulas overflow far out
        x = x[np.abs(x) < 1e4]
    y, dy, (dx,) = torch_gradients(lambda t: call(t, **options), [x])
    compare([getattr(activation, f"{name}_fwd")(x, **options)], [y])
    # PyTorch's gradient of hardsigmoid takes 1/6 from single precision.
    rtol = 1e-7 if name == "hardsigmoid" else 1e-10
    np.testing.assert_allclose(getattr(activation, f"{name}_bwd")(dy, x, **options), dx, rtol, 1e-10)


def test_prelu_and_softmax():
    x, w = normal(2, 3, 4), normal(3)
    y, dy, expected = torch_gradients(F.prelu, [x, w])
    compare([activation.prelu_fwd(x, w), *activation.prelu_bwd(dy, x, w)], [y, *expected])
    for name in ("softmax", "log_softmax"):
        y, dy, expected = torch_gradients(lambda t, name=name: getattr(F, name)(t, dim=1), [x])
        ours = getattr(activation, f"{name}_fwd")(x, 1)
        compare([ours, getattr(activation, f"{name}_bwd")(dy, ours, 1)], [y, *expected])


CONVOLUTIONS = [
    ((2, 3, 9), (4, 3, 3), {"stride": 2, "padding": 1, "dilation": 2}),
    ((2, 4, 9, 8), (6, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "dilation": (1, 2), "groups": 2}),
    ((2, 4, 7, 7), (8, 1, 3, 3), {"padding": 1, "groups": 4}),
    ((2, 3, 6, 7), (2, 3, 4, 3), {"padding": "same", "dilation": (1, 2)}),
    ((2, 3, 6, 7), (2, 3, 1, 1), {"padding": "valid", "stride": 2}),
    ((1, 2, 5, 6, 4), (4, 1, 2, 3, 2), {"stride": (1, 2, 2), "padding": 1, "groups": 2}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(("x_shape", "w_shape", "options"), CONVOLUTIONS)
def test_convolution(x_shape, w_shape, options):
    x, w, b = normal(*x_shape), normal(*w_shape), normal(w_shape[0])
    call = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.ndim]
    y, dy, expected = torch_gradients(lambda *t: call(*t, **options), [x, w, b])
    compare([conv.conv_fwd(x, w, b, **options)], [y])
    dx, dw = conv.conv_bwd_x(dy, w, x.shape, **options), conv.conv_bwd_w(dy, x, w.shape, **options)
    compare([dx, dw, conv.conv_bwd_b(dy)], expected)


def test_transposed_convolution_and_unfold():
    x, w, b = normal(2, 4, 5, 4), normal(4, 3, 3, 2), normal(6)
    options = {"stride": (3, 2), "padding": 1, "dilation": (1, 2), "groups": 2}
    call = lambda *t: F.conv_transpose2d(*t, **options, output_padding=(2, 1))  # noqa: E731
    y, dy, expected = torch_gradients(call, [x, w, b])
    compare([conv.conv_transpose_fwd(x, w, b, **options, output_padding=(2, 1))], [y])
    compare(conv.conv_transpose_bwd(dy, x, w, **options), expected)
    y, dy, expected = torch_gradients(lambda t: F.unfold(t, (3, 2), (1, 2), (1, 1), (2, 1)), [x])
    geometry = {"kernel": (3, 2), "dilation": (1, 2), "padding": (1, 1), "stride": (2, 1)}
    compare([conv.im2col(x, **geometry), conv.col2im(dy, x.shape, **geometry)], [y, *expected])


POOLS = [
    ((2, 3, 11), {"kernel": 3, "stride": 2, "padding": 1}),
    ((2, 3, 11), {"kernel": 2, "stride": 3, "padding": 1}),
    ((2, 3, 10, 9), {"kernel": (3, 2), "padding": (1, 1)}),
    ((2, 3, 10, 9), {"kernel": (4, 3), "stride": (3, 2), "padding": (2, 1)}),
    ((1, 2, 6, 7, 5), {"kernel": 2, "stride": (2, 2, 1)}),
    ((1, 2, 6, 7, 5), {"kernel": (3, 3, 2), "stride": 2, "padding": 1}),
]


def named(options):
    return {"kernel_size": options["kernel"], **{k: v for k, v in options.items() if k != "kernel"}}


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("shape", "options"), POOLS)
def test_max_pooling(shape, options, dilation, ceil_mode):
    x = np.round(normal(*shape), 1)  # with ties
    options = {**options, "ceil_mode": ceil_mode, "dilation": dilation}
    call = getattr(F, f"max_pool{len(shape) - 2}d")
    y, dy, expected = torch_gradients(lambda t: call(t, **named(options)), [x])
    indices = call(tensor(x), **named(options), return_indices=True)[1].numpy()
    ours, argmax = pool.max_pool_fwd(x, **options)
    compare([ours, argmax, pool.max_pool_bwd(dy, argmax, x.shape)], [y, indices, *expected])


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("extra", [{}, {"count_include_pad": False}, {"divisor_override": 5}])
@pytest.mark.parametrize(("shape", "options"), POOLS)
def test_average_pooling(shape, options, extra, ceil_mode):
    if len(shape) == 3 and "divisor_override" in extra:
        pytest.skip("PyTorch has no divisor_override in one dimension")
    x = normal(*shape)
    options = {**options, **extra, "ceil_mode": ceil_mode}
    call = getattr(F, f"avg_pool{len(shape) - 2}d")
    y, dy, expected = torch_gradients(lambda t: call(t, **named(options)), [x])
    compare([pool.avg_pool_fwd(x, **options), pool.avg_pool_bwd(dy, x.shape, **options)], [y, *expected])


def test_output_size_rule():
    for size in range(1, 9):
        for kernel, stride, pad in ((2, 1, 1), (2, 2, 0), (3, 2, 1), (2, 3, 1), (3, 3, 1), (1, 2, 0)):
            for ceil_mode in (False, True):
                if size + 2 * pad < kernel:
                    continue
                expected = F.max_pool1d(torch.zeros(1, 1, size), kernel, stride, pad, 1, ceil_mode).shape[-1]
                assert window.out_size(size, kernel, stride, (pad, pad), 1, ceil_mode) == expected


@pytest.mark.parametrize(("shape", "out"), [((2, 3, 7), 3), ((2, 3, 5, 8), (3, None)), ((1, 2, 4, 5, 6), 3)])
def test_adaptive_and_lp_pooling(shape, out):
    x, ndim = np.abs(normal(*shape)), len(shape) - 2
    y, dy, expected = torch_gradients(lambda t: getattr(F, f"adaptive_avg_pool{ndim}d")(t, out), [x])
    ours = pool.adaptive_avg_pool_fwd(x, out)
    compare([ours, pool.adaptive_avg_pool_bwd(dy, x.shape)], [y, *expected])
    y, dy, expected = torch_gradients(lambda t: getattr(F, f"adaptive_max_pool{ndim}d")(t, out), [x])
    ours, argmax = pool.adaptive_max_pool_fwd(x, out)
    compare([ours, pool.max_pool_bwd(dy, argmax, x.shape)], [y, *expected])
    if ndim < 3:
        y, dy, expected = torch_gradients(lambda t: getattr(F, f"lp_pool{ndim}d")(t, 3.0, 2), [x])
        compare([pool.lp_pool_fwd(x, 3, 2), pool.lp_pool_bwd(dy, x, 3, 2)], [y, *expected])


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 5, 2)])
def test_batch_norm(shape):
    x, w, b = normal(*shape), normal(3), normal(3, seed=1)
    mean, var = normal(3, seed=2), positive(3)
    running = tensor(mean), tensor(var)
    y, dy, expected = torch_gradients(lambda *t: F.batch_norm(t[0], *running, *t[1:], True), [x, w, b])
    ours, *saved = norm.batch_norm_train_fwd(x, w, b)
    compare([ours, *norm.batch_norm_train_bwd(dy, x, *saved, w)], [y, *expected])
    compare(norm.batch_norm_update(mean, var, x), [t.numpy() for t in running])
    fixed = tensor(mean), tensor(var)
    y, dy, expected = torch_gradients(lambda *t: F.batch_norm(t[0], *fixed, *t[1:], False), [x, w, b])
    ours = norm.batch_norm_eval_fwd(x, mean, var, w, b)
    compare([ours, *norm.batch_norm_eval_bwd(dy, x, mean, var, w)], [y, *expected])
    residual = normal(*shape, seed=4)
    fused = lambda x, w, b, r: F.relu(F.batch_norm(x, None, None, w, b, True) + r)  # noqa: E731
    y, dy, expected = torch_gradients(fused, [x, w, b, residual])
    ours, *saved = norm.batch_norm_relu_train_fwd(x, w, b, residual)
    compare([ours, *norm.batch_norm_relu_train_bwd(dy, ours, x, *saved, w)], [y, *expected])


def test_other_norms():
    x, w, b = normal(3, 4, 5), normal(4), normal(4, seed=1)
    y, dy, expected = torch_gradients(lambda x, w, b: F.group_norm(x, 2, w, b), [x, w, b])
    ours, *saved = norm.group_norm_fwd(x, 2, w, b)
    compare([ours, *norm.group_norm_bwd(dy, x, 2, *saved, w)], [y, *expected])
    y, dy, expected = torch_gradients(lambda x, w, b: F.instance_norm(x, None, None, w, b), [x, w, b])
    ours, *saved = norm.instance_norm_fwd(x, w, b)
    compare([ours, *norm.instance_norm_bwd(dy, x, *saved, w)], [y, *expected])
    w, b = normal(4, 5), normal(4, 5, seed=1)
    y, dy, expected = torch_gradients(lambda x, w, b: F.layer_norm(x, (4, 5), w, b), [x, w, b])
    ours, *saved = norm.layer_norm_fwd(x, (4, 5), w, b)
    compare([ours, *norm.layer_norm_bwd(dy, x, (4, 5), *saved, w)], [y, *expected])


LABELS = np.array([2, 0, 3, 1])
IMAGE_LABELS = np.array([[2, 0], [3, 1], [-100, 4], [4, 4]])
SOFT = activation.softmax_fwd(normal(4, 5), 1)
LOSSES = [
    ("cross_entropy", F.cross_entropy, normal(4, 5), LABELS, {}),
    ("cross_entropy", F.cross_entropy, 1e4 * normal(4, 5), LABELS, {"label_smoothing": 0.1}),
    ("cross_entropy", F.cross_entropy, normal(4, 5), LABELS,
     {"weight": positive(5), "label_smoothing": 0.2, "ignore_index": 3}),
    ("cross_entropy", F.cross_entropy, normal(4, 5, 2), IMAGE_LABELS,
     {"weight": positive(5), "label_smoothing": 0.2}),
    ("cross_entropy", F.cross_entropy, normal(5), np.array(3), {"label_smoothing": 0.1}),
    ("cross_entropy", F.cross_entropy, normal(4, 5), SOFT, {"weight": positive(5), "label_smoothing": 0.1}),
    ("cross_entropy", F.cross_entropy, normal(4, 5, 2), activation.softmax_fwd(normal(4, 5, 2), 1),
     {"weight": positive(5)}),
    ("nll", F.nll_loss, normal(4, 5), LABELS, {"weight": positive(5), "ignore_index": 1}),
    ("nll", F.nll_loss, normal(4, 5, 2), IMAGE_LABELS, {}),
    ("multi_margin", F.multi_margin_loss, normal(4, 5), LABELS, {}),
    ("multi_margin", F.multi_margin_loss, normal(4, 5), LABELS,
     {"p": 2, "margin": 1.7, "weight": positive(5)}),
    ("multi_margin", F.multi_margin_loss, normal(5), np.array(3), {}),
    ("bce", F.binary_cross_entropy, positive(4, 5), SOFT, {"weight": positive(5)}),
    ("bce", F.binary_cross_entropy, np.array([0.0, 1.0, 0.5]), np.array([0.0, 1.0, 0.0]), {}),
    ("bce_with_logits", F.binary_cross_entropy_with_logits, normal(4, 5), SOFT, {}),
    ("bce_with_logits", F.binary_cross_entropy_with_logits, 1e4 * normal(4, 5), SOFT,
     {"weight": positive(4, 1), "pos_weight": 3 * positive(5)}),
    ("mse", F.mse_loss, normal(4, 5), SOFT, {}),
    ("l1", F.l1_loss, np.round(normal(4, 5)), np.zeros((4, 5)), {}),
    ("smooth_l1", F.smooth_l1_loss, 2 * normal(4, 5), SOFT, {"beta": 0.7}),
    ("smooth_l1", F.smooth_l1_loss, normal(4, 5), SOFT, {"beta": 0.0}),
    ("huber", F.huber_loss, 2 * normal(4, 5), SOFT, {"delta": 0.7}),
    ("kl_div", F.kl_div, normal(4, 5), np.where(SOFT < 0.1, 0, SOFT), {}),
    ("kl_div", F.kl_div, normal(4, 5), np.log(SOFT), {"log_target": True}),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize("reduction", ["none", "mean", "sum", "batchmean"])
@pytest.mark.parametrize(("name", "call", "x", "target", "options"), LOSSES)
def test_loss(name, call, x, target, options, reduction):
    if reduction == "batchmean" and name != "kl_div":
        return
    theirs = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    y, dy, (dx,) = torch_gradients(lambda t: call(t, tensor(target), reduction=reduction, **theirs), [x])
    compare([getattr(loss, f"{name}_fwd")(x, target, reduction=reduction, **options)], [y])
    compare([getattr(loss, f"{name}_bwd")(dy, x, target, reduction=reduction, **options)], [dx])


def test_linear_and_reductions():
    x, w, b = normal(2, 3, 4), normal(5, 4), normal(5)
    y, dy, expected = torch_gradients(F.linear, [x, w, b])
    compare([linear.linear_fwd(x, w, b), *linear.linear_bwd(dy, x, w)], [y, *expected])
    x = np.round(normal(4, 5, 3), 1)
    x[1] = 0
    cases = [
        (lambda t: t.var(dim=(0, 2)), reduce.var_fwd(x, (0, 2)), lambda dy: reduce.var_bwd(dy, x, (0, 2))),
        (lambda t: t.amax(dim=1), x.max(1), lambda dy: reduce.amax_bwd(dy, x, 1)),
        (lambda t: t.logsumexp(dim=1), reduce.logsumexp_fwd(x, 1), lambda dy: reduce.logsumexp_bwd(dy, x, 1)),
        (lambda t: t.norm(dim=1), reduce.norm_fwd(x, 2, 1), lambda dy: reduce.norm_bwd(dy, x, 2, 1)),
        (lambda t: t.prod(dim=1), x.prod(1), lambda dy: reduce.prod_bwd(dy, x, 1)),
    ]
    for call, value, backward in cases:
        y, dy, (dx,) = torch_gradients(call, [x])
        compare([value, backward(dy)], [y, dx])


OPTIMISERS = [
    ("SGD", optim.sgd_step, {}, ()),
    ("SGD", optim.sgd_step, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}, ()),
    ("SGD", optim.sgd_step, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, ()),
    ("Adagrad", optim.adagrad_step, {}, (0,)),
    ("Adagrad", optim.adagrad_step, {"lr_decay": 0.1, "weight_decay": 0.1, "maximize": True}, (0,)),
    ("Adadelta", optim.adadelta_step, {}, (0, 0)),
    ("Adadelta", optim.adadelta_step, {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}, (0, 0)),
    ("RMSprop", optim.rmsprop_step, {}, (0,)),
    ("RMSprop", optim.rmsprop_step, {"centered": True, "momentum": 0.9, "weight_decay": 0.1}, (0,)),
    ("RMSprop", optim.rmsprop_step, {"momentum": 0.5, "maximize": True}, (0,)),
    ("Adam", optim.adam_step, {}, (0, 0)),
    ("Adam", optim.adam_step, {"betas": (0.8, 0.9), "weight_decay": 0.1, "amsgrad": True}, (0, 0)),
    ("AdamW", optim.adamw_step, {}, (0, 0)),
    ("AdamW", optim.adamw_step, {"amsgrad": True, "weight_decay": 0.3, "maximize": True}, (0, 0)),
]


@pytest.mark.parametrize(("name", "step", "options", "state"), OPTIMISERS)
def test_optimiser(name, step, options, state):
    w = normal(7)
    parameter = torch.nn.Parameter(tensor(w))
    theirs = getattr(torch.optim, name)([parameter], **options)
    state = [np.zeros_like(w) for _ in state]
    for t in range(1, 8):
        g = normal(7, seed=t) * 10.0 ** (t % 3)
        parameter.grad = tensor(g)
        theirs.step()
        if name == "Adagrad":
            w, *state = step(w, g, *state, t, **options)
        elif name in ("Adam", "AdamW"):
            w, *state = step(w, g, state[0], state[1], t, *state[2:], **options)
        else:
            w, *state = step(w, g, *state, **options)
        compare([w], [parameter.detach().numpy()])


def test_resized_crop():
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 3), np.uint8)
    boxes = np.array([[1, 2, 5, 4], [0, 0, 9, 8]])
    exact = augment.resized_crop(images, boxes, (6, 13), dtype=np.float64)
    for image, (top, left, height, width), ours in zip(images, boxes, exact):
        box = tensor(image[top : top + height, left : left + width].astype(np.float64)).permute(2, 0, 1)[None]
        theirs = F.interpolate(box, size=(6, 13), mode="bilinear", align_corners=False)
        compare([ours], [theirs[0].permute(1, 2, 0).numpy()])
