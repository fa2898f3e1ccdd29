"""Predictor and test-time views: against the averages written out in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn, train
from fastnn import transforms as T
from fastnn.autograd import Tensor
from fastnn.train import Predictor


def network(seed: int) -> nn.Module:
    fastnn.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 5),
    )  # fmt: skip


def images(n: int = 6) -> Tensor:
    return Tensor(np.random.default_rng(n).standard_normal((n, 3, 10, 12)).astype(np.float32))


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z.astype(np.float64) - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture
def outputs() -> tuple[list[nn.Module], Tensor, list[np.ndarray]]:
    models, x = [network(seed) for seed in range(3)], images()
    return models, x, [train.predict(model, x).astype(np.float64) for model in models]


@pytest.mark.parametrize("weights", [None, (1, 2, 5)])
def test_ensembles_are_the_averages_they_say(outputs: Any, weights: Any) -> None:
    models, x, z = outputs
    w = np.array(weights or (1, 1, 1)) / sum(weights or (1, 1, 1))
    votes = [np.eye(5)[each.argmax(axis=1)] for each in z]
    expected = {
        "probabilities": np.tensordot(w, [softmax(each) for each in z], 1),
        "logits": softmax(np.tensordot(w, z, 1)),
        "votes": np.tensordot(w, votes, 1),
    }
    for combine, p in expected.items():
        predictor = Predictor(models, combine=combine, weights=weights)  # type: ignore[arg-type]
        np.testing.assert_allclose(predictor.probabilities(x, batch_size=4), p, rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(predictor.classes(x), p.argmax(axis=1))
        np.testing.assert_allclose(softmax(predictor(x).data), p, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(
        Predictor(models, combine="logits", weights=weights)(x).data, np.tensordot(w, z, 1), rtol=1e-5, atol=1e-6
    )


def test_one_model_is_itself(outputs: Any) -> None:
    models, x, z = outputs
    np.testing.assert_allclose(Predictor(models[0]).probabilities(x), softmax(z[0]), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(Predictor(models[0], combine="logits")(x).data, z[0], rtol=1e-6, atol=1e-7)


def test_modes_come_back_and_no_graph_is_recorded(outputs: Any) -> None:
    models, x, _ = outputs
    models[0].train()
    models[1].eval()
    predictor = Predictor(models)
    first, second = predictor(x), predictor(x)
    np.testing.assert_array_equal(first.data, second.data)  # dropout does nothing
    assert not first.requires_grad
    assert [model.training for model in models] == [True, False, True]
    assert len(list(predictor.parameters())) == 3 * len(list(models[0].parameters()))


def test_evaluate_takes_a_predictor(outputs: Any) -> None:
    models, x, z = outputs
    y = Tensor(np.array([0, 1, 2, 3, 4, 0]))
    result = train.evaluate(Predictor(models), [(x, y)], nn.CrossEntropyLoss())
    p = np.mean([softmax(each) for each in z], axis=0)
    assert result["loss"] == pytest.approx(-np.log(p[np.arange(6), y.data]).mean(), rel=1e-5)
    assert result["accuracy"] == (p.argmax(1) == y.data).mean()


def test_loaders_and_single_batches_agree(outputs: Any) -> None:
    models, x, _ = outputs
    predictor = Predictor(models)
    whole = predictor.probabilities(x)
    parts = predictor.probabilities([(x[:2], 0), (x[2:], 0)])  # type: ignore[list-item]
    np.testing.assert_allclose(parts, whole, rtol=1e-6)
    with pytest.raises(ValueError, match="empty loader"):
        predictor.probabilities([])


def test_views_are_averaged(outputs: Any) -> None:
    models, x, _ = outputs
    views = T.ComposeViews([T.TranslateViews(view_weights=(2, 1, 1)), T.FlipViews()])
    assert views.weights == (0.25, 0.25, 0.125, 0.125, 0.125, 0.125)
    padded = np.pad(x.data, [(0, 0), (0, 0), (1, 1), (1, 1)], mode="reflect")
    moved = [x.data, padded[:, :, 2:, 2:], padded[:, :, :-2, :-2]]
    shown = [side for image in moved for side in (image, image[..., ::-1])]
    expected = sum(
        weight * softmax(train.predict(model, Tensor(np.ascontiguousarray(image)))) / 3
        for model in models
        for weight, image in zip(views.weights, shown, strict=True)
    )
    np.testing.assert_allclose(Predictor(models, views=views).probabilities(x), expected, rtol=1e-5, atol=1e-6)


def test_views_of_uint8_images() -> None:
    x = np.random.default_rng(0).integers(0, 256, (3, 9, 8, 2), dtype=np.uint8)
    a, b, c, d = T.FlipViews(vertical=True)(x)
    for view, want in ((a, x), (b, x[:, :, ::-1]), (c, x[:, ::-1]), (d, x[:, ::-1, ::-1])):
        np.testing.assert_array_equal(view, want)
    crops = T.FiveCrop((4, 5))(x)
    for view, (top, left) in zip(crops, ((0, 0), (0, 3), (5, 0), (5, 3), (2, 2)), strict=True):  # 2.5 and 1.5: even
        np.testing.assert_array_equal(view, x[:, top : top + 4, left : left + 5])
    for vertical, mirrored in ((False, x[:, :, ::-1]), (True, x[:, ::-1])):
        ten = T.TenCrop((4, 5), vertical_flip=vertical)(x)
        for view, want in zip(ten, (*crops, *T.FiveCrop((4, 5))(mirrored)), strict=True):
            np.testing.assert_array_equal(view, want)
    for views in (T.FlipViews(vertical=True), T.FiveCrop(4), T.TenCrop(4), T.TranslateViews()):
        assert len(views(x)) == len(views.weights)
        assert sum(views.weights) == pytest.approx(1)
        assert eval(repr(views), vars(T)) == views


@pytest.mark.parametrize("combine", ["probabilities", "logits", "votes"])
def test_members_by_themselves(outputs: Any, combine: Any) -> None:
    """One pass gives what a predictor of each model alone gives, and the ensemble's own prediction."""
    models, x, _ = outputs
    views = T.FlipViews()
    predictor = Predictor(models, combine=combine, views=views, weights=(1, 2, 5))
    found = predictor.predictions(x, batch_size=4)
    for model, row in zip(models, found.members, strict=True):
        alone = Predictor(model, combine=combine, views=views).probabilities(x, batch_size=4)
        np.testing.assert_array_equal(row, alone)
    np.testing.assert_array_equal(found.probabilities, predictor.probabilities(x, batch_size=4))
    if combine == "logits":
        flipped = train.predict(models[0], Tensor(np.ascontiguousarray(x.data[..., ::-1])))
        mean = (train.predict(models[0], x).astype(np.float64) + flipped) / 2
        np.testing.assert_allclose(found.members[0], softmax(mean), rtol=1e-5)
    assert found.members.dtype == found.probabilities.dtype == np.float32


def test_named_views() -> None:
    """Ten crops of the padded image are `TenCrop`'s; all views have the size of the image."""
    x = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)
    padded = np.pad(x, [(0, 0), (2, 2), (3, 3), (0, 0)], mode="reflect")
    ten = T.view_set("ten-crop", (16, 24))
    assert ten is not None
    assert ten.weights == pytest.approx((0.1,) * 10)
    given = sorted(view.tobytes() for view in ten(x))
    assert given == sorted(np.ascontiguousarray(view).tobytes() for view in T.TenCrop((16, 24))(padded))
    assert T.view_set("none", 8) is None
    assert T.view_set("flip", 8) == T.FlipViews()
    six = T.view_set("flip-translate", 16)
    assert six is not None
    assert six.weights == (0.25, 0.25, 0.125, 0.125, 0.125, 0.125)
    for name in T.VIEWS[1:]:
        views = T.view_set(name, (16, 24))
        assert views is not None
        assert {view.shape for view in views(x)} == {x.shape}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: T.view_set("twenty-crop", 8), "view_set: expected one of"),
        (lambda: Predictor([]), "at least one model"),
        (lambda: Predictor(nn.Identity(), combine="median"), "combine"),  # type: ignore[arg-type]
        (lambda: Predictor(nn.Identity(), weights=[1, 2]), "1 weights"),
        (lambda: Predictor([nn.Identity()] * 2, weights=[0, 0]), "not all 0"),
        (lambda: Predictor(nn.Identity(), views=T.FlipViews())(Tensor(np.zeros((2, 3)))), "views need images"),
        (lambda: Predictor(nn.Identity()).probabilities(Tensor(np.zeros((2, 3))), 0), "batch_size"),
        (lambda: T.FiveCrop(9)(np.zeros((1, 8, 9, 1), np.uint8)), "FiveCrop: crop"),
        (lambda: T.TranslateViews([]), "shifts"),
        (lambda: T.TranslateViews([(1, 0.5)]), "shifts"),  # type: ignore[list-item]
        (lambda: T.TranslateViews(view_weights=[1]), "3 weights"),
        (lambda: T.ComposeViews([T.ToFloat()]), "expected Views"),  # type: ignore[list-item]
    ],
)
def test_bad_arguments(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_models_must_be_callable() -> None:
    with pytest.raises(TypeError, match="callable"):
        Predictor([3])  # type: ignore[list-item]
