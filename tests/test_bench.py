"""The benchmarks: the timer with a clock of its own, rows of every family on tiny shapes, tables, JSON, arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import cli, cpu
from fastnn.bench import Case, Timing, kernels, libraries, machine, measure, networks, steps, table
from fastnn.bench.case import arrays_of, difference, noise, noise_images
from fastnn.bench.cases import (
    FAMILIES,
    activation,
    all_cases,
    augment,
    conv,
    conv_transpose,
    dropout,
    elementwise,
    linear,
    loss,
    matching,
    norm,
    optim,
    pool,
    reduce,
)

QUIET = machine.Machine(
    fastnn="0", commit="", processor="p", level="portable", features=[], threads=1, processors=1,
    cache_bytes=[32768, 1 << 20, 8 << 20], libraries={"numpy": "2"}, python="3", gflops=100.0,
    copy_gb_per_second=10.0, load=0.0, openmp=["libgomp.so"], environment={},
)  # fmt: skip


class Clock:
    """A clock that only works move, and a record of who was called."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.paused = 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.paused += seconds

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        """A work that takes these times, the last one for ever."""
        queue = list(seconds)

        def run() -> None:
            self.calls.append(name)
            self.now += queue.pop(0) if len(queue) > 1 else queue[0]

        return run


def timed(clock: Clock, works: dict[str, Callable[[], None]], seconds: float, **options: Any) -> dict[str, Timing]:
    return measure(works, seconds, clock=clock, pause=clock.pause, **options)


# ---- the timer ---------------------------------------------------------------------------------------------


def test_timing_has_minimum_and_median() -> None:
    timing = Timing((3.0, 1.0, 2.0), calls=4)
    assert timing.minimum == 1.0
    assert timing.median == 2.0
    assert timing.to_dict() == {"min": 1.0, "median": 2.0, "samples": 3, "calls": 4}


def test_works_take_turns_and_change_the_order_every_round() -> None:
    clock = Clock()
    timed(clock, {"a": clock.work("a", 0.01), "b": clock.work("b", 0.02)}, 1e-9)
    assert clock.calls[:4] == ["a", "a", "b", "b"], "each is warmed up and calibrated first"
    assert clock.calls[4:] == ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]


def test_warm_up_does_not_count() -> None:
    clock = Clock()
    timing = timed(clock, {"a": clock.work("a", 5.0, 4.0, 1.0)}, 1e-9)["a"]
    assert max(timing.times) == pytest.approx(1.0)


def test_quick_works_are_called_many_times_in_a_sample() -> None:
    clock = Clock()
    timing = timed(clock, {"a": clock.work("a", 1e-6)}, 1e-9)["a"]
    assert timing.calls == pytest.approx(200, abs=1)
    assert timing.times == pytest.approx([1e-6] * len(timing.times))


def test_rounds_end_when_the_time_is_spent() -> None:
    clock = Clock()
    times = (0.1, 0.1, *(1.0 - 0.01 * i for i in range(200)))
    timing = timed(clock, {"a": clock.work("a", *times)}, 9.5)["a"]
    assert 9 <= len(timing.times) <= 12


def test_disturbed_rows_get_more_time() -> None:
    clock = Clock()
    times = (0.1, 0.1, 0.5, *(1.0 - 0.002 * i for i in range(200)))
    timing = timed(clock, {"a": clock.work("a", *times)}, 5.0)["a"]
    assert 14 <= len(timing.times) <= 17


def test_rounds_end_early_when_nothing_improves() -> None:
    clock = Clock()
    timing = timed(clock, {"a": clock.work("a", 0.001)}, 1000.0)["a"]
    assert len(timing.times) < 30


def test_slow_baseline_is_timed_once_and_last() -> None:
    clock = Clock()
    works = {"slow": clock.work("slow", 7.0), "quick": clock.work("quick", 0.1)}
    timings = timed(clock, works, 0.5, alone=("slow",))
    assert list(timings) == ["slow", "quick"]
    assert timings["slow"] == Timing((7.0,), 1)
    assert clock.calls.count("slow") == 1
    assert clock.calls[-1] == "slow"
    assert clock.paused > 0, "threads of its library get time to fall asleep"


def test_quick_baseline_gets_several_samples() -> None:
    clock = Clock()
    timing = timed(clock, {"np": clock.work("np", 0.01)}, 0.1, alone=("np",))["np"]
    assert 5 <= len(timing.times) <= 12


@pytest.mark.parametrize(("works", "seconds"), [({}, 1.0), ({"a": int}, 0.0), ({"a": int}, float("nan"))])
def test_nothing_to_time_is_an_error(works: dict[str, Any], seconds: float) -> None:
    with pytest.raises(ValueError, match="measure: expected"):
        measure(works, seconds)


def test_collector_is_back_after_an_error() -> None:
    import gc

    def fail() -> None:
        assert not gc.isenabled()
        raise KeyError("work")

    with pytest.raises(KeyError):
        measure({"a": fail}, 1.0)
    assert gc.isenabled()


# ---- rows --------------------------------------------------------------------------------------------------


def tiny_cases() -> Iterator[Case]:
    """Every row generator on shapes that take no time."""
    shapes = [
        conv.Shape(2, 8, 6, 8),
        conv.Shape(2, 6, 5, 4, kernel=5, padding=0),
        conv.Shape(2, 8, 8, 8, stride=2, groups=8),
        conv.Shape(2, 8, 8, 4, padding=2, dilation=2),
    ]
    return chain(
        conv.cases(shapes),
        conv_transpose.cases([conv_transpose.Shape(2, 3, 4, 5), conv_transpose.Shape(2, 3, 5, 4, 3, 1)]),
        linear.cases([((), 5, 6, 7), ((2,), 3, 4, 5)], [(4, 5, 6)]),
        pool.cases([(2, 3, 8, 2), (2, 3, 6, 2)]),
        norm.cases([(2, 8, 4), (3, 8, 5)], [(4, 6)]),
        activation.cases([(2, 3, 4, 4), (2, 5)], [(3, 4)]),
        loss.cases([(4, 5)]),
        elementwise.cases([(2, 3, 4, 4), (2, 5)]),
        reduce.cases([(2, 3, 4, 4), (2, 5)]),
        dropout.cases([(2, 3, 4, 4)]),
        optim.cases([10_000]),
        augment.cases([4]),
        augment.loader_cases(4, 20),
    )


@pytest.mark.parametrize("case", list(tiny_cases()), ids=lambda case: case.label)
def test_row_computes_what_the_definition_computes(case: Case) -> None:
    results = {name: work() for name, work in case.build({"numpy": np}).items()}
    assert "fastnn" in results
    if case.comparable:
        assert arrays_of(results["fastnn"])
        assert difference(results["fastnn"], results["numpy"]) < 1e-5


def test_every_family_has_rows_with_names_of_their_own() -> None:
    labels = [case.label for case in all_cases()]
    assert {label.split()[0] for label in labels} == set(FAMILIES)
    assert len(set(labels)) == len(labels)


def test_rows_of_the_study_are_there() -> None:
    assert len(conv.SHAPES[:11]) == 11
    label = "conv 128x16x32x32 K16 k3 bwd_w"
    (case,) = [case for case in all_cases() if case.label == label]
    assert case.work == 2 * 128 * 32 * 32 * 16 * 16 * 9


def test_parameter_sizes_add_up() -> None:
    for total in (10_000, optim.MILLION, 10 * optim.MILLION):
        sizes = optim.parameter_sizes(total)
        assert len(sizes) == optim.TENSORS
        assert sum(sizes) == total
        assert min(sizes) > 0


def test_rows_are_chosen_by_regular_expression() -> None:
    assert {case.family for case in matching(all_cases(), "POOL max .* fwd$")} == {"pool"}
    with pytest.raises(ValueError, match="is found in no row"):
        matching(all_cases(), "nothing like that")
    with pytest.raises(ValueError, match="regular expression"):
        matching(all_cases(), "(")


def test_difference_is_relative_and_minds_shapes() -> None:
    one = np.full(4, 2.0)
    assert difference(one, one * 1.5) == pytest.approx(1 / 3)
    assert difference((one,), (one, None, one * 3)) == 0.0, "what the other returns beyond ours does not count"
    with pytest.raises(ValueError, match="different shapes"):
        difference(one, np.ones(5))


def test_noise_repeats_and_lies_as_images_do() -> None:
    assert np.array_equal(noise(3, 4), noise(3, 4))
    assert not np.array_equal(noise(3, 4), noise(3, 4, seed=1))
    images = noise_images(2, 3, 4, 5)
    assert images.shape == (2, 3, 4, 5)
    assert images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert images.ctypes.data % 64 == 0


# ---- measured rows -----------------------------------------------------------------------------------------


def row_of(case: Case, **seconds: float) -> kernels.Row:
    timings = {name.replace("_", " "): Timing((value,), 1) for name, value in seconds.items()}
    rate = case.work / timings["fastnn"].minimum / 1e9
    return kernels.Row(case, timings, rate, rate / QUIET.gflops, {})


def plain_case(family: str, name: str) -> Case:
    return Case(family, name, 1e9, "GFLOP/s", lambda against: {})


def test_row_takes_the_better_form_of_torch() -> None:
    row = row_of(plain_case("conv", "a"), fastnn=0.1, torch_NCHW=0.4, torch_last=0.2, numpy=1.0)
    assert row.torch_form == "torch last"
    assert row.over_fastnn(row.torch_form) == pytest.approx(2.0)
    assert row.over_fastnn("numpy") == pytest.approx(10.0)
    assert row.rate == pytest.approx(10.0)
    assert row.peak_share == pytest.approx(0.1)


def test_summary_counts_what_is_slower() -> None:
    cases = [plain_case("conv", str(i)) for i in range(3)] + [plain_case("pool", "p")]
    rows = [row_of(case, fastnn=1.0, torch=t) for case, t in zip(cases, (0.5, 0.95, 2.0, 4.0))]
    conv_row, pool_row = kernels.summarise(rows)
    assert (conv_row["rows"], conv_row["below_0.9"], conv_row["below_1.0"]) == (3, 1, 2)
    assert conv_row["torch_least_row"] == "0"
    assert conv_row["torch_mean"] == pytest.approx((0.5 * 0.95 * 2.0) ** (1 / 3))
    assert pool_row["torch_least"] == 4.0
    assert pool_row["numpy_mean"] is None


def test_run_prints_a_line_for_each_row_and_warns_of_differences() -> None:
    def build(against: Any) -> dict[str, Callable[[], Any]]:
        return {"fastnn": lambda: np.ones(3), "numpy": lambda: np.full(3, 2.0)}

    lines: list[str] = []
    rows = kernels.run([Case("loss", "wrong", 12.0, "GB/s", build)], {"numpy": np}, QUIET, 1e-4, lines.append)
    assert "torch/" in lines[0]
    assert lines[1].startswith("loss wrong")
    assert "differs from that of numpy by 5.0e-01" in lines[2]
    assert json.loads(json.dumps(rows[0].to_dict()))["numpy_over_fastnn"] > 0
    titles = [title for title, _ in kernels.markdown(rows)]
    assert titles == ["Summary", "loss"]


# ---- machine, libraries, tables ----------------------------------------------------------------------------


def test_header_names_what_matters() -> None:
    text = "\n".join(QUIET.lines())
    assert "level portable" in text
    assert "caches 32 kB, 1 MB, 8 MB" in text
    assert "100 GFLOP/s" in text
    assert "warning" not in text


def test_header_warns() -> None:
    from dataclasses import replace

    busy = replace(QUIET, load=3.0, threads=4, openmp=["libgomp.so", "libomp.so"])
    warnings = busy.warnings()
    assert len(warnings) == 3
    assert "load 3.0" in warnings[0]
    assert "libgomp.so, libomp.so" in warnings[1]


def test_machine_describes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "8589934592")
    here = machine.inspect({}, measure_peaks=False)
    assert here.level == cpu.level()
    assert here.threads == cpu.get_num_threads()
    assert here.environment["MALLOC_TRIM_THRESHOLD_"] == "8589934592"
    assert json.dumps(here.to_dict())


def test_copy_rate_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_COPY_BYTES", 1 << 16)
    monkeypatch.setattr(machine, "_MATRIX", 32)
    assert machine.copy_gb_per_second(2) > 0
    assert machine.matmul_gflops() > 0


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._PACKAGES, "torch", "no_such_package_anywhere")
    with pytest.raises(ImportError, match="--against torch needs torch: pip install torch"):
        libraries.load(["numpy", "torch"])


def test_geometric_mean() -> None:
    assert table.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert table.geometric_mean([]) is None


# ---- steps -------------------------------------------------------------------------------------------------


def test_forms_of_the_libraries() -> None:
    names = [form.name for form in steps.forms(["torch", "onnxruntime"], compiled=True)]
    assert names == ["fastnn", "torch eager", "torch channels-last", "torch compiled", "onnxruntime"]
    assert [form.name for form in steps.forms([])] == ["fastnn"]
    assert [form.name for form in steps.forms(["onnxruntime"], "infer")] == ["fastnn", "fastnn eager", "onnxruntime"]


def test_networks_of_the_study() -> None:
    names = [network.name for network in networks.TRAINING]
    assert names == ["mlp", "lenet128", "lenet32", "small", "resnet20", "mobile", "speed94"]
    mlp = networks.TRAINING[0]
    weights = (784 * 256, 256 * 128, 128 * 10)
    assert mlp.flops(training=False) == 2 * 128 * sum(weights)
    assert mlp.flops(training=True) == 2 * 128 * (3 * sum(weights) - weights[0])


def result(fastnn: float, eager: float, last: float) -> steps.Result:
    def measured(seconds: float, loss: float) -> steps.Steps:
        return steps.Steps((seconds, 2 * seconds), (loss,), 10**8)

    measurements = {
        "fastnn": measured(fastnn, 2.0),
        "torch eager": measured(eager, 2.0),
        "torch channels-last": measured(last, 2.1),
    }
    return steps.Result(networks.TRAINING[0], 1e9, measurements, {})


def test_results_compare_best_and_default() -> None:
    one = result(0.1, 0.4, 0.2)
    assert one.best("torch") == "torch channels-last"
    plain = one.to_dict(QUIET)
    assert plain["torch_over_fastnn"] == pytest.approx(2.0)
    assert plain["torch_default_over_fastnn"] == pytest.approx(4.0)
    assert plain["peak_share"] == pytest.approx(0.1)
    assert plain["value_difference"] == pytest.approx(0.1 / 2.1)
    assert plain["onnxruntime_over_fastnn"] is None
    means = steps.means([one, result(0.1, 0.8, 0.8)])
    assert means["torch_over_fastnn"] == pytest.approx(4.0)
    assert means["onnxruntime_over_fastnn"] is None
    for mode in ("train", "infer"):
        layout = steps.table(mode)
        assert len(steps.cells(one, QUIET, mode)) == len(layout.columns)


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_a_network_is_measured_in_a_process_of_its_own(mode: str) -> None:
    network = networks.Network("tiny", "mlp", 4, 1, 4)
    measured = steps.run(network, steps.forms([]), mode=mode, threads=1, seconds=0.01)
    assert min(measured.fastnn.times) > 0
    assert measured.fastnn.peak_bytes > 1 << 20
    losses = measured.fastnn.values
    assert len(losses) == 3
    assert losses[-1] < losses[0] if mode == "train" else losses[-1] == losses[0]


def test_a_network_that_fastnn_cannot_run_is_an_error() -> None:
    network = networks.Network("tiny", "mlp", 4, 1, 4)
    with pytest.raises(ValueError, match=r"bench: tiny: fastnn: .*nonsense"):
        steps.run(network, steps.forms([]), mode="train", threads="nonsense", seconds=0.01)  # type: ignore[arg-type]


def test_a_form_that_fails_is_noted() -> None:
    network = networks.Network("tiny", "mlp", 4, 1, 4)
    wanted = [steps.Form("fastnn"), steps.Form("missing")]
    measured = steps.run(network, wanted, mode="train", threads=1, seconds=0.01)
    assert list(measured.steps) == ["fastnn"]
    assert "missing: FileNotFoundError" in measured.failures["missing"]


# ---- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def cheap_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_COPY_BYTES", 1 << 16)
    monkeypatch.setattr(machine, "_MATRIX", 32)


@pytest.mark.usefixtures("cheap_peaks")
def test_kernels_command_writes_json_and_markdown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = cpu.get_num_threads()
    file, document = tmp_path / "rows.json", tmp_path / "rows.md"
    arguments = ["--against", "numpy", "--only", "softmax 128x10 fwd", "--seconds", "0.001", "--threads", "1"]
    try:
        code = cli.main(["bench", "kernels", *arguments, "--json", str(file), "--markdown", str(document)])
    finally:
        cpu.set_num_threads(before)
        libraries.limit_blas(before)
    assert code == 0
    assert "activation softmax 128x10 fwd" in capsys.readouterr().out
    report = json.loads(file.read_text())
    assert report["benchmark"] == "kernels"
    assert report["machine"]["threads"] == 1
    assert {row["name"] for row in report["rows"]} == {"softmax 128x10 fwd", "log_softmax 128x10 fwd"}
    assert report["rows"][0]["seconds"]["numpy"]["min"] > 0
    assert report["summary"][0]["family"] == "activation"
    assert "| kernel |" in document.read_text()


@pytest.mark.usefixtures("cheap_peaks")
def test_train_command_without_another_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "steps.json"
    assert (
        cli.main(["bench", "train", "--only", "^mlp$", "--batch", "16", "--seconds", "0.01", "--json", str(file)]) == 0
    )
    assert "mlp" in capsys.readouterr().out
    report = json.loads(file.read_text())
    assert report["networks"][0]["forms"]["fastnn"]["images_per_second"] > 0
    assert report["networks"][0]["batch"] == 16
    assert report["means"]["torch_over_fastnn"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required"),
        (["everything"], "invalid choice"),
        (["kernels", "--against", "onnxruntime"], "expected some of numpy, torch"),
        (["train", "--against", "numpy"], "expected some of torch"),
        (["kernels", "--threads", "0"], "expected a whole number >= 1"),
        (["kernels", "--seconds", "-1"], "expected a number above 0"),
        (["kernels", "--seconds", "soon"], "expected a number above 0"),
        (["kernels", "--only", "no such row"], "is found in no row"),
        (["train", "--only", "vgg"], "is found in no network"),
        (["train", "--only", "("], "regular expression"),
        (["optim", "--only", "conv"], "is found in no row"),
    ],
)
def test_bad_arguments_end_in_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
