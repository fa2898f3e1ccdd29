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
