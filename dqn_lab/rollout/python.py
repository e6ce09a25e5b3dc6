"""Any environment, stepped from Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium

from dqn_lab import interrupt
from dqn_lab.agent import Agent, action_problem
from dqn_lab.env import state
from dqn_lab.hooks import Reports
from dqn_lab.registry import register
from dqn_lab.rollout._episode import Tally, episode_row
from dqn_lab.rollout._replay import Recording
from dqn_lab.schedule import Progress, progress_of
from dqn_lab.types import Array, Row, Stride, TrainingError

LONGEST = 256  # steps of a stride, so that the display shows the progress of a long episode


@register("rollout", "python")
class PythonRollout:
    """Steps an environment and its agent in turn, from Python: any environment, any composition.

    Args:
        agent: acts and learns.
        make_env: makes the environment, a `Checked` one, when it is first needed.
        seed: the seed of the environment's first reset; later episodes continue with its own generator.
        reporters: the parts, besides the exploration, that add columns to an episode's row.
    """

    def __init__(
        self, agent: Agent, make_env: Callable[[], gymnasium.Env[Any, Any]], seed: int, reporters: Sequence[Reports]
    ) -> None:
        self.agent, self.make_env, self.seed, self.reporters = agent, make_env, seed, reporters
        self.progress = self.start = Progress()  # now, and at the start of the episode
        self.tally = Tally()
        self.reported: Mapping[str, float] = {}  # the exploration's columns for the last episode that ended
        self.obs: Array | None = None  # None between episodes
        self.env: gymnasium.Env[Any, Any] | None = None
        self.recording: Recording | None = None  # only for an environment whose state cannot be set

    def advance(self, until: Progress) -> Stride:
        """Acts, steps, observes and learns: to the episode's end, or to `until` in any of its units.

        It stops earlier if the stride gets long, or if the process is asked to stop.

        Raises:
            TrainingError: the environment raised or returned something invalid, or a loss was not finite.
        """
        env = self._env()
        obs = self._reset(env) if self.obs is None else self.obs
        agent, tally, before = self.agent, self.tally, self.progress
        progress, last_step, last_update, ended = before, min(until.step, before.step + LONGEST), until.updates, False
        asked, actions = interrupt.asked, list[int]()
        num_actions = int(env.action_space.n)  # type: ignore[attr-defined]
        while not ended and (
            progress is before
            or (progress.step < last_step and progress.updates < last_update and asked.number is None)
        ):
            action = agent.act(obs, progress)
            if type(action) is not int or not 0 <= action < num_actions:  # fast, before the full check
                self._check_action(action, num_actions)
            try:
                next_obs, reward, terminated, truncated, _ = env.step(action)
                reward = float(reward)
            except TrainingError as error:
                raise located(error, progress) from error
            actions.append(action)
            ended = terminated or truncated
            if ended:  # before the exploration learns of it, and may forget what it would report
                self.reported = agent.exploration.report(self.start)
            agent.observe(obs, action, reward, next_obs, terminated, truncated)
            after = progress_of((progress.step + 1, progress.episode + ended, progress.updates))
            self.progress, updates = agent.learn(progress, after)
            progress = self.progress
            tally.add(reward, updates)
            obs = next_obs
        if self.recording is not None:
            self.recording.extend(actions, obs, tally.score)
        self.obs = None if ended else obs
        return Stride(before, progress, (self._end_episode(),) if ended else ())

    def _check_action(self, action: Any, num_actions: int) -> None:
        if problem := action_problem(self.agent.exploration, action, num_actions):
            raise located(TrainingError(problem), self.progress)

    def _env(self) -> gymnasium.Env[Any, Any]:
        if self.env is None:
            self.env = self.make_env()
            self.recording = None if state.is_exact(self.env) else Recording(self.env, self.seed)
        return self.env

    def _reset(self, env: gymnasium.Env[Any, Any]) -> Array:
        first = self.progress.episode == 0
        try:
            if self.recording is not None:
                self.recording.begin(env, first)
            obs: Array = env.reset(seed=self.seed if first else None)[0]
        except TrainingError as error:
            raise located(error, self.progress) from error
        return obs

    def _end_episode(self) -> Row:
        row = episode_row(self.tally, self.start, self.progress, self.reported, self.reporters)
        self.tally, self.start = Tally(), self.progress
        return row

    def close(self) -> None:
        """Closes the environment."""
        if self.env is not None:
            self.env.close()

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the rest of the run depends on.

        Raises:
            StateError: the environment cannot be saved.
        """
        env: dict[str, Any] | None = None
        if self.recording is not None:
            self.recording.check(self.make_env)
            env = self.recording.state_dict()
        elif self.env is not None:
            env = state.save(self.env)
        return {
            "progress": list(self.progress),
            "start": list(self.start),
            "tally": self.tally.state_dict(),
            "obs": None if self.obs is None else self.obs.copy(),
            "env": env,
            "agent": self.agent.state_dict(),
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned.

        Raises:
            StateError: the environment cannot be restored.
        """
        self.progress, self.start = progress_of((*saved["progress"],)), progress_of((*saved["start"],))
        self.tally.load_state_dict(saved["tally"])
        self.obs = None if saved["obs"] is None else saved["obs"].copy()
        if saved["env"] is not None:
            env = self._env()
            if self.recording is None:
                state.load(env, saved["env"])
            else:
                self.recording.load_state_dict(saved["env"])
                self.recording.play(env)
        self.agent.load_state_dict(saved["agent"])


def located(error: TrainingError, progress: Progress) -> TrainingError:
    """Adds to an environment's error where in the run it happened."""
    return TrainingError(f"{error} (episode {progress.episode}, step {progress.step + 1} of the run)")
