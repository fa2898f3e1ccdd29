"""The caching allocator under the arrays that operations make.

A training step asks for the same sizes again and again; freed blocks are kept and handed back, which saves the page
faults of fresh memory. Arrays of other libraries are left alone.
"""

from __future__ import annotations

import sys

from . import _C

__all__ = ["empty_cache", "peak_resident_bytes", "reset_peak", "stats"]


def stats() -> dict[str, int]:
    """Counts of the allocator.

    Returns:
        `in_use`, `peak` and `cached` in bytes, `requests` (calls so far) and `misses` (those that had to ask the
        system for memory).
    """
    return dict(_C.allocator_stats())


def peak_resident_bytes() -> int | None:
    """The most memory that this process held at once, all of it, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def reset_peak() -> None:
    """Start measuring the peak of bytes in use anew."""
    _C.allocator_reset_peak()


def empty_cache() -> None:
    """Hand every cached block back to the system."""
    _C.allocator_trim()
