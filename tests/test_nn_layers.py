"""Layers without another library: arguments, shapes, modes, and the fused forms against the plain ones."""

import copy

import numpy as np
import pytest

from fastnn import nn
from fastnn.autograd.tensor import Tensor
from fastnn.random import Generator


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(
    ("layer", "before", "after"),
    [
        (nn.Linear(6, 4), (2, 3, 6), (2, 3, 4)),
        (nn.Conv1d(4, 6, 3, 2, 1), (2, 4, 9), (2, 6, 5)),
        (nn.Conv2d(4, 6, (3, 1), padding=(1, 0), dilation=1, groups=2), (2, 4, 5, 7), (2, 6, 5, 7)),
        (nn.Conv2d(4, 6, 4, padding="same", dilation=2), (2, 4, 9, 8), (2, 6, 9, 8)),
        (nn.Conv2d(4, 6, 3, padding="valid"), (2, 4, 9, 8), (2, 6, 7, 6)),
        (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (2, 4, 9, 8), (2, 6, 9, 8)),
        (nn.Conv3d(2, 3, 2), (1, 2, 3, 4, 5), (1, 3, 2, 3, 4)),
        (nn.MaxPool1d(2), (2, 3, 7), (2, 3, 3)),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 3, 8, 7), (2, 3, 5, 4)),
        (nn.MaxPool3d(2), (1, 2, 4, 5, 6), (1, 2, 2, 2, 3)),
        (nn.AvgPool1d(2), (2, 3, 7), (2, 3, 3)),
        (nn.AvgPool2d((2, 3), stride=1), (2, 3, 4, 5), (2, 3, 3, 3)),
        (nn.AvgPool3d(2), (1, 2, 4, 5, 6), (1, 2, 2, 2, 3)),
        (nn.AdaptiveAvgPool1d(3), (2, 3, 7), (2, 3, 3)),
        (nn.AdaptiveAvgPool2d((None, 2)), (2, 3, 5, 7), (2, 3, 5, 2)),
        (nn.AdaptiveAvgPool3d(1), (2, 3, 4, 5, 6), (2, 3, 1, 1, 1)),
        (nn.AdaptiveMaxPool1d(3), (2, 3, 7), (2, 3, 3)),
        (nn.AdaptiveMaxPool2d(2), (2, 3, 5, 7), (2, 3, 2, 2)),
        (nn.AdaptiveMaxPool3d(1), (2, 3, 4, 5, 6), (2, 3, 1, 1, 1)),
        (nn.BatchNorm1d(3), (4, 3), (4, 3)),
        (nn.BatchNorm1d(3), (4, 3, 5), (4, 3, 5)),
        (nn.BatchNorm2d(3), (4, 3, 5, 6), (4, 3, 5, 6)),
        (nn.BatchNorm3d(3), (2, 3, 4, 5, 6), (2, 3, 4, 5, 6)),
        (nn.LayerNorm((3, 4)), (2, 3, 4), (2, 3, 4)),
        (nn.GroupNorm(2, 4), (2, 4, 3, 3), (2, 4, 3, 3)),
        (nn.InstanceNorm1d(3), (2, 3, 5), (2, 3, 5)),
        (nn.InstanceNorm2d(3, affine=True), (2, 3, 5, 5), (2, 3, 5, 5)),
        (nn.InstanceNorm2d(3), (3, 5, 5), (3, 5, 5)),
        (nn.InstanceNorm3d(3), (2, 3, 4, 4, 4), (2, 3, 4, 4, 4)),
        (nn.Flatten(), (2, 3, 4), (2, 12)),
        (nn.Flatten(0, 1), (2, 3, 4), (6, 4)),
        (nn.Unflatten(1, (3, 4)), (2, 12), (2, 3, 4)),
        (nn.Identity(1, some="thing"), (2, 3), (2, 3)),
        (nn.PReLU(3), (2, 3, 4), (2, 3, 4)),
        (nn.Maxout(2), (2, 6, 4), (2, 3, 4)),
        (nn.Softmin(1), (2, 3, 4), (2, 3, 4)),
        (nn.Softmax(1), (2, 3, 4), (2, 3, 4)),
        (nn.LogSoftmax(-1), (2, 3, 4), (2, 3, 4)),
    ],
)
def test_output_shapes_and_gradients(layer, before, after):
    x = Tensor(random(*before).astype(np.float32), requires_grad=True)
    y = layer(x)
    assert y.shape == after
    assert y.dtype == np.float32
    (y * y).sum().backward()
    assert x.grad.shape == before
    assert all(p.grad is not None and p.grad.shape == p.shape for p in layer.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 3), "Linear: expected positive sizes, got in_features=0"),
        (lambda: nn.Linear(2, 3, device="cuda"), "Linear: expected device None or 'cpu', got 'cuda'"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "Conv2d: expected positive channels divisible by groups"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "Conv2d: expected kernel_size to be an int or 2 ints"),
        (lambda: nn.Conv1d(3, 4, 0), "Conv1d: expected positive kernel_size"),
        (lambda: nn.Conv2d(3, 4, 3, 2, padding="same"), "Conv2d: padding='same' needs stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "expected padding 'same', 'valid' or ints, got 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "expected padding_mode in .* got 'mirror'"),
        (lambda: nn.MaxPool2d((2, 2, 2)), "MaxPool2d: expected kernel_size to be an int or 2 ints"),
        (lambda: nn.AvgPool1d(2, padding=(1, 1)), "AvgPool1d: expected padding to be an int or 1 ints"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d: expected num_features to be positive"),
        (lambda: nn.LayerNorm(()), "LayerNorm: expected a normalized_shape"),
        (lambda: nn.GroupNorm(3, 4), "GroupNorm: expected num_groups to divide num_channels"),
        (lambda: nn.Dropout(1.5), "Dropout: expected 0 <= p <= 1, got 1.5"),
        (lambda: nn.GELU("erf"), "GELU: expected approximate 'none' or 'tanh', got 'erf'"),
        (lambda: nn.Hardtanh(1, -1), "Hardtanh: expected min_val < max_val"),
        (lambda: nn.MSELoss(reduction="avg"), "MSELoss: expected reduction .* got 'avg'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "CrossEntropyLoss: expected 0 <= label_smoothing"),
        (lambda: nn.MultiMarginLoss(3), "MultiMarginLoss: expected p to be 1 or 2, got 3"),
        (lambda: nn.HuberLoss(delta=0), "HuberLoss: expected delta > 0"),
        (lambda: nn.SmoothL1Loss(beta=-1), "SmoothL1Loss: expected beta >= 0"),
        (lambda: nn.Softmax()(Tensor(np.ones((2, 2)))), "Softmax: expected a dim, got None"),
        (lambda: nn.BatchNorm2d(3)(Tensor(np.ones((2, 3)))), "expected an input with 4 dimensions"),
        (
            lambda: nn.BatchNorm1d(3)(Tensor(np.ones((2, 3, 1, 1)))),
            "expected an input with 2 or 3 dimensions",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_layers_compute_in_floats_of_one_width():
    with pytest.raises(TypeError, match="Conv2d: expected dtype float32 or float64, got int64"):
        nn.Conv2d(1, 1, 1, dtype=np.int64)
    assert nn.Linear(2, 3, dtype=np.float64).weight.dtype == np.float64
    with pytest.raises(TypeError):
        nn.Linear(2, 3)(Tensor(np.ones((1, 2))))


def test_batch_norm_modes_and_statistics():
    x = random(8, 3, 4, 4) * 2 + 1
    norm = nn.BatchNorm2d(3, momentum=0.2, dtype=np.float64)
    y = norm(Tensor(x)).data
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(norm.running_mean.data, 0.2 * x.mean((0, 2, 3)), atol=1e-12)
    np.testing.assert_allclose(norm.running_var.data, 0.8 + 0.2 * x.var((0, 2, 3), ddof=1), atol=1e-12)
    assert norm.num_batches_tracked.item() == 1
    norm.eval()
    mean, var = (b.data.reshape(3, 1, 1) for b in (norm.running_mean, norm.running_var))
    np.testing.assert_allclose(norm(Tensor(x)).data, (x - mean) / np.sqrt(var + 1e-5), atol=1e-12)
    assert norm.num_batches_tracked.item() == 1
    norm.reset_parameters()
    assert norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(norm.running_var.data, 1)


def test_batch_norm_with_plain_average():
    norm = nn.BatchNorm1d(2, momentum=None, dtype=np.float64)
    batches = [random(5, 2, seed=seed) for seed in range(4)]
    for batch in batches:
        norm(Tensor(batch))
    np.testing.assert_allclose(norm.running_mean.data, np.mean([b.mean(0) for b in batches], 0), atol=1e-12)
    variances = [batch.var(0, ddof=1) for batch in batches]
    np.testing.assert_allclose(norm.running_var.data, np.mean(variances, 0), atol=1e-12)


def test_batch_norm_without_statistics_or_parameters():
    norm = nn.BatchNorm1d(2, affine=False, track_running_stats=False)
    assert norm.state_dict() == {}
    x = Tensor(random(5, 2).astype(np.float32))
    np.testing.assert_array_equal(norm(x).data, norm.eval()(x).data)
    assert list(nn.BatchNorm1d(2, bias=False).state_dict())[:2] == ["weight", "running_mean"]


def test_batch_norm_that_raises_has_counted_nothing():
    norm = nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match="batch_norm"):
        norm(Tensor(np.ones((1, 2), np.float32)))
    assert norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(norm.running_mean.data, 0)


@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d])
def test_dropout_modes_and_generator(kind):
    shape = (20, 30, *(4,) * (int(kind.__name__[7]) if kind is not nn.Dropout else 1))
    x = Tensor(np.ones(shape, np.float32))
    layer = kind(0.25, generator=Generator(1))
    y = layer(x).data
    assert set(np.unique(y)) == {0, np.float32(1 / 0.75)}
    assert 0.15 < (y == 0).mean() < 0.35
    if kind is not nn.Dropout:
        per_channel = y.reshape(20, 30, -1)
        np.testing.assert_array_equal(per_channel, per_channel[:, :, :1].repeat(per_channel.shape[2], 2))
    np.testing.assert_array_equal(kind(0.25, generator=Generator(1))(x).data, y)
    assert not np.array_equal(layer(x).data, y)
    assert layer.eval()(x) is x
    assert kind(0.0)(x) is x


# -- Fused forms ---------------------------------------------------------------------------------------


def twin(model):
    """The same model, which a hook on every module keeps from fusing anything."""
    other = copy.deepcopy(model)
    for module in other.modules():
        module.register_forward_hook(lambda m, args, output: None)
    return other


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()),
        nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.ReLU(), nn.ReLU(), nn.BatchNorm2d(3)),
        nn.Residual(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)), activation=nn.ReLU()),
        nn.Residual(nn.Sequential(nn.BatchNorm2d(3)), nn.BatchNorm2d(3), nn.ReLU()),
        nn.Residual(nn.Sequential(nn.BatchNorm2d(3), nn.Tanh()), activation=nn.ReLU()),
        nn.Residual(nn.Sequential(), activation=nn.ReLU()),
        nn.Residual(nn.BatchNorm2d(3), activation=nn.Tanh()),
        nn.Residual(nn.BatchNorm2d(3)),
    ],
)
def test_fused_is_plain(model, training):
    model = model.double().train(training)
    plain = twin(model)
    outcomes = []
    for each in (model, plain):
        x = Tensor(random(4, 3, 5, 5), requires_grad=True)
        y = each(x)
        (y * random(4, 3, 5, 5, seed=1)).sum().backward()
        outcomes.append([y.data, x.grad.data, *(p.grad.data for p in each.parameters())])
        outcomes[-1] += [b.data for b in each.buffers()]
    for fused, expected in zip(*outcomes, strict=True):
        np.testing.assert_allclose(fused, expected, atol=1e-12)


def test_residual_shapes_must_agree():
    block = nn.Residual(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), activation=nn.ReLU())
    with pytest.raises(ValueError, match="add: shapes"):
        block(Tensor(np.ones((2, 3, 4, 4), np.float32)))


def test_a_step_of_training_lowers_the_loss():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, generator=Generator(1)),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 3, generator=Generator(2)),
    )
    x, y = Tensor(random(16, 1, 8, 8).astype(np.float32)), Tensor(np.arange(16) % 3)
    losses = []
    for _ in range(20):
        loss = nn.CrossEntropyLoss()(model(x), y)
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        for parameter in model.parameters():
            parameter.data -= 0.1 * parameter.grad.data
    assert losses[-1] < 0.3 * losses[0]
