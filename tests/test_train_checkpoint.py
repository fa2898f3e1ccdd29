"""Checkpoints: whole or not there, links that never dangle, damage that is noticed."""

import json
import os

import numpy as np
import pytest

from fastnn import Tensor, nn, optim
from fastnn.train import Checkpoints, Trainer, read_checkpoint, write_checkpoint


def state_of(number):
    weights = {"w": Tensor(np.full(3, float(number), np.float32))}
    return {"model": weights, "optimizer": {"step": number, "state": {}}, "training": {"epoch": number}}


def epoch_at(link):
    state = read_checkpoint(link)
    assert state["model"]["w"].numpy().tolist() == [float(state["training"]["epoch"])] * 3
    assert state["optimizer"]["step"] == state["training"]["epoch"]
    return state["training"]["epoch"]


def test_old_checkpoints_go(tmp_path):
    write_checkpoint(tmp_path, "epoch-1", state_of(1), ("best", "last"))
    write_checkpoint(tmp_path, "epoch-2", state_of(2))
    assert (epoch_at(tmp_path / "best"), epoch_at(tmp_path / "last")) == (1, 2)
    write_checkpoint(tmp_path, "epoch-3", state_of(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "epoch-1", "epoch-3", "last"]
    assert os.readlink(tmp_path / "last") == "epoch-3"


def test_a_name_that_is_taken(tmp_path):
    write_checkpoint(tmp_path, "epoch-1", state_of(1))
    write_checkpoint(tmp_path, "epoch-1", state_of(2))
    assert epoch_at(tmp_path / "last") == 2
    assert os.readlink(tmp_path / "last") == "epoch-1-2"


def test_other_files_stay(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").write_text("mine")
    write_checkpoint(tmp_path, "epoch-1", state_of(1))
    assert (tmp_path / "notes").is_dir()
    assert (tmp_path / "readme.txt").read_text() == "mine"


@pytest.mark.parametrize("call", ["fsync", "replace", "symlink", "mkdir"])
def test_failing_at_any_call_leaves_whole_checkpoints(tmp_path, monkeypatch, call):
    """Every system call that writes fails once: `last` is then the old checkpoint or the new one."""
    write_checkpoint(tmp_path, "epoch-1", state_of(1), ("best", "last"))
    real, outcomes = getattr(os, call), []
    for failing in range(12):
        count = [0]

        def flaky(*args, count=count, failing=failing, **kwargs):
            count[0] += 1
            if count[0] == failing + 1:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        number = failing + 2
        with monkeypatch.context() as patch:
            patch.setattr(os, call, flaky)
            try:
                write_checkpoint(tmp_path, f"epoch-{number}", state_of(number))
                failed = False
            except OSError:
                failed = True
        found = epoch_at(tmp_path / "last")
        assert epoch_at(tmp_path / "best") == 1
        outcomes.append(failed)
        assert found == number or failed
        assert found <= number
        write_checkpoint(tmp_path, f"next-{number}", state_of(number))
        assert not [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
    assert any(outcomes)
    assert not all(outcomes)


def test_damage_is_noticed(tmp_path):
    folder = write_checkpoint(tmp_path, "epoch-1", state_of(1))
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-1] + b"\x01")
    with pytest.raises(ValueError, match="damaged"):
        read_checkpoint(tmp_path / "last")
    (folder / "training.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_checkpoint(tmp_path / "last")
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "best")


def test_infinities_survive(tmp_path):
    write_checkpoint(tmp_path, "a", {**state_of(1), "training": {"best": float("inf"), "x": 0.1 + 0.2}})
    assert read_checkpoint(tmp_path / "last")["training"] == {"best": float("inf"), "x": 0.1 + 0.2}


def test_equal_trainings_give_equal_files(tmp_path):
    """Nothing of clocks, addresses or folders is in the tensors' files."""
    contents = []
    for folder in ("a", "b"):
        model = nn.Linear(3, 2, generator=None)
        model.load_state_dict({"weight": np.ones((2, 3)), "bias": np.zeros(2)})
        x, y = Tensor(np.eye(3, dtype=np.float32)), Tensor(np.array([0, 1, 1]))
        trainer = Trainer(
            model,
            optim.Adam(model.parameters()),
            nn.CrossEntropyLoss(),
            callbacks=[Checkpoints(tmp_path / folder)],
        )
        trainer.fit([(x, y)] * 3, [(x, y)], 2)
        last = tmp_path / folder / "last"
        contents.append([(last / f"{name}.safetensors").read_bytes() for name in ("model", "optimizer")])
        assert "seconds" in json.loads((last / "training.json").read_text())["training"]["history"][0]
    assert contents[0] == contents[1]


def test_best_is_the_first_of_equals(tmp_path):
    class Scripted(Checkpoints):
        def on_epoch_end(self, trainer, record):
            record["test_accuracy"] = [0.5, 0.7, 0.7, float("nan"), 0.6][record["epoch"] - 1]
            super().on_epoch_end(trainer, record)

    model = nn.Linear(3, 2)
    x, y = Tensor(np.eye(3, dtype=np.float32)), Tensor(np.array([0, 1, 1]))
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[Scripted(tmp_path)])
    trainer.fit([(x, y)], [(x, y)], 5)
    assert read_checkpoint(tmp_path / "best")["training"]["epoch"] == 2
    assert read_checkpoint(tmp_path / "last")["training"]["epoch"] == 5


def test_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match="every_steps >= 1"):
        Checkpoints(tmp_path, every_steps=0)
    with pytest.raises(ValueError, match="mode 'min' or 'max'"):
        Checkpoints(tmp_path, mode="most")
