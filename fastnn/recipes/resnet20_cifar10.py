"""ResNet-20 on CIFAR-10."""

from .recipe import Recipe

RECIPE = Recipe(
    name="resnet20-cifar10",
    title="ResNet-20 on CIFAR-10",
    purpose="The residual network of the paper, in a fifth of its steps.",
    source=(
        "network: He, Zhang, Ren, Sun, arXiv:1512.03385, section 4.2; schedule: Smith, Topin, arXiv:1708.07120; the "
        "other settings are ours"
    ),
    published="8.75 % errors, that is 91.25 %, after 64,000 steps on the original pixels (He et al. 2016)",
    settings={
        "dataset": "cifar10",
        "model": "resnet20",
        "epochs": 30,
        "batch_size": 128,
        "optimizer": "nesterov",
        "lr": 0.4,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "onecycle",
        "augment": "standard",
        "label_smoothing": 0.1,
    },
)
