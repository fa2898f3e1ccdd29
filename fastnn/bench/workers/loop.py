"""Computes steps when told to: the other end of `fastnn.bench.steps`.

The first line of the standard input is the task, a JSON object whose "program" is the path of a module with
`prepare(task) -> step`. When the network is ready and its first steps are done, a line of JSON says so. Each further
line of input is a number of steps and a number of seconds after which no more are begun; the answer holds the time of
each step, after one that is not counted.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO


def main() -> int:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get among the answers
    task = json.loads(sys.stdin.readline())
    try:
        step: Callable[[], float] = runpy.run_path(task["program"])["prepare"](task)
        _answer(answers, {"values": [step() for _ in range(task["first_steps"])]})
    except Exception as error:  # whatever it is, the parent has to know it
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        return 1
    for line in sys.stdin:
        count, limit = line.split()
        step()
        times: list[float] = []
        while len(times) < int(count) and (not times or sum(times) < float(limit)):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        _answer(answers, {"times": times, "peak_bytes": peak_bytes()})
    return 0


def _answer(stream: TextIO, value: dict[str, Any]) -> None:
    stream.write(json.dumps(value) + "\n")
    stream.flush()


def peak_bytes() -> int:
    """The most memory that this process has had resident.

    The system's count is used where it can be read, for that of `getrusage` starts with the parent's.
    """
    try:
        with open("/proc/self/status") as status:
            kilobytes = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return kilobytes << 10
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    sys.exit(main())
