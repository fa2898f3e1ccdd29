"""The base class of the optimisers: parameter groups, state, and one fused update per group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import numpy as np

from ..autograd import Tensor, enable_grad
from .checks import nonnegative, positive
from .constrain import max_norm_
from .state import load_groups, load_state
from .table import StateTable, array_in_layout_of

__all__ = ["Optimizer", "Parameters", "observe_steps"]

Parameters: TypeAlias = "Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]"
Group: TypeAlias = dict[str, Any]
StepObserver: TypeAlias = "Callable[[Optimizer, Callable[[], None]], None]"

_OBSERVERS: list[StepObserver] = []


@contextmanager
def observe_steps(observer: StepObserver) -> Iterator[None]:
    """Let a function of your own carry out the updates of all optimisers, for the time of a `with`.

    Args:
        observer: called with the optimiser and a function that makes the update, which it calls.
    """
    _OBSERVERS.append(observer)
    try:
        yield
    finally:
        _OBSERVERS.remove(observer)


class Optimizer:
    """What all optimisers share.

    A subclass declares the `slots` of its state, checks its hyperparameters in `_check`, and in `_update`
    makes one call into C, which updates every parameter of a group in one pass over memory. Parameters whose
    gradient is None are left alone. `step` never clears gradients.

    Beside the hyperparameters of its method, every group of an optimiser with fused steps may set

        l1: λ₁, adds λ₁ sign(w) to the gradient; with `weight_decay` λ, the elastic net λ₁ ‖w‖₁ + λ/2 ‖w‖²;
        decoupled_weight_decay: whether `weight_decay` shrinks the weights by the factor 1 - lr λ instead of adding
            λ w to their gradients;
        max_norm: c, after every step the weights of each output unit are scaled to a norm of at most c (see
            `max_norm_`); None does not.

    Args:
        params: Tensors, or (name, Tensor) pairs, or dicts that hold such an iterable under "params" and
            hyperparameters that differ from the defaults: the parameter groups.
        defaults: the hyperparameters of groups that do not set them. "lr" may be a function of the number of
            steps done.

    Attributes:
        param_groups: one dict per group: "params" and the hyperparameters, which may be changed at any time.
        state: for each parameter that was updated, its "step" count and its slots, as Tensors. Change them in
            place or by `load_state_dict`: a step reaches them by the memory they had when first used.
        defaults: the default hyperparameters.
        step_count: number of calls of `step`.

    Raises:
        TypeError: if a parameter is not a float32 or float64 Tensor.
        ValueError: without parameters, if one is given twice or is not a leaf, or for an unknown or
            impossible hyperparameter.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    # State of PyTorch's optimiser of the same name that follows from the step count.
    derived: ClassVar[frozenset[str]] = frozenset()
    # Hyperparameters that make the method what it is, which a loaded state does not change.
    essential: ClassVar[frozenset[str]] = frozenset()
    # The hyperparameters that groups of every method have; a method without fused steps has none of them.
    penalties: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"l1": 0.0, "decoupled_weight_decay": False, "max_norm": None}
    )
    # What a group may hold beside the hyperparameters: names, and what learning-rate schedules note there.
    extras: ClassVar[frozenset[str]] = frozenset(
        ("param_names", "name", "initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum")
    )

    def __init__(self, params: Parameters, defaults: Group) -> None:
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__}: expected an iterable of Tensors or dicts, got a Tensor")
        self.defaults = {**self.penalties, **defaults}
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self.param_groups: list[Group] = []
        self.step_count = 0
        self._tables: dict[int, StateTable] = {}
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: expected parameters, got an empty list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # What a subclass supplies

    def _check(self, group: Mapping[str, Any]) -> None:
        """Raise for hyperparameters that make no sense."""

    def _active(self, group: Mapping[str, Any]) -> tuple[str | None, ...]:
        """The slots that the options of `group` use, None in the place of one they do not."""
        return self.slots

    def _initial(self, slot: str, group: Mapping[str, Any]) -> float:
        """What a new slot is filled with."""
        return 0.0

    def _update(self, group: Group, lr: float, spans: Any) -> None:
        """Update the parameters of `spans`: one call into C."""
        raise NotImplementedError(f"{type(self).__name__}: _update is not implemented")

    # Groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters with hyperparameters of their own.

        Args:
            param_group: "params", a Tensor or an ordered iterable of them, and any hyperparameters.

        Raises:
            TypeError, ValueError: as the constructor; nothing is added then.
        """
        name = type(self).__name__
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"{name}: expected a dict with 'params', got {type(param_group).__name__}")
        unknown = sorted(set(param_group) - set(self.defaults) - self.extras - {"params"})
        if unknown:
            raise ValueError(f"{name}: unknown hyperparameters {unknown}; expected some of {sorted(self.defaults)}")
        parameters, names = self._parameters_of(param_group["params"])
        group = {**self.defaults, **param_group, "params": parameters}
        if names:
            group["param_names"] = names
        self._validate(group)
        self.param_groups.append(group)

    def _validate(self, group: Mapping[str, Any]) -> None:
        """Check every hyperparameter of a group."""
        if not callable(group["lr"]):
            nonnegative(type(self).__name__, group, "lr")
        if self.penalties:
            nonnegative(type(self).__name__, group, "l1")
            if group["max_norm"] is not None:
                positive(type(self).__name__, group, "max_norm")
        self._check(group)

    def _penalty(self, group: Mapping[str, Any]) -> tuple[float, float, bool, bool]:
        """What the fused steps take first: weight decay, l1, whether decay is decoupled, whether to maximise."""
        return group["weight_decay"], group["l1"], group["decoupled_weight_decay"], group["maximize"]

    def _parameters_of(self, given: Any) -> tuple[list[Tensor], list[str]]:
        """The Tensors of a group and their names, if they have some."""
        owner = type(self).__name__
        if isinstance(given, set | frozenset):
            raise TypeError(f"{owner}: expected parameters in a fixed order, got a set")
        entries = [given] if isinstance(given, Tensor) else list(given)
        names = [str(entry[0]) for entry in entries if isinstance(entry, tuple)]
        if names and len(names) != len(entries):
            raise ValueError(f"{owner}: expected names for all parameters of a group or for none")
        parameters = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for i, parameter in enumerate(parameters):
            label = f"parameter {names[i]!r}" if names else f"parameter {i}"
            if not isinstance(parameter, Tensor):
                raise TypeError(f"{owner}: expected {label} to be a Tensor, got {type(parameter).__name__}")
            if parameter.data.dtype not in (np.float32, np.float64):
                raise TypeError(f"{owner}: expected {label} to be float32 or float64, got {parameter.data.dtype}")
            if not parameter.is_leaf:
                raise ValueError(f"{owner}: {label} is the result of an operation; only leaves can be optimised")
            if id(parameter) in known:
                raise ValueError(f"{owner}: {label}, of shape {parameter.shape}, was given twice")
            known.add(id(parameter))
        return parameters, names

    # Steps

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: clears the gradients, computes the loss, calls `backward` and returns the loss; called
                once before the update.

        Returns:
            What `closure` returned, or None.

        Raises:
            TypeError, ValueError: if a gradient does not fit its parameter, or a parameter's memory has gaps
                or is read-only; no parameter has changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if _OBSERVERS:
            _OBSERVERS[-1](self, self._apply)
        else:
            self._apply()
        return loss

    def _apply(self) -> None:
        """Update every parameter that has a gradient, and count the step."""
        ready = []
        for index, group in enumerate(self.param_groups):
            live = [p for p in group["params"] if p.grad is not None]
            if live:
                ready.append((group, self._rate(group), self._table(index, group, live), live))
        for group, lr, table, live in ready:
            self._advance(group, lr, table, live)
            for parameter in live:
                parameter.bump()
            if group.get("max_norm") is not None:
                max_norm_(live, group["max_norm"])
        self.step_count += 1

    def _advance(self, group: Group, lr: float, table: StateTable, live: list[Tensor]) -> None:
        """Update the parameters of one group that have a gradient."""
        for spans in table.spans:
            self._update(group, lr, spans)

    def _rate(self, group: Group) -> float:
        """The learning rate of this step."""
        lr = group["lr"]
        return float(lr(self.step_count)) if callable(lr) else float(lr)

    def _table(self, index: int, group: Group, live: list[Tensor]) -> StateTable:
        """The group's table, made anew if an array is another one than at the last step, aimed at the gradients."""
        slots = self._active(group)
        weights = [p.data for p in live]
        table = self._tables.get(index)
        if table is None or not table.matches(weights, slots):
            states = [self._state_of(p, group, slots) for p in live]
            table = StateTable(live, states, slots)
            for parameter, state in zip(live, states):
                if state:
                    self.state[parameter] = state
            self._tables[index] = table
        table.aim([p.grad.data for p in live])  # type: ignore[union-attr]
        return table

    def _state_of(self, parameter: Tensor, group: Group, slots: tuple[str | None, ...]) -> dict[str, Tensor]:
        """The state of a parameter, with those slots added that it lacks."""
        state = dict(self.state.get(parameter, {}))
        for slot in filter(None, slots):
            if "step" not in state:
                state["step"] = Tensor(np.zeros((), np.int64))
            if slot not in state:
                state[slot] = Tensor(array_in_layout_of(parameter.data, self._initial(slot, group)))
        return state

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros.

        Args:
            set_to_none: whether `.grad` becomes None, which saves the next backward pass an addition.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad.data.fill(0)
                    parameter.grad.bump()

    # State

    def state_dict(self) -> dict[str, Any]:
        """State and hyperparameters in PyTorch's structure.

        Returns:
            "state": for the number of each parameter its state, as the Tensors themselves, not copies;
            "param_groups": the hyperparameters, with the numbers of the parameters under "params", and with
            the present value of a learning rate that is a function; "step": the number of steps done.
        """
        number = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = []
        for group in self.param_groups:
            numbers = [number[id(p)] for p in group["params"]]
            groups.append({**group, "lr": self._rate(group), "params": numbers})
        state = {number[id(p)]: dict(slots) for p, slots in self.state.items() if id(p) in number}
        return {"state": dict(sorted(state.items())), "param_groups": groups, "step": self.step_count}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over state and hyperparameters, from fastnn or from PyTorch's optimiser of the same name.

        A learning rate that is a function stays. State is copied, and converted to the dtype of its parameter.

        Args:
            state_dict: what `state_dict` returned. "step" may be missing: it is then that of the state.

        Raises:
            ValueError: if groups, parameters, shapes or names do not fit; the message lists every problem, and
                nothing has changed.
        """
        problems: list[str] = []
        groups = load_groups(self, state_dict, problems)
        state = load_state(self, state_dict, problems)
        if problems:
            raise ValueError(f"{type(self).__name__}.load_state_dict: " + "; ".join(problems))
        for own, loaded in zip(self.param_groups, groups):
            own.update(loaded)
        self.state = state
        self._tables.clear()
        steps = [int(slots["step"].data) for slots in state.values() if "step" in slots]
        self.step_count = int(state_dict.get("step", max(steps, default=0)))

    def __getstate__(self) -> dict[str, Any]:
        # Tables hold addresses, which a copy does not share.
        return {**vars(self), "_tables": {}}

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"
