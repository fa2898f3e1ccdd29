"""`fastnn report`: the page is whole, its numbers are those of scikit-learn and of the run, and gaps are named."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import data
from fastnn.bench import machine
from fastnn.cli import main
from fastnn.diagnose import weight_statistics
from fastnn.evaluation import calibration, compare_predictions, wilson_interval
from fastnn.report import report_runs
from fastnn.report.predictions import Predictions
from fastnn.report.record import read_record
from fastnn.train import MetricsWriter, predict
from fastnn.train.build import test_loader as loader_of
from fastnn.train.curves import RunCurves
from fastnn.train.plots import softmax
from fastnn.train.run import load_model

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")
sk = pytest.importorskip("sklearn.metrics")
Image = pytest.importorskip("PIL.Image")

HOSTILE = ("<script>alert(1)</script>", "$\\frac{x$ & \"'", "a\nb\tc")
VOID = {"meta", "br", "img", "input", "link", "hr"}


@pytest.fixture(autouse=True)
def _quick_peaks(monkeypatch):
    """The machine's peaks are no matter of these tests."""
    monkeypatch.setattr(machine, "_MATRIX", 64)
    monkeypatch.setattr(machine, "_COPY_BYTES", 1 << 16)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs that differ in optimiser and seed."""
    root = tmp_path_factory.mktemp("runs")
    threads = fastnn.get_num_threads()
    common = ["train", "digits", "--quiet", "--threads", "1"]
    assert main([*common, "--epochs", "2", "--out", str(root / "one")]) == 0
    options = ["--epochs", "2", "--optimizer", "adamw", "--lr", "5e-4", "--seed", "1", "--model", "mlp"]
    assert main([*common, *options, "--out", str(root / "two")]) == 0
    fastnn.set_num_threads(threads)
    return root / "one", root / "two"


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    """The page and the JSON of one run, and of both."""
    root = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "_MATRIX", 64)
        patch.setattr(machine, "_COPY_BYTES", 1 << 16)
        found = {}
        for name, folders in (("one", runs[:1]), ("both", runs)):
            page, values = root / f"{name}.html", root / f"{name}.json"
            assert main(["report", *map(str, folders), "--out", str(page), "--json", str(values)]) == 0
            found[name] = page.read_text(encoding="utf-8"), json.loads(values.read_text())
    return found


class Page(HTMLParser):
    """What a page consists of; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open and self.open[-1] != "style":
            self.words.append(" ".join(text.split()))

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.words))


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def scores_of(folder):
    model, _, facts = load_model(folder)
    test = data.Digits(train=False)
    return predict(model, loader_of(facts, test, None)), np.asarray(test.labels), test


# The page


@pytest.mark.parametrize("which", ["one", "both"])
def test_the_page_is_whole_and_needs_nothing_else(pages, which):
    text, _ = pages[which]
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(text) < 2_000_000
    assert len(page.ids) == len(set(page.ids))
    names = {tag for tag, _ in page.tags}
    assert "svg" in names
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
                assert value.startswith(("#", "data:image/png;base64,")), (tag, value[:80])
                if value.startswith("#"):
                    assert value[1:] in page.ids, value
    for target in re.findall(r"url\(([^)]*)\)", text):
        assert target.strip("'\"").startswith("#")
        assert target.strip("'\"")[1:] in page.ids
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_the_page_of_one_run_has_its_sections(pages):
    text, _ = pages["one"]
    headings = re.findall(r"<h2>([^<]*)</h2>", text)
    assert headings == ["Result", "Learning curves", "Confusion", "Images", "Calibration", "Layers", "Time"]
    assert 'class="missing"' not in text
    titles = " ".join(re.findall(r"<text [^>]*>([^<]*)</text>", text))
    for title in ("Loss", "Accuracy", "Learning rate, and momentum (dotted)", "Gap: training minus test accuracy",
                  "Standard deviation by depth", "Activations", "Gradients", "cross-entropy", "epoch"):  # fmt: skip
        assert title in titles


def test_the_page_says_what_the_run_said(pages, runs):
    page, result = Page(pages["one"][0]).text, json.loads((runs[0] / "result.json").read_text())
    assert f"{100 * result['test_accuracy']:.2f} %" in page
    assert f"{100 * result['best_test_accuracy']:.2f} %" in page
    assert f"{result['test_loss']:.4f}" in page
    assert f"{result['params']:,}" in page
    assert f"images per second {result['images_per_second']:,.0f} in training" in page
    assert f"fastnn {fastnn.__version__}" in page
    assert "Changed: epochs 2." in page


def test_numbers_are_scikit_learns(pages, runs):
    (run,) = pages["one"][1]["runs"]
    scores, labels, _ = scores_of(runs[0])
    p, predicted = softmax(scores), scores.argmax(axis=1)
    found = run["predictions"]
    assert found["accuracy"] == sk.accuracy_score(labels, predicted)
    assert found["confusion"]["counts"] == sk.confusion_matrix(labels, predicted).tolist()
    expected = sk.precision_recall_fscore_support(labels, predicted)[:3]
    for name, values in zip(("precision", "recall", "f1"), expected, strict=True):
        np.testing.assert_allclose(found["confusion"][name], values)
    assert found["calibration"]["nll"] == pytest.approx(sk.log_loss(labels, p))
    assert found["calibration"]["brier"] == pytest.approx(np.square(p - np.eye(10)[labels]).sum(axis=1).mean())
    assert found["calibration"]["error"] == pytest.approx(calibration(p, labels).error)
    right = int((predicted == labels).sum())
    assert found["interval"] == pytest.approx(wilson_interval(right, len(labels)))
    text = Page(pages["one"][0]).text
    for value in (found["calibration"]["error"], found["calibration"]["nll"], found["calibration"]["brier"]):
        assert f"{value:.4f}" in text
    assert found["temperature"]["after"]["nll"] < found["calibration"]["nll"]


def test_no_temperature_without_mistakes_in_both_halves():
    """Right on all even rows, the best temperature of these would be 0, and all odd mistakes infinitely bad."""
    images = np.zeros((40, 4, 4, 1), np.uint8)
    labels = np.arange(40) % 3
    scores = 2 * np.eye(3)[labels]
    scores[1] = scores[1][[1, 2, 0]]
    dataset = data.ArrayDataset(images, labels, ["a", "b", "c"])
    assert Predictions.of(scores, dataset).temperature is None
    scores[2] = scores[2][[1, 2, 0]]
    found = Predictions.of(scores, dataset)
    assert found.temperature is not None
    # Of 20 rows in a half, 19 are right with logit 2 / T against two of 0.
    p = 19 / 20
    assert found.temperature.value == pytest.approx(2 / np.log(2 * p / (1 - p)), rel=1e-3)


def test_the_mistakes_are_the_surest_and_their_pictures_the_images(pages, runs):
    text, values = pages["one"]
    scores, labels, test = scores_of(runs[0])
    p, predicted = softmax(scores), scores.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    expected = wrong[np.argsort(-p[wrong].max(axis=1), kind="stable")][:24]
    mistakes = values["runs"][0]["predictions"]["mistakes"]
    assert [each["row"] for each in mistakes] == expected.tolist()
    assert [each["predicted"] for each in mistakes] == predicted[expected].tolist()
    np.testing.assert_allclose([each["label_probability"] for each in mistakes], p[expected, labels[expected]])
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)" alt="test image (\d+): (\d)"', text)
    assert [int(row) for _, row, _ in pictures[: len(expected)]] == expected.tolist()
    for content, row, label in pictures:
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            np.testing.assert_array_equal(np.asarray(image), test.images[int(row), :, :, 0])
        assert int(label) == labels[int(row)]


def test_layers_and_times_are_of_the_run(pages):
    (run,) = pages["one"][1]["runs"]
    model = fastnn.models.create("digits", 10, 1, 8)
    names = [name for name, _ in model.named_parameters()]
    assert [each["name"] for each in run["layers"]["weights"]["parameters"]] == names
    assert list(run["layers"]["updates"]["ratios"]) == names
    assert all(0 < values[0] < 1 for name, values in run["layers"]["updates"]["ratios"].items() if "weight" in name)
    assert len(run["layers"]["statistics"]["gradients"]) == len(run["layers"]["statistics"]["activations"])
    timing = run["timing"]
    assert timing["images"] == 32
    assert sum(timing["phases"].values()) == pytest.approx(timing["seconds"])
    assert all(timing["phases"][phase] > 0 for phase in ("data", "forward", "backward", "optimizer"))
    operations = {each["name"] for each in timing["profile"]["operations"]}
    assert {"conv2d", "linear", "SGD.step"} <= operations
    assert set(timing["shares"]) == operations


def test_phases_of_the_whole_run_add_up(pages):
    (run,) = pages["one"][1]["runs"]
    history = run["history"]
    total = sum(each["seconds"] + each["eval_seconds"] for each in history)
    assert sum(run["phases"].values()) == pytest.approx(total)
    assert min(run["phases"].values()) >= 0
    assert run["phases"]["backward"] == sum(each["backward_seconds"] for each in history) > 0


def test_curves_have_every_step_of_the_rate_and_the_momentum(pages):
    (run,) = pages["one"][1]["runs"]
    curves = run["curves"]
    assert curves["epochs"] == [1.0, 2.0]
    assert len(curves["rates"]) == len(curves["momenta"]) == len(curves["rate_epochs"]) == 2 * 46
    assert set(curves["momenta"]) == {0.9}
    assert max(curves["rates"]) <= 0.1
    np.testing.assert_allclose(curves["rate_epochs"], np.arange(92) / 46)


# Several runs


def test_several_runs_are_compared(pages, runs):
    text, values = pages["both"]
    differing = values["comparison"]["differing"]
    assert differing["optimizer"] == ["nesterov", "adamw"]
    assert differing["seed"] == [0, 1]
    assert "epochs" not in differing
    marked = re.findall(r'<tr class="?mark"?><td class="text">(\w+)</td>', text)
    assert set(differing) <= set(marked)
    (a, labels, _), (b, _, _) = scores_of(runs[0]), scores_of(runs[1])
    first, second = a.argmax(axis=1), b.argmax(axis=1)
    expected = compare_predictions(first, second, labels)
    (pair,) = values["comparison"]["pairs"]
    assert pair["predictions"] == expected.to_dict()
    rows = {each["row"] for each in pair["only_second"]}
    assert rows <= set(np.flatnonzero((first != labels) & (second == labels)).tolist())
    page = Page(text).text
    assert f"{100 * expected.difference:+.2f} points" in page
    assert "one right, two wrong" in page
    # A run has one colour in pictures, tables and headings.
    assert text.count("var(--c0)") > 5 < text.count("var(--c1)")


def test_runs_of_other_data_are_compared_as_far_as_that_goes(runs, tmp_path, capsys):
    rng = np.random.default_rng(0)
    folder = pictures(tmp_path / "pictures", ("dark", "light"), rng)
    train_pictures(folder, tmp_path / "other")
    report = report_runs([runs[0], tmp_path / "other"])
    assert report.comparison.pairs == []
    assert report.comparison.missing == ["one and other: their test images are not the same"]
    assert "their test images are not the same" in Page(report.to_html()).text


def test_names_of_equal_folders_differ(runs, tmp_path):
    shutil.copytree(runs[0], tmp_path / "one", symlinks=True)
    report = report_runs([runs[0], tmp_path / "one", runs[0]])
    names = [run.name for run in report.runs]
    assert len(set(names)) == 3
    assert all("one" in name for name in names)
    assert report.comparison.pairs[0].predictions.difference == 0


# Nothing is changed


def test_the_folder_of_the_run_stays_as_it_is(runs, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(runs[0], copy, symlinks=True)
    before = tree(copy)
    assert main(["report", str(copy), "--out", str(tmp_path / "page.html")]) == 0
    assert tree(copy) == before
    assert capsys.readouterr().out.startswith(str(tmp_path / "page.html"))


def test_two_reports_agree(runs):
    first, second = (report_runs(runs[:1]).to_dict()["runs"][0] for _ in range(2))
    for name in ("predictions", "layers", "curves"):
        assert fastnn.serialization.json_text(first[name]) == fastnn.serialization.json_text(second[name])


# Missing pieces


def pictures(root, classes, rng):
    for part, count in (("train", 12), ("test", 4)):
        for place, name in enumerate(classes):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.normal(60 + 60 * place, 20, (10, 12, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def train_pictures(folder, out):
    options = ["--epochs", "1", "--batch-size", "8", "--image-size", "8", "--lr", "0.02", "--quiet", "--threads", "1"]
    threads = fastnn.get_num_threads()
    assert main(["train", str(folder), "--out", str(out), "--model", "mlp", *options]) == 0
    fastnn.set_num_threads(threads)


def test_data_that_are_gone_and_found_again(tmp_path, capsys):
    folder = pictures(tmp_path / "pictures", ("dark", "light"), np.random.default_rng(1))
    run, page = tmp_path / "run", tmp_path / "page.html"
    train_pictures(folder, run)
    folder.rename(tmp_path / "moved")
    assert main(["report", str(run), "--out", str(page)]) == 0
    assert "--data-dir says where the data are" in capsys.readouterr().out
    text = Page(page.read_text()).text
    for section in ("Confusion", "Images", "Calibration", "Layers", "Time of steps"):
        assert f"{section} left out: " in text
    assert "Learning rate" in page.read_text()
    options = ["--data-dir", str(tmp_path / "moved"), "--checkpoint", "best"]
    assert main(["report", str(run), "--out", str(page), *options]) == 0
    assert "left out" not in Page(page.read_text()).text


def test_hostile_names_are_only_names(tmp_path):
    pytest.importorskip("PIL.Image")
    names = tuple(name.replace("/", "\\") for name in HOSTILE)
    folder = pictures(tmp_path / "<b>pictures", names, np.random.default_rng(2))
    run = tmp_path / "run <img src=x onerror=alert(1)> & $\\alpha{"
    train_pictures(folder, run)
    report = report_runs([run, run])
    text = report.to_html()
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "b>pictures"}
    assert all(attributes.get("src") != "x" and "onerror" not in attributes for _, attributes in page.tags)
    assert "<script>alert" in page.text  # as words
    assert "onerror=alert(1)" in page.text
    assert json.loads(report.to_json())["runs"][0]["data"]["classes"] == sorted(names)


def test_an_interrupted_run(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs[0], run, symlinks=True)
    (run / "result.json").unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text(lines[0] + "\n" + lines[1][:40])
    report = report_runs([run])
    assert not report.runs[0].complete
    assert [each["epoch"] for each in report.runs[0].history] == [1]
    assert "the run stopped, or is still going: 1 of 2 epochs" in Page(report.to_html()).text


def test_a_run_without_epochs_or_checkpoint(runs, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(runs[0] / "config.json", run)
    for folders in ([run], [run, runs[0]]):
        text = Page(report_runs(folders).to_html()).text
        assert "the run has not finished an epoch" in text
        assert "there is no checkpoint 'last'" in text


def test_without_matplotlib_there_are_numbers(runs, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = report_runs(runs[:1]).to_html()
    page = Page(text)
    assert "svg" not in {tag for tag, _ in page.tags}
    assert "plots need matplotlib: pip install fastnn[plot]" in page.text
    assert "Most confused" in page.text


def test_a_checkpoint_that_is_damaged_costs_only_what_needs_it(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs[0], run, symlinks=True)
    for file in (run / "checkpoints").rglob("model.safetensors"):
        file.write_bytes(file.read_bytes()[:200])
    report = report_runs([run]).runs[0]
    assert report.predictions is None
    assert "truncated" in report.missing["data"]
    assert report.curves.values["test_accuracy"]


# Errors of the user


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere holds no run: there is no config.json"),
        ([], "required: RUN"),
        (["nowhere", "--out", "no/such/page.html"], "no/such/page.html cannot be written"),
        (["nowhere", "--json", "."], ". cannot be written"),
        (["nowhere", "--checkpoint", "first"], "invalid choice: 'first'"),
    ],
)
def test_errors_are_one_line(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_damaged_settings(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{")
    assert main(["report", str(tmp_path)]) == 2
    assert "config.json is not valid JSON" in capsys.readouterr().err
    with pytest.raises(ValueError, match="at least one folder"):
        report_runs([])


# The parts


def test_epochs_without_evaluation_and_a_part_of_one():
    history = [
        {"epoch": 1, "step": 10, "lr": 0.1, "train_accuracy": 0.5, "train_loss": 1.0},
        {"epoch": 2, "step": 20, "lr": 0.1, "train_accuracy": 0.7, "train_loss": 0.8, "test_accuracy": 0.6},
        {"epoch": 3, "step": 25, "lr": 0.0, "train_accuracy": 0.8, "train_loss": 0.7, "test_accuracy": 0.75},
    ]
    curves = RunCurves.of(history, {"steps": [1, 11, 21], "rates": [0.1, 0.2, 0.0]})
    assert curves.epochs == [1.0, 2.0, 2.5]
    assert np.isnan(curves.values["test_accuracy"][0])
    np.testing.assert_allclose(curves.gap(), [np.nan, 10.0, 5.0])
    assert curves.rate_epochs == [0.0, 1.0, 2.0]
    assert curves.momenta == []


def test_settings_of_a_recipe_are_held_against_it(runs, tmp_path):
    assert read_record(runs[0]).chosen == {"epochs": 12}
    text = (runs[0] / "config.json").read_text()
    values = json.loads(text)
    values["config"] |= {"recipe": "digits", "batch_size": 48}
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert read_record(tmp_path).chosen == {"epochs": 12, "batch_size": 32}


def test_metrics_that_a_run_goes_on_writing(tmp_path, runs):
    """The file is read while the writer's last line is half there."""
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    shutil.copy(runs[0] / "config.json", tmp_path)
    assert read_record(tmp_path).history == []
    writer.on_epoch_end(None, {"epoch": 1, "train_loss": 2.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "tra')
    assert read_record(tmp_path).history == [{"epoch": 1, "train_loss": 2.0}]


def test_weights_and_gradients_by_parameter():
    model = fastnn.nn.Sequential(fastnn.nn.Conv2d(1, 3, 3), fastnn.nn.Flatten(), fastnn.nn.Linear(12, 2))
    assert weight_statistics(model).parameters[0].gradient_norm is None
    model(fastnn.randn(5, 1, 4, 4)).sum().backward()
    model[0].bias.data[...] = [0.0, np.nan, 2.0]
    found = {each.name: each for each in weight_statistics(model).parameters}
    for name, parameter in model.named_parameters():
        values = parameter.data[np.isfinite(parameter.data)].astype(np.float64)
        each = found[name]
        assert (each.shape, each.nonfinite) == (parameter.shape, parameter.data.size - values.size)
        expected = (values.mean(), values.std(), values.min(), values.max(), np.linalg.norm(values))
        assert (each.mean, each.std, each.minimum, each.maximum, each.norm) == pytest.approx(expected)
        assert each.zeros == np.mean(values == 0)
        assert sum(each.counts) == values.size
        assert each.gradient_norm == pytest.approx(np.linalg.norm(parameter.grad.data))
