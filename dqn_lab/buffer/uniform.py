"""Uniform experience replay."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from gymnasium import Space
from numpy.typing import NDArray

from dqn_lab.buffer._compiled import make_kernel
from dqn_lab.buffer._frames import make_ring
from dqn_lab.buffer._windows import Windows
from dqn_lab.registry import register
from dqn_lab.types import Array, Batch, Kernel


@register("buffer", "uniform")
class Uniform:
    """Stores the latest transitions and draws them uniformly.

    Lin 1992, "Self-improving reactive agents based on reinforcement learning, planning and teaching",
    https://doi.org/10.1007/BF00992699; Mnih et al. 2015, https://doi.org/10.1038/nature14236.

    Args:
        observation_space: defines the observations' shape and type.
        discount: γ.
        num_envs: the number of environments that append steps.
        capacity: transitions stored; the oldest is overwritten first.
        n_step: rewards summed before bootstrapping.
        replacement: whether a batch may contain a transition twice.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        discount: float,
        num_envs: int,
        *,
        capacity: Annotated[int, Gt(0)] = 50_000,
        n_step: Annotated[int, Gt(0)] = 1,
        replacement: bool = True,
    ) -> None:
        self.ring = make_ring(observation_space, capacity, self.extra)
        self.windows = Windows(n_step, discount, num_envs)
        self.replacement = replacement

    extra = 0  # bytes per transition in addition to the transition itself

    @classmethod
    def check(cls, config: Mapping[str, Any]) -> Iterator[str]:
        """train.batch_size and buffer.n_step must be at most buffer.capacity."""
        own, batch_size = config["buffer"], config["train"]["batch_size"]
        capacity, n_step = own.get("capacity", math.inf), own.get("n_step", 1)  # a derived component may lack them
        if batch_size > capacity:
            yield f"train.batch_size={batch_size}: must be at most buffer.capacity={capacity}"
        if n_step > capacity:
            yield f"buffer.n_step={n_step}: must be at most buffer.capacity={capacity}"

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the steps of the pseudo-code."""
        own, size = config["buffer"], config["train"]["batch_size"]
        again = "" if own.get("replacement", True) else ", all different"
        return {
            "store": stored(own["capacity"], own.get("n_step", 1)),
            "draw": f"draw {size} transitions (s, a, r, s′, γ′) uniformly{again}",
        }

    @property
    def nbytes(self) -> int:
        """Memory of the stored transitions, in bytes."""
        return self.ring.nbytes

    def __len__(self) -> int:
        return self.ring.size

    def append(
        self, env_index: int, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool
    ) -> None:
        """Adds one step of environment `env_index`, and stores the transitions that it completes."""
        if self.windows.n_step == 1:  # every step completes its window
            self.ring.append(obs, action, reward, next_obs, 0.0 if terminated else self.windows.discount)
            return
        for step in self.windows.push(env_index, obs, action, reward, next_obs, terminated, truncated):
            self.ring.append(*step)

    def ready(self, batch_size: int) -> bool:
        """Returns whether a whole batch is stored."""
        return self.ring.size >= batch_size

    def sample(self, draws: NDArray[np.float64]) -> Batch:
        """Draws a batch from uniform numbers in [0, 1), [B]."""
        if self.replacement:
            indices = (draws * float(self.ring.size)).astype(np.int64)
        else:
            indices = without_replacement(draws, self.ring.size)
        return self.ring.batch(indices)

    def update_priorities(self, indices: NDArray[np.int64], priorities: Array) -> None:
        """Does nothing: there are no priorities."""

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code, for environment 0."""
        order = np.arange(0 if self.replacement else self.ring.capacity)
        functions = "append", "ready", "sample_uniform", "keep_priorities"
        return make_kernel(functions, self.ring, self.windows, (order,))

    def state_dict(self) -> dict[str, Any]:
        """Returns the stored transitions and the unfinished windows."""
        return {"ring": self.ring.state_dict(), "windows": self.windows.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.ring.load_state_dict(state["ring"])
        self.windows.load_state_dict(state["windows"])


def without_replacement(draws: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Draws distinct indices below `size`: the first steps of a Fisher-Yates shuffle that moves only what it touches.

    Args:
        draws: uniform numbers in [0, 1), [B] with B ≤ size.
        size: the number of indices to choose from.

    Returns:
        [B], every ordered choice equally likely.
    """
    moved: dict[int, int] = {}
    chosen = np.empty(len(draws), np.int64)
    for position, draw in enumerate(draws.tolist()):
        other = position + int(draw * (size - position))
        chosen[position] = moved.get(other, other)
        moved[other] = moved.get(position, position)
    return chosen


def stored(capacity: int, n_step: int) -> str:
    """Describes what a replay buffer stores, for `explain`."""
    stored = f"store (s, a, r, s′) among the last {capacity:,} transitions"
    if n_step == 1:
        return stored
    window = f"s, a of k = {n_step} steps before, r the discounted sum of the k rewards"
    return f"{stored}: {window}; k is less at an episode's end"
