"""Contact sheets: every transform of `fastnn.transforms` on one colour image and on handwritten digits.

Lecture: CS231n, lectures 6 and 7, "Data augmentation": flips, random crops and scales, translation, rotation,
stretching, shearing, colour jitter, PCA colour offsets, random blocks, noise, filters, mixtures of two images. The
label stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import Finding, main

import fastnn
from fastnn import data, transforms

SIZE = 96
COLUMNS = 8


@dataclass(frozen=True)
class Augmentation(Finding):
    """One tile for each transform, and what could be counted.

    Attributes:
        colour: tiles of the colour image, by label.
        digits: rows of tiles, by label: a digit and what becomes of it.
        variants: how many different images of one digit came out of `drawn` draws, by transform.
        drawn: draws.
    """

    size = (12.0, 12.4)

    colour: dict[str, np.ndarray]
    digits: dict[str, np.ndarray]
    variants: dict[str, int]
    drawn: int

    def claims(self) -> dict[str, bool]:
        tile = {name: image.astype(int) for name, image in self.colour.items()}
        original, mirrored = tile["original"], tile["horizontal flip"]
        grey = tile["Grayscale"]
        covered = int((self.colour["Cutout 32"] == 0).all(axis=2).sum())
        half = np.abs(tile["mixup, λ = ½"] - (original + tile["the other image"]) / 2).max()
        share = float((tile["CutMix"] != original).any(axis=2).mean())
        return {
            "a horizontal flip is the mirror image, pixel by pixel": bool((mirrored == original[:, ::-1]).all()),
            f"the grey image's three channels differ by {np.ptp(grey, axis=2).max()}": np.ptp(grey, axis=2).max() == 0,
            f"jitter by brightness 1.5 raises the mean from {original.mean():.0f} to "
            f"{tile['brightness × 1.5'].mean():.0f}": tile["brightness × 1.5"].mean() > 1.2 * original.mean(),
            f"posterising to 2 bits leaves {len(np.unique(self.colour['posterise, 2 bits']))} levels": (
                len(np.unique(self.colour["posterise, 2 bits"])) <= 4
            ),
            f"Cutout covers {covered} pixels": 0 < covered <= 2 * 32**2,
            f"mixup is the weighted mean to {half:.1f} of 255": half <= 1,
            f"CutMix takes {share:.0%} of the pixels from the other image": 0.02 < share < 0.9,
            f"in {self.drawn} draws, random crops make {self.variants['RandomCrop']} different images of one digit, "
            f"and {self.variants['RandomAffine']} with rotation, scale and shear": (
                self.variants["RandomCrop"] == 25 and self.variants["RandomAffine"] > 0.9 * self.drawn
            ),
        }

    def draw(self, figure: Any) -> None:
        rows = -(-len(self.colour) // COLUMNS)
        above, below = figure.subfigures(2, 1, height_ratios=[rows, 0.8 * len(self.digits)])
        grid = above.subplots(rows, COLUMNS)
        for axes in grid.flat:
            axes.set_axis_off()
        for axes, (name, image) in zip(grid.flat, self.colour.items()):
            axes.imshow(image)
            axes.set_title(name, fontsize=8.5)
        lower = below.subplots(len(self.digits), 12)
        for row, (name, images) in zip(lower, self.digits.items()):
            for axes, image in zip(row, images):
                axes.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=255)
            for axes in row:
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
                for spine in axes.spines.values():
                    spine.set_visible(True)
                    spine.set_color("#CCCCCC")
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6, fontsize=9)


def picture(turned: bool = False) -> np.ndarray:
    """A colour image drawn with arithmetic: sky, sun, hills, a house; or another scene.

    Shape:
        () -> uint8 (96, 96, 3)
    """
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    image = np.stack([0.35 + 0.5 * y, 0.6 + 0.3 * y, 0.95 - 0.1 * y], axis=2)
    if turned:
        image = image[:, :, ::-1].copy()
        ring = np.abs(np.hypot(x - 0.5, y - 0.5) - 0.3) < 0.09
        image[ring] = (0.15, 0.25, 0.7)
        image[(np.abs(x - y) < 0.06) & ~ring] = (0.9, 0.2, 0.5)
        return (255 * image).astype(np.uint8)
    image[np.hypot(x - 0.22, y - 0.2) < 0.11] = (1.0, 0.85, 0.2)
    image[y > 0.62 + 0.08 * np.sin(7 * x)] = (0.25, 0.6, 0.25)
    wall = (np.abs(x - 0.64) < 0.17) & (y > 0.5) & (y < 0.82)
    image[wall] = (0.85, 0.55, 0.4)
    image[(np.abs(x - 0.64) < 0.24 - 1.2 * (0.5 - y)) & (y > 0.3) & (y <= 0.5)] = (0.6, 0.15, 0.15)
    image[(np.abs(x - 0.7) < 0.04) & (y > 0.64) & (y < 0.82)] = (0.3, 0.2, 0.15)
    image[(np.abs(x - 0.57) < 0.045) & (np.abs(y - 0.62) < 0.05)] = (0.95, 0.95, 0.7)
    return (255 * image).astype(np.uint8)


def sheet(image: np.ndarray) -> dict[str, np.ndarray]:
    """The colour image after every transform; those that are random by nature at one fixed draw."""
    flat = image.reshape(-1, 3) / 255.0
    variance, directions = np.linalg.eigh(np.cov(flat.T))
    edges = [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    listed: dict[str, transforms.Transform] = {
        "horizontal flip": transforms.RandomHorizontalFlip(1.0),
        "vertical flip": transforms.RandomVerticalFlip(1.0),
        "RandomCrop, padding 24": transforms.RandomCrop(SIZE, padding=24),
        "… reflected": transforms.RandomCrop(SIZE, padding=24, padding_mode="reflect"),
        "CenterCrop 64": transforms.CenterCrop(64),
        "RandomResizedCrop": transforms.RandomResizedCrop(SIZE, scale=(0.2, 0.6)),
        "Resize 32": transforms.Resize(32),
        "rotation": transforms.RandomRotation((20, 35), "bilinear"),
        "translation": transforms.RandomAffine(0, translate=(0.25, 0.25), interpolation="bilinear"),
        "scaling": transforms.RandomAffine(0, scale=(0.5, 0.7), interpolation="bilinear"),
        "shearing": transforms.RandomAffine(0, shear=(25, 35), interpolation="bilinear"),
        "RandomStretch": transforms.RandomStretch((1.3, 1.5), (0.6, 0.7)),
        "brightness × 1.5": transforms.ColorJitter(brightness=(1.5, 1.5)),
        "contrast × 1.8": transforms.ColorJitter(contrast=(1.8, 1.8)),
        "saturation × 2.5": transforms.ColorJitter(saturation=(2.5, 2.5)),
        "hue + 0.3": transforms.ColorJitter(hue=(0.3, 0.3)),
        "all four at random": transforms.ColorJitter(0.4, 0.4, 0.4, 0.2),
        "RandomPCAColor, sd 5": transforms.RandomPCAColor(variance.tolist(), directions.tolist(), 5.0),
        "Grayscale": transforms.Grayscale(3),
        "invert": transforms.RandomInvert(1.0),
        "posterise, 2 bits": transforms.RandomPosterize(2, 1.0),
        "solarise above 128": transforms.RandomSolarize(128, 1.0),
        "autocontrast": transforms.RandomAutocontrast(1.0),
        "equalise": transforms.RandomEqualize(1.0),
        "GaussianBlur": transforms.GaussianBlur(9, (2.0, 2.0)),
        "sharpness × 6": transforms.RandomAdjustSharpness(6.0, 1.0),
        "Filter: edges": transforms.Filter(edges),
        "Cutout 32": transforms.Cutout(32),
        "RandomErasing": transforms.RandomErasing(1.0, scale=(0.1, 0.25)),
        "RandAugment": transforms.RandAugment(2, 12),
        "RandAugment again": transforms.RandAugment(2, 12),
    }
    tiles = {"original": image}
    for name, transform in listed.items():
        tiles[name] = transform(image)
    noisy = transforms.GaussianNoise(sigma=0.12)(transforms.ToFloat()(image))
    tiles["GaussianNoise 0.12"] = np.round(255 * noisy).astype(np.uint8)
    return tiles | mixtures(image, picture(turned=True))


def mixtures(image: np.ndarray, other: np.ndarray) -> dict[str, np.ndarray]:
    """Another image and two mixtures with it."""
    pair, labels = transforms.ToFloat()(np.stack([image, other])), np.array([0, 1])
    mixup, cutmix = transforms.MixUp(num_classes=2), transforms.CutMix(num_classes=2)
    half = {
        "partner": np.array([1, 0]),
        "boxes": np.tile([0, 0, SIZE, SIZE], (2, 1)),
        "weight": np.full(2, 0.5),
        "share": np.full(2, 0.5),
    }
    mixed, _ = mixup.apply(pair, labels, half)
    cut, _ = cutmix(pair, labels)
    tiles = {"the other image": other}
    tiles["mixup, λ = ½"] = np.round(255 * mixed[0]).astype(np.uint8)
    tiles["CutMix"] = np.round(255 * cut[0]).astype(np.uint8)
    return tiles


def measure(quick: bool = False) -> Augmentation:
    """Apply every transform, and count what two of them make of one digit."""
    fastnn.manual_seed(7)
    colour = sheet(picture())
    images = data.load("digits")[0].images
    one = images[3]
    listed: dict[str, transforms.Transform] = {
        "RandomCrop": transforms.RandomCrop(8, padding=2),
        "RandomAffine": transforms.RandomAffine(15, scale=(0.85, 1.15), shear=15, interpolation="bilinear"),
        "RandomErasing": transforms.RandomErasing(1.0, scale=(0.05, 0.2)),
    }
    digits = {"digits": images[:12]}
    variants = {}
    drawn = 200 if quick else 1000
    for name, transform in listed.items():
        many = transform(np.repeat(one[None], drawn, axis=0))
        variants[name] = len(np.unique(many.reshape(drawn, -1), axis=0))
        digits[f"{name}\nof one of them"] = np.concatenate([one[None], many[:11]])
    return Augmentation(colour, digits, variants, drawn)


if __name__ == "__main__":
    main(measure)
