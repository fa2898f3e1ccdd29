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
    if not name.startswith("Dropout"):
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


@pytest.mark.parametrize("name", ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "ELU", "LeakyReLU", "Hardtanh", "Dropout"])
def test_repr_with_inplace(name):
    assert repr(getattr(nn, name)(inplace=True)) == repr(getattr(torch.nn, name)(inplace=True))


OURS_ONLY = {"Residual", "Maxout", "Buffer", "Parameter", "Module", "functional", "init"}
LEFT_OUT = {"self", "generator", "size_average", "reduce", "min_value", "max_value"}


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


NEW_WEIGHTS = {"huber_loss", "l1_loss", "mse_loss"}  # PyTorch 2.13 gave them a last `weight`
INTERNAL = {"size_average", "reduce", "_stacklevel", "dtype", "generator"}


def their_parameters(name):
    """From the signature, or for functions written in C++ from the docstring's first line."""
    function = getattr(torch.nn.functional, name + "_with_indices" * ("max_pool" in name))
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:
        listed = re.search(rf"{name}\((.*?)\) ->", function.__doc__)[1]
        return [part.split("=")[0].strip(" *") for part in listed.split(",")]


@pytest.mark.parametrize(
    "name", [name for name, f in vars(F).items() if inspect.isfunction(f) and name not in {"maxout", "one_hot"}]
)
def test_functional_signature(name):
    """PyTorch's parameters in its order; of `one_hot` it publishes no signature."""
    left_out = INTERNAL | ({"weight"} if name in NEW_WEIGHTS else set())
    ours = [p for p in inspect.signature(getattr(F, name)).parameters if p != "generator"]
    assert ours == [p for p in their_parameters(name) if p not in left_out]


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
