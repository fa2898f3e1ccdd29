"""Affine maps: scaling, translation, rotation, stretching and shearing, of uint8 images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms import pixels
from fastnn.transforms.base import Array, Params, Size, Transform, checked_range, checked_size
from fastnn.transforms.fused import Fill, checked_fill
from fastnn.transforms.pixels import checked_interpolation

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator

Range = tuple[float, float]


def inverse_matrices(
    angle: Array, translate: Array, scale: Array, shear: Array, size: Size, center: Sequence[float] | None
) -> Array:
    """Maps from the result back to the image, for torchvision's order: shear, scale, rotate about the centre, move.

    Args:
        angle: degrees, clockwise on the screen.
        translate: pixels to the right and down.
        scale: factor along x and y.
        shear: degrees along x and y.
        size: height and width of the images.
        center: (x, y) of the fixed point, from the upper left corner; None for the middle.

    Shape:
        angle (n,), translate (n, 2), scale (n, 2), shear (n, 2) -> (n, 6)

    Source: the forward map is ``T C R S C⁻¹`` with ``R S = [[cos(r-y)/cos(y), -cos(r-y) tan(x)/cos(y) - sin(r)],
    [sin(r-y)/cos(y), -sin(r-y) tan(x)/cos(y) + cos(r)]] diag(scale)``, r the rotation, x and y the shears, as
    torchvision defines it.
    """
    r, (x, y) = np.radians(angle), np.radians(shear).T
    a, c = np.cos(r - y) / np.cos(y), np.sin(r - y) / np.cos(y)
    b, d = -a * np.tan(x) - np.sin(r), -c * np.tan(x) + np.cos(r)
    # The determinant of [[a, b], [c, d]] is 1.
    inverse = np.stack([d / scale[:, 0], -b / scale[:, 0], -c / scale[:, 1], a / scale[:, 1]], axis=1)
    cx, cy = (size[1] / 2, size[0] / 2) if center is None else center
    out = np.empty((len(r), 6))
    out[:, [0, 1, 3, 4]] = inverse
    u, v = -cx - translate[:, 0], -cy - translate[:, 1]
    out[:, 2] = inverse[:, 0] * u + inverse[:, 1] * v + cx
    out[:, 5] = inverse[:, 2] * u + inverse[:, 3] * v + cy
    return out


class Affine(Transform):
    """One affine map for all images.

    The centre of output pixel (i, j) is (u, v) = (j + 1/2, i + 1/2), and shows the point (a u + b v + c, d u + e v + f)
    of the image. Bilinear interpolation mixes the four pixels whose centres are around that point, edge pixels
    being continued outwards; points outside the image show `fill`. As in Pillow.

    Args:
        matrix: a, b, c, d, e, f, from the result back to the image.
        size: height and width of the result; None keeps the images'.
        interpolation: 'nearest' or 'bilinear'.
        fill: one number from 0 to 255, or one per channel.

    Shape:
        (N, H, W, C) -> (N, \\*size, C), uint8

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Example:
        >>> import numpy as np
        >>> x = np.array([[[[1], [2], [3]]]], np.uint8)
        >>> Affine((1, 0, 1, 0, 1, 0), interpolation="nearest")(x).ravel().tolist()
        [2, 3, 0]
    """

    def __init__(
        self,
        matrix: Sequence[float],
        size: int | Sequence[int] | None = None,
        interpolation: str = "bilinear",
        fill: Fill = 0,
    ) -> None:
        self.matrix = tuple(float(entry) for entry in matrix)
        if len(self.matrix) != 6 or not np.all(np.isfinite(self.matrix)):
            raise ValueError(f"Affine: expected a matrix of six finite numbers, got {matrix!r}")
        self.size = None if size is None else checked_size("Affine", size)
        self.interpolation = checked_interpolation("Affine", interpolation)
        self.fill = checked_fill(fill)

    def output_size(self, size: Size) -> Size:
        return size if self.size is None else self.size

    def apply(self, batch: Array, params: Params) -> Array:
        matrices = np.tile(self.matrix, (len(batch), 1))
        return pixels.affine(
            "Affine", batch, matrices, self.output_size(batch.shape[1:3]), self.interpolation, self.fill
        )


class RandomAffine(Transform):
    """Rotates, moves, scales and shears each image, the centre being the fixed point.

    Args:
        degrees: bounds of the angle, clockwise and uniform; one number d for (-d, d).
        translate: the largest shift to the right and down, and to the left and up, as shares of width and height;
            shifts are whole pixels, uniform. None for none.
        scale: bounds of the factor, uniform; None for 1.
        shear: bounds of the angles, uniform, in degrees: (low, high) along x; or four, for x and for y; or one number s
            for (-s, s) along x. None for none.
        interpolation: 'nearest' or 'bilinear', as for `Affine`.
        fill: as for `Affine`.
        center: (x, y) of the fixed point in pixels from the upper left corner; None for the middle.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: angle (N,), translate (N, 2), scale (N, 2), shear (N, 2).

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Source: torchvision's transform of this name, order and signs included.

    Example:
        >>> import numpy as np
        >>> turned = RandomAffine((90, 90))(np.array([[[[1], [2]], [[3], [4]]]], np.uint8))
        >>> turned[0, :, :, 0].tolist()
        [[3, 1], [4, 2]]
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest",
        fill: Fill = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        name = "RandomAffine"
        self.degrees = checked_angles(name, "degrees", degrees)
        self.translate = None if translate is None else (float(translate[0]), float(translate[1]))
        if self.translate is not None and not all(0 <= share <= 1 for share in self.translate):
            raise ValueError(f"{name}: expected translate as shares in [0, 1] of width and height, got {translate!r}")
        self.scale = None if scale is None else checked_range(name, "scale", tuple(scale))  # type: ignore[arg-type]
        self.shear = None if shear is None else _checked_shear(name, shear)
        self.interpolation = checked_interpolation(name, interpolation)
        self.fill = checked_fill(fill)
        self.center = None if center is None else (float(center[0]), float(center[1]))

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        u = rng.uniform(0.0, 1.0, 6)
        right, down = self.translate or (0.0, 0.0)
        translate = np.rint((2 * u[:, 1:3] - 1) * (right * size[1], down * size[0]))
        low, high = self.scale or (1.0, 1.0)
        shear = np.zeros((n, 2))
        if self.shear is not None:
            shear[:, 0] = within(self.shear[:2], u[:, 4])
            if len(self.shear) == 4:
                shear[:, 1] = within(self.shear[2:], u[:, 5])
        return {
            "angle": within(self.degrees, u[:, 0]),
            "translate": translate,
            "scale": np.repeat(within((low, high), u[:, 3])[:, None], 2, axis=1),
            "shear": shear,
        }

    def apply(self, batch: Array, params: Params) -> Array:
        size = batch.shape[1], batch.shape[2]
        matrices = inverse_matrices(
            params["angle"], params["translate"], params["scale"], params["shear"], size, self.center
        )
        return pixels.affine("RandomAffine", batch, matrices, size, self.interpolation, self.fill)


class RandomRotation(Transform):
    """Rotates each image, the size being kept.

    Args:
        degrees: bounds of the angle, counter-clockwise and uniform; one number d for (-d, d).
        interpolation: as for `Affine`.
        center: as for `RandomAffine`.
        fill: as for `Affine`.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: angle (N,).

    Raises:
        ValueError: as `RandomAffine`.

    Source: torchvision's transform of this name; its `expand` would give each image of a batch another size.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        center: Sequence[float] | None = None,
        fill: Fill = 0,
    ) -> None:
        self.degrees = checked_angles("RandomRotation", "degrees", degrees)
        self.interpolation = checked_interpolation("RandomRotation", interpolation)
        self.center = None if center is None else (float(center[0]), float(center[1]))
        self.fill = checked_fill(fill)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"angle": rng.uniform(*self.degrees)}

    def apply(self, batch: Array, params: Params) -> Array:
        n, size = len(batch), (batch.shape[1], batch.shape[2])
        still = np.zeros((n, 2))
        matrices = inverse_matrices(-params["angle"], still, still + 1, still, size, self.center)
        return pixels.affine("RandomRotation", batch, matrices, size, self.interpolation, self.fill)


class RandomStretch(Transform):
    """Scales each image along x and along y, by factors of their own, about its middle.

    Args:
        x: bounds of the horizontal factor, whose logarithm is uniform.
        y: bounds of the vertical one.
        interpolation: as for `Affine`.
        fill: as for `Affine`.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: scale (N, 2), along x and y.

    Raises:
        ValueError: if bounds are not positive and in order; when applied, if the images are not uint8.
    """

    def __init__(
        self,
        x: Sequence[float] = (0.8, 1.25),
        y: Sequence[float] = (0.8, 1.25),
        interpolation: str = "bilinear",
        fill: Fill = 0,
    ) -> None:
        self.x = checked_range("RandomStretch", "x", tuple(x))  # type: ignore[arg-type]
        self.y = checked_range("RandomStretch", "y", tuple(y))  # type: ignore[arg-type]
        self.interpolation = checked_interpolation("RandomStretch", interpolation)
        self.fill = checked_fill(fill)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        u, logs = rng.uniform(0.0, 1.0, 2), np.log([self.x, self.y])
        return {"scale": np.exp(logs[:, 0] + (logs[:, 1] - logs[:, 0]) * u)}

    def apply(self, batch: Array, params: Params) -> Array:
        n, size = len(batch), (batch.shape[1], batch.shape[2])
        still = np.zeros((n, 2))
        matrices = inverse_matrices(np.zeros(n), still, params["scale"], still, size, None)
        return pixels.affine("RandomStretch", batch, matrices, size, self.interpolation, self.fill)


def within(bounds: Sequence[float], u: Array) -> Array:
    """The points of an interval at the shares `u` of its length."""
    inside: Array = bounds[0] + (bounds[1] - bounds[0]) * u
    return inside


def checked_angles(name: str, argument: str, angles: float | Sequence[float]) -> Range:
    """A range of angles; one number d means (-d, d).

    Raises:
        ValueError: if they are not finite and in order.
    """
    low, high = (-angles, angles) if isinstance(angles, int | float) else tuple(angles)
    if not -np.inf < low <= high < np.inf:
        raise ValueError(f"{name}: expected {argument} >= 0 or (low, high), got {angles!r}")
    return float(low), float(high)


def _checked_shear(name: str, shear: float | Sequence[float]) -> tuple[float, ...]:
    if isinstance(shear, int | float) or len(shear) == 2:
        return checked_angles(name, "shear", shear)
    if len(shear) != 4:
        raise ValueError(f"{name}: expected shear to be one, two or four numbers, got {shear!r}")
    return *checked_angles(name, "shear", shear[:2]), *checked_angles(name, "shear", shear[2:])
