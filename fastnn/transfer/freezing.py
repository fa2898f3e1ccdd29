"""Which parameters are trained: frozen ones want no gradient, and their batch norms stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from ..nn import Module, Parameter
from .stages import Depth, parts, running_norms

__all__ = ["freeze", "is_frozen", "set_frozen", "unfreeze"]


def freeze(
    model: Module, *patterns: str, first: int | None = None, by: Depth = "stage", norms: bool = True
) -> list[str]:
    """Stop training some parameters, by name or by depth; without either, all of them.

    A frozen parameter wants no gradient. Where nothing below an operation wants one either, the operation is not
    recorded, so a frozen beginning of a network costs no backward pass. An optimiser passes frozen parameters over,
    weight decay included; it may hold them, so that they can be unfrozen later.

    Args:
        model: the network.
        *patterns: names of modules, which stand for all below them, or of parameters; `*`, `?` and `[...]` match as in
            file names, a dot too.
        first: freeze so many stages from the input on; -1 means all but the last.
        by: what `first` counts: a "stage" (see `stages`) or a "layer" (see `layers`).
        norms: whether batch norms of which all is frozen also stay in evaluation mode, `model.train()` or not: their
            running statistics are used, and do not change.

    Returns:
        The names of the parameters that were frozen by this call.

    Raises:
        ValueError: if a pattern matches nothing, or `first` and patterns are both given.

    Example:
        >>> from fastnn import models
        >>> model = models.create("resnet8")
        >>> len(freeze(model)), len(unfreeze(model, "fc", "layer3")), is_frozen(model.layer2)
        (23, 8, True)
        >>> model.train().bn1.training, model.layer3[0].bn1.training
        (False, True)
    """
    chosen = _chosen("freeze", model, patterns, None if first is None else slice(None, first), by)
    changed = [name for name, parameter in chosen if parameter.requires_grad]
    set_frozen(model, (parameter for _, parameter in chosen), True, norms)
    return changed


def unfreeze(model: Module, *patterns: str, last: int | None = None, by: Depth = "stage") -> list[str]:
    """Train some parameters again, by name or by depth; without either, all of them.

    Batch norms with an unfrozen parameter go back to training mode when `model.train()` is called next.

    Args:
        model: the network.
        *patterns: as for `freeze`.
        last: unfreeze so many stages before the output.
        by: what `last` counts.

    Returns:
        The names of the parameters that were unfrozen by this call.

    Raises:
        ValueError: if a pattern matches nothing, or `last` and patterns are both given.
    """
    chosen = _chosen("unfreeze", model, patterns, None if last is None else _end(last), by)
    changed = [name for name, parameter in chosen if not parameter.requires_grad]
    set_frozen(model, (parameter for _, parameter in chosen), False)
    return changed


def is_frozen(module: Module) -> bool:
    """Whether a module has parameters, and none of them is trained."""
    wanted = [parameter.requires_grad for parameter in module.parameters()]
    return bool(wanted) and not any(wanted)


def set_frozen(model: Module, parameters: Iterable[Parameter], frozen: bool, norms: bool = True) -> None:
    """Freeze or unfreeze parameters, and let the batch norms among them stay in evaluation mode while all is frozen.

    A batch norm without parameters goes with the layer before it.
    """
    touched = set()
    for parameter in parameters:
        touched.add(id(parameter))
        parameter.requires_grad_(not frozen)
        if frozen:
            parameter.grad = None
    owned = list(model.parameters())
    for module in model.modules():
        owned = list(module.parameters(recurse=False)) or owned
        if module in running_norms(module) and any(id(parameter) in touched for parameter in owned):
            module.eval_only = frozen and norms and not any(parameter.requires_grad for parameter in owned)
            module.training = module.training and not module.eval_only


def _end(last: int) -> slice:
    """The slice of the last parts, of none if there are 0."""
    return slice(-last, None) if last else slice(0, 0)


def _chosen(
    owner: str, model: Module, patterns: tuple[str, ...], which: slice | None, by: Depth
) -> list[tuple[str, Parameter]]:
    """The parameters that patterns or a slice of the parts stand for."""
    if which is not None:
        if patterns:
            raise ValueError(f"{owner}: expected names or a number of {by}s, got both")
        return [pair for part in parts(model, by)[which] for pair in part.named_parameters()]
    everything = list(model.named_parameters())
    if not patterns:
        return everything
    for pattern in patterns:
        if not any(_matches(name, pattern) for name, _ in everything):
            known = [name for name, child in model.named_children() if next(child.parameters(), None) is not None]
            raise ValueError(
                f"{owner}: {pattern!r} is no parameter and no module with parameters; modules are {', '.join(known)}"
            )
    return [(name, p) for name, p in everything if any(_matches(name, pattern) for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    """Whether a parameter's name, or that of a module above it, is one of a pattern."""
    words = name.split(".")
    return any(fnmatchcase(".".join(words[:length]), pattern) for length in range(1, len(words) + 1))
