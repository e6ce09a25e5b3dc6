"""Takes apart the wrappers of a compiled environment for compiled code."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.wrappers import RescaleObservation, TimeLimit

from dqn_lab.env.checked import Checked
from dqn_lab.env.gymnasium import TruncationTerminates
from dqn_lab.hooks import SteppedByKernels
from dqn_lab.types import Array


class Wrapped(NamedTuple):
    """A compiled environment, and what its wrappers do."""

    inner: SteppedByKernels
    time_limit: TimeLimit[Any, Any] | None
    checked: Checked
    limit: int  # in steps
    limit_terminates: bool
    factors: Array  # by which observations are multiplied, of their type; empty for none
    summands: Array  # added after that
    bounds: Array  # the least and the greatest value of each state, [2, states]; empty for none

    @property
    def of_observations(self) -> tuple[Array, Array, Array]:
        """What compiled code does to observations, in the order of its arguments."""
        return self.factors, self.summands, self.bounds

    @property
    def of_steps(self) -> tuple[Any, ...]:
        """What compiled code does in a step, in the order of its arguments."""
        return self.limit, self.limit_terminates, *self.of_observations


def take_apart(env: gymnasium.Env[Any, Any]) -> Wrapped:
    """Returns the parts of an environment.

    Raises:
        ValueError: it is not compiled, or has a wrapper that compiled code does not know.
    """
    inner, outermost = env.unwrapped, env
    if not isinstance(inner, SteppedByKernels):
        raise ValueError(f"{type(inner).__name__} is stepped from Python")
    if type(inner).step is not _compiled_class().step or type(inner).reset is not _compiled_class().reset:
        raise ValueError(f"{type(inner).__name__} overrides step or reset, which its kernels do not know")
    none, checked = np.zeros(0, inner.obs.dtype), env if isinstance(env, Checked) else Checked(env)
    found = Wrapped(inner, None, checked, sys.maxsize, False, none, none, _bounds(env.observation_space))
    while isinstance(env, gymnasium.Wrapper):
        if type(env) is TimeLimit and found.time_limit is None:
            found = found._replace(time_limit=env, limit=min(env._max_episode_steps, sys.maxsize))
        elif type(env) is TruncationTerminates:
            found = found._replace(limit_terminates=True)
        elif type(env) is RescaleObservation and not len(found.factors):
            zeros = np.zeros(env.observation_space.shape or (), env.observation_space.dtype)
            factors, summands = _scale(env.env.observation_space, env.observation_space)
            assert np.array_equal(env.observation(zeros), summands)
            found = found._replace(factors=factors, summands=summands)
        elif env is not outermost or type(env) is not Checked:
            raise ValueError(f"{type(env).__name__} is a wrapper that compiled code does not know")
        env = env.env
    return found


def _compiled_class() -> type[gymnasium.Env[Any, Any]]:
    from dqn_lab.env.compiled.base import CompiledEnv  # imported late, because it loads numba

    return CompiledEnv


def is_known(env: gymnasium.Env[Any, Any]) -> bool:
    """Returns whether an environment can be taken apart."""
    try:
        take_apart(env)
    except ValueError:
        return False
    return True


def _bounds(space: gymnasium.Space[Any]) -> Array:
    if not isinstance(space, (Discrete, MultiDiscrete)):
        return np.zeros((2, 0), np.int64)
    sizes = space.n if isinstance(space, Discrete) else space.nvec
    least = np.ravel(space.start).astype(np.int64)
    return np.array([least, least + np.ravel(sizes) - 1])


def _scale(before: Any, after: Any) -> tuple[Array, Array]:
    """Returns the factors and the summands of observations, as `RescaleObservation` computes them."""
    span = np.array(before.high, np.longdouble) - np.array(before.low, np.longdouble)
    factors = ((after.high - after.low) / span).astype(before.dtype)
    return factors.ravel(), (factors * -before.low + after.low).astype(before.dtype).ravel()
