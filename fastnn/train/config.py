"""What describes a training run: every setting that its result depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.catalogue import ImageDataset
from .defaults import DATASETS, OPTIMIZERS

__all__ = ["PREPROCESSING", "SCHEDULES", "Config", "DataFacts"]

PREPROCESSING = ("standardize", "center", "mean-image", "zca")
SCHEDULES = ("onecycle", "cosine", "linear", "step", "exponential", "constant")
_STATISTICS_ROWS = 10_000


@dataclass(frozen=True)
class Config:
    """The settings of a run. Together with the data and the processor level they decide every bit of the result.

    Args:
        dataset: a name that `fastnn.data.load` knows.
        data_dir: the folder of its files; None for the embedded digits.
        image_size: the height and width to bring the images of a folder to, or None.
        classes: names of the classes to train on, which alone are looked at, see `fastnn.data.ClassSubset`; None for
            all.
        model: a name that `fastnn.models.create` knows.
        epochs: passes over the training images.
        batch_size: images in a step.
        optimizer: a name in `fastnn.train.defaults.OPTIMIZERS`; "nesterov" is SGD with Nesterov momentum.
        lr: learning rate, the highest that the schedule reaches.
        momentum: for SGD and RMSprop, None for others.
        weight_decay: λ, see the optimiser.
        schedule: one of `SCHEDULES`, see `make_schedule`.
        augment: one of `fastnn.transforms.AUGMENTATIONS`.
        preprocess: one of `PREPROCESSING`: by mean and deviation of each channel, by its mean, by the mean image, or
            ZCA whitening; statistics are those of the training images alone.
        label_smoothing: share of the uniform distribution in the targets, in training alone.
        seed: of initial weights, order of the images, augmentation and dropout.
        checkpoint_every: steps between checkpoints within an epoch; None writes them at its end alone.
        autocast: whether layers multiply in bfloat16, see `fastnn.autocast`; what forms the products
            (`fastnn.backends.bf16.unit`) then decides bits, too.

    Raises:
        ValueError: naming the setting, if one is impossible.

    Example:
        >>> config = Config.create("mnist", data_dir="data", epochs=2)
        >>> config.model, config.epochs, config.optimizer
        ('lenet5', 2, 'nesterov')
    """

    dataset: str
    data_dir: str | None
    image_size: int | None
    classes: tuple[str, ...] | None
    model: str
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    momentum: float | None
    weight_decay: float
    schedule: str
    augment: str
    preprocess: str
    label_smoothing: float
    seed: int
    checkpoint_every: int | None
    autocast: bool

    @classmethod
    def create(cls, dataset: str, *, data_dir: str | None = None, seed: int = 0, **chosen: Any) -> Config:
        """A configuration with the dataset's defaults for whatever is not chosen.

        Args:
            dataset: a name in `fastnn.train.defaults.DATASETS`.
            data_dir: see `Config`.
            seed: see `Config`.
            **chosen: other fields of `Config`; None means the default.

        Raises:
            ValueError: for an unknown dataset or field, or an impossible value.
        """
        if dataset not in DATASETS:
            raise ValueError(f"expected dataset to be one of {', '.join(DATASETS)}, got {dataset!r}")
        unknown = set(chosen) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"Config.create: unknown settings {', '.join(sorted(unknown))}")
        given = {name: value for name, value in chosen.items() if value is not None}
        common: dict[str, Any] = {"image_size": None, "classes": None, "checkpoint_every": None}
        common |= {"preprocess": "standardize", "autocast": False}
        settings: dict[str, Any] = common | asdict(DATASETS[dataset])
        optimizer = given.get("optimizer", settings["optimizer"])
        if optimizer != settings["optimizer"] and optimizer in OPTIMIZERS:
            settings |= asdict(OPTIMIZERS[optimizer])
        return cls(dataset=dataset, data_dir=data_dir, seed=seed, **(settings | given))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The configuration that `dataclasses.asdict` made `values` of.

        Raises:
            ValueError: if a setting is missing, unknown or impossible.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            different = ", ".join(sorted(set(values) ^ names))
            raise ValueError(f"Config.from_dict: missing or unknown settings: {different}")
        classes = values["classes"]
        return cls(**{**values, "classes": None if classes is None else tuple(classes)})

    def __post_init__(self) -> None:
        _check_choice("optimizer", self.optimizer, tuple(OPTIMIZERS))
        _check_choice("schedule", self.schedule, SCHEDULES)
        _check_choice("preprocess", self.preprocess, PREPROCESSING)
        for name in ("epochs", "batch_size", "image_size", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"expected {name} >= 1, got {value}")
        for name in ("lr", "weight_decay", "label_smoothing", "momentum"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"expected {name} to be a finite number >= 0, got {value}")
        if self.label_smoothing > 1 or (self.momentum or 0) >= 1:
            raise ValueError(
                f"expected label_smoothing <= 1 and momentum < 1, got {self.label_smoothing} and {self.momentum}"
            )
        if self.momentum is not None and OPTIMIZERS[self.optimizer].momentum is None:
            raise ValueError(f"the optimizer {self.optimizer} has no momentum, got momentum {self.momentum}")
        if self.optimizer == "nesterov" and not self.momentum:
            raise ValueError(f"the optimizer nesterov needs momentum > 0, got {self.momentum}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"expected seed from 0 to 2**64 - 1, got {self.seed}")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"expected {name} to be one of {', '.join(choices)}, got {value!r}")


def statistics_images(dataset: ImageDataset) -> npt.NDArray[np.uint8]:
    """The training images that statistics are taken of: at most 10,000, evenly spread, (N, H, W, C)."""
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _STATISTICS_ROWS)).astype(np.int64))
    images: npt.NDArray[np.uint8] = dataset.batch(rows)[0]
    return images


@dataclass(frozen=True)
class DataFacts:
    """What a network has to know of its training data.

    Attributes:
        height: of the images.
        width: of the images.
        channels: 1 or 3.
        classes: their names.
        rows: number of training images.
        mean: mean of each channel, pixels in [0, 1].
        std: standard deviation of each channel.
    """

    height: int
    width: int
    channels: int
    classes: tuple[str, ...]
    rows: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, dataset: ImageDataset) -> DataFacts:
        """Look at a training set; the statistics are those of at most 10,000 images, evenly spread.

        A channel that is constant gets the deviation 1, so that it can be divided by.

        Raises:
            ValueError: if the dataset is empty.
        """
        if not len(dataset):
            raise ValueError("the training part of the dataset is empty")
        images = statistics_images(dataset)
        _, height, width, channels = images.shape
        means, deviations = [], []
        for channel in range(channels):
            # Exact in integers, so that the sums do not depend on an order of addition.
            counts = np.bincount(images[..., channel].reshape(-1), minlength=256)
            values, total = np.arange(256), int(counts.sum())
            mean = int(counts @ values) / total
            variance = int(counts @ values**2) / total - mean**2
            means.append(mean / 255)
            deviations.append(math.sqrt(variance) / 255 if variance > 0 else 1.0)
        return cls(height, width, channels, tuple(dataset.classes), len(dataset), tuple(means), tuple(deviations))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataFacts:
        """The facts that `dataclasses.asdict` made `values` of, as JSON gives them back.

        Raises:
            ValueError: if a fact is missing or unknown.
        """
        names = [field.name for field in fields(cls)]
        if set(values) != set(names):
            raise ValueError(f"DataFacts.from_dict: expected {', '.join(names)}, got {', '.join(values)}")
        return cls(
            height=int(values["height"]),
            width=int(values["width"]),
            channels=int(values["channels"]),
            classes=tuple(str(name) for name in values["classes"]),
            rows=int(values["rows"]),
            mean=tuple(float(mean) for mean in values["mean"]),
            std=tuple(float(std) for std in values["std"]),
        )
