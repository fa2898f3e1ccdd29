"""Saving and loading: round trips, the file format, damage, and files that appear whole or not at all."""

import hashlib
import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fastnn import nn
from fastnn.autograd.tensor import Tensor
from fastnn.serialization import load, save

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.safetensors"


def same(a, b):
    """Equal in type, structure and bits."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, Tensor | np.ndarray):
        x, y = np.asarray(a), np.asarray(b)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        np.testing.assert_array_equal(x, y)
    else:
        assert a == b


def test_round_trip(path):
    state = {
        "model": {"conv.weight": Tensor(np.arange(24.0).reshape(2, 3, 2, 2)), "n": Tensor(np.array(7))},
        "optimizer": {
            "state": {0: {"step": 3, "m": np.ones(3)}, 1: {}},
            "groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "nesterov": True}],
        },
        "epoch": 12,
        "best": 1 / 3,
        "worst": float("inf"),
        "note": 'grüße "\\\n',
        "nothing": None,
        "empty": {"array": np.zeros((0, 3)), "list": [], "tuple": (), "dict": {}},
        "odd": {"$tuple": 1, 2.5: {True: "x"}},
        "arrays": [np.array([True, False]), (Tensor(np.array([1, 2])),)],
    }
    save(state, path)
    same(load(path), state)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(path, dtype):
    state = {"t": Tensor(np.array([0, 1, 100]).astype(dtype)), "a": np.ones((2, 2), dtype)}
    save(state, path)
    same(load(path), state)


def test_awkward_memory(path):
    base = np.arange(60.0).reshape(3, 4, 5)
    last = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4).transpose(0, 3, 1, 2)
    save({"a": base[::2, ::-1], "b": last, "c": base.astype(">f8"), "d": np.float32(2.5)}, path)
    state = load(path)
    np.testing.assert_array_equal(state["a"], base[::2, ::-1])
    np.testing.assert_array_equal(state["b"], last)
    np.testing.assert_array_equal(state["c"], base)
    assert state["d"] == 2.5
    assert state["a"].flags.writeable


def test_module_round_trip(path):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    save(model.state_dict(), path)
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    other.load_state_dict(load(path))
    same(other.state_dict(), model.state_dict())


def test_other_readers_find_the_tensors_under_their_names(path):
    save({"0.weight": Tensor(np.ones((2, 3), np.float32)), "epoch": 3}, path)
    tensors = load_file(path)
    assert list(tensors) == ["0.weight"]
    np.testing.assert_array_equal(tensors["0.weight"], 1)


def test_files_of_other_writers(path):
    save_file({"w": np.ones(3, np.float32)}, path, {"format": "pt"})
    state = load(path)
    assert isinstance(state["w"], Tensor)
    np.testing.assert_array_equal(state["w"].data, 1)
    save_file({"w": np.ones(3, np.uint64)}, path)
    with pytest.raises(ValueError, match=r"'w' in .* has dtype uint64"):
        load(path)


def test_what_cannot_be_saved(path):
    with pytest.raises(TypeError, match=r"'a\.0' is a set"):
        save({"a": [{1, 2}]}, path)
    with pytest.raises(TypeError, match="expected a dict, got list"):
        save([], path)
    with pytest.raises(TypeError, match="dtype complex128"):
        save({"z": np.ones(2, complex)}, path)
    with pytest.raises(TypeError, match="dtype object"):
        save({"z": np.array([{}])}, path)
    with pytest.raises(TypeError, match="a key of '' is a tuple"):
        save({(1, 2): 3}, path)
    with pytest.raises(ValueError, match=r"two tensors would be named 'a\.b'"):
        save({"a.b": np.ones(1), "a": {"b": np.ones(1)}}, path)
    assert not path.exists()


def test_every_truncation_is_noticed(path):
    save({"w": np.arange(100.0), "n": 3}, path)
    content = path.read_bytes()
    for length in [*range(12), 50, 200, len(content) - 800, len(content) - 8, len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"load: .*state\.safetensors"):
            load(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="load"):
        load(path)


def test_every_flipped_byte_is_noticed(path):
    save({"w": np.arange(5.0), "n": 3}, path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert set(header["__metadata__"]) == {"fastnn", "sha256"}
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x01
        path.write_bytes(bytes(damaged))
        try:
            state = load(path)
        except ValueError as error:
            assert "load: " in str(error)  # noqa: PT017 - most positions raise, some cannot matter
        else:
            # What is left: a byte of the header that changes nothing, or the name of our own metadata.
            assert set(state) == {"w"} or (state["n"] == 3 and np.array_equal(state["w"], np.arange(5.0)))


def test_not_a_file_of_ours(path):
    with pytest.raises(FileNotFoundError):
        load(path)
    for content in (b"", b"PK\x03\x04" * 10, b"\x80\x04\x95" + bytes(100), b"\xff" * 50, b"{}" * 20):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a safetensors file"):
            load(path)


def test_structure_that_is_not_ours(path):
    lists = ('{"a":{"$tuple":5}}', '{"a":{"$dict":[1]}}')
    for structure in ("[]", "3", "{", '{"a":{"$tensor":"missing"}}', *lists):
        metadata = {"fastnn": structure, "sha256": hashlib.sha256(structure.encode()).hexdigest()}
        save_file({}, path, metadata)
        with pytest.raises(ValueError, match="structure that is not fastnn's"):
            load(path)


def test_saving_is_all_or_nothing(path, monkeypatch):
    save({"n": 1}, path)

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save({"n": 2}, path)
    monkeypatch.undo()
    assert load(path) == {"n": 1}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_permissions_follow_the_umask(path):
    before = os.umask(0o027)
    try:
        save({"n": 1}, path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
