"""The speed recipe against its training written in PyTorch, in the source's terms: losses added up, rates per image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import fastnn  # noqa: E402
from fastnn import models, recipes  # noqa: E402
from fastnn.autograd import Tensor  # noqa: E402
from fastnn.nn import CrossEntropyLoss  # noqa: E402
from fastnn.train import Trainer  # noqa: E402
from fastnn.train.build import make_averaging, make_freeze, make_optimizer, make_schedule  # noqa: E402

BATCH, BATCHES, EPOCHS, FROZEN_FROM = 16, 6, 1.9, 1


class Scaled(torch.nn.Linear):
    def forward(self, x: Any) -> Any:
        return super().forward(x) / 9


def network() -> Any:
    """The source's network for images of 9×9 pixels, whose last pooling has nothing left to pool."""
    layers: list[Any] = [torch.nn.Conv2d(3, 24, 2), torch.nn.GELU()]
    channels = 24
    for width in (64, 256, 256):
        for inputs, pools in ((channels, [torch.nn.MaxPool2d(2)]), (width, [])):
            norm = torch.nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
            norm.weight.requires_grad = False
            convolution = torch.nn.Conv2d(inputs, width, 3, padding="same", bias=False)
            layers += [convolution, *pools, norm, torch.nn.GELU()]
        channels = width
    head = Scaled(256, 10, bias=False)
    return torch.nn.Sequential(*layers, torch.nn.MaxPool2d(1), torch.nn.Flatten(), head).double()


def trained_in_torch(model: Any, batches: list[tuple[Any, Any]]) -> dict[str, Any]:
    """The source's loop; its weights and statistics at the end."""
    kilostep = 1024 * (1 + 1 / (1 - 0.85))
    rate, decay = 11.5 / kilostep, 0.0153 * BATCH / kilostep
    norms = {id(p) for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d) for p in m.parameters()}
    learnt = [p for p in model.parameters() if p.requires_grad]
    biases, others = [p for p in learnt if id(p) in norms], [p for p in learnt if id(p) not in norms]
    optimizer = torch.optim.SGD(
        [
            {"params": biases, "lr": 64 * rate, "weight_decay": decay / (64 * rate)},
            {"params": others, "lr": rate, "weight_decay": decay / rate},
        ],
        momentum=0.85,
        nesterov=True,
    )
    total = round(EPOCHS * BATCHES)
    corners = ([0, int(0.23 * total), total], [0.2, 1.0, 0.07])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: float(np.interp(step, *corners)))
    loss = torch.nn.CrossEntropyLoss(label_smoothing=0.2, reduction="sum")
    slow = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def look_ahead(keep: float) -> None:
        for name, tensor in model.state_dict().items():
            if tensor.dtype.is_floating_point:
                slow[name].lerp_(tensor, 1 - keep)
                tensor.copy_(slow[name])

    done = 0
    model.train()
    for epoch in range(math.ceil(EPOCHS)):
        model[0].bias.requires_grad = epoch < FROZEN_FROM
        for x, y in batches:
            if done == total:
                break
            optimizer.zero_grad(set_to_none=True)
            loss(model(x), y).backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done % 5 == 0:
                look_ahead(0.95**5 * (done / total) ** 3)
    look_ahead(1.0)
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


def test_speed94_trains_as_its_source() -> None:
    fastnn.manual_seed(0)
    rng = np.random.default_rng(0)
    model = models.create("speed94", 10, 3, 9)
    model.fit_patches(Tensor(rng.standard_normal((50, 3, 9, 9)).astype(np.float32)))
    model.double()
    theirs = network()
    theirs.load_state_dict({name: torch.from_numpy(t.data.copy()) for name, t in model.state_dict().items()})
    theirs[0].weight.requires_grad = False
    first = {name: t.data.copy() for name, t in model.state_dict().items()}

    data = [(rng.standard_normal((BATCH, 3, 9, 9)), rng.integers(0, 10, BATCH)) for _ in range(BATCHES)]
    lr = 1.5 * BATCH / 1024
    config = recipes.find("speed94").config(epochs=EPOCHS, batch_size=BATCH, lr=lr, freeze=(f"0.bias@{FROZEN_FROM}",))
    optimizer = make_optimizer(config, model)
    trainer = Trainer(
        model,
        optimizer,
        CrossEntropyLoss(label_smoothing=config.label_smoothing),
        make_schedule(config, optimizer, BATCHES),
        [*make_freeze(config, model), *make_averaging(config, BATCHES)],
        schedule_every="step",
    )
    trainer.fit([(Tensor(x), Tensor(y)) for x, y in data], None, config.epochs)
    assert trainer.step == 11

    expected = trained_in_torch(theirs, [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in data])
    ours = {name: t.data for name, t in model.state_dict().items()}
    assert list(ours) == list(expected)
    for name, value in expected.items():
        moved = np.abs(value - first[name]).max()
        assert (moved > 0) == (name != "0.weight" and not (value.ndim == 1 and name.endswith("weight"))), name
        np.testing.assert_allclose(ours[name], value, rtol=1e-7, atol=1e-8 * max(moved, 1e-3), err_msg=name)
