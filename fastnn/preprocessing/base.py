"""What all preprocessing has: a fit to training data, a transform, its inverse, a state that can be saved."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from fastnn.serialization import save
from fastnn.transforms.base import Array, Params, Transform

ROWS = 4096
"""Samples that are looked at together, so that a data set of bytes is never a data set of doubles."""


class Preprocessor(Transform):
    """Base class: statistics that are learnt from training data by `fit` and used by `transform`.

    Data are samples along the first axis: vectors (N, d) or images (N, H, W, C). uint8 values are divided by 255 first,
    floats are taken as they are. Work is done in float64; results are float32, or float64 for float64 data.

    A subclass keeps the arguments of its constructor as attributes of the same names, and what it has learnt as arrays
    whose names end in an underscore, as scikit-learn does; `fitted` names the latter.

    Example:
        >>> import numpy as np
        >>> from fastnn.preprocessing import ChannelMean
        >>> ChannelMean().fit(np.array([[1.0, 4.0], [3.0, 8.0]])).transform(np.array([[2.0, 5.0]])).tolist()
        [[0.0, -1.0]]
    """

    fitted: tuple[str, ...] = ()

    @abstractmethod
    def _fit(self, data: Array) -> None:
        """Learn from data (N, ...) with N >= 1."""

    @abstractmethod
    def _transform(self, data: Array) -> Array:
        """Transform float64 data."""

    def _inverse(self, data: Array) -> Array:
        """Undo `_transform`."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    def fit(self, data: Array) -> Self:
        """Learn the statistics of training data.

        Args:
            data: the training samples, and no others.

        Shape:
            (N, d) or (N, H, W, C)

        Returns:
            The object itself.

        Raises:
            ValueError: if there is no sample, or the data do not suit; what was learnt before then stays.
        """
        checked = self._checked("fit", data)
        if not len(checked):
            raise ValueError(f"{type(self).__name__}.fit: expected at least one sample, got none")
        self._fit(checked)
        return self

    def transform(self, data: Array) -> Array:
        """Transform data with what `fit` has learnt.

        Args:
            data: any samples of the shape of the training samples; never changed.

        Shape:
            as the class says

        Raises:
            ValueError: if nothing was learnt yet, or the samples have another shape.
        """
        self._check_fitted("transform")
        checked = self._checked("transform", data)
        parts = [self._transform(part) for part in doubles(checked)] or [self._transform(np.empty(checked.shape))]
        return np.concatenate(parts).astype(np.float64 if checked.dtype == np.float64 else np.float32)

    def fit_transform(self, data: Array) -> Array:
        """`fit`, then `transform` of the same data: (N, ...) -> (N, ...)."""
        return self.fit(data).transform(data)

    def inverse_transform(self, data: Array) -> Array:
        """Undo `transform`, as far as it can be undone; pixels come back in [0, 1].

        Args:
            data: what `transform` gave.

        Raises:
            ValueError: if nothing was learnt yet.
            NotImplementedError: if there is no inverse.
        """
        self._check_fitted("inverse_transform")
        restored = self._inverse(np.asarray(data, np.float64))
        return restored.astype(np.float64 if np.asarray(data).dtype == np.float64 else np.float32)

    def apply(self, batch: Array, params: Params) -> Array:
        return self.transform(batch)

    # -- state -----------------------------------------------------------------------------------------

    def arguments(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def state_dict(self) -> dict[str, Array]:
        """What was learnt, by name; copies."""
        self._check_fitted("state_dict")
        return {name: np.array(getattr(self, name)) for name in self.fitted}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            ValueError: if an entry is missing or unknown; nothing is changed then.
        """
        if set(state) != set(self.fitted):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected {sorted(self.fitted)}, got {sorted(state)}"
            )
        for name in self.fitted:
            setattr(self, name, np.array(state[name], np.float64))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write class, arguments and what was learnt to a safetensors file; `fastnn.preprocessing.load` reads it.

        Raises:
            ValueError: if nothing was learnt yet.
            OSError: if the file cannot be written.
        """
        save({"preprocessor": type(self).__name__, "arguments": self.arguments(), "state": self.state_dict()}, path)

    def describe(self) -> dict[str, Any]:
        """Class name and arguments as JSON values; what was learnt is not among them, see `save`."""
        return {"name": type(self).__name__} | self.arguments()

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.arguments().items())
        return f"{type(self).__name__}({arguments})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Preprocessor):
            return False
        return self.arguments() == other.arguments() and all(
            np.array_equal(getattr(self, name, np.nan), getattr(other, name, np.inf)) for name in self.fitted
        )

    __hash__ = None

    # -- checks ----------------------------------------------------------------------------------------

    def _checked(self, method: str, data: Array) -> Array:
        name = f"{type(self).__name__}.{method}"
        if not isinstance(data, np.ndarray) or (data.dtype != np.uint8 and data.dtype.kind != "f"):
            got = data.dtype if isinstance(data, np.ndarray) else type(data).__name__
            raise ValueError(f"{name}: expected an ndarray of uint8 or floats, got {got}")
        if data.ndim < 2 or 0 in data.shape[1:]:
            raise ValueError(f"{name}: expected samples (N, d) or (N, H, W, C), got shape {data.shape}")
        return data

    def _check_fitted(self, method: str) -> None:
        if any(not hasattr(self, name) for name in self.fitted):
            raise ValueError(f"{type(self).__name__}.{method}: call fit first")

    def _expect(self, data: Array, shape: tuple[int, ...]) -> None:
        """Raise ValueError unless samples have this shape."""
        if data.shape[1:] != shape:
            raise ValueError(f"{type(self).__name__}: expected samples of shape {shape}, got {data.shape[1:]}")


def doubles(data: Array) -> Iterator[Array]:
    """The samples as float64, uint8 ones divided by 255, some thousand at a time."""
    for start in range(0, len(data), ROWS):
        part = data[start : start + ROWS]
        yield part / 255.0 if data.dtype == np.uint8 else part.astype(np.float64)
