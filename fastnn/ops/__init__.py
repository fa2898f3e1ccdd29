"""Operations on Tensors, one module per family."""

import importlib
import importlib.util

FAMILIES = (
    "elementwise", "reduce", "shape", "index",
    "linear", "conv", "pool", "norm", "activation", "loss", "dropout",
)  # fmt: skip

for _family in FAMILIES:
    if importlib.util.find_spec(f"{__name__}.{_family}") is not None:
        importlib.import_module(f"{__name__}.{_family}")
