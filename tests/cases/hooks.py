"""The identity that shows gradients to a module's backward hooks."""

import fastnn.nn  # noqa: F401 - registers the operation
from tests.cases import OpCase, normal

CASES = [
    OpCase(
        "tap",
        "tap",
        lambda rng, dtype: (
            (normal(rng, 2, 3, dtype=dtype), normal(rng, 4, dtype=dtype)),
            {"watcher": lambda grads: grads},
        ),
        lambda *arrays, watcher: arrays,
        linear=(0, 1),
        batch=(0, 1),
        kernel=False,
    )
]
