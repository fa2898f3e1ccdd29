"""`fastnn bench train` and `infer`: whole steps of networks, each library in a process of its own.

The processes take turns: one computes a block of steps while the others wait for their line of input, so that no two
of them ever run at once and whatever else the machine does meets all of them alike.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from .machine import Machine
from .networks import Network
from .table import Column, Table, geometric_mean, milliseconds, ratio, share

__all__ = ["Form", "Result", "Steps", "cells", "forms", "means", "run", "table"]

_WORKERS = Path(__file__).with_name("workers")
_ROUNDS = 8
_FIRST_STEPS = 3
"""Steps that warm a process up; their losses are compared."""
_REST = 0.02
"""Seconds after a block for which the threads of its process may still spin."""
_SGD = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
_LABEL_SMOOTHING = 0.1


@dataclass(frozen=True)
class Form:
    """A library and the way in which it is used, such as "torch channels-last"."""

    library: str
    variant: str = ""

    @property
    def name(self) -> str:
        """Library and variant."""
        return f"{self.library} {self.variant}".rstrip()


def forms(against: Sequence[str], mode: str = "train", *, compiled: bool = False) -> list[Form]:
    """fastnn, and the forms of the other libraries; PyTorch's compiled one only if asked for.

    In inference fastnn is `fastnn.inference.compile`, and its plain network a form of its own.
    """
    found = [Form("fastnn"), Form("fastnn", "eager")] if mode == "infer" else [Form("fastnn")]
    if "torch" in against:
        variants = ("eager", "channels-last", "compiled") if compiled else ("eager", "channels-last")
        found += [Form("torch", variant) for variant in variants]
    if "onnxruntime" in against:
        found.append(Form("onnxruntime"))
    return found


@dataclass(frozen=True)
class Steps:
    """What was measured of one form.

    Attributes:
        times: seconds of each step.
        values: the losses of the first steps, or in inference one output.
        peak_bytes: the most resident memory of its process.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]
    peak_bytes: int

    @property
    def minimum(self) -> float:
        """The shortest step."""
        return min(self.times)


@dataclass(frozen=True)
class Result:
    """What was measured of one network.

    Attributes:
        network: the network.
        flops: operations of a step.
        steps: by the name of the form.
        failures: why a form could not be measured, by its name.
    """

    network: Network
    flops: float
    steps: dict[str, Steps]
    failures: dict[str, str]

    @property
    def fastnn(self) -> Steps:
        """fastnn's steps."""
        return self.steps["fastnn"]

    def best(self, library: str) -> str | None:
        """Name of the library's quickest form, None if it was not measured."""
        found = [name for name in self.steps if name.split()[0] == library]
        return min(found, key=lambda name: self.steps[name].minimum) if found else None

    def over_fastnn(self, name: str | None) -> float | None:
        """How many times as long as fastnn a form takes, None if it was not measured."""
        return self.steps[name].minimum / self.fastnn.minimum if name in self.steps else None

    @property
    def value_difference(self) -> float | None:
        """The largest relative difference of the first step's loss, or of the output, from fastnn's."""
        ours = self.fastnn.values[0]
        theirs = [each.values[0] for name, each in self.steps.items() if name != "fastnn"]
        return max((abs(ours - each) / max(abs(each), 1e-12) for each in theirs), default=None)

    def to_dict(self, machine: Machine) -> dict[str, Any]:
        """As plain values, times in seconds."""
        return {
            "network": self.network.name,
            "model": self.network.model,
            "batch": self.network.batch,
            "flops": self.flops,
            "peak_share": self.peak_share(machine),
            "forms": {name: self._form(each) for name, each in self.steps.items()},
            "failures": self.failures,
            "torch_form": self.best("torch"),
            "fastnn_eager_over_fastnn": self.over_fastnn("fastnn eager"),
            "torch_over_fastnn": self.over_fastnn(self.best("torch")),
            "torch_default_over_fastnn": self.over_fastnn("torch eager"),
            "onnxruntime_over_fastnn": self.over_fastnn("onnxruntime"),
            "value_difference": self.value_difference,
        }

    def peak_share(self, machine: Machine) -> float | None:
        """Operations per second of fastnn as a share of the machine's peak."""
        return self.flops / self.fastnn.minimum / 1e9 / machine.gflops if machine.gflops else None

    def _form(self, steps: Steps) -> dict[str, Any]:
        return {
            "min": steps.minimum,
            "median": statistics.median(steps.times),
            "steps": len(steps.times),
            "images_per_second": self.network.batch / steps.minimum,
            "peak_bytes": steps.peak_bytes,
            "values": list(steps.values),
        }


class _Worker:
    """A process that computes steps of one form. Whoever makes it closes it, whatever happens."""

    def __init__(self, form: Form) -> None:
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        self.form = form
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKERS / "loop.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.times: list[float] = []
        self.values: tuple[float, ...] = ()
        self.peak_bytes = 0

    def prepare(self, task: Mapping[str, Any]) -> None:
        """Let it build the network and compute the first steps."""
        program = str(_WORKERS / f"{self.form.library}_steps.py")
        self._send(json.dumps({**task, "program": program, "form": self.form.variant}))
        self.values = tuple(float(value) for value in self._receive()["values"])

    def steps(self, count: int, limit: float) -> list[float]:
        """Let it compute `count` steps, fewer if they take more than `limit` seconds; seconds of each."""
        self._send(f"{count} {limit}")
        answer = self._receive()
        self.peak_bytes = int(answer["peak_bytes"])
        return [float(each) for each in answer["times"]]

    def _send(self, line: str) -> None:
        if self.process.stdin is None:
            raise OSError(f"{self.form.name}: the process has no input")
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise ChildProcessError(f"{self.form.name}: its process ended with code {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ChildProcessError(f"{self.form.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def run(network: Network, wanted: Sequence[Form], *, mode: str, threads: int, seconds: float) -> Result:
    """Measure one network.

    Args:
        network: the network.
        wanted: fastnn and the forms to compare with.
        mode: "train" or "infer".
        threads: threads of each library.
        seconds: time to spend on the steps of each form.

    Raises:
        ValueError: if fastnn itself fails; other forms that fail are noted in the result.
    """
    failures: dict[str, str] = {}
    with _task(network, mode, threads) as task, ExitStack() as stack:
        workers = []
        for form in wanted:
            worker = _Worker(form)
            stack.callback(worker.close)
            try:
                worker.prepare(task)
            except ChildProcessError as error:
                if form.library == "fastnn":
                    raise ValueError(f"bench: {network.name}: {error}") from None
                failures[form.name] = str(error)
                continue
            workers.append(worker)
        _alternate(workers, seconds)
    steps = {w.form.name: Steps(tuple(w.times), w.values, w.peak_bytes) for w in workers}
    return Result(network, network.flops(training=mode == "train"), steps, failures)


def _alternate(workers: Sequence[_Worker], seconds: float, pause: Callable[[float], None] = time.sleep) -> None:
    """Let the processes compute blocks of steps in turns, each round beginning with another one."""
    block = seconds / _ROUNDS
    counts = {worker.form.name: max(1, ceil(block / min(worker.steps(2, block)))) for worker in workers}
    order = list(workers)
    for _ in range(_ROUNDS):
        for worker in order:
            # A foreign process can stretch steps a hundredfold; the block then ends before its count.
            worker.times += worker.steps(counts[worker.form.name], 2 * block)
            pause(_REST)
        order.append(order.pop(0))


@contextmanager
def _task(network: Network, mode: str, threads: int) -> Iterator[dict[str, Any]]:
    """What all processes get: files with the same weights and data, and the same hyperparameters."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="fastnn-bench-") as folder:
        weights, data = f"{folder}/weights.npz", f"{folder}/data.npz"
        state: dict[str, Any] = {
            name: np.asarray(t.data, order="C") for name, t in network.create().state_dict().items()
        }
        np.savez(weights, **state)
        x = rng.standard_normal(network.input_shape, np.float32)
        np.savez(data, x=x, y=rng.integers(0, 10, network.batch))
        yield {
            "mode": mode,
            "model": network.model,
            "threads": threads,
            "weights": weights,
            "data": data,
            "first_steps": _FIRST_STEPS,
            "sgd": _SGD,
            "label_smoothing": _LABEL_SMOOTHING,
        }


def table(mode: str) -> Table:
    """The table of a mode."""
    columns = [
        Column("network", 18, text=True),
        Column("ms", 7),
        Column("median", 7),
        *([Column("eager", 7)] if mode == "infer" else []),
        Column("images/s", 9),
        Column("of peak", 7),
        Column("MB", 5),
        Column("torch", 7),
        Column("form", 13, text=True),
        Column("MB", 5),
        Column("torch/", 6),
        Column("default/", 8),
    ]
    if mode == "infer":
        columns += [Column("onnxruntime", 11), Column("onnxruntime/", 12)]
    return Table([*columns, Column("differs", 8)])


def cells(result: Result, machine: Machine, mode: str) -> list[str]:
    """The row of a network.

    "eager" is fastnn without compiling, "default/" PyTorch's eager NCHW form, "differs" the first loss or the output.
    """
    form = result.best("torch")
    torch, eager = result.steps[form] if form else None, result.steps.get("fastnn eager")
    row = [
        result.network.name,
        milliseconds(result.fastnn.minimum),
        milliseconds(statistics.median(result.fastnn.times)),
        *([milliseconds(eager.minimum if eager else None)] if mode == "infer" else []),
        f"{result.network.batch / result.fastnn.minimum:,.0f}",
        share(result.peak_share(machine)),
        f"{result.fastnn.peak_bytes / 1e6:.0f}",
        milliseconds(torch.minimum if torch else None),
        (form or "").removeprefix("torch").strip(),
        f"{torch.peak_bytes / 1e6:.0f}" if torch else "-",
        ratio(result.over_fastnn(form)),
        ratio(result.over_fastnn("torch eager")),
    ]
    if mode == "infer":
        onnx = result.steps.get("onnxruntime")
        row += [milliseconds(onnx.minimum if onnx else None), ratio(result.over_fastnn("onnxruntime"))]
    difference = result.value_difference
    return [*row, "-" if difference is None else f"{difference:.1e}"]


def means(results: Sequence[Result]) -> dict[str, float | None]:
    """Geometric means of the ratios over all networks, None where nothing was compared."""
    ratios = {
        "torch_over_fastnn": [each.over_fastnn(each.best("torch")) for each in results],
        "torch_default_over_fastnn": [each.over_fastnn("torch eager") for each in results],
        "onnxruntime_over_fastnn": [each.over_fastnn("onnxruntime") for each in results],
    }
    return {name: geometric_mean(value for value in each if value is not None) for name, each in ratios.items()}
