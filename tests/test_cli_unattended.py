"""What happens to commands that nobody watches: full disks, missing data, damaged files, signals, kills.

Each ends in one clear line and an exit code of its own, leaves nothing half-written and the last checkpoint whole, and
what is gone on with ends with the bits of a run that nothing happened to.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn.cli import main
from fastnn.train import Progress, files
from fastnn.train.checkpoint import read_checkpoint
from tests.process import ROOT

SETTINGS = ["train", "digits", "--model", "mlp", "--epochs", "2", "--batch-size", "32", "--averaging", "ema",
            "--checkpoint-every", "20", "--seed", "5", "--quiet"]  # fmt: skip


def bits(run: Path) -> list[bytes]:
    last = run / "checkpoints" / "last"
    return [(last / f"{name}.safetensors").read_bytes() for name in ("model", "optimizer", "callbacks")]


def tree(folder: Path) -> dict[str, str]:
    """A digest of every file below a folder, and where links lead."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def whole(run: Path) -> None:
    """The last checkpoint can be read, and nothing is left of a write that failed."""
    read_checkpoint(run / "checkpoints" / "last")
    assert not list(run.rglob("*.part"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert main([*SETTINGS, "--out", str(run)]) == 0
    return run


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run that got as far as the middle of its second epoch."""
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 70, KeyboardInterrupt)
        assert main([*SETTINGS, "--out", str(run)]) == 130
    capsys.readouterr()
    return run


def at_step(patch: pytest.MonkeyPatch, number: int, error: type[BaseException] | None) -> None:
    """Raise at a step, or send this process the signal TERM."""

    def on_step_end(self: Progress, trainer: Any, result: Any) -> None:
        if result.step == number:
            if error is not None:
                raise error
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Progress, "on_step_end", on_step_end)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def resume(run: Path, *arguments: str) -> int:
    return main(["train", "--resume", str(run), "--quiet", *arguments])


# Signals


def test_term_ends_a_training_like_an_interruption(
    finished: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 50, None)
        assert main([*SETTINGS, "--out", str(run)]) == 143
    assert one_line(capsys) == f"fastnn train: terminated; go on with: fastnn train --resume {run}\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    whole(run)
    assert resume(run) == 0
    assert bits(run) == bits(finished)


@pytest.mark.parametrize(("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"),
                                                      (signal.SIGINT, 130, "interrupted")])  # fmt: skip
def test_a_stopped_evaluation_leaves_the_run_as_it_was(
    finished: Path, monkeypatch: Any, capsys: Any, number: signal.Signals, code: int, word: str
) -> None:
    import fastnn.ensemble.runs as runs

    before, real = tree(finished), runs.image_batches
    with monkeypatch.context() as patch:

        def batches(dataset: Any) -> Any:
            for batch in real(dataset, 100):
                os.kill(os.getpid(), number)
                yield batch

        patch.setattr(runs, "image_batches", batches)
        assert main(["eval", str(finished)]) == code
    assert one_line(capsys) == f"fastnn eval: {word}\n"
    assert tree(finished) == before
    assert main(["eval", str(finished)]) == 0


def test_another_handler_of_term_stays(finished: Path) -> None:
    def mine(number: int, frame: Any) -> None:
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        assert main(["eval", str(finished)]) == 0
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


# Killed while writing

KILLER = """
import os, signal, sys
real, left = os.{call}, [{number}]
def deadly(*args, **kwargs):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
os.{call} = deadly
from fastnn.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(("call", "number"), [("fsync", 27), ("fsync", 36), ("replace", 16), ("symlink", 3)])
def test_killed_while_writing(finished: Path, tmp_path: Path, call: str, number: int) -> None:
    """Between the system calls of a checkpoint, in a process of its own, by a signal that nobody can catch."""
    run = tmp_path / "run"
    code = KILLER.format(call=call, number=number)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FASTNN_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code, *SETTINGS, "--out", str(run)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    read_checkpoint(run / "checkpoints" / "last")
    assert resume(run) == 0
    whole(run)
    assert bits(run) == bits(finished)


# Full disks


@pytest.mark.parametrize("failing", [1, 12, 30, 41])
def test_a_full_disk_ends_a_training(
    finished: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, failing: int
) -> None:
    """The first flush to the disk that fails is that of the settings, later ones are those of checkpoints."""
    run, real, count = tmp_path / "run", os.fsync, [0]

    def full(descriptor: int) -> None:
        count[0] += 1
        if count[0] >= failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert main([*SETTINGS, "--out", str(run)]) == 2
    error = one_line(capsys)
    assert "No space left on device" in error
    assert str(run) in error
    assert ".part" not in error
    assert not list(run.rglob("*.part"))
    if not (run / "config.json").exists():
        assert main([*SETTINGS, "--out", str(run)]) == 0
    else:
        assert error.endswith(f"go on with: fastnn train --resume {run}\n")
        assert resume(run) == 0
    assert bits(run) == bits(finished)


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, monkeypatch: Any) -> None:
    """A disk that is nearly full takes a part of a write."""
    path, real = tmp_path / "metrics.jsonl", os.write
    files.append_line(path, {"epoch": 1})
    monkeypatch.setattr(os, "write", lambda descriptor, content: real(descriptor, content[:5]))
    with pytest.raises(OSError, match="No space left on device") as caught:
        files.append_line(path, {"epoch": 2})
    assert caught.value.filename == str(path)
    assert path.read_text() == '{"epoch": 1}\n'


DRIVER = """
import os, shutil, subprocess, sys, time
from pathlib import Path
disk, kept, *command = sys.argv[1:]
run, filler = Path(disk) / "run", Path(disk) / "filler"
train = [sys.executable, "-m", "fastnn"]
process = subprocess.Popen([*train, *command, "--out", str(run)], stderr=subprocess.PIPE, text=True)
while not (run / "checkpoints" / "last").exists() and process.poll() is None:
    time.sleep(0.001)
with open(filler, "wb", buffering=0) as file:
    try:
        while file.write(bytes(512)) and process.poll() is None:
            pass
    except OSError:
        pass
    _, error = process.communicate()
assert process.returncode == 2, (process.returncode, error)
assert error.count("\\n") == 1 and "No space left on device" in error, error
assert f"go on with: fastnn train --resume {run}" in error, error
assert not list(run.rglob("*.part"))
filler.unlink()
subprocess.run([*train, "train", "--resume", str(run), "--quiet"], check=True)
shutil.copytree(run, kept, symlinks=True)
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system in memory, in a name space of its own, that fills up while a network trains."""
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    inside = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=4m tmpfs {disk}"
    if subprocess.run([*inside, mount], capture_output=True, check=False).returncode:
        pytest.skip("needs leave to mount a file system")
    slow = [*SETTINGS[:-1], "--batch-size", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FASTNN_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    done = subprocess.run(
        [*inside, f'{mount} && exec "$0" "$@"', sys.executable, "-c", DRIVER, str(disk), str(kept), *slow, "--quiet"],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = tmp_path / "undisturbed"
    assert main([*slow, "--quiet", "--out", str(run)]) == 0
    assert bits(kept) == bits(run)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_onto_a_full_disk(finished: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fastnn", "eval", str(finished)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "fastnn eval: error: No space left on device\n")


# Folders that cannot be written


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """As somebody who is not the superuser, who may write everywhere; modules must be loaded by now."""
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65534)
    try:
        yield
    finally:
        if superuser:
            os.seteuid(0)


def test_a_folder_that_cannot_be_written(finished: Path, capsys: Any) -> None:
    """A new run leaves nothing, and one that is gone on with stays as it was."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(finished, folder / "run", symlinks=True)
        (folder / "run" / "result.json").unlink()  # of a complete run nothing would be written
        for path in (folder / "run" / "checkpoints", folder / "run", folder):
            path.chmod(0o555)
        before = tree(folder)
        for command in ([*SETTINGS, "--out", str(folder / "new")], ["train", "--resume", str(folder / "run")]):
            with without_rights():
                assert main(command) == 2
            error = one_line(capsys)
            assert "Permission denied" in error
            assert str(folder) in error
        assert tree(folder) == before
        for path in (folder, folder / "run", folder / "run" / "checkpoints"):
            path.chmod(0o755)


# Missing and damaged files


def test_a_run_whose_data_were_moved(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for number in range(8):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{number}.png")
    settings = ["train", str(tmp_path / "pictures"), "--model", "mlp", "--epochs", "3", "--batch-size", "4", "--quiet"]
    assert main([*settings, "--out", str(tmp_path / "undisturbed")]) == 0
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        at_step(patch, 6, KeyboardInterrupt)
        assert main([*settings, "--out", str(run)]) == 130
    capsys.readouterr()
    (tmp_path / "pictures").rename(tmp_path / "moved")
    before = tree(run)
    for command in (["train", "--resume", str(run)], ["eval", str(run)]):
        assert main(command) == 2
        error = one_line(capsys)
        assert f"no folder {tmp_path / 'pictures'}" in error
        assert "--data-dir" in error
    assert tree(run) == before
    assert resume(run, "--data-dir", str(tmp_path / "moved")) == 0
    last = [each / "checkpoints" / "last" / "model.safetensors" for each in (run, tmp_path / "undisturbed")]
    assert last[0].read_bytes() == last[1].read_bytes()


def test_data_that_are_cut_short(tmp_path: Path, capsys: Any) -> None:
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        (tmp_path / name).write_bytes(bytes(3073))
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(3000))
    out = tmp_path / "run"
    assert main(["train", "cifar10", "--data-dir", str(tmp_path), "--out", str(out)]) == 2
    assert "data_batch_3.bin should hold records of 3073 bytes, found 3000 bytes" in one_line(capsys)
    assert not out.exists()


def flipped(place: float) -> Callable[[Path], None]:
    """Damages one bit, at a share of the file's length."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        path.write_bytes(content)

    return damage


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [emptied, halved, Path.unlink, *(flipped(place) for place in (0.0, 0.3, 0.7, 1.0))])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "callbacks.safetensors",
                                  "training.json"])  # fmt: skip
def test_a_damaged_checkpoint(interrupted: Path, capsys: Any, name: str, damage: Callable[[Path], None]) -> None:
    last = (interrupted / "checkpoints" / "last").resolve()
    damage(last / name)
    before = tree(interrupted)
    assert resume(interrupted) == 2
    assert name in one_line(capsys)
    assert tree(interrupted) == before


def test_a_checkpoint_that_is_gone(interrupted: Path, capsys: Any) -> None:
    """The link is there: training must not begin anew as if there had never been a checkpoint."""
    shutil.rmtree((interrupted / "checkpoints" / "last").resolve())
    for command in (["train", "--resume", str(interrupted)], ["eval", str(interrupted)]):
        assert main(command) == 2
        assert "training.json" in one_line(capsys)


def test_settings_that_are_not_those_of_the_checkpoint(interrupted: Path, capsys: Any) -> None:
    path = interrupted / "config.json"
    description = json.loads(path.read_text())
    description["config"]["lr"] *= 2
    path.write_text(json.dumps(description))
    assert resume(interrupted) == 2
    assert "config.json is damaged: its settings are not those of" in one_line(capsys)


@pytest.mark.parametrize("damage", [emptied, halved, Path.unlink])
def test_damaged_settings(interrupted: Path, capsys: Any, damage: Callable[[Path], None]) -> None:
    damage(interrupted / "config.json")
    for command in (["train", "--resume", str(interrupted)], ["eval", str(interrupted)]):
        assert main(command) == 2
        assert "config.json" in one_line(capsys)


def test_a_damaged_log_is_mended(interrupted: Path, finished: Path) -> None:
    """The checkpoint knows the epochs before it; what the log says does not matter."""
    (interrupted / "metrics.jsonl").write_text('{"epoch": 1, "tra')
    assert resume(interrupted) == 0
    lines = [json.loads(line) for line in (interrupted / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert bits(interrupted) == bits(finished)
