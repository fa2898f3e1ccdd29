"""The networks against definitions in PyTorch: names and shapes of all; of each family values, gradients and a step."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastnn import models, nn, optim  # noqa: E402 - after the check for torch
from fastnn.autograd.tensor import Tensor  # noqa: E402
from fastnn.random import Generator  # noqa: E402
from tests.torch.networks import NETWORKS, VGG, VGG_PLANS  # noqa: E402

pytestmark = pytest.mark.torch

# one light member of each architecture, on images as small as it takes
MEMBERS = [
    ("mlp", 1, 8),
    ("lenet5", 1, 16),
    ("vgg_small", 1, 12),
    ("vgg11_bn", 3, 32),
    ("all_cnn_c", 3, 12),
    ("resnet14", 3, 12),
    ("resnet14_b", 3, 12),
    ("resnet18", 1, 9),
    ("wrn_10_2", 3, 12),
    ("wrn_16_2", 2, 9),
    ("densenet_bc_40_12", 3, 10),
    ("mobilenet_v1_025", 3, 16),
    ("mobilenet_v2_025", 3, 16),
]


def pair(name: str, channels: int, size: int) -> tuple[Any, Any]:
    """Ours and PyTorch's in float64 with our values, batch norms' included, and without dropout."""
    ours = models.create(name, 10, channels, size, Generator(3)).double()
    rng = np.random.default_rng(5)
    for module in ours.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_var, 0.5)):
                tensor.data[...] = rng.uniform(low, low + 1, tensor.shape)
            module.running_mean.data[...] = rng.normal(0, 0.3, module.running_mean.shape)
    theirs = NETWORKS[name](channels, size).double()
    theirs.load_state_dict({key: torch.from_numpy(value.numpy().copy()) for key, value in ours.state_dict().items()})
    for dropout in [m for network in (ours, theirs) for m in network.modules() if type(m).__name__ == "Dropout"]:
        dropout.p = 0.0
    return ours, theirs


def assert_close(ours: Any, theirs: Any, what: str, relative: float = 1e-9) -> None:
    expected = theirs.detach().numpy()
    scale = max(float(np.abs(expected).max()), 1e-3)
    np.testing.assert_allclose(np.asarray(ours) / scale, expected / scale, rtol=0, atol=relative, err_msg=what)


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes(name: str) -> None:
    """In PyTorch's order: whatever saved one reads the other."""
    channels, size = (1, 28) if name in ("mlp", "lenet5") else (3, 32)
    ours = models.create(name, 10, channels, size).state_dict()
    with torch.device("meta"):
        theirs = NETWORKS[name](channels, size).state_dict()
    assert {key: tuple(value.shape) for key, value in theirs.items()} == {k: v.shape for k, v in ours.items()}
    assert list(ours) == list(theirs)


def test_every_network_with_a_paper_is_compared() -> None:
    assert set(models.names()) - set(NETWORKS) == {"digits", "small", "mobile", "speed94"}


def test_torchvisions_classifier() -> None:
    ours = models.VGG([[64], [128], [256] * 2, [512] * 2, [512] * 2], 7, hidden=(512, 512)).state_dict()
    theirs = VGG(VGG_PLANS["vgg11_bn"], 3, (512, 512), 7).state_dict()
    assert {key: tuple(value.shape) for key, value in theirs.items()} == {k: v.shape for k, v in ours.items()}


@pytest.mark.parametrize(("name", "channels", "size"), MEMBERS)
def test_evaluation(name: str, channels: int, size: int) -> None:
    ours, theirs = pair(name, channels, size)
    x = np.random.default_rng(0).standard_normal((3, channels, size, size))
    assert_close(ours.eval()(Tensor(x)).data, theirs.eval()(torch.from_numpy(x)), name)


@pytest.mark.parametrize(("name", "channels", "size"), MEMBERS)
def test_a_training_step(name: str, channels: int, size: int) -> None:
    """Output, loss, all gradients, and all parameters and running statistics after a step of SGD."""
    ours, theirs = pair(name, channels, size)
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((6, channels, size, size)), rng.integers(0, 10, 6)
    ours.train()
    theirs.train()
    options = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-3, "nesterov": True}
    optimizers = optim.SGD(ours.parameters(), **options), torch.optim.SGD(theirs.parameters(), **options)

    y = ours(Tensor(x))
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)(y, Tensor(labels))
    expected = theirs(torch.from_numpy(x))
    expected_loss = torch.nn.functional.cross_entropy(expected, torch.from_numpy(labels), label_smoothing=0.1)
    assert_close(y.data, expected, name)
    assert_close(loss.data, expected_loss, "loss")

    loss.backward()
    expected_loss.backward()
    gradients = {key: p.grad for key, p in theirs.named_parameters()}
    for key, p in ours.named_parameters():
        assert p.grad is not None
        assert_close(p.grad.data, gradients[key], key)
    for optimizer in optimizers:
        optimizer.step()
    after = theirs.state_dict()
    for key, value in ours.state_dict().items():
        assert_close(value.numpy(), after[key], key)
