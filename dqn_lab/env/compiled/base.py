"""The base class of compiled environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from dqn_lab._function import draw, source_of_draws
from dqn_lab._numba import inline, kernel, prepare

__all__ = ["CompiledEnv", "draw", "inline", "kernel"]


class CompiledEnv(gymnasium.Env[Any, Any]):
    """An environment whose reset and step are compiled functions, which the compiled rollout calls directly.

    A subclass sets `observation_space`, `action_space` and `kernels`, and gives the constructor its first `state`. The
    kernels, each made by `@kernel`, are

        reset(state, draws, obs): begins an episode
        step(state, action, draws, obs) -> reward, terminated: a float and a bool

    where `state` is a float64 array of all that the environment needs, including parameters; `draw(draws)` returns
    the next random number in [0, 1); and `obs`, an array of the space's shape and type in one dimension, is filled.
    It has no time limit: `gymnasium.register(…, max_episode_steps=…)` adds one.

    Args:
        state: what `kernels` get as `state`.
        num_saved: only this many numbers at the beginning of `state` ever change; None if all do.

    Raises:
        ValueError: a kernel does not compile.
    """

    kernels: ClassVar[tuple[Any, Any]]

    def __init__(self, state: NDArray[np.float64], num_saved: int | None = None) -> None:
        self.state, self.num_saved = np.ascontiguousarray(state, np.float64), num_saved
        space = self.observation_space
        self._shape = None if isinstance(space, Discrete) else space.shape or ()
        self.obs: NDArray[Any] = np.zeros(int(np.prod(space.shape or ())), space.dtype)
        self.draws = np.zeros(3, np.int64)
        self._bits: Any = None
        for function, action in zip(self.kernels, ((), (0,)), strict=True):
            try:
                prepare(function, self.state, *action, self.draws, self.obs)
            except NumbaError as error:
                reason = next(line for line in str(error).splitlines() if line and not line.startswith("Failed in"))
                raise ValueError(f"its {function.__name__} does not compile: {reason}") from error

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begins an episode.

        Raises:
            ValueError: options are given, but none are supported.
        """
        if options:
            raise ValueError(f"options={options}: a compiled environment supports no options")
        super().reset(seed=seed)
        self.connect()
        self.kernels[0](self.state, self.draws, self.obs)
        return self._observed(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes an action."""
        assert self.action_space.contains(action), f"{action!r} ({type(action)}) invalid"
        reward, terminated = self.kernels[1](self.state, int(action), self.draws, self.obs)
        return self._observed(), reward, terminated, False, {}

    def connect(self) -> None:
        """Makes `draws` refer to the environment's current generator."""
        bits = self.np_random.bit_generator
        if bits is not self._bits:
            self._bits = bits
            self.draws[:] = source_of_draws(self.np_random)

    def _observed(self) -> Any:
        return int(self.obs[0]) if self._shape is None else self.obs.reshape(self._shape).copy()

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that the rest of the episode depends on."""
        return {"state": self.state[: self.num_saved].copy(), "generator": self.np_random.bit_generator.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.state[: self.num_saved] = state["state"]
        self.np_random.bit_generator.state = state["generator"]
        self.connect()
