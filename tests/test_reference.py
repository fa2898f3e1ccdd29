"""The NumPy reference against SciPy, published vectors and hand-made cases."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal
import scipy.special

from fastnn import reference
from fastnn.reference import (
    activation,
    augment,
    conv,
    dropout,
    elementwise,
    linear,
    loss,
    norm,
    optim,
    pool,
    random,
    reduce,
    window,
)

MODULES = [module.name for module in pkgutil.iter_modules(reference.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(f"fastnn.reference.{name}")).failed == 0


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


# --- values against SciPy ---------------------------------------------------------------------------------


def test_activations_against_scipy():
    x = np.concatenate([normal(200) * 5, [-1e4, 1e4, 0.0, -700.0, 700.0]])
    special = scipy.special
    exact = {"rtol": 1e-13, "atol": 1e-300}
    np.testing.assert_allclose(activation.erf(x), special.erf(x), **exact)
    np.testing.assert_allclose(activation.sigmoid_fwd(x), special.expit(x), **exact)
    np.testing.assert_allclose(activation.logsigmoid_fwd(x), special.log_expit(x), **exact)
    gelu = (x * special.ndtr(x))[:200]
    np.testing.assert_allclose(activation.gelu_fwd(x[:200]), gelu, rtol=1e-9, atol=1e-15)
    rows = x.reshape(5, 41)
    np.testing.assert_allclose(activation.softmax_fwd(rows), special.softmax(rows, axis=1), **exact)
    log_p = activation.log_softmax_fwd(rows)
    np.testing.assert_allclose(log_p, special.log_softmax(rows, axis=1), rtol=1e-12)
    total = reduce.logsumexp_fwd(rows, 1)
    np.testing.assert_allclose(total, special.logsumexp(rows, axis=1), rtol=1e-13)
    assert reduce.logsumexp_fwd(np.full(3, -np.inf)) == -np.inf
    small, t = activation.log_softmax_fwd(normal(4, 5)), special.softmax(normal(4, 5, seed=1), axis=1)
    divergence = special.rel_entr(t, np.exp(small)).sum()
    np.testing.assert_allclose(loss.kl_div_fwd(small, t, "sum"), divergence, rtol=1e-12)
    d = normal(50)
    huber = loss.huber_fwd(d, np.zeros(50), "none", delta=0.6)
    np.testing.assert_allclose(huber, special.huber(0.6, d), rtol=1e-13)


POINTWISE = [
    "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "hardsigmoid",
    "hardswish", "hardtanh", "relu6", "mish", "logsigmoid", "softsign",
]  # fmt: skip


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_keeps_dtype_and_stays_finite(name):
    x = np.array([-1e4, -30.0, -0.0, 0.0, 30.0, 1e4], np.float32)
    y = getattr(activation, f"{name}_fwd")(x)
    dx = getattr(activation, f"{name}_bwd")(np.ones_like(x), x)
    assert y.dtype == dx.dtype == np.float32
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("spatial", [(9,), (6, 7), (4, 5, 6)])
def test_convolution_against_scipy(spatial):
    x, w = normal(2, 3, *spatial), normal(4, 3, *[3] * len(spatial))
    for padding, mode in (("valid", "valid"), ("same", "same")):
        y = conv.conv_fwd(x, w, padding=padding)
        expected = [[sum(scipy.signal.correlate(c, k, mode) for c, k in zip(i, f)) for f in w] for i in x]
        np.testing.assert_allclose(y, expected, atol=1e-12)
    strided = conv.conv_fwd(x, w, padding="valid", stride=2)
    np.testing.assert_allclose(strided, conv.conv_fwd(x, w)[(..., *[slice(None, None, 2)] * len(spatial))])


def test_dilation_is_a_kernel_with_holes():
    x, w = normal(1, 2, 9, 8), normal(3, 2, 3, 3)
    holes = np.zeros((3, 2, 5, 7))
    holes[:, :, ::2, ::3] = w
    np.testing.assert_allclose(conv.conv_fwd(x, w, dilation=(2, 3)), conv.conv_fwd(x, holes))


def test_pooling_against_scipy():
    x = normal(2, 3, 8, 9)
    window_1 = (1, 1, 3, 3)
    y, argmax = pool.max_pool_fwd(x, 3, stride=1, padding=1)
    np.testing.assert_array_equal(y, scipy.ndimage.maximum_filter(x, window_1, mode="constant", cval=-np.inf))
    taken = np.take_along_axis(x.reshape(6, 72), argmax.reshape(6, 72), 1)
    np.testing.assert_array_equal(taken.reshape(y.shape), y)
    mean = scipy.ndimage.uniform_filter(x, window_1, mode="constant")
    np.testing.assert_allclose(pool.avg_pool_fwd(x, 3, stride=1, padding=1), mean, atol=1e-13)


def test_max_pool_of_minus_infinity_points_inside():
    y, argmax = pool.max_pool_fwd(np.full((1, 1, 4), -np.inf), 3, stride=2, padding=1)
    assert (y == -np.inf).all()
    assert argmax.tolist() == [[[0, 1]]]


def test_norms_against_scipy_zscore():
    x = 3 * normal(4, 6, 5) + 2
    y, mean, _ = norm.batch_norm_train_fwd(x, eps=0.0)
    np.testing.assert_allclose(y, (x - x.mean((0, 2), keepdims=True)) / x.std((0, 2), keepdims=True))
    np.testing.assert_allclose(mean, x.mean((0, 2)))
    np.testing.assert_allclose(norm.group_norm_fwd(x, 1)[0], norm.layer_norm_fwd(x, (6, 5))[0])
    np.testing.assert_allclose(norm.group_norm_fwd(x, 6)[0], norm.instance_norm_fwd(x)[0])
    running = norm.batch_norm_update(np.zeros(6), np.ones(6), x, momentum=1.0)
    np.testing.assert_allclose(running[1], x.var((0, 2), ddof=1))


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_losses_are_stable(scale):
    x = np.array([[scale, 0.0, -scale]], np.float32)
    for target in (np.array([0]), np.array([2]), np.array([[0.2, 0.3, 0.5]], np.float32)):
        value = loss.cross_entropy_fwd(x, target, label_smoothing=0.1)
        assert value.dtype == np.float32
        assert np.isfinite(value)
        assert np.isfinite(loss.cross_entropy_bwd(1.0, x, target, label_smoothing=0.1)).all()
    binary = np.array([[1.0, 0.0, 0.5]], np.float32)
    assert np.isfinite(loss.bce_with_logits_fwd(x, binary))
    assert np.isfinite(loss.bce_with_logits_bwd(1.0, x, binary)).all()


def test_loss_of_a_masked_class_and_of_nothing():
    x = np.array([[0.0, -np.inf]])
    assert loss.cross_entropy_fwd(x, np.array([0])) == 0
    assert np.isnan(loss.cross_entropy_fwd(x, np.array([-100])))
    assert loss.bce_fwd(np.array([0.0]), np.array([1.0])) == 100


# --- random numbers, dropout, optimisers, augmentation, geometry ------------------------------------------


KNOWN_ANSWERS = [  # Random123's kat_vectors: counter, key, result
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, result):
    counter, key, result = ([int(word, 16) for word in text.split()] for text in (counter, key, result))
    assert random.philox4x32(np.array(counter, np.uint32), tuple(key)).tolist() == result


def test_stream_layout_and_uniform():
    seed, stream = 0x123456789ABCDEF0, 0xFEDCBA9876543210
    words = random.words(11, seed, stream)
    counter = np.array([2, 0, 0x76543210, 0xFEDCBA98], np.uint32)
    assert words[8:].tolist() == random.philox4x32(counter, (0x9ABCDEF0, 0x12345678))[:3].tolist()
    single, double = random.uniform(40000, 1), random.uniform((200, 200), 1, dtype=np.float64)
    for u in (single, double):
        assert u.min() >= 0
        assert u.max() < 1
        assert abs(u.mean() - 0.5) < 0.01
        assert abs(u.var() - 1 / 12) < 0.01
    assert single.dtype == np.float32
    with pytest.raises(TypeError, match="dtype"):
        random.uniform(3, 0, dtype=np.int32)
    with pytest.raises(ValueError, match="seed"):
        random.words(3, -1)


def test_dropout_rate_and_limits():
    x = np.ones((100, 1000), np.float32)
    y = dropout.dropout_fwd(x, 0.3, seed=5)
    assert abs((y == 0).mean() - 0.3) < 0.01
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.7)}
    np.testing.assert_array_equal(dropout.dropout_fwd(x, 0.0, seed=5), x)
    np.testing.assert_array_equal(dropout.dropout_fwd(x, 1.0, seed=5), 0)
    assert dropout.threshold(1.0) == 2**32 - 1
    with pytest.raises(ValueError, match="p must be"):
        dropout.dropout_fwd(x, 1.5, seed=5)


def test_optimisers_minimise_a_bowl():
    scale = np.array([1.0, 5.0])
    zeros = np.zeros(2)
    runs = {
        "sgd": (lambda w, g, t, v=None: optim.sgd_step(w, g, v, lr=0.1, momentum=0.5, nesterov=True), ()),
        "adagrad": (lambda w, g, t, s: optim.adagrad_step(w, g, s, t, lr=0.5), (zeros,)),
        "adadelta": (lambda w, g, t, s, h: optim.adadelta_step(w, g, s, h, lr=10.0), (zeros, zeros)),
        "rmsprop": (lambda w, g, t, *s: optim.rmsprop_step(w, g, *s, lr=0.01, centered=True), (zeros,)),
        "adam": (lambda w, g, t, m, v, top=None: optim.adam_step(w, g, m, v, t, top, lr=0.1), (zeros, zeros)),
        "adamw": (
            lambda w, g, t, m, v, top=None: optim.adamw_step(w, g, m, v, t, top, lr=0.1, amsgrad=True),
            (zeros, zeros),
        ),
    }
    for name, (update, state) in runs.items():
        w = np.array([2.0, -1.0])
        for t in range(1, 301):
            w, *state = update(w, scale * w, t, *state)
        assert np.abs(w).max() < 0.1, name
    with pytest.raises(ValueError, match="nesterov"):
        optim.sgd_step(zeros, zeros, nesterov=True)


def test_augment_pads_like_numpy():
    images = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 2), np.uint8)
    top, left = np.array([0, 3, 4]), np.array([4, 1, 0])
    for mode in ("constant", "reflect"):
        padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode=mode)
        expected = [p[t : t + 6, s : s + 5] for p, t, s in zip(padded, top, left)]
        np.testing.assert_array_equal(augment.crop(images, top, left, padding=2, mode=mode), expected)
    with pytest.raises(ValueError, match="leaves"):
        augment.crop(images, top + 1, left, padding=2)


def test_augment_pipeline():
    images = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 3), np.uint8)
    mean, std = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])
    flips, boxes = np.array([True, False]), np.array([[1, 1, 2, 2], [0, 0, 0, 4]])
    y = augment.augment(images, mean, std, horizontal=flips, boxes=boxes, fill=7, dtype=np.float64)
    plain = images.astype(np.float64)
    plain[0] = plain[0, :, ::-1]
    plain[0, 1:3, 1:3] = 7
    np.testing.assert_allclose(y, (plain / 255 - mean) / std, atol=1e-14)
    assert augment.normalise(images, mean, std).dtype == np.float32


def test_resized_crop_against_scipy():
    images = np.random.default_rng(2).integers(0, 256, (2, 9, 8, 3), np.uint8)
    boxes = np.array([[1, 2, 5, 4], [0, 0, 9, 8]])
    y = augment.resized_crop(images, boxes, (7, 11), dtype=np.float64)
    for image, (top, left, height, width), result in zip(images, boxes, y):
        box = image[top : top + height, left : left + width].astype(np.float64)
        centres = [(np.arange(out) + 0.5) * n / out - 0.5 for out, n in ((7, height), (11, width))]
        at = np.meshgrid(*centres, indexing="ij")
        for channel in range(3):
            expected = scipy.ndimage.map_coordinates(box[..., channel], at, order=1, mode="nearest")
            np.testing.assert_allclose(result[..., channel], expected, atol=1e-10)
    whole = np.array([[0, 0, 9, 8]] * 2)
    np.testing.assert_array_equal(augment.resized_crop(images, whole, (9, 8)), images)


def test_empty_batches():
    x, w = np.zeros((0, 4, 5, 5)), normal(6, 2, 3, 3)
    y = conv.conv_fwd(x, w, groups=2)
    assert y.shape == (0, 6, 3, 3)
    assert conv.conv_bwd_x(y, w, x.shape, groups=2).shape == x.shape
    np.testing.assert_array_equal(conv.conv_bwd_w(y, x, w.shape, groups=2), np.zeros(w.shape))
    y, argmax = pool.max_pool_fwd(x, 2)
    assert pool.max_pool_bwd(y, argmax, x.shape).shape == pool.avg_pool_fwd(x, 5, 1, 2).shape == x.shape
    assert pool.adaptive_max_pool_fwd(x, 3)[0].shape == (0, 4, 3, 3)
    assert linear.linear_bwd(np.zeros((0, 3)), np.zeros((0, 5)), normal(3, 5))[1].shape == (3, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv.conv_fwd(normal(1, 3, 4), normal(2, 2, 3)), "channels"),
        (lambda: conv.conv_fwd(normal(1, 2, 2), normal(2, 2, 3)), "does not fit"),
        (lambda: conv.conv_fwd(normal(1, 2, 4), normal(2, 2, 3), padding="full"), "'same'"),
        (lambda: conv.conv_fwd(normal(1, 2, 4), normal(2, 2, 3), padding="same", stride=2), "stride 1"),
        (lambda: pool.max_pool_fwd(normal(1, 2, 4), 2, padding=2), "half"),
        (lambda: pool.adaptive_avg_pool_fwd(normal(1, 2, 4), (1, 2)), "output_size"),
        (lambda: loss.cross_entropy_fwd(normal(3, 2), np.array([2, 0, 3])), "targets"),
        (lambda: loss.cross_entropy_fwd(normal(3, 5), np.array([2, 0, 3]), reduction="average"), "reduction"),
        (lambda: loss.multi_margin_fwd(normal(3, 5), np.array([2, 0, 3]), p=3), "p must"),
        (lambda: norm.group_norm_fwd(normal(2, 3, 4), 2), "groups"),
        (lambda: norm.layer_norm_fwd(normal(2, 3), (2,)), "end in"),
        (lambda: norm.batch_norm_train_fwd(normal(1, 3)), "more than one"),
        (lambda: linear.linear_fwd(normal(2, 3), normal(2, 4)), "expected x"),
        (lambda: elementwise.unbroadcast(normal(2, 3), (2,)), "broadcast"),
        (lambda: window.per_axis((1, 2), 3), "3 integers"),
        (lambda: activation.gelu_fwd(normal(2), "fast"), "approximate"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
