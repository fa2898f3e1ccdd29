"""What describes a training run: every setting that its result depends on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.catalogue import ImageDataset
from ..transforms import AUGMENTATIONS, VIEWS
from .defaults import DATASETS, OPTIMIZERS

__all__ = ["AVERAGING", "MIXTURES", "PREPROCESSING", "SCHEDULES", "Config", "DataFacts", "steps_of"]

PREPROCESSING = ("standardize", "center", "mean-image", "zca")
SCHEDULES = ("onecycle", "cosine", "linear", "triangle", "step", "exponential", "constant", "cyclic")
AVERAGING = ("none", "ema", "swa", "lookahead")
MIXTURES = ("none", "mixup", "cutmix")
_STATISTICS_ROWS = 10_000
_BELONGING = {
    "schedule": ("lr_start", "lr_end", "snapshots"),
    "averaging": ("averaging_decay", "averaging_start"),
    "mix": ("mix_alpha",),
    "model": ("freeze",),
}
"""Settings that mean nothing, or something else, with another choice."""
_SHARES = ("label_smoothing", "warm_up", "lr_start", "lr_end", "averaging_decay", "averaging_start")
_CHOICES = {
    "optimizer": tuple(OPTIMIZERS),
    "schedule": SCHEDULES,
    "augment": AUGMENTATIONS,
    "preprocess": PREPROCESSING,
    "mix": MIXTURES,
    "averaging": AVERAGING,
    "views": VIEWS,
}


@dataclass(frozen=True)
class Config:
    """The settings of a run. Together with the data and the processor level they decide every bit of the result.

    Args:
        dataset: a name that `fastnn.data.load` knows.
        model: a name that `fastnn.models.create` knows.
        epochs: passes over the training images; the last one may be a part of one, see `steps_of`.
        batch_size: images in a step.
        optimizer: a name in `fastnn.train.defaults.OPTIMIZERS`; "nesterov" is SGD with Nesterov momentum.
        lr: learning rate, the highest that the schedule reaches.
        momentum: for SGD and RMSprop, None for others.
        weight_decay: λ, see the optimiser.
        schedule: one of `SCHEDULES`, see `make_schedule`.
        augment: one of `fastnn.transforms.AUGMENTATIONS`.
        label_smoothing: share of the uniform distribution in the targets, in training alone.
        data_dir: the folder of the dataset's files; None for the embedded digits.
        image_size: the height and width to bring the images of a folder to, or None.
        classes: names of the classes to train on, which alone are looked at, see `fastnn.data.ClassSubset`; None for
            all.
        preprocess: one of `PREPROCESSING`: by mean and deviation of each channel, by its mean, by the mean image, or
            ZCA whitening; statistics are those of the training images alone.
        drop_last: leave out the last batch of an epoch if it is smaller than the others.
        mix: one of `MIXTURES`: what mixes the images of a batch and their labels.
        mix_alpha: the share of an image in a mixture is drawn from Beta(mix_alpha, mix_alpha).
        bias_lr_factor: the biases of normalisation layers learn by `lr` times this; their weight decay is divided by
            it, so that a step shrinks them as it shrinks all others.
        decay_norms: whether weight decay shrinks the parameters of normalisation layers and all biases, too.
        clip_norm: the largest norm of all gradients together, or None.
        freeze: patterns of parameter names as `fnmatch` knows them, each for good, or from an epoch on, counted from
            0: "0.bias@3" trains the bias of the first layer for three epochs. A batch norm of which all is frozen
            stays in evaluation mode.
        warm_up: share of the run in which the rate rises, in schedules that begin so.
        lr_start: the share of `lr` that the schedule "triangle" begins with, by default 0.04; None is the default.
        lr_end: the share of `lr` that it ends with, by default 0; None is the default.
        averaging: one of `AVERAGING`, see `make_averaging`: what is evaluated and saved at the end are averages of
            the weights.
        averaging_decay: of "ema" in a step, by default 0.999, and of "lookahead" in a step at the end of the run, by
            default 0.95; None is the default.
        averaging_start: share of the run before weights join the average; None is 0.75 for "swa", 0 for others.
        snapshots: keep the network at the end of each of so many cycles of the schedule "cyclic"; None for others.
        views: one of `fastnn.transforms.VIEWS`: how images are shown in a second evaluation at the end of the run.
        evaluate_every: epochs from one evaluation to the next; after the last one there always is one.
        seed: of initial weights, order of the images, augmentation and dropout.
        checkpoint_every: steps between checkpoints within an epoch; None writes them at its end alone.
        autocast: whether layers multiply in bfloat16, see `fastnn.autocast`; what forms the products
            (`fastnn.backends.bf16.unit`) then decides bits, too.
        init: trained weights to begin with: a name in `fastnn.models.zoo`, the folder of a run, or a safetensors file,
            see `fastnn.transfer.load_backbone`; a head for other classes is left out. None begins at random.
        recipe: the name of the recipe that the settings come from, or None.

    Raises:
        ValueError: naming the setting, if one is impossible.

    Example:
        >>> config = Config.create("mnist", data_dir="data", epochs=2)
        >>> config.model, config.epochs, config.optimizer
        ('lenet5', 2, 'nesterov')
    """

    dataset: str
    model: str
    epochs: float
    batch_size: int
    optimizer: str
    lr: float
    momentum: float | None
    weight_decay: float
    schedule: str
    augment: str
    label_smoothing: float = 0.0
    data_dir: str | None = None
    image_size: int | None = None
    classes: tuple[str, ...] | None = None
    preprocess: str = "standardize"
    drop_last: bool = False
    mix: str = "none"
    mix_alpha: float = 1.0
    bias_lr_factor: float = 1.0
    decay_norms: bool = True
    clip_norm: float | None = None
    freeze: tuple[str, ...] = ()
    warm_up: float = 0.2
    lr_start: float | None = None
    lr_end: float | None = None
    averaging: str = "none"
    averaging_decay: float | None = None
    averaging_start: float | None = None
    snapshots: int | None = None
    views: str = "none"
    evaluate_every: int = 1
    seed: int = 0
    checkpoint_every: int | None = None
    autocast: bool = False
    init: str | None = None
    recipe: str | None = None

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
        base = {"dataset": dataset, "data_dir": data_dir, "seed": seed, **asdict(DATASETS[dataset])}
        return cls.derive(base, **chosen)

    @classmethod
    def derive(cls, base: Mapping[str, Any], **chosen: Any) -> Config:
        """A configuration with the settings of another description for whatever is not chosen.

        With another optimiser, learning rate, momentum and weight decay that are not chosen are its defaults; so is
        what belongs to another schedule, average, mixture or model: its ends, decay, share, frozen parameters. With
        `snapshots` the schedule is "cyclic".

        Args:
            base: settings; those that it lacks have the defaults of `Config`.
            **chosen: fields of `Config`; None means that of `base`.

        Raises:
            ValueError: for an unknown or missing field, or an impossible value.
        """
        known = {field.name for field in fields(cls)}
        unknown = (set(chosen) | set(base)) - known
        if unknown:
            raise ValueError(f"Config.create: unknown settings {', '.join(sorted(unknown))}")
        given = {name: value for name, value in chosen.items() if value is not None}
        if "snapshots" in given:
            given.setdefault("schedule", "cyclic")
        settings = dict(base)
        optimizer = given.get("optimizer", settings["optimizer"])
        if optimizer != settings["optimizer"] and optimizer in OPTIMIZERS:
            settings |= asdict(OPTIMIZERS[optimizer])
        for name, belonging in _BELONGING.items():
            if name in given and given[name] != settings.get(name):
                settings = {key: value for key, value in settings.items() if key not in belonging}
        return cls(**(settings | given))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The configuration that `dataclasses.asdict` made `values` of.

        Settings with a default may be missing, so that folders of earlier versions can be read.

        Raises:
            ValueError: if a setting is missing, unknown or impossible.
        """
        names = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        different = sorted((set(values) - names) | (needed - set(values)))
        if different:
            raise ValueError(f"Config.from_dict: missing or unknown settings: {', '.join(different)}")
        return cls(**values)

    def __post_init__(self) -> None:
        # Files of JSON have lists, and a command line 3.0 epochs.
        for name in ("freeze", "classes"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if float(self.epochs).is_integer():
            object.__setattr__(self, "epochs", int(self.epochs))
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for name in ("batch_size", "image_size", "checkpoint_every", "evaluate_every", "snapshots"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"expected {name} >= 1, got {value}")
        for name in ("epochs", "mix_alpha", "bias_lr_factor", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"expected {name} > 0, got {value}")
        for name in ("lr", "weight_decay", "momentum", *_SHARES):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"expected {name} to be a finite number >= 0, got {value}")
            if value is not None and name in _SHARES and value > 1:
                raise ValueError(f"expected {name} <= 1, got {value}")
        self._check_momentum()
        self._check_schedule()
        self._check_effects()
        for entry in self.freeze:
            frozen_from(entry)
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"expected seed from 0 to 2**64 - 1, got {self.seed}")

    def _check_momentum(self) -> None:
        if (self.momentum or 0) >= 1:
            raise ValueError(f"expected momentum < 1, got {self.momentum}")
        if self.momentum is not None and OPTIMIZERS[self.optimizer].momentum is None:
            raise ValueError(f"the optimizer {self.optimizer} has no momentum, got momentum {self.momentum}")
        if self.optimizer == "nesterov" and not self.momentum:
            raise ValueError(f"the optimizer nesterov needs momentum > 0, got {self.momentum}")

    def _check_schedule(self) -> None:
        for name in ("lr_start", "lr_end"):
            if getattr(self, name) is not None and self.schedule != "triangle":
                raise ValueError(f"only the schedule triangle has {name}, got {name} with {self.schedule}")
        if (self.schedule == "cyclic") != (self.snapshots is not None):
            raise ValueError(
                f"the schedule cyclic and snapshots belong together, got {self.schedule} and snapshots {self.snapshots}"
            )

    def _check_effects(self) -> None:
        """Settings that nothing would read."""
        for name in ("averaging_decay", "averaging_start"):
            if getattr(self, name) is not None and self.averaging == "none":
                raise ValueError(f"{name} needs averaging, got {name} {getattr(self, name)} with averaging none")
        if self.averaging_start is not None and self.averaging == "lookahead":
            raise ValueError(f"averaging lookahead has no averaging_start, got {self.averaging_start}")
        if self.mix == "none" and self.mix_alpha != 1.0:
            raise ValueError(f"mix_alpha needs mix, got mix_alpha {self.mix_alpha} with mix none")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"expected {name} to be one of {', '.join(choices)}, got {value!r}")


def steps_of(epochs: float, per_epoch: int) -> int:
    """The steps of a run: `epochs` times those of an epoch, rounded to the nearest, of halves to the even one.

    At least one, unless there are no epochs.

    Example:
        >>> steps_of(9.9, 48)
        475
    """
    return max(round(epochs * per_epoch), 1 if epochs > 0 else 0)


def extent_of(epochs: float, batches: int | None, accumulate: int = 1) -> tuple[int, float]:
    """The epochs of a training, the last one perhaps a part, and its steps; these are not limited for whole ones.

    Args:
        epochs: as the user has it.
        batches: those of an epoch; None if they are not known.
        accumulate: batches in a step.

    Raises:
        ValueError: for a fraction of an epoch whose batches are not known.

    Example:
        >>> extent_of(9.9, 48), extent_of(3, 48)
        ((10, 475), (3, inf))
    """
    if epochs == int(epochs):
        return int(epochs), math.inf
    if batches is None:
        raise ValueError(f"Trainer.fit: {epochs} epochs need a training loader with a length")
    per_epoch = max(-(-batches // accumulate), 1)
    steps = steps_of(epochs, per_epoch)
    return -(-steps // per_epoch), steps


def frozen_from(entry: str) -> tuple[str, int]:
    """The pattern of an entry of `Config.freeze`, and the epoch from which it holds.

    Raises:
        ValueError: if what follows an @ is no epoch, or the pattern is empty.

    Example:
        >>> frozen_from("0.bias@3"), frozen_from("layer1.*")
        (('0.bias', 3), ('layer1.*', 0))
    """
    pattern, at, epoch = entry.partition("@")
    if not pattern or (at and not epoch.isdecimal()):
        raise ValueError(f"expected freeze to have entries PATTERN or PATTERN@EPOCH, got {entry!r}")
    return pattern, int(epoch or 0)


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
