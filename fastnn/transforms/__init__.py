"""Augmentation and preprocessing of whole batches of images, named and defined as torchvision's transforms.

Images are uint8 (N, H, W, C), as datasets have them; a training transform ends with `Normalize`, which makes
float32 of them. `Compose` carries out as many transforms as it can in one pass of one C kernel.

Example:
    >>> import numpy as np
    >>> from fastnn import transforms
    >>> train = transforms.Compose([
    ...     transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
    ...     transforms.RandomHorizontalFlip(),
    ...     transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)),
    ...     transforms.Cutout(16),
    ... ])
    >>> x = train(np.zeros((64, 32, 32, 3), np.uint8))
    >>> x.shape, x.dtype.name
    ((64, 32, 32, 3), 'float32')
"""

from .affine import Affine, RandomAffine, RandomRotation, RandomStretch
from .base import Transform
from .color import ColorJitter, Grayscale, RandomGrayscale, RandomPCAColor
from .compose import Compose
from .convert import Normalize, ToFloat
from .erase import Cutout, RandomErasing
from .filters import Filter, GaussianBlur, GaussianNoise, RandomAdjustSharpness
from .geometry import AlternatingFlip, CenterCrop, Pad, RandomCrop, RandomHorizontalFlip, RandomVerticalFlip
from .mix import CutMix, Mixture, MixUp
from .presets import AUGMENTATIONS, VIEWS, augmentation, from_description, view_set
from .randaugment import RandAugment, RandomApply
from .resize import RandomResizedCrop, Resize
from .values import RandomAutocontrast, RandomEqualize, RandomInvert, RandomPosterize, RandomSolarize
from .views import ComposeViews, FiveCrop, FlipViews, TenCrop, TranslateViews, Views

__all__ = [
    "AUGMENTATIONS",
    "VIEWS",
    "Affine",
    "AlternatingFlip",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ComposeViews",
    "CutMix",
    "Cutout",
    "Filter",
    "FiveCrop",
    "FlipViews",
    "GaussianBlur",
    "GaussianNoise",
    "Grayscale",
    "MixUp",
    "Mixture",
    "Normalize",
    "Pad",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomPCAColor",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomStretch",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToFloat",
    "Transform",
    "TranslateViews",
    "Views",
    "augmentation",
    "from_description",
    "view_set",
]
