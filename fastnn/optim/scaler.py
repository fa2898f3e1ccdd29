"""Loss scaling: small gradients are kept out of the range where a narrow format loses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

from .. import _C
from ..autograd import Tensor
from .checks import in_range
from .clip import Gradients
from .optimizer import Optimizer

__all__ = ["GradScaler"]


class GradScaler:
    """Multiplies the loss by a scale, divides the gradients by it, and leaves out steps whose gradients are not finite.

    `scale(loss).backward()` gives gradients S g; `step` makes g of them, checks them, and steps if all are finite.
    `update` then sets S ← S · backoff_factor if they were not, and S ← S · growth_factor after `growth_interval`
    steps in a row in which they were.

    Args:
        init_scale: S at first.
        growth_factor: above 1.
        backoff_factor: from 0 to 1, both excluded.
        growth_interval: finite steps between two growths.
        enabled: False makes `scale` and `update` do nothing and `step` a plain step.

    Raises:
        ValueError: if an argument is out of range.

    Source: Micikevicius et al. 2018, arXiv:1710.03740; interface and defaults of `torch.amp.GradScaler`.

    Example:
        >>> import numpy as np
        >>> from fastnn.optim import SGD
        >>> w = Tensor(np.array([1.0]), requires_grad=True)
        >>> optimizer, scaler = SGD([w], lr=0.1), GradScaler(init_scale=8.0)
        >>> scaler.scale((w * w).sum()).backward()
        >>> w.grad.item()
        16.0
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> w.data.tolist()
        [0.8]
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        in_range("GradScaler", "init_scale", init_scale, 0.0, float("inf"), below=True)
        if not (growth_factor > 1.0 and 0.0 < backoff_factor < 1.0 and init_scale > 0.0 and growth_interval >= 1):
            raise ValueError(
                "GradScaler: expected init_scale > 0, growth_factor > 1, backoff_factor in (0, 1) and growth_interval "
                f">= 1, got {init_scale!r}, {growth_factor!r}, {backoff_factor!r} and {growth_interval!r}"
            )
        self._scale, self._growth_factor, self._backoff_factor = float(init_scale), growth_factor, backoff_factor
        self._growth_interval, self._enabled = growth_interval, enabled
        self._growth_tracker = 0
        self._found_inf: bool | None = None
        self._unscaled: WeakSet[Optimizer] = WeakSet()
        self._nonfinite: WeakSet[Optimizer] = WeakSet()

    def scale(self, outputs: Tensor) -> Tensor:
        """The loss times the scale.

        Args:
            outputs: the loss.
        """
        return outputs * self._scale if self._enabled else outputs

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimiser's parameters by the scale, for instance to clip them before `step`.

        Raises:
            RuntimeError: if that was done since the last `update` already.
        """
        if not self._enabled:
            return
        if optimizer in self._unscaled:
            raise RuntimeError("GradScaler.unscale_: the gradients were unscaled since the last update already")
        gradients = Gradients("GradScaler", [p for group in optimizer.param_groups for p in group["params"]])
        nonfinite = False
        for spans in gradients.spans:
            nonfinite |= _C.optim_nonfinite(spans)
            _C.optim_scale(spans, 1.0 / self._scale)
        gradients.write_back()
        self._found_inf = bool(self._found_inf) or nonfinite
        self._unscaled.add(optimizer)
        if nonfinite:
            self._nonfinite.add(optimizer)

    def step(self, optimizer: Optimizer) -> Any:
        """Unscale the gradients, unless that was done, and step if they are finite.

        Returns:
            What the optimiser's `step` returns, or None.
        """
        if not self._enabled:
            return optimizer.step()
        if optimizer not in self._unscaled:
            self.unscale_(optimizer)
        return None if optimizer in self._nonfinite else optimizer.step()

    def update(self, new_scale: float | None = None) -> None:
        """Set the scale for the next iteration.

        Args:
            new_scale: take this instead of what follows from the last steps.

        Raises:
            RuntimeError: if nothing was unscaled since the last update.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            in_range("GradScaler.update", "new_scale", new_scale, 0.0, float("inf"), below=True)
            self._scale = float(new_scale)
        elif self._found_inf is None:
            raise RuntimeError("GradScaler.update: expected a step or an unscale_ before it")
        elif self._found_inf:
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale *= self._growth_factor
                self._growth_tracker = 0
        self._found_inf = None
        self._unscaled.clear()
        self._nonfinite.clear()

    def get_scale(self) -> float:
        """The scale, 1 if not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's entries: scale, factors, interval and tracker; empty if not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, here or in PyTorch.

        Raises:
            ValueError: if an entry is missing.
        """
        if not self._enabled:
            return
        missing = sorted(set(self.state_dict()) - set(state_dict))
        if missing:
            raise ValueError(f"GradScaler.load_state_dict: missing {missing}")
        self._scale, self._growth_tracker = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = int(state_dict["growth_interval"])
