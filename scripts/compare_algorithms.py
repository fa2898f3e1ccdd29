"""Train the same network with two convolution algorithms from several seeds: are the accuracies the same?

    python scripts/compare_algorithms.py --data-dir DIR [--epochs 5] [--seeds 0 1 2] [--out runs/algorithms]

Winograd's products round differently from direct ones. What that does to a training is judged against what another
seed does: the mean difference between the algorithms, seed by seed, beside the spread over the seeds. Finished
trainings are kept in the folder and not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from fastnn import backends
from fastnn.train import Config, Run

ALGORITHMS = ("winograd", "direct")


def accuracy(args: argparse.Namespace, algorithm: str, seed: int) -> float:
    """Test accuracy in percent of one training, from its folder if it is finished."""
    folder = Path(args.out) / f"{args.model}-{args.epochs}-{algorithm}-{seed}"
    result = folder / "result.json"
    if not result.exists():
        backends.conv.algorithm = algorithm
        if (folder / "config.json").exists():
            run = Run.resume(folder)
        else:
            config = Config.create(
                "cifar10", data_dir=args.data_dir, seed=seed, model=args.model, epochs=args.epochs, batch_size=128
            )
            run = Run(config, folder)
        run.fit(quiet=False)
    return 100.0 * float(json.loads(result.read_text())["test_accuracy"])


def main() -> None:
    """Train, and print one line per algorithm and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", default="runs/algorithms")
    args = parser.parse_args()
    found = {name: [] for name in ALGORITHMS}
    for seed in args.seeds:
        for name in ALGORITHMS:
            found[name].append(accuracy(args, name, seed))
    for name, values in found.items():
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        listed = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:9} {statistics.mean(values):.2f} ± {spread:.2f} % ({listed})")
    pairs = [a - b for a, b in zip(*found.values(), strict=True)]
    difference, spread = statistics.mean(pairs), statistics.stdev(pairs) if len(pairs) > 1 else float("nan")
    print(f"{' - '.join(ALGORITHMS)}: {difference:+.2f} ± {spread:.2f} points, seed by seed")
    print(json.dumps({"accuracies": found, "differences": pairs}))


if __name__ == "__main__":
    main()
