"""A small convolutional network on MNIST."""

from .recipe import Recipe

RECIPE = Recipe(
    name="small-cnn-mnist",
    title="small CNN on MNIST",
    purpose="Three stages of convolution, batch norm and ReLU: 99.5 % in a few minutes.",
    source="settings of our own; averaging of the weights: Polyak, Juditsky 1992",
    settings={
        "dataset": "mnist",
        "model": "small",
        "epochs": 20,
        "batch_size": 128,
        "optimizer": "nesterov",
        "lr": 0.2,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "onecycle",
        "augment": "affine",
        "label_smoothing": 0.05,
        "averaging": "ema",
        "averaging_decay": 0.998,
    },
)
