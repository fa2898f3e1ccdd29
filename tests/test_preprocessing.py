"""Preprocessing: against scikit-learn, and what whitening means; saving; training statistics alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn, preprocessing
from fastnn import transforms as T
from fastnn.preprocessing import base

ALL: list[preprocessing.Preprocessor] = [
    preprocessing.MeanImage(),
    preprocessing.ChannelMean(),
    preprocessing.ChannelStandardize(),
    preprocessing.PCA(7),
    preprocessing.PCA(0.9),
    preprocessing.PCAWhitening(9, eps=1e-4),
    preprocessing.ZCA(eps=1e-3),
    preprocessing.PatchWhitening((2, 3)),
]


def correlated(n: int = 300, d: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)


def images(n: int = 60, size: tuple[int, int] = (5, 6), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = rng.standard_normal((n, *size, 3)).cumsum(axis=1).cumsum(axis=2)
    return np.clip(128 + 20 * smooth, 0, 255).astype(np.uint8)


# ---- scikit-learn -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(300, 12), (10, 30), (30, 30)])
@pytest.mark.parametrize("n_components", [None, 4, 0.5, 0.95])
def test_pca_is_scikit_learns(n: int, d: int, n_components: Any) -> None:
    sklearn = pytest.importorskip("sklearn.decomposition")
    x, new = correlated(n, d), correlated(20, d, seed=1)
    ours, theirs = preprocessing.PCA(n_components).fit(x), sklearn.PCA(n_components, svd_solver="full").fit(x)
    rank = min(n - 1, d, len(theirs.components_))  # centred samples have no variance beyond; directions there are any
    assert ours.components_.shape == theirs.components_.shape
    np.testing.assert_allclose(ours.explained_variance_, theirs.explained_variance_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(ours.components_[:rank], theirs.components_[:rank], atol=1e-8)
    z = ours.transform(new)
    np.testing.assert_allclose(z[:, :rank], theirs.transform(new)[:, :rank], atol=1e-8)
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(x)), theirs.inverse_transform(theirs.transform(x)), atol=1e-8
    )


@pytest.mark.parametrize("n_components", [None, 5])
def test_whitening_is_scikit_learns(n_components: int | None) -> None:
    sklearn = pytest.importorskip("sklearn.decomposition")
    x, new = correlated(), correlated(20, seed=1)
    ours = preprocessing.PCAWhitening(n_components, eps=0.0).fit(x)
    theirs = sklearn.PCA(n_components, whiten=True, svd_solver="full").fit(x)
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), atol=1e-8)
    np.testing.assert_allclose(
        ours.inverse_transform(ours.transform(x)), theirs.inverse_transform(theirs.transform(x)), atol=1e-8
    )


def test_standardising_is_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.preprocessing")
    x = correlated()
    x[:, 3] = 7.0
    ours, theirs = preprocessing.ChannelStandardize().fit(x), sklearn.StandardScaler().fit(x)
    np.testing.assert_allclose(ours.mean_, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(ours.std_, theirs.scale_, rtol=1e-12)
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x), atol=1e-12)
    pixels = images()
    ours.fit(pixels)
    np.testing.assert_allclose(ours.std_, theirs.fit(pixels.reshape(-1, 3) / 255).scale_, rtol=1e-12)


# ---- what each of them means ------------------------------------------------------------------------------


def test_centring() -> None:
    x = images()
    scaled = x / 255
    mean_image, channel = preprocessing.MeanImage().fit(x), preprocessing.ChannelMean().fit(x)
    np.testing.assert_allclose(mean_image.mean_, scaled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(channel.mean_, scaled.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(mean_image.transform(x), scaled - scaled.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(channel.transform(x), scaled - scaled.mean(axis=(0, 1, 2)), atol=1e-6)


@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_zca_whitens_and_is_symmetric(eps: float) -> None:
    x = correlated()
    zca = preprocessing.ZCA(eps).fit(x)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    matrix = vectors / np.sqrt(values + eps) @ vectors.T
    np.testing.assert_allclose(zca.transform(x), (x - x.mean(axis=0)) @ matrix, atol=1e-9)
    np.testing.assert_allclose(np.cov(zca.transform(x).T), vectors * (values / (values + eps)) @ vectors.T, atol=1e-9)
    np.testing.assert_allclose(zca.inverse_transform(zca.transform(x)), x, atol=1e-8)
    if eps == 0:
        np.testing.assert_allclose(np.cov(zca.transform(x).T), np.eye(12), atol=1e-9)


def test_zca_keeps_images_images() -> None:
    x = images(400)
    zca = preprocessing.ZCA(eps=1e-6).fit(x)
    white = zca.transform(x)
    assert white.shape == x.shape
    assert white.dtype == np.float32
    covariance = np.cov(white.reshape(400, -1).T.astype(np.float64))
    assert np.abs(covariance - np.eye(90)).max() < 0.02
    np.testing.assert_allclose(zca.inverse_transform(white), x / 255, atol=1e-4)


@pytest.mark.parametrize("freeze", [False, True])
def test_patch_whitening_initialises_a_convolution(freeze: bool) -> None:
    x = preprocessing.ChannelStandardize().fit_transform(images(200, (8, 9)))
    whitening = preprocessing.PatchWhitening((2, 3), eps=0.0).fit(x)
    assert whitening.filters_.shape == (18, 3, 2, 3)
    assert (np.diff(whitening.eigenvalues_) <= 0).all()
    conv = nn.Conv2d(3, 36, (2, 3), bias=False)
    whitening.initialize(conv, freeze=freeze)
    assert conv.weight.requires_grad != freeze
    y = conv(fastnn.tensor(x).permute(0, 3, 1, 2)).data.transpose(0, 2, 3, 1).astype(np.float64)
    np.testing.assert_array_equal(y[..., 18:], -y[..., :18])
    np.testing.assert_allclose(y[..., :18], whitening.transform(x), rtol=1e-4, atol=1e-4)
    patches = y[..., :18].reshape(-1, 18)
    np.testing.assert_allclose(patches.T @ patches / len(patches), np.eye(18), atol=1e-3)
    # The singular values of all patches, taken out by the library's own unfold.
    flat = F.unfold(fastnn.tensor(x).permute(0, 3, 1, 2), (2, 3)).data.transpose(0, 2, 1).reshape(-1, 18)
    singular = np.linalg.svd(flat.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(singular**2 / len(flat), whitening.eigenvalues_, rtol=1e-6, atol=1e-9)
    narrow = nn.Conv2d(3, 18, (2, 3))
    whitening.initialize(narrow)
    np.testing.assert_array_equal(narrow.weight.data, conv.weight.data[:18])
    with pytest.raises(ValueError, match="expected a weight of shape"):
        whitening.initialize(nn.Conv2d(3, 20, (2, 3)))


# ---- all of them ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preprocessor", ALL, ids=repr)
def test_fit_transform_save_load(preprocessor: preprocessing.Preprocessor, tmp_path: Path) -> None:
    train, new = images(200), images(10, seed=1)  # more samples than pixels: ZCA can be undone
    train.setflags(write=False)
    fitted = type(preprocessor)(**preprocessor.arguments()).fit(train)
    before = fitted.transform(new)
    assert before.dtype == np.float32
    np.testing.assert_array_equal(fitted.fit_transform(train), fitted.transform(train))
    fitted.save(tmp_path / "it.safetensors")
    loaded = preprocessing.load(tmp_path / "it.safetensors")
    assert loaded == fitted
    assert repr(loaded) == repr(preprocessor)
    np.testing.assert_array_equal(loaded.transform(new), before)
    # New data say nothing: a batch is transformed as its samples are, by the training statistics.
    np.testing.assert_allclose(
        np.concatenate([loaded.transform(new[:3]), loaded.transform(new[3:])]), before, atol=1e-5
    )
    assert fitted.transform(new[:0]).shape == (0, *before.shape[1:])
    np.testing.assert_allclose(fitted.transform((new / 255).astype(np.float32)), before, atol=2e-4)
    assert fitted.transform(new / 255).dtype == np.float64
    if not isinstance(fitted, preprocessing.PatchWhitening | preprocessing.PCA) or isinstance(
        fitted, preprocessing.ZCA
    ):
        np.testing.assert_allclose(fitted.inverse_transform(before), new / 255, atol=1e-3)
    other = type(preprocessor)(**preprocessor.arguments()).fit(images(seed=2))
    assert other != fitted
    if before.ndim == 4:
        composed = T.Compose([T.RandomHorizontalFlip(1.0), fitted])
        np.testing.assert_array_equal(composed(new), fitted.transform(np.ascontiguousarray(new[:, :, ::-1])))


def test_many_samples_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = images(200)
    whole = [type(p)(**p.arguments()).fit(x) for p in ALL]
    monkeypatch.setattr(base, "ROWS", 7)
    for once, preprocessor in zip(whole, ALL, strict=True):
        again = type(preprocessor)(**preprocessor.arguments()).fit(x)
        for name, value in once.state_dict().items():
            np.testing.assert_allclose(again.state_dict()[name], value, atol=1e-7)


@pytest.mark.parametrize("preprocessor", ALL, ids=repr)
def test_what_is_wrong_raises(preprocessor: preprocessing.Preprocessor) -> None:
    fresh = type(preprocessor)(**preprocessor.arguments())
    name = type(fresh).__name__
    for use in (fresh.transform, fresh.inverse_transform):
        with pytest.raises(ValueError, match=f"{name}.*call fit first"):
            use(images())
    with pytest.raises(ValueError, match="at least one sample"):
        fresh.fit(images()[:0])
    for bad in (np.zeros((3, 4), np.int64), np.zeros(4), [[1.0]], np.zeros((3, 0))):
        with pytest.raises(ValueError, match=f"{name}.fit: expected"):
            fresh.fit(bad)  # type: ignore[arg-type]
    fresh.fit(images())
    with pytest.raises(ValueError, match=name):
        fresh.transform(np.zeros((3, 5, 6, 4), np.uint8))
    with pytest.raises(ValueError, match="load_state_dict"):
        fresh.load_state_dict({"nothing": np.zeros(3)})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: preprocessing.PCA(0), "n_components"),
        (lambda: preprocessing.PCA(2.5), "n_components"),
        (lambda: preprocessing.PCA(13).fit(correlated()), "n_components <="),
        (lambda: preprocessing.PCA().fit(correlated(1)), "two samples"),
        (lambda: preprocessing.ZCA(-1), "eps"),
        (lambda: preprocessing.PCAWhitening(eps=np.nan), "eps"),
        (lambda: preprocessing.PatchWhitening(0), "size"),
        (lambda: preprocessing.PatchWhitening(9).fit(images()), "at least 9x9"),
    ],
)
def test_bad_arguments(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    fastnn.save({"w": fastnn.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match="does not hold"):
        preprocessing.load(tmp_path / "x.safetensors")
