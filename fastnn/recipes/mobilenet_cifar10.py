"""MobileNet on CIFAR-10."""

from .recipe import Recipe

RECIPE = Recipe(
    name="mobilenet-cifar10",
    title="MobileNetV1 of half the width on CIFAR-10",
    purpose="Depthwise and pointwise convolutions instead of full ones: few multiplications, few parameters.",
    source="network: Howard et al., MobileNets, arXiv:1704.04861, α = 0.5, for 32×32 pixels; settings of our own",
    settings={
        "dataset": "cifar10",
        "model": "mobilenet_v1_050",
        "epochs": 20,
        "batch_size": 128,
        "optimizer": "nesterov",
        "lr": 0.4,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "schedule": "onecycle",
        "augment": "standard",
        "label_smoothing": 0.1,
        "decay_norms": False,
    },
)
