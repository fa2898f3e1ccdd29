"""Python in a process of its own, for what is decided once at import or must not disturb the other tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fastnn

ROOT = Path(fastnn.__file__).resolve().parents[1]
"""The checkout that the tests run in."""

CHOICES = ("FASTNN_CPU", "FASTNN_NUM_THREADS", "OMP_NUM_THREADS")


def python(code: str, *, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter that sees this fastnn, with nothing of `CHOICES` set but what is given.

    Fails, showing its output, if the process does; a process that hangs raises subprocess.TimeoutExpired.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in CHOICES}
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
