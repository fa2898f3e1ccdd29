"""The tape and the walk back over it.

Every recorded operation is a `Node`. A node knows where the gradients of its inputs go (`edges`) and holds
the operation's backward closure; what that closure captured is all that is saved. `backward_pass` visits
the nodes from the youngest to the oldest, so each one runs once, after all of its consumers.

An *edge* is one of: a `Tensor` (a leaf: the gradient is accumulated in `.grad`), a `Node` (the producer of
a single output), an `Output` (one of several outputs of a producer), or None (no gradient wanted).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .dtype import Array, DType
from .mode import no_grad
from .reuse import ADDED, Deferred, Memory, Reuse, Slots, sole_owner
from .saved import Version, check_unchanged

if TYPE_CHECKING:
    from .tensor import Tensor

Needs: TypeAlias = tuple[bool, ...]
Grads: TypeAlias = "Sequence[Array | Deferred | None]"
Backward: TypeAlias = Callable[..., Sequence[Any]]
Hook: TypeAlias = "Callable[[Tensor], Tensor | None]"
Edge: TypeAlias = "Tensor | Node | Output | None"

_sequence = count()
next_sequence = _sequence.__next__
_ndarray = np.ndarray


class Node:
    """One recorded operation.

    Attributes:
        name: the operation's name.
        sequence: creation number; consumers always have larger ones than producers.
        backward: the operation's closure, None once it has run and been freed.
        edges: where each input's gradient goes.
        shapes: the output's shape, or a list of them if the operation has several outputs.
        dtypes: likewise the output's dtype, or a list of them.
        versions: those of the tensors involved, with which the closure must not have captured changed memory.
        hooks: functions to call on the gradient of an output, by output number, before `backward` runs.
    """

    __slots__ = ("__weakref__", "backward", "dtypes", "edges", "hooks", "name", "sequence", "shapes", "versions")

    def __init__(
        self,
        name: str,
        backward: Backward,
        edges: Sequence[Edge],
        versions: Sequence[Version],
        shapes: tuple[int, ...] | list[tuple[int, ...]],
        dtypes: DType | list[DType],
    ) -> None:
        self.name = name
        self.sequence = next(_sequence)
        self.backward: Backward | None = backward
        self.edges = edges
        self.versions = versions
        self.shapes = shapes
        self.dtypes = dtypes
        self.hooks: dict[int, dict[int, Hook]] | None = None

    @property
    def next_functions(self) -> tuple[Edge, ...]:
        """The edges this node passes gradients to: nodes, or the leaf tensors themselves."""
        return tuple(edge.node if isinstance(edge, Output) else edge for edge in self.edges)

    def __repr__(self) -> str:
        return f"<{self.name.title().replace('_', '')}Backward>"


class Output(NamedTuple):
    """The edge to output `number` of a node with several outputs."""

    node: Node
    number: int


class Handle:
    """A registered hook; `remove()` takes it off."""

    __slots__ = ("_hooks", "_key")

    def __init__(self, hooks: dict[int, Hook], hook: Hook) -> None:
        self._hooks = hooks
        self._key = next(_sequence)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook off; a second call does nothing."""
        self._hooks.pop(self._key, None)


def source(edge: Node | Output) -> tuple[Node, int]:
    """The node and the output number an edge stands for."""
    return (edge, 0) if isinstance(edge, Node) else (edge.node, edge.number)


def _accumulate(slots: Slots, i: int, gradient: Array) -> None:
    """Add a gradient to `slots[i]`, in place only if nobody else can see that array."""
    if slots[i] is None:
        slots[i] = gradient
    elif sole_owner(slots, i):
        Memory.accumulate(slots[i], gradient)  # type: ignore[arg-type]
    else:
        slots[i] = np.asarray(np.add(slots[i], gradient))  # type: ignore[arg-type]


class _Pass:
    """The state of one walk: the gradients that have arrived, by node and by leaf.

    Args:
        retain_graph: keep the closures after they have run.
        running: the only nodes to run, or None for all that gradients reach.
        captured: filled with the gradients of these (node, output number) pairs.
    """

    def __init__(
        self,
        retain_graph: bool,
        running: set[Node] | None = None,
        captured: dict[tuple[Node, int], Array | None] | None = None,
    ) -> None:
        self.retain_graph = retain_graph
        self.running = running
        self.captured = captured or {}
        self.stops = {node for node, _ in self.captured}
        self.heap: list[int] = []
        self.arrived: dict[int, tuple[Node, Slots]] = {}
        self.leaves: dict[int, tuple[Tensor, Slots]] = {}
        self.deferred: dict[tuple[int, int], list[Deferred]] = {}

    def deliver(self, edge: Node | Output | Tensor, gradient: Any, name: str, j: int) -> None:
        """Add a gradient, that of input `j` of operation `name`, to what has arrived at `edge`."""
        node: Node | None = None
        number = 0
        shape: Any
        dtype: Any
        if type(edge) is Node:
            node, shape, dtype = edge, edge.shapes, edge.dtypes
        elif type(edge) is Output:
            node, number = edge
            shape, dtype = node.shapes[number], node.dtypes[number]
        else:
            shape, dtype = edge._array.shape, edge._array.dtype  # type: ignore[union-attr]
        later: Deferred | None = None
        if type(gradient) is not _ndarray or gradient.dtype is not dtype:
            if gradient is ADDED:
                return
            if isinstance(gradient, Deferred):
                if gradient.dtype is dtype and node is not None:
                    later = gradient
                else:
                    gradient = gradient.dense()
            if later is None:
                gradient = np.asarray(gradient, dtype)
        if gradient.shape != shape:
            raise RuntimeError(
                f"backward of '{name}' returned a gradient of shape {gradient.shape} for input {j}, expected {shape}"
            )
        if node is None:
            leaf: Tensor = edge  # type: ignore[assignment]
            if id(leaf) in self.leaves:
                _accumulate(self.leaves[id(leaf)][1], 0, gradient)
            else:
                self.leaves[id(leaf)] = (leaf, [gradient])
        elif self.running is None or node in self.running or node in self.stops:
            known = self.arrived.get(node.sequence)
            if known is None:
                slots: Slots = [None] * len(node.shapes) if type(node.shapes) is list else [None]
                known = self.arrived[node.sequence] = (node, slots)
                heappush(self.heap, -node.sequence)
            if later is None:
                _accumulate(known[1], number, gradient)
            else:
                self.deferred.setdefault((node.sequence, number), []).append(later)

    def arrived_at(self, edge: Edge) -> Array | None:
        """The gradient that has arrived at the output of an operation, if it may be changed in place."""
        if type(edge) is not Node and type(edge) is not Output:
            return None
        node, number = source(edge)
        known = self.arrived.get(node.sequence)
        return known[1][number] if known is not None and sole_owner(known[1], number) else None

    def _complete(self, node: Node, slots: Slots) -> None:
        """Add what was deferred to the gradients of a node, all of which have arrived."""
        for i in range(len(slots)):
            for gradient in self.deferred.pop((node.sequence, i), ()):
                if slots[i] is None:
                    slots[i] = gradient.dense()
                    continue
                if not sole_owner(slots, i):
                    slots[i] = np.array(slots[i], order="K")
                gradient.add_to(slots[i])  # type: ignore[arg-type]

    def run(self) -> None:
        """Visit every node that gradients reach, youngest first."""
        while self.heap:
            node, slots = self.arrived.pop(-heappop(self.heap))
            if self.deferred:
                self._complete(node, slots)
            if node.hooks is not None:
                _call_hooks(node, slots)
            if node in self.stops:
                for index, grad in enumerate(slots):
                    if (node, index) in self.captured:
                        self.captured[node, index] = grad
            if self.running is None or node in self.running:
                self.visit(node, slots)

    def visit(self, node: Node, slots: Slots) -> None:
        """Run one node's closure and deliver what it returns."""
        closure = node.backward
        if closure is None:
            raise RuntimeError(
                f"backward through '{node.name}' a second time: what it saved was freed by the first; "
                "use backward(retain_graph=True) the first time"
            )
        for version in node.versions:
            if version[0][0] != version[1]:
                check_unchanged(node.name, closure, node.versions)
                break
        if not self.retain_graph:
            node.backward = None
        edges, name = node.edges, node.name
        needs = tuple([edge is not None for edge in edges])
        if type(node.shapes) is list:
            grads = closure(tuple(slots), needs)
            slots.clear()
        elif getattr(closure, "reuses", False):
            reuse = Reuse(sole_owner(slots, 0), not self.retain_graph, edges, self.arrived_at)
            grads = closure(slots.pop(), needs, reuse)
        else:
            grads = closure(slots.pop(), needs)
        del closure
        if len(grads) != len(edges):
            raise RuntimeError(f"backward of '{name}' returned {len(grads)} gradients for {len(edges)} tensor inputs")
        for j, edge in enumerate(edges):
            if edge is not None:
                gradient = grads[j]
                if gradient is not None:
                    self.deliver(edge, gradient, name, j)


def _call_hooks(node: Node, slots: Slots) -> None:
    """Pass each arrived gradient through the hooks of its output."""
    if node.hooks is None:
        return
    for index, hooks in node.hooks.items():
        grad = slots[index]
        if grad is not None:
            slots[index] = apply_hooks(hooks, grad, node.name)


def apply_hooks(hooks: dict[int, Hook], grad: Array, name: str) -> Array:
    """`grad` after the hooks have seen it, each of which may replace it by returning a Tensor."""
    from .tensor import Tensor

    for hook in list(hooks.values()):
        result = hook(Tensor(grad))
        if result is not None:
            if result.data.shape != grad.shape:
                raise RuntimeError(f"hook on '{name}' returned shape {result.data.shape}, expected {grad.shape}")
            grad = result.data
    return grad


def _ancestors(roots: Iterable[Edge], targets: set[Any]) -> set[Node]:
    """The nodes between `roots` and `targets` (nodes, or ids of leaves): the ones that must run."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [source(edge)[0] for edge in roots if isinstance(edge, Node | Output)]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            order.append(node)
            stack.extend(source(edge)[0] for edge in node.edges if isinstance(edge, Node | Output))
    wanted: set[Node] = set()
    for node in sorted(order, key=lambda each: each.sequence):
        for edge in node.edges:
            if isinstance(edge, Node | Output):
                producer = source(edge)
                if producer in targets or producer[0] in wanted:
                    wanted.add(node)
            elif edge is not None and id(edge) in targets:
                wanted.add(node)
    return wanted


def backward_pass(roots: Sequence[tuple[Node | Output | Tensor, Array]], retain_graph: bool = False) -> None:
    """Propagate gradients from `roots` and accumulate them in the `.grad` of the leaves.

    Args:
        roots: (edge, gradient) pairs to start from.
        retain_graph: keep what the closures saved, so that the graph can be walked again.

    Raises:
        RuntimeError: if part of the graph was freed, or a saved array was changed in place.
    """
    walk = _Pass(retain_graph)
    with no_grad(), np.errstate(all="ignore"):
        for edge, grad in roots:
            walk.deliver(edge, grad, "the root", 0)
        walk.run()
        for leaf, slots in walk.leaves.values():
            leaf._receive(slots)


def gradients(
    roots: Sequence[tuple[Node | Output | Tensor, Array]], inputs: Sequence[Edge], retain_graph: bool = False
) -> list[Array | None]:
    """Propagate gradients from `roots` to `inputs` only, and return them; no `.grad` changes.

    Only the nodes between the two run. The result has None where no path leads to an input.
    """
    targets: set[Any] = {id(edge) for edge in inputs if not isinstance(edge, Node | Output)}
    captured: dict[tuple[Node, int], Array | None] = {
        source(edge): None for edge in inputs if isinstance(edge, Node | Output)
    }
    targets.update(captured)
    walk = _Pass(retain_graph, _ancestors([edge for edge, _ in roots], targets), captured)
    with no_grad(), np.errstate(all="ignore"):
        for edge, grad in roots:
            walk.deliver(edge, grad, "the root", 0)
        walk.run()
    results: list[Array | None] = []
    for target in inputs:
        if isinstance(target, Node | Output):
            results.append(captured[source(target)])
        else:
            leaf = walk.leaves.get(id(target))
            results.append(None if leaf is None else leaf[1][0])
    return results
