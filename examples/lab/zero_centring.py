"""Why inputs are centred: all-positive inputs tie the signs of a neuron's gradients, and stretch the bowl of the loss.

Lecture: lecture 6, "Training neural networks I", "Not zero-centered output": if all inputs are positive, the gradient
of one example with respect to a neuron's weights is all positive or all negative, so that updates go only to particular
directions and zig-zag; "Why zero-centering?": classification becomes less sensitive to small changes in weights, and
easier to optimise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLACK, BLUE, ORANGE, Finding, main

import fastnn
from fastnn import data, diagnose, nn, optim, transforms
from fastnn.nn import functional as F

COLOURS = {"all positive": ORANGE, "centred": BLUE}
UPDATES, DIGIT_STEPS = 60, 200


@dataclass(frozen=True)
class ZeroCentring(Finding):
    """Three experiments, each with all-positive and with centred inputs.

    Attributes:
        paths: (updates + 1, 2), the two weights of a neuron that learns from one example at a time.
        agree: the share of updates that move both weights the same way.
        detour: length of the path / distance between its ends.
        losses: of a linear classifier of digits, by step of gradient descent on all of them at the rate 1 / λ.
        largest: λ, the largest eigenvalue of that loss's Hessian at the start.
        noise: standard deviations of changes of a separating line's weights, as shares of their length.
        right: the share of points still on the right side of the line, for each.
    """

    size = (13.0, 4.4)

    paths: dict[str, np.ndarray]
    agree: dict[str, float]
    detour: dict[str, float]
    losses: dict[str, list[float]]
    largest: dict[str, float]
    noise: list[float]
    right: dict[str, list[float]]

    def reached(self, kind: str) -> int:
        """The first step at which the centred inputs' loss is as low as the positive ones' at the end."""
        return int(np.argmax(np.array(self.losses[kind]) <= self.losses["all positive"][-1]))

    def claims(self) -> dict[str, bool]:
        tied, free = self.agree["all positive"], self.agree["centred"]
        slow, fast = self.detour["all positive"], self.detour["centred"]
        steps, early = len(self.losses["all positive"]) - 1, self.reached("centred")
        far, near = self.right["all positive"][-1], self.right["centred"][-1]
        curvature = self.largest["all positive"] / self.largest["centred"]
        return {
            f"positive inputs: {tied:.0%} of updates move both weights the same way; centred: {free:.0%}": (
                tied == 1.0 and 0.3 < free < 0.7
            ),
            f"the path is {slow:.1f} times as long as its ends are apart; centred: {fast:.1f} times": slow > 1.5 * fast,
            f"the Hessian's largest eigenvalue is {curvature:.1f} times as large for positive inputs": curvature > 2,
            f"their loss after {steps} steps is reached after {early} with centred inputs": 0 < early < 0.6 * steps,
            f"changing weights by {self.noise[-1]:.0%} leaves {far:.0%} of points right; centred: {near:.0%}": (
                near > far + 0.1
            ),
        }

    def draw(self, figure: Any) -> None:
        path, loss, change = figure.subplots(1, 3)
        for kind, colour in COLOURS.items():
            label = f"{kind}: {self.agree[kind]:.0%} of updates\nmove both the same way"
            path.plot(*self.paths[kind].T, ".-", color=colour, markersize=4, linewidth=1.0, label=label)
            label = f"{kind}: λ = {self.largest[kind]:.2g}"
            loss.semilogy(self.losses[kind], color=colour, label=label)
            change.plot(
                100 * np.array(self.noise),
                100 * np.array(self.right[kind]),
                "o-",
                color=colour,
                markersize=5,
                label=kind,
            )
        path.plot(0, 0, "o", color=BLACK, markersize=6)
        path.set(xlabel="first weight", ylabel="second weight", aspect="equal", adjustable="datalim")
        path.set_title("One neuron, one example at a time")
        path.legend(loc="upper right")
        early, steps = self.reached("centred"), len(self.losses["centred"]) - 1
        loss.hlines(self.losses["all positive"][-1], early, steps, color=BLACK, linestyle=":", linewidth=1.2)
        loss.set(xlabel="step of gradient descent, rate 1 / λ", ylabel="loss")
        loss.set_title(f"Digits, linear classifier: {steps} steps against {early}")
        loss.legend()
        change.set(xlabel="change of the weights, per cent", ylabel="points right, per cent")
        change.set_title("A separating line that is changed a little")
        change.legend()


def neuron(centred: bool) -> tuple[np.ndarray, float, float]:
    """A neuron with two weights and no bias learns which of two positive inputs is the larger, example by example."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 1.0, (UPDATES, 2))
    y = (x[:, 0] > x[:, 1]).astype(np.float32)
    weight = nn.Parameter(np.zeros(2, np.float32))
    optimizer = optim.SGD([weight], lr=3.0)
    points = [weight.detach().numpy().copy()]
    for row, target in zip((x - 0.5 if centred else x).astype(np.float32), y):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits((weight * fastnn.tensor(row)).sum(), fastnn.tensor(target)).backward()
        optimizer.step()
        points.append(weight.detach().numpy().copy())
    path = np.array(points)
    moves = np.diff(path, axis=0)
    distance = float(np.linalg.norm(path[-1] - path[0]))
    return path, float((moves[:, 0] * moves[:, 1] > 0).mean()), float(np.linalg.norm(moves, axis=1).sum()) / distance


def digits(centred: bool) -> tuple[list[float], float]:
    """Gradient descent for a linear classifier, whose inputs are shifted to mean 0 or left between 0 and 1 / 0.37."""
    fastnn.manual_seed(0)
    train, _ = data.load("digits")
    normalize = transforms.Normalize(0.3 if centred else 0.0, 0.37)
    batch = next(iter(data.DataLoader(train, len(train), transform=normalize)))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    largest = diagnose.hessian_spectrum(model, [batch], nn.CrossEntropyLoss()).eigenvalues[0]
    optimizer = optim.SGD(model.parameters(), lr=1 / largest)
    losses = []
    for _ in range(DIGIT_STEPS + 1):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, largest


def sensitivity(centred: bool, noise: list[float], draws: int) -> list[float]:
    """Two clouds of points, the line between their means, and how many points it parts when its weights change."""
    rng = np.random.default_rng(0)
    sides = np.repeat([-1.0, 1.0], 200)
    x = rng.standard_normal((400, 2)) + 2.0 * sides[:, None] * [1.0, -1.0] + (0.0 if centred else 10.0)
    means = x[sides < 0].mean(axis=0), x[sides > 0].mean(axis=0)
    weights = means[1] - means[0]
    bias = -float(weights @ (means[0] + means[1])) / 2
    length = float(np.linalg.norm(weights))
    changes = length * rng.standard_normal((draws, 2))
    return [
        float(np.mean([np.sign(x @ (weights + share * change) + bias) == sides for change in changes]))
        for share in noise
    ]


def measure(quick: bool = False) -> ZeroCentring:
    """All three experiments, both ways."""
    kinds = {"all positive": False, "centred": True}
    neurons = {kind: neuron(centred) for kind, centred in kinds.items()}
    classifiers = {kind: digits(centred) for kind, centred in kinds.items()}
    noise = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]
    return ZeroCentring(
        {kind: found[0] for kind, found in neurons.items()},
        {kind: found[1] for kind, found in neurons.items()},
        {kind: found[2] for kind, found in neurons.items()},
        {kind: found[0] for kind, found in classifiers.items()},
        {kind: found[1] for kind, found in classifiers.items()},
        noise,
        {kind: sensitivity(centred, noise, 100 if quick else 1000) for kind, centred in kinds.items()},
    )


if __name__ == "__main__":
    main(measure)
