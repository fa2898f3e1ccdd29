"""The embedded digits in seconds."""

from .recipe import Recipe

RECIPE = Recipe(
    name="digits",
    title="two-stage CNN on the embedded 8×8 digits",
    purpose="To see everything work, in seconds and without any data: what `fastnn train` does by default.",
    source="settings of our own",
    settings={
        "dataset": "digits",
        "model": "digits",
        "epochs": 12,
        "batch_size": 32,
        "optimizer": "nesterov",
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "onecycle",
        "augment": "none",
        "label_smoothing": 0.1,
    },
)
