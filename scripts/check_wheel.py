"""Checks what is in a wheel: python scripts/check_wheel.py dist/*.whl."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

LIMIT = 5_000_000
ZOO_LIMIT = 400_000
NEEDED = [
    r"fastnn/_C\..+\.(so|pyd)",
    r"fastnn/_C\.pyi",
    r"fastnn/py\.typed",
    r"fastnn/autograd/methods\.pyi",
    r"fastnn/data/embedded/digits\.bin",
    r"fastnn/models/zoo/weights/digits\.(json|safetensors)",
    r"fastnn-.+\.dist-info/licenses/LICENSE",
    r"fastnn-.+\.dist-info/entry_points\.txt",
]
UNWANTED = r"(csrc|tests|docs|scripts|build)/|.*\.(c|h|def|pyx|pxi|o|a)$|.*__pycache__/"


def faults(wheel: Path) -> list[str]:
    """What is wrong with a wheel, one line each."""
    entries = {entry.filename: entry.file_size for entry in zipfile.ZipFile(wheel).infolist()}
    names = list(entries)
    found = [f"lacks {pattern}" for pattern in NEEDED if not any(re.fullmatch(pattern, name) for name in names)]
    found += [f"contains {name}" for name in names if re.match(UNWANTED, name)]
    zoo = [name for name in names if name.startswith("fastnn/models/zoo/weights/")]
    found += [
        f"has {name} without its card"
        for name in zoo
        if name.endswith(".safetensors") and name.removesuffix(".safetensors") + ".json" not in names
    ]
    if sum(entries[name] for name in zoo) > ZOO_LIMIT:
        found.append(f"has {sum(entries[name] for name in zoo):,} bytes of trained weights, more than {ZOO_LIMIT:,}")
    if wheel.stat().st_size > LIMIT:
        found.append(f"has {wheel.stat().st_size / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f}")
    return found


def main(arguments: list[str]) -> int:
    """Print the faults of every wheel; 1 if there are any, or no wheels."""
    wheels = [Path(argument) for argument in arguments]
    for wheel in wheels:
        lines = faults(wheel) or [f"{wheel.stat().st_size / 1e6:.1f} MB, complete"]
        print(*(f"{wheel.name}: {line}" for line in lines), sep="\n")
    return 0 if wheels and not any(faults(wheel) for wheel in wheels) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
