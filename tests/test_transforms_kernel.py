"""The augmentation kernel: against reference, NumPy and Pillow, on every level and thread count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest

from fastnn import _C, cpu
from fastnn.reference import augment as reference
from fastnn.transforms.fused import COLUMNS, PADDING_MODES, FusedPass

SIZES = [(1, 1), (8, 8), (7, 13), (32, 32), (33, 17)]
CHANNELS = [1, 2, 3, 4, 5]
MEAN, STD = np.array([0.49, 0.48, 0.45, 0.5, 0.4]), np.array([0.25, 0.24, 0.26, 0.3, 0.2])


@pytest.fixture(params=cpu.levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    before = cpu.level()
    cpu.set_level(request.param)
    yield request.param
    cpu.set_level(before)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = cpu.get_num_threads()
    yield cpu.set_num_threads
    cpu.set_num_threads(before)


def images(rng: np.random.Generator, n: int, size: tuple[int, int], channels: int) -> np.ndarray:
    return rng.integers(0, 256, (n, *size, channels), dtype=np.uint8)


def boxes_for(rng: np.random.Generator, n: int, size: tuple[int, int]) -> np.ndarray:
    """Boxes in, across and beside the image, some of them empty."""
    corner = rng.integers(-3, max(size) + 3, (n, 2))
    return np.concatenate([corner, rng.integers(0, max(size) + 2, (n, 2))], axis=1)


def affine(channels: int) -> tuple[np.ndarray, np.ndarray]:
    mean, std = MEAN[:channels], STD[:channels]
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


# ---- copying, padding, flipping, erasing ------------------------------------------------------------------


@pytest.mark.parametrize(("size", "channels"), list(product(SIZES, CHANNELS)))
def test_whole_pipeline_matches_the_reference(level: str, size: tuple[int, int], channels: int) -> None:
    rng = np.random.default_rng(sum(size) + channels)
    n, pad = 9, min(4, min(size) - 1)
    x = images(rng, n, size, channels)
    top, left = rng.integers(0, 2 * pad + 1, (2, n))
    horizontal, vertical = rng.integers(0, 2, (2, n)).astype(bool)
    boxes, fill = boxes_for(rng, n, size), list(range(10, 10 + channels))
    want = reference.augment(
        x, MEAN[:channels], STD[:channels], top=top, left=left, padding=pad, mode="reflect",
        horizontal=horizontal, vertical=vertical, boxes=boxes, fill=np.array(fill),
    )  # fmt: skip
    run = FusedPass(x)
    assert run.crop(top - pad, left - pad, size, padding_mode="reflect")
    assert run.flip(horizontal=horizontal, vertical=vertical)
    assert run.erase(boxes, fill)
    assert run.normalize(*affine(channels))
    got = run.run()
    assert got.dtype == np.float32
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-6)  # a multiply-add may be rounded once or twice


@pytest.mark.parametrize(("mode", "size", "dtype"), list(product(PADDING_MODES, SIZES, [np.uint8, np.float32])))
def test_padding_modes_match_numpy(level: str, mode: str, size: tuple[int, int], dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(sum(size))
    limit = {"reflect": min(size) - 1, "symmetric": min(size)}.get(mode, 40)
    pad = [int(p) for p in rng.integers(0, limit + 1, 4)]
    x = images(rng, 3, size, 3).astype(dtype)
    run = FusedPass(x)
    out = (size[0] + pad[0] + pad[1], size[1] + pad[2] + pad[3])
    assert run.crop(np.full(3, -pad[0]), np.full(3, -pad[2]), out, padding_mode=mode, fill=9)
    widths = [(0, 0), (pad[0], pad[1]), (pad[2], pad[3]), (0, 0)]
    extra = {"constant_values": 9} if mode == "constant" else {}
    np.testing.assert_array_equal(run.run(), np.pad(x, widths, mode=mode, **extra))


@pytest.mark.parametrize("channels", CHANNELS)
def test_flips_of_every_width(level: str, channels: int) -> None:
    """Widths below, at and above the sixteen bytes that are mirrored at once."""
    rng = np.random.default_rng(channels)
    for width in range(1, 40):
        x = images(rng, 4, (2, width), channels)
        run = FusedPass(x)
        assert run.flip(horizontal=np.array([True, False, True, True]))
        want = x.copy()
        want[[0, 2, 3]] = want[[0, 2, 3], :, ::-1]
        np.testing.assert_array_equal(run.run(), want)


def test_float_images_are_moved_as_they_are(level: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 9, 7, 3)).astype(np.float32)
    x[0, 0, 0, 0] = np.nan
    flags, boxes = rng.integers(0, 2, 6).astype(bool), boxes_for(rng, 6, (9, 7))
    run = FusedPass(x)
    assert run.flip(horizontal=flags)
    assert run.erase(boxes, -0.5)
    np.testing.assert_array_equal(run.run(), reference.erase(reference.flip(x, flags), boxes, -0.5))


def test_boxes_before_and_after_normalising(level: str) -> None:
    rng = np.random.default_rng(1)
    x, early, late = images(rng, 8, (12, 12), 3), *(boxes_for(rng, 8, (12, 12)) for _ in range(2))
    run = FusedPass(x)
    assert run.erase(early, (1, 2, 3))
    assert run.normalize(*affine(3))
    assert run.erase(late, (0.25, 0.5, -1))
    want = reference.normalise(reference.erase(x, early, np.array([1, 2, 3])), MEAN[:3], STD[:3])
    want = reference.erase(want, late, np.array([0.25, 0.5, -1]))
    np.testing.assert_allclose(run.run(), want, rtol=0, atol=1e-6)


def test_pixels_around_the_result_stay_untouched(level: str) -> None:
    """The mirrored rows are written sixteen bytes at a time; none may lie outside the array."""
    rng = np.random.default_rng(2)
    for width, channels in product(range(1, 20), (1, 3, 4)):
        x = images(rng, 2, (3, width), channels)
        memory = np.full(x.size + 128, 77, np.uint8)
        y = memory[64 : 64 + x.size].reshape(x.shape)
        table = np.zeros((2, COLUMNS), np.int32)
        table[:, 2:4], table[:, 4] = (3, width), 1
        _C.augment_move(x, table, np.zeros((1, channels), np.uint8), y, 0, True)
        np.testing.assert_array_equal(y, x[:, :, ::-1])
        assert (memory[:64] == 77).all()
        assert (memory[64 + x.size :] == 77).all()


# ---- resampling -------------------------------------------------------------------------------------------


def weights(length: int, out: int, antialias: bool) -> np.ndarray:
    """The resampling matrix of one axis, (out, length), from its definition."""
    width = max(length / out, 1.0) if antialias else 1.0
    centres = (np.arange(out) + 0.5) * length / out
    if not antialias:  # beyond the outermost centres their pixels continue
        centres = centres.clip(0.5, length - 0.5)
    matrix = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centres[:, None]) / width)
    return matrix / matrix.sum(axis=1, keepdims=True)


def assert_rounded(got: np.ndarray, exact: np.ndarray) -> None:
    """`got` is `exact` rounded; within 1e-3 of a tie either way is right, the kernel working in float32."""
    assert np.abs(got - exact).max(initial=0) <= 0.5 + 1e-3


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(
    ("size", "out"),
    [((8, 8), (8, 8)), ((8, 8), (16, 20)), ((9, 31), (4, 5)), ((17, 5), (3, 23)), ((64, 50), (7, 1))],
)
def test_resampling_matches_its_definition(
    level: str, size: tuple[int, int], out: tuple[int, int], channels: int, antialias: bool
) -> None:
    rng = np.random.default_rng(channels)
    x, n = images(rng, 5, size, channels), 5
    top, left = rng.integers(0, size[0], n), rng.integers(0, size[1], n)
    boxes = np.stack([top, left, rng.integers(1, size[0] - top + 1), rng.integers(1, size[1] - left + 1)], 1)
    run = FusedPass(x)
    assert run.resize(boxes, out, antialias)
    got = run.run()
    for image, (t, l, h, w), result in zip(x, boxes, got, strict=True):  # noqa: E741
        rows, cols = weights(h, out[0], antialias), weights(w, out[1], antialias)
        box = image[t : t + h, l : l + w].astype(np.float64)
        assert_rounded(result, np.einsum("ij,jkc,lk->ilc", rows, box, cols))
    if not antialias:
        assert_rounded(got, reference.resized_crop(x, boxes, out, np.float64))


def test_resampling_to_the_same_size_and_of_even_images_is_exact(level: str) -> None:
    x = images(np.random.default_rng(0), 3, (11, 6), 3)
    whole = np.tile([0, 0, 11, 6], (3, 1))
    run = FusedPass(x)
    assert run.resize(whole, (11, 6), True)
    np.testing.assert_array_equal(run.run(), x)
    for out, value in product([(5, 5), (30, 4), (1, 40)], (0, 1, 254, 255)):
        run = FusedPass(np.full_like(x, value))
        assert run.resize(whole, out, True)
        assert (run.run() == value).all()


def test_resampled_images_are_flipped_erased_and_normalised(level: str) -> None:
    rng = np.random.default_rng(3)
    x, flags = images(rng, 6, (20, 30), 3), rng.integers(0, 2, (2, 6)).astype(bool)
    boxes, erased = np.tile([2, 3, 15, 20], (6, 1)), boxes_for(rng, 6, (9, 8))
    plain = FusedPass(x)
    assert plain.resize(boxes, (9, 8), True)
    want = reference.erase(reference.flip(plain.run(), flags[0], flags[1]), erased, 3)
    run = FusedPass(x)
    assert run.resize(boxes, (9, 8), True)
    assert run.flip(horizontal=flags[0], vertical=flags[1])
    assert run.erase(erased, 3)
    assert run.normalize(*affine(3))
    np.testing.assert_allclose(
        run.run(), reference.normalise(want, MEAN[:3], STD[:3]), rtol=0, atol=1e-6
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_agrees_with_pillow(level: str, channels: int) -> None:
    image_module = pytest.importorskip("PIL.Image")
    x = images(np.random.default_rng(4), 1, (45, 61), channels)
    picture = image_module.fromarray(x[0, :, :, 0] if channels == 1 else x[0])
    for out in [(45, 61), (20, 20), (90, 100), (13, 77), (1, 1)]:
        run = FusedPass(x)
        assert run.resize(np.array([[0, 0, 45, 61]]), out, True)
        want = np.asarray(picture.resize(out[::-1], image_module.Resampling.BILINEAR)).reshape(*out, channels)
        assert np.abs(run.run()[0].astype(int) - want).max() <= 1, out


# ---- threads, levels, layouts -----------------------------------------------------------------------------


def everything(x: np.ndarray) -> list[np.ndarray]:
    """One result of each path through the kernel, parameters being the same each time."""
    rng = np.random.default_rng(5)
    n, size = len(x), x.shape[1:3]
    top, left = rng.integers(-4, 5, (2, n))
    flags, boxes = rng.integers(0, 2, (2, n)).astype(bool), boxes_for(rng, n, size)
    results = []
    for floats, resample in product((False, True), (False, True)):
        run = FusedPass(x)
        if resample:
            run.resize(np.tile([1, 2, size[0] - 3, size[1] - 5], (n, 1)), (24, 40), True)
        else:
            run.crop(top, left, size, padding_mode="reflect")
        run.flip(horizontal=flags[0], vertical=flags[1])
        run.erase(boxes, 5)
        if floats:
            run.normalize(*affine(x.shape[3]))
        results.append(run.run())
    return results


@pytest.mark.parametrize("n", [0, 1, 37])
def test_same_bits_on_any_number_of_threads(level: str, threads: Callable[[int], None], n: int) -> None:
    x = images(np.random.default_rng(6), n, (32, 32), 3)
    threads(1)
    one = everything(x)
    for count in (2, 3):
        threads(count)
        for a, b in zip(one, everything(x), strict=True):
            np.testing.assert_array_equal(a, b)


def test_levels_agree() -> None:
    """Copies bit for bit; resampled pixels up to one at a tie, floats up to a rounding."""
    x = images(np.random.default_rng(7), 16, (32, 31), 3)
    before, results = cpu.level(), []
    for name in cpu.levels():
        cpu.set_level(name)
        results.append(everything(x))
    cpu.set_level(before)
    for moved, resized, floats, _ in results[1:]:
        np.testing.assert_array_equal(moved, results[0][0])
        assert np.abs(resized.astype(int) - results[0][1]).max() <= 1
        np.testing.assert_allclose(floats, results[0][2], rtol=0, atol=1e-6)


def test_strided_and_read_only_images(level: str) -> None:
    x = images(np.random.default_rng(8), 8, (20, 24), 3)
    want = everything(np.ascontiguousarray(x[::2, :, ::-1]))
    for a, b in zip(everything(x[::2, :, ::-1]), want, strict=True):
        np.testing.assert_array_equal(a, b)
    copy = x.copy()
    x.setflags(write=False)
    for a, b in zip(everything(x), everything(copy), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(x, copy)


# ---- no input may crash -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", range(len(PADDING_MODES)))
def test_any_parameter_of_a_crop_is_safe(level: str, mode: int) -> None:
    extremes = np.array([-(2**31), -1000, -3, 0, 2, 1000, 2**31 - 1])
    corners = np.array(list(product(extremes, extremes)), np.int32)
    x = images(np.random.default_rng(0), len(corners), (3, 4), 3)
    table = np.zeros((len(corners), COLUMNS + 4), np.int32)
    table[:, :2], table[:, 2:4], table[:, 4:6] = corners, (5, 6), corners
    table[:, 6:8], table[:, 8:10] = corners, corners[::-1]
    y = np.zeros((len(corners), 5, 6, 3), np.uint8)
    _C.augment_move(x, table, np.zeros((2, 3), np.uint8), y, mode, True)
    out = np.zeros(y.shape, np.float32)
    _C.augment_normalize(
        x, table, np.zeros((1, 3), np.uint8), *affine(3), np.zeros((1, 3), np.float32), out, mode, True
    )
    assert np.isfinite(out).all()


BAD_WINDOWS = [
    (-1, 0, 2, 2),
    (0, -1, 2, 2),
    (0, 0, 0, 2),
    (0, 0, 2, 0),
    (2, 0, 3, 2),
    (0, 3, 2, 2),
    (0, 0, -5, -5),
]


@pytest.mark.parametrize("window", [*BAD_WINDOWS, (2**31 - 1, 0, 2, 2), (0, 0, 2**31 - 1, 2**31 - 1)])
def test_windows_to_resample_must_lie_inside(window: tuple[int, int, int, int]) -> None:
    x, y = np.zeros((1, 4, 4, 1), np.uint8), np.zeros((1, 3, 3, 1), np.uint8)
    table = np.array([[*window, 0, 0]], np.int32)
    with pytest.raises(ValueError, match="leaves the image"):
        _C.augment_move(x, table, np.zeros((1, 1), np.uint8), y, 0, True)


def test_binding_refuses_arrays_that_do_not_fit() -> None:
    x, y, fill = (
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((1, 3), np.uint8),
    )
    table = np.zeros((2, COLUMNS), np.int32)
    table[:, 2:4] = 4
    floats, none = np.zeros(y.shape, np.float32), np.zeros((0, 3), np.float32)
    scale = np.ones(3, np.float32)
    _C.augment_move(x, table, fill, y, 0, True)
    _C.augment_normalize(x, table, fill, scale, scale, none, floats, 0, True)
    for bad in (
        lambda: _C.augment_move(x[:1], table, fill, y, 0, True),
        lambda: _C.augment_move(x, table[:1], fill, y, 0, True),
        lambda: _C.augment_move(x, table, fill[:, :2].copy(), y, 0, True),
        lambda: _C.augment_move(x, table, fill[:0], y, 0, True),
        lambda: _C.augment_move(x, table, fill, y, 4, True),
        lambda: _C.augment_move(x, table, fill, y[:, :, ::-1], 0, True),
        lambda: _C.augment_move(x[:, :0], table, fill, y, 0, True),
        lambda: _C.augment_normalize(x, table, fill, scale[:2], scale, none, floats, 0, True),
        lambda: _C.augment_normalize(x, table, fill, scale, scale, none[0:0, 0], floats, 0, True),
    ):
        with pytest.raises(ValueError, match="expected"):
            bad()
    for bad in (
        lambda: _C.augment_move(x, table.astype(np.int64), fill, y, 0, True),
        lambda: _C.augment_move(x, table, fill, floats, 0, True),
        lambda: _C.augment_move(x.astype(object), table, fill, y, 0, True),
        lambda: _C.augment_normalize(floats, table, fill, scale, scale, none, floats, 0, True),
        lambda: _C.augment_normalize(x, table, fill, scale, scale, none, y, 0, True),
    ):
        with pytest.raises(TypeError, match="expected"):
            bad()


# ---- gathering --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.bool_, np.complex128])
@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 7, 5, 3), (50, 0), (40, 64, 64, 3)])
def test_gathered_rows(threads: Callable[[int], None], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2 if dtype is np.bool_ else 200, shape).astype(dtype)
    for n, count in product((0, 1, 33, 300), (1, 2, 3)):
        threads(count)
        indices, out = rng.integers(0, shape[0], n), np.empty((n, *shape[1:]), dtype)
        _C.gather_rows(x, indices, out)
        np.testing.assert_array_equal(out, x[indices])


def test_gather_checks_indices_and_result() -> None:
    x, out = np.arange(12.0).reshape(4, 3), np.zeros((2, 3))
    for index in (-1, 4, 2**62, -(2**63)):
        with pytest.raises(IndexError, match=r"\[0, 4\)"):
            _C.gather_rows(x, np.array([0, index]), out)
    for bad_out in (np.zeros((3, 3)), np.zeros((2, 2)), np.zeros(2), np.zeros((2, 3), np.float32)):
        with pytest.raises(ValueError, match="out of shape"):
            _C.gather_rows(x, np.array([0, 1]), bad_out)
    for bad_source in (x[:, ::2], np.array(3.0)):
        with pytest.raises(ValueError, match="expected"):
            _C.gather_rows(bad_source, np.array([0, 1]), out)
    with pytest.raises(TypeError, match="plain"):
        _C.gather_rows(x.astype(object), np.array([0, 1]), out)
    out.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        _C.gather_rows(x, np.array([0, 1]), out)
