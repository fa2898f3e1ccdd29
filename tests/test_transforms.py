"""Transforms: results, fusion bit for bit, single images, descriptions, errors."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn.random
from fastnn import transforms as T
from fastnn.random import SampleGenerator
from fastnn.reference import augment as reference

ALL: list[T.Transform] = [
    T.RandomHorizontalFlip(0.3),
    T.RandomVerticalFlip(),
    T.Pad((1, 2), fill=7, padding_mode="edge"),
    T.Pad((1, 2, 3, 4), fill=(1, 2, 3)),
    T.RandomCrop((20, 24), padding=4, padding_mode="reflect"),
    T.RandomCrop(48, pad_if_needed=True, fill=9),
    T.CenterCrop((10, 70)),
    T.Resize(20),
    T.Resize((40, 9), antialias=False),
    T.RandomResizedCrop(16, scale=(0.2, 0.9), ratio=(0.5, 2.0)),
    T.RandomErasing(0.8, value=(1, 2, 3)),
    T.RandomErasing(1.0, value="random"),
    T.Cutout((5, 8), value=3),
    T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)),
    T.ToFloat(),
    T.Compose([T.RandomHorizontalFlip(), T.Normalize(0.5, 0.5)]),
    T.AlternatingFlip(),
    T.Affine((1.1, 0.1, -2, 0.2, 0.9, 1), size=(30, 20), fill=(1, 2, 3)),
    T.RandomAffine(20, translate=(0.1, 0.2), scale=(0.8, 1.2), shear=(-5, 5, 0, 3), interpolation="bilinear", fill=9),
    T.RandomAffine((5, 10), shear=4.0, center=(0, 3)),
    T.RandomRotation(30, interpolation="bilinear", fill=(7, 8, 9)),
    T.RandomStretch((0.5, 1.5), (1.0, 1.0)),
    T.ColorJitter(0.4, (0.5, 0.6), 0.3, 0.1),
    T.Grayscale(3, method="mean"),
    T.RandomGrayscale(0.4),
    T.RandomPCAColor((0.2, 0.02, 0.01), ((0.6, 0.6, 0.5), (0.7, 0.0, -0.7), (0.4, -0.8, 0.4)), std=0.3),
    T.RandomInvert(),
    T.RandomPosterize(3),
    T.RandomSolarize(100),
    T.RandomAutocontrast(),
    T.RandomEqualize(0.7),
    T.Filter([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], padding_mode="edge"),
    T.GaussianBlur((5, 3)),
    T.RandomAdjustSharpness(2.0),
    T.GaussianNoise(0.1, 0.2),
    T.RandomApply([T.GaussianBlur(3), T.RandomInvert()], 0.6),
    T.RandAugment(3, 20, fill=100),
]


def rng_for(n: int, seed: int = 1) -> SampleGenerator:
    return SampleGenerator(seed, 0, np.arange(n))


def photos(n: int = 12, size: tuple[int, int] = (32, 36), channels: int = 3) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, *size, channels), dtype=np.uint8)


# ---- results ----------------------------------------------------------------------------------------------


def test_flips() -> None:
    x = photos()
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1.0)(x), x[:, :, ::-1])
    np.testing.assert_array_equal(T.RandomVerticalFlip(1.0)(x), x[:, ::-1])
    np.testing.assert_array_equal(T.RandomHorizontalFlip(0.0)(x), x)
    flip = T.RandomHorizontalFlip()
    params = flip.sample(rng_for(12), 12, (32, 36))
    np.testing.assert_array_equal(flip.apply(x, params), reference.flip(x, params["flip"]))


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_random_crop(mode: str) -> None:
    x, crop = photos(), T.RandomCrop((30, 20), padding=(3, 5), fill=11, padding_mode=mode)
    params = crop.sample(rng_for(12), 12, (32, 36))
    assert 0 <= params["top"].min() <= params["top"].max() <= 32 + 10 - 30
    assert 0 <= params["left"].min() <= params["left"].max() <= 36 + 6 - 20
    want = reference.crop(x, params["top"] + 0, params["left"] + 2, (30, 20), 5, mode, 11)  # type: ignore[arg-type]
    np.testing.assert_array_equal(crop.apply(x, params), want)


def test_pad_and_center_crop() -> None:
    x = photos()
    padded = np.pad(x, [(0, 0), (2, 4), (1, 3), (0, 0)], mode="symmetric")
    np.testing.assert_array_equal(T.Pad((1, 2, 3, 4), padding_mode="symmetric")(x), padded)
    np.testing.assert_array_equal(T.CenterCrop((20, 21))(x), x[:, 6:26, 8:29])  # 7.5 rounds to 8
    small = np.pad(x, [(0, 0), (4, 4), (2, 2), (0, 0)])
    np.testing.assert_array_equal(T.CenterCrop(40)(x), small)


def test_crops_and_flips_agree_with_pillow() -> None:
    image, ops = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.ImageOps")
    x = photos(1)
    picture = image.fromarray(x[0])
    for transform, want in (
        (T.RandomHorizontalFlip(1.0), ops.mirror(picture)),
        (T.RandomVerticalFlip(1.0), ops.flip(picture)),
        (T.Pad((1, 2, 3, 4), fill=(9, 8, 7)), ops.expand(picture, (1, 2, 3, 4), (9, 8, 7))),
        (T.CenterCrop((10, 12)), picture.crop((12, 11, 24, 21))),
    ):
        np.testing.assert_array_equal(transform(x[0]), np.asarray(want))
    for size in (16, 70):
        width, height = T.Resize(size).output_size((36, 32))
        want = picture.resize((width, height), image.Resampling.BILINEAR)
        assert np.abs(T.Resize(size)(x[0]).astype(int) - np.asarray(want)).max() <= 1


def test_random_resized_crop_and_erasing_use_their_parameters() -> None:
    x = photos()
    crop = T.RandomResizedCrop((14, 18), antialias=False)
    params = crop.sample(rng_for(12), 12, (32, 36))
    exact = reference.resized_crop(x, params["box"], (14, 18), np.float64)
    assert np.abs(crop.apply(x, params) - exact).max() <= 0.5 + 1e-3
    erase = T.RandomErasing(1.0, value=(4, 5, 6))
    params = erase.sample(rng_for(12), 12, (32, 36))
    want = reference.erase(x, params["boxes"], np.array([4, 5, 6]))
    np.testing.assert_array_equal(erase.apply(x, params), want)
    np.testing.assert_array_equal(erase.apply(x.astype(np.float32), params), want.astype(np.float32))


def test_impossible_boxes() -> None:
    """No box of this aspect fits: a crop takes the middle, erasing does nothing, as in torchvision."""
    x = photos(5, (30, 30))
    crop = T.RandomResizedCrop(8, scale=(1.0, 1.0), ratio=(2.0, 2.0))
    np.testing.assert_array_equal(crop.sample(rng_for(5), 5, (30, 30))["box"], [[7, 0, 15, 30]] * 5)
    tall = T.RandomResizedCrop(8, scale=(1.0, 1.0), ratio=(0.5, 0.5))
    np.testing.assert_array_equal(tall.sample(rng_for(5), 5, (30, 30))["box"], [[0, 7, 30, 15]] * 5)
    erase = T.RandomErasing(1.0, scale=(1.0, 1.0))
    np.testing.assert_array_equal(erase(x), x)


def test_random_noise_of_erasing() -> None:
    x = T.ToFloat()(photos(40))
    erase = T.RandomErasing(1.0, value="random")
    params = erase.sample(rng_for(40), 40, (32, 36))
    got = erase.apply(x, params)
    outside = reference.erase(np.ones_like(x), params["boxes"]) == 1
    np.testing.assert_array_equal(got[outside], x[outside])
    noise = got[~outside].astype(np.float64)
    assert abs(noise.mean()) < 6 / np.sqrt(noise.size)  # false alarm: 2e-9
    assert abs(noise.var() - 1) < 6 * np.sqrt(2 / noise.size)
    np.testing.assert_array_equal(got, erase.apply(x, params))


def test_normalize_and_to_float() -> None:
    x = photos()
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.25])
    got = T.Normalize(mean.tolist(), std.tolist())(x)
    np.testing.assert_allclose(got, (x / 255 - mean) / std, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(T.ToFloat()(x), (x / 255).astype(np.float32))
    floats = T.ToFloat()(x)
    assert T.ToFloat()(floats) is floats
    np.testing.assert_allclose(T.Normalize(mean.tolist(), std.tolist())(floats), got, rtol=0, atol=2e-6)
    one = T.Normalize(0.5, 0.25)
    np.testing.assert_array_equal(one(x), T.Normalize([0.5] * 3, [0.25] * 3)(x))


def test_resize_by_the_shorter_side() -> None:
    for size, want in (((30, 40), (15, 20)), ((40, 31), (19, 15)), ((15, 15), (15, 15)), ((1, 9), (15, 135))):
        assert T.Resize(15).output_size(size) == want
        assert T.Resize(15)(photos(1, size)).shape == (1, *want, 3)


# ---- what every transform has -----------------------------------------------------------------------------


def suitable(transform: T.Transform) -> np.ndarray:
    return T.ToFloat()(photos()) if getattr(transform, "value", None) == "random" else photos()


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_interface(transform: T.Transform) -> None:
    x = suitable(transform)
    x.setflags(write=False)
    before = x.copy()
    y = transform(x, rng_for(12))
    np.testing.assert_array_equal(x, before)
    assert y.shape == (12, *transform.output_size((32, 36)), 3)
    np.testing.assert_array_equal(transform(x, rng_for(12)), y)
    params = transform.sample(rng_for(12), 12, (32, 36))
    np.testing.assert_array_equal(transform.apply(x, params), y)
    assert transform.is_random == bool(params)
    # An image depends on its own index alone: in another batch, and alone, it comes out the same.
    few = transform(x[[7, 3]], SampleGenerator(1, 0, np.array([7, 3])))
    np.testing.assert_array_equal(few, y[[7, 3]])
    np.testing.assert_array_equal(transform(x[5], SampleGenerator(1, 0, np.array([5]))), y[5])
    empty = transform(x[:0], rng_for(0))
    assert empty.shape == (0, *y.shape[1:])
    assert empty.dtype == y.dtype
    np.testing.assert_array_equal(transform(x[::-1, ::-1][::-1, ::-1], rng_for(12)), y)


@pytest.mark.parametrize("transform", ALL, ids=lambda t: type(t).__name__)
def test_state(transform: T.Transform) -> None:
    x = suitable(transform)
    y = transform(x, rng_for(12))
    again = T.from_description(json.loads(json.dumps(transform.describe())))
    for copy in (again, pickle.loads(pickle.dumps(transform)), eval(repr(transform), vars(T))):
        assert copy == transform
        assert copy.describe() == transform.describe()
        np.testing.assert_array_equal(copy(x, rng_for(12)), y)


def test_equality() -> None:
    assert T.RandomCrop(32, padding=4) == T.RandomCrop((32, 32), padding=(4, 4, 4, 4))
    assert T.RandomCrop(32) != T.RandomCrop(32, padding=4)
    assert T.RandomHorizontalFlip() != T.RandomVerticalFlip()


def test_without_a_generator_the_default_one_is_used() -> None:
    x, flip = photos(64), T.RandomHorizontalFlip()
    fastnn.random.manual_seed(3)
    first, second = flip(x), flip(x)
    assert (first != second).any()
    fastnn.random.manual_seed(3)
    np.testing.assert_array_equal(flip(x), first)
    state = fastnn.random.default_generator.get_state()
    T.Compose([T.CenterCrop(8), T.Normalize(0.5, 0.5)])(x)
    assert fastnn.random.default_generator.get_state() == state


# ---- composition ------------------------------------------------------------------------------------------


def one_by_one(compose: T.Compose, x: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    for i, transform in enumerate(compose.transforms):
        own = {k.split(".", 1)[1]: v for k, v in params.items() if k.startswith(f"{i}.")}
        x = transform.apply(x, own)
    return x


def random_compose(rng: np.random.Generator) -> T.Compose:
    """Up to eight transforms in any order that dtypes allow."""
    moves: list[T.Transform] = [
        T.RandomHorizontalFlip(),
        T.RandomVerticalFlip(),
        T.Pad((1, 0, 2, 3), fill=200, padding_mode="constant"),
        T.Pad(2, padding_mode="symmetric"),
        T.RandomCrop((20, 17), pad_if_needed=True, fill=(3, 2, 1)),
        T.RandomCrop((18, 19), padding=(2, 1), pad_if_needed=True, padding_mode="edge"),
        T.CenterCrop((17, 21)),
        T.RandomErasing(0.7, value=(0, 1, 2)),
        T.Cutout(6, value=1),
    ]
    bytes_only: list[T.Transform] = [T.Resize((19, 23)), T.RandomResizedCrop((22, 18), antialias=False)]
    pool = moves + bytes_only
    before = [pool[i] for i in rng.integers(0, len(pool), rng.integers(0, 5))]
    middle = [[], [T.Normalize((0.5, 0.4, 0.3), 0.25)], [T.ToFloat()], [T.ToFloat(), T.Normalize(0.5, 0.25)]]
    floats = middle[rng.integers(0, 4)]
    after = [moves[i] for i in rng.integers(0, len(moves), rng.integers(0, 4))] if floats else []
    return T.Compose([*before, *floats, *after])


@pytest.mark.parametrize("seed", range(150))
def test_fused_is_one_by_one_bit_for_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    compose = random_compose(rng)
    size = tuple(int(s) for s in rng.integers(9, 30, 2))
    x = photos(7, (size[0], size[1]))
    params = compose.sample(rng_for(7, seed), 7, x.shape[1:3])
    got, want = compose.apply(x, params), one_by_one(compose, x, params)
    assert got.dtype == want.dtype, compose
    np.testing.assert_array_equal(got, want, err_msg=repr(compose))
    assert got.shape[1:3] == compose.output_size((size[0], size[1]))


def test_usual_pipelines_are_one_kernel_call(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.transforms import fused

    calls: list[str] = []
    real = fused._C

    class Counting:
        empty = staticmethod(real.empty)

        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(real, name)

    monkeypatch.setattr(fused, "_C", Counting())
    x = photos(8, (32, 32))
    for name in T.AUGMENTATIONS:
        T.augmentation(name, 32, [0.5] * 3, [0.25] * 3)(x)
    normalize = T.Normalize(0.5, 0.25)
    pipelines: list[list[T.Transform]] = [
        [T.RandomHorizontalFlip(), T.RandomCrop(32, 4), T.CenterCrop(30), T.RandomVerticalFlip(), normalize],
        [
            T.Pad(4),
            T.RandomCrop(32),
            T.RandomHorizontalFlip(),
            T.Cutout(8, 128),
            normalize,
            T.RandomErasing(1.0),
        ],
        [T.RandomResizedCrop(24), T.RandomHorizontalFlip(), T.RandomErasing(1.0), normalize],
    ]
    for pipeline in pipelines:
        T.Compose(pipeline)(x)
    assert calls == ["augment_normalize"] * (len(T.AUGMENTATIONS) + len(pipelines))


def test_nested_and_empty_compositions() -> None:
    x = photos()
    inner = T.Compose([T.RandomHorizontalFlip(), T.CenterCrop(20)])
    outer = T.Compose([inner, T.Normalize(0.5, 0.5)])
    assert [type(t).__name__ for t in outer.transforms] == ["RandomHorizontalFlip", "CenterCrop", "Normalize"]
    nothing = T.Compose([])
    assert nothing(x) is x
    assert repr(nothing) == "Compose([])"
    assert not nothing.is_random


class _Invert(T.Transform):
    """A transform of the user's own, in NumPy."""

    def apply(self, batch: np.ndarray, params: dict[str, np.ndarray]) -> np.ndarray:
        return 255 - batch


def test_own_transforms_compose() -> None:
    x = photos()
    compose = T.Compose([T.RandomHorizontalFlip(1.0), _Invert(), T.Normalize(0.5, 0.25)])
    np.testing.assert_array_equal(compose(x), T.Normalize(0.5, 0.25)(255 - x[:, :, ::-1]))


# ---- presets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", T.AUGMENTATIONS)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), ((32, 32), 3), ((9, 40), 3)])
def test_presets(name: str, size: int | tuple[int, int], channels: int) -> None:
    transform = T.augmentation(name, size, [0.5] * channels, [0.25] * channels)
    height, width = (size, size) if isinstance(size, int) else size
    y = transform(photos(5, (height, width), channels), rng_for(5))
    assert y.shape == (5, height, width, channels)
    assert y.dtype == np.float32


# ---- errors -----------------------------------------------------------------------------------------------

BAD_ARGUMENTS: list[tuple[Any, str]] = [
    (lambda: T.RandomHorizontalFlip(1.5), r"RandomHorizontalFlip: expected p in \[0, 1\], got 1.5"),
    (lambda: T.RandomVerticalFlip(-0.1), "RandomVerticalFlip: expected p"),
    (lambda: T.RandomErasing(float("nan")), "expected p"),
    (lambda: T.Pad(-1), "Pad: expected padding"),
    (lambda: T.Pad((1, 2, 3)), "Pad: expected padding"),
    (lambda: T.Pad(1.5), "expected padding"),  # type: ignore[arg-type]
    (lambda: T.Pad(1, padding_mode="wrap"), "expected padding_mode"),
    (lambda: T.RandomCrop(0), "RandomCrop: expected size"),
    (lambda: T.RandomCrop((1, 2, 3)), "RandomCrop: expected size"),  # type: ignore[arg-type]
    (lambda: T.CenterCrop((4, -4)), "CenterCrop: expected size"),
    (lambda: T.Resize(0), "Resize: expected size"),
    (lambda: T.Resize(4, interpolation="bicubic"), "interpolation"),
    (lambda: T.RandomResizedCrop(4, scale=(0.5, 0.1)), "expected scale"),
    (lambda: T.RandomResizedCrop(4, ratio=(0, 1)), "expected ratio"),
    (lambda: T.RandomErasing(scale=(0.1, 1.1)), "expected scale"),
    (lambda: T.RandomErasing(value="noise"), "expected value"),
    (lambda: T.Cutout(0), "Cutout: expected size"),
    (lambda: T.Normalize(0.5, 0.0), "positive std"),
    (lambda: T.Normalize([], 1.0), "finite mean"),
    (lambda: T.Normalize(float("inf"), 1.0), "finite mean"),
    (lambda: T.Compose([T.ToFloat(), 3]), "expected transforms"),  # type: ignore[list-item]
    (lambda: T.augmentation("strong", 32, 0.5, 0.5), "expected one of"),
    (lambda: T.Affine((1, 2, 3)), "Affine: expected a matrix"),
    (lambda: T.Affine((1, 0, 0, 0, 1, np.inf)), "finite"),
    (lambda: T.RandomAffine((20, 10)), "degrees"),
    (lambda: T.RandomAffine(-1), "degrees"),
    (lambda: T.RandomAffine(1, translate=(0.5, 1.5)), "translate"),
    (lambda: T.RandomAffine(1, scale=(0, 1)), "scale"),
    (lambda: T.RandomAffine(1, shear=(1, 2, 3)), "shear"),
    (lambda: T.RandomRotation(5, interpolation="bicubic"), "interpolation"),
    (lambda: T.RandomStretch((2, 1)), "expected x"),
    (lambda: T.ColorJitter(-0.1), "brightness"),
    (lambda: T.ColorJitter(saturation=(0.5, 0.1)), "saturation"),
    (lambda: T.ColorJitter(hue=0.6), "hue"),
    (lambda: T.Grayscale(2), "num_output_channels"),
    (lambda: T.RandomGrayscale(method="median"), "method"),
    (lambda: T.RandomPCAColor((1, 2), ((1, 0, 0),) * 3), "eigenvalues"),
    (lambda: T.RandomPosterize(9), "bits"),
    (lambda: T.RandomInvert(2), "expected p"),
    (lambda: T.Filter([1, 2]), "kernel"),  # type: ignore[list-item]
    (lambda: T.GaussianBlur(4), "odd kernel_size"),
    (lambda: T.GaussianBlur(3, (0, 1)), "sigma"),
    (lambda: T.RandomAdjustSharpness(-1), "sharpness_factor"),
    (lambda: T.GaussianNoise(sigma=-1), "sigma"),
    (lambda: T.RandAugment(magnitude=31), "magnitude"),
    (lambda: T.RandAugment(num_ops=-1), "num_ops"),
    (lambda: T.MixUp(alpha=0), "alpha"),
    (lambda: T.CutMix(num_classes=0), "num_classes"),
    (lambda: T.from_description({"name": "Nothing"}), "expected one of"),
    (lambda: T.from_description({"name": "Pad", "amount": 3}), "Pad"),
]


@pytest.mark.parametrize(("build", "message"), BAD_ARGUMENTS)
def test_bad_arguments(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


BAD_IMAGES: list[tuple[T.Transform, Any, str]] = [
    (T.RandomHorizontalFlip(), photos().astype(np.int64), "RandomHorizontalFlip: .*got int64"),
    (T.ToFloat(), photos().astype(np.float64), "ToFloat: .*got float64"),
    (T.Normalize(0.5, 0.5), photos()[0, :, :, 0], "shape"),
    (T.Normalize(0.5, 0.5), [[1, 2]], "got list"),
    (T.CenterCrop(3), np.zeros((2, 0, 4, 3), np.uint8), "shape"),
    (T.RandomCrop(40), photos(), "larger than the padded image"),
    (T.RandomRotation(4), photos().astype(np.float32), "RandomRotation: expected uint8"),
    (T.ColorJitter(0.1), photos().astype(np.float32), "ColorJitter: expected uint8"),
    (T.ColorJitter(0.1), photos(channels=4), "1 or 3 channels"),
    (T.RandomGrayscale(), photos(channels=1), "3 channels"),
    (T.RandomRotation(4, fill=(1, 2)), photos(), "fill"),
    (T.RandomApply([T.CenterCrop(5)], 1.0), photos(), "RandomApply: expected transforms that keep"),
    (T.RandomCrop((33, 8)), photos(), "larger than the padded image"),
    (T.RandomCrop(8, padding=36, padding_mode="reflect"), photos(), "too wide"),
    (T.Pad(33, padding_mode="symmetric"), photos(), "too wide"),
    (T.Pad(1, padding_mode="reflect"), photos(2, (1, 1)), "too wide"),
    (T.Pad(1, fill=(1, 2)), photos(), "fill value"),
    (T.Pad(1, fill=0.5), photos(), "0 to 255"),
    (T.Cutout(2, value=256), photos(), "0 to 255"),
    (T.Resize(8), photos().astype(np.float32), "expected uint8"),
    (T.RandomResizedCrop(8), photos().astype(np.float32), "expected uint8"),
    (T.RandomErasing(1.0, value="random"), photos(), "float32"),
    (T.Normalize([0.5] * 2, [0.5] * 2), photos(), "3 channels"),
]


@pytest.mark.parametrize(("transform", "x", "message"), BAD_IMAGES)
def test_bad_images(transform: T.Transform, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform(x)


def test_generator_and_parameters_of_another_batch() -> None:
    x, flip = photos(12), T.RandomHorizontalFlip()
    with pytest.raises(ValueError, match="generator of 12 samples"):
        flip(x, rng_for(11))
    with pytest.raises(ValueError, match="'horizontal'"):
        flip.apply(x, {"flip": np.ones(3, bool)})
    with pytest.raises(ValueError, match="'boxes'"):
        T.Cutout(3).apply(x, {"boxes": np.ones((3, 4), int)})
