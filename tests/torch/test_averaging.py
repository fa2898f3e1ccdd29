"""Averaged models and recomputed running statistics against torch.optim.swa_utils."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastnn import Tensor, nn, train  # noqa: E402 - after the check for torch

pytestmark = pytest.mark.torch

swa = torch.optim.swa_utils


def network(library: Any) -> Any:
    return library.Sequential(library.Conv2d(2, 3, 3), library.BatchNorm2d(3), library.ReLU()).double()


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("decay", [None, 0.9])
def test_averages_and_statistics(use_buffers: bool, decay: float | None) -> None:
    ours, theirs = network(nn), network(torch.nn)
    options: Any = {"use_buffers": use_buffers}
    mine = train.AveragedModel(
        ours, multi_avg_fn=None if decay is None else train.get_ema_multi_avg_fn(decay), **options
    )
    its = swa.AveragedModel(theirs, multi_avg_fn=None if decay is None else swa.get_ema_multi_avg_fn(decay), **options)
    rng = np.random.default_rng(0)
    for _ in range(20):
        for parameter in theirs.parameters():
            parameter.data += torch.from_numpy(0.1 * rng.standard_normal(parameter.shape))
        ours.load_state_dict(theirs.state_dict())
        batch = rng.standard_normal((4, 2, 5, 5))
        ours(Tensor(batch))
        theirs(torch.from_numpy(batch))
        mine.update_parameters(ours)
        its.update_parameters(theirs)
    assert list(mine.state_dict()) == list(its.state_dict())
    for name, value in its.state_dict().items():
        if use_buffers and "num_batches" in name:
            continue  # PyTorch averages the counts too
        np.testing.assert_allclose(mine.state_dict()[name].data, value.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)
    batches = [rng.standard_normal((4, 2, 5, 5)) for _ in range(3)]
    train.update_bn([Tensor(b) for b in batches], mine)
    swa.update_bn([torch.from_numpy(b) for b in batches], its)
    for name, value in its.state_dict().items():
        np.testing.assert_allclose(mine.state_dict()[name].data, value.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)
