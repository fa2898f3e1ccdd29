"""Weights that PyTorch's users saved as safetensors: read without renaming, whatever their width and wrapper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from safetensors.torch import save_file  # noqa: E402

import fastnn  # noqa: E402
from fastnn import models, nn, transfer  # noqa: E402


class Block(torch.nn.Module):
    """fastnn.models.BasicBlock of PyTorch's layers, without a change of size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.conv2 = torch.nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(width)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + x)


def pair() -> tuple[Any, nn.Module]:
    """The same small residual network in both libraries, PyTorch's with statistics that are not the initial ones."""
    torch.manual_seed(0)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        Block(8),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 4),
    )
    for _ in range(3):
        theirs(torch.randn(4, 3, 6, 6))
    ours = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        models.BasicBlock(8, 8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    return theirs.eval(), ours.eval()


INPUT = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)


def outputs(theirs: Any, ours: nn.Module) -> tuple[Any, Any]:
    with torch.no_grad():
        return theirs(torch.from_numpy(INPUT)).numpy(), ours(fastnn.tensor(INPUT)).data


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_state_dict_needs_no_renaming(dtype: str, prefix: str, tmp_path: Path) -> None:
    theirs, ours = pair()
    narrow = {
        prefix + name: tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
        for name, tensor in theirs.state_dict().items()
    }
    save_file(narrow, tmp_path / "weights.safetensors")
    assert ours.load_state_dict(fastnn.load(tmp_path / "weights.safetensors")) == ([], [])
    assert int(ours[1].num_batches_tracked.data) == 3
    for name, tensor in ours.state_dict().items():
        assert tensor.dtype == (np.int64 if name.endswith("tracked") else np.float32)
        np.testing.assert_array_equal(tensor.data, narrow[prefix + name].to(tensor_type(tensor)).numpy())
    theirs.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in narrow.items()})
    np.testing.assert_allclose(*outputs(theirs, ours), atol=1e-5)


def tensor_type(tensor: fastnn.Tensor) -> Any:
    return getattr(torch, tensor.dtype.name)


def test_every_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    values = bits.view(torch.bfloat16).reshape(256, 256)
    save_file({"all": values, "scalar": torch.tensor(2.5, dtype=torch.bfloat16)}, tmp_path / "w.safetensors")
    state = fastnn.load(tmp_path / "w.safetensors")
    expected = values.to(torch.float32).numpy()
    np.testing.assert_array_equal(state["all"].data, expected)
    assert state["scalar"].item() == 2.5


def test_a_type_without_a_counterpart_is_named(tmp_path: Path) -> None:
    save_file({"eighth": torch.zeros(2, dtype=torch.float8_e4m3fn)}, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors is damaged, or holds a dtype NumPy does not have"):
        fastnn.load(tmp_path / "w.safetensors")


def test_a_backbone_with_another_head(tmp_path: Path) -> None:
    theirs, _ = pair()
    save_file(theirs.state_dict(), tmp_path / "four.safetensors")
    _, ours = pair()
    head = transfer.replace_head(ours, 7)
    before = head.weight.data.copy()
    keys = transfer.load_backbone(ours, tmp_path / "four.safetensors")
    assert keys == ([], [], ["6.weight", "6.bias"])
    np.testing.assert_array_equal(head.weight.data, before)
    theirs[6] = torch.nn.Linear(8, 7)
    with torch.no_grad():
        theirs[6].weight.copy_(torch.from_numpy(head.weight.data))
        theirs[6].bias.copy_(torch.from_numpy(head.bias.data))
    np.testing.assert_allclose(*outputs(theirs, ours.eval()), atol=1e-5)


def test_what_differs_is_named(tmp_path: Path) -> None:
    theirs, ours = pair()
    state = theirs.state_dict()
    del state["3.bn1.weight"]
    state["4.extra"] = torch.zeros(2)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"missing keys: 3\.bn1\.weight\n  unexpected keys: 4\.extra"):
        ours.load_state_dict(fastnn.load(tmp_path / "w.safetensors"))
    assert ours.load_state_dict(fastnn.load(tmp_path / "w.safetensors"), strict=False) == (
        ["3.bn1.weight"],
        ["4.extra"],
    )
    np.testing.assert_array_equal(ours[0].weight.data, theirs[0].weight.detach().numpy())
    with pytest.raises(ValueError, match=r"missing keys: 3\.bn1\.weight"):
        transfer.load_backbone(ours, tmp_path / "w.safetensors")


@pytest.mark.parametrize("frozen", ["head", "stages"])
def test_training_with_frozen_parts_is_pytorchs(frozen: str) -> None:
    """Frozen parameters and batch norms in evaluation mode, momentum and weight decay: the same steps."""
    theirs, ours = pair()
    ours.load_state_dict(theirs.state_dict())
    transfer.freeze(ours, first=-1 if frozen == "head" else 1)
    ours.train()
    theirs.train()
    for part in list(theirs)[: 6 if frozen == "head" else 2]:
        part.requires_grad_(False).eval()
    mine = fastnn.optim.SGD(transfer.parameter_groups(ours, 0.1, 2.0), 0.1, momentum=0.9, weight_decay=0.01)
    groups = [{"params": list(theirs[6].parameters())}, {"params": list(theirs[3].parameters()), "lr": 0.05}]
    groups += [{"params": [*theirs[0].parameters(), *theirs[1].parameters()], "lr": 0.025}]
    other = torch.optim.SGD(groups, 0.1, momentum=0.9, weight_decay=0.01)
    labels = np.array([1, 3])
    for _ in range(5):
        mine.zero_grad()
        nn.CrossEntropyLoss()(ours(fastnn.tensor(INPUT)), fastnn.tensor(labels)).backward()
        mine.step()
        other.zero_grad()
        torch.nn.CrossEntropyLoss()(theirs(torch.from_numpy(INPUT)), torch.from_numpy(labels)).backward()
        other.step()
    for name, tensor in ours.state_dict().items():
        np.testing.assert_allclose(tensor.data, theirs.state_dict()[name].numpy(), rtol=1e-4, atol=1e-5, err_msg=name)
