"""Every layer against PyTorch's: constructor, repr, state dict, and in float64 the values and gradients."""

import inspect
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastnn import models, nn  # noqa: E402 - after the check for torch
from fastnn.autograd.tensor import Tensor  # noqa: E402
from fastnn.nn import functional as F  # noqa: E402

pytestmark = pytest.mark.torch

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}

# (layer, arguments, keywords, input shape)
LAYERS = [
    ("Linear", (6, 4), {}, (5, 6)),
    ("Linear", (6, 4), {"bias": False}, (2, 3, 6)),
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1}, (2, 4, 9)),
    ("Conv1d", (4, 6, 3), {"padding": "same", "dilation": 2, "groups": 2}, (2, 4, 9)),
    ("Conv1d", (4, 6, 3), {"padding": 2, "padding_mode": "circular"}, (2, 4, 9)),
    ("Conv2d", (4, 6, 3), {}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 3), {"padding": 1, "bias": False}, (2, 4, 9, 8)),
    ("Conv2d", (16, 32, 3), {"padding": 1}, (2, 16, 8, 8)),
    ("Conv2d", (4, 6, (3, 2), (2, 1), (1, 0), (1, 2)), {}, (2, 4, 9, 8)),
    ("Conv2d", (4, 8, 3), {"padding": 1, "groups": 4}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 5), {"padding": "valid"}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, (4, 3)), {"padding": "same"}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 3), {"padding": (2, 1), "padding_mode": "reflect"}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 3), {"padding": 2, "padding_mode": "replicate"}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, (4, 2)), {"padding": "same", "padding_mode": "circular"}, (2, 4, 9, 8)),
    ("Conv3d", (2, 4, 3), {"padding": 1, "stride": (1, 2, 1)}, (2, 2, 4, 5, 6)),
    ("Conv3d", (2, 4, 2), {"groups": 2, "padding": (1, 0, 1), "padding_mode": "replicate"}, (2, 2, 4, 5, 6)),
    ("ConvTranspose1d", (4, 6, 3), {}, (2, 4, 9)),
    ("ConvTranspose1d", (4, 6, 3, 3, 1, 2), {"groups": 2, "dilation": 2, "bias": False}, (2, 4, 9)),
    ("ConvTranspose2d", (4, 6, 4), {"stride": 2, "padding": 1}, (2, 4, 5, 6)),
    ("ConvTranspose2d", (4, 6, (3, 2), (2, 3), (1, 0), (1, 2)), {"dilation": (1, 2)}, (2, 4, 5, 6)),
    ("ConvTranspose2d", (4, 8, 3), {"groups": 4, "dilation": 3, "output_padding": 2}, (4, 5, 6)),
    ("ConvTranspose3d", (2, 4, 3, 2, 1, 1), {"groups": 2}, (2, 2, 3, 2, 4)),
    ("Unfold", ((3, 2), 2, (1, 0), (1, 2)), {}, (2, 3, 9, 8)),
    ("Unfold", (2,), {}, (3, 4, 5)),
    ("Fold", ((6, 7), 2), {}, (2, 12, 30)),
    ("Fold", ((9, 8), (3, 2)), {"padding": (2, 0), "stride": (1, 3), "dilation": (2, 4)}, (18, 18)),
    ("LPPool1d", (1, 3), {"stride": 1}, (2, 3, 9)),
    ("LPPool2d", (2, 3), {"ceil_mode": True}, (2, 3, 8, 10)),
    ("LPPool2d", (4, (2, 3), (2, 1)), {}, (2, 3, 9, 8)),
    ("LPPool2d", (float("inf"), 2), {}, (2, 3, 9, 8)),
    ("LPPool2d", (-float("inf"), 2), {}, (2, 3, 9, 8)),
    ("LPPool3d", (2, 2), {}, (2, 3, 4, 5, 6)),
    ("ZeroPad1d", (2,), {}, (2, 3, 9)),
    ("ZeroPad2d", ((1, -1, 0, 2),), {}, (2, 3, 9, 8)),
    ("ZeroPad3d", (1,), {}, (2, 3, 3, 4, 5)),
    ("ConstantPad1d", ((1, 2), 3.5), {}, (2, 3, 9)),
    ("ConstantPad2d", (2, -1.0), {}, (3, 9, 8)),
    ("ConstantPad3d", ((1, 0, 2, 1, 0, 3), 0.5), {}, (2, 3, 3, 4, 5)),
    ("ReflectionPad1d", ((3, 1),), {}, (2, 3, 9)),
    ("ReflectionPad2d", ((3, 1, 0, 2),), {}, (2, 3, 9, 8)),
    ("ReflectionPad3d", (1,), {}, (2, 3, 3, 4, 5)),
    ("ReplicationPad1d", ((3, 11),), {}, (2, 3, 9)),
    ("ReplicationPad2d", ((3, 1, 0, 2),), {}, (2, 3, 9, 8)),
    ("ReplicationPad3d", (2,), {}, (2, 3, 3, 4, 5)),
    ("CircularPad1d", ((3, 9),), {}, (2, 3, 9)),
    ("CircularPad2d", ((3, 1, 0, 2),), {}, (2, 3, 9, 8)),
    ("CircularPad3d", (1,), {}, (2, 3, 3, 4, 5)),
    ("RReLU", (), {}, (4, 5)),
    ("RReLU", (0.2, 0.4), {}, (4, 5)),
    ("Hardshrink", (), {}, (4, 5)),
    ("Hardshrink", (1.2,), {}, (4, 5)),
    ("Softshrink", (), {}, (4, 5)),
    ("Threshold", (0.1, 20), {}, (4, 5)),
    ("GLU", (), {}, (4, 6)),
    ("GLU", (1,), {}, (4, 6, 3)),
    ("Softmax2d", (), {}, (4, 5, 3, 2)),
    ("AlphaDropout", (0.3,), {}, (4, 5)),
    ("FeatureAlphaDropout", (0.3,), {}, (4, 5, 3)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, (2, 3, 9)),
    ("MaxPool2d", (2,), {}, (2, 3, 9, 8)),
    ("MaxPool2d", ((3, 2), (2, 1), (1, 0)), {"dilation": (1, 2), "ceil_mode": True}, (2, 3, 9, 8)),
    ("MaxPool3d", (2,), {"stride": 1}, (2, 3, 4, 5, 6)),
    ("AvgPool1d", (3,), {"padding": 1, "count_include_pad": False}, (2, 3, 9)),
    ("AvgPool2d", (2,), {}, (2, 3, 9, 8)),
    ("AvgPool2d", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}, (2, 3, 8, 8)),
    ("AvgPool2d", (3,), {"divisor_override": 5}, (2, 3, 9, 8)),
    ("AvgPool3d", (2,), {"padding": 1}, (2, 3, 4, 5, 6)),
    ("AdaptiveAvgPool1d", (4,), {}, (2, 3, 9)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 8)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 7, 8)),
    ("AdaptiveAvgPool3d", ((2, 3, 1),), {}, (2, 3, 4, 5, 6)),
    ("AdaptiveMaxPool1d", (4,), {}, (2, 3, 9)),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, (2, 3, 7, 8)),
    ("AdaptiveMaxPool3d", (2,), {}, (2, 3, 4, 5, 6)),
    ("BatchNorm1d", (3,), {}, (6, 3)),
    ("BatchNorm1d", (3,), {"momentum": None}, (6, 3, 5)),
    ("BatchNorm2d", (3,), {"eps": 1e-3, "momentum": 0.3}, (4, 3, 5, 6)),
    ("BatchNorm2d", (3,), {"affine": False}, (4, 3, 5, 6)),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, (4, 3, 5, 6)),
    ("BatchNorm3d", (3,), {}, (2, 3, 3, 4, 5)),
    ("LayerNorm", (6,), {}, (4, 5, 6)),
    ("LayerNorm", ((5, 6),), {"bias": False, "eps": 1e-2}, (4, 5, 6)),
    ("LayerNorm", ((5, 6),), {"elementwise_affine": False}, (4, 5, 6)),
    ("GroupNorm", (2, 6), {}, (3, 6, 4, 5)),
    ("GroupNorm", (6, 6), {"affine": False}, (3, 6, 7)),
    ("InstanceNorm1d", (3,), {}, (2, 3, 9)),
    ("InstanceNorm2d", (3,), {"affine": True}, (2, 3, 5, 4)),
    ("InstanceNorm2d", (3,), {"track_running_stats": True}, (2, 3, 5, 4)),
    ("InstanceNorm2d", (3,), {}, (3, 5, 4)),
    ("InstanceNorm3d", (3,), {}, (2, 3, 3, 4, 5)),
    ("ReLU", (), {}, (4, 5)),
    ("ReLU6", (), {}, (4, 5)),
    ("SELU", (), {}, (4, 5)),
    ("SiLU", (), {}, (4, 5)),
    ("Mish", (), {}, (4, 5)),
    ("Hardsigmoid", (), {}, (4, 5)),
    ("Hardswish", (), {}, (4, 5)),
    ("Sigmoid", (), {}, (4, 5)),
    ("Tanh", (), {}, (4, 5)),
    ("LogSigmoid", (), {}, (4, 5)),
    ("Softsign", (), {}, (4, 5)),
    ("LeakyReLU", (0.2,), {}, (4, 5)),
    ("PReLU", (), {}, (4, 5)),
    ("PReLU", (3, 0.1), {}, (4, 3, 5)),
    ("ELU", (0.7,), {}, (4, 5)),
    ("GELU", (), {}, (4, 5)),
    ("GELU", ("tanh",), {}, (4, 5)),
    ("Hardtanh", (-0.5, 2.0), {}, (4, 5)),
    ("Softplus", (2.0, 3.0), {}, (4, 5)),
    ("CELU", (0.7,), {}, (4, 5)),
    ("Tanhshrink", (), {}, (4, 5)),
    ("Softmin", (1,), {}, (4, 5, 3)),
    ("Softmax", (1,), {}, (4, 5, 3)),
    ("LogSoftmax", (-1,), {}, (4, 5, 3)),
    ("Flatten", (), {}, (2, 3, 4)),
    ("Flatten", (0, 1), {}, (2, 3, 4)),
    ("Unflatten", (1, (3, 4)), {}, (2, 12)),
    ("Identity", (), {}, (2, 3)),
    ("Dropout", (0.3,), {}, (4, 5)),
    ("Dropout1d", (0.3,), {}, (4, 5, 3)),
    ("Dropout2d", (0.3,), {}, (4, 5, 3, 3)),
    ("Dropout3d", (0.3,), {}, (2, 5, 3, 3, 3)),
]
MARGIN = 0.03  # how far inputs stay from kinks and ties, where subgradients may differ


FLOAT_GRADIENTS = {nn.CELU, nn.Hardsigmoid}  # PyTorch's backward rounds their constants to float32


def numbers(shape, seed=0):
    """Distinct numbers away from 0, so that no maximum is tied."""
    count = int(np.prod(shape))
    values = (np.random.default_rng(seed).permutation(count) + 0.5) / count * 6 - 3
    return (values + np.sign(values) * MARGIN).reshape(shape)


def assert_same(name, ours, theirs):
    np.testing.assert_allclose(ours, theirs.detach().numpy(), **TOLERANCE, err_msg=name)


def compare(ours, theirs, shape, seed):
    """One forward and backward pass of both on the same input."""
    data = numbers(shape, seed)
    x, tx = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, ty = ours(x), theirs(tx)
    assert_same("output", y.data, ty)
    dy = np.random.default_rng(9).standard_normal(y.shape)
    y.backward(dy)
    ty.backward(torch.from_numpy(dy))
    if type(ours) in FLOAT_GRADIENTS:
        np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=1e-6)
    else:
        assert_same("input gradient", x.grad.data, tx.grad)
    gradients = {name: p.grad for name, p in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        assert_same(f"gradient of {name}", parameter.grad.data, gradients[name])
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        assert_same(name, value.data, state[name])
    ours.zero_grad()
    theirs.zero_grad()


# PyTorch warns that even kernels with padding="same" cost it a copy.
@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("name", "arguments", "keywords", "shape"), LAYERS)
def test_layer(name, arguments, keywords, shape):
    theirs = getattr(torch.nn, name)(*arguments, **keywords).double()
    ours = getattr(nn, name)(*arguments, **keywords).double()
    assert repr(ours) == repr(theirs)
    for i, parameter in enumerate(theirs.parameters()):
        parameter.data += torch.from_numpy(0.3 * numbers(tuple(parameter.shape), i))
    ours.load_state_dict(theirs.state_dict())
    if not name.endswith(("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "RReLU")):
        for seed in (1, 2):
            compare(ours, theirs, shape, seed)
    compare(ours.eval(), theirs.eval(), shape, 3)


@pytest.mark.parametrize("name", ["MaxPool1d", "MaxPool2d", "MaxPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d"])
def test_pool_indices(name):
    shape = (2, 3, *(6, 7, 5)[: int(name[-2])])
    data = numbers(shape)
    y, indices = getattr(nn, name)(2, return_indices=True)(Tensor(data))
    ty, expected = getattr(torch.nn, name)(2, return_indices=True)(torch.from_numpy(data))
    assert_same("output", y.data, ty)
    np.testing.assert_array_equal(indices.data, expected.numpy())


SCORES, SIX = (6, 5), numbers((6,))
CLASSES = np.array([0, 4, 2, 2, 1, 3])
LIKELY = np.random.default_rng(3).dirichlet(np.ones(5), 6)
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.1, 1.5])
LOSSES = [
    ("CrossEntropyLoss", {}, CLASSES),
    ("CrossEntropyLoss", {"weight": WEIGHTS, "ignore_index": 2, "label_smoothing": 0.1}, CLASSES),
    ("CrossEntropyLoss", {"label_smoothing": 0.2}, LIKELY),
    ("NLLLoss", {"weight": WEIGHTS, "ignore_index": 4}, CLASSES),
    ("BCELoss", {}, LIKELY),
    ("BCELoss", {"weight": WEIGHTS}, LIKELY),
    ("BCEWithLogitsLoss", {"weight": WEIGHTS, "pos_weight": WEIGHTS[::-1].copy()}, LIKELY),
    ("MSELoss", {}, LIKELY),
    ("L1Loss", {}, LIKELY),
    ("SmoothL1Loss", {"beta": 0.5}, LIKELY),
    ("HuberLoss", {"delta": 0.7}, LIKELY),
    ("SoftMarginLoss", {}, np.sign(LIKELY - 0.2)),
    ("KLDivLoss", {}, LIKELY),
    ("KLDivLoss", {"log_target": True}, np.log(LIKELY)),
    ("MultiMarginLoss", {}, CLASSES),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": WEIGHTS}, CLASSES),
]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize(("name", "keywords", "target"), LOSSES)
def test_loss(name, keywords, target, reduction):
    if reduction == "batchmean" and name != "KLDivLoss":
        pytest.skip("only KLDivLoss has batchmean")
    tensors = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in keywords.items()}
    theirs = getattr(torch.nn, name)(**tensors, reduction=reduction)
    ours = getattr(nn, name)(**keywords, reduction=reduction)
    ours.load_state_dict(theirs.state_dict())
    data = numbers(SCORES)
    if name == "BCELoss":
        data = 1 / (1 + np.exp(-data))
    x, tx = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    y, ty = ours(x, Tensor(target)), theirs(tx, torch.tensor(target))
    assert_same("loss", y.data, ty)
    dy = np.ones(y.shape)
    y.backward(dy)
    ty.backward(torch.from_numpy(dy))
    assert_same("gradient", x.grad.data, tx.grad)


PAIRS = [  # further losses: arguments, keywords, and the shapes (or values) of what they compare
    ("HingeEmbeddingLoss", (0.7,), [SCORES, np.sign(LIKELY - 0.2)]),
    ("MarginRankingLoss", (0.4,), [SCORES, SCORES, np.sign(LIKELY - 0.2)]),
    ("CosineEmbeddingLoss", (-0.2,), [SCORES, SCORES, np.array([1, -1, -1, 1, -1, -1])]),
    ("CosineEmbeddingLoss", (), [(5,), (5,), np.array(-1)]),
    ("TripletMarginLoss", (), [SCORES, SCORES, SCORES]),
    ("TripletMarginLoss", (2.5, 3.0, 1e-5, True), [SCORES, SCORES, SCORES]),
    ("TripletMarginWithDistanceLoss", (), [SCORES, SCORES, SCORES]),
    ("MultiLabelMarginLoss", (), [SCORES, (np.argsort(LIKELY)[:, ::-1] - np.arange(5) % 3).clip(-1)]),
    ("MultiLabelSoftMarginLoss", (), [SCORES, np.round(LIKELY * 2).clip(0, 1)]),
    ("MultiLabelSoftMarginLoss", (WEIGHTS,), [SCORES, np.round(LIKELY * 2).clip(0, 1)]),
    ("PoissonNLLLoss", (), [SCORES, LIKELY * 9]),
    ("PoissonNLLLoss", (True, True), [SCORES, LIKELY * 9]),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "arguments", "operands"), PAIRS)
def test_loss_of_pairs(name, arguments, operands, reduction):
    theirs_given = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    theirs, ours = (
        getattr(torch.nn, name)(*theirs_given, reduction=reduction),
        getattr(nn, name)(*arguments, reduction=reduction),
    )
    data = [numbers(x, i) if isinstance(x, tuple) else x for i, x in enumerate(operands)]
    wanted = [isinstance(x, tuple) for x in operands]
    tensors = [Tensor(x, w) for x, w in zip(data, wanted, strict=True)]
    references = [torch.tensor(x, requires_grad=w) for x, w in zip(data, wanted, strict=True)]
    y, ty = ours(*tensors), theirs(*references)
    assert_same("loss", y.data, ty)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    y.backward(dy)
    ty.backward(torch.from_numpy(np.asarray(dy)))
    for tensor, reference, each in zip(tensors, references, wanted, strict=True):
        if each:
            assert_same("gradient", tensor.grad.data, reference.grad)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (6, 1), (6,), (1, 5)])
def test_gaussian_likelihood(shape, full):
    data = [numbers((6, 5), 1), numbers((6, 5), 2), np.abs(numbers(shape, 3)) * 0.1]
    data[2].flat[0] = 0
    tensors, references = [Tensor(x, True) for x in data], [torch.tensor(x, requires_grad=True) for x in data]
    y = nn.GaussianNLLLoss(full=full, eps=1e-3)(*tensors)
    ty = torch.nn.GaussianNLLLoss(full=full, eps=1e-3)(*references)
    assert_same("loss", y.data, ty)
    y.backward()
    ty.backward()
    for tensor, reference in zip(tensors, references, strict=True):
        assert_same("gradient", tensor.grad.data, reference.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_elements(name, reduction):
    x, t, w = numbers(SCORES), numbers(SCORES, 1), LIKELY + 0.1
    tensor, reference = Tensor(x, True), torch.tensor(x, requires_grad=True)
    y = getattr(F, name)(tensor, Tensor(t), reduction=reduction, weight=Tensor(w))
    ty = getattr(torch.nn.functional, name)(
        reference, torch.from_numpy(t), reduction=reduction, weight=torch.from_numpy(w)
    )
    assert_same("loss", y.data, ty)
    y.sum().backward()
    ty.sum().backward()
    assert_same("gradient", tensor.grad.data, reference.grad)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("kernel", "size", "shape"),
    [(2, (6, 5), (2, 3, 9, 8)), ((3, 1), (4, 7), (2, 3, 7, 12)), (2, 1, (3, 5, 5)), (2, (3, 4, 5), (2, 2, 5, 6, 9))],
)
def test_fractional_max_pool(kernel, size, shape, dtype):
    axes = 3 if len(shape) == 5 else 2
    name = f"fractional_max_pool{axes}d"
    data = numbers(shape).astype(dtype)
    images = shape[0] if len(shape) == axes + 2 else 1
    for seed in range(20):
        u = np.random.default_rng(seed).random((images, shape[-axes - 1], axes)).astype(dtype)
        x, tx = Tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        y, index = getattr(F, name)(x, kernel, size, return_indices=True, _random_samples=Tensor(u))
        ty, expected = getattr(torch.nn.functional, name)(
            tx, kernel, size, return_indices=True, _random_samples=torch.from_numpy(u)
        )
        assert_same("output", y.data, ty)
        np.testing.assert_array_equal(index.data, expected.numpy())
        dy = np.random.default_rng(9).standard_normal(y.shape).astype(dtype)
        y.backward(dy)
        ty.backward(torch.from_numpy(dy))
        np.testing.assert_allclose(
            x.grad.data, tx.grad.numpy(), **(TOLERANCE if dtype == "float64" else {"rtol": 1e-5, "atol": 1e-6})
        )


def test_transposed_convolution_of_a_wanted_size():
    theirs, ours = (m.ConvTranspose2d(2, 3, 3, 3, 1).double() for m in (torch.nn, nn))
    ours.load_state_dict(theirs.state_dict())
    data = numbers((2, 2, 4, 5))
    for size in ((10, 13), (11, 15), (2, 3, 12, 14)):
        assert_same("output", ours(Tensor(data), size).data, theirs(torch.from_numpy(data), size))
    with pytest.raises(ValueError, match=r"expected output_size from \(10, 13\) to \(12, 15\)"):
        ours(Tensor(data), (13, 13))


@pytest.mark.parametrize(
    "name", ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "ELU", "LeakyReLU", "Hardtanh", "Dropout", "RReLU"]
)
def test_repr_with_inplace(name):
    assert repr(getattr(nn, name)(inplace=True)) == repr(getattr(torch.nn, name)(inplace=True))


OURS_ONLY = {
    "Residual", "Maxout", "Buffer", "Parameter", "Module", "functional", "init",
    "DropConnectConv2d", "DropConnectLinear", "GaussianNoise", "StochasticDepth",
}  # fmt: skip
LEFT_OUT = {"self", "generator", "scale_at_test", "draws", "size_average", "reduce", "min_value", "max_value"}


@pytest.mark.parametrize("name", sorted(set(nn.__all__) - OURS_ONLY))
def test_constructor_signature(name):
    """PyTorch's parameters in its order with its defaults, without the deprecated ones; `generator` is ours."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ours, theirs = (
        [
            (p.name, p.default)
            for p in inspect.signature(getattr(library, name).__init__).parameters.values()
            if p.name not in LEFT_OUT and p.kind not in variadic
        ]
        for library in (nn, torch.nn)
    )
    assert ours == theirs


FUNCTIONS_OF_OURS = {"maxout", "one_hot", "stochastic_depth"}
OPTIONS_OF_OURS = {"generator", "sample_weight", "scale_at_test"}
INTERNAL = {"size_average", "reduce", "_stacklevel", "dtype", "generator", "out"}


def their_parameters(name):
    """From the signature, or for functions written in C++ from the docstring's first line."""
    function = getattr(torch.nn.functional, name + "_with_indices" * ("max_pool" in name))
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:
        listed = re.search(rf"{name}\((.*?)\) ->", function.__doc__)[1]
        return [part.split("=")[0].strip(" *") for part in listed.split(",")]


@pytest.mark.parametrize(
    "name", [name for name, f in vars(F).items() if inspect.isfunction(f) and name not in FUNCTIONS_OF_OURS]
)
def test_functional_signature(name):
    """PyTorch's parameters in its order; of `one_hot` it publishes no signature."""
    ours = [p for p in inspect.signature(getattr(F, name)).parameters if p not in OPTIONS_OF_OURS]
    assert ours == [p for p in their_parameters(name) if p not in INTERNAL]


def test_containers_take_pytorchs_state():
    def build(nn):
        return nn.Sequential(
            nn.ModuleDict({"a": nn.Linear(2, 3)}),
            nn.ModuleList([nn.BatchNorm1d(3), nn.Sequential(nn.PReLU())]),
            nn.ParameterList(),
        )

    theirs, ours = build(torch.nn), build(nn)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict({name: torch.from_numpy(v.numpy()) for name, v in ours.state_dict().items()})


@pytest.mark.parametrize("training", [True, False])
def test_whole_network(training):
    """The small network, with its fused batch norms, against the same layers in PyTorch."""
    ours = models.create("digits", 10, 1, 8).double().train(training)
    kinds = [(type(m).__name__, m) for m in ours]
    theirs = torch.nn.Sequential()
    for kind, module in kinds:
        if kind == "Conv2d":
            layer = torch.nn.Conv2d(module.in_channels, module.out_channels, 3, padding=1, bias=False)
        elif kind == "BatchNorm2d":
            layer = torch.nn.BatchNorm2d(module.num_features)
        elif kind == "Linear":
            layer = torch.nn.Linear(module.in_features, module.out_features)
        else:
            layer = getattr(torch.nn, kind)(*([2] if kind == "MaxPool2d" else []))
        theirs.append(layer)
    theirs.double().train(training)
    ours.load_state_dict(theirs.state_dict())
    compare(ours, theirs, (4, 1, 8, 8), 5)


def test_backward_hooks_see_what_pytorchs_see():
    seen = []
    for library, tensor in ((nn, lambda a: Tensor(a, requires_grad=True)), (torch.nn, torch.tensor)):
        layer = library.Linear(2, 3)
        layer = layer.double()
        layer.load_state_dict({"weight": _as(library, np.arange(6.0).reshape(3, 2)), "bias": _as(library, np.zeros(3))})
        layer.register_full_backward_hook(lambda m, gi, go: seen.append([np.asarray(g) for g in (*gi, *go)]))
        x = tensor(numbers((4, 2))).requires_grad_()
        y = layer(x) * layer(x * 2.0)
        y.sum().backward()
        seen.append([np.asarray(x.grad)])
    half = len(seen) // 2
    for ours, theirs in zip(seen[:half], seen[half:], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, **TOLERANCE)


def _as(library, array):
    return torch.from_numpy(array) if library is torch.nn else array
