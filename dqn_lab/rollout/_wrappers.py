"""What stands between a compiled environment and its user, taken apart for compiled code."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, RescaleObservation, TimeLimit

from dqn_lab.env.checked import Checked
from dqn_lab.env.gymnasium import TruncationTerminates
from dqn_lab.hooks import SteppedByKernels
from dqn_lab.types import Array


class Wrapped(NamedTuple):
    """A compiled environment, and what its wrappers do."""

    inner: SteppedByKernels
    time_limit: TimeLimit[Any, Any] | None
    checked: Checked | None
    limit: int  # steps
    limit_terminates: bool
    factors: Array  # of observations, like them; empty for none
    summands: Array  # added after that


def take_apart(env: gymnasium.Env[Any, Any]) -> Wrapped:
    """Returns the parts of an environment.

    Raises:
        ValueError: it is not compiled, or has a wrapper that compiled code does not know.
    """
    inner = env.unwrapped
    if not isinstance(inner, SteppedByKernels):
        raise ValueError(f"{type(inner).__name__} is stepped from Python")
    none = np.zeros(0, inner.obs.dtype)
    found = Wrapped(inner, None, None, sys.maxsize, False, none, none)
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit) and found.time_limit is None:
            found = found._replace(time_limit=env, limit=env._max_episode_steps)
        elif isinstance(env, Checked) and found.checked is None:
            found = found._replace(checked=env)
        elif isinstance(env, TruncationTerminates):
            found = found._replace(limit_terminates=True)
        elif isinstance(env, RescaleObservation) and not len(found.factors):
            zeros = np.zeros(env.observation_space.shape or (), env.observation_space.dtype)
            factors, summands = _scale(env.env.observation_space, env.observation_space)
            assert np.array_equal(env.observation(zeros), summands)
            found = found._replace(factors=factors, summands=summands)
        elif not isinstance(env, OrderEnforcing):
            raise ValueError(f"{type(env).__name__} is a wrapper that compiled code does not know")
        env = env.env
    return found


def is_known(env: gymnasium.Env[Any, Any]) -> bool:
    """Returns whether an environment can be taken apart."""
    try:
        take_apart(env)
    except ValueError:
        return False
    return True


def _scale(before: Any, after: Any) -> tuple[Array, Array]:
    """Returns by what observations are multiplied, and what is added, as `RescaleObservation` computes it."""
    span = np.array(before.high, np.longdouble) - np.array(before.low, np.longdouble)
    factors = ((after.high - after.low) / span).astype(before.dtype)
    return factors.ravel(), (factors * -before.low + after.low).astype(before.dtype).ravel()
