"""ResNet-8 on CIFAR-10."""

from .recipe import Recipe

RECIPE = Recipe(
    name="resnet8-cifar10",
    title="ResNet-8 on CIFAR-10",
    purpose="A small residual network in a few minutes, to try things out.",
    source="network: He et al. 2016 with one block a stage; settings of our own",
    settings={
        "dataset": "cifar10",
        "model": "resnet8",
        "epochs": 10,
        "batch_size": 128,
        "optimizer": "nesterov",
        "lr": 0.4,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "onecycle",
        "augment": "standard",
    },
)
