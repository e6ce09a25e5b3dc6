"""The parameters that all optimizers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from annotated_types import Ge, Gt, Lt

from dqn_lab.records import value_text
from dqn_lab.schedule import Rate, rate, rises

Decay = Annotated[float, Ge(0), Lt(1)]


class Shared:
    """A learning rate, and gradient clipping.

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a linear schedule.
        max_grad_value: clips each component of the gradient to ± this; null for no clipping.
        max_grad_norm: clips the gradient's Euclidean norm after that; null for no clipping.
    """

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """A learning rate that rises stays at its largest value; one that falls to 0 too soon ends learning there."""
        lr = config["optimizer"].get("lr")
        if rises(lr):
            yield f"optimizer.lr={value_text(lr)}: it rises, and stays at its largest value to the end of the run"
        steps, episodes = config["steps"], config["episodes"]
        unit, budget = ("steps", steps) if episodes is None else ("episodes", episodes if steps is None else None)
        if isinstance(lr, dict) and lr["end"] == 0 and lr["unit"] == unit and budget and lr["duration"] < budget:
            rest = f"from {unit.removesuffix('s')} {lr['duration']:,} to {budget:,} nothing is learned"
            yield f"optimizer.lr={value_text(lr)}: {rest}; a run with optimizer.lr.duration={budget} learns to its end"

    def __init__(
        self,
        *,
        lr: Rate = 1e-3,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.lr = rate(lr)
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm
