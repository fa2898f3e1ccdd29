"""Folders of images against Pillow itself."""

import sys

import numpy as np
import pytest

from fastnn import data

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(9)


def save(path, height=6, width=5, mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": (3,), "RGBA": (4,), "L": ()}[mode]
    pixels = RNG.integers(0, 256, (height, width, *channels), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return pixels


@pytest.fixture
def tree(tmp_path):
    """Two classes with files at two depths, and things that are no images."""
    pixels = {
        name: save(tmp_path / name)
        for name in ("cats/b.png", "cats/a.PNG", "ants/deep/er/z.png", "ants/y.png", "ants/x.png")
    }
    save(tmp_path / "stray.png")
    save(tmp_path / ".hidden" / "h.png")
    (tmp_path / "ants" / "notes.txt").write_text("no image")
    return tmp_path, pixels


ORDER = ["ants/deep/er/z.png", "ants/x.png", "ants/y.png", "cats/a.PNG", "cats/b.png"]


@pytest.mark.parametrize("threads", [None, 1, 3])
@pytest.mark.parametrize("keep_bytes", [0, 1 << 20])
def test_folder(tree, threads, keep_bytes):
    root, pixels = tree
    dataset = data.ImageFolder(root, threads=threads, keep_bytes=keep_bytes)
    assert [str(path.relative_to(root)) for path in dataset.paths] == ORDER
    assert dataset.classes == ["ants", "cats"]
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1]
    assert dataset.labels.dtype == np.int64
    images, labels = dataset.batch(np.array([4, 1, 4, 0]))
    assert labels.tolist() == [1, 0, 1, 0]
    assert images.dtype == np.uint8
    for image, index in zip(images, [4, 1, 4, 0], strict=True):
        assert np.array_equal(image, pixels[ORDER[index]])
    assert np.array_equal(dataset.images, np.stack([pixels[name] for name in ORDER]))
    assert np.array_equal(dataset[-1][0], pixels["cats/b.png"])
    assert dataset[-1][1] == 1
    assert repr(dataset) == "ImageFolder(5 images of 6x5x3, 2 classes)"
    with pytest.raises(IndexError):
        dataset.batch([5])


def test_kept_images_are_decoded_once(tree):
    root, pixels = tree
    kept, fresh = data.ImageFolder(root), data.ImageFolder(root, keep_bytes=5 * 6 * 5 * 3 - 1)
    for dataset in (kept, fresh):
        dataset.batch([1, 2])
    changed = save(root / ORDER[1])
    assert np.array_equal(kept.batch([1])[0][0], pixels[ORDER[1]])
    assert np.array_equal(fresh.batch([1])[0][0], changed)


def test_grey_and_jpeg(tmp_path):
    save(tmp_path / "a" / "1.jpg", 16, 16)
    save(tmp_path / "a" / "2.jpeg", 16, 16, "L")
    save(tmp_path / "b" / "3.png", 16, 16, "RGBA")
    for mode, channels in (("RGB", 3), ("L", 1)):
        dataset = data.ImageFolder(tmp_path, mode=mode)
        assert dataset.images.shape == (3, 16, 16, channels)
        for image, path in zip(dataset.images, dataset.paths, strict=True):
            expected = np.asarray(Image.open(path).convert(mode)).reshape(16, 16, channels)
            assert np.array_equal(image, expected)


def test_size_covers_and_cuts_the_centre(tmp_path):
    wide = np.zeros((10, 40, 3), np.uint8)
    wide[:, :15], wide[:, 15:25], wide[:, 25:] = 50, 100, 200
    (tmp_path / "a").mkdir()
    Image.fromarray(wide).save(tmp_path / "a" / "wide.png")
    Image.fromarray(wide.transpose(1, 0, 2).copy()).save(tmp_path / "a" / "tall.png")
    dataset = data.ImageFolder(tmp_path, 10)
    assert dataset.images.shape == (2, 10, 10, 3)
    assert (dataset.images == 100).all()
    half = data.ImageFolder(tmp_path, (5, 20))
    wide_half = half.images[[path.name for path in half.paths].index("wide.png")]
    assert wide_half.shape == (5, 20, 3)
    assert wide_half[2, [3, 10, 17], 0].tolist() == [50, 100, 200]


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to view
    pixels = save(tmp_path / "a" / "turned.png", 4, 7, exif=exif)
    assert np.array_equal(data.ImageFolder(tmp_path).images[0], np.rot90(pixels, -1))


def test_sizes_that_differ(tmp_path):
    save(tmp_path / "a" / "1.png", 6, 5)
    save(tmp_path / "a" / "2.png", 5, 6)
    dataset = data.ImageFolder(tmp_path)
    assert dataset.batch([0])[0].shape == (1, 6, 5, 3)
    with pytest.raises(ValueError, match=r"2\.png has 5x6 pixels, the first image 6x5; give a size"):
        dataset.batch([0, 1])
    assert data.ImageFolder(tmp_path, 4).images.shape == (2, 4, 4, 3)


@pytest.mark.parametrize("threads", [1, 2])
def test_files_that_cannot_be_decoded(tmp_path, threads):
    save(tmp_path / "a" / "1.png", 64, 64)
    whole = (tmp_path / "a" / "1.png").read_bytes()
    for content in (b"", b"no image at all", whole[:2000], whole[:20] + b"\xff" * 30 + whole[50:]):
        (tmp_path / "a" / "2.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"ImageFolder: cannot decode .*2\.png"):
            data.ImageFolder(tmp_path, threads=threads).batch([0, 1])


def test_sixteen_bit_image_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a" / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png has pixels of mode I.*not of 8 bits"):
        data.ImageFolder(tmp_path)


def test_nothing_to_find(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent"):
        data.ImageFolder(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no \.jpg, \.jpeg or \.png file below"):
        data.ImageFolder(tmp_path)
    save(tmp_path / "a" / "1.png")
    dataset = data.ImageFolder(tmp_path, keep_bytes=0)
    (tmp_path / "a" / "1.png").unlink()
    with pytest.raises(FileNotFoundError):
        dataset.batch([0])


@pytest.mark.parametrize(("options", "message"), [({"mode": "CMYK"}, "mode 'RGB' or 'L'"), ({"size": 0}, "one pixel")])
def test_refused_options(tmp_path, options, message):
    save(tmp_path / "a" / "1.png")
    with pytest.raises(ValueError, match=message):
        data.ImageFolder(tmp_path, **options)


def test_without_pillow(tmp_path, monkeypatch):
    save(tmp_path / "a" / "1.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install fastnn\[images\]"):
        data.ImageFolder(tmp_path)


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_load_folder(tmp_path, held_out):
    for part in ("train", held_out):
        for name in ("a", "b"):
            save(tmp_path / part / name / "1.png", 6 if part == "train" else 9)
    train, test = data.load("folder", tmp_path, size=4)
    assert train.images.shape == test.images.shape == (2, 4, 4, 3)
    save(tmp_path / held_out / "c" / "1.png")
    with pytest.raises(ValueError, match="has the classes"):
        data.load("folder", tmp_path)
