"""The gradient and the TD error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import gymnasium
import numpy as np
from annotated_types import Gt

from dqn_lab.diagnostics._batch import gradient_and_error
from dqn_lab.registry import register
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Batch, Engine, Noise

Count = Annotated[int, Gt(0)]


@register("diagnostics", "basic")
class Basic:
    """Measures the gradient's norm and the TD error on every `interval`-th batch; an episode's row has their means.

    `grad_norm` is the Euclidean norm of the gradient before it is clipped, `td_error` the mean |δ|: both of the batch,
    or of its first minibatch if there are several.

    Args:
        engine: the engine whose updates are measured.
        make_env: makes an environment for measurements.
        discount: γ.
        rng: a separate generator, so that measuring does not change other draws.
        interval: batches between measurements; the first batch is measured.
    """

    columns: tuple[str, ...] = ("grad_norm", "td_error")

    def __init__(
        self,
        engine: Engine,
        make_env: Callable[..., gymnasium.Env[Any, Any]],
        discount: float,
        rng: np.random.Generator,
        *,
        interval: Count = 1000,
    ) -> None:
        self.engine, self.make_env, self.discount, self.rng = engine, make_env, discount, rng
        self.interval = interval
        self.left = 0  # batches until the next measurement
        self.measuring = False
        self.fresh = True  # whether the next step begins an episode
        self.sums: dict[str, float] = {}
        self.count = 0  # measurements in this episode

    def observe(self, obs: Array, reward: float, ended: bool) -> None:
        """Called with every environment step, before any update after it."""
        if self.fresh:
            self.begin(lambda: float(self.engine.q_values(obs[None]).max()))
        self.skip((reward,), ended, 0)

    @property
    def num_unmeasured(self) -> int:
        """Batches before the next one to be measured."""
        return self.left

    def begin(self, q_start: Callable[[], float]) -> None:
        """Starts the means of a new episode."""
        self.sums, self.count, self.fresh = {}, 0, False

    def skip(self, rewards: Sequence[float], ended: bool, num_batches: int) -> None:
        """Records steps of one episode, whose batches are not measured."""
        self.left -= num_batches
        self.fresh = ended

    def before_update(self, batch: Batch, noise: Noise, epsilon: float) -> None:
        """Measures a batch before its update, if a measurement is due."""
        self.measuring = self.left == 0
        self.left = (self.left or self.interval) - 1
        if self.measuring:
            self.count += 1
            gradient, error = gradient_and_error(self.engine, batch, noise, epsilon)
            self._add(grad_norm=gradient, td_error=error)

    def after_update(self) -> None:
        """Called after every update."""

    def _add(self, **values: float) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def report(self, progress: Progress) -> Mapping[str, float | None]:
        """Returns the means over the episode's measurements; None if there were no measurements."""
        return {name: self.sums[name] / self.count if name in self.sums else None for name in self.columns}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the current episode's means and of the interval."""
        return {"left": self.left, "fresh": self.fresh, "sums": dict(self.sums), "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.left, self.fresh, self.count = state["left"], state["fresh"], state["count"]
        self.sums = dict(state["sums"])
