"""How updates change the Q-values of a fixed set of states."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dqn_lab.diagnostics._batch import target_q_values
from dqn_lab.diagnostics.basic import Basic, Count
from dqn_lab.registry import register
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Batch, Noise

STRIDE = 5  # random actions from one probe state to the next


@register("diagnostics", "probe")
class Probe(Basic):
    """Measures what `basic` measures, and the Q-values of a fixed set of states and of each episode's first state.

    The probe states are visited once by random actions in a separate environment. `target_gap` is the mean
    |Q_online − Q_target| over them; `churn` is the share whose greedy action one update changed (Schaul et al. 2022,
    "The Phenomenon of Policy Churn", https://arxiv.org/abs/2206.00730); `q_probe` the mean max Q. `q_start` is max Q at
    an episode's first state, and `return_discounted` the episode's discounted return: if the first stays above the
    second, values are overestimated, the exploring policy does worse than the greedy one, or a time limit cuts episodes
    off whose values go on.

    Args:
        num_states: the number of probe states.
    """

    columns = (*Basic.columns, "target_gap", "churn", "q_probe", "q_start", "return_discounted")

    def __init__(self, *supplied: Any, num_states: Count = 64, **shared: Any) -> None:
        super().__init__(*supplied, **shared)
        self.num_states = num_states
        self.states: Array | None = None  # [num_states, *O], from the first measurement on
        self.actions: Array | None = None  # greedy before an update
        self.q_start, self.score, self.factor = 0.0, 0.0, 1.0

    def begin(self, q_start: Callable[[], float]) -> None:
        """Starts the means and the discounted return of a new episode."""
        super().begin(q_start)
        self.q_start, self.score, self.factor = q_start(), 0.0, 1.0

    def skip(self, rewards: Sequence[float], ended: bool, num_batches: int) -> None:
        """Records steps of one episode, whose batches are not measured."""
        super().skip(rewards, ended, num_batches)
        for reward in rewards:
            self.score += self.factor * reward
            self.factor *= self.discount

    def before_update(self, batch: Batch, noise: Noise, epsilon: float) -> None:
        """Measures a batch and the probe states before an update, if a measurement is due."""
        super().before_update(batch, noise, epsilon)
        if self.measuring:
            if self.states is None:
                self.states = self._visit()
            self.actions = self.engine.q_values(self.states).argmax(1)

    def after_update(self) -> None:
        """Measures how the update has changed the probe states."""
        if not self.measuring:
            return
        assert self.states is not None
        q_values = self.engine.q_values(self.states)  # [num_states, A]
        self._add(
            target_gap=float(np.abs(q_values - target_q_values(self.engine, self.states)).mean()),
            churn=float((q_values.argmax(1) != self.actions).mean()),
            q_probe=float(q_values.max(1).mean()),
        )

    def _visit(self) -> Array:
        """Visits the probe states."""
        with contextlib.closing(self.make_env()) as env:
            seen = []
            num_actions = int(env.action_space.n)  # type: ignore[attr-defined]
            obs, ended = env.reset(seed=int(self.rng.integers(2**31)))[0], False
            for step in range(self.num_states * STRIDE):
                if ended:  # a last state has no Q-values to learn
                    obs = env.reset()[0]
                if step % STRIDE == 0:
                    seen.append(np.array(obs))
                obs, _, terminated, truncated, _ = env.step(int(self.rng.integers(num_actions)))
                ended = bool(terminated or truncated)
            return np.array(seen, env.observation_space.dtype)

    def report(self, progress: Progress) -> Mapping[str, float | None]:
        """Returns the episode's means, the first state's max Q, and the episode's discounted return."""
        return {**super().report(progress), "q_start": self.q_start, "return_discounted": self.score}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of the current episode and of the interval, and the probe states."""
        own = {"q_start": self.q_start, "score": self.score, "factor": self.factor}
        return {**super().state_dict(), **own, "states": None if self.states is None else self.states.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        super().load_state_dict(state)
        self.q_start, self.score, self.factor = state["q_start"], state["score"], state["factor"]
        self.states = None if state["states"] is None else state["states"].copy()
