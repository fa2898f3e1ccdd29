"""Zero-centring, normalisation, PCA and whitening, on points of the plane and on images of digits.

Lecture: CS231n, lecture 6, "Data preprocessing": original, zero-centred and normalised data; decorrelated data have a
diagonal covariance, whitened data the identity; the first k eigenvectors keep most of the variance. Statistics come
from the training data alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, GREY, ORANGE, PURPLE, Finding, main

from fastnn import data, preprocessing

KEPT = (1, 4, 8, 16, 32, 64)
"""Components of the reconstructions."""
DIGITS = (10, 23, 37)
"""The test images that are shown."""


@dataclass(frozen=True)
class Preprocessing(Finding):
    """Points and images before and after.

    Attributes:
        points: the correlated points after each step, by its name.
        axes: principal axes of the points, scaled to one standard deviation, a row each.
        eigenvectors: of the training digits, the first eight as images.
        explained: the share of the variance that the first k components explain, for every k.
        errors: mean squared error of test digits rebuilt from k components over their variance, for KEPT.
        rebuilt: test images from k components, (len(KEPT), images, 8, 8).
        originals: the same images, centred and whitened, by name.
        test_correlation: mean |correlation| of two pixels of the test images as they are, and whitened by the
            training images' statistics.
    """

    size = (13.0, 8.4)

    points: dict[str, np.ndarray]
    axes: np.ndarray
    eigenvectors: np.ndarray
    explained: np.ndarray
    errors: np.ndarray
    rebuilt: np.ndarray
    originals: dict[str, np.ndarray]
    test_correlation: tuple[float, float]

    def claims(self) -> dict[str, bool]:
        covariance = {name: np.cov(points.T) for name, points in self.points.items()}
        centre = float(np.abs(self.points["zero-centred"].mean(axis=0)).max())
        off = float(abs(covariance["decorrelated"][0, 1]))
        identity = float(np.abs(covariance["whitened"] - np.eye(2)).max())
        sixteen = list(KEPT).index(16)
        before, after = self.test_correlation
        return {
            f"centring moves the mean from {np.round(self.points['original'].mean(axis=0), 1).tolist()} to "
            f"within {centre:.0e} of 0": centre < 1e-5,
            f"PCA leaves a covariance of {off:.0e} between the axes": off < 1e-5,
            f"the covariance of whitened points is the identity to {identity:.0e}": identity < 1e-5,
            f"16 of 64 components explain {self.explained[15]:.0%} of the digits' variance and leave "
            f"{self.errors[sixteen]:.0%} of that of test digits out": (
                self.explained[15] > 0.8 and self.errors[sixteen] < 0.2
            ),
            "all 64 leave nothing out": self.errors[-1] < 1e-9,
            f"whitening by the training digits lowers the mean correlation of two pixels of the test digits from "
            f"{before:.2f} to {after:.2f}": after < 0.5 * before,
        }

    def draw(self, figure: Any) -> None:
        above, below = figure.subfigures(2, 1, height_ratios=[1, 1.5])
        above.suptitle("Correlated points and their principal axes; below each its covariance")
        for axes, (name, points), colour in zip(
            above.subplots(1, len(self.points)), self.points.items(), (GREY, BLUE, PURPLE, ORANGE, GREEN)
        ):
            axes.plot(*points.T, ".", color=colour, markersize=2.5)
            axes.axhline(0, color="black", linewidth=0.7)
            axes.axvline(0, color="black", linewidth=0.7)
            limit = 9 if name in ("original", "zero-centred", "decorrelated") else 4.2
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title=name)
            (a, b), (_, d) = np.round(np.cov(points.T), 2) + 0.0
            axes.set_xlabel(f"[{a:.2f}  {b:.2f}]\n[{b:.2f}  {d:.2f}]", family="monospace")
            if name == "zero-centred":
                for axis in self.axes:
                    axes.annotate(
                        "", 2.5 * axis, (0, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 2.0}
                    )
        left, right = below.subfigures(1, 2, width_ratios=[1, 2.2])
        curve = left.subplots()
        kept = np.arange(1, len(self.explained) + 1)
        curve.plot(kept, 100 * self.explained, color=BLUE, label="training digits")
        curve.plot(KEPT, 100 * (1 - self.errors), "o", color=ORANGE, label="test digits, rebuilt")
        curve.set(xlabel="components kept, k", ylabel="variance kept, %", ylim=(0, 103), xlim=(0, 65))
        curve.legend(loc="lower right")
        left.suptitle("Principal components of 8×8 digits")
        self._draw_images(right)

    def _draw_images(self, figure: Any) -> None:
        figure.suptitle("Eigenvectors, and test digits rebuilt from k of them and whitened")
        grid = figure.subplots(1 + len(DIGITS), 9)
        for axes in grid.flat:
            axes.set_axis_off()
        for place, vector in enumerate(self.eigenvectors):
            _show(grid[0, place + 1], vector, "coolwarm", f"{place + 1}.", (-0.45, 0.45))
        grid[0, 0].text(0.5, 0.5, "eigen-\nvectors", ha="center", va="center")
        for row, image in enumerate(range(len(DIGITS)), 1):
            title = row == 1
            _show(grid[row, 0], self.originals["original"][image], "gray_r", "original" if title else "", (0, 1))
            for place, count in enumerate(KEPT, 1):
                name = f"k = {count}" if title else ""
                _show(grid[row, place], self.rebuilt[place - 1, image], "gray_r", name, (0, 1))
            for place, name in ((7, "centred"), (8, "whitened")):
                limit = 1.0 if name == "centred" else 3.0
                shown = self.originals[name][image]
                _show(grid[row, place], shown, "coolwarm", name if title else "", (-limit, limit))


def _show(axes: Any, image: np.ndarray, colours: str, title: str, limits: tuple[float, float]) -> None:
    axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1])
    axes.set_title(title, fontsize=9)


def measure(quick: bool = False) -> Preprocessing:
    """Transform points and digits; it is quick as it is."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((600, 2)) @ np.array([[2.0, 1.2], [0.0, 0.6]]) + np.array([4.0, 5.0])
    steps = {
        "original": points,
        "zero-centred": preprocessing.ChannelMean().fit_transform(points),
        "normalised": preprocessing.ChannelStandardize().fit_transform(points),
        "decorrelated": preprocessing.PCA().fit_transform(points),
        "whitened": preprocessing.PCAWhitening(eps=0.0).fit_transform(points),
    }
    of_points = preprocessing.PCA().fit(points)
    axes = of_points.components_ * np.sqrt(of_points.explained_variance_)[:, None]

    training, test = data.load("digits")
    whole = preprocessing.PCA().fit(training.images)
    true = test.images / 255.0
    rebuilt, errors = [], []
    for count in KEPT:
        pca = preprocessing.PCA(count).fit(training.images)
        images = pca.inverse_transform(pca.transform(test.images).astype(np.float64))
        errors.append(((images - true) ** 2).sum() / ((true - whole.mean_) ** 2).sum())
        rebuilt.append(images[list(DIGITS), ..., 0])
    zca = preprocessing.ZCA(eps=1e-3).fit(training.images)
    centred = preprocessing.MeanImage().fit(training.images)
    shown = test.images[list(DIGITS)]
    originals = {
        "original": shown[..., 0] / 255.0,
        "centred": centred.transform(shown)[..., 0],
        "whitened": zca.transform(shown)[..., 0],
    }
    correlations = (mean_correlation(true), mean_correlation(zca.transform(test.images)))
    return Preprocessing(
        steps, axes, whole.components_[:8].reshape(8, 8, 8), np.cumsum(whole.explained_variance_ratio_),
        np.array(errors), np.stack(rebuilt), originals, correlations,
    )  # fmt: skip


def mean_correlation(images: np.ndarray) -> float:
    """The mean of |correlation| over all pairs of pixels that vary."""
    flat = images.reshape(len(images), -1)
    flat = flat[:, flat.std(axis=0) > 0.05 * flat.std()]
    matrix = np.corrcoef(flat.T)
    return float(np.abs(matrix[np.triu_indices(len(matrix), 1)]).mean())


if __name__ == "__main__":
    main(measure)
