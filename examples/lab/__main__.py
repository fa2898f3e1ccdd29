"""`python examples/lab`: run every script of the lecture lab, several side by side, and draw all figures.

Scripts share the processor: as many run at once as there are cores, each on its share of the threads. Results do not
depend on that. Exits with 1 if a script fails or one of its claims does not hold.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if path.name not in ("__main__.py", "figure.py"))


class Outcome(NamedTuple):
    """How one script ended."""

    name: str
    code: int
    seconds: float
    output: str


def run(script: Path, arguments: list[str], threads: int) -> Outcome:
    """One script in a process of its own."""
    environment = os.environ | {name: str(threads) for name in ("FASTNN_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    start = time.perf_counter()
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(
        command, env=environment, text=True, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return Outcome(script.stem, done.returncode, time.perf_counter() - start, done.stdout)


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python examples/lab", description=__doc__.split("\n")[0])
    known = [script.stem for script in SCRIPTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; all by default: {', '.join(known)}")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the pictures go (default: docs/pictures/lab)")
    parser.add_argument("--quick", action="store_true", help="the quick forms")
    args = parser.parse_args()
    if unknown := sorted(set(args.names) - set(known)):
        parser.error(f"there is no script {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [script for script in SCRIPTS if not args.names or script.stem in args.names]
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    jobs = max(min(cores, len(chosen)), 1)
    start, failed = time.perf_counter(), 0
    with ThreadPoolExecutor(jobs) as pool:
        waiting = []
        for script in chosen:
            arguments = ["--quick"] if args.quick else []
            if args.out is not None:
                arguments += ["--out", str(args.out.absolute() / f"{script.stem}.png")]
            waiting.append(pool.submit(run, script, arguments, max(cores // jobs, 1)))
        for count, future in enumerate(as_completed(waiting), 1):
            outcome = future.result()
            failed += outcome.code != 0
            verdict = "ok" if outcome.code == 0 else f"FAILED (exit code {outcome.code})"
            print(f"[{count:2}/{len(chosen)}] {outcome.name:20} {outcome.seconds:5.1f} s  {verdict}")
            print("".join(f"        {line}\n" for line in outcome.output.splitlines()), end="", flush=True)
    print(f"{len(chosen) - failed} of {len(chosen)} scripts in {time.perf_counter() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
