"""Transitions in arrays; the newest overwrites the oldest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import Space
from numpy.typing import NDArray

from dqn_lab._memory import available, check_memory, num_workers
from dqn_lab.statefile import Rows
from dqn_lab.types import Array, Batch, Transition


class Ring:
    """A ring buffer of transitions, with one array per field.

    Args:
        observation_space: defines the observations' shape and type.
        capacity: the largest number of transitions stored.
        extra: bytes per transition that the buffer needs in addition to these arrays.

    Raises:
        ValueError: the machine's memory is too small for them.
    """

    def __init__(self, observation_space: Space[Any], capacity: int, extra: int = 0) -> None:
        shape, dtype = observation_space.shape or (), np.dtype(observation_space.dtype)
        _check_memory(capacity, 2 * math.prod(shape) * dtype.itemsize + 16 + extra)
        self.capacity = capacity
        self.written = 0  # transitions ever stored, including overwritten ones
        self.arrays: Transition[Array] = Transition(
            obs=np.zeros((capacity, *shape), dtype),
            action=np.zeros(capacity, np.int64),
            reward=np.zeros(capacity, np.float32),
            next_obs=np.zeros((capacity, *shape), dtype),
            discount=np.zeros(capacity, np.float32),
        )

    @property
    def size(self) -> int:
        """How many transitions are stored."""
        return min(self.written, self.capacity)

    @property
    def head(self) -> int:
        """Where the next transition goes."""
        return self.written % self.capacity

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in bytes."""
        return sum(array.nbytes for array in self.arrays)

    def append(self, obs: Any, action: int, reward: float, next_obs: Any, discount: float) -> int:
        """Stores one transition and returns where."""
        index = self.written % self.capacity
        all_obs, actions, rewards, all_next_obs, discounts = self.arrays
        all_obs[index] = obs
        actions[index] = action
        rewards[index] = reward
        all_next_obs[index] = next_obs
        discounts[index] = discount
        self.written += 1
        return index

    def batch(self, indices: NDArray[np.int64], weights: Array | None = None) -> Batch:
        """Returns the transitions at `indices` [B] as a batch, which refers to the arrays."""
        return Batch(self.arrays, weights, indices, indices)

    def gather(self, indices: NDArray[np.int64]) -> Transition[Array]:
        """Copies the transitions at `indices` [B]."""
        return Transition(*[array.take(indices, axis=0) for array in self.arrays])

    def state_dict(self) -> dict[str, Any]:
        """Returns what is stored, without copying it."""
        return {name: Rows(array, self.written) for name, array in self.arrays._asdict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.written = state["obs"].written
        for name, array in self.arrays._asdict().items():
            state[name].copy_to(array)


def _check_memory(capacity: int, itemsize: int) -> None:
    """Checks that the full arrays fit into memory, which the system allocates only as it is written, hours later.

    Raises:
        ValueError: they do not fit.
    """
    problem = check_memory(capacity * itemsize)
    if problem:
        most = (available() or 0) // num_workers() // itemsize
        raise ValueError(f"capacity={capacity}: {problem}; at most {most:,} transitions of this environment fit")
