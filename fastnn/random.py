"""Random numbers that depend on a seed and a count, never on time, threads or who asked before.

Both generators here are counter-based (Philox-4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
easy as 1, 2, 3", SC 2011): the n-th number is a function of the key and n, so that parts of a stream can be
computed in any order. `Generator` hands out one stream per request. `SampleGenerator` has one stream per
sample of a data set and draws for a whole batch at once.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _C

__all__ = [
    "Generator", "SampleGenerator", "default_generator", "get_rng_state", "initial_seed", "manual_seed", "philox4x32",
    "seed", "set_rng_state",
]  # fmt: skip

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_NO_EPOCH = 2**32 - 1
_GAMMA_ATTEMPTS = 12


def philox4x32(counter: npt.NDArray[np.uint64], key: tuple[int, int]) -> npt.NDArray[np.uint64]:
    """Philox-4x32-10, vectorised: 128 random bits for each 128-bit counter.

    Args:
        counter: the four 32-bit words of each counter, in 64-bit integers.
        key: two 32-bit words.

    Shape:
        counter: (4, n). Result: (4, n), likewise 32-bit words in 64-bit integers.

    Source:
        Salmon et al., SC 2011; the constants are those of the Random123 library.
    """
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        product0, product1 = _MULTIPLIERS[0] * x0, _MULTIPLIERS[1] * x2
        x0, x1, x2, x3 = (
            (product1 >> _HALF) ^ x1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> _HALF) ^ x3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3])


def _checked_seed(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected an integer seed, got {type(value).__name__}")
    if not 0 <= value < 2**64:
        raise ValueError(f"{name}: expected a seed from 0 to 2**64 - 1, got {value}")
    return int(value)


class Generator:
    """A source of independent random streams, numbered from 0.

    Its whole state is `(seed, counter)`, the counter being the number of streams handed out so far.

    Args:
        seed: from 0 to 2**64 - 1.

    Example:
        >>> a, b = Generator(7), Generator(7)
        >>> a.rng().random() == b.rng().random()
        True
        >>> a.get_state()
        (7, 1)
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = _checked_seed("Generator", seed)
        self._counter = 0
        self._lock = threading.Lock()

    @property
    def seed(self) -> int:
        """The seed."""
        return self._seed

    def manual_seed(self, seed: int) -> Generator:
        """Start anew from a seed, and return the generator."""
        checked = _checked_seed("manual_seed", seed)
        with self._lock:
            self._seed, self._counter = checked, 0
        return self

    def initial_seed(self) -> int:
        """The seed, PyTorch's name."""
        return self._seed

    def stream(self) -> tuple[int, int]:
        """The next stream's name `(seed, number)`, for kernels that count from there themselves."""
        with self._lock:
            number = self._counter
            self._counter += 1
            return self._seed, number

    def rng(self) -> np.random.Generator:
        """NumPy's generator on the next stream: Philox keyed by `(seed, number)`."""
        return np.random.Generator(np.random.Philox(key=np.array(self.stream(), np.uint64)))

    def get_state(self) -> tuple[int, int]:
        """The state `(seed, counter)`."""
        return self._seed, self._counter

    def set_state(self, state: tuple[int, int]) -> None:
        """Go on from a state that `get_state` gave."""
        seed, counter = state
        checked, number = _checked_seed("set_state", seed), _checked_seed("set_state", counter)
        with self._lock:
            self._seed, self._counter = checked, number

    def __getstate__(self) -> tuple[int, int]:
        return self.get_state()

    def __setstate__(self, state: tuple[int, int]) -> None:
        self._seed, self._counter = state
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, counter={self._counter})"


default_generator = Generator(0)
"""The generator used where none is given; `manual_seed` starts it anew."""


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew from `seed`, and return it."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Start the default generator anew from a seed of the operating system, and return that seed."""
    value = int(np.random.SeedSequence().entropy) % 2**63  # type: ignore[arg-type]
    default_generator.manual_seed(value)
    return value


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.seed


def get_rng_state() -> tuple[int, int]:
    """The state of the default generator, two integers."""
    return default_generator.get_state()


def set_rng_state(state: tuple[int, int]) -> None:
    """Let the default generator go on from a state that `get_rng_state` gave."""
    default_generator.set_state(state)


class SampleGenerator:
    """Random numbers for a batch of samples, a function of (seed, epoch, sample, call) alone.

    Every call draws for all samples at once and advances one call count. Row i depends on the seed, the epoch, the
    sample's index in the data set and the number of the call; not on the other samples in the batch, nor on their
    order.

    Args:
        seed: from 0 to 2**64 - 1.
        epoch: from 0 to 2**32 - 2.
        indices: the samples' indices in the data set, from 0 to 2**32 - 1.

    Example:
        >>> whole = SampleGenerator(1, 0, [0, 1, 2]).uniform()
        >>> part = SampleGenerator(1, 0, [2]).uniform()
        >>> bool(whole[2] == part[0])
        True
    """

    def __init__(self, seed: int, epoch: int, indices: npt.ArrayLike) -> None:
        checked = _checked_seed("SampleGenerator", seed)
        samples = np.asarray(indices)
        if samples.ndim != 1 or (samples.size and samples.dtype.kind not in "iu"):
            raise ValueError(f"SampleGenerator: expected a vector of indices, got {samples.dtype} {samples.shape}")
        if samples.size and not 0 <= int(samples.min()) <= int(samples.max()) < 2**32:
            raise ValueError("SampleGenerator: indices must lie between 0 and 2**32 - 1")
        if not 0 <= epoch < _NO_EPOCH:
            raise ValueError(f"SampleGenerator: expected an epoch from 0 to 2**32 - 2, got {epoch}")
        self._seed, self._epoch = checked, int(epoch)
        self._samples = np.ascontiguousarray(samples, np.uint64)
        self._call = 0

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def epoch(self) -> int:
        """The epoch."""
        return self._epoch

    def lasting(self) -> SampleGenerator:
        """A generator for the same samples whose numbers are the same in every epoch."""
        other = SampleGenerator(self._seed, 0, self._samples)
        other._epoch = _NO_EPOCH
        return other

    def _unit(self, count: int) -> npt.NDArray[np.float64]:
        """Uniform numbers in [0, 1), multiples of 2**-53, (samples, count).

        Number j of a sample is made of the upper 53 bits of half j % 2 of the cipher's 128 bits for the counter
        (j // 2, call, sample, epoch).
        """
        unit = np.empty((len(self._samples), count))
        _C.random_samples(self._samples, self._seed, self._epoch, self._call, unit)
        self._call += 1
        return unit

    def uniform(self, low: float = 0.0, high: float = 1.0, k: int | None = None) -> npt.NDArray[np.float64]:
        """Numbers uniform in [low, high).

        Args:
            low: lower end.
            high: upper end.
            k: how many per sample; None for one, without a dimension of its own.

        Returns:
            float64, (n,) or (n, k).
        """
        drawn = self._unit(1 if k is None else k)
        if low != 0.0 or high != 1.0:
            drawn *= high - low
            drawn += low
        return drawn[:, 0] if k is None else drawn

    def integers(self, low: npt.ArrayLike, high: npt.ArrayLike, k: int | None = None) -> npt.NDArray[np.int64]:
        """Integers uniform in [low, high).

        Args:
            low: lower end, included; a number, or one per sample.
            high: upper end, excluded; a number, or one per sample.
            k: how many per sample; None for one, without a dimension of its own.

        Returns:
            int64, (n,) or (n, k).

        Raises:
            ValueError: if an interval is empty.
        """
        lower, upper = np.asarray(low, np.int64), np.asarray(high, np.int64)
        width = upper - lower
        if (width < 1).any():
            raise ValueError(f"integers: expected low < high, got {lower} and {upper}")
        if k is not None and width.ndim:
            width = width[:, None]
        if k is not None and lower.ndim:
            lower = lower[:, None]
        unit = self._unit(1 if k is None else k)
        drawn = np.minimum((unit[:, 0] if k is None else unit) * width, width - 1).astype(np.int64)
        return np.asarray(lower + drawn, np.int64)

    def normal(self, k: int | None = None) -> npt.NDArray[np.float64]:
        """Standard normal numbers, by the Box-Muller transform.

        Args:
            k: how many per sample; None for one, without a dimension of its own.

        Returns:
            float64, (n,) or (n, k).
        """
        count = 1 if k is None else k
        unit = self._unit(2 * count)
        radius = np.sqrt(-2.0 * np.log1p(-unit[:, :count]))
        drawn = radius * np.cos(2.0 * np.pi * unit[:, count:])
        return drawn[:, 0] if k is None else drawn

    def gamma(self, shape: float, k: int | None = None) -> npt.NDArray[np.float64]:
        """Numbers of the gamma distribution with scale 1, by rejection (twelve attempts, of which 95 % succeed each).

        Args:
            shape: > 0.
            k: how many per sample; None for one, without a dimension of its own.

        Returns:
            float64, (n,) or (n, k).

        Raises:
            ValueError: if `shape` is not positive.

        Source: Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000.
        """
        drawn = np.exp(self._log_gamma(shape, 1 if k is None else k))
        return drawn[:, 0] if k is None else drawn

    def beta(self, a: float, b: float, k: int | None = None) -> npt.NDArray[np.float64]:
        """Numbers of the beta distribution, X / (X + Y) with X of gamma(a) and Y of gamma(b).

        Args:
            a: > 0.
            b: > 0.
            k: how many per sample; None for one, without a dimension of its own.

        Returns:
            float64, (n,) or (n, k).

        Raises:
            ValueError: if `a` or `b` is not positive.
        """
        count = 1 if k is None else k
        difference = self._log_gamma(b, count) - self._log_gamma(a, count)
        drawn = np.exp(-np.logaddexp(0.0, difference))
        return drawn[:, 0] if k is None else drawn

    def _log_gamma(self, shape: float, count: int) -> npt.NDArray[np.float64]:
        """Logarithms of gamma variables, which for small shapes are too small themselves, (samples, count)."""
        if not 0 < shape < np.inf:
            raise ValueError(f"SampleGenerator: expected a positive shape, got {shape!r}")
        d = (shape if shape >= 1 else shape + 1) - 1 / 3
        normal = self.normal(_GAMMA_ATTEMPTS * count)
        uniform = 1.0 - self._unit(_GAMMA_ATTEMPTS * count)
        base = 1 + normal / np.sqrt(9 * d)
        cube = np.where(base > 0, base, 1.0) ** 3
        fits = (base > 0) & (np.log(uniform) < normal**2 / 2 + d - d * cube + d * np.log(cube))
        attempts = (len(self), count, _GAMMA_ATTEMPTS)
        first = np.argmax(fits.reshape(attempts), axis=2, keepdims=True)
        logs = np.log(d * np.take_along_axis(cube.reshape(attempts), first, axis=2)[:, :, 0])
        if shape >= 1:
            return logs
        # gamma(shape) = gamma(shape + 1) u^(1 / shape)
        return np.asarray(logs + np.log(1.0 - self._unit(count)) / shape)

    def bernoulli(self, p: npt.ArrayLike = 0.5) -> npt.NDArray[np.bool_]:
        """For each sample, True with probability `p`, a number or one per sample.

        Returns:
            bool, (n,).
        """
        return np.asarray(self.uniform() < np.asarray(p))


def generator_for(generator: Any) -> Generator:
    """The generator to draw from: the given one, or the default one for None.

    Raises:
        TypeError: if it is something else.
    """
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"expected a fastnn.Generator, got {type(generator).__name__}")
    return generator
