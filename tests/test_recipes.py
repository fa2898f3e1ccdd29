"""Recipes: they are complete and possible, the command line takes them, and speed94 is what its source does."""

import importlib.util
import json

import numpy as np
import pytest

from fastnn import models, nn, recipes
from fastnn.autograd import Tensor
from fastnn.cli import main
from fastnn.train import Config, Run
from fastnn.train.build import make_optimizer, make_schedule, parameter_groups
from fastnn.train.seeds import over_seeds
from tests.process import ROOT

QUICK = ["--model", "mlp", "--epochs", "1", "--quiet"]


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch):
    """Most of the time of a run this short."""
    monkeypatch.setattr("fastnn.train.plots.plot_curves", lambda *arguments: None)
    monkeypatch.setattr("fastnn.train.plots.plot_mistakes", lambda *arguments: None)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_a_possible_run(name):
    recipe = recipes.find(name)
    config = recipe.config(data_dir="data", seed=3)
    assert config.model in models.names()
    assert config.recipe == name == recipe.name
    assert recipe.changes(vars(config)) == {}
    assert Config.from_dict(json.loads(json.dumps(vars(config)))) == config
    assert recipe.purpose.endswith(".")
    assert len(recipe.source) > 10
    told = json.loads(json.dumps(recipe.to_dict()))
    assert told["settings"]["model"] == config.model


def test_names_are_forgiving_and_unknown_ones_list_the_known():
    for spelling in ("small-cnn/MNIST", "small_cnn_mnist", "Small-CNN MNIST"):
        assert recipes.find(spelling).name == "small-cnn-mnist"
    assert recipes.find("speed94-cifar10") is recipes.find("speed94/CIFAR10") is recipes.find("speed94")
    with pytest.raises(ValueError, match=r"no recipe 'speed95'; recipes are digits, .*speed94"):
        recipes.find("speed95")


def test_the_digits_recipe_is_the_default():
    config = vars(Config.create("digits"))
    assert {name: value for name, value in vars(recipes.find("digits").config()).items() if value != config[name]} == {
        "recipe": "digits"
    }


def test_changes_are_named_and_another_optimiser_has_its_own_rate():
    recipe = recipes.find("resnet20-cifar10")
    config = recipe.config(optimizer="adamw", epochs=3.0, seed=7, data_dir="elsewhere")
    assert (config.lr, config.momentum, config.epochs) == (2e-3, None, 3)
    changes = recipe.changes(vars(config))
    assert changes["epochs"] == {"recipe": 30, "run": 3}
    assert set(changes) == {"optimizer", "lr", "momentum", "weight_decay", "epochs"}


def test_what_belongs_to_another_choice_is_left_behind():
    recipe = recipes.find("speed94")
    config = recipe.config(schedule="cosine", averaging="ema", model="resnet8")
    assert (config.lr_start, config.lr_end, config.averaging_decay, config.freeze) == (None, None, None, ())
    config = recipe.config(schedule="triangle", model="speed94", lr_end=0.0)
    assert (config.lr_start, config.lr_end, config.freeze) == (0.2, 0.0, ("0.bias@3",))
    assert recipe.config(model="resnet8", freeze=("fc.*",)).freeze == ("fc.*",)


# speed94


class _Tiny(nn.Module):
    """A convolution without bias, batch norm whose scale is fixed, and a linear layer."""

    def __init__(self):
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.norm.weight.requires_grad_(False)
        self.head = nn.Linear(2, 2, bias=False)


def test_speed94_moves_weights_as_its_source_does():
    """The source's update in its own terms: rates per 1024 images, losses added up, PyTorch's SGD, in float64."""
    config = recipes.find("speed94").config(epochs=2)
    model = _Tiny().double()
    weights = {name: parameter.data.copy() for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(config, model)
    scheduler = make_schedule(config, optimizer, 20)
    kilostep_scale = 1024 * (1 + 1 / (1 - 0.85))
    rate, decay = 11.5 / kilostep_scale, 0.0153 * 1024 / kilostep_scale
    velocity = {name: np.zeros_like(weight) for name, weight in weights.items()}
    rng = np.random.default_rng(0)
    for step in range(40):
        share = np.interp(step, [0, int(0.23 * 40), 40], [0.2, 1.0, 0.07])
        for name, parameter in model.named_parameters():
            if name == "norm.weight":
                continue
            mean = rng.standard_normal(parameter.shape)
            parameter.grad = Tensor(mean.copy())
            own = rate * (64.0 if name == "norm.bias" else 1.0)
            g = 1024 * mean + decay / own * weights[name]
            velocity[name] = 0.85 * velocity[name] + g
            weights[name] -= own * share * (g + 0.85 * velocity[name])
        optimizer.step()
        scheduler.step()
    for name, parameter in model.named_parameters():
        np.testing.assert_allclose(parameter.data, weights[name], rtol=1e-7, atol=1e-9, err_msg=name)


def test_speed94_shape():
    config = recipes.find("speed94").config()
    assert config.lr == pytest.approx(11.5 / (1 + 1 / 0.15), abs=1e-9)
    assert config.weight_decay * config.lr == pytest.approx(0.0153 / (1 + 1 / 0.15), rel=1e-9)
    groups = parameter_groups(config, models.create("speed94"))
    assert [group["lr"] / config.lr for group in groups] == [1.0, 64.0]
    assert all(name.endswith(".bias") for name, _ in groups[1]["params"])
    assert len(groups[1]["params"]) == 6


# The command line


def test_the_list_and_one_recipe(capsys):
    assert main(["recipes"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in recipes.names())
    assert main(["recipes", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)["recipes"]] == recipes.names()
    assert main(["recipes", "speed94-cifar10"]) == 0
    text = capsys.readouterr().out
    assert "2404.00498" in text
    assert "epochs           9.9\n" in text
    assert main(["recipes", "speed94", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["freeze"] == ["0.bias@3"]
    assert main(["recipes", "alexnet"]) == 2
    assert capsys.readouterr().err.startswith("fastnn recipes: error: there is no recipe 'alexnet'; recipes are digits")


def test_a_run_says_its_recipe_and_what_was_changed(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", "--recipe", "digits", *QUICK[:-1], "--views", "flip", "--json", "--out", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("recipe digits, changed: model mlp for digits, epochs 1 for 12, views flip for none\n")
    result = json.loads(out.splitlines()[-1])
    assert result["recipe"] == "digits"
    assert result["steps_per_second"] == pytest.approx(result["steps"] / result["train_seconds"])
    assert result["peak_memory_bytes"] > 10 << 20
    assert result["processor"]
    assert 0 < result["test_accuracy_views"] < result["test_accuracy"] < 1  # digits are not their mirror images
    description = json.loads((run / "config.json").read_text())
    assert description["config"]["recipe"] == "digits"
    assert description["changed"]["epochs"] == {"recipe": 12, "run": 1}
    assert main(["train", "--resume", str(run), "--recipe", "speed94"]) == 2
    assert "--recipe speed94 differs from the run's digits" in capsys.readouterr().err
    assert main(["train", "--resume", str(run), "--recipe", "digits", "--quiet"]) == 0


def test_errors_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["--recipe", "alexnet"], "there is no recipe 'alexnet'; recipes are digits"),
        (["--recipe", "speed94"], "CIFAR10: no file"),
        (["--recipe", "lenet5-mnist", "--data-dir", "nowhere"], "in nowhere"),
        (["--freeze", "9.*"], "freeze: the model digits has no parameter '9.*', only 0.weight"),
        (["--freeze", "0.bias@x"], "expected freeze to have entries PATTERN or PATTERN@EPOCH, got '0.bias@x'"),
        (["--lr-end", "0.1"], "only the schedule triangle has lr_end"),
        (["--warm-up", "1.5"], "expected warm_up <= 1"),
        (["--batch-size", "2000", "--drop-last"], "expected batch_size <= 1442 images with drop_last"),
        (["--seeds", "1,1"], "expected different seeds"),
        (["--seeds", "1", "--seed", "2"], "--seeds cannot be given with --resume or --seed"),
    ):
        assert main(["train", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_seeds(tmp_path, capsys):
    """A run each, their mean, and the same again without training anything twice."""
    arguments = ["train", "--recipe", "digits", *QUICK, "--seeds", "0,5,2", "--json", "--out", str(tmp_path)]
    assert main(arguments) == 0
    first = json.loads(capsys.readouterr().out)
    results = [json.loads((tmp_path / f"seed-{seed}" / "result.json").read_text()) for seed in (0, 5, 2)]
    accuracies = [result["test_accuracy"] for result in results]
    assert first["seeds"] == [0, 5, 2] == [result["seed"] for result in results]
    assert first["test_accuracy"]["values"] == accuracies
    assert first["test_accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert first["test_accuracy"]["sd"] == pytest.approx(np.std(accuracies, ddof=1))
    assert first["model"] == "mlp"
    assert json.loads((tmp_path / "seeds.json").read_text()) == first
    assert main(arguments) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["test_accuracy"] == first["test_accuracy"]
    assert again["train_seconds"] == first["train_seconds"]
    assert main([*arguments, "--lr", "0.01"]) == 2
    assert "holds a run with other settings" in capsys.readouterr().err


def test_over_seeds_of_one_run_has_no_spread(tmp_path):
    result = Run(recipes.find("digits").config(model="mlp", epochs=0.1), tmp_path / "run").fit(quiet=True)
    summary = over_seeds([result])
    assert summary["test_accuracy"] == {
        "mean": result["test_accuracy"],
        "sd": None,
        "values": [result["test_accuracy"]],
    }
    assert summary["runs"] == [result["run"]]


# The pages


@pytest.fixture(scope="module")
def pages():
    """scripts/recipe_pages.py"""
    spec = importlib.util.spec_from_file_location("recipe_pages", ROOT / "scripts" / "recipe_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_of_the_recipes(pages):
    """`python scripts/recipe_pages.py` writes them anew."""
    measured = json.loads((pages.FOLDER / pages.MEASURED).read_text())
    for name, text in pages.pages(measured).items():
        assert (pages.FOLDER / name).read_text() == text, name
    assert {path.stem for path in pages.FOLDER.glob("*.md")} == {"README", *recipes.names()}


def test_runs_become_lines_of_a_page(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "FOLDER", tmp_path / "pages")
    runs = []
    for seed, epochs in ((0, 0.5), (1, 0.5), (0, 0.4)):
        runs.append(str(tmp_path / f"run-{seed}-{epochs}"))
        Run(recipes.find("digits").config(model="mlp", epochs=epochs, seed=seed), runs[-1]).fit(quiet=True)
    assert pages.main(runs[:2]) == 0
    assert pages.main([*runs[1:], "--data", "all of them"]) == 0
    measured = json.loads((tmp_path / "pages" / "measured.json").read_text())
    assert [(each["seed"], each["data"]) for each in measured] == [
        (0, ""), (0, "all of them"), (1, ""), (1, "all of them")
    ]  # fmt: skip
    assert pages.main(runs[:1]) == 0
    assert json.loads((tmp_path / "pages" / "measured.json").read_text()) == measured
    results = [json.loads((tmp_path / run / "result.json").read_text()) for run in runs[:2]]
    accuracies = [100 * result["test_accuracy"] for result in results]
    text = (tmp_path / "pages" / "digits.md").read_text()
    assert f"| 2 | {np.mean(accuracies):.2f} ± {np.std(accuracies, ddof=1):.2f} |" in text
    assert "`model` mlp" in text
    assert str(tmp_path) not in text
    assert pages.main([runs[2], "--busy"]) == 0
    busy = next(
        each for each in json.loads((tmp_path / "pages" / "measured.json").read_text()) if "threads" not in each
    )
    assert not [name for name in busy if "second" in name]
    assert "|  |  |  |  |" in (tmp_path / "pages" / "digits.md").read_text()
    Run(Config.create("digits", model="mlp", epochs=0.1), tmp_path / "other").fit(quiet=True)
    with pytest.raises(SystemExit, match="not the run of a recipe"):
        pages.main([str(tmp_path / "other")])


def test_short_runs_say_how_long_others_take(pages):
    same = {"recipe": "digits", "processor": "P", "level": "avx2"}
    rates = {"threads": 2, "images_per_second": 100.0, "steps_per_second": 0.5}
    entries = [
        {**same, "changed": {}, "steps": 600},
        {**same, "changed": {"lr": {}}, "steps": 600},
        {**same, "changed": {}, "steps": 600, "threads": 1, "train_seconds": 7.0},
        {**same, "changed": {}, "steps": 600, "level": "avx512"},
    ]
    before = [dict(entry) for entry in entries]
    pages.time_by(entries, {**same, **rates, "steps": 3})
    assert entries[0] == {**before[0], **rates, "train_seconds": 1200.0, "estimated": True}
    assert entries[1:] == before[1:]
    pages.time_by(entries, {**same, **rates, "steps_per_second": 1.0})
    assert entries[0]["train_seconds"] == 600.0
    assert pages._duration(entries[:1], "train_seconds") == "≈ 10 min"


def test_a_complete_run_keeps_its_summary(tmp_path):
    first = Run(recipes.find("digits").config(model="mlp", epochs=1), tmp_path).fit(quiet=True)
    written = (tmp_path / "result.json").read_bytes()
    assert Run.resume(tmp_path).fit(quiet=True) == json.loads(written)
    assert (tmp_path / "result.json").read_bytes() == written
    assert json.loads(written)["wall_seconds"] == first["wall_seconds"]
