"""What all tests share: the default generator and the default dtype are the same at the start of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastnn


@pytest.fixture(autouse=True)
def _clean_state() -> Iterator[None]:
    """Start every test from one seed, and notice one that leaves global state behind."""
    fastnn.manual_seed(0)
    yield
    assert fastnn.is_grad_enabled()
    assert fastnn.get_default_dtype() == fastnn.float32


@pytest.fixture
def restored() -> Iterator[None]:
    """Put the instruction-set level and the number of threads back after a test that changes them."""
    level, threads = fastnn.cpu.level(), fastnn.get_num_threads()
    yield
    fastnn.cpu.set_level(level)
    fastnn.set_num_threads(threads)
