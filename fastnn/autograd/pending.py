"""Outputs that wait for what follows them, so that both are computed in one pass over memory.

`relu(batch_norm(x) + skip)` takes three passes over memory if each operation computes its output, and one if they
know of each other; so does `max_pool2d(relu(x))`. Therefore an operation with a `start` (see `waiting`) does in its
call what can be observed, checks and running statistics, and returns a `Pending` Tensor. An operation that follows and
has a row in `JOINS` joins it; the last one in a row of the table computes everything. Anything else that looks at a
pending Tensor makes it compute its output, and an ordinary Tensor of it.

Nobody can tell from the results:

* Whoever reads `data`, the version or the place on the tape of a pending Tensor comes to a property. There is no
  other way to the values, so printing, pickling, hooks, operations, threads and other libraries all force them.
* What a pending Tensor will read must not change before. It waits only if nothing but its inputs' Tensors leads to
  their memory, and these become `Watched`: who asks one for its memory, which a change in place begins with,
  has what waits computed first. Operations only read; they see the memory without that.
* A pending Tensor that is still there when another operation has joined it may be looked at later. It then gets its
  own node, and the node of what joined it is moved behind it: hooks and gradients are those of separate operations.

The one thing not seen is a write through a NumPy view of the *other* addend that was taken before the addition, in
the moment between addition and activation; the tape does not see such writes either.
"""

from __future__ import annotations

import functools
import inspect
from _thread import RLock
from collections.abc import Callable, Sequence
from math import prod
from sys import getrefcount
from typing import Any, NamedTuple, TypeAlias
from weakref import ref

import numpy as np

from .dtype import Array, DType
from .engine import Backward, Edge, Node, next_sequence
from .methods import OPS
from .mode import MODE, enable_grad
from .record import versions_of
from .reuse import Memory
from .saved import Version
from .signature import Signature
from .tensor import Tensor, wrap

Finish: TypeAlias = Callable[..., tuple[Array, Backward]]
"""Computes what was started: `finish(**joined) -> (y, backward)`, `joined` being what the consumers contribute."""

Start: TypeAlias = Callable[..., tuple[tuple[int, ...], DType, Finish]]
"""The first half of an operation, of its arguments: checks and effects. Gives the output's shape and dtype."""


class Halves(NamedTuple):
    """Who looks at the halves of operations that wait: both give functions that stand in for those of the halves."""

    start: Callable[[str, Start], Start]
    finish: Callable[[str, Finish], Finish]


OBSERVERS: list[Halves] = []
"""Those who look at present; see `autograd.observe`."""

Redo: TypeAlias = Callable[[Tensor], Tensor]
Follower: TypeAlias = "tuple[Redo, Wait | ref[Node]]"

JOINS = {
    ("batch_norm", "relu"): "batch_norm_relu",
    ("batch_norm", "add"): "batch_norm_add",
    ("batch_norm_add", "relu"): "batch_norm_add_relu",
    ("batch_norm_relu", "max_pool2d"): "batch_norm_relu_max_pool2d",
    ("relu", "max_pool2d"): "relu_max_pool2d",
}
"""(what waits, the operation that follows) -> the name of both in one. One that has rows itself waits in turn; only
one that has none may give another shape than that of what waits. A module of operations adds rows of its own."""

_BEFORE_POOLING = {"relu", "batch_norm_relu"}
"""What only a pooling of images may follow: no other shapes wait, and no small ones."""

LEAST = 1 << 15
"""Elements of the smallest output that waits for a pooling; below, the pass saved takes no longer than the waiting."""


def _addend(wait: Wait, other: Any, alpha: float = 1) -> dict[str, Any] | None:
    """What an addition contributes: the other operand, if it is like the output that waits."""
    if alpha != 1 or not isinstance(other, Tensor):
        return None
    array = other._array
    return {"residual": other} if array.shape == wait.shape and array.dtype is wait.dtype else None


def _activation(name: str) -> Callable[..., dict[str, Any] | None]:
    def contribute(wait: Wait, inplace: bool = False, *more: Any, **unknown: Any) -> dict[str, Any] | None:
        return None if more or unknown else {"activation": name}

    return contribute


CONSUMERS: dict[str, Callable[..., dict[str, Any] | None]] = {"add": _addend, "relu": _activation("relu")}
"""What each operation that can join contributes to `finish`, by keyword; None if with these arguments it cannot.

A module of operations adds those of its own, each before `op` makes the operation."""

_OPEN = {producer for producer, _ in JOINS}


def _inputs(tensors: tuple[Any, ...], wanted: bool) -> tuple[list[Edge], list[Version]]:
    """Where the gradients of these inputs go, and their versions, both as they are now."""
    if not wanted:
        return [None] * len(tensors), []
    edges: list[Edge] = [
        None if tensor is None or not tensor.requires_grad else tensor._edge or tensor for tensor in tensors
    ]
    return edges, versions_of(tensors)


class Wait:
    """An output that is not computed yet.

    Attributes:
        name: what it is called on the tape.
        shape: the output's.
        dtype: the output's.
        finish: computes it; None once that has happened.
        given: what has joined, keywords for `finish`; Tensors stand for their arrays.
        reads: the Tensors whose memory it will read.
        edges: where the gradients of its inputs go.
        versions: those of its inputs in the call.
        wanted: whether it is recorded, as decided in the call.
        sequence: the number of its node.
        output: a weak reference to the pending Tensor; once computed, to its node if there is one.
        follower: what joined it while it was recorded: how to redo that, and the Wait or node that came of it.
        lock: held while any of this changes.
    """

    __slots__ = (
        "__weakref__", "dtype", "edges", "finish", "follower", "given", "lock", "name", "output", "reads", "sequence",
        "shape", "versions", "wanted",
    )  # fmt: skip

    output: Callable[[], Any]

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: DType,
        finish: Finish,
        given: dict[str, Any],
        reads: tuple[Tensor, ...],
        edges: list[Edge],
        versions: list[Version],
        wanted: bool,
    ) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype
        self.finish: Finish | None = finish
        self.given = given
        self.reads = reads
        self.edges = edges
        self.versions = versions
        self.wanted = wanted
        self.sequence = next_sequence()
        self.follower: Follower | None = None
        self.lock = RLock()


class _Unsettled(Tensor):
    """What Pending and Watched share: copies are made of the Tensor they become."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        _ = self.data
        return Tensor.__deepcopy__(self, memo)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        _ = self.data
        return Tensor.__reduce_ex__(self, protocol)


class Pending(_Unsettled):
    """A Tensor whose values have not been computed; being looked at makes an ordinary one of it."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        wait = self._pending
        return wait.shape if type(wait) is Wait else super().shape

    @property
    def dtype(self) -> DType:
        """The NumPy dtype of the elements."""
        wait = self._pending
        return wait.dtype if type(wait) is Wait else super().dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    def __iadd__(self, other: Any) -> Tensor:
        """`self + other`, which this Tensor becomes, if it can wait too; else as every Tensor does it."""
        wait, total = self._pending, join("add", (self, other), {})
        if total is None:
            return super().__iadd__(other)
        wait.follower = None
        self.requires_grad = total.requires_grad
        if type(total) is Pending:
            self._pending = total._pending
            self._pending.output = ref(self)
        else:
            _become(self, total.data, total._edge, total._version)
        return self


class Measured(_Unsettled):
    """A Tensor with its channels' mean and variance; asking for its memory, which may then change, forgets them."""

    __slots__ = ()


class Watched(_Unsettled):
    """A Tensor whose memory a pending one will read; asking for that memory has the pending one computed."""

    __slots__ = ()


def _settling(slot: str, settle: Callable[[Any], None]) -> Any:
    """A property over a slot of Tensor that settles first."""
    descriptor = vars(Tensor)[slot]
    read, write = descriptor.__get__, descriptor.__set__

    def get(self: Tensor) -> Any:
        settle(self)
        return read(self)

    def put(self: Tensor, value: Any) -> None:
        settle(self)
        write(self, value)

    return property(get, put)


def _settle_pending(tensor: Tensor) -> None:
    wait = tensor._pending
    if type(wait) is Wait:
        settle(wait)


def _forget(tensor: Tensor) -> None:
    if type(tensor) is Measured:
        tensor.__class__ = Tensor  # type: ignore[assignment]
        tensor._pending = None


def _settle_readers(tensor: Tensor) -> None:
    """Compute what waits to read the memory of `tensor`."""
    if type(tensor) is Watched:
        for reader in tensor._pending:
            wait = reader()
            if wait is not None:
                settle(wait)
        tensor.__class__ = Tensor  # type: ignore[assignment]
        tensor._pending = None


for _slot in ("data", "_version", "_array", "_counter", "_edge"):
    setattr(Pending, _slot, _settling(_slot, _settle_pending))
for _slot in ("data", "_version"):
    setattr(Watched, _slot, _settling(_slot, _settle_readers))
    setattr(Measured, _slot, _settling(_slot, _forget))

_write_data, _write_edge, _write_version = (vars(Tensor)[slot].__set__ for slot in ("data", "_edge", "_version"))
_new = object.__new__
_ndarray = np.ndarray


def _pend(wait: Wait) -> Tensor:
    """The pending Tensor of a Wait."""
    tensor = _new(Pending)
    tensor._pending = wait
    tensor.requires_grad = wait.wanted
    tensor.grad = tensor._hooks = None
    wait.output = ref(tensor)
    reader = ref(wait)
    for each in wait.reads:
        if type(each) is Watched:
            each._pending = [known for known in each._pending if known() is not None] + [reader]
        else:
            each._pending = [reader]
            each.__class__ = Watched
    return tensor


def _compute(name: str, finish: Finish, given: dict[str, Any]) -> tuple[Array, Backward]:
    """The output and the closure, with the Tensors that joined given as the arrays they hold."""
    for observer in OBSERVERS:
        finish = observer.finish(name, finish)
    return finish(**{key: each._array if isinstance(each, Tensor) else each for key, each in given.items()})


def _become(tensor: Tensor, array: Array, edge: Edge, version: list[list[int]]) -> None:
    """Make an ordinary Tensor of a pending one."""
    _write_data(tensor, array)
    _write_edge(tensor, edge)
    _write_version(tensor, version)
    tensor._pending = None
    tensor.__class__ = Tensor


def settle(wait: Wait) -> None:
    """Compute an output that waits; nothing if that has been done."""
    with wait.lock:
        if wait.finish is None:
            return
        tensor = wait.output()
        y, backward = _compute(wait.name, wait.finish, wait.given)
        node, version = None, [[0]]
        if wait.wanted:
            own: Version = version[0], 0, id(y), id(y.base)
            node = Node(wait.name, backward, wait.edges, [*wait.versions, own], y.shape, y.dtype)
            node.sequence = wait.sequence
        follower, wait.follower, wait.finish = wait.follower, None, None
        if tensor is None:  # only what joined it is left
            tensor = wrap(y)
            tensor.requires_grad = wait.wanted
        _become(tensor, y, node, version)
        wait.output = _nothing if node is None else ref(node)
        wait.given, wait.reads, wait.edges, wait.versions = {}, (), [], []
        if follower is not None:
            with enable_grad():
                _separate(tensor, follower)


def _nothing() -> None:
    return None


def _again(name: str, before: Sequence[Any], after: Sequence[Any], options: dict[str, Any]) -> Redo:
    """The operation that joined, to be done by itself; it does not hold on to the Tensor it joined."""
    return lambda tensor: OPS[name](*before, tensor, *after, **options)


def _separate(tensor: Tensor, follower: Follower | None) -> None:
    """Put what joined `tensor` while it waited behind it, as if `tensor` had been computed in its call."""
    nodes = [tensor.grad_fn]
    while follower is not None:
        redo, target = follower
        follower = None
        if isinstance(target, Wait):
            with target.lock:
                heir, follower = target.output(), target.follower
                if heir is None and follower is None:
                    return
                tensor = redo(tensor)
                node = tensor.grad_fn
                assert node is not None
                if isinstance(heir, Node):
                    _graft(heir, tensor)
                    nodes.append(heir)
                else:
                    node.sequence = target.sequence  # older than its consumers
                    target.finish = target.follower = None
                    target.given, target.reads = {}, ()
                    target.output = ref(node)
                    if heir is not None:
                        _become(heir, tensor.data, node, tensor._version)
                    nodes.append(node)
        else:
            node = target()
            if node is not None:
                _graft(node, redo(tensor))
                nodes.append(node)
    last = nodes[-1]
    if last is not None and last.backward is None:  # a backward pass has been here: it would have freed them all
        for node in nodes:
            if node is not None:
                node.backward = None


def _graft(node: Node, tensor: Tensor) -> None:
    """Let a node that others know do what the node of `tensor` does."""
    source = tensor.grad_fn
    assert source is not None
    if node.backward is not None:
        node.name, node.backward = source.name, source.backward
        node.edges, node.versions = source.edges, source.versions


def join(consumer: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """The output of operation `consumer`, one of whose operands is pending, computed with it or pending in turn.

    Returns:
        None if they cannot be computed together; the consumer then does what it always does.
    """
    i = 0 if type(args[0]) is Pending else 1
    tensor: Tensor = args[i]
    wait = tensor._pending
    if type(wait) is not Wait:
        return None
    name = JOINS.get((wait.name, consumer))
    if name is None or tensor.requires_grad is not wait.wanted:
        return None
    rest = args[:i] + args[i + 1 :]
    contribution = CONSUMERS[consumer](wait, *rest, **options)
    if contribution is None:
        return None
    with wait.lock:
        if wait.finish is None or wait.follower is not None:
            return None
        operands = tuple([each for each in rest if isinstance(each, Tensor)])
        wanted = MODE.recording and (wait.wanted or any(each.requires_grad for each in operands))
        edges, versions = wait.edges, wait.versions
        if operands:
            further = _inputs(operands, wanted)
            edges, versions = edges + further[0], versions + further[1]
        given = {**wait.given, **contribution}
        target: Wait | ref[Node] | None = None
        if _waits(name, wait) and all(_private(each) for each in operands):
            reads = (*wait.reads, *operands)  # the first ones too: what joins may be all that is left to guard them
            target = Wait(name, wait.shape, wait.dtype, wait.finish, given, reads, edges, versions, wanted)
            output = _pend(target)
        else:
            y, backward = _compute(name, wait.finish, given)
            output = wrap(y)
            if wanted:
                versions = versions + versions_of((output,))
                output._edge = node = Node(name, backward, edges, versions, y.shape, y.dtype)
                output.requires_grad = True
                target = ref(node)
        if wanted and wait.wanted and target is not None:
            wait.follower = _again(consumer, args[:i], args[i + 1 :], options), target
        return output


def _poolable(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and prod(shape) >= LEAST


def _waits(name: str, wait: Wait) -> bool:
    """Whether what came of `wait` and what follows it, `name`, waits too."""
    return name in _OPEN and (name not in _BEFORE_POOLING or _poolable(wait.shape))


_SEEN = {Tensor, Watched, Measured}
"""The types of Tensors that nobody has subclassed, and that are not pending."""


def _private(tensor: Tensor, alone: bool = False) -> bool:
    """Whether nothing leads to the memory of `tensor` but Tensors that would notice.

    Args:
        tensor: an input of what is to wait.
        alone: also exclude arrays that lie in the same memory, but for those that the closure of the operation whose
            output it is has captured, and only reads.
    """
    if type(tensor) not in _SEEN:
        return False
    # The Tensor's reference and the argument make two; a base is held by the array, by a local name and the argument.
    if getrefcount(tensor._counter) != 2 or getrefcount(tensor._array) != 2:
        return False
    base = tensor._array.base
    if type(base) is not _ndarray:
        return base is None or type(base) in Memory.owners
    others = getrefcount(base) - 3
    if others and alone and type(tensor._edge) is Node:
        others -= _held(tensor._edge.backward, base)
    return type(base.base) in Memory.owners and (not alone or others == 0)


def _held(closure: Backward | None, array: Array) -> int:
    """How many references to an array a closure's cells are."""
    held = 0
    for cell in getattr(closure, "__closure__", None) or ():
        try:
            held += cell.cell_contents is array
        except ValueError:  # a variable that is set later, or was deleted
            continue
    return held


def _begin(
    name: str, start: Start, tensors: tuple[Any, ...], rest: tuple[Any, ...], options: Any, measured: bool
) -> Tensor | None:
    """The pending output of an operation, or None if it cannot wait."""
    first = tensors[0]
    if not _private(first, alone=True):
        return None
    if measured and type(first) is Measured:
        options = {**options, "moments": first._pending}
    arrays: list[Array | None] = []
    wanted = False
    for tensor in tensors:
        if tensor is None:
            arrays.append(None)
        elif isinstance(tensor, Tensor):
            arrays.append(tensor._array)
            wanted = wanted or tensor.requires_grad
        else:
            return None
    for observer in OBSERVERS:
        start = observer.start(name, start)
    shape, dtype, finish = start(*arrays, *rest, **options)
    wanted = wanted and MODE.recording
    return _pend(Wait(name, shape, dtype, finish, {}, (first,), *_inputs(tensors, wanted), wanted))


def measuring(without: int) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Let the output of an operation know its channels' moments; stands above `@op`.

    If `MODE.measuring` says that a gradient is wanted, the operation leaves them, an array (2, channels) of means and
    variances, as `moments` of its closure. A `start` that is `measured` gets them, if nobody had a chance to change the
    output in between.

    Args:
        without: the number of an argument with which nothing is measured.
    """

    def decorate(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def call(*args: Any, **options: Any) -> Tensor:
            if not MODE.recording or (len(args) > without and args[without] is not None):
                return plain(*args, **options)
            MODE.measuring = any(getattr(each, "requires_grad", False) for each in args[:2])
            try:
                output = plain(*args, **options)
            finally:
                MODE.measuring = False
            if type(output) is Tensor and type(output._edge) is Node:
                moments = getattr(output._edge.backward, "moments", None)
                if moments is not None:
                    output.__class__ = Measured
                    output._pending = moments
            return output

        functools.update_wrapper(call, plain)
        OPS[plain.__name__] = call
        return call

    return decorate


def waiting(start: Start, measured: bool = False) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Let the output of an operation wait for what follows it; stands above `@op`.

    Args:
        start: takes what the operation's function takes, and does its first half.
        measured: whether it also takes `moments`, mean and variance of its first input's channels; see `measuring`.
    """

    def decorate(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
        from .op import SLOTS  # `op` asks this module what joins

        function = inspect.unwrap(plain)
        signature = Signature(function)
        name, width, keywords = signature.name, signature.width, signature.tensor_names
        required = function.__code__.co_argcount - len(function.__defaults__ or ())
        slot, always = SLOTS[name], name not in _BEFORE_POOLING

        def call(*args: Any, **options: Any) -> Tensor:
            if options and not keywords.isdisjoint(options):
                args, options = signature.positional(args, options)
            if len(args) >= required and not slot.alone:
                if type(args[0]) is Pending:
                    joined: Tensor | None = join(name, args, options)
                    if joined is not None:
                        return joined
                if always or (isinstance(args[0], Tensor) and _poolable(args[0].shape)):
                    tensors = args[:width] + (None,) * (width - len(args))
                    output = _begin(name, start, tensors, args[width:], options, measured)
                    if output is not None:
                        return output
            return plain(*args, **options)

        functools.update_wrapper(call, plain)
        OPS[name] = call
        return call

    return decorate
