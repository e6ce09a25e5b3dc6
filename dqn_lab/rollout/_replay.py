"""Restores environments whose state cannot be set, by playing an episode again."""

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
    """The current episode, or the last one if it has ended: its origin, its actions, and their result.

    Playing it again brings a fresh environment to the same state, including its generators. To check this, the last
    observation and the sum of the rewards are compared.

    Args:
        env: the environment that is recorded.
        seed: the seed of the run's first reset.
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
        """Records what the next reset depends on."""
        self.origin, self.actions = None if first else state.save_origin(env), []

    def extend(self, actions: Sequence[int], obs: Array, score: float) -> None:
        """Adds the actions of a stride, its last observation, and the return so far."""
        self.actions += actions
        self.obs, self.score = obs, score

    def check(self, make_env: Callable[[], gymnasium.Env[Any, Any]]) -> None:
        """Plays an episode again once per run, in a separate environment, to fail now rather than when resuming.

        It does not use the first episode, which proves little because its seed is known. A process that is asked to
        stop skips the check.

        Raises:
            StateError: the episode came out differently.
        """
        if self._checked or self.origin is None or interrupt.asked.number is not None:
            if self._refusal is not None:
                raise self._refusal
            return
        self._checked = True
        try:
            with contextlib.closing(make_env()) as env:
                self.play(env, patiently=False)
        except Exception as error:  # making a second environment may fail
            self._refusal = error if isinstance(error, StateError) else self._refuse(f"making another {_failed(error)}")
            raise self._refusal from error

    def play(self, env: gymnasium.Env[Any, Any], patiently: bool = True) -> None:
        """Plays the episode again.

        Args:
            env: a fresh environment.
            patiently: whether to play to the end even if the process is asked to stop.

        Raises:
            StateError: the episode came out differently.
        """
        try:
            obs, score = self._play(env, patiently)
        except Exception as error:  # raised by the environment, or by another environment's state
            raise self._refuse(f"playing its episode again {_failed(error)}") from error
        if obs.tobytes() != self.obs.tobytes() or repr(score) != repr(self.score):  # repr, so that NaN equals NaN
            likely = "let it draw all random numbers from self.np_random (not np.random or random), or "
            raise self._refuse("its episode came out differently when it was played again", likely)

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
        """Returns the recording as arrays and plain values."""
        return {"origin": self.origin, "actions": np.array(self.actions, int), "obs": self.obs, "score": self.score}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.origin, self.actions = saved["origin"], saved["actions"].tolist()
        self.obs, self.score = saved["obs"], saved["score"]

    def _refuse(self, reason: str, cure: str = "") -> StateError:
        return StateError(
            f"{self.name}: cannot be saved, because {reason}; {cure}give it state_dict and load_state_dict"
        )


def _failed(error: Exception) -> str:
    return f"failed: {one_line(error)}"
