"""`fastnn predict RUN IMAGES...`: classes and probabilities of image files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .parser import add_prediction_arguments, count

if TYPE_CHECKING:
    from ..train.config import DataFacts

__all__ = ["add_arguments", "run"]

_BATCH = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", metavar="RUN", help="folder of a training run, or a name in the zoo")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files of any size, or folders of such")
    parser.add_argument(
        "--with", dest="others", action="append", default=[], metavar="RUN", help="another run, for an ensemble"
    )
    add_prediction_arguments(parser)
    parser.add_argument("--top", type=count, default=1, metavar="K", help="show the K likeliest classes")
    parser.add_argument(
        "--invert", action="store_true", help="exchange dark and light, for dark strokes on light paper"
    )


def run(args: argparse.Namespace) -> int:
    """Classify and print.

    Raises:
        ImportError: without Pillow.
        ValueError, OSError: if a run or a file is missing or damaged, or the runs do not suit each other.
    """
    from ..cpu import set_num_threads
    from ..ensemble.runs import as_tensor, average_members, load_members
    from ..train import Predictor
    from ..train.files import json_text
    from ..transforms import view_set

    if args.threads is not None:
        set_num_threads(args.threads)
    runs = [args.folder, *args.others]
    members = load_members(runs, args.checkpoint, args.snapshots)
    paths = list(image_files(args.images))
    if args.average:
        members = [average_members(members, args.data_dir)]
    facts = members[0].facts
    views = view_set(args.views, (facts.height, facts.width))
    predictor = Predictor([member.model for member in members], combine=args.combine, views=views)
    results: list[dict[str, Any]] = []
    width = max(len(path) for path in paths)
    for start in range(0, len(paths), _BATCH):
        some = paths[start : start + _BATCH]
        pixels = np.stack([read_image(path, facts) for path in some])
        probabilities = predictor.probabilities(as_tensor(255 - pixels if args.invert else pixels))
        for path, row in zip(some, probabilities, strict=True):
            best = np.argsort(-row, kind="stable")[: args.top]
            ranked = [{"class": facts.classes[i], "probability": float(row[i])} for i in best]
            results.append({"image": path, **ranked[0], "top": ranked})
            print(f"{path:{width}}  " + ", ".join(f"{e['class']} {100 * e['probability']:.1f} %" for e in ranked))
    if args.json:
        print(json_text({"runs": runs, "views": args.views, "combine": args.combine, "predictions": results}))
    return 0


def image_files(paths: Sequence[str]) -> Iterator[str]:
    """The files among the paths, and the JPEG and PNG files at any depth in the folders among them, sorted.

    Raises:
        FileNotFoundError: if a folder holds none.
    """
    from ..data.folder import SUFFIXES

    for path in paths:
        if not Path(path).is_dir():
            yield path
            continue
        found = sorted(str(each) for each in Path(path).rglob("*") if each.suffix.lower() in SUFFIXES)
        if not found:
            raise FileNotFoundError(f"there is no {', '.join(sorted(SUFFIXES))} file in {path}")
        yield from found


def read_image(path: str, facts: DataFacts) -> npt.NDArray[np.uint8]:
    """An image file as the network wants it: scaled to cover the images' size, cut to it, grey or in colour.

    Shape:
        -> (facts.height, facts.width, facts.channels)

    Raises:
        ImportError: without Pillow.
        FileNotFoundError: if there is no such file.
        ValueError: if it is not an image.
    """
    from ..data.folder import EIGHT_BIT_MODES

    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError("reading images needs Pillow: pip install fastnn[images]") from None
    try:
        with Image.open(path) as image:
            if image.mode not in EIGHT_BIT_MODES:
                raise ValueError(f"{path} has pixels of mode {image.mode}, not of 8 bits")
            upright = ImageOps.exif_transpose(image).convert("L" if facts.channels == 1 else "RGB")
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image: {error}") from error
    fitted = ImageOps.fit(upright, (facts.width, facts.height), Image.Resampling.BILINEAR)
    pixels: npt.NDArray[np.uint8] = np.asarray(fitted, np.uint8).reshape(facts.height, facts.width, facts.channels)
    return pixels
