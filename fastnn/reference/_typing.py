"""The one type alias of the reference package."""

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""An ndarray of any dtype; floating-point work is done in the dtype that comes in."""
