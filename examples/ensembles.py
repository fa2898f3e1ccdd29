"""What ensembles, snapshots, test-time views and averaged weights are worth on one dataset, with the spread over seeds.

    python examples/ensembles.py --dataset cifar10 --data-dir DIR --out FOLDER
    python examples/ensembles.py --dataset digits --out FOLDER             (less than a minute)

Three trainings have several cosine cycles, from a high learning rate to zero, and keep the network at the end of each.
Nine short ones, of other seeds, stay at one rate, and keep the last weights and an exponential average. So there are

- the newest three and two *snapshots* of each cyclic training, an ensemble;
- three times three networks of *different seeds*, another one, of averaged weights;
- the network of each cyclic training after its first cycle, on several test-time *views*;
- the *averaged weights* beside the last ones, after equal training: at a constant rate, and, as the cyclic trainings
  average too, in the middle of a cycle, where the rate is high, and at its end, where it is zero.

Whatever is finished lies in the folder and is used again, so the script can be stopped at any time and goes on where it
was, with more cycles too. It writes `ensembles.json`, the table `ensembles.md` and the figure `ensembles.png` there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import data, models, nn, optim, transforms
from fastnn.ensemble import Snapshots, snapshot_schedule
from fastnn.evaluation import calibration
from fastnn.report import new_figure, save_figure
from fastnn.train import Callback, Checkpoints, Predictor, Trainer, WeightAverage, read_checkpoint, update_bn
from fastnn.train.config import DataFacts
from fastnn.train.files import read_json, write_json

CYCLIC = (0, 1, 2)
CONSTANT = tuple(range(3, 12))
CYCLES = {"cifar10": 5, "digits": 3}
VIEWS = transforms.VIEWS
TABLE = ("<!-- table -->\n", "<!-- end of table -->\n")


@dataclass(frozen=True)
class Setting:
    """How the networks of a dataset are trained."""

    model: str
    epochs: int  # of a cycle
    batch: int
    lr: float  # at the beginning of a cycle
    constant_epochs: int  # of a training at one rate
    constant_lr: float
    decay: float  # of the exponential average, per step
    statistics: int  # training batches that the average's batch norms look at


SETTINGS = {
    "cifar10": Setting(
        "resnet8", epochs=6, batch=128, lr=0.2, constant_epochs=4, constant_lr=0.05, decay=0.995, statistics=50
    ),
    "digits": Setting(
        "resnet8", epochs=2, batch=32, lr=0.1, constant_epochs=2, constant_lr=0.05, decay=0.95, statistics=20
    ),
}


class Study:
    """The data, the settings and the folder of everything that is finished."""

    def __init__(self, dataset: str, data_dir: str | None, folder: Path, epochs: int | None, cycles: int) -> None:
        self.folder, self.cycles = folder, cycles
        chosen = SETTINGS[dataset]
        self.setting = Setting(**{**vars(chosen), "epochs": epochs or chosen.epochs})
        self.description = {"dataset": dataset, **vars(self.setting)}
        self.train, self.test = data.load(dataset, data_dir)
        self.facts = DataFacts.of(self.train)
        self.size = (self.facts.height, self.facts.width)
        augment = "standard" if dataset == "cifar10" else "crop"
        self.augmented = transforms.augmentation(augment, self.size, self.facts.mean, self.facts.std)
        plain = transforms.augmentation("none", self.size, self.facts.mean, self.facts.std)
        self.test_loader = data.DataLoader(self.test, 500, transform=plain, seed=0)
        self.labels = np.asarray(self.test.labels)
        folder.mkdir(parents=True, exist_ok=True)
        self.once("setting", lambda: self.description)
        if read_json(folder / "setting.json") != self.description:
            raise SystemExit(f"{folder} holds results of other settings: {read_json(folder / 'setting.json')}")

    def once(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `compute` gives, or gave when it was asked for under this name before."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            write_json(path, compute())
            print(f"  {name}: done", flush=True)
        return read_json(path)

    def training(self, seed: int) -> str:
        """The name of the result of a training."""
        return f"cyclic-{seed}-of-{self.cycles}" if seed in CYCLIC else f"constant-{seed}"

    def network(self) -> nn.Module:
        return models.create(self.setting.model, len(self.facts.classes), self.facts.channels, self.size)

    def loader(self, seed: int) -> data.DataLoader:
        return data.DataLoader(self.train, self.setting.batch, shuffle=True, transform=self.augmented, seed=seed)

    def accuracies(self, networks: Sequence[nn.Module], views: str = "none") -> dict[str, Any]:
        """Accuracy and loss of every network and of all together, in one pass over the test images."""
        found = Predictor(networks, views=transforms.view_set(views, self.size)).predictions(self.test_loader)
        judged = [calibration(p, self.labels) for p in (*found.members, found.probabilities)]
        right = [float((p.argmax(axis=1) == self.labels).mean()) for p in (*found.members, found.probabilities)]
        return {
            "members": right[:-1],
            "ensemble": right[-1],
            "members_nll": [each.nll for each in judged[:-1]],
            "ensemble_nll": judged[-1].nll,
        }


class JudgeAverage(Callback):
    """After each epoch, the test accuracy of the averaged weights, beside that of the last ones."""

    def __init__(self, study: Study, average: WeightAverage, seed: int) -> None:
        self.study, self.average, self.seed = study, average, seed

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        assert self.average.averaged is not None
        network = self.average.averaged.module
        some = data.Subset(self.study.train, range(self.study.setting.batch * self.study.setting.statistics))
        batches = data.DataLoader(some, self.study.setting.batch, transform=self.study.augmented, seed=self.seed)
        update_bn(batches, network)
        record["average_accuracy"] = self.study.accuracies([network])["ensemble"]


def train(study: Study, seed: int) -> dict[str, Any]:
    """One training with what it keeps; goes on from its last checkpoint if it was interrupted."""
    cyclic, setting = seed in CYCLIC, study.setting
    folder = study.folder / (f"cyclic-{seed}" if cyclic else f"constant-{seed}")
    fastnn.manual_seed(seed)
    network, loader = study.network(), study.loader(seed)
    rate = setting.lr if cyclic else setting.constant_lr
    optimizer = optim.SGD(network.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    average = WeightAverage(setting.decay, swap=False)
    checkpoints = Checkpoints(folder / "checkpoints", monitor=None)
    callbacks: list[Callback] = [average, JudgeAverage(study, average, seed), Progress(folder.name), checkpoints]
    schedule, epochs = None, setting.constant_epochs
    if cyclic:
        cycle, epochs = setting.epochs * len(loader), study.cycles * setting.epochs
        schedule = snapshot_schedule(optimizer, study.cycles * cycle, study.cycles)
        callbacks.append(Snapshots(folder, cycle))
    trainer = Trainer(network, optimizer, nn.CrossEntropyLoss(), schedule, callbacks, schedule_every="step")
    if (checkpoints.folder / "last").exists():
        trainer.load_state_dict(read_checkpoint(checkpoints.folder / "last"))
    history = trainer.fit(loader, study.test_loader, epochs)
    assert average.averaged is not None
    fastnn.save(average.averaged.module.state_dict(), folder / "averaged.safetensors")
    return {"history": history}


class Progress(Callback):
    """A line for each epoch."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        accuracies = ", ".join(f"{name} {record[f'{name}_accuracy']:.4f}" for name in ("test", "average"))
        print(f"  {self.name} {record['epoch']}/{trainer.epochs}: {accuracies}, {record['seconds']:.0f} s", flush=True)


def kept(study: Study, file: str) -> nn.Module:
    """The network of a file that a training kept."""
    network = study.network()
    network.load_state_dict(fastnn.load(study.folder / file))
    return network.eval()


def measure(study: Study) -> dict[str, Any]:
    """The accuracies that the claims are about; whatever is known already is not computed again."""

    def judged(name: str, files: Sequence[str], views: str = "none") -> dict[str, Any]:
        return study.once(name, lambda: study.accuracies([kept(study, file) for file in files], views))

    def snapshot(seed: int, cycle: int) -> str:
        return f"cyclic-{seed}/snapshot-{cycle:04d}.safetensors"

    def newest(count: int) -> list[dict[str, Any]]:
        """The snapshots of the last `count` cycles together, for each seed."""
        cycles = range(study.cycles - count + 1, study.cycles + 1)
        name = f"of-{study.cycles}-newest-{count}"
        return [judged(f"snapshots-{seed}-{name}", [snapshot(seed, cycle) for cycle in cycles]) for seed in CYCLIC]

    def history(seed: int) -> list[tuple[float, float]]:
        """After each epoch the accuracies of the last weights and of the averaged ones."""
        records = read_json(study.folder / f"{study.training(seed)}.json")["history"]
        return [(record["test_accuracy"], record["average_accuracy"]) for record in records]

    triples = [CONSTANT[first : first + 3] for first in range(0, len(CONSTANT), 3)]
    return {
        "seeds": [
            judged(f"seeds-{'-'.join(map(str, triple))}", [f"constant-{seed}/averaged.safetensors" for seed in triple])
            for triple in triples
        ],
        "snapshots": newest(3),
        "two_snapshots": newest(2),
        "views": [
            {name: judged(f"views-{seed}-{name}", [snapshot(seed, 1)], name)["ensemble"] for name in VIEWS}
            for seed in CYCLIC
        ],
        "averages": [history(seed) for seed in CYCLIC],
        "constant": [history(seed) for seed in CONSTANT],
    }


@dataclass(frozen=True)
class Claim:
    """One comparison, repeated: what it is, and the accuracies of both sides in each repetition."""

    text: str
    without: list[float]
    having: list[float]

    @property
    def gains(self) -> list[float]:
        return [b - a for a, b in zip(self.without, self.having, strict=True)]

    def row(self) -> str:
        """A line of the table, in per cent and points: means ± standard deviations over the repetitions."""
        cells = [self.text, *(_spread(values) for values in (self.without, self.having, self.gains))]
        wins = sum(gain > 0 for gain in self.gains)
        return "| " + " | ".join([*cells, f"{100 * min(self.gains):+.2f}", f"{wins} of {len(self.gains)}"]) + " |"


def _spread(values: Sequence[float]) -> str:
    return f"{100 * np.mean(values):.2f} ± {100 * np.std(values, ddof=1):.2f}"


def claims(found: dict[str, Any], epochs: int, cycles: int) -> list[Claim]:
    """Every comparison that was made; `epochs` are those of a cycle."""

    def best_member(text: str, rows: list[dict[str, Any]]) -> Claim:
        return Claim(text, [max(row["members"]) for row in rows], [row["ensemble"] for row in rows])

    def averaged(text: str, epoch: int, trainings: str = "averages") -> Claim:
        last, average = zip(*(history[epoch - 1] for history in found[trainings]), strict=True)
        return Claim(f"averaged weights / the last ones, {text}", list(last), list(average))

    result = [
        best_member("three seeds together / the best of them", found["seeds"]),
        best_member("three newest snapshots together / the best of them", found["snapshots"]),
        best_member("two newest snapshots together / the best of them", found["two_snapshots"]),
    ]
    for name in VIEWS[1:]:
        one, more = ([shown[key] for shown in found["views"]] for key in ("none", name))
        result.append(Claim(f"views {name} / one view", one, more))
    result.append(averaged("constant rate", len(found["constant"][0]), "constant"))
    for cycle in range(cycles):
        result.append(averaged(f"middle of cycle {cycle + 1}", cycle * epochs + max(epochs // 2, 1)))
    for cycle in range(cycles):
        result.append(averaged(f"end of cycle {cycle + 1}", (cycle + 1) * epochs))
    return result


def table(rows: Sequence[Claim]) -> str:
    """The claims as a table in Markdown."""
    head = ["compared", "without, %", "with, %", "gain, points", "smallest gain", "gains > 0"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *(row.row() for row in rows)]) + "\n"


def draw(path: Path, found: dict[str, Any], epochs: int) -> None:
    """Four panels: seeds, snapshots, views, averages."""
    figure = new_figure(13.2, 3.7)
    panels = figure.subplots(1, 4)
    for axes, key, title, label in (
        (panels[0], "seeds", "Three seeds", "seeds"),
        (panels[1], "snapshots", "Three newest snapshots", "seed"),
    ):
        for place, row in enumerate(found[key]):
            axes.plot([place] * len(row["members"]), 100 * np.array(row["members"]), "o", color="C0", label="members")
            axes.plot(place, 100 * row["ensemble"], "D", color="C3", markersize=8, label="together")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[:2], labels[:2], frameon=False, fontsize=8)
        axes.set(title=title, xlabel=label, ylabel="test accuracy, %", xlim=(-0.5, len(found[key]) - 0.5))
        triples = ["-".join(map(str, CONSTANT[first : first + 3 : 2])) for first in range(0, len(CONSTANT), 3)]
        axes.set_xticks(range(len(found[key])), triples if key == "seeds" else list(map(str, CYCLIC)))
    for seed, shown in zip(CYCLIC, found["views"], strict=True):
        gains = [100 * (shown[name] - shown["none"]) for name in VIEWS]
        panels[2].plot(range(len(VIEWS)), gains, "o-", label=f"seed {seed}")
    panels[2].set_xticks(range(len(VIEWS)), [name.replace("-", "-\n") for name in VIEWS], fontsize=8)
    panels[2].set(title="Test-time views", ylabel="gain over one view, points")
    for seed, history in zip(CYCLIC, found["averages"], strict=True):
        gains = [100 * (average - last) for last, average in history]
        panels[3].plot(range(1, len(history) + 1), gains, "o-", label=f"seed {seed}")
    for end in range(epochs, len(found["averages"][0]) + 1, epochs):
        panels[3].axvline(end, color="#999999", linewidth=1, linestyle=":")
    panels[3].set(title="Averaged weights", xlabel="epoch (dotted: rate zero)", ylabel="gain over the last, points")
    for axes in panels[2:]:
        axes.axhline(0, color="#999999", linewidth=1)
        axes.legend(frameon=False, fontsize=8)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def publish(folder: Path, docs: Path) -> None:
    """Bring table and figure into the documents: between the marks of `ensembles.md`, and among the pictures."""
    page = docs / "ensembles.md"
    before, rest = page.read_text().split(TABLE[0])
    after = rest.split(TABLE[1])[1]
    page.write_text(before + TABLE[0] + (folder / "ensembles.md").read_text() + TABLE[1] + after)
    (docs / "pictures" / "ensembles.png").write_bytes((folder / "ensembles.png").read_bytes())


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, measure, and write table, JSON and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=tuple(SETTINGS), default="digits")
    parser.add_argument("--data-dir", help="where the files of the dataset are")
    parser.add_argument("--out", type=Path, default=Path("runs/ensembles"), help="folder of everything finished")
    parser.add_argument("--epochs", type=int, help="epochs of a cycle")
    parser.add_argument("--cycles", type=int, help="cycles of each training, at least 3; may be more the next time")
    parser.add_argument(
        "--seed", type=int, choices=(*CYCLIC, *CONSTANT), help="only train with this seed, beside other processes"
    )
    parser.add_argument("--docs", type=Path, help="folder of documents to bring table and figure into")
    parser.add_argument("--threads", type=int, help="threads of the kernels; changes no result")
    args = parser.parse_args(argv)
    if args.threads is not None:
        fastnn.set_num_threads(args.threads)
    study = Study(args.dataset, args.data_dir, args.out, args.epochs, args.cycles or CYCLES[args.dataset])
    for seed in (*CYCLIC, *CONSTANT):
        if args.seed is None or seed == args.seed:
            study.once(study.training(seed), lambda seed=seed: train(study, seed))
    if args.seed is not None:
        return
    found = measure(study)
    rows = claims(found, study.setting.epochs, study.cycles)
    text = table(rows)
    (study.folder / "ensembles.md").write_text(text)
    results = [{"claim": row.text, "without": row.without, "with": row.having, "gains": row.gains} for row in rows]
    write_json(
        study.folder / "ensembles.json", {**study.description, "cycles": study.cycles, "claims": results, **found}
    )
    draw(study.folder / "ensembles.png", found, study.setting.epochs)
    if args.docs is not None:
        publish(study.folder, args.docs)
    print(text, end="")


if __name__ == "__main__":
    main()
