"""The settings that a training run has where nothing else was asked for: one table for datasets, one for optimisers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DATASETS", "OPTIMIZERS", "DatasetDefaults", "OptimizerDefaults"]


@dataclass(frozen=True)
class DatasetDefaults:
    """How a dataset is trained by default.

    `lr`, `momentum` and `weight_decay` hold for `optimizer`; with another one those of `OPTIMIZERS` do.
    """

    model: str
    epochs: int
    batch_size: int
    lr: float
    optimizer: str = "nesterov"
    momentum: float | None = 0.9
    weight_decay: float = 5e-4
    schedule: str = "onecycle"
    augment: str = "none"
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class OptimizerDefaults:
    """Settings that suit an optimiser on small networks; `momentum` is None where it has none."""

    lr: float
    momentum: float | None = None
    weight_decay: float = 0.0


DATASETS = {
    "digits": DatasetDefaults("digits", epochs=12, batch_size=32, lr=0.1, label_smoothing=0.1),
    "mnist": DatasetDefaults("lenet5", epochs=4, batch_size=64, lr=0.05),
    "fashion-mnist": DatasetDefaults("small", epochs=8, batch_size=64, lr=0.1, augment="flip", label_smoothing=0.1),
    "cifar10": DatasetDefaults("resnet20", epochs=30, batch_size=128, lr=0.4, augment="standard", label_smoothing=0.1),
    "cifar100": DatasetDefaults("resnet20", epochs=60, batch_size=128, lr=0.4, augment="standard", label_smoothing=0.1),
    "folder": DatasetDefaults("small", epochs=20, batch_size=64, lr=0.1, augment="standard", label_smoothing=0.1),
}  # fmt: skip

OPTIMIZERS = {
    "sgd": OptimizerDefaults(lr=0.05, momentum=0.9, weight_decay=5e-4),
    "nesterov": OptimizerDefaults(lr=0.05, momentum=0.9, weight_decay=5e-4),
    "adam": OptimizerDefaults(lr=2e-3),
    "adamw": OptimizerDefaults(lr=2e-3, weight_decay=1e-2),
    "rmsprop": OptimizerDefaults(lr=1e-3, momentum=0.0),
    "adagrad": OptimizerDefaults(lr=1e-2),
    "adadelta": OptimizerDefaults(lr=1.0),
    "nadam": OptimizerDefaults(lr=2e-3),
    "radam": OptimizerDefaults(lr=2e-3),
    "adamax": OptimizerDefaults(lr=4e-3),
    "lion": OptimizerDefaults(lr=3e-4, weight_decay=3e-2),
    "lamb": OptimizerDefaults(lr=1e-2, weight_decay=1e-2),
}
