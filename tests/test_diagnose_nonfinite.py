"""NaN and infinities traced to their origin, and `autograd.observe` under them."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn
from fastnn.autograd import OPS, observe, op
from fastnn.diagnose import NonFiniteError, trace_nonfinite
from tests.training import train


class Fragile(nn.Module):
    """log of a negative number in its second layer, if asked for."""

    def __init__(self):
        self.first = nn.Linear(3, 3)
        self.second = nn.Sequential(nn.ReLU(), Log())

    def forward(self, x):
        return self.second(self.first(x)).sum()


class Log(nn.Module):
    def forward(self, x):
        return (x - 1).log()


def test_the_layer_and_the_operation_that_made_a_nan():
    model = Fragile()
    model.first.weight.data[...] = 0
    model.first.bias.data[...] = [0.5, 2.0, 3.0]
    found = r"log \(forward pass, layer 'second.1'\): 2 NaN"
    with pytest.raises(NonFiniteError, match=found) as caught, trace_nonfinite(model):
        model(fastnn.ones(2, 3))
    origin = caught.value.report.origin
    assert origin.finite_input
    assert origin.shape == (2, 3)
    assert [each.operation for each in caught.value.report.recent] == ["linear", "relu", "sub", "log"]
    assert [each.layer for each in caught.value.report.recent] == ["first", "second.0", "second.1", "second.1"]
    assert caught.value.report.recent[0].largest == 3.0
    assert not any(module._hooks for module in model.modules())
    assert np.isnan(model(fastnn.ones(2, 3)).item())


def test_the_backward_pass_even_after_the_with():
    x = fastnn.tensor([0.0, 4.0], requires_grad=True)
    layer = nn.Sequential(Root())
    with trace_nonfinite(layer) as trace:
        y = layer(x * 1.0)
    assert trace.report().origin is None
    with pytest.raises(NonFiniteError, match=r"sqrt \(backward pass, layer '0'\): 1 inf"):
        y.sum().backward()


class Root(nn.Module):
    def forward(self, x):
        return x.sqrt()


def test_what_comes_in_from_outside_is_said_to():
    layer = nn.Linear(2, 2)
    with trace_nonfinite(layer, raise_exception=False) as trace:
        layer(fastnn.tensor([[np.nan, 1.0]]))
    assert not trace.report().origin.finite_input
    assert "not finite before" in str(trace.report().origin)


def test_overflow_of_an_infinite_value_and_those_allowed():
    x = fastnn.tensor([1e30, 1.0])
    with pytest.raises(NonFiniteError, match=r"mul .*1 inf.*up to 1e\+30"), trace_nonfinite():
        x * x
    with trace_nonfinite(allow_inf=True) as trace:
        mask = fastnn.tensor([[0.0, 1.0]]).masked_fill(fastnn.tensor([[False, True]]), float("-inf"))
        assert F.softmax(mask, dim=1).tolist() == [[1.0, 0.0]]
    assert trace.report().origin is None
    with pytest.raises(NonFiniteError, match=r"sub .*NaN"), trace_nonfinite(allow_inf=True):
        mask - mask


def test_a_number_that_is_too_large_for_the_dtype_is_an_input_too():
    with trace_nonfinite(raise_exception=False) as trace:
        fastnn.tensor([10.0]) * 1e38
    assert trace.report().origin.largest_input == 1e38


def test_training_to_divergence_is_found_where_it_happens():
    """A rate of 1e20 leaves weights of 1e20 after a step; their squares overflow in the second one."""
    fastnn.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = fastnn.optim.SGD(model.parameters(), lr=1e20)
    x = fastnn.randn(8, 4)
    with trace_nonfinite(model, raise_exception=False) as trace:
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(x).square().sum()
            if not np.isfinite(loss.item()):
                break
            loss.backward()
            optimizer.step()
    origin = trace.report().origin
    assert optimizer.step_count == 1
    assert (origin.operation, origin.direction, origin.layer) == ("square", "forward", "")
    assert origin.finite_input
    assert 1e19 < origin.largest_input < 1e25


def test_tracing_does_not_change_a_bit_and_finds_nothing_in_healthy_training():
    before = train(3)
    with observe(lambda name, function: lambda *args, **options: function(*args, **options)):
        plain = train(3)  # operations that could be fused one by one, as while tracing
    with trace_nonfinite() as trace:
        assert train(3) == plain
    report = trace.report()
    assert report.origin is None
    assert report.operations > 50
    assert train(3) == before


def test_other_threads_are_left_out():
    def divide():
        fastnn.tensor([1.0]) / fastnn.tensor([0.0])

    with trace_nonfinite():
        other = threading.Thread(target=divide)
        other.start()
        other.join()


def test_text_json_and_plot(tmp_path):
    pytest.importorskip("matplotlib")
    with trace_nonfinite(raise_exception=False) as trace:
        fastnn.tensor([-1.0]).exp().log().sqrt()
    report = trace.report()
    table = json.loads(report.to_json())
    assert table["origin"]["operation"] == "sqrt"
    assert table["origin"]["nan"] == 1
    report.plot(tmp_path / "trace.png")
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")


def test_observers_nest_and_go_away_again():
    seen = []

    def noting(label):
        def note(name, function):
            def noted(*args, **options):
                seen.append((label, name))
                return function(*args, **options)

            return noted

        return note

    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    with observe(noting("outer")), observe(noting("inner")):
        (x * 2 + F.relu(x)).sum().backward()
    assert seen[:2] == [("inner", "mul"), ("outer", "mul")]
    assert {name for _, name in seen} == {"mul", "relu", "add", "sum"}
    count = len(seen)
    assert x.grad.tolist() == [3.0, 3.0]
    x.exp()
    assert len(seen) == count


def test_operations_of_ones_own_and_of_many_tensors_are_observed():
    @op
    def observed_double(x):
        return 2 * x, lambda dy, needs: (2 * dy,)

    seen = []

    def note(name, function):
        def noted(*args, **options):
            seen.append(name)
            return function(*args, **options)

        return noted

    try:
        with observe(note):
            observed_double(fastnn.ones(2))
            fastnn.cat([fastnn.ones(2), fastnn.ones(2)])
            fastnn.ones(2).split(1)
        assert seen == ["observed_double", "cat", "split"]
        with pytest.raises(ZeroDivisionError), observe(note):
            raise ZeroDivisionError
        observed_double(fastnn.ones(2))
        assert len(seen) == 3
    finally:
        OPS.pop("observed_double")
