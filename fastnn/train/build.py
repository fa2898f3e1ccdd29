"""The parts of a run from its configuration: network, loaders, optimiser, schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import models, optim
from ..data import DataLoader
from ..optim import lr_scheduler
from ..preprocessing import ZCA, ChannelMean, MeanImage
from ..random import manual_seed
from ..transforms import augmentation
from .config import Config, DataFacts, statistics_images

if TYPE_CHECKING:
    from ..data.catalogue import ImageDataset
    from ..nn import Module
    from ..optim import Optimizer
    from ..optim.lr_scheduler import LRScheduler
    from ..preprocessing import Preprocessor
    from ..transforms import Transform

__all__ = [
    "make_loaders", "make_model", "make_optimizer", "make_preprocessor", "make_schedule", "plain_transform",
    "test_loader",
]  # fmt: skip

_EVAL_BATCH = 500
_WARM_UP = 0.2  # share of a one-cycle, linear or cosine schedule in which the rate rises


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
    train_loader = DataLoader(train, config.batch_size, shuffle=True, transform=augment, seed=config.seed)
    return train_loader, test_loader(facts, test, preprocessor)


def plain_transform(facts: DataFacts, preprocessor: Preprocessor | None = None) -> Transform:
    """What turns images into the floats that the network was trained on, without augmentation."""
    return augmentation("none", (facts.height, facts.width), facts.mean, facts.std, preprocessor)


def test_loader(facts: DataFacts, dataset: ImageDataset, preprocessor: Preprocessor | None) -> DataLoader:
    """Normalised images in order, in batches that suit evaluation."""
    return DataLoader(dataset, _EVAL_BATCH, transform=plain_transform(facts, preprocessor), seed=0)


def make_optimizer(config: Config, model: Module) -> Optimizer:
    """The optimiser of all parameters of the model."""
    params, lr, decay = list(model.named_parameters()), config.lr, config.weight_decay
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

    "onecycle" rises to `lr` in a fifth of the run and falls to almost nothing, along cosines; "linear" does so
    along lines, "cosine" rises along a line. "step" divides by 10 after a half and three quarters of the run,
    "exponential" by 100 evenly over the run, "constant" is None.

    Args:
        config: the run's settings.
        optimizer: the optimiser, whose rate is the highest.
        steps_per_epoch: steps in an epoch, >= 1.

    Source: one-cycle: Smith and Topin 2019; cosine: Loshchilov and Hutter 2017; warm-up: Goyal et al. 2017.
    """
    total = config.epochs * steps_per_epoch
    warm_up = max(round(_WARM_UP * total), 1)
    match config.schedule:
        case "onecycle" | "linear":
            strategy = "cos" if config.schedule == "onecycle" else "linear"
            # The share must leave room for a first and a last step in runs of a few steps.
            share = min(max(_WARM_UP, 2 / total), 1.0)
            return lr_scheduler.OneCycleLR(
                optimizer, config.lr, total, pct_start=share, anneal_strategy=strategy, cycle_momentum=False
            )
        case "cosine":
            rise = lr_scheduler.LinearLR(optimizer, start_factor=0.04, total_iters=warm_up)
            fall = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(total - warm_up, 1))
            return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warm_up])
        case "step":
            return lr_scheduler.MultiStepLR(optimizer, [max(total // 2, 1), max(total * 3 // 4, 1)])
        case "exponential":
            return lr_scheduler.ExponentialLR(optimizer, 0.01 ** (1 / total))
    return None
