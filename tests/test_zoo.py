"""The zoo: every network scores what its card says; weights are checked, wherever they come from."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import data, models, nn, transfer
from fastnn.models import zoo
from fastnn.models.zoo import cards, files
from fastnn.models.zoo.rounding import restore, shrink
from fastnn.train import evaluate, predict
from tests.process import ROOT

PACKAGED = [name for name in zoo.names() if zoo.card(name).packaged]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zoo of the digits' card alone, whose weights are in the folder `shelf`; gives that folder."""
    weights, shelf = tmp_path / "cards", tmp_path / "shelf"
    weights.mkdir()
    shelf.mkdir()
    shutil.copy(cards.FOLDER / "digits.json", weights)
    shutil.copy(cards.FOLDER / "digits.safetensors", shelf)
    monkeypatch.setattr(cards, "FOLDER", weights)
    monkeypatch.setattr(files, "FOLDER", weights)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(files.SOURCE, raising=False)
    return shelf


@pytest.fixture
def address(elsewhere: Path) -> Iterator[str]:
    """The shelf behind a server on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=elsewhere))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


# What is in the package


def test_names() -> None:
    assert {"digits", "lenet5-mnist"} <= set(PACKAGED)
    with pytest.raises(ValueError, match=r"there is no network 'resnet'; there are .*digits"):
        zoo.card("resnet")
    with pytest.raises(ValueError, match=r"there is no network '\.\./digits'"):
        zoo.load("../digits")


@pytest.mark.parametrize("name", zoo.names())
def test_cards_are_complete(name: str) -> None:
    card = zoo.card(name)
    assert card.name == name
    assert card.model in models.names()
    assert len(card.mean) == len(card.std) == card.channels
    assert not set(card.classes) & set(card.held_out)
    assert card.command.startswith("fastnn train ")
    assert "weights:" in card.licence
    assert "data:" in card.licence
    assert 0.5 < card.score["test_accuracy"] <= 1
    # What eight or sixteen bits cost is stated, and small.
    assert abs(card.score["test_accuracy"] - card.score["before_rounding"]["test_accuracy"]) < 0.005
    text = (cards.FOLDER / f"{name}.json").read_text()
    assert cards.Card.from_json(text).to_json() == text
    assert not any(isinstance(value, str) and value.startswith("/") for value in card.training.values())
    if "CIFAR" in card.data:
        assert "JPEG" in card.data


@pytest.mark.parametrize("name", PACKAGED)
def test_networks_are_what_their_cards_say(name: str) -> None:
    card = zoo.card(name)
    state = fastnn.random.get_rng_state()
    model = zoo.load(name)
    assert fastnn.random.get_rng_state() == state
    assert not any(module.training for module in model.modules())
    assert sum(parameter.numel() for parameter in model.parameters()) == card.parameters
    content = zoo.find(card).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (card.bytes, card.sha256)
    pixels = np.random.default_rng(0).integers(0, 256, (4, card.height, card.width, card.channels), np.uint8)
    loader = data.DataLoader(data.ArrayDataset(pixels, np.zeros(4, int)), 4, transform=card.transform())
    outputs = predict(model, loader)
    assert outputs.shape == (4, len(card.classes))
    assert outputs.dtype == np.float32
    assert np.isfinite(outputs).all()


def test_the_digits_score_what_their_card_says() -> None:
    card = zoo.card("digits")
    loader = data.DataLoader(data.Digits(train=False), 100, transform=card.transform())
    result = evaluate(zoo.load("digits"), loader, nn.CrossEntropyLoss())
    assert result["accuracy"] == card.score["test_accuracy"]
    np.testing.assert_allclose(result["loss"], card.score["test_loss"], rtol=1e-4)


def test_all_weights_together_are_small() -> None:
    sizes = [path.stat().st_size for path in cards.FOLDER.iterdir()]
    assert sum(sizes) < 400_000
    settings = (ROOT / "pyproject.toml").read_text()
    assert "models/zoo/weights/*" in settings


def test_a_network_of_the_zoo_learns_other_classes() -> None:
    """Whether digits are of five or more, from a hundred of them."""
    card = zoo.card("digits")

    def halves(train: bool) -> data.ArrayDataset:
        digits = data.Digits(train)
        return data.ArrayDataset(digits.images, digits.labels // 5, ["small", "large"])

    model = zoo.load("digits")
    transfer.fit_head(model, data.Subset(halves(True), range(100)), 2, transform=card.transform())
    loader = data.DataLoader(halves(False), 100, transform=card.transform())
    assert evaluate(model, loader, nn.CrossEntropyLoss())["accuracy"] > 0.9


# Fewer bits


def test_rounding_is_within_half_a_step() -> None:
    rng = np.random.default_rng(0)
    state = {
        "conv.weight": rng.standard_normal((5, 3, 2, 2)).astype(np.float32),
        "conv.bias": rng.standard_normal(5).astype(np.float32),
        "norm.num_batches_tracked": np.array(7),
        "zeros": np.zeros((2, 3), np.float32),
        "a.scale": np.ones(3, np.float32),
    }
    stored = shrink(state, "int8")
    again = restore(stored)
    assert list(again) == list(state)
    step = np.abs(state["conv.weight"].reshape(5, -1)).max(1) / 127
    error = np.abs(again["conv.weight"] - state["conv.weight"]).reshape(5, -1).max(1)
    assert (error <= step / 2 * 1.0001).all()
    assert error.max() > 0
    for name in set(state) - {"conv.weight"}:
        assert np.array_equal(again[name], state[name])
        assert again[name].dtype == state[name].dtype
    assert sum(array.nbytes for array in stored.values()) < sum(array.nbytes for array in state.values()) / 2
    half = restore(shrink(state, "float16"))
    np.testing.assert_allclose(half["conv.weight"], state["conv.weight"], rtol=2**-11)
    assert half["conv.weight"].dtype == np.float32
    assert np.array_equal(restore(shrink(state, "float32"))["conv.weight"], state["conv.weight"])
    del stored["conv.weight.scale"]
    with pytest.raises(ValueError, match=r"'conv\.weight' is stored as integers, without"):
        restore(stored)
    with pytest.raises(ValueError, match="expected one of int8, float16, float32, got 'int4'"):
        shrink(state, "int4")


# Files that are not in the package


def test_a_folder(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not zoo.card("digits").packaged
    assert zoo.find(zoo.card("digits"), elsewhere) == elsewhere / "digits.safetensors"
    monkeypatch.setenv(files.SOURCE, str(elsewhere))
    zoo.load("digits")
    assert not (tmp_path / "cache").exists()


def test_addresses(elsewhere: Path, address: str, tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "fastnn" / "zoo" / "digits.safetensors"
    assert zoo.find(zoo.card("digits"), elsewhere.as_uri()) == elsewhere / cached.name
    for source in (address, address + "/"):
        zoo.load("digits", source, progress=False)
        assert [path.name for path in cached.parent.iterdir()] == [cached.name]
        assert cached.read_bytes() == (elsewhere / cached.name).read_bytes()
    (elsewhere / cached.name).unlink()
    zoo.load("digits")  # from the cache
    cached.write_bytes(b"damaged")
    with pytest.raises(FileNotFoundError, match="not in the package"):
        zoo.load("digits")


@pytest.mark.parametrize("kind", ["folder", "file", "http"])
def test_a_wrong_file_is_never_loaded(kind: str, elsewhere: Path, address: str, tmp_path: Path) -> None:
    path = elsewhere / "digits.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    source = {"folder": str(elsewhere), "file": elsewhere.as_uri(), "http": address}[kind]
    with pytest.raises(ValueError, match=r"has the SHA-256 [0-9a-f]{64}, "):
        zoo.load("digits", source, progress=False)
    assert not (tmp_path / "cache" / "fastnn" / "zoo" / "digits.safetensors").exists()


def test_errors_say_what_is_wanted(elsewhere: Path, address: str, tmp_path: Path) -> None:
    card = zoo.card("digits")
    wanted = rf"digits\.safetensors \({card.bytes:,} bytes, SHA-256 {card.sha256}\)"
    with pytest.raises(FileNotFoundError, match=rf"put {wanted} into a folder and name it.* by source or FASTNN_ZOO"):
        zoo.load("digits")
    for folder in (str(tmp_path), tmp_path.as_uri()):
        with pytest.raises(FileNotFoundError, match=rf"the folder {tmp_path} has no {wanted}"):
            zoo.load("digits", folder)
    (elsewhere / "digits.safetensors").unlink()
    for source in (address, "http://127.0.0.1:9"):
        with pytest.raises(OSError, match=rf"cannot fetch {source}/digits\.safetensors .*; or put {wanted}"):
            zoo.load("digits", source, progress=False)
    with pytest.raises(ValueError, match="expected an http or https address"):
        zoo.load("digits", "ftp://127.0.0.1", progress=False)


def test_damaged_cards(elsewhere: Path) -> None:
    path = cards.FOLDER / "digits.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in values.items() if key != "mean"}))
    with pytest.raises(ValueError, match="missing or unknown entries mean"):
        zoo.card("digits")
