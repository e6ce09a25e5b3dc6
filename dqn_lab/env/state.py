"""Saves and restores environments in mid-episode, for environments whose state can be set."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, RescaleObservation, TimeLimit

from dqn_lab.env.checked import Checked
from dqn_lab.env.gymnasium import Flattened, StatesAsVector, TruncationTerminates
from dqn_lab.hooks import RestorableEnv

_CLASSIC_CONTROL = ("state", "steps_beyond_terminated")
_TOY_TEXT = ("s", "lastaction", "fickle_step", "taxi_orientation")
FIELDS = {  # class of the unwrapped environment: the attributes, besides its generator, that determine its future
    "gymnasium.envs.classic_control.cartpole.CartPoleEnv": _CLASSIC_CONTROL,
    "gymnasium.envs.classic_control.acrobot.AcrobotEnv": _CLASSIC_CONTROL,
    "gymnasium.envs.classic_control.mountain_car.MountainCarEnv": _CLASSIC_CONTROL,
    "gymnasium.envs.toy_text.frozen_lake.FrozenLakeEnv": _TOY_TEXT,
    "gymnasium.envs.toy_text.cliffwalking.CliffWalkingEnv": _TOY_TEXT,
    "gymnasium.envs.toy_text.taxi.TaxiEnv": _TOY_TEXT,
}
MINATAR, ALE = "minatar.gym.BaseEnv", "ale_py.env.AtariEnv"
STATELESS = (Checked, OrderEnforcing, RescaleObservation, Flattened, StatesAsVector, TruncationTerminates)


def is_exact(env: gymnasium.Env[Any, Any]) -> bool:
    """Returns whether `save` and `load` restore an environment exactly, including its wrappers."""
    known = all(isinstance(wrapper, (TimeLimit, *STATELESS)) for wrapper in _wrappers(env))
    inner = env.unwrapped
    return known and (isinstance(inner, RestorableEnv) or class_path(inner) in (*FIELDS, MINATAR))


def save(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """Returns the state of an environment that `is_exact`, as arrays and plain values."""
    elapsed = [wrapper._elapsed_steps for wrapper in _time_limits(env)]
    inner: Any = env.unwrapped
    if isinstance(inner, RestorableEnv):
        return {"elapsed": elapsed, "own": inner.state_dict()}
    if class_path(inner) == MINATAR:
        return {"elapsed": elapsed, **_save_minatar(inner.game)}
    fields = {name: _plain(value) for name, value in vars(inner).items() if name in FIELDS[class_path(inner)]}
    return {"elapsed": elapsed, "generator": inner.np_random.bit_generator.state, "fields": fields}


def load(env: gymnasium.Env[Any, Any], state: Mapping[str, Any]) -> None:
    """Restores a saved state in an environment of the same kind."""
    for wrapper, elapsed in zip(_time_limits(env), state["elapsed"], strict=True):
        wrapper._elapsed_steps = elapsed
    inner: Any = env.unwrapped
    if isinstance(inner, RestorableEnv):
        inner.load_state_dict(state["own"])
    elif class_path(inner) == MINATAR:
        _load_minatar(inner.game, state)
    else:
        inner.np_random.bit_generator.state = state["generator"]
        for name, value in state["fields"].items():
            if name in FIELDS[class_path(inner)]:
                setattr(inner, name, _restored(value))


def save_origin(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """Returns what the next reset without a seed, and the episode that it begins, depend on, as far as that is known.

    That is Gymnasium's generator and, for an Atari game, the emulator with its own generator. The emulator's state is
    only sufficient before a reset, because it lacks the previous action, which a sticky action repeats.
    """
    inner: Any = env.unwrapped
    generator = inner.np_random
    known = isinstance(generator, np.random.Generator)
    origin = {"generator": generator.bit_generator.state} if known else {}
    if class_path(inner) == ALE:
        origin["emulator"] = np.frombuffer(inner.clone_state(include_rng=True).serialize(), np.uint8)
    return origin


def load_origin(env: gymnasium.Env[Any, Any], origin: Mapping[str, Any]) -> None:
    """Restores an origin, so that the next reset begins the episode that began after `save_origin`."""
    inner: Any = env.unwrapped
    if "generator" in origin:
        inner.np_random.bit_generator.state = origin["generator"]
    if "emulator" in origin:
        kind = type(inner.clone_state())
        inner.restore_state(kind(origin["emulator"].tobytes()))


def class_path(inner: gymnasium.Env[Any, Any]) -> str:
    """Returns the name of an unwrapped environment's class with its module; other classes may share the name alone."""
    return f"{type(inner).__module__}.{type(inner).__qualname__}"


def _wrappers(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Env[Any, Any]]:
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env


def _time_limits(env: gymnasium.Env[Any, Any]) -> Iterator[TimeLimit]:
    return (wrapper for wrapper in _wrappers(env) if isinstance(wrapper, TimeLimit))


def _save_minatar(game: Any) -> dict[str, Any]:
    fields = {name: copy.deepcopy(value) for name, value in vars(game.env).items() if name != "random"}
    return {"generator": game.random.get_state(legacy=False), "last_action": game.last_action, "fields": fields}


def _load_minatar(game: Any, state: Mapping[str, Any]) -> None:
    game.seed(0)  # makes the game share its wrapper's generator
    game.random.set_state(state["generator"])
    game.last_action = state["last_action"]
    for name, value in state["fields"].items():
        if name in vars(game.env) and name != "random":
            setattr(game.env, name, copy.deepcopy(value))


def _plain(value: Any) -> Any:
    """Copies an array, converts a tuple to a list of numbers, and returns anything else unchanged."""
    if isinstance(value, tuple):
        return [float(item) for item in value]
    return value.copy() if _is_array(value) else value.item() if isinstance(value, np.generic) else value


def _restored(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value.copy() if _is_array(value) else value


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)
