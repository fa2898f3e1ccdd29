"""The other commands, and what all commands share."""

import json
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import data
from fastnn.cli import COMMANDS, main

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "digits"
    threads = fastnn.get_num_threads()
    assert main(["train", "--epochs", "3", "--quiet", "--threads", "1", "--out", str(folder)]) == 0
    fastnn.set_num_threads(threads)
    return folder


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_eval_gives_what_train_gave(run, capsys):
    trained = json.loads((run / "result.json").read_text())
    assert main(["eval", str(run), "--json"]) == 0
    result = last_line(capsys)
    assert result["test_accuracy"] == trained["test_accuracy"]
    assert result["test_loss"] == trained["test_loss"]
    confusion = np.array(result["confusion"])
    assert confusion.sum() == result["images"] == 355
    assert np.trace(confusion) / 355 == result["test_accuracy"]
    assert main(["eval", str(run), "--checkpoint", "best", "--json"]) == 0
    assert last_line(capsys)["test_accuracy"] == trained["best_test_accuracy"]


def test_predict_files(run, capsys, tmp_path):
    test = data.Digits(train=False)
    paths = []
    for row in range(30):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(test.images[row, :, :, 0]).save(paths[-1])
    assert main(["predict", str(run), *paths, "--top", "2", "--json"]) == 0
    predictions = last_line(capsys)["predictions"]
    right = [p["class"] == str(label) for p, label in zip(predictions, test.labels)]
    assert np.mean(right) > 0.9
    for prediction in predictions:
        first, second = prediction["top"]
        assert first["class"] == prediction["class"]
        assert 1 >= first["probability"] >= second["probability"] >= 0

    large = Image.fromarray(255 - test.images[0, :, :, 0]).convert("RGB").resize((80, 96))
    large.save(tmp_path / "large.jpg")
    assert main(["predict", str(run), str(tmp_path / "large.jpg"), "--invert"]) == 0
    assert "large.jpg  " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["missing.png", "text.png"])
def test_predict_bad_files(run, capsys, tmp_path, name):
    (tmp_path / "text.png").write_text("not an image")
    assert main(["predict", str(run), str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert name in error


@pytest.mark.parametrize("command", ["eval", "predict"])
def test_missing_runs(command, capsys, tmp_path):
    assert main([command, str(tmp_path), "x.png"][: 2 if command == "eval" else 3]) == 2
    assert capsys.readouterr().err == f"fastnn {command}: error: {tmp_path} holds no run: there is no config.json\n"


def test_image_folders(capsys, tmp_path):
    """A folder of image files trains, goes on, and evaluates without a word about where it lies."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("test", 4)):
        for name, mean in (("dark", 60), ("light", 190)):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.normal(mean, 20, (12, 14, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    pictures, run = str(tmp_path / "pictures"), str(tmp_path / "run")
    options = ["--epochs", "3", "--batch-size", "8", "--image-size", "8", "--lr", "0.02", "--quiet", "--json"]
    assert main(["train", pictures, "--out", run, *options]) == 0
    result = last_line(capsys)
    assert (result["dataset"], result["model"], result["epochs"]) == ("folder", "small", 3)
    assert main(["train", pictures, "--resume", run, "--quiet", "--json"]) == 0
    assert last_line(capsys)["test_loss"] == result["test_loss"]
    moved = tmp_path / "elsewhere"
    (tmp_path / "pictures").rename(moved)
    assert main(["eval", run]) == 2
    assert "no folder" in capsys.readouterr().err
    assert main(["eval", run, "--data-dir", str(moved), "--json"]) == 0
    assert last_line(capsys)["test_accuracy"] == result["test_accuracy"]


def test_data_that_changed_are_noticed(capsys, tmp_path):
    for part in ("train", "test"):
        for name in ("a", "b"):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            Image.new("RGB", (8, 8), (len(part), 10 * len(name), 30)).save(folder / "0.png")
    run = str(tmp_path / "run")
    assert main(["train", str(tmp_path / "pictures"), "--epochs", "1", "--quiet", "--out", run]) == 0
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "pictures" / "train" / "a" / "1.png")
    assert main(["train", "--resume", run]) == 2
    assert "the data are not those" in capsys.readouterr().err


def test_info(capsys, monkeypatch):
    from fastnn.bench import machine

    monkeypatch.setattr(machine, "_MATRIX", 128)
    monkeypatch.setattr(machine, "_COPY_BYTES", 1 << 20)
    assert main(["info", "--json"]) == 0
    facts = last_line(capsys)
    assert facts["fastnn"] == fastnn.__version__
    assert facts["level"] in facts["levels"]
    assert facts["threads"] >= 1
    assert facts["gflops"] > 0
    assert facts["copy_gb_per_second"] > 0


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastnn {fastnn.__version__}\n"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"    {name} " in text for name in COMMANDS)
    assert main(["train", "--help"]) == 0
    assert "--checkpoint-every" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["--fly"], "required: COMMAND"),
        (["eval"], "required: RUN"),
        (["predict", "run"], "required: IMAGE"),
        (["info", "--threads", "many"], "expected a whole number, got 'many'"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_help_imports_little():
    """`fastnn --help` needs no more than the package and argparse."""
    code = (
        "import sys; from fastnn.cli import main; main(['--help']); "
        "heavy = {'fastnn.nn', 'fastnn.train', 'fastnn.data', 'fastnn.models', 'tqdm', 'matplotlib', 'PIL'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "[]"


def test_tracebacks_on_request(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FASTNN_TRACEBACK", "1")
    assert main(["eval", str(tmp_path)]) == 2
    assert "Traceback" in capsys.readouterr().err
