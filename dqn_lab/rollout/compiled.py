"""Environment, agent and loop in compiled code: many steps of a run in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import gymnasium

from dqn_lab.agent import Agent, loss_error
from dqn_lab.hooks import Reports, noise_source
from dqn_lab.registry import register
from dqn_lab.rollout._episode import Tally, episode_row
from dqn_lab.rollout._obstacles import obstacles
from dqn_lab.rollout._watch import Watch
from dqn_lab.rollout.python import PythonRollout, located
from dqn_lab.schedule import Progress, progress_of
from dqn_lab.types import Batch, Row, StateError, Stride

if TYPE_CHECKING:
    from dqn_lab.rollout._parts import Parts

LONGEST = 1024  # steps of a stride: hundredths of a second, so that Ctrl-C and the display respond


@register("rollout", "compiled")
class CompiledRollout(PythonRollout):
    """Runs many steps in one call of compiled code: the same bytes as `python`, several times as fast.

    The state is that of the Python rollout and stays in its objects. A stride begins by passing their arrays to
    compiled code, and ends by writing back what is not shared.

    Args:
        agent: acts and learns; its engine, buffer, exploration and target must have kernels.
        make_env: makes the environment, which must have kernels.
        seed: the seed of the environment's first reset; later episodes continue with its own generator.
        reporters: the parts that add columns to an episode's row; with any but diagnostics, strides end with episodes.
    """

    @staticmethod
    def check(config: Mapping[str, Any]) -> Iterator[str]:
        """The environment, exploration, buffer and target must have kernels, and the engine must be `fused`."""
        for obstacle in obstacles(config):
            yield f"rollout=compiled: {obstacle}; rollout=python runs it"

    def __init__(
        self, agent: Agent, make_env: Callable[[], gymnasium.Env[Any, Any]], seed: int, reporters: Sequence[Reports]
    ) -> None:
        super().__init__(agent, make_env, seed, reporters)
        self.watch = None if agent.diagnostics is None else Watch(agent, agent.diagnostics)
        # reporters must see the networks at an episode's end; a noisy network's max Q at its start is not compiled
        others = [reporter for reporter in reporters if reporter is not agent.diagnostics]
        self.crosses = not others and (self.watch is None or noise_source(agent.engine.online) is None)
        self.parts: Parts | None = None
        self.failure: Exception | None = None

    def advance(self, until: Progress) -> Stride:
        """Acts, steps, observes and learns, through any number of episodes, up to `until` or less far.

        Raises:
            TrainingError: the environment raised or returned something invalid, or a loss was not finite.
        """
        if self.failure is not None:
            raise self.failure
        env, before = self._env(), self.progress
        if self.parts is None:
            from dqn_lab.rollout._parts import Parts  # imported late, because it loads numba

            self.parts = Parts(self.agent, env, LONGEST)
        if self.watch is not None:
            measured = self.watch.next_measured(before)
            if measured == before.step + 1:
                return super().advance(until._replace(step=measured))
            until = until._replace(step=min(until.step, measured - 1))
        if self.obs is None and (not before.episode or (self.watch is not None and not self.crosses)):
            self.obs = self._reset(env)  # the first reset has a seed
            if self.watch is not None:
                self.watch.begin(self.obs)
        if not self.crosses:
            until = until._replace(episode=min(until.episode, before.episode + 1))
        if self.watch is not None:
            self.watch.enter(before.step, self.tally.num_batches, begins=self.obs is None)
        self.failure = self._play(self.parts, until)
        if self.failure is not None and self.progress == before:
            raise self.failure
        return Stride(before, self.progress, self._rows(self.parts, before))

    def _play(self, parts: Parts, until: Progress) -> Exception | None:
        """Passes the run's state to compiled code, continues, and takes the state back; returns the error, if any."""
        reach = parts.enter(self.progress, astuple(self.tally), self.obs)
        raised: Exception | None = None
        why, number = 0, 0.0
        try:
            why, number = parts.play(Progress(*map(min, until, reach)))
        except Exception as error:  # raised by the environment: no other kernel raises
            raised = error
        self.progress, sums, self.obs = parts.leave()
        self.tally = _tally(sums)
        return self._explain(parts, why, number, raised) if why or raised else None

    def _rows(self, parts: Parts, before: Progress) -> list[Row]:
        """Builds the rows of the episodes that ended since a point of the run."""
        rows = []
        for *sums, step, updates in parts.ended[: self.progress.episode - before.episode].tolist():
            tally, end = _tally(sums), progress_of((int(step), self.start.episode + 1, int(updates)))
            if self.watch is not None:
                self.watch.tell(parts, end.step, tally.num_batches, ended=True)
            reported = self.agent.exploration.report(self.start)
            rows.append(episode_row(tally, self.start, end, reported, self.reporters))
            self.start = end
        if self.watch is not None:
            self.watch.tell(parts, self.progress.step, self.tally.num_batches, ended=False)
        return rows

    def _explain(self, parts: Parts, why: int, number: float, raised: Exception | None) -> Exception:
        """Returns what the Python rollout would have raised."""
        from dqn_lab.rollout import _kernels

        rows, _, _, priorities = parts.room
        if why == _kernels.LOSS_NOT_FINITE:
            batch = Batch(parts.memory, None, rows, rows)
            return loss_error(number, self.progress, batch, self.agent.outside)
        if why == _kernels.PRIORITY_UNFIT:
            low, high = priorities.min(), priorities.max()
            return ValueError(f"priorities from {low} to {high}: must be finite and at least 0")
        error = located(parts.env_error(why, number, raised), self.progress)
        error.__cause__ = raised
        return error

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the rest of the run depends on.

        Raises:
            StateError: the environment cannot be saved, or the next step has already failed.
        """
        if self.failure is not None:
            raise StateError(f"the step after it failed: {self.failure}")
        return super().state_dict()


def _tally(sums: list[float]) -> Tally:
    score, length, loss, q_value, num_batches = sums
    return Tally(score, int(length), loss, q_value, int(num_batches))
