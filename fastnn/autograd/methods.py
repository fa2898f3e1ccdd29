"""The operations by name, and the Tensor methods that are operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OPS: dict[str, Callable[..., Any]] = {}
"""Every operation by name; `op` fills it. Tensor's operators look it up when they are called."""
