"""Diagnostics in a compiled rollout: they learn about a stride after it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dqn_lab.agent import Agent
from dqn_lab.hooks import MeasuresSome
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Diagnostics

if TYPE_CHECKING:
    from dqn_lab.rollout._parts import Parts


class Watch:
    """Decides which step must be run from Python to be measured, and tells diagnostics about the compiled steps.

    Args:
        agent: the agent that learns.
        diagnostics: diagnostics that measure some of its batches.
    """

    def __init__(self, agent: Agent, diagnostics: Diagnostics) -> None:
        self.agent, self.diagnostics = agent, cast(MeasuresSome, diagnostics)

    def next_measured(self, progress: Progress) -> int:
        """Returns the first step whose batch may have to be measured."""
        learning, num_between = self.agent.learning, self.diagnostics.num_unmeasured // self.agent.num_updates
        return learning.next(progress).step + num_between * learning.interval

    def begin(self, obs: Array) -> None:
        """Called when an episode begins outside of a stride."""
        self.diagnostics.begin(lambda: float(self.agent.greedy(obs[None]).max()))

    def enter(self, step: int, num_batches: int, begins: bool) -> None:
        """Called before a stride, with its first episode's batches so far, and whether that episode begins in it."""
        self.first = self.step = step
        self.num_batches, self.begins, self.num_told = num_batches, begins, 0

    def tell(self, parts: Parts, step: int, num_batches: int, ended: bool) -> None:
        """Tells diagnostics about one episode's part of a stride.

        Args:
            parts: the parts whose arrays the stride has filled.
            step: the run's step at the end of that part.
            num_batches: the episode's batches by then.
            ended: whether the episode ended there.
        """
        if step == self.step:
            return
        rewards, q_starts = parts.heard
        if self.begins:
            q_start = float(q_starts[self.num_told])
            self.diagnostics.begin(lambda: q_start)
        rewards = rewards[self.step - self.first : step - self.first]
        if self.agent.max_reward is not None:
            rewards = rewards.clip(-self.agent.max_reward, self.agent.max_reward)
        self.diagnostics.skip(rewards.tolist(), ended, num_batches - self.num_batches)
        self.step, self.num_batches, self.begins = step, 0, True
        self.num_told += 1
