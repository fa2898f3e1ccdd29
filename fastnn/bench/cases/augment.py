"""Augmentation of batches of small images, from uint8 to normalised float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...data import ArrayDataset, DataLoader
from ...random import SampleGenerator
from ...reference import augment as reference
from ...transforms import (
    ColorJitter,
    Compose,
    GaussianBlur,
    GaussianNoise,
    Normalize,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Transform,
    augmentation,
)
from ..case import Array, Case, Contenders
from ..timer import Work

__all__ = ["BATCHES", "cases", "loader_cases"]

BATCHES = (128, 512)
_SIZE = 32
_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def _float32(values: Sequence[float]) -> Array:
    return np.asarray(values, np.float32)


def cases(batches: Sequence[int] = BATCHES) -> Iterator[Case]:
    """Normalisation alone, with crop and flip, with a box cut out, a resampled crop; affine maps, colours, filters.

    Drawing the parameters is part of every row; "crop+flip+cutout+normalise" is the whole pipeline of CIFAR-10, crops
    being taken out of images reflected at their edges.
    """
    for n in batches:
        yield _normalize(n)
        yield _standard(n)
        yield _alone(n, "crop+flip+cutout+normalise", lambda: augmentation("cutout", _SIZE, _MEAN, _STD))
        yield _alone(n, "resized crop+normalise", lambda: Compose([RandomResizedCrop(_SIZE), Normalize(_MEAN, _STD)]))
        yield _alone(n, "affine", _affine)
        yield _alone(n, "colour jitter", _jitter)
        yield _alone(n, "blur 5x5", lambda: GaussianBlur(5))
        yield _alone(n, "noise", GaussianNoise)
        yield _alone(n, "RandAugment", RandAugment)
        yield _pillow(n, _SIZE)
    yield _pillow(16, 224)


def loader_cases(batch: int = 128, count: int = 10_000) -> Iterator[Case]:
    """An epoch through `DataLoader`, order, augmentation and prefetching included."""
    for name in ("none", "standard", "cutout"):
        yield _epoch(name, batch, count)


def _images(n: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, (n, _SIZE, _SIZE, 3), np.uint8)


def _label(what: str, n: int) -> str:
    return f"{what} {n}x{_SIZE}x{_SIZE}x3"


def _normalize(n: int) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        images, transform = _images(n), Normalize(_MEAN, _STD)
        works: Contenders = {"fastnn": lambda: transform(images)}
        mean, std = _float32(_MEAN), _float32(_STD)
        if "numpy" in against:
            works["numpy"] = lambda: reference.normalise(images, mean * 255, std * 255)
        if "torch" in against:
            torch = against["torch"]
            pixels, scale = torch.from_numpy(images), torch.from_numpy(1 / (255 * std))
            shift = torch.from_numpy(-mean / std)
            works["torch"] = lambda: torch.addcmul(shift, pixels.to(torch.float32), scale)
        return works

    return Case("augment", _label("normalise", n), n, "images/s", build, comparable=False)


def _standard(n: int) -> Case:
    """Pad, crop, mirror, normalise: the usual augmentation of CIFAR-10, drawing its numbers included."""

    def build(against: Mapping[str, Any]) -> Contenders:
        images = _images(n)
        transform = Compose([RandomCrop(_SIZE, padding=4), RandomHorizontalFlip(), Normalize(_MEAN, _STD)])
        works: Contenders = {"fastnn": _sampled(transform, images)}
        if "numpy" in against:
            works["numpy"] = _numpy_standard(images)
        if "torch" in against:
            works["torch"] = _torch_standard(against["torch"], images)
        return works

    return Case("augment", _label("crop+flip+normalise", n), n, "images/s", build, comparable=False)


def _affine() -> Transform:
    return RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10, interpolation="bilinear")


def _jitter() -> Transform:
    return ColorJitter(0.4, 0.4, 0.4, 0.1)


def _sampled(transform: Transform, images: Array) -> Work:
    """The transform with numbers drawn anew, as a loader calls it."""
    indices = np.arange(len(images))
    return lambda: transform(images, SampleGenerator(0, 0, indices))


def _pillow(n: int, size: int) -> Case:
    """Colour jitter and an affine map, beside the same changes of every image by Pillow, with fixed parameters."""

    def build(against: Mapping[str, Any]) -> Contenders:
        images = np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)
        works: Contenders = {"fastnn": _sampled(Compose([_jitter(), _affine()]), images)}
        if "pillow" in against:
            works["pillow"] = lambda: [_by_pillow(image) for image in images]
        return works

    return Case("augment", f"colour jitter+affine {n}x{size}x{size}x3", n, "images/s", build, comparable=False)


def _by_pillow(image: Array) -> Array:
    from PIL import Image, ImageEnhance

    picture = Image.fromarray(image)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = change(picture).enhance(1.2)
    hue, saturation, value = picture.convert("HSV").split()
    moved = Image.fromarray(np.asarray(hue) + np.uint8(25))
    picture = Image.merge("HSV", (moved, saturation, value)).convert("RGB")
    matrix = (1.05, 0.2, -3.0, -0.2, 1.05, 2.0)
    return np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def _numpy_standard(images: Array) -> Work:
    n, mean, std = len(images), _float32(_MEAN) * 255, _float32(_STD) * 255
    rng = np.random.default_rng(0)

    def run() -> Array:
        top, left = rng.integers(0, 9, (2, n))
        flips = rng.random(n) < 0.5
        return reference.augment(
            images, mean, std, top=top, left=left, size=(_SIZE, _SIZE), padding=4, horizontal=flips
        )

    return run


def _torch_standard(torch: Any, images: Array) -> Work:
    """PyTorch's tensors only: one gather for crop and flip, then the affine map."""
    n = len(images)
    pixels, std = torch.from_numpy(images), torch.tensor(_STD)
    scale, shift = 1 / (255 * std), -torch.tensor(_MEAN) / std
    steps, rows = torch.arange(_SIZE), torch.arange(n)[:, None, None]

    def run() -> Any:
        padded = torch.nn.functional.pad(pixels, (0, 0, 4, 4, 4, 4))
        corners = torch.randint(0, 9, (2, n, 1))
        flips = torch.rand(n, 1) < 0.5
        y = corners[0] + steps
        x = corners[1] + torch.where(flips, _SIZE - 1 - steps, steps)
        moved = padded[rows, y[:, :, None], x[:, None, :]]
        return torch.addcmul(shift, moved.to(torch.float32), scale)

    return run


def _alone(n: int, what: str, transform: Callable[[], Transform]) -> Case:
    """An augmentation for which there is no counterpart of a few lines."""

    def build(against: Mapping[str, Any]) -> Contenders:
        return {"fastnn": _sampled(transform(), _images(n))}

    return Case("augment", _label(what, n), n, "images/s", build, comparable=False)


def _epoch(name: str, batch: int, count: int) -> Case:
    def build(against: Mapping[str, Any]) -> Contenders:
        dataset = ArrayDataset(_images(count), np.zeros(count, np.int64))
        loader = DataLoader(
            dataset, batch, shuffle=True, transform=augmentation(name, _SIZE, _MEAN, _STD), seed=0, drop_last=True
        )

        def run() -> None:
            for _ in loader:
                pass

        return {"fastnn": run}

    images = count // batch * batch
    return Case("augment", f"loader '{name}' {images} images", images, "images/s", build, comparable=False)
