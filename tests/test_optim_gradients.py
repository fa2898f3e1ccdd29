"""What is done to gradients and weights beside the steps: clipping, noise, averages, loss scaling, accumulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import Tensor, nn, optim
from fastnn.random import Generator

Array = np.ndarray


def tensors(dtype: str = "float64") -> list[Tensor]:
    rng = np.random.default_rng(0)
    result = []
    for shape in ((5,), (4, 6), (3, 2, 3, 3), (40_000,)):
        tensor = Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True)
        tensor.grad = Tensor(rng.standard_normal(shape).astype(dtype))
        result.append(tensor)
    return result


def gradients(parameters: list[Tensor]) -> list[Array]:
    return [p.grad.data.copy() for p in parameters]  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clipping_by_norm_and_value(dtype: str) -> None:
    parameters = tensors(dtype)
    before = gradients(parameters)
    norm = math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in before))
    assert optim.clip_grad_norm_(parameters, 2.0).item() == pytest.approx(norm, rel=1e-5)
    for got, g in zip(gradients(parameters), before):
        np.testing.assert_allclose(got, g * (2.0 / (norm + 1e-6)), rtol=1e-5)
    optim.clip_grad_value_(parameters, 0.003)
    assert max(np.abs(g).max() for g in gradients(parameters)) <= np.dtype(dtype).type(0.003)


def test_the_norm_has_the_same_bits_on_any_number_of_threads() -> None:
    norms = []
    before = fastnn.get_num_threads()
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        norms.append(optim.clip_grad_norm_(tensors("float32"), 1e9).item())
    fastnn.set_num_threads(before)
    assert norms[0] == norms[1]


def test_adaptive_clipping_keeps_units_to_a_share_of_their_weights() -> None:
    parameters = tensors()
    parameters[1].data[2] = 0.0
    before = gradients(parameters)
    optim.adaptive_clip_grad_(parameters, 0.4, eps=1e-2)
    for parameter, old, new in zip(parameters, before, gradients(parameters)):
        rows = (lambda a: a.reshape(len(a), -1)) if parameter.ndim > 1 else (lambda a: a.reshape(1, -1))
        for w, g, clipped in zip(rows(parameter.data), rows(old), rows(new)):
            most = 0.4 * max(np.linalg.norm(w), 1e-2)
            length = np.linalg.norm(g)
            np.testing.assert_allclose(clipped, g if length <= most else g * (most / length), rtol=1e-12)
    assert any((old != new).any() for old, new in zip(before, gradients(parameters)))
    with pytest.raises(ValueError, match="clip_factor"):
        optim.adaptive_clip_grad_(parameters, -1.0)


def test_gradient_noise_has_its_variance_and_repeats_with_the_seed() -> None:
    """40,000 draws: the variance lies within 4.4 standard errors, √(2/n), but for one seed in 100,000."""
    results = []
    for seed in (3, 3, 4):
        parameters = tensors()
        before = gradients(parameters)
        optim.add_grad_noise_(parameters, 0.5, step=99, gamma=0.55, generator=Generator(seed))
        results.append(gradients(parameters)[-1] - before[-1])
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()
    variance = 0.25 / 100**0.55
    n = results[0].size
    assert abs(results[0].var() / variance - 1) < 4.4 * math.sqrt(2 / n)
    assert abs(results[0].mean()) < 4.4 * math.sqrt(variance / n)
    with pytest.raises(ValueError, match="std"):
        optim.add_grad_noise_(parameters, -1.0)


def test_weight_noise_is_there_and_gone() -> None:
    parameters = tensors("float32")
    clean = [p.data.copy() for p in parameters]
    with optim.weight_noise(parameters, 0.1, generator=Generator(5)):
        noise = parameters[-1].data - clean[-1]
        assert abs(noise.var() / 0.01 - 1) < 4.4 * math.sqrt(2 / noise.size)  # one seed in 100,000, as above
    with pytest.raises(ArithmeticError), optim.weight_noise(parameters, 0.1):
        raise ArithmeticError
    for parameter, before in zip(parameters, clean):
        np.testing.assert_array_equal(parameter.data, before)
    with optim.weight_noise(parameters[-1], 0.1, relative=True, generator=Generator(5)):
        scale = float(np.sqrt(np.mean(clean[-1].astype(np.float64) ** 2)))
        np.testing.assert_allclose((parameters[-1].data - clean[-1]).std(), 0.1 * scale, rtol=0.02)


def test_the_gradient_inside_weight_noise_is_that_at_the_noisy_weights() -> None:
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    with optim.weight_noise([w], 0.5, generator=Generator(1)):
        noisy = w.data.copy()
        (w**3).sum().backward()
    np.testing.assert_allclose(w.grad.data, 3 * noisy**2)  # type: ignore[union-attr]


def test_lerp_moves_all_or_nothing() -> None:
    targets, sources = tensors("float32"), [Tensor(np.ones(t.shape, np.float32)) for t in tensors()]
    before = [t.data.copy() for t in targets]
    optim.lerp_(targets, sources, 0.25)
    for target, old in zip(targets, before):
        np.testing.assert_allclose(target.data, 0.75 * old + 0.25, rtol=1e-6, atol=1e-7)
    before = [t.data.copy() for t in targets]
    with pytest.raises(ValueError, match="as many"):
        optim.lerp_(targets, sources[:2], 0.5)
    with pytest.raises(ValueError, match="shape"):
        optim.lerp_(targets, [*sources[:3], sources[0]], 0.5)
    for target, old in zip(targets, before):
        np.testing.assert_array_equal(target.data, old)


def test_loss_scaling_saves_small_gradients_and_backs_off() -> None:
    """The gradient 2e-30 of w would be 0 after its way through a factor of 1e-20 without a scale of 2**60."""
    results = []
    for scale in (1.0, 2.0**60):
        w = Tensor(np.array([1.0], np.float32), requires_grad=True)
        optimizer, scaler = optim.SGD([w], lr=1e29), optim.GradScaler(init_scale=scale, growth_interval=1)
        loss = ((w * np.float32(2e-30)) * np.float32(1e-20)).sum()
        scaler.scale(loss).backward()
        tiny = w.grad.data.copy()  # type: ignore[union-attr]
        scaler.unscale_(optimizer)
        results.append(float(tiny[0]))
        with pytest.raises(RuntimeError, match="unscaled"):
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == 2 * scale
    assert results[0] == 0.0
    assert results[1] != 0.0
    w.grad = Tensor(np.array([np.inf], np.float32))
    before = w.data.copy()
    assert scaler.step(optimizer) is None
    scaler.update()
    assert scaler.get_scale() == 2.0**60
    np.testing.assert_array_equal(w.data, before)
    with pytest.raises(RuntimeError, match="before it"):
        scaler.update()


def test_loss_scaling_can_be_switched_off_and_its_state_travels() -> None:
    off = optim.GradScaler(enabled=False)
    w = Tensor(np.array([1.0]), requires_grad=True)
    loss = (w * w).sum()
    assert off.scale(loss) is loss
    loss.backward()
    off.step(optim.SGD([w], lr=0.25))
    off.update()
    assert (w.item(), off.state_dict(), off.get_scale(), off.is_enabled()) == (0.5, {}, 1.0, False)
    one, other = optim.GradScaler(8.0), optim.GradScaler()
    other.load_state_dict(one.state_dict())
    assert other.state_dict() == one.state_dict()
    one.update(new_scale=3.0)
    assert one.get_scale() == 3.0
    with pytest.raises(ValueError, match="missing"):
        one.load_state_dict({})
    for bad in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}, {"growth_interval": 0}, {"init_scale": 0.0}):
        with pytest.raises(ValueError, match="GradScaler"):
            optim.GradScaler(**bad)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 7, 20_000, 39_999])
def test_every_nonfinite_gradient_is_found(value: float, place: int) -> None:
    parameters = tensors("float32")
    optimizer, scaler = optim.SGD(parameters, lr=0.1), optim.GradScaler(2.0)
    largest = np.finfo(np.float32).max
    parameters[-1].grad.data[:] = largest  # type: ignore[union-attr]
    scaler.unscale_(optimizer)
    assert not scaler._found_inf
    scaler.update()
    parameters[-1].grad.data[place] = value  # type: ignore[union-attr]
    scaler.unscale_(optimizer)
    assert scaler._found_inf


def test_accumulated_gradients_are_those_of_the_big_batch() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((24, 1, 8, 8)), rng.integers(0, 4, 24)
    results = []
    for parts in (1, 4):
        fastnn.manual_seed(1)
        model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4)).double()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            for part in range(parts):
                rows = slice(part * 24 // parts, (part + 1) * 24 // parts)
                (F.cross_entropy(model(Tensor(x[rows])), Tensor(y[rows])) / parts).backward()
            optimizer.step()
        results.append([p.data.copy() for p in model.parameters()])
    for whole, summed in zip(*results):
        np.testing.assert_allclose(summed, whole, rtol=1e-12, atol=1e-14)
