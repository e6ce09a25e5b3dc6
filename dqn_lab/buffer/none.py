"""No replay: learning from the transition just stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from dqn_lab.buffer._compiled import make_kernel
from dqn_lab.buffer._ring import Ring
from dqn_lab.buffer._windows import Windows
from dqn_lab.registry import register
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Batch, Kernel


@register("buffer", "none")
class NoReplay:
    """Learns once from the transition just stored, a batch of one: `train.batch_size` and `num_updates` do not apply.

    A comparison with replay changes the batch size too; `buffer=uniform buffer.capacity=64` keeps it fixed.

    Args:
        observation_space: defines the observations' shape and type.
        discount: γ.
        num_envs: the number of environments that append steps.
    """

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """Other batch settings than the defaults have no effect."""
        for key, default in {"batch_size": 64, "minibatch_size": None, "num_updates": 1}.items():
            value = config["train"][key]
            if value not in (1, default):
                yield f"buffer=none, train.{key}={value}: has no effect; a batch is the transition just stored"

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the step of the pseudo-code."""
        return {"draw": "take the transition just stored, (s, a, r, s′, γ′), once"}

    def __init__(self, observation_space: Space[Any], discount: float, num_envs: int) -> None:
        self.ring = Ring(observation_space, 1)
        self.windows = Windows(1, discount, num_envs)
        self.fresh = False

    def append(
        self, env_index: int, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool
    ) -> None:
        """Stores one step and forgets the previous one."""
        for step in self.windows.push(env_index, obs, action, reward, next_obs, terminated, truncated):
            self.ring.append(*step)
        self.fresh = True

    def ready(self, batch_size: int) -> bool:
        """Returns whether the transition has not been learned from yet."""
        return self.fresh

    def sample(self, draws: NDArray[np.float64]) -> Batch:
        """Returns the one transition; the draws are ignored."""
        self.fresh = False
        indices = np.zeros(1, np.int64)
        return self.ring.batch(indices)

    def update_priorities(self, indices: NDArray[np.int64], priorities: Array) -> None:
        """Does nothing: there are no priorities."""

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code, for environment 0."""
        from dqn_lab.buffer import _kernels  # imported late, because it loads numba

        def enter(counts: NDArray[np.int64], before: Progress, after: Progress) -> None:
            counts[_kernels.FRESH] = self.fresh

        def leave(counts: NDArray[np.int64]) -> None:
            self.fresh = bool(counts[_kernels.FRESH])

        functions = "append", "ready_once", "sample_latest", "keep_priorities"
        return make_kernel(functions, self.ring, self.windows, (), enter, leave)

    def state_dict(self) -> dict[str, Any]:
        """Returns the transition, and whether it is fresh."""
        return {"ring": self.ring.state_dict(), "fresh": self.fresh}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.ring.load_state_dict(state["ring"])
        self.fresh = state["fresh"]
