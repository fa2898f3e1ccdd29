"""The profiler: counts of calls, work and bytes in closed form, times that add up, tables, JSON, pictures."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn, optim
from fastnn.autograd import OPS
from fastnn.autograd.op import SLOTS
from fastnn.bench.machine import Peaks
from fastnn.cli import main
from fastnn.profiler import OperationProfile, PassProfile, Profile, profile, record_function

MACHINE = Peaks(100.0, 10.0)


def entries(measured: profile, shapes: bool = False) -> dict[str, OperationProfile]:
    return {each.label: each for each in measured.report(shapes).operations}


def tensor(*shape: int, grad: bool = False) -> fastnn.Tensor:
    return fastnn.Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32), grad)


def test_work_of_a_convolution() -> None:
    """2 N K P Q C R S operations for each product; bytes of everything read and written once."""
    x, w, b = tensor(2, 3, 8, 8, grad=True), tensor(4, 3, 3, 3, grad=True), tensor(4, grad=True)
    with profile() as measured:
        y = F.conv2d(x, w, b, stride=2, padding=1)
        y.backward(tensor(2, 4, 4, 4))
    found = entries(measured)["conv2d"]
    flops = 2 * 2 * 4 * 4 * 4 * 3 * 3 * 3
    assert (found.calls, found.forward.flops) == (1, flops)
    assert (found.backward.calls, found.backward.flops) == (1, 2 * flops)
    sizes = {"x": 2 * 3 * 64, "w": 4 * 27, "b": 4, "y": 2 * 4 * 16}
    assert found.forward.bytes == 4 * sum(sizes.values())
    assert found.backward.bytes == 4 * (sizes["y"] + 2 * sizes["x"] + 2 * sizes["w"] + sizes["b"])


def test_the_gradient_of_a_first_layers_input_is_not_counted() -> None:
    x, w = tensor(2, 3, 8, 8), tensor(4, 3, 3, 3, grad=True)
    with profile() as measured:
        F.conv2d(x, w).sum().backward()
    found = entries(measured)["conv2d"]
    assert found.backward.flops == found.forward.flops == 2 * 2 * 4 * 36 * 27


def test_work_of_products_and_of_other_operations() -> None:
    with profile() as measured:
        a = F.linear(tensor(5, 7), tensor(6, 7))
        fastnn.matmul(a, tensor(6, 2))
        a.exp()
        a.reshape(30)
    found = entries(measured)
    assert found["linear"].forward.flops == 2 * 5 * 6 * 7
    assert found["matmul"].forward.flops == 2 * 5 * 6 * 2
    assert (found["exp"].forward.flops, found["exp"].forward.bytes) == (30, 2 * 30 * 4)
    assert (found["reshape"].forward.flops, found["reshape"].forward.bytes) == (0, 0)


def test_entries_by_name_and_by_shape() -> None:
    with profile() as measured:
        for rows in (2, 3, 3):
            tensor(rows, 4).exp()
    assert {label: each.calls for label, each in entries(measured).items()} == {"exp": 3}
    by_shape = {label: each.calls for label, each in entries(measured, True).items()}
    assert by_shape == {"exp 2x4 -> 2x4": 1, "exp 3x4 -> 3x4": 2}


def test_times_are_those_of_the_operations_themselves() -> None:
    """An operation inside another one counts once, and nothing is counted twice."""
    with profile() as measured:
        with record_function("outer"):
            time.sleep(0.02)
            with record_function("inner"):
                time.sleep(0.05)
        time.sleep(0.03)
    report = measured.report()
    found = {each.name: each.forward for each in report.operations}
    assert 0.05 <= found["inner"].seconds < 0.09
    assert 0.02 <= found["outer"].seconds < 0.05
    assert report.elapsed >= 0.1
    assert report.elsewhere >= 0.03
    total = sum(each.seconds for each in report.operations)
    assert report.elapsed == pytest.approx(total + report.elsewhere)


def test_a_training_step_has_its_optimiser() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with profile() as measured:
        for _ in range(2):
            optimizer.zero_grad()
            model(tensor(5, 4)).sum().backward()
            optimizer.step()
    found = entries(measured)
    assert found["SGD.step"].calls == 2
    assert found["linear"].calls == found["linear"].backward.calls == 4
    assert found["linear"].seconds > 0
    assert optimizer.step_count == 2


def test_operations_computed_together_are_measured_together() -> None:
    """Batch norm waits for the addition and the ReLU that follow it, under a profile as without."""
    x, skip = tensor(4, 3, 5, 5, grad=True), tensor(4, 3, 5, 5)
    w, b = tensor(3, grad=True), tensor(3, grad=True)

    def run() -> list[bytes]:
        y = F.relu(F.batch_norm(x * 1, None, None, w, b, True) + skip)
        found = fastnn.autograd.grad(y, [x, w, b], fastnn.ones_like(y))
        return [each.data.tobytes() for each in (y, *found)]

    plain = run()
    with profile() as outer, profile() as inner:
        assert run() == plain
    for measured in (outer, inner):
        found = entries(measured)
        assert not {"add", "relu", "batch_norm"} & set(found)
        both = found["batch_norm_add_relu"]
        assert both.calls == both.backward.calls == 1
        assert both.forward.bytes == 4 * (3 * 300 + 2 * 3)
        assert both.forward.seconds > 0


def test_results_and_gradients_are_the_same_bits() -> None:
    def run() -> list[bytes]:
        x, w = tensor(3, 8, 8, 8, grad=True), tensor(8, 8, 3, 3, grad=True)
        y = F.relu(F.conv2d(x, w, padding=1)).topk(2)[0].sum()
        y.backward()
        return [each.data.tobytes() for each in (y, x.grad, w.grad) if each is not None]

    plain = run()
    with profile():
        assert run() == plain


def test_in_place_changes_of_saved_arrays_are_still_noticed() -> None:
    x = tensor(4, grad=True)
    with profile():
        y = x.exp()
        z = y.sum()
        y.data[...] = 0
        y.bump()
        with pytest.raises(RuntimeError, match="changed in place"):
            z.backward() if y.grad_fn is None else y.backward(fastnn.ones(4))


def test_nothing_stays_behind() -> None:
    before = {name: slot.function for name, slot in SLOTS.items()}
    with profile() as measured:
        y = tensor(3, grad=True).exp()
    assert {name: slot.function for name, slot in SLOTS.items()} == before
    with pytest.raises(ZeroDivisionError), profile():
        _ = 1 / 0
    assert {name: slot.function for name, slot in SLOTS.items()} == before
    y.backward(fastnn.ones(3))  # after the end: it works, and is not counted
    tensor(3).exp()
    found = entries(measured)["exp"]
    assert (found.calls, found.backward.calls) == (1, 0)


def test_times_add_up_over_several_withs() -> None:
    measured = profile()
    for _ in range(2):
        with measured:
            tensor(3).exp()
    assert entries(measured)["exp"].calls == 2
    with measured, pytest.raises(RuntimeError, match="already entered"), measured:
        pass


def test_profiles_nest_and_see_all_threads() -> None:
    with profile() as outer:
        with profile() as inner:
            thread = threading.Thread(target=lambda: tensor(3).exp())
            thread.start()
            thread.join()
        tensor(3).exp()
    assert entries(outer)["exp"].calls == 2
    assert entries(inner)["exp"].calls == 1


def test_a_recorded_function_without_a_profile() -> None:
    @record_function("work")
    def work(n: int) -> int:
        return n and 1 + work(n - 1)

    assert work(3) == 3
    with profile() as measured:
        assert work(3) == 3
    assert entries(measured)["work"].calls == 4


def test_share_of_the_roofline() -> None:
    """On 100 GFLOP/s and 10 GB/s: 1 GFLOP of 0.01 GB takes 10 ms, 0.1 GB with little to compute as long."""
    computing = PassProfile(1, 0.02, 0.02, 1e9, 10_000_000)
    moving = PassProfile(2, 0.04, 0.015, 1e6, 100_000_000)
    assert computing.bound(MACHINE) == pytest.approx(0.01)
    assert moving.bound(MACHINE) == pytest.approx(0.01)
    both = OperationProfile("conv2d", (), computing, moving)
    assert both.roofline_share(MACHINE) == pytest.approx(0.02 / 0.06)
    assert OperationProfile("view").roofline_share(MACHINE) is None
    line = Profile(0.1, [both]).roofline(MACHINE)
    assert [point.gflops for point in line.points] == pytest.approx([50.0, 0.5e6 / 0.015 / 1e9])
    assert [point.intensity for point in line.points] == pytest.approx([100.0, 0.01])
    assert [line.bound(point.intensity) for point in line.points] == pytest.approx([100.0, 0.1])


def test_table_json_and_pictures(tmp_path: Path) -> None:
    both = OperationProfile("exp", ((2, 3), (2, 3)), PassProfile(4, 0.06, 0.01, 6e8, 3e8), PassProfile(1, 0.02, 0.02))
    small = OperationProfile("neg", ((2,), (2,)), PassProfile(1, 1e-5, 1e-5, 2, 16))
    report = Profile(0.1, [both, small])
    lines = report.table(MACHINE).splitlines()
    heads = "operation calls forward backward total ms of time GFLOP/s GB/s of roof"
    assert " ".join(lines[0].split()) == heads
    assert " ".join(lines[2].split()) == "exp 2x3 -> 2x3 4 60.0 20.0 80.0 80 % 7.5 3.8 38 %"
    assert lines[3].split()[:3] == ["1", "others", "1"]
    assert " ".join(lines[4].split()) == "elsewhere 20.0 20 %"
    assert lines[-1] == "roof: 100 GFLOP/s, 10.0 GB/s"
    read = json.loads(report.to_json(tmp_path / "profile.json"))
    assert read["operations"][0]["forward"]["calls"] == 4
    assert read == json.loads((tmp_path / "profile.json").read_text())
    pytest.importorskip("matplotlib")
    report.plot(tmp_path / "bars.png")
    report.roofline(MACHINE).plot(tmp_path / "roofline.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("bars.png", "roofline.png"))


def test_an_empty_profile(tmp_path: Path) -> None:
    report = Profile(0.0, [])
    assert "together" in report.table(MACHINE)
    pytest.importorskip("matplotlib")
    report.plot(tmp_path / "bars.png")
    report.roofline(MACHINE).plot(tmp_path / "roofline.png")


def test_the_roofline_command(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.bench import machine

    monkeypatch.setattr(machine, "peaks", lambda: MACHINE)
    files = [str(tmp_path / name) for name in ("r.json", "r.md")]
    arguments = [
        "bench",
        "roofline",
        "--only",
        "lenet32",
        "--seconds",
        "0.01",
        "--json",
        files[0],
        "--markdown",
        files[1],
    ]
    assert main(arguments) == 0
    assert "conv2d 32x1x28x28 6x1x5x5 -> 32x6x28x28" in capsys.readouterr().out
    report = json.loads(Path(files[0]).read_text())
    assert report["network"] == "lenet32"
    assert {point["name"] for point in report["roofline"]["points"]} >= {"conv2d", "linear", "relu_max_pool2d"}
    assert "| linear 32x400 120x400 -> 32x120 | forward |" in Path(files[1]).read_text()


def test_every_operation_can_be_profiled() -> None:
    """Whatever an operation takes and gives, measuring it does not disturb it."""
    from tests.cases import cases

    with profile() as measured:
        for case in cases():
            arrays, options = case.sample(np.random.default_rng(0), np.dtype("float32"))
            tensors = [fastnn.Tensor(x, x.dtype.kind == "f") if isinstance(x, np.ndarray) else x for x in arrays]
            result = (case.call or OPS[case.op])(*tensors, **options)
            roots = [y for y in (result if isinstance(result, tuple) else (result,)) if y.requires_grad]
            if roots:
                fastnn.autograd.backward(roots, [fastnn.ones_like(y) for y in roots])
    assert set(entries(measured)) >= set(OPS) - {"getitem"}
