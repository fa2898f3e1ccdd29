"""`fastnn predict RUN IMAGES...`: classes and probabilities of image files."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .parser import add_run_arguments, count

if TYPE_CHECKING:
    from ..train.config import DataFacts

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run_arguments(parser)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files of any size")
    parser.add_argument("--top", type=count, default=1, metavar="K", help="show the K likeliest classes")
    parser.add_argument(
        "--invert", action="store_true", help="exchange dark and light, for dark strokes on light paper"
    )


def run(args: argparse.Namespace) -> int:
    """Classify and print.

    Raises:
        ImportError: without Pillow.
        ValueError, OSError: if the run or a file is missing or damaged.
    """
    from ..autograd import Tensor
    from ..cpu import set_num_threads
    from ..train import predict
    from ..train.build import plain_transform
    from ..train.files import json_text
    from ..train.plots import softmax
    from ..train.run import load_model, load_preprocessor

    if args.threads is not None:
        set_num_threads(args.threads)
    model, config, facts = load_model(args.folder, args.checkpoint)
    pixels = np.stack([read_image(path, facts) for path in args.images])
    if args.invert:
        pixels = 255 - pixels
    batch = plain_transform(facts, load_preprocessor(args.folder, config))(pixels)
    probabilities = softmax(predict(model, Tensor(batch.transpose(0, 3, 1, 2))))
    results: list[dict[str, Any]] = []
    width = max(len(path) for path in args.images)
    for path, row in zip(args.images, probabilities, strict=True):
        best = np.argsort(-row, kind="stable")[: args.top]
        ranked = [{"class": facts.classes[i], "probability": float(row[i])} for i in best]
        results.append({"image": path, **ranked[0], "top": ranked})
        print(f"{path:{width}}  " + ", ".join(f"{e['class']} {100 * e['probability']:.1f} %" for e in ranked))
    if args.json:
        print(json_text({"run": args.folder, "predictions": results}))
    return 0


def read_image(path: str, facts: DataFacts) -> npt.NDArray[np.uint8]:
    """An image file as the network wants it: scaled to cover the images' size, cut to it, grey or in colour.

    Shape:
        -> (facts.height, facts.width, facts.channels)

    Raises:
        ImportError: without Pillow.
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an image.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install fastnn[images]") from None
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("L" if facts.channels == 1 else "RGB")
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image: {error}") from error
    fitted = ImageOps.fit(upright, (facts.width, facts.height), Image.Resampling.BILINEAR)
    pixels: npt.NDArray[np.uint8] = np.asarray(fitted, np.uint8).reshape(facts.height, facts.width, facts.channels)
    return pixels
