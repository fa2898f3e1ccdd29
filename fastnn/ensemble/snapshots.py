"""Several models for the price of one: snapshots of a cyclic training, and averages of checkpoints."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn import Module
from ..optim import Optimizer
from ..optim.lr_scheduler import CosineAnnealingWarmRestarts
from ..serialization import load, save
from ..train.callbacks import Callback, StepResult
from ..train.checkpoint import MODEL_FILE
from ..train.predictor import Combine, Predictor

if TYPE_CHECKING:
    from ..train.trainer import Trainer
    from ..transforms import Views

__all__ = ["Snapshots", "average_checkpoints", "average_states", "snapshot_schedule"]


def snapshot_schedule(optimizer: Optimizer, steps: int, cycles: int) -> CosineAnnealingWarmRestarts:
    """The cyclic schedule of snapshot ensembles: `η(t) = η₀/2 (cos(π mod(t - 1, c) / c) + 1)`, `c = ⌈steps / cycles⌉`.

    Args:
        optimizer: the optimiser, whose rate is η₀; step the schedule after every step of it.
        steps: of the whole training.
        cycles: how many snapshots it is to give.

    Raises:
        ValueError: if `steps` or `cycles` is less than 1.

    Source: Huang et al., "Snapshot ensembles: train 1, get M for free", ICLR 2017, equation 2.
    """
    if steps < 1 or cycles < 1:
        raise ValueError(f"snapshot_schedule: expected steps and cycles >= 1, got {steps} and {cycles}")
    return CosineAnnealingWarmRestarts(optimizer, math.ceil(steps / cycles))


class Snapshots(Callback):
    """Keeps the model at the end of every cycle of a cyclic schedule, where its learning rate is lowest.

    Each snapshot is a file of its own, so that memory does not grow and an interrupted training goes on.

    Args:
        folder: where to; made if missing.
        cycle: steps in a cycle.
        steps: of the whole training, the last of which ends a cycle, too, be it shorter; None if it needs no mention.

    Attributes:
        names: the files written, oldest first.

    Raises:
        ValueError: if `cycle` is less than 1.

    Source: Huang et al., "Snapshot ensembles: train 1, get M for free", ICLR 2017.

    Example:
        >>> import tempfile
        >>> from fastnn import data, models, nn, optim
        >>> from fastnn.train import Trainer
        >>> model = models.create("mlp", 10, 1, 8)
        >>> optimizer = optim.SGD(model.parameters(), lr=0.1)
        >>> loader = data.DataLoader(data.Digits(), 64, shuffle=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     snapshots = Snapshots(folder, len(loader))
        ...     schedule = snapshot_schedule(optimizer, 3 * len(loader), 3)
        ...     _ = Trainer(
        ...         model, optimizer, nn.CrossEntropyLoss(), schedule, [snapshots], schedule_every="step"
        ...     ).fit(loader, epochs=3)
        ...     len(snapshots.predictor(model, last=2).models)
        2
    """

    def __init__(self, folder: str | Path, cycle: int, steps: int | None = None) -> None:
        if cycle < 1:
            raise ValueError(f"Snapshots: expected cycle >= 1, got {cycle}")
        self.folder, self.cycle, self.steps = Path(folder), cycle, steps
        self.names: list[str] = []

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if result.step % self.cycle == 0 or result.step == self.steps:
            name = f"snapshot-{math.ceil(result.step / self.cycle):04d}.safetensors"
            self.folder.mkdir(parents=True, exist_ok=True)
            save(trainer.model.state_dict(), self.folder / name)
            self.names.append(name)

    def models(self, model: Module, last: int | None = None) -> list[Module]:
        """The snapshots as copies of a model.

        Args:
            model: gives the network; it is not changed.
            last: how many, the newest; by default all.

        Raises:
            ValueError: if there is no snapshot, or `last` is less than 1.
        """
        if not self.names or (last is not None and last < 1):
            raise ValueError(f"Snapshots: expected a snapshot and last >= 1, got {len(self.names)} and {last}")
        found = []
        for name in self.names[-last:] if last is not None else self.names:
            each = copy.deepcopy(model)
            each.load_state_dict(load(self.folder / name))
            found.append(each.eval())
        return found

    def predictor(
        self,
        model: Module,
        last: int | None = None,
        combine: Combine = "probabilities",
        views: Views | None = None,
    ) -> Predictor:
        """The newest snapshots as one predictor; the paper averages probabilities."""
        return Predictor(self.models(model, last), combine=combine, views=views)

    def state_dict(self) -> dict[str, Any]:
        return {"names": list(self.names)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.names = list(state["names"])


def average_states(states: Iterable[Mapping[str, Any]], weights: Sequence[float] | None = None) -> dict[str, Tensor]:
    """The weighted mean of state dicts of one architecture: `w̄ = Σ aᵢ wᵢ / Σ aᵢ`, value by value.

    Means are taken in float64. Values that are not floating, such as counters, come from the last state. The running
    statistics of batch norms belong to the weights they were gathered with; `fastnn.train.update_bn` gathers those of
    the average.

    Args:
        states: state dicts, such as `Module.state_dict()` or `fastnn.load` gives.
        weights: a ≥ 0, one per state; None for equal ones.

    Returns:
        A state dict of new Tensors, in the dtypes of the last one.

    Raises:
        ValueError: if there is no state, names or shapes differ, or the weights do not suit.

    Source: Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992; of checkpoints: Vaswani et
    al. 2017, section 6.1.

    Example:
        >>> average_states([{"w": fastnn.tensor([0.0, 2.0])}, {"w": fastnn.tensor([1.0, 2.0])}])["w"].tolist()
        [0.5, 2.0]
    """
    given = [{name: np.asarray(value) for name, value in state.items()} for state in states]
    shares = [1.0] * len(given) if weights is None else [float(weight) for weight in weights]
    total = math.fsum(shares)
    if not given or len(shares) != len(given) or min(shares) < 0 or not 0 < total < math.inf:
        raise ValueError(
            f"average_states: expected at least one state and a weight >= 0 for each, got {len(given)} and {weights!r}"
        )
    shapes = [{name: value.shape for name, value in state.items()} for state in given]
    for number, each in enumerate(shapes):
        if each != shapes[-1]:
            odd = sorted(name for name in each.keys() | shapes[-1].keys() if each.get(name) != shapes[-1].get(name))
            raise ValueError(f"average_states: state {number} and the last differ in {', '.join(odd)}")
    result = {}
    for name, last in given[-1].items():
        mean: npt.NDArray[Any] = last.copy()
        if last.dtype.kind == "f":
            summed = sum(share * state[name].astype(np.float64) for share, state in zip(shares, given, strict=True))
            mean = np.asarray(summed / total).astype(last.dtype)
        result[name] = Tensor(mean)
    return result


def average_checkpoints(paths: Iterable[str | Path], weights: Sequence[float] | None = None) -> dict[str, Tensor]:
    """`average_states` of the models in checkpoints.

    Args:
        paths: checkpoint folders, as `fastnn.train.Checkpoints` writes them, or files that `fastnn.save` wrote.
        weights: see `average_states`.

    Raises:
        FileNotFoundError: if one does not exist.
        ValueError: if a file is damaged, or they do not suit each other.
    """
    found = [Path(path) for path in paths]
    return average_states([load(path / MODEL_FILE if path.is_dir() else path) for path in found], weights)
