"""What a run shows and draws: the progress on a terminal and in a file, and pictures of the right pixels."""

import io

import numpy as np
import pytest

from fastnn import data, nn, optim
from fastnn.train import Config, Progress, Trainer, plot_curves, plot_mistakes
from fastnn.train.defaults import DATASETS, OPTIMIZERS

pytest.importorskip("matplotlib")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("quiet", "bar"), [(False, Terminal()), (False, io.StringIO()), (True, Terminal())])
def test_progress(quiet, bar):
    pytest.importorskip("tqdm")
    train, test = data.load("digits")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    out = io.StringIO()
    progress = Progress(quiet, out, bar)
    trainer = Trainer(model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[progress])
    trainer.fit(data.DataLoader(train, 100, seed=0), data.DataLoader(test, 100, seed=0), 2)
    assert out.getvalue().count("\n") == (0 if quiet else 2)
    assert ("epoch 2/2  train loss" in out.getvalue()) is not quiet
    assert ("epoch 1/2" in bar.getvalue()) is (bar.isatty() and not quiet)


def pixels_of(path):
    Image = pytest.importorskip("PIL.Image")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_contact_sheet_shows_the_mistakes(tmp_path):
    """Every mistake is drawn with its own pixels, in its own colours and upright."""
    colours = np.array([[250, 20, 20], [20, 250, 20], [20, 20, 250], [250, 250, 20]], np.uint8)
    images = np.zeros((4, 8, 8, 3), np.uint8)
    images[:, :4] = colours[:, None, None]  # the upper half in colour, the lower one black
    dataset = data.ArrayDataset(images, [0, 1, 0, 1], ["cat", "a rather long name"])
    scores = np.array([[0.0, 1.0], [0.0, 9.0], [0.0, 5.0], [2.0, 0.0]])
    rows = plot_mistakes(tmp_path / "sheet.png", dataset, scores)
    assert rows.tolist() == [2, 3, 0]  # the surest first; row 1 is right
    picture = pixels_of(tmp_path / "sheet.png")
    places = []
    for row in rows:
        mask = np.abs(picture - colours[row].astype(int)).sum(axis=2) < 12
        assert mask.sum() > 2000
        x = np.argwhere(mask)[:, 1].mean()
        places.append(x)
        below = picture[int(np.argwhere(mask)[:, 0].max()) + 5, int(x)]
        assert below.sum() < 30
    assert places == sorted(places)
    assert (np.abs(picture - colours[1].astype(int)).sum(axis=2) < 12).sum() == 0


def test_grey_images_keep_their_range(tmp_path):
    images = np.full((1, 8, 8, 1), 100, np.uint8)
    plot_mistakes(tmp_path / "sheet.png", data.ArrayDataset(images, [0], ["0", "1"]), np.array([[0.0, 1.0]]))
    picture = pixels_of(tmp_path / "sheet.png")
    assert (np.abs(picture - 100).max(axis=2) <= 2).sum() > 5000


@pytest.mark.parametrize("count", [0, 1, 60])
def test_any_number_of_mistakes(tmp_path, count):
    images = np.zeros((60, 4, 4, 1), np.uint8)
    labels = np.zeros(60, np.int64)
    scores = np.tile([1.0, 0.0], (60, 1))
    scores[:count, 1] = 2.0
    rows = plot_mistakes(tmp_path / "sheet.png", data.ArrayDataset(images, labels, ["0", "1"]), scores)
    assert len(rows) == min(count, 40)
    assert pixels_of(tmp_path / "sheet.png").shape[0] > 100
    with pytest.raises(ValueError, match="60 rows"):
        plot_mistakes(tmp_path / "sheet.png", data.ArrayDataset(images, labels, ["0", "1"]), scores[:3])


def test_curves_of_one_epoch_and_without_a_test_part(tmp_path):
    plot_curves(tmp_path / "curves.png", [{"epoch": 1, "train_loss": 1.0, "lr": 0.1}])
    assert pixels_of(tmp_path / "curves.png").shape[1] > 1000


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("optimizer", [None, *OPTIMIZERS])
def test_every_default_is_possible(dataset, optimizer):
    config = Config.create(dataset, data_dir="somewhere", optimizer=optimizer)
    assert Config.from_dict(dict(vars(config))) == config
    if optimizer not in (None, DATASETS[dataset].optimizer):
        assert (config.lr, config.momentum) == (OPTIMIZERS[optimizer].lr, OPTIMIZERS[optimizer].momentum)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs > 0"),
        ({"lr": float("inf")}, "lr to be a finite"),
        ({"momentum": 1.0}, "momentum < 1"),
        ({"momentum": 0.0}, "nesterov needs momentum"),
        ({"schedule": "never"}, "schedule to be one of"),
        ({"optimizer": "newton"}, "optimizer to be one of"),
        ({"seed": 2**64}, "seed from 0"),
        ({"colour": "red"}, "unknown settings colour"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        Config.create("digits", **settings)
    with pytest.raises(ValueError, match="dataset to be one of"):
        Config.create("imagenet")


@pytest.mark.parametrize("schedule", ["onecycle", "linear", "cosine", "step", "exponential"])
@pytest.mark.parametrize("steps", [1, 2, 3, 40])
def test_schedules_reach_the_rate_and_fall(schedule, steps):
    from fastnn.train.build import make_optimizer, make_schedule

    config = Config.create("digits", schedule=schedule, epochs=1)
    optimizer = make_optimizer(config, nn.Linear(2, 2))
    scheduler = make_schedule(config, optimizer, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    assert all(0 <= rate <= config.lr + 1e-12 for rate in rates)
    if steps == 40:
        assert max(rates) == pytest.approx(config.lr)
        assert rates[-1] < 0.15 * config.lr
    assert max(rates) > 0.03 * config.lr
