"""LeNet-5 on MNIST."""

from .recipe import Recipe

RECIPE = Recipe(
    name="lenet5-mnist",
    title="LeNet-5 on MNIST",
    purpose="The network that began it all, trained as one would today, in a fraction of a minute.",
    source="network: LeCun, Bottou, Bengio, Haffner 1998; settings of our own",
    published="0.95 % errors, that is 99.05 % (LeCun et al. 1998, without distortions)",
    settings={
        "dataset": "mnist",
        "model": "lenet5",
        "epochs": 8,
        "batch_size": 64,
        "optimizer": "nesterov",
        "lr": 0.05,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "onecycle",
        "augment": "none",
    },
)
