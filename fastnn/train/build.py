"""The parts of a run from its configuration: network, loaders, optimiser, schedule."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from .. import models, nn, optim
from ..data import DataLoader
from ..optim import lr_scheduler
from ..preprocessing import ZCA, ChannelMean, MeanImage
from ..random import manual_seed
from ..transforms import CutMix, Mixture, MixUp, augmentation
from .config import Config, DataFacts, frozen_from, statistics_images, steps_of
from .final_average import FinalAverage, LookaheadAverage
from .freeze import Freeze

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..autograd import Tensor
    from ..data.catalogue import ImageDataset
    from ..nn import Module
    from ..optim import Optimizer
    from ..optim.lr_scheduler import LRScheduler
    from ..preprocessing import Preprocessor
    from ..transforms import Transform
    from .callbacks import Callback

__all__ = [
    "make_averaging", "make_freeze", "make_loaders", "make_model", "make_optimizer", "make_preprocessor",
    "make_schedule", "make_snapshots", "parameter_groups", "plain_transform", "test_loader",
]  # fmt: skip

_EVAL_BATCH = 500
_EMA_DECAY, _LOOKAHEAD_DECAY, _SWA_START = 0.999, 0.95, 0.75
_TRIANGLE_START, _TRIANGLE_END = 0.04, 0.0
_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
    nn.LayerNorm, nn.GroupNorm,
)  # fmt: skip


def make_model(config: Config, facts: DataFacts) -> Module:
    """The network with its initial weights, which depend on the seed alone; seeds the default generator.

    Raises:
        ValueError: if there is no such model, or the images are too small for it.
    """
    manual_seed(config.seed)
    return models.create(config.model, len(facts.classes), facts.channels, (facts.height, facts.width))


def make_preprocessor(config: Config, train: ImageDataset) -> Preprocessor | None:
    """What stands in for `Normalize`, fitted to the training images; None where that is what is wanted."""
    if config.preprocess == "standardize":
        return None
    kinds = {"center": ChannelMean, "mean-image": MeanImage, "zca": ZCA}
    return kinds[config.preprocess]().fit(statistics_images(train))


def make_loaders(
    config: Config,
    facts: DataFacts,
    train: ImageDataset,
    test: ImageDataset,
    preprocessor: Preprocessor | None = None,
) -> tuple[DataLoader, DataLoader]:
    """The shuffled, augmented loader of the training part and the plain one of the test part.

    Raises:
        ValueError: if the augmentation is unknown or does not suit the images.
    """
    augment = augmentation(config.augment, (facts.height, facts.width), facts.mean, facts.std, preprocessor)
    train_loader = DataLoader(
        train,
        config.batch_size,
        shuffle=True,
        transform=augment,
        mix=_mixture(config, len(facts.classes)),
        drop_last=config.drop_last,
        seed=config.seed,
    )
    if not len(train_loader):
        raise ValueError(f"expected batch_size <= {len(train)} images with drop_last, got {config.batch_size}")
    return train_loader, test_loader(facts, test, preprocessor)


def _mixture(config: Config, classes: int) -> Mixture | None:
    """What mixes the images of a batch."""
    if config.mix == "none":
        return None
    return (MixUp if config.mix == "mixup" else CutMix)(alpha=config.mix_alpha, num_classes=classes)


def plain_transform(facts: DataFacts, preprocessor: Preprocessor | None = None) -> Transform:
    """What turns images into the floats that the network was trained on, without augmentation."""
    return augmentation("none", (facts.height, facts.width), facts.mean, facts.std, preprocessor)


def test_loader(facts: DataFacts, dataset: ImageDataset, preprocessor: Preprocessor | None) -> DataLoader:
    """Normalised images in order, in batches that suit evaluation."""
    return DataLoader(dataset, _EVAL_BATCH, transform=plain_transform(facts, preprocessor), seed=0)


def parameter_groups(config: Config, model: Module) -> list[dict[str, Any]]:
    """The parameters in groups of one learning rate and weight decay each, those with the rate `lr` first.

    Biases of normalisation layers have the rate `lr` times `bias_lr_factor` and the weight decay divided by it;
    without `decay_norms` all parameters of these layers and all biases have none.
    """
    kinds: dict[int, str] = {}
    for module in model.modules():
        if isinstance(module, _NORMS):
            kinds |= {id(parameter): name for name, parameter in module.named_parameters()}
    groups: dict[tuple[float, float], list[tuple[str, Tensor]]] = {}
    for name, parameter in model.named_parameters():
        kind = kinds.get(id(parameter))
        factor = config.bias_lr_factor if kind == "bias" else 1.0
        spared = not config.decay_norms and (kind is not None or name.rpartition(".")[2] == "bias")
        decay = 0.0 if spared else config.weight_decay / factor
        groups.setdefault((factor, decay), []).append((name, parameter))
    ordered = sorted(groups.items(), key=lambda group: group[0][0] != 1.0)
    return [{"params": each, "lr": config.lr * factor, "weight_decay": decay} for (factor, decay), each in ordered]


def make_optimizer(config: Config, model: Module) -> Optimizer:
    """The optimiser of all parameters of the model."""
    params, lr, decay = parameter_groups(config, model), config.lr, config.weight_decay
    momentum = config.momentum or 0.0
    match config.optimizer:
        case "sgd" | "nesterov":
            nesterov = config.optimizer == "nesterov"
            return optim.SGD(params, lr, momentum=momentum, weight_decay=decay, nesterov=nesterov)
        case "adam":
            return optim.Adam(params, lr, weight_decay=decay)
        case "adamw":
            return optim.AdamW(params, lr, weight_decay=decay)
        case "rmsprop":
            return optim.RMSprop(params, lr, weight_decay=decay, momentum=momentum)
        case "adagrad":
            return optim.Adagrad(params, lr, weight_decay=decay)
        case "adadelta":
            return optim.Adadelta(params, lr, weight_decay=decay)
        case "nadam":
            return optim.NAdam(params, lr, weight_decay=decay)
        case "radam":
            return optim.RAdam(params, lr, weight_decay=decay)
        case "adamax":
            return optim.Adamax(params, lr, weight_decay=decay)
        case "lion":
            return optim.Lion(params, lr, weight_decay=decay)
        case "lamb":
            return optim.LAMB(params, lr, weight_decay=decay)
    raise ValueError(f"make_optimizer: there is no optimizer {config.optimizer!r}")


def make_schedule(config: Config, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler | None:
    """The learning-rate schedule of the whole run, to be stepped after every step of the optimiser.

    "onecycle" rises to `lr` in the share `warm_up` of the run and falls to almost nothing, along cosines; "linear"
    does so along lines, "cosine" rises along a line. "triangle" rises along a line from `lr_start` times `lr` and
    falls along one to `lr_end` times `lr`. "step" divides by 10 after a half and three quarters of the run,
    "exponential" by 100 evenly over the run, "constant" is None. "cyclic" falls to almost nothing as often as there
    are to be snapshots, see `fastnn.ensemble.snapshot_schedule`.

    Args:
        config: the run's settings.
        optimizer: the optimiser, whose rates are the highest.
        steps_per_epoch: steps in an epoch, >= 1.

    Source: one-cycle: Smith and Topin 2019; cosine: Loshchilov and Hutter 2017; warm-up: Goyal et al. 2017; triangle:
    Page, "How to train your ResNet", 2018.
    """
    total = steps_of(config.epochs, steps_per_epoch)
    warm_up = max(round(config.warm_up * total), 1)
    match config.schedule:
        case "onecycle" | "linear":
            strategy = "cos" if config.schedule == "onecycle" else "linear"
            highest = [group["lr"] for group in optimizer.param_groups]
            # The share must leave room for a first and a last step in runs of a few steps.
            share = min(max(config.warm_up, 2 / total), 1.0)
            return lr_scheduler.OneCycleLR(
                optimizer, highest, total, pct_start=share, anneal_strategy=strategy, cycle_momentum=False
            )
        case "cosine":
            rise = lr_scheduler.LinearLR(optimizer, start_factor=0.04, total_iters=warm_up)
            fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(total - warm_up, 1))
            return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warm_up])
        case "triangle":
            return lr_scheduler.LambdaLR(optimizer, _triangle(config, total))
        case "step":
            return lr_scheduler.MultiStepLR(optimizer, [max(total // 2, 1), max(total * 3 // 4, 1)])
        case "exponential":
            return lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / total))
        case "cyclic":
            from ..ensemble.snapshots import snapshot_schedule  # which stands on top of this package

            return snapshot_schedule(optimizer, total, config.snapshots or 1)
    return None


def make_snapshots(config: Config, folder: Path, steps_per_epoch: int) -> list[Callback]:
    """The callback that keeps the network at the end of every cycle, if the run has cycles.

    Args:
        config: the run's settings.
        folder: where the snapshots go.
        steps_per_epoch: steps in an epoch, >= 1.
    """
    if config.snapshots is None:
        return []
    from ..ensemble.snapshots import Snapshots

    total = steps_of(config.epochs, steps_per_epoch)
    return [Snapshots(folder, math.ceil(total / config.snapshots), steps=total)]


def _triangle(config: Config, total: int) -> Callable[[int], float]:
    """The share of the highest rate at a step: up along a line to the whole step `warm_up · total`, down to `total`."""
    start = _TRIANGLE_START if config.lr_start is None else config.lr_start
    end = _TRIANGLE_END if config.lr_end is None else config.lr_end
    peak = int(config.warm_up * total)

    def share(step: int) -> float:
        if step < peak:
            return start + (1.0 - start) * step / peak
        return 1.0 + (end - 1.0) * (step - peak) / max(total - peak, 1)

    return share


def make_averaging(config: Config, steps_per_epoch: int) -> list[Callback]:
    """The callback that averages the weights of a run, if it has one.

    "ema" is an exponential average of weights and running statistics, updated after every step; "swa" the plain
    average of the weights at the ends of the epochs in the last part of the run, whose statistics are computed anew;
    "lookahead" moves the weights themselves back to an average, every five steps, ever closer to it. What the
    network is evaluated and saved with at the end is the average.

    Args:
        config: the run's settings.
        steps_per_epoch: steps in an epoch, >= 1.

    Source: Polyak, Juditsky 1992; Izmailov et al. 2018; Zhang et al. 2019 and Jordan 2024.
    """
    decay, start = config.averaging_decay, config.averaging_start
    match config.averaging:
        case "ema":
            total = steps_of(config.epochs, steps_per_epoch)
            # At least the weights after the last step are in the average.
            first = min(math.floor((start or 0.0) * total), total - 1)
            return [FinalAverage(_EMA_DECAY if decay is None else decay, start_step=first)]
        case "swa":
            share = _SWA_START if start is None else start
            # At least the weights at the end of the last epoch are in the average.
            first = math.floor(share * (math.ceil(config.epochs) - 1))
            return [FinalAverage(start_epoch=first)]
        case "lookahead":
            total = steps_of(config.epochs, steps_per_epoch)
            return [LookaheadAverage(total, decay=_LOOKAHEAD_DECAY if decay is None else decay)]
    return []


def make_freeze(config: Config, model: Module) -> list[Callback]:
    """The callback that freezes parameters by their names, if any are to be.

    Raises:
        ValueError: if the network has no parameter that a pattern fits; the message lists those it has.
    """
    entries = [frozen_from(entry) for entry in config.freeze]
    names = [name for name, _ in model.named_parameters()]
    epochs: dict[str, int] = {}
    for pattern, epoch in entries:
        fitting = [name for name in names if fnmatchcase(name, pattern)]
        if not fitting:
            raise ValueError(f"freeze: the model {config.model} has no parameter {pattern!r}, only {', '.join(names)}")
        epochs |= {name: min(epoch, epochs.get(name, epoch)) for name in fitting}
    return [Freeze(epochs)] if epochs else []
