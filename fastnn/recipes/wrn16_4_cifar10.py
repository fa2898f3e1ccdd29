"""WRN-16-4 on CIFAR-10."""

from .recipe import Recipe

RECIPE = Recipe(
    name="wrn16-4-cifar10",
    title="WRN-16-4 on CIFAR-10",
    purpose="A wide residual network in few epochs: wide and shallow suits a processor better than thin and deep.",
    source="network: Zagoruyko, Komodakis, arXiv:1605.07146; schedule: Smith, Topin, arXiv:1708.07120; rest of our own",
    settings={
        "dataset": "cifar10",
        "model": "wrn_16_4",
        "epochs": 6,
        "batch_size": 128,
        "optimizer": "nesterov",
        "lr": 0.2,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "onecycle",
        "augment": "standard",
        "label_smoothing": 0.1,
    },
)
