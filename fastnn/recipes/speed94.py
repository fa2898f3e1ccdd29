"""The speed network on CIFAR-10: 94 % in 9.9 epochs on the original pixels.

The source adds the losses of a batch of B = 1024 images up, we take their mean, so the rates are translated:

- Its rate is 11.5 per 1024 images. It divides that by 1 + 1 / (1 - 0.85) = 7.667, about the factor by which momentum
  lengthens a step, so that the number means the same with any momentum: 11.5 / 7.667 = 1.5. The sum over 1024 images at
  the rate 1.5 / 1024 is our mean at the rate 1.5.
- Its weight decay is 0.0153 per 1024 images, divided likewise: at the highest rate a gradient step shrinks the weights
  by the share 0.0153 / 7.667. Ours adds λ w to the gradient and so shrinks them by lr λ: λ = 0.0153 / 11.5.
- Biases of batch norm learn 64 times as fast and shrink no faster, which is what `bias_lr_factor` means. Batch norm has
  no scale that learns.

For another batch size B the source multiplies its rate by B / 1024; do the same with lr, λ stays.
"""

from .recipe import Recipe

_STEPS_PER_GRADIENT = 1 + 1 / (1 - 0.85)

RECIPE = Recipe(
    name="speed94",
    aliases=("speed94-cifar10",),
    title="the 94 % speed network on CIFAR-10",
    purpose=(
        "The most accuracy for the time: 2×2 patch whitening, three groups of wide convolutions, and every trick that "
        "shortens the training."
    ),
    source='Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, the variant airbench94',
    published="94 % with six views, on the original pixels (arXiv:2404.00498)",
    settings={
        "dataset": "cifar10",
        "model": "speed94",
        "epochs": 9.9,
        "batch_size": 1024,
        "drop_last": True,
        "optimizer": "nesterov",
        "lr": round(11.5 / _STEPS_PER_GRADIENT, 9),
        "momentum": 0.85,
        "weight_decay": 0.0153 / 11.5,
        "bias_lr_factor": 64.0,
        "label_smoothing": 0.2,
        "schedule": "triangle",
        "warm_up": 0.23,
        "lr_start": 0.2,
        "lr_end": 0.07,
        "augment": "alternate-shift",
        "freeze": ("0.bias@3",),
        "averaging": "lookahead",
        "averaging_decay": 0.95,
        "views": "flip-translate",
    },
)
