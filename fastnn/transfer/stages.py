"""The parts of a network from its input to its output: what is frozen, unfrozen and given learning rates by depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..nn import Buffer, Module, Parameter

__all__ = ["Depth", "Stage", "layers", "parts", "running_norms", "stages"]

Depth: TypeAlias = Literal["stage", "layer"]
_FEWEST = 3


@dataclass(frozen=True)
class Stage:
    """Consecutive modules of a network that belong together.

    Attributes:
        name: dotted name of the first module.
        modules: the modules by dotted name, in order; those below them are not listed.
        own: parameters of a module around them that are no module's below it, by dotted name.
    """

    name: str
    modules: tuple[tuple[str, Module], ...]
    own: tuple[tuple[str, Parameter], ...] = ()

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        """The parameters with their names in the whole network; one that is shared appears once."""
        found: dict[int, tuple[str, Parameter]] = {}
        for path, module in self.modules:
            for name, parameter in module.named_parameters(path):
                found.setdefault(id(parameter), (name, parameter))
        for name, parameter in self.own:
            found.setdefault(id(parameter), (name, parameter))
        return list(found.values())


def running_norms(module: Module) -> list[Module]:
    """The normalisations with running statistics in a module, itself included."""
    return [each for each in module.modules() if isinstance(getattr(each, "running_mean", None), Buffer)]


def layers(model: Module) -> list[Stage]:
    """The layers with parameters, in the order of their assignment, each with the normalisation that follows it.

    Parameters of a module that holds layers belong to the last of these.

    Args:
        model: the network.

    Raises:
        ValueError: if the network has no parameters.

    Example:
        >>> from fastnn import models
        >>> [layer.name for layer in layers(models.create("resnet8"))][:4]
        ['conv1', 'layer1.0.conv1', 'layer1.0.conv2', 'layer2.0.conv1']
    """
    inner = [(name, module) for name, module in model.named_modules() if not _opens(module)]
    around = [(name, module) for name, module in model.named_modules() if _opens(module)]
    return _joined("layers", inner, around)


def stages(model: Module) -> list[Stage]:
    """The network's children with parameters, in the order of their assignment: input layer, stages of blocks, head.

    A normalisation belongs to what stands before it, a parameter of the network itself to the last stage. Where there
    are fewer than three children, those that hold other modules are replaced by their own children, so that a network
    wrapped in a module has the stages of the network.

    Args:
        model: the network.

    Raises:
        ValueError: if the network has no parameters.

    Example:
        >>> from fastnn import models
        >>> [stage.name for stage in stages(models.create("resnet8"))]
        ['conv1', 'layer1', 'layer2', 'layer3', 'fc']
    """
    children = [("", model)]
    around: list[tuple[str, Module]] = []
    found = _joined("stages", children, around)
    while len(found) < _FEWEST and any(_opens(module) for _, module in children):
        around += [child for child in children if _opens(child[1])]
        children = [inner for child in children for inner in (_children(*child) if _opens(child[1]) else [child])]
        found = _joined("stages", children, around)
    return found


def parts(model: Module, by: Depth) -> list[Stage]:
    """`stages` or `layers`.

    Raises:
        ValueError: for another `by`.
    """
    if by not in ("stage", "layer"):
        raise ValueError(f"expected by to be 'stage' or 'layer', got {by!r}")
    return stages(model) if by == "stage" else layers(model)


def _has_parameters(module: Module) -> bool:
    return next(module.parameters(), None) is not None


def _opens(module: Module) -> bool:
    """Whether children of a module have parameters, so that they can stand in its place."""
    return any(_has_parameters(child) for child in module.children())


def _children(path: str, module: Module) -> list[tuple[str, Module]]:
    return [(_dotted(path, name), child) for name, child in module.named_children()]


def _dotted(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _joined(owner: str, modules: Sequence[tuple[str, Module]], around: Sequence[tuple[str, Module]]) -> list[Stage]:
    """Stages of those modules that have parameters, with the normalisations behind them.

    Parameters of the modules `around` them go to the last stage within each.
    """
    groups: list[list[tuple[str, Module]]] = []
    for name, module in modules:
        norm = running_norms(module) == [module]
        if norm and groups:
            groups[-1].append((name, module))
        elif _has_parameters(module):
            groups.append([(name, module)])
    if not groups:
        raise ValueError(f"{owner}: expected a network with parameters, got one without")
    own: list[list[tuple[str, Parameter]]] = [[] for _ in groups]
    for path, module in around:
        within = [i for i, group in enumerate(groups) if group[0][0].startswith(path + "." if path else "")]
        own[within[-1]] += module.named_parameters(path, recurse=False)
    return [Stage(group[0][0], tuple(group), tuple(extra)) for group, extra in zip(groups, own, strict=True)]
