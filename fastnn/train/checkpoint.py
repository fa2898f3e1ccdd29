"""Checkpoints: folders that appear whole or not at all.

A checkpoint is a folder of these files:

    model.safetensors       parameters and buffers under their own names, readable by any safetensors reader
    optimizer.safetensors   state and hyperparameters of the optimiser
    callbacks.safetensors   what callbacks keep beside JSON values, such as averaged weights; only if they do
    training.json           counters, schedule, generators, loader, callbacks, history, configuration, versions, and the
                            checksum of all that

The first two depend on the training alone, never on clocks, so equal trainings give equal bytes. A folder is
written under a temporary name, flushed to the disk and renamed; then the symbolic links `best` and `last` are
replaced, each in one step. Whenever the process is killed, both links lead to whole checkpoints.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import cpu
from .._version import __version__
from ..serialization import load, naming, save
from .callbacks import Callback, StepResult, check_mode, improved, monitored
from .files import json_text, read_json, write_json

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["MODEL_FILE", "Checkpoints", "read_checkpoint", "write_checkpoint"]

MODEL_FILE, OPTIMIZER_FILE, TRAINING_FILE = "model.safetensors", "optimizer.safetensors", "training.json"
CALLBACKS_FILE = "callbacks.safetensors"
_PART = ".part"


def write_checkpoint(root: str | Path, name: str, state: Mapping[str, Any], links: Iterable[str] = ("last",)) -> Path:
    """Write a checkpoint below `root`, let links point to it, and remove checkpoints without a link.

    Args:
        root: the folder of the checkpoints; made if missing.
        name: of the new folder; if there is one of that name, a number is added.
        state: what `Trainer.state_dict` gives; further entries of JSON values go to training.json as well.
        links: names of the links, replaced in this order.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: if something cannot be written; links and the checkpoints they lead to are then as before.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    remove_unlinked(root)
    folder = _unused(root, name)
    part = root / f".{folder.name}.{secrets.token_hex(4)}{_PART}"
    try:
        part.mkdir()
        save(state["model"], part / MODEL_FILE)
        save(state["optimizer"], part / OPTIMIZER_FILE)
        if state.get("callbacks"):
            save(state["callbacks"], part / CALLBACKS_FILE)
        rest = {key: value for key, value in state.items() if key not in ("model", "optimizer", "callbacks")}
        rest["files"] = sorted(path.name for path in part.iterdir())
        write_json(part / TRAINING_FILE, {**rest, "sha256": _checksum(rest)}, strict=False)
        part.replace(folder)
        _flush(root)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise naming(error, folder) from None
        raise
    for link in links:
        _point(root / link, folder.name)
    remove_unlinked(root)
    return folder


def read_checkpoint(folder: str | Path, *, optimizer: bool = True) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote.

    Args:
        folder: the checkpoint's folder, or a link to it.
        optimizer: whether to read the optimiser's state too.

    Returns:
        "model", "optimizer" (if wanted, and "callbacks" if they kept Tensors), "training" and the further entries.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if a file is damaged.
    """
    # The link is followed once, so that all files come from one checkpoint while a training goes on.
    folder = Path(folder).resolve()
    state = read_json(folder / TRAINING_FILE)
    # Both are missing in checkpoints of earlier versions.
    checksum, files = state.pop("sha256", None), state.get("files", ())
    if checksum is not None and checksum != _checksum(state):
        raise ValueError(f"{folder / TRAINING_FILE} is damaged: its checksum does not match")
    for name in files:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"the checkpoint {folder} lacks {name}")
    state.pop("files", None)
    state["model"] = load(folder / MODEL_FILE)
    if optimizer:
        state["optimizer"] = load(folder / OPTIMIZER_FILE)
        if (folder / CALLBACKS_FILE).exists():
            state["callbacks"] = load(folder / CALLBACKS_FILE)
    return state


def _checksum(values: Mapping[str, Any]) -> str:
    """Over the values as JSON has them, so that what is read back has that of what was written."""
    return hashlib.sha256(json_text(values, strict=False).encode()).hexdigest()


def remove_unlinked(root: Path) -> None:
    """Remove checkpoints that no link leads to, and what killed processes left half-written."""
    linked = {os.readlink(entry) for entry in root.iterdir() if entry.is_symlink()}
    for entry in root.iterdir():
        ours = entry.name.endswith(_PART) or (entry / TRAINING_FILE).is_file()
        if entry.name in linked or not ours:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name.endswith(_PART):
            entry.unlink(missing_ok=True)


def _unused(root: Path, name: str) -> Path:
    folder, number = root / name, 1
    while folder.exists():
        number += 1
        folder = root / f"{name}-{number}"
    return folder


def _point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to its neighbour `target`, in one step."""
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(4)}{_PART}")
    temporary.symlink_to(target)
    temporary.replace(link)
    _flush(link.parent)


def _flush(folder: Path) -> None:
    """Have the folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Checkpoints(Callback):
    """Writes a checkpoint at the end of every epoch, and if asked for every n steps.

    The links `last` and `best` in the folder lead to the newest checkpoint and to that of the best epoch; others
    are removed.

    Args:
        folder: where to; made if missing.
        every_steps: also write after every n-th step, or None.
        monitor: the metric in the epoch's record that decides what is best; None keeps `last` alone.
        mode: "max" if larger is better, "min" if smaller is. Of equal epochs the first is best.
        config: JSON values to keep with every checkpoint.

    Raises:
        ValueError: for another mode, `every_steps` below 1, or while training, a metric that is not recorded.
    """

    runs_last = True

    def __init__(
        self,
        folder: str | Path,
        *,
        every_steps: int | None = None,
        monitor: str | None = "test_accuracy",
        mode: Literal["min", "max"] = "max",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        check_mode("Checkpoints", mode)
        if every_steps is not None and every_steps < 1:
            raise ValueError(f"Checkpoints: expected every_steps >= 1 or None, got {every_steps}")
        self.folder = Path(folder)
        self.every_steps, self.monitor, self.mode = every_steps, monitor, mode
        self.config = dict(config or {})
        self.best: float | None = None

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if self.every_steps is not None and result.step % self.every_steps == 0:
            self._write(trainer, f"epoch-{trainer.epoch + 1:04d}-batch-{result.batch:06d}", ("last",))

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        links = ["last"]
        if self.monitor is not None and not trainer.evaluation_skipped:
            value = monitored("Checkpoints", record, self.monitor)
            if improved(value, self.best, self.mode):
                self.best = value
                # Before `last`: killed in between, a resumed run repeats the epoch and finds it best again.
                links.insert(0, "best")
        self._write(trainer, f"epoch-{trainer.epoch:04d}", links)

    def _write(self, trainer: Trainer, name: str, links: Iterable[str]) -> None:
        entries = {"config": self.config, "versions": versions()}
        write_checkpoint(self.folder, name, {**trainer.state_dict(), **entries}, links)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]


def versions() -> dict[str, Any]:
    """What computed a checkpoint. The level matters for the last bits of results, the thread count does not."""
    return {
        "fastnn": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "level": cpu.level(),
        "threads": cpu.get_num_threads(),
    }
