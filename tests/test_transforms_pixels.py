"""Affine maps, colours, tables of values, filters, noise, mixtures: kernels against their definitions and Pillow."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import ndimage, stats

import fastnn
from fastnn import _C, cpu
from fastnn import transforms as T
from fastnn.random import SampleGenerator
from fastnn.reference import augment_pixels as reference
from fastnn.transforms import pixels

CHANNELS = [1, 2, 3, 4]


@pytest.fixture(params=cpu.levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    before = cpu.level()
    cpu.set_level(request.param)
    yield request.param
    cpu.set_level(before)


def rng_for(n: int, seed: int = 1) -> SampleGenerator:
    return SampleGenerator(seed, 0, np.arange(n))


def noise(n: int = 7, size: tuple[int, int] = (21, 26), channels: int = 3) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *size, channels), dtype=np.uint8)


def scene(n: int = 6, size: tuple[int, int] = (40, 52)) -> np.ndarray:
    """Smooth colourful images, (n, *size, 3): what photographs are, rather than noise."""
    rng = np.random.default_rng(n)
    blurred = ndimage.gaussian_filter(rng.standard_normal((n, *size, 3)), (0, 3, 3, 0))
    low, high = blurred.min(axis=(1, 2), keepdims=True), blurred.max(axis=(1, 2), keepdims=True)
    return np.rint(255 * (blurred - low) / (high - low)).astype(np.uint8)


def assert_rounded(got: np.ndarray, exact: np.ndarray, slack: float = 1e-3) -> None:
    assert got.dtype == np.uint8
    assert np.abs(got - np.clip(exact, 0, 255)).max(initial=0) <= 0.5 + slack


# ---- kernels and definitions ------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (21, 26)])
def test_affine_matches_its_definition(level: str, channels: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(channels)
    x, fill = noise(9, size, channels), np.arange(channels) * 40
    matrix = np.tile([1.0, 0, 0, 0, 1, 0], (9, 1))
    matrix[2:] += rng.normal(size=(7, 6)) * np.array([0.3, 0.3, 4, 0.3, 0.3, 4])
    for out in (size, (19, 30)):
        nearest = pixels.affine("test", x, matrix, out, "nearest", fill.tolist())
        np.testing.assert_array_equal(nearest, reference.affine(x, matrix, out, "nearest", fill))
        bilinear = pixels.affine("test", x, matrix, out, "bilinear", fill.tolist())
        # Weights are cut to eleven bits: 255 (1 / 2048) on each axis.
        assert_rounded(bilinear, reference.affine(x, matrix, out, "bilinear", fill), 0.25)


def test_the_identity_changes_nothing(level: str) -> None:
    x = noise()
    for interpolation in pixels.INTERPOLATIONS:
        same = pixels.affine("test", x, np.tile([1, 0, 0, 0, 1, 0], (7, 1)), (21, 26), interpolation, 0)
        np.testing.assert_array_equal(same, x)
        nearly = pixels.affine("test", x, np.tile([1, 1e-9, 0, 0, 1, 0], (7, 1)), (21, 26), interpolation, 0)
        np.testing.assert_array_equal(nearly, x)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 2.0**40, -(2.0**31), 2.0**29, -1e9])
def test_any_matrix_is_safe(level: str, value: float) -> None:
    x = noise(6, (5, 6))
    matrix = np.tile([1.0, 0, 0, 0, 1, 0], (6, 1))
    np.fill_diagonal(matrix, value)
    for interpolation in pixels.INTERPOLATIONS:
        assert pixels.affine("test", x, matrix, (7, 9), interpolation, 3).shape == (6, 7, 9, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (21, 26), (30, 40)])
def test_colour_jitter_matches_its_definition(level: str, channels: int, size: tuple[int, int]) -> None:
    x, jitter = noise(8, size, channels), T.ColorJitter(0.6, 0.7, 0.8, 0.5)
    params = jitter.sample(rng_for(8), 8, size)
    exact = reference.color_jitter(x, params["order"], params["factor"])
    assert_rounded(jitter.apply(x, params), exact, 2e-3)


def test_hue_is_that_of_colorsys() -> None:
    rgb = noise(1, (6, 7))
    got = reference.change_hue(rgb, np.array([0.3]))[0]
    for i in range(6):
        for j in range(7):
            h, s, v = colorsys.rgb_to_hsv(*(rgb[0, i, j] / 255))
            np.testing.assert_allclose(got[i, j] / 255, colorsys.hsv_to_rgb((h + 0.3) % 1, s, v), atol=1e-12)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5), (9, 4), (45, 1)])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_filters_match_their_definition(level: str, channels: int, kernel: tuple[int, int], mode: str) -> None:
    rng = np.random.default_rng(0)
    x = noise(3, (23, 29), channels)
    weights = rng.normal(size=(3, *kernel)) / kernel[0]
    assert_rounded(pixels.correlate("test", x, weights, mode), reference.correlate(x, weights, mode), 2e-3)
    column, row = rng.random((3, kernel[0])) / kernel[0], rng.random((3, kernel[1])) / kernel[1]
    both = column[:, :, None] * row[:, None]
    separate = pixels.correlate_separable("test", x, column, row, mode)
    assert_rounded(separate, reference.correlate(x, both, mode), 2e-3)


def test_the_filters_definition_is_scipys() -> None:
    x, weights = noise(2, (9, 11)), np.random.default_rng(1).normal(size=(2, 3, 5))
    for mode, theirs in (
        ("reflect", "mirror"),
        ("symmetric", "reflect"),
        ("edge", "nearest"),
        ("constant", "constant"),
    ):
        want = [
            np.stack([ndimage.correlate(x[i, :, :, c].astype(float), weights[i], mode=theirs) for c in range(3)], -1)
            for i in range(2)
        ]
        np.testing.assert_allclose(reference.correlate(x, weights, mode), want, atol=1e-9)


def test_mixtures_match_their_definition(level: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((9, 8, 7, 3)).astype(np.float32)
    boxes, weight = rng.integers(-4, 9, (9, 4)), rng.random(9)
    boxes[:3], weight[:2] = (0, 0, 8, 7), (0, 1)
    partner = rng.permutation(9)
    np.testing.assert_allclose(
        pixels.mix(x, partner, weight, boxes), reference.mix(x, partner, weight, boxes), atol=1e-6
    )


def test_noise_is_normal_and_independent(level: str) -> None:
    """Each test at a false-alarm rate of 1e-6."""
    z = pixels.noise(np.zeros((6, 61, 50, 3), np.float32), np.arange(6) + 2**52, 0, 1, (-np.inf, np.inf))
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-6
    for lag in (1, 2, 3, 4, 150):
        a, b = z.reshape(6, -1)[:, :-lag], z.reshape(6, -1)[:, lag:]
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.9 / np.sqrt(a.size)
        assert abs(np.corrcoef(a.ravel() ** 2, b.ravel() ** 2)[0, 1]) < 4.9 / np.sqrt(a.size)
    assert abs(np.corrcoef(z[0].ravel(), z[1].ravel())[0, 1]) < 4.9 / np.sqrt(z[0].size)


def test_noise_in_bytes_in_boxes_and_within_limits(level: str) -> None:
    seeds = np.arange(5)
    x, limits = noise(5), (-np.inf, np.inf)
    floats = pixels.noise(x.astype(np.float32), seeds, 3.0, 20.0, limits)
    np.testing.assert_array_equal(pixels.noise(x, seeds, 3.0, 20.0, limits), np.rint(floats.clip(0, 255)))
    low = pixels.noise(x.astype(np.float32), seeds, 3.0, 20.0, (100.0, 120.0))
    np.testing.assert_array_equal(low, floats.clip(100, 120))
    boxes = np.array([[0, 0, 21, 26], [3, 5, 4, 7], [-2, 20, 9, 90], [0, 0, 0, 0], [20, 25, 1, 1]])
    blank = np.full(x.shape, np.nan, np.float32)
    pure = pixels.noise(np.zeros(x.shape, np.float32), seeds, 0, 1, limits)
    boxed = pixels.noise(blank, seeds, 0, 1, limits, boxes)
    for i, (top, left, height, width) in enumerate(boxes):
        part = np.s_[i, max(top, 0) : top + height, max(left, 0) : left + width]
        np.testing.assert_array_equal(boxed[part], pure[part])
        blank[part] = pure[part]
    np.testing.assert_array_equal(boxed, blank)


def test_histograms_and_tables(level: str) -> None:
    for channels in CHANNELS:
        x = noise(3, (17, 19), channels)
        count = pixels.histogram("test", x)
        want = [[np.bincount(x[i, :, :, c].ravel(), minlength=256) for c in range(channels)] for i in range(3)]
        np.testing.assert_array_equal(count, want)
        table = np.random.default_rng(0).integers(0, 256, (3, channels, 256), dtype=np.uint8)
        want = [[table[i, c][x[i, :, :, c]] for c in range(channels)] for i in range(3)]
        np.testing.assert_array_equal(pixels.lookup("test", x, table), np.moveaxis(np.array(want), 1, -1))


# ---- Pillow -----------------------------------------------------------------------------------------------


@pytest.fixture
def pillow() -> Any:
    return pytest.importorskip("PIL.Image")


def mean_difference(got: np.ndarray, want: list[Any]) -> float:
    """In units of 1/255."""
    return float(np.abs(got.astype(np.float64) - np.stack([np.asarray(w) for w in want])).mean())


def test_geometry_agrees_with_pillow(pillow: Any) -> None:
    x = scene()
    pictures, (height, width) = [pillow.fromarray(image) for image in x], x.shape[1:3]
    matrix = (1.1, 0.2, -3.0, -0.15, 0.9, 4.5)
    for name, resample in (("nearest", pillow.Resampling.NEAREST), ("bilinear", pillow.Resampling.BILINEAR)):
        want = [
            p.transform((width, height), pillow.Transform.AFFINE, matrix, resample, fillcolor=(9,) * 3)
            for p in pictures
        ]
        assert mean_difference(T.Affine(matrix, interpolation=name, fill=9)(x), want) < 1
        stretched = (1 / 1.3, 0, 26 - 26 / 1.3, 0, 1 / 0.8, 20 - 20 / 0.8)  # about the middle
        want = [p.transform((width, height), pillow.Transform.AFFINE, stretched, resample) for p in pictures]
        assert mean_difference(T.RandomStretch((1.3, 1.3), (0.8, 0.8), interpolation=name)(x), want) < 1
        want = [p.rotate(33, resample) for p in pictures]
        assert mean_difference(T.RandomRotation((33, 33), interpolation=name)(x), want) < 1


def test_affine_maps_undo_shear_scale_rotation_and_shift() -> None:
    """The maps back are the inverses of ``T C R S C⁻¹``, multiplied out as matrices."""
    from fastnn.transforms.affine import inverse_matrices

    rng = np.random.default_rng(0)
    angle, translate, scale = rng.uniform(-180, 180, 20), rng.normal(size=(20, 2)) * 9, rng.uniform(0.3, 3, (20, 2))
    shear, center = rng.uniform(-40, 40, (20, 2)), (11.0, 4.5)
    got = inverse_matrices(angle, translate, scale, shear, (30, 40), center)
    for i in range(20):
        r, (x, y) = np.radians(angle[i]), np.radians(shear[i])
        a, c = np.cos(r - y) / np.cos(y), np.sin(r - y) / np.cos(y)
        forward = np.array([[a, -a * np.tan(x) - np.sin(r)], [c, -c * np.tan(x) + np.cos(r)]])
        whole = np.eye(3)
        whole[:2, :2] = forward * scale[i]
        whole[:2, 2] = np.array(center) + translate[i] - whole[:2, :2] @ center
        np.testing.assert_allclose(got[i], np.linalg.inv(whole)[:2].ravel(), atol=1e-9)


def test_rotation_by_right_angles_is_exact() -> None:
    x = scene(3, (31, 31))
    for turns in range(4):
        angle = (90.0 * turns, 90.0 * turns)
        np.testing.assert_array_equal(T.RandomRotation(angle)(x), np.rot90(x, turns, axes=(1, 2)))
        np.testing.assert_array_equal(T.RandomAffine(angle)(x), np.rot90(x, -turns, axes=(1, 2)))


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_brightness_contrast_and_saturation_agree_with_pillow(pillow: Any, factor: float) -> None:
    enhance = pytest.importorskip("PIL.ImageEnhance")
    x, same = scene(), (factor, factor)
    for transform, theirs in (
        (T.ColorJitter(brightness=same), enhance.Brightness),
        (T.ColorJitter(contrast=same), enhance.Contrast),
        (T.ColorJitter(saturation=same), enhance.Color),
        (T.RandomAdjustSharpness(factor, p=1.0), enhance.Sharpness),
    ):
        want = [theirs(pillow.fromarray(image)).enhance(factor) for image in x]
        assert mean_difference(transform(x), want) < 1, transform


def test_hue_is_near_pillows(pillow: Any) -> None:
    """Pillow's hue, saturation and value have eight bits: its results are up to some values away."""
    x, want = scene(), []
    for image in x:
        hue, saturation, value = pillow.fromarray(image).convert("HSV").split()
        moved = pillow.fromarray((np.asarray(hue).astype(int) + 51).astype(np.uint8))
        want.append(pillow.merge("HSV", (moved, saturation, value)).convert("RGB"))
    assert mean_difference(T.ColorJitter(hue=(0.2, 0.2))(x), want) < 2


def test_grey_agrees_with_pillow(pillow: Any) -> None:
    x = scene()
    want = [np.asarray(pillow.fromarray(image).convert("L"))[..., None] for image in x]
    assert mean_difference(T.Grayscale()(x), want) < 0.01
    np.testing.assert_array_equal(T.Grayscale(3)(x), np.repeat(T.Grayscale()(x), 3, axis=3))
    np.testing.assert_array_equal(T.RandomGrayscale(1.0)(x), T.Grayscale(3)(x))
    assert np.abs(T.Grayscale(method="mean")(x)[..., 0] - x.mean(axis=3)).max() <= 0.5 + 1e-4


def test_tables_are_pillows(pillow: Any) -> None:
    ops = pytest.importorskip("PIL.ImageOps")
    for x in (scene(), noise(), scene() // 3 + 40, np.full((2, 8, 9, 3), 77, np.uint8)):
        pictures = [pillow.fromarray(image) for image in x]
        for transform, theirs in (
            (T.RandomInvert(1.0), ops.invert),
            (T.RandomPosterize(3, 1.0), lambda p: ops.posterize(p, 3)),
            (T.RandomSolarize(90, 1.0), lambda p: ops.solarize(p, 90)),
            (T.RandomEqualize(1.0), ops.equalize),
            (T.RandomAutocontrast(1.0), ops.autocontrast),
        ):
            np.testing.assert_array_equal(transform(x), np.stack([np.asarray(theirs(p)) for p in pictures]))


def test_filters_agree_with_pillow_and_scipy(pillow: Any) -> None:
    filters = pytest.importorskip("PIL.ImageFilter")
    x, weights = scene(), np.array([[1, 2, 0], [0, 3, 1], [-1, 0, 2]]) / 8
    want = [pillow.fromarray(i).filter(filters.Kernel((3, 3), weights.ravel().tolist(), 1)) for i in x]
    inner = np.s_[:, 1:-1, 1:-1]
    # Pillow counts the rows of a kernel from below.
    got, theirs = T.Filter(weights[::-1].tolist())(x)[inner], np.stack([np.asarray(w) for w in want])[inner]
    assert np.abs(got.astype(int) - theirs).mean() < 1
    blurred = T.GaussianBlur(9, sigma=1.3)(x)
    exact = ndimage.gaussian_filter(x.astype(float), (0, 1.3, 1.3, 0), mode="mirror", radius=(0, 4, 4, 0))
    assert_rounded(blurred, exact)


# ---- single transforms ------------------------------------------------------------------------------------


def test_pca_colour_adds_offsets_along_the_axes() -> None:
    x = scene(20)
    transform = T.RandomPCAColor.fit(x, std=0.5)
    colours = x.reshape(-1, 3) / 255
    values, vectors = np.linalg.eigh(np.cov(colours.T))
    np.testing.assert_allclose(transform.eigenvalues, values[::-1], rtol=1e-10)
    np.testing.assert_allclose(np.abs(transform.eigenvectors), np.abs(vectors.T[::-1]), atol=1e-10)
    params = transform.sample(rng_for(20), 20, (40, 52))
    offset = 255 * sum(
        params["alpha"][:, [k]] * transform.eigenvalues[k] * np.array(transform.eigenvectors[k]) for k in range(3)
    )
    assert_rounded(transform.apply(x, params), x + offset[:, None, None])


def test_randaugment_is_what_its_parameters_say() -> None:
    from fastnn.transforms.randaugment import OPERATIONS

    x, share = scene(14), 20 / 30
    transform = T.RandAugment(1, 20)
    still = {"operation": np.arange(14)[:, None], "negative": np.zeros((14, 1), bool)}
    got = transform.apply(x, still)
    one = [np.asarray(image) for image in x]
    want = {
        "Identity": one[0],
        "ShearX": T.Affine((1, 0.3 * share, 0, 0, 1, 0), interpolation="nearest")(one[1]),
        "ShearY": T.Affine((1, 0, 0, 0.3 * share, 1, 0), interpolation="nearest")(one[2]),
        "TranslateX": T.Affine((1, 0, int(150 / 331 * share * 52), 0, 1, 0), interpolation="nearest")(one[3]),
        "TranslateY": T.Affine((1, 0, 0, 0, 1, int(150 / 331 * share * 40)), interpolation="nearest")(one[4]),
        "Rotate": T.RandomAffine((20, 20))(one[5]),
        "Brightness": T.ColorJitter(brightness=(1.6, 1.6))(one[6]),
        "Color": T.ColorJitter(saturation=(1.6, 1.6))(one[7]),
        "Contrast": T.ColorJitter(contrast=(1.6, 1.6))(one[8]),
        "Sharpness": T.RandomAdjustSharpness(1.6, 1.0)(one[9]),
        "Posterize": T.RandomPosterize(5, 1.0)(one[10]),
        "Solarize": T.RandomSolarize(85, 1.0)(one[11]),
        "AutoContrast": T.RandomAutocontrast(1.0)(one[12]),
        "Equalize": T.RandomEqualize(1.0)(one[13]),
    }
    assert tuple(want) == OPERATIONS
    for i, name in enumerate(OPERATIONS):
        assert np.abs(got[i].astype(int) - want[name]).max() <= 1, name
        assert (got[i] == want[name]).mean() > 0.999, name
    np.testing.assert_array_equal(T.RandAugment(0)(x), x)


def test_alternating_flips_show_both_sides_in_two_epochs() -> None:
    x, flip = noise(200, (4, 5)), T.AlternatingFlip()
    seen = [flip(x, SampleGenerator(7, epoch, np.arange(200))) for epoch in range(4)]
    np.testing.assert_array_equal(seen[1], seen[0][:, :, ::-1])
    np.testing.assert_array_equal(seen[2], seen[0])
    np.testing.assert_array_equal(seen[3], seen[1])
    flipped = (seen[0] != x).any(axis=(1, 2, 3)).sum()
    assert stats.binomtest(int(flipped), 200, 0.5).pvalue > 1e-6


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("kind", [T.MixUp, T.CutMix])
def test_mixtures_of_labels_follow_the_pixels(kind: type[T.Mixture], per_image: bool) -> None:
    """Images of one colour each: what is left of it is the share of the label."""
    n = 40
    colours = np.eye(n, dtype=np.float32)[:, None, None, :] * np.ones((1, 12, 10, 1), np.float32)
    mixture = kind(alpha=0.8, num_classes=n, per_image=per_image)
    for seed in range(5):
        x, y = mixture(colours, np.arange(n), rng_for(n, seed))
        np.testing.assert_allclose(x.mean(axis=(1, 2), dtype=np.float64), y, atol=1e-6)
        np.testing.assert_allclose(y.sum(axis=1), 1, atol=1e-6)
        shares = np.diag(y)
        assert (len(np.unique(shares)) > 5) == per_image or kind is T.CutMix
        np.testing.assert_array_equal(mixture(colours, np.eye(n, dtype=np.float32), rng_for(n, seed))[1], y)
    assert eval(repr(mixture), vars(T)).__dict__ == mixture.__dict__


def test_a_network_learns_from_mixed_labels() -> None:
    _, y = T.CutMix(num_classes=3)(np.ones((6, 4, 4, 3), np.float32), np.array([0, 1, 2, 0, 1, 2]))
    logits = fastnn.zeros((6, 3), requires_grad=True)
    loss = fastnn.nn.functional.cross_entropy(logits, fastnn.tensor(y))
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3), rel=1e-6)
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad.data, (1 / 3 - y) / 6, atol=1e-7)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, int), "float32"),
        (np.zeros((2, 4, 4, 1), np.float32), np.zeros(3, int), "2 class numbers"),
        (np.zeros((2, 4, 4, 1), np.float32), np.array([0, 5]), "classes in"),
        (np.zeros((2, 4, 4, 1), np.float32), np.zeros((2, 3), int), "distributions"),
    ],
)
def test_bad_mixtures(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        T.MixUp(num_classes=3)(images, labels)


# ---- threads ----------------------------------------------------------------------------------------------

EVERY: list[Callable[[], T.Transform]] = [
    lambda: T.RandomAffine(30, (0.2, 0.2), (0.7, 1.3), 10, interpolation="bilinear"),
    lambda: T.ColorJitter(0.5, 0.5, 0.5, 0.5),
    lambda: T.RandomEqualize(),
    lambda: T.GaussianBlur(5),
    lambda: T.Filter([[0.1, 0.2], [0.3, 0.4]]),
    lambda: T.GaussianNoise(),
    lambda: T.RandAugment(),
]


@pytest.mark.parametrize("build", EVERY)
def test_seeds_and_threads(level: str, build: Callable[[], T.Transform]) -> None:
    """Equal seeds give equal bits on one, two and three threads; other seeds give other images."""
    x, transform = noise(80, (32, 32)), build()
    before, results = cpu.get_num_threads(), []
    for threads in (1, 2, 3):
        cpu.set_num_threads(threads)
        results.append(transform(x, rng_for(80, 5)))
    other = transform(x, rng_for(80, 6))
    cpu.set_num_threads(before)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert transform.is_random == bool((other != results[0]).any())


def test_the_binding_refuses_arrays_that_do_not_fit() -> None:
    x, y = np.zeros((2, 4, 5, 3), np.uint8), np.zeros((2, 4, 5, 3), np.uint8)
    matrix, fill, floats = np.zeros((2, 6)), np.zeros(3, np.uint8), np.zeros((2, 4, 5, 3), np.float32)
    ones, boxes, seeds = np.ones(2), np.zeros((2, 4), np.int32), np.zeros(2, np.uint64)
    for bad in (
        lambda: _C.augment_affine(x, matrix[:1], fill, y, True),
        lambda: _C.augment_affine(x, matrix, fill[:2].copy(), y, True),
        lambda: _C.augment_affine(x[0], matrix, fill, y, True),
        lambda: _C.augment_color(x, np.zeros((2, 17, 13)), y),
        lambda: _C.augment_color(x, np.zeros((2, 1, 12)), y),
        lambda: _C.augment_color(x[..., :2].copy(), np.zeros((2, 1, 13)), y),
        lambda: _C.augment_histogram(x, np.zeros((2, 2, 256), np.int64)),
        lambda: _C.augment_lookup(x, np.zeros((1, 3, 256), np.uint8), y),
        lambda: _C.augment_filter(x, np.zeros((2, 9)), 3, 4, False, y, 2),
        lambda: _C.augment_filter(x, np.zeros((2, 0)), 0, 4, False, y, 2),
        lambda: _C.augment_filter(x, np.zeros((2, 9)), 3, 3, False, y, 9),
        lambda: _C.augment_noise(x, seeds, ones, ones, boxes[:1].copy(), False, 0, 1, y),
        lambda: _C.augment_noise(x[0], seeds, ones, ones, boxes, False, 0, 1, y),
        lambda: _C.augment_mix(floats, np.zeros(1, np.int64), ones, boxes, floats.copy()),
    ):
        with pytest.raises(ValueError, match="expected"):
            bad()
    with pytest.raises(IndexError, match="partners"):
        _C.augment_mix(floats, np.array([0, 2]), ones, boxes, floats.copy())
    with pytest.raises(TypeError, match="expected"):
        _C.augment_noise(x, seeds, ones, ones, boxes, False, 0, 1, floats)
