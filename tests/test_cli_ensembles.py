"""`fastnn eval` and `fastnn predict` with several networks and views: against averages written out with NumPy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

import fastnn
from fastnn import data, preprocessing
from fastnn.autograd import Tensor
from fastnn.cli import main
from fastnn.ensemble import average_members, load_members
from fastnn.train import Config, Run, predict, update_bn
from fastnn.train.run import load_model

Image = pytest.importorskip("PIL.Image")
TEST = data.Digits(train=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Trained for moments: a cyclic run with three snapshots, one of another seed, and one that whitens."""
    root = tmp_path_factory.mktemp("runs")
    settings: dict[str, dict[str, Any]] = {
        "cyclic": {"model": "mlp", "epochs": 2, "snapshots": 3, "batch_size": 100},
        "other": {"model": "mlp", "epochs": 1, "seed": 1, "batch_size": 100},
        "white": {"model": "mlp", "epochs": 1, "seed": 2, "batch_size": 100, "preprocess": "zca"},
        "normed": {"model": "digits", "epochs": 1, "snapshots": 2, "batch_size": 200},
        "five": {"model": "mlp", "epochs": 1, "classes": ("0", "1", "2", "3", "4"), "batch_size": 100},
    }
    for name, chosen in settings.items():
        Run(Config.create("digits", **chosen), root / name).fit(quiet=True)
    return {name: str(root / name) for name in settings}


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z.astype(np.float64) - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def prepared(run: str, images: np.ndarray) -> Tensor:
    """The images as the run's network wants them, with NumPy."""
    _, config, facts = load_model(run)
    if config.preprocess == "zca":
        floats = preprocessing.load(Path(run) / "preprocessing.safetensors").transform(images)
    else:
        mean, std = (np.array(each, np.float64) for each in (facts.mean, facts.std))
        floats = ((images / 255 - mean) / std).astype(np.float32)
    return Tensor(floats.transpose(0, 3, 1, 2))


def scores(run: str, images: np.ndarray = TEST.images, snapshot: str | None = None) -> np.ndarray:
    model, _, _ = load_model(run)
    if snapshot is not None:
        model.load_state_dict(fastnn.load(Path(run) / "snapshots" / f"snapshot-{snapshot}.safetensors"))
    return predict(model, prepared(run, images)).astype(np.float64)


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def check(figures: dict[str, Any], p: np.ndarray) -> None:
    """Accuracy, loss, Brier score and interval are those of the probabilities."""
    right = p.argmax(axis=1) == TEST.labels
    own = p[np.arange(len(p)), TEST.labels]
    assert figures["test_accuracy"] == right.mean()
    assert figures["test_loss"] == pytest.approx(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean(), rel=1e-5)
    assert figures["brier"] == pytest.approx(np.square(p - np.eye(10)[TEST.labels]).sum(axis=1).mean(), rel=1e-5)
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(0.95, "wilson")
    assert figures["accuracy_interval"] == pytest.approx(list(interval))


@pytest.mark.parametrize("combine", ["probabilities", "logits", "votes"])
def test_several_runs_are_averaged(runs: Any, capsys: Any, combine: str) -> None:
    """Networks that were prepared differently take part, each with its own preprocessing."""
    folders = [runs[name] for name in ("cyclic", "other", "white")]
    result = evaluated(capsys, "eval", *folders, "--combine", combine)
    z = np.stack([scores(folder) for folder in folders])
    alone = [softmax(each) if combine != "votes" else np.eye(10)[each.argmax(axis=1)] for each in z]
    check(result, softmax(z.mean(axis=0)) if combine == "logits" else np.mean(alone, axis=0))
    assert [member["name"] for member in result["members"]] == folders
    for member, p in zip(result["members"], alone, strict=True):
        check(member, p)


def test_views_show_images_before_they_are_prepared(runs: Any, capsys: Any) -> None:
    """A whitened flip is not a flipped whitening: what is flipped is the image."""
    flipped = np.ascontiguousarray(TEST.images[:, :, ::-1])
    result = evaluated(capsys, "eval", runs["white"], "--views", "flip")
    p = (softmax(scores(runs["white"])) + softmax(scores(runs["white"], flipped))) / 2
    check(result, p)
    assert result["views"] == "flip"
    check(result["members"][0], p)


def test_snapshots_of_a_run(runs: Any, capsys: Any) -> None:
    result = evaluated(capsys, "eval", runs["cyclic"], "--snapshots", "all")
    p = [softmax(scores(runs["cyclic"], snapshot=f"000{number}")) for number in (1, 2, 3)]
    check(result, np.mean(p, axis=0))
    assert [member["name"] for member in result["members"]] == [
        f"{runs['cyclic']} snapshot-000{number}" for number in (1, 2, 3)
    ]
    check(evaluated(capsys, "eval", runs["cyclic"], "--snapshots", "2"), np.mean(p[1:], axis=0))
    last = evaluated(capsys, "eval", runs["cyclic"], "--snapshots", "1")
    assert last["test_loss"] == evaluated(capsys, "eval", runs["cyclic"])["test_loss"]


def test_averaged_weights(runs: Any, capsys: Any) -> None:
    """Without batch norm the mean of the weights is all there is to it."""
    states = [fastnn.load(Path(runs["cyclic"]) / "snapshots" / f"snapshot-000{n}.safetensors") for n in (1, 2, 3)]
    model, _, _ = load_model(runs["cyclic"])
    model.load_state_dict(
        {name: Tensor(np.mean([np.asarray(s[name]) for s in states], axis=0, dtype=np.float64).astype(np.float32))
         for name in states[0]}
    )  # fmt: skip
    p = softmax(predict(model, prepared(runs["cyclic"], TEST.images)))
    result = evaluated(capsys, "eval", runs["cyclic"], "--snapshots", "all", "--average")
    check(result, p)
    assert [member["name"] for member in result["members"]] == ["average of 3 networks"]


def test_averaged_weights_get_statistics_of_their_own(runs: Any) -> None:
    members = load_members([runs["normed"]], snapshots=0)
    averaged = average_members(members).model.model
    run = Run.resume(runs["normed"])
    again = load_model(runs["normed"])[0]
    again.load_state_dict({name: Tensor(value.data.copy()) for name, value in averaged.state_dict().items()})
    update_bn(run.train_loader, again)
    for name, value in again.state_dict().items():
        np.testing.assert_array_equal(value.data, averaged.state_dict()[name].data, name)
    means = [name for name in averaged.state_dict() if name.endswith("running_mean")]
    assert means
    mixed = np.mean([member.model.model.state_dict()[means[0]].data for member in members], axis=0)
    assert not np.allclose(mixed, averaged.state_dict()[means[0]].data)


def test_figures_of_every_class_are_sklearns(runs: Any, capsys: Any) -> None:
    chosen = scores(runs["other"]).argmax(axis=1)
    assert main(["eval", runs["other"], "--per-class"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines[-10:]]
    for place, measure in ((2, metrics.recall_score), (3, metrics.precision_score)):
        expected = 100 * measure(TEST.labels, chosen, average=None)
        assert [row[place] for row in rows] == [f"{value:.2f}" for value in expected]
    assert [int(row[1]) for row in rows] == np.bincount(TEST.labels).tolist()


def test_the_report_names_members_and_gain(runs: Any, capsys: Any) -> None:
    folders = [runs["cyclic"], runs["other"]]
    result = evaluated(capsys, "eval", *folders)
    assert main(["eval", *folders]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, member in zip(lines, result["members"], strict=False):
        assert line.startswith(member["name"])
        assert f"accuracy {100 * member['test_accuracy']:.2f} %" in line
    gain = 100 * (result["test_accuracy"] - max(member["test_accuracy"] for member in result["members"]))
    side = "below" if gain < 0 else "above"
    assert lines[2] == f"2 networks together, by probabilities, {abs(gain):.2f} points {side} the best of them:"
    assert lines[3].startswith(f"test accuracy {100 * result['test_accuracy']:.2f} %")


def test_predict_takes_folders_and_several_runs(runs: Any, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "some" / "deeper").mkdir(parents=True)
    names = ["some/a.png", "some/deeper/b.PNG", "some/c.jpeg"]
    for row, name in enumerate(names):
        Image.fromarray(TEST.images[row, :, :, 0]).save(tmp_path / name)
    (tmp_path / "some" / "notes.txt").write_text("no image")
    Image.fromarray(TEST.images[7, :, :, 0]).save(tmp_path / "own.png")
    files = [str(tmp_path / name) for name in ("own.png", "some")]
    options = ["--with", runs["white"], "--top", "10", "--views", "flip"]
    found = evaluated(capsys, "predict", runs["other"], *files, *options)["predictions"]
    assert [each["image"] for each in found] == [str(tmp_path / name) for name in ("own.png", "some/a.png",
                                                 "some/c.jpeg", "some/deeper/b.PNG")]  # fmt: skip
    for each in found:
        with Image.open(each["image"]) as image:
            pixels = np.asarray(image)[None, :, :, None]
        shown = [pixels, np.ascontiguousarray(pixels[:, :, ::-1])]
        p = np.mean([softmax(scores(runs[name], view))[0] for name in ("other", "white") for view in shown], axis=0)
        given = {entry["class"]: entry["probability"] for entry in each["top"]}
        np.testing.assert_allclose([given[str(i)] for i in range(10)], p, rtol=1e-4, atol=1e-7)
        assert each["class"] == str(p.argmax())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{other}", "{five}"], "five knows other classes than {other}: 0, 1, 2, 3, ... (5), not 0, 1, 2, 3, ... (10)"),
        (["{other}", "{small}"], "small takes images of 6x8x1, {other} images of 8x8x1"),
        (["{other}", "--snapshots", "all"], "has no snapshots; train with --snapshots N"),
        (["{cyclic}", "--snapshots", "4"], "has 3 snapshots, not 4"),
        (["{cyclic}", "--snapshots", "some"], "expected a whole number, got 'some'"),
        (["{cyclic}", "{normed}", "--average"], "average_states: state 0 and the last differ in"),
        (["{cyclic}", "--views", "twenty"], "invalid choice: 'twenty'"),
        (["{cyclic}", "nowhere"], "nowhere holds no run"),
    ],
)
def test_what_does_not_suit_is_one_line(
    runs: Any, capsys: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    for name in ("config.json", "checkpoints"):
        (small / name).symlink_to(Path(runs["other"]) / name)
    if "{small}" in arguments:
        description = json.loads((small / "config.json").read_text())
        description["data"]["height"] = 6
        (small / "config.json").unlink()
        (small / "config.json").write_text(json.dumps(description))
        (small / "checkpoints").unlink()
        wanted = Config.create("digits", model="mlp", epochs=1)
        run = Run(wanted, tmp_path / "whole")
        run.model = fastnn.models.create("mlp", 10, 1, (6, 8))
        fastnn.train.write_checkpoint(
            small / "checkpoints", "epoch", {"model": run.model.state_dict(), "optimizer": {}, "training": {}}
        )
    places = {**runs, "small": str(small)}
    assert main(["eval", *(word.format(**places) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message.format(**places) in error
    assert error.count("\n") == 1


def test_a_folder_without_images_is_one_line(runs: Any, capsys: Any, tmp_path: Path) -> None:
    assert main(["predict", runs["other"], str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"fastnn predict: error: there is no .jpeg, .jpg, .png file in {tmp_path}\n"


def test_networks_of_the_zoo_take_part(runs: Any, capsys: Any, tmp_path: Path) -> None:
    """By name, alone with the score of its card, and beside a run."""
    card = fastnn.models.zoo.card("digits")
    alone = evaluated(capsys, "eval", "digits")
    assert alone["test_accuracy"] == card.score["test_accuracy"]
    assert alone["test_loss"] == pytest.approx(card.score["test_loss"], rel=1e-5)
    floats = ((TEST.images / 255 - np.array(card.mean)) / np.array(card.std)).astype(np.float32)
    z = predict(fastnn.models.zoo.load("digits"), Tensor(floats.transpose(0, 3, 1, 2)))
    check(evaluated(capsys, "eval", "digits", runs["other"]), (softmax(z) + softmax(scores(runs["other"]))) / 2)
    Image.fromarray(TEST.images[0, :, :, 0]).save(tmp_path / "own.png")
    found = evaluated(capsys, "predict", "digits", str(tmp_path / "own.png"))["predictions"]
    assert found[0]["class"] == str(TEST.labels[0])
    assert main(["eval", "digits", "--snapshots", "all"]) == 2
    assert "digits is a network of the zoo, which has no snapshots" in capsys.readouterr().err


# Training for snapshots


def test_a_cyclic_run_keeps_a_network_for_each_cycle(runs: Any) -> None:
    """Thirty steps in three cycles; the rate starts anew at steps 11 and 21, and the last snapshot is the network."""
    folder = Path(runs["cyclic"])
    names = sorted(path.name for path in (folder / "snapshots").iterdir())
    assert names == [f"snapshot-000{number}.safetensors" for number in (1, 2, 3)]
    training = json.loads((folder / "checkpoints" / "last" / "training.json").read_text())["training"]
    rates = training["callbacks"]["LearningRateMonitor"]["rates"]
    assert len(rates) == 30
    assert [step for step in range(1, 30) if rates[step] > rates[step - 1]] == [10, 20]
    last = fastnn.load(folder / "snapshots" / names[-1])
    for name, value in load_model(folder)[0].state_dict().items():
        np.testing.assert_array_equal(np.asarray(last[name]), value.data)


def test_a_last_cycle_that_is_shorter_has_its_snapshot(tmp_path: Path) -> None:
    """15 steps in 4 cycles of 4: the last one has 3."""
    config = Config.create("digits", model="mlp", epochs=1, batch_size=100, snapshots=4)
    assert config.schedule == "cyclic"
    Run(config, tmp_path / "run").fit(quiet=True)
    assert len(list((tmp_path / "run" / "snapshots").iterdir())) == 4


@pytest.mark.parametrize("chosen", [{"schedule": "cyclic"}, {"schedule": "cosine", "snapshots": 2}, {"snapshots": 0}])
def test_cycles_and_snapshots_belong_together(chosen: Any) -> None:
    with pytest.raises(ValueError, match="snapshots"):
        Config.create("digits", **chosen)


def test_images_of_sixteen_bits_are_refused(runs: Any, capsys: Any, tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    assert main(["predict", runs["other"], str(tmp_path / "deep.png")]) == 2
    error = capsys.readouterr().err
    assert "deep.png has pixels of mode I;16, not of 8 bits" in error
    assert error.count("\n") == 1
