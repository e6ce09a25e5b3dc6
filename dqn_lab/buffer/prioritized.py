"""Prioritised experience replay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from gymnasium import Space
from numpy.typing import NDArray
from typing_extensions import TypedDict

from dqn_lab.buffer._compiled import make_kernel
from dqn_lab.buffer._sum_tree import SumTree, Tree
from dqn_lab.buffer.uniform import Uniform, stored
from dqn_lab.registry import register
from dqn_lab.schedule import Constant, Linear, Progress, Tabulated, progress_of
from dqn_lab.types import Array, Batch, Kernel

TREE_BYTES = 10  # per transition: a double-precision leaf, and its share of the nodes above
Exponent = Annotated[float, Ge(0), Le(1)]


class ExponentRamp(TypedDict):
    """A linear schedule of an exponent over environment steps, the only unit that a buffer can count."""

    start: Exponent
    end: Exponent
    duration: Annotated[int, Gt(0)]
    unit: Literal["steps"]


ANNEALED: ExponentRamp = {"start": 0.4, "end": 1.0, "duration": 50_000, "unit": "steps"}


@register("buffer", "prioritized")
class Prioritized(Uniform):
    """Stores the latest transitions and draws those with a large TD error more often.

    Schaul, Quan, Antonoglou, Silver 2016, "Prioritized Experience Replay", https://arxiv.org/abs/1511.05952, the
    proportional variant. Transition i is drawn with probability P(i) = pᵢ^α / Σₖ pₖ^α, where α is `priority_exponent`,
    pᵢ = |δᵢ| + `priority_epsilon`, and δᵢ its TD error when it was last learned from. With a distributional `value`,
    the KL divergence (C51, as in Rainbow) or the mean absolute error over pairs of quantiles replaces |δᵢ|. A new
    transition gets the largest p so far, initially 1. The loss of transition i is weighted by (N · P(i))^−β, divided by
    the largest such weight; β is `importance_exponent` and N the number of transitions stored.

    Args:
        observation_space: defines the observations' shape and type.
        discount: γ.
        num_envs: the number of environments that append steps.
        capacity: transitions stored; the oldest is overwritten first.
        n_step: rewards summed before bootstrapping.
        priority_exponent: α; 0 draws uniformly, 1 in proportion to p.
        importance_exponent: β; 0 corrects none, 1 all of the bias of unequal sampling. Or
            `{start, end, duration, unit: steps}` for a linear schedule.
        priority_epsilon: added to each priority, so that every transition can be drawn.
        stratified: whether draw i of B comes from the i-th of B equal parts of the total mass, not from all of it.
        normalize: whether to divide by the largest weight in the `batch` or in the whole `buffer`.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        discount: float,
        num_envs: int,
        *,
        capacity: Annotated[int, Gt(0)] = 50_000,
        n_step: Annotated[int, Gt(0)] = 1,
        priority_exponent: Exponent = 0.6,
        importance_exponent: Exponent | ExponentRamp = ANNEALED,
        priority_epsilon: Annotated[float, Gt(0)] = 0.01,
        stratified: bool = True,
        normalize: Literal["batch", "buffer"] = "batch",
    ) -> None:
        self.extra = (2 if normalize == "buffer" else 1) * TREE_BYTES
        super().__init__(observation_space, discount, num_envs, capacity=capacity, n_step=n_step)
        self.priority_exponent, self.priority_epsilon = priority_exponent, priority_epsilon
        self.importance_exponent = _exponent(importance_exponent)
        self.stratified = stratified
        self.masses = SumTree(capacity)  # p^priority_exponent of every transition
        self.least = Tree(capacity, minimum=True) if normalize == "buffer" else None
        self.largest = 1.0  # the largest p so far
        from dqn_lab import _numba  # imported late, because it takes long
        from dqn_lab.buffer import _tree_kernels

        numbers = np.empty(0)
        self._rank = _numba.prepare(_tree_kernels.rank, numbers, 0.0, 0.0, numbers)
        self._weigh = _numba.prepare(_tree_kernels.weigh, numbers, 0.0, 0.0, numbers.astype(np.float32))
        self.num_steps = 0  # steps appended, in all environments
        self._place, self._mass = np.zeros(1, np.int64), np.zeros(1)  # the newest transition's

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the steps of the pseudo-code."""
        own, beta = config["buffer"], config["buffer"]["importance_exponent"]
        shown = f"{beta:g}" if isinstance(beta, float) else f"{beta['start']:g} … {beta['end']:g}"
        return {
            "store": stored(own["capacity"], own["n_step"]),
            "draw": f"draw {config['train']['batch_size']} transitions (s, a, r, s′, γ′) with probability "
            f"∝ (priority + {own['priority_epsilon']:g})^{own['priority_exponent']:g}, "
            f"weighted by (N · P)^−β, β = {shown}",
            "rank": "the priority of each of them",
        }

    @property
    def nbytes(self) -> int:
        """Memory of the stored transitions and of their priorities, in bytes."""
        return super().nbytes + self.masses.nodes.nbytes + (self.least.nodes.nbytes if self.least else 0)

    def append(
        self, env_index: int, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool
    ) -> None:
        """Adds one step of environment `env_index`, and stores the transitions that it completes."""
        self.num_steps += 1
        for step in self.windows.push(env_index, obs, action, reward, next_obs, terminated, truncated):
            self._place[0], self._mass[0] = self.ring.append(*step), self.largest**self.priority_exponent
            self._put(self._place, self._mass)

    def sample(self, draws: NDArray[np.float64]) -> Batch:
        """Draws a batch from uniform numbers in [0, 1), [B], with its importance weights, [B], in (0, 1]."""
        indices, masses = self.masses.find(draws, self.stratified)
        least = 0.0 if self.least is None else self.least.root
        weights = np.empty(len(draws), np.float32)
        self._weigh(masses, least, self.importance_exponent(progress_of((self.num_steps, 0, 0))), weights)
        return self.ring.batch(indices, weights)

    def update_priorities(self, indices: NDArray[np.int64], priorities: Array) -> None:
        """Sets the priorities [B] of transitions just learned from; if a transition occurs twice, the last one counts.

        Raises:
            ValueError: one of them is negative or not finite.
        """
        masses = np.empty(len(priorities))
        td_errors = priorities.astype(np.float64)  # a copy, of one type to compile for
        low, high = self._rank(td_errors, self.priority_epsilon, self.priority_exponent, masses)
        if not 0 <= low <= high < math.inf:
            raise ValueError(f"priorities from {low} to {high}: must be finite and at least 0")
        self.largest = max(self.largest, high + self.priority_epsilon)
        self._put(indices, masses)

    def _put(self, indices: NDArray[np.int64], masses: NDArray[np.float64]) -> None:
        self.masses.put(indices, masses)
        if self.least is not None:
            self.least.put(indices, masses)

    def kernel(self) -> Kernel:
        """Returns its equivalent in compiled code, for environment 0."""
        from dqn_lab.buffer import _kernels  # imported late, because it loads numba

        curve, largest = Tabulated(self.importance_exponent), np.zeros(1)
        scratch = np.empty(self.ring.capacity), np.empty(self.ring.capacity)

        def enter(counts: NDArray[np.int64], before: Progress, after: Progress) -> None:
            counts[_kernels.STEPS], largest[0] = self.num_steps, self.largest
            last = self.num_steps + after.step - before.step
            curve.cover(Progress(self.num_steps), Progress(last))

        def leave(counts: NDArray[np.int64]) -> None:
            self.num_steps, self.largest = int(counts[_kernels.STEPS]), float(largest[0])

        settings = self.priority_epsilon, self.priority_exponent, self.stratified
        none = np.empty(0), np.empty(0, np.int64)
        least = self.least.shape if self.least else none
        more = self.masses.shape, least, settings, largest, (curve.values, curve.start), scratch
        functions = "append_prioritized", "ready", "sample_prioritized", "take_priorities"
        return make_kernel(functions, self.ring, self.windows, more, enter, leave)

    def state_dict(self) -> dict[str, Any]:
        """Returns the stored transitions, the unfinished windows, and what the next draws depend on."""
        masses = self.masses.leaves[: self.ring.size].copy()
        own = {"masses": masses, "largest": self.largest, "num_steps": self.num_steps}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        super().load_state_dict(state)
        self.masses.fill(state["masses"])
        if self.least is not None:
            self.least.fill(state["masses"])
        self.largest, self.num_steps = state["largest"], state["num_steps"]


def _exponent(value: Exponent | ExponentRamp) -> Callable[[Progress], float]:
    return Linear(**value) if isinstance(value, dict) else Constant(value)
