"""Arrays that describe what a policy has learned, so that figures can be drawn without its networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One greedy episode of T steps.

    Args:
        seed: the episode's seed.
        obs: flattened, [T + 1, D].
        q_values: [T + 1, A].
        actions: [T].
        rewards: the environment's own, [T].
        discount: γ.
        clipped: the bound to which rewards are clipped in learning; None if they are not clipped.
        truncated: whether the time limit ended the episode, so that rewards beyond its end are missing.
    """

    seed: int
    obs: Array
    q_values: Array
    actions: Array
    rewards: Array
    discount: float
    truncated: bool
    clipped: float | None = None

    @property
    def learned(self) -> Array:
        """The rewards as the agent learns from them, [T]."""
        limit = self.clipped or np.inf
        return np.clip(self.rewards, -limit, limit)

    @property
    def actual_return(self) -> Array:
        """The discounted sum of the learned rewards from each state on, [T + 1]; 0 at the end."""
        return self._sum(0.0)

    @property
    def bootstrapped_return(self) -> Array:
        """The same, with the last state's largest Q-value for the rewards that a time limit cut off, [T + 1]."""
        return self._sum(float(self.q_values[-1].max()) if self.truncated else 0.0)

    def _sum(self, last: float) -> Array:
        rewards = self.learned
        sums = np.empty(len(rewards) + 1)
        sums[-1] = last
        for step in range(len(rewards) - 1, -1, -1):
            sums[step] = rewards[step] + self.discount * sums[step + 1]
        return sums


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Q-values over two dimensions of the state, with the others held fixed.

    Args:
        dimensions: two indices, the horizontal one first.
        x, y: the coordinates, [N] and [M].
        q_values: [M, N, A].
        held: the state that supplies the other dimensions' values, [D].
    """

    dimensions: tuple[int, int]
    x: Array
    y: Array
    q_values: Array
    held: Array


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """The distribution of each action's return in a state: values [A, K] and their probabilities [A, K]."""

    step: int
    values: Array
    masses: Array


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A map of states, as the environment draws it, with each state's place, greedy action and value.

    Args:
        title: which states the map shows.
        picture: [H, W, 3].
        places: the states' centres in pixels, [S, 2].
        actions: greedy, [S]; −1 where all actions have the same value.
        values: max Q, [S].
    """

    title: str
    picture: Array
    places: Array
    actions: Array
    values: Array


@dataclass(frozen=True, kw_only=True)
class States:
    """All states of an environment.

    Args:
        names: the names of each state's numbers, [D].
        states: [S, D].
        q_values: [S, A].
    """

    names: Sequence[str]
    states: Array
    q_values: Array


@dataclass(frozen=True, kw_only=True)
class Features:
    """The last layer's inputs over visited states, [N, F]."""

    values: Array

    def effective_rank(self, rest: float = 0.01) -> int:
        """Returns the smallest number of singular values whose sum is at least 1 − `rest` of the total.

        Kumar, Agarwal, Ghosh, Levine 2021, "Implicit Under-Parameterization Inhibits Data-Efficient Deep Reinforcement
        Learning", https://arxiv.org/abs/2010.14498.
        """
        singular = np.linalg.svd(self.values, compute_uv=False)
        if not singular.sum():
            return 0
        return int(np.searchsorted(np.cumsum(singular) / singular.sum(), 1 - rest) + 1)

    def dormant(self, threshold: float = 0.025) -> float:
        """Returns the share of units whose mean absolute value is at most `threshold` times the mean over all units.

        Sokar, Agarwal, Castro, Evci 2023, "The Dormant Neuron Phenomenon in Deep Reinforcement Learning",
        https://arxiv.org/abs/2302.12902.
        """
        size = np.abs(self.values).mean(0)
        return float((size <= threshold * size.mean()).mean())


@dataclass(frozen=True, kw_only=True)
class Insight:
    """Everything that a page shows about one policy."""

    label: str
    task: str
    policy: str
    step: int
    dimensions: Sequence[str]
    action_names: Sequence[str]
    walk: Walk
    returns: Array  # the greedy episodes' returns
    counts: Array  # how often each action is taken in them, [A]
    planes: Sequence[Plane] = field(default=())
    distributions: Sequence[Distribution] = field(default=())
    charts: Sequence[Chart] = field(default=())
    states: States | None = None
    features: Features | None = None
