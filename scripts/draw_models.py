"""Draw docs/pictures/models.png: parameters and multiply-adds of every network for 32×32 images."""

from __future__ import annotations

import sys

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from fastnn import models
from fastnn.diagnose import summary

LABELS = {
    "lenet5": (6, 4), "mlp": (6, -4), "small": (7, -4), "digits": (-6, 6), "vgg_small": (6, -11), "vgg16_bn": (6, -4),
    "all_cnn_c": (-42, 7), "resnet8": (-18, -15), "resnet20": (-48, 4), "resnet56": (-48, 6), "resnet110": (4, -13),
    "resnet18": (6, 2), "wrn_16_2": (5, -11), "wrn_16_4": (6, 4), "wrn_28_10": (-62, 0), "densenet_bc_40_12": (-60, 7),
    "densenet_bc_100_12": (-98, 4), "mobile": (-44, 0), "mobilenet_v1": (6, -8), "mobilenet_v1_025": (-20, -14),
    "mobilenet_v2_025": (5, -9), "mobilenet_v2": (6, -10), "speed94": (6, -6),
}  # fmt: skip
"""Networks whose names are written, and where, in points from their marks."""


def main(path: str) -> None:
    """Draw the picture into a file."""
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    for i, family in enumerate(models.families()):
        names = models.names(family)
        found = [summary(models.create(name), (1, 3, 32, 32)) for name in names]
        x, y = [each.parameters for each in found], [each.multiply_adds for each in found]
        axes.scatter(x, y, s=34, marker="osD^v"[i % 5], color=f"C{i}", label=family)
        for name, place in zip(names, zip(x, y, strict=True), strict=True):
            if name in LABELS:
                axes.annotate(name, place, LABELS[name], textcoords="offset points", fontsize=8, color=f"C{i}")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="parameters",
        ylabel="multiply-adds an image, forward",
        title="Networks for 3×32×32 images and ten classes",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures/models.png")
