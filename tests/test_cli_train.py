"""`fastnn train` as a process: what it prints and leaves behind, and that no kill and no thread count change a bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fastnn import data, models, preprocessing
from fastnn.autograd import Tensor
from fastnn.nn import CrossEntropyLoss
from fastnn.train import Config, Run, build, evaluate, predict
from fastnn.train.run import load_model, load_preprocessor

ROOT = Path(__file__).resolve().parents[1]
LONG = [
    "train",
    "digits",
    "--model",
    "mlp",
    "--epochs",
    "3",
    "--batch-size",
    "2",
    "--checkpoint-every",
    "150",
    "--seed",
    "5",
]


def command(*arguments):
    return [sys.executable, "-m", "fastnn", *map(str, arguments)]


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "FASTNN_NUM_THREADS": "1", "MPLBACKEND": "agg", **more}


def fastnn(*arguments, cwd=None, code=0, **more):
    """Run a command to its end; its standard output, or if a code is given its standard error."""
    done = subprocess.run(
        command(*arguments), cwd=cwd, env=environment(**more), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def tensors(run):
    """The bytes of the final checkpoint."""
    return [(run / "checkpoints" / "last" / f"{name}.safetensors").read_bytes() for name in ("model", "optimizer")]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    fastnn(*LONG, "--out", run, "--quiet")
    return run


def test_summary_and_files(tmp_path):
    out = fastnn("train", "--epochs", 2, "--json", "--seed", 3, cwd=tmp_path)
    result = json.loads(out.splitlines()[-1])
    run = tmp_path / "runs" / "digits-digits-1"
    assert result["dataset"] == "digits"
    assert result["model"] == "digits"
    assert (result["epochs"], result["params"], result["seed"], result["threads"]) == (2, 67754, 3, 1)
    assert result["level"] in ("portable", "avx2", "avx512", "neon")
    assert result["test_accuracy"] > 0.9
    assert result["test_loss"] < 0.5
    assert result["images_per_second"] == pytest.approx(2 * 1442 / result["train_seconds"])
    assert (tmp_path / result["checkpoint"]).is_file()
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints", "config.json", "curves.png", "metrics.jsonl", "mistakes.png", "result.json",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[-1]["test_accuracy"] == result["test_accuracy"]
    assert json.loads((run / "result.json").read_text()) == result
    assert out.count("\nepoch ") == 2


def test_json_alone_when_quiet(tmp_path):
    out = fastnn("train", "--model", "mlp", "--epochs", 1, "--json", "--quiet", "--out", tmp_path / "run")
    assert len(out.splitlines()) == 1
    assert json.loads(out)["epochs"] == 1


def wait_for(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the training ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.001)


def start(*arguments):
    return subprocess.Popen(
        command(*arguments), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def at_epoch(run, name):
    link = run / "checkpoints" / "last"
    return lambda: link.is_symlink() and os.readlink(link).startswith(name)


def test_killed_in_the_second_epoch_and_resumed(uninterrupted, tmp_path):
    run = tmp_path / "run"
    with start(*LONG, "--out", run) as process:
        wait_for(at_epoch(run, "epoch-0002-batch"), process)
        process.send_signal(signal.SIGKILL)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 1
    out = fastnn("train", "--resume", run, "--json")
    assert "resumed after step" in out
    assert tensors(run) == tensors(uninterrupted)
    records = [
        [{k: v for k, v in json.loads(line).items() if "second" not in k} for line in path.read_text().splitlines()]
        for path in (run / "metrics.jsonl", uninterrupted / "metrics.jsonl")
    ]
    assert records[0] == records[1]


def test_killed_again_and_again(uninterrupted, tmp_path):
    """At moments that nobody chose, the first perhaps before there is anything to resume."""
    run = tmp_path / "run"
    delays, arguments = iter([0.6, 0.75, 0.9, 1.0]), ["--out", run]
    for delay in delays:
        with start(*(LONG if "--out" in arguments else ["train"]), *arguments) as process:
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        if (run / "config.json").exists():
            arguments = ["--resume", run]
    fastnn(*(LONG if "--out" in arguments else ["train"]), *arguments)
    assert tensors(run) == tensors(uninterrupted)
    # A finished run is left as it is.
    fastnn("train", "--resume", run)
    assert tensors(run) == tensors(uninterrupted)


def test_two_threads_give_the_bits_of_one(uninterrupted, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for run, threads in ((one, 1), (two, 2)):
        fastnn("train", "digits", "--epochs", 1, "--threads", threads, "--augment", "standard", "--out", run)
    assert tensors(one) == tensors(two)


def test_ctrl_c(tmp_path):
    run = tmp_path / "run"
    with start(*LONG, "--out", run) as process:
        wait_for(at_epoch(run, "epoch-0001-batch"), process)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error == f"fastnn train: interrupted; go on with: fastnn train --resume {run}\n"
    assert not [path for path in run.rglob("*") if path.name.endswith(".part")]


def test_disk_full(tmp_path):
    """The largest file a process may write stands in for a full disk: no checkpoint fits under it."""
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
        "from fastnn.cli import main; sys.exit(main())"
    )
    run = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", limited, "train", "--epochs", "1", "--quiet", "--out", str(run)],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr
    assert list((run / "checkpoints").iterdir()) == []


def test_without_matplotlib(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('hidden for a test')")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    out = fastnn("train", "--model", "mlp", "--epochs", 1, "--out", tmp_path / "run", PYTHONPATH=path)
    assert out.splitlines()[-1] == (
        "curves.png and mistakes.png were left out: plots need matplotlib: pip install fastnn[plot]"
    )
    assert not (tmp_path / "run" / "curves.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "argument --epochs: expected a number > 0, got '0'"),
        (["--lr", "nan"], "argument --lr: expected a finite number >= 0, got 'nan'"),
        (["--seed", "-1"], "argument --seed: expected a whole number >= 0, got '-1'"),
        (["--model", "alexnet"], "argument --model: invalid choice: 'alexnet'"),
        (["--unknown"], "unrecognized arguments: --unknown"),
        (["--mod", "mlp"], "unrecognized arguments: --mod"),
        (["imagenet"], "there is no dataset and no folder 'imagenet'"),
        (["mnist"], "no file train-images-idx3-ubyte"),
        (["cifar10", "--data-dir", "nowhere"], "in nowhere"),
        (["--optimizer", "adam", "--momentum", "0.9"], "the optimizer adam has no momentum"),
        (["--label-smoothing", "2"], "expected label_smoothing <= 1"),
        (["--model", "lenet5"], "lenet5: expected images of at least"),
        (["--resume", "nowhere"], "nowhere holds no run"),
        (["--resume", ".", "--out", "x"], "--out cannot be given with --resume"),
        (["--init", "nowhere"], "there is no file nowhere, and no network 'nowhere' in the zoo"),
        (["--init", "digits", "--model", "mlp"], "load_state_dict of Sequential, nothing was loaded: missing keys"),
        (["--classes", "1,x"], "ClassSubset: expected different names among 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, got 1, x"),
        (["--out", os.devnull], "File exists"),
        (["--out", os.devnull + "/run"], "Not a directory"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    from fastnn.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    streams = capsys.readouterr()
    assert message in streams.err
    assert streams.err.count("\n") == 1
    assert streams.err.startswith("fastnn")
    assert streams.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_keeps_its_settings(uninterrupted, capsys):
    from fastnn.cli import main

    for change in (["--lr", "0.5"], ["--seed", "6"], ["mnist"], ["--epochs", "4"]):
        assert main(["train", *change, "--resume", str(uninterrupted)]) == 2
        assert "a resumed run keeps its settings" in capsys.readouterr().err
    assert main(["train", "--out", str(uninterrupted)]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_damaged_runs_are_one_line(uninterrupted, tmp_path, capsys):
    from fastnn.cli import main

    run = tmp_path / "run"
    run.mkdir()
    for content in ("{", "[]", "{}", '{"config": {}, "data": {}}'):
        (run / "config.json").write_text(content)
        assert main(["train", "--resume", str(run)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_preprocessing_is_fitted_once_and_used_everywhere(tmp_path):
    """Whitened digits: evaluation and prediction read the training statistics from the run's folder."""
    run = Run(Config.create("digits", model="mlp", epochs=1, preprocess="zca"), tmp_path / "run")
    result = run.fit(quiet=True)
    saved = preprocessing.load(tmp_path / "run" / "preprocessing.safetensors")
    train, test = data.Digits(train=True), data.Digits(train=False)
    images, _ = train.batch(np.arange(len(train)))
    assert saved == preprocessing.ZCA().fit(images)
    model, config, facts = load_model(tmp_path / "run")
    assert config.preprocess == "zca"
    images, labels = test.batch(np.arange(len(test)))
    scores = predict(model, Tensor(saved.transform(images).transpose(0, 3, 1, 2)))
    assert (scores.argmax(axis=1) == labels).mean() == pytest.approx(result["test_accuracy"], abs=1e-9)
    loader = build.test_loader(facts, test, load_preprocessor(tmp_path / "run", config))
    again = evaluate(model, loader, CrossEntropyLoss())
    assert again["accuracy"] == result["test_accuracy"]
    assert Run.resume(tmp_path / "run").preprocessor == saved


def test_some_classes_alone(tmp_path):
    run = tmp_path / "run"
    fastnn("train", "digits", "--classes", "3,8", "--model", "mlp", "--epochs", "1", "--out", run, "--json", "--quiet")
    model, config, facts = load_model(run)
    assert config.classes == facts.classes == ("3", "8")
    assert model(Tensor(np.zeros((1, 1, 8, 8), np.float32))).shape == (1, 2)
    assert "resumed after step" in fastnn("train", "--resume", run)
    assert "a resumed run keeps its settings" in fastnn("train", "--resume", run, "--classes", "3,9", code=2)


def test_beginning_with_trained_weights(tmp_path):
    """From the zoo, from a run and from a file: a new head, and what is frozen stays, statistics of norms included."""
    given = models.zoo.load("digits").state_dict()
    run, again = tmp_path / "run", tmp_path / "again"
    common = ["--classes", "3,8", "--epochs", "1", "--quiet"]
    fastnn("train", "digits", "--init", "digits", "--freeze", "[0-9].*,1[01].*", *common, "--out", run)
    model, config, _ = load_model(run)
    assert (config.model, config.init) == ("digits", "digits")
    learnt = model.state_dict()
    head = [name for name, tensor in learnt.items() if tensor.shape != given[name].shape]
    assert len(head) == 2
    assert all(np.array_equal(learnt[name].data, given[name].data) for name in learnt if name not in head)
    fastnn("train", "digits", "--init", run, "--lr", "0", "--weight-decay", "0", *common, "--out", again)
    file = again / "checkpoints" / "last" / "model.safetensors"
    for init in (again, file):
        fresh = Run(Config.create("digits", init=str(init), classes=("3", "8")), tmp_path / f"of-{init.name}")
        for name, parameter in fresh.model.named_parameters():
            assert np.array_equal(parameter.data, learnt[name].data)
