"""An environment in mid-episode as plain values, for the environments whose state can be set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, RescaleObservation, TimeLimit

from dqn_lab.env.checked import Checked
from dqn_lab.env.gymnasium import Flattened, StatesAsVector, TruncationTerminates
from dqn_lab.hooks import RestorableEnv
from dqn_lab.types import StateError

_CLASSIC_CONTROL = ("state", "steps_beyond_terminated")
_TOY_TEXT = ("s", "lastaction", "fickle_step", "taxi_orientation")
FIELDS = {  # class of the unwrapped environment: the attributes that its future depends on, beside its generator
    "CartPoleEnv": _CLASSIC_CONTROL,
    "AcrobotEnv": _CLASSIC_CONTROL,
    "MountainCarEnv": _CLASSIC_CONTROL,
    "FrozenLakeEnv": _TOY_TEXT,
    "CliffWalkingEnv": _TOY_TEXT,
    "TaxiEnv": _TOY_TEXT,
}
STATELESS = (Checked, OrderEnforcing, RescaleObservation, Flattened, StatesAsVector, TruncationTerminates)


def save(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """Returns what an environment's future depends on, as arrays and plain values.

    Classic control and toy text can be saved, and every environment that is a `RestorableEnv`.

    Raises:
        StateError: it, or a wrapper around it, cannot be saved.
    """
    elapsed = [wrapper._elapsed_steps for wrapper in _time_limits(env)]
    inner = env.unwrapped
    if isinstance(inner, RestorableEnv):
        return {"elapsed": elapsed, "own": inner.state_dict()}
    found = {name: _plain(getattr(inner, name)) for name in _fields(inner) if hasattr(inner, name)}
    return {"elapsed": elapsed, "generator": inner.np_random.bit_generator.state, "fields": found}


def load(env: gymnasium.Env[Any, Any], state: Mapping[str, Any]) -> None:
    """Puts an environment like the one that was saved where that one was.

    Raises:
        StateError: it, or a wrapper around it, cannot be restored.
    """
    for wrapper, elapsed in zip(_time_limits(env), state["elapsed"], strict=True):
        wrapper._elapsed_steps = elapsed
    inner = env.unwrapped
    if isinstance(inner, RestorableEnv):
        inner.load_state_dict(state["own"])
        return
    fields = _fields(inner)
    inner.np_random.bit_generator.state = state["generator"]
    for name, value in state["fields"].items():
        if name in fields:
            setattr(inner, name, _restored(value))


def _fields(inner: gymnasium.Env[Any, Any]) -> tuple[str, ...]:
    kind = type(inner)
    if kind.__name__ not in FIELDS or not kind.__module__.startswith("gymnasium.envs."):
        raise StateError(f"{kind.__name__}: cannot be saved in mid-episode; give it state_dict and load_state_dict")
    return FIELDS[kind.__name__]


def _time_limits(env: gymnasium.Env[Any, Any]) -> Iterator[TimeLimit]:
    """Finds the wrappers that count steps.

    Raises:
        StateError: there is a wrapper that may have a state of its own.
    """
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, TimeLimit):
            yield env
        elif not isinstance(env, STATELESS):
            raise StateError(f"{type(env).__name__}: a wrapper whose state cannot be saved")
        env = env.env


def _plain(value: Any) -> Any:
    """Returns an array as a copy, a tuple as a list of plain numbers, anything else as it is."""
    if isinstance(value, tuple):
        return [float(item) for item in value]
    return value.copy() if _is_array(value) else value.item() if isinstance(value, np.generic) else value


def _restored(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value.copy() if _is_array(value) else value


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)
