"""A run and its folder: everything that `fastnn train` makes, and what `fastnn eval` and `predict` read.

The folder of a run holds

    config.json      the settings, what was changed of a recipe, and what the network has to know of the data
    preprocessing.safetensors  training statistics, unless they are those in config.json
    metrics.jsonl    a line per epoch
    checkpoints/     `last` and `best`, see `fastnn.train.checkpoint`
    snapshots/       the networks at the ends of the cycles, with the setting `snapshots`
    curves.png       learning curves
    mistakes.png     test images that the network gets wrong, the surest first
    result.json      the summary that `fastnn train --json` prints
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import cpu, memory, preprocessing, recipes
from .._version import __version__
from ..autograd import Tensor
from ..data import ClassSubset, load
from ..data.catalogue import ImageDataset
from ..nn import CrossEntropyLoss, Module
from ..transforms import view_set
from .build import (
    make_averaging,
    make_freeze,
    make_loaders,
    make_model,
    make_optimizer,
    make_preprocessor,
    make_schedule,
    make_snapshots,
    plain_transform,
)  # fmt: skip
from .callbacks import LearningRateMonitor, MetricsWriter
from .checkpoint import MODEL_FILE, Checkpoints, read_checkpoint
from .config import Config, DataFacts, steps_of
from .evaluation import evaluate
from .files import read_json, write_json
from .plots import Plots
from .predictor import Predictor
from .progress import Progress
from .trainer import Trainer

__all__ = [
    "CHECKPOINTS", "SNAPSHOTS", "Run", "load_datasets", "load_model", "load_preprocessor", "name_of", "new_folder",
    "read_config",
]  # fmt: skip

CONFIG_FILE, METRICS_FILE, RESULT_FILE, CHECKPOINTS = "config.json", "metrics.jsonl", "result.json", "checkpoints"
PREPROCESSING_FILE, SNAPSHOTS = "preprocessing.safetensors", "snapshots"
_RATES_KEPT = 1000
_FITTED_IMAGES = 5000


class Run:
    """A training run with its folder.

    Args:
        config: the settings.
        folder: the run's folder; made if missing. A folder that holds a run already is refused. By default
            `runs/<recipe>-<n>`, or `runs/<dataset>-<model>-<n>` without a recipe, with the smallest n that is free.

    Attributes:
        model: the network.
        trainer: its `Trainer`, with callbacks for metrics, checkpoints, plots and progress once `fit` runs.
        facts: what the network has to know of the data.

    Raises:
        ValueError: if a setting is impossible, or the data are damaged.
        FileNotFoundError: if the data are not there.
        FileExistsError: if the folder holds a run.
        OSError: if the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = Run(Config.create("digits", model="mlp", epochs=1), folder)
        ...     result = run.fit(quiet=True)
        ...     result["epochs"], sorted(path.name for path in Path(folder).iterdir())[:2]
        (1, ['checkpoints', 'config.json'])
    """

    def __init__(self, config: Config, folder: str | Path | None = None) -> None:
        if folder is not None and (Path(folder) / CONFIG_FILE).exists():
            raise FileExistsError(f"{folder} holds a run already; resume it or choose another folder")
        self._prepare(config)
        self._fit_model()
        if folder is None:
            self.folder = new_folder("runs", name_of(config))
        else:
            self.folder = Path(folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        if self.preprocessor is not None:
            self.preprocessor.save(self.folder / PREPROCESSING_FILE)
        changed = recipes.find(config.recipe).changes(asdict(config)) if config.recipe else {}
        description = {
            "config": asdict(config), "changed": changed, "data": asdict(self.facts), "fastnn": __version__
        }  # fmt: skip
        write_json(self.folder / CONFIG_FILE, description)
        self.trainer = self._make_trainer()

    @classmethod
    def resume(cls, folder: str | Path, data_dir: str | None = None) -> Run:
        """Go on with an interrupted run from its last checkpoint, or from the start if there is none yet.

        Args:
            folder: the run's folder.
            data_dir: where the data are now, if they were moved.

        Raises:
            FileNotFoundError: if the folder holds no run, or the data are not there.
            ValueError: if a file is damaged, or the data are not those of the run.
        """
        run = cls.__new__(cls)
        run.folder = Path(folder)
        config, facts = read_config(run.folder)
        run._prepare(config, data_dir, load_preprocessor(run.folder, config))
        if run.facts != facts:
            raise ValueError(f"the data are not those that the run {folder} was started with")
        run.trainer = run._make_trainer()
        last = run.folder / CHECKPOINTS / "last"
        if last.is_symlink() or last.exists():
            state = read_checkpoint(last)
            if Config.from_dict(state["config"]) != config:
                raise ValueError(f"{run.folder / CONFIG_FILE} is damaged: its settings are not those of {last}")
            run.trainer.load_state_dict(state)
        else:
            run._fit_model()
        return run

    def _prepare(
        self, config: Config, data_dir: str | None = None, preprocessor: preprocessing.Preprocessor | None = None
    ) -> None:
        """Load the data and build the network and the loaders; nothing is written."""
        self.config = config
        self.train_data, self.test_data = load_datasets(config, data_dir)
        self.facts = DataFacts.of(self.train_data)
        self.model = make_model(config, self.facts)
        self._freeze = make_freeze(config, self.model)
        self.preprocessor = preprocessor or make_preprocessor(config, self.train_data)
        self.train_loader, self.test_loader = make_loaders(
            config, self.facts, self.train_data, self.test_data, self.preprocessor
        )

    def _fit_model(self) -> None:
        """Give the network the weights it begins with: trained ones, or what some training images show it."""
        if self.config.init is not None:
            from ..transfer import load_backbone

            load_backbone(self.model, self.config.init)
            if hasattr(self.model, "fix_patches"):
                self.model.fix_patches()
            return
        if not hasattr(self.model, "fit_patches"):
            return
        images, _ = self.train_data.batch(np.arange(min(len(self.train_data), _FITTED_IMAGES)))
        prepared = plain_transform(self.facts, self.preprocessor)(images)
        self.model.fit_patches(Tensor(prepared.transpose(0, 3, 1, 2)))

    def _make_trainer(self) -> Trainer:
        config = self.config
        optimizer = make_optimizer(config, self.model)
        per_epoch = len(self.train_loader)
        total = steps_of(config.epochs, per_epoch)
        rates = LearningRateMonitor(every=-(-total // _RATES_KEPT))
        self._progress = Progress()
        smoothing = config.label_smoothing
        label = f"train (label smoothing {smoothing:g})" if smoothing else "train"
        self._plots = Plots(self.folder, self.test_data, self.test_loader, rates, label)
        checkpoints = Checkpoints(self.folder / CHECKPOINTS, every_steps=config.checkpoint_every, config=asdict(config))
        return Trainer(
            self.model,
            optimizer,
            CrossEntropyLoss(label_smoothing=smoothing),
            make_schedule(config, optimizer, per_epoch),
            [
                *self._freeze,
                *make_snapshots(config, self.folder / SNAPSHOTS, per_epoch),
                *make_averaging(config, per_epoch),
                rates,
                MetricsWriter(self.folder / METRICS_FILE),
                checkpoints,
                self._progress,
                self._plots,
            ],
            schedule_every="step",
            eval_loss=CrossEntropyLoss(),
            clip_norm=config.clip_norm,
            autocast=config.autocast,
            evaluate_every=config.evaluate_every,
        )

    @property
    def notice(self) -> str | None:
        """What was left out, in one line: plots without matplotlib; None if nothing was."""
        return self._plots.notice

    def fit(self, quiet: bool = False) -> dict[str, Any]:
        """Train until the run is complete; of a complete one only the summary is read.

        Args:
            quiet: show no progress.

        Returns:
            The summary, which is also written to `result.json`: what it says of threads, memory and time is that of
            the process that completed the run.

        Raises:
            DivergedError: if the loss stops being finite.
            OSError: if something cannot be written; the last checkpoint stays whole.
        """
        self._progress.quiet = quiet
        written = self.folder / RESULT_FILE
        if self.trainer.epoch >= self.config.epochs and written.exists():
            return read_json(written)
        # Of an interrupted run what its completed epochs took counts, too.
        before = sum(record["seconds"] + record["eval_seconds"] for record in self.trainer.history)
        start = time.perf_counter() - before
        self.trainer.fit(self.train_loader, self.test_loader, self.config.epochs)
        result = self.result() | self._evaluate_views() | {"wall_seconds": time.perf_counter() - start}
        write_json(written, result)
        return result

    def _evaluate_views(self) -> dict[str, Any]:
        """Accuracy and loss of the mean of the outputs for several views of each test image, if that is wanted."""
        views = view_set(self.config.views, (self.facts.height, self.facts.width))
        if views is None:
            return {}
        scores = evaluate(Predictor(self.model, combine="logits", views=views), self.test_loader, CrossEntropyLoss())
        return {f"test_{name}_views": value for name, value in scores.items()}

    def result(self) -> dict[str, Any]:
        """The summary of the epochs so far."""
        history, config = self.trainer.history, self.config
        last: dict[str, Any] = history[-1] if history else {}
        evaluated = [record for record in history if "test_accuracy" in record]
        best = max(evaluated, key=lambda record: record["test_accuracy"], default=last)
        seconds = sum(record["seconds"] for record in history)
        images = sum(record["images"] for record in history)
        steps = last.get("step", 0)
        unaveraged = {name: value for name, value in last.items() if name.endswith("_unaveraged")}
        return {
            "recipe": config.recipe,
            "dataset": config.dataset,
            "model": config.model,
            "epochs": min(self.trainer.epoch, config.epochs),
            "steps": steps,
            "batch_size": config.batch_size,
            "params": sum(parameter.numel() for parameter in self.model.parameters()),
            "seed": config.seed,
            "threads": cpu.get_num_threads(),
            "level": cpu.level(),
            "processor": cpu.processor(),
            "test_accuracy": last.get("test_accuracy"),
            "test_loss": last.get("test_loss"),
            **unaveraged,
            "best_test_accuracy": best.get("test_accuracy"),
            "best_epoch": best.get("epoch"),
            "train_accuracy": last.get("train_accuracy"),
            "train_loss": last.get("train_loss"),
            "train_seconds": seconds,
            "images_per_second": images / seconds if seconds else None,
            "steps_per_second": steps / seconds if seconds else None,
            "peak_memory_bytes": memory.peak_resident_bytes(),
            "checkpoint": str(self.folder / CHECKPOINTS / "last" / MODEL_FILE),
            "run": str(self.folder),
            "fastnn": __version__,
        }


def load_datasets(config: Config, data_dir: str | None = None) -> tuple[ImageDataset, ImageDataset]:
    """The training and the test part that a configuration names.

    Args:
        config: the settings.
        data_dir: where the data are, if not where the configuration says.

    Raises:
        FileNotFoundError: if they are not there.
        ValueError: if they are damaged.
    """
    size = config.image_size if config.dataset == "folder" else None
    try:
        train, test = load(config.dataset, data_dir or config.data_dir, size)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; --data-dir (data_dir in Python) says where the data are") from None
    if config.classes is None:
        return train, test
    return ClassSubset(train, config.classes), ClassSubset(test, config.classes)


def name_of(config: Config) -> str:
    """What folders of runs with these settings are called: the recipe, or dataset and model."""
    if config.recipe is not None:
        return config.recipe
    source = Path(config.data_dir or "").resolve().name if config.dataset == "folder" else config.dataset
    return f"{source}-{config.model}"


def new_folder(root: str | Path, name: str) -> Path:
    """Make the folder `root/name-n` with the smallest n >= 1 that is free.

    Raises:
        OSError: if it cannot be made.
    """
    Path(root).mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = Path(root) / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def read_config(folder: str | Path) -> tuple[Config, DataFacts]:
    """The settings of a run and what its network knows of the data.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if the file is damaged.
    """
    path = Path(folder) / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no run: there is no {CONFIG_FILE}")
    try:
        content = read_json(path)
        return Config.from_dict(content["config"]), DataFacts.from_dict(content["data"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def load_preprocessor(folder: str | Path, config: Config) -> preprocessing.Preprocessor | None:
    """What a run preprocesses images with, fitted to its training images; None for the statistics in its settings.

    Raises:
        FileNotFoundError: if its file is missing.
        ValueError: if that is damaged.
    """
    if config.preprocess == "standardize":
        return None
    return preprocessing.load(Path(folder) / PREPROCESSING_FILE)


def load_model(folder: str | Path, checkpoint: str = "last") -> tuple[Module, Config, DataFacts]:
    """The network of a run with the weights of a checkpoint, in evaluation mode.

    Args:
        folder: the run's folder.
        checkpoint: "last" or "best".

    Raises:
        FileNotFoundError: if there is no such run or checkpoint.
        ValueError: if a file is damaged.
    """
    config, facts = read_config(folder)
    path = Path(folder) / CHECKPOINTS / checkpoint
    if not (path.is_symlink() or path.exists()):
        raise FileNotFoundError(f"{folder} has no checkpoint {checkpoint!r} yet")
    model = make_model(config, facts)
    model.load_state_dict(read_checkpoint(path, optimizer=False)["model"])
    return model.eval(), config, facts
