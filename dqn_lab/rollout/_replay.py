"""An episode that can be played again: how environments are restored whose state cannot be set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from dqn_lab import interrupt
from dqn_lab.env import state
from dqn_lab.types import Array, StateError, one_line


class Recording:
    """The episode under way, or the last one when it has ended: what it began with, its actions, and what came of them.

    Playing it again puts a fresh environment where this one is, generators included. Whether it did so shows in the
    last observation and in the sum of the rewards.

    Args:
        env: which it is of.
        seed: of the run's first reset.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], seed: int) -> None:
        self.name, self.seed = type(env.unwrapped).__name__, seed
        self.origin: dict[str, Any] | None = None  # None for the run's first episode, which begins with the seed
        self.actions: list[int] = []
        self.obs: Array = np.zeros(0)
        self.score = 0.0
        self._refusal: StateError | None = None  # why no episode of this environment can be played again
        self._checked = False

    def begin(self, env: gymnasium.Env[Any, Any], first: bool) -> None:
        """Notes what the reset that follows depends on."""
        self.origin, self.actions = None if first else state.save_origin(env), []

    def extend(self, actions: Sequence[int], obs: Array, score: float) -> None:
        """Adds the actions of a stride, the observation that it ended with, and the return so far."""
        self.actions += actions
        self.obs, self.score = obs, score

    def check(self, make_env: Callable[[], gymnasium.Env[Any, Any]]) -> None:
        """Plays an episode again once in a run, in an environment of its own: better refused now than at the resume.

        The first episode shows little, because its seed is known. A process that is asked to stop has no time for it,
        and leaves it.

        Raises:
            StateError: it came out differently.
        """
        if self._checked or self.origin is None or interrupt.asked.number is not None:
            if self._refusal is not None:
                raise self._refusal
            return
        self._checked = True
        try:
            with contextlib.closing(make_env()) as env:
                self.play(env, patiently=False)
        except Exception as error:  # there may be no second environment
            self._refusal = error if isinstance(error, StateError) else self._refuse(f"making another {_failed(error)}")
            raise self._refusal from error

    def play(self, env: gymnasium.Env[Any, Any], patiently: bool = True) -> None:
        """Plays the episode again.

        Args:
            env: a fresh one.
            patiently: to its end, even if the process is asked to stop.

        Raises:
            StateError: it came out differently.
        """
        try:
            obs, score = self._play(env, patiently)
        except Exception as error:  # the environment's own, or of a state that is not its
            raise self._refuse(f"playing its episode again {_failed(error)}") from error
        if obs.tobytes() != self.obs.tobytes() or repr(score) != repr(self.score):  # NaN is like NaN
            raise self._refuse("its episode came out differently when it was played again")

    def _play(self, env: gymnasium.Env[Any, Any], patiently: bool) -> tuple[Array, float]:
        if self.origin is not None:
            state.load_origin(env, self.origin)
        obs, score = env.reset(seed=self.seed if self.origin is None else None)[0], 0.0
        for action in self.actions:
            if not patiently and interrupt.asked.number is not None:
                return self.obs, self.score
            obs, reward, *_ = env.step(action)
            score += float(reward)
        return obs, score

    def state_dict(self) -> dict[str, Any]:
        """Returns all of it, as arrays and plain values."""
        return {"origin": self.origin, "actions": np.array(self.actions, int), "obs": self.obs, "score": self.score}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.origin, self.actions = saved["origin"], saved["actions"].tolist()
        self.obs, self.score = saved["obs"], saved["score"]

    def _refuse(self, reason: str) -> StateError:
        return StateError(f"{self.name}: cannot be saved, because {reason}; give it state_dict and load_state_dict")


def _failed(error: Exception) -> str:
    return f"failed: {one_line(error)}"
