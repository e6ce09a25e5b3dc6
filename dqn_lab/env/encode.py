"""Observations as the agent receives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import ObservationWrapper
from gymnasium.spaces import Box, Dict, Tuple

from dqn_lab.env.checked import short_text
from dqn_lab.env.gymnasium import Flattened, StatesAsVector
from dqn_lab.types import Array


def encode(env: gymnasium.Env[Any, Any], obs: Any) -> Array:
    """Converts an observation to the array [*O] that the agent receives.

    Args:
        env: the environment as the agent sees it.
        obs: an observation as the agent receives it, or as the environment returns it if that is a `Dict` or `Tuple`.

    Raises:
        ValueError: it is neither of these, or its values are not in the environment's space.
    """
    layers: list[gymnasium.Env[Any, Any]] = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    joins = [number for number, layer in enumerate(layers) if isinstance(layer, (StatesAsVector, Flattened))]
    shown = short_text(obs)
    whole = isinstance(obs, tuple) and len(obs) == 2 and obs[1] == {}
    try:
        if joins and isinstance(obs, (Mapping, tuple)):
            obs = _member(layers[joins[0]].env.observation_space, obs)  # type: ignore[attr-defined]
            for layer in reversed(layers[: joins[0] + 1]):
                obs = layer.observation(obs) if isinstance(layer, ObservationWrapper) else obs
        array: Array = _member(env.observation_space, obs)
    except _UnfitError as error:
        raise ValueError(f"obs={shown}: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        why = "`reset` returns obs and info; pass obs" if whole else f"{type(error).__name__}: {error}"
        raise ValueError(f"obs={shown}: is not an observation ({why})") from error
    return array


class _UnfitError(ValueError):
    """The values are not in the space."""


def _member(space: gymnasium.Space[Any], obs: Any) -> Any:
    """Converts what a person typed to a member of a space.

    Raises:
        ValueError: there is none; of the kind `_UnfitError` if its message says all.
    """
    if isinstance(space, Dict):
        return {key: _member(part, obs[key]) for key, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(_member(part, obs[number]) for number, part in enumerate(space.spaces))
    array = np.asarray(obs)
    if array.dtype.kind not in "biuf":
        raise _UnfitError(f"must be numbers of shape {space.shape}")
    if array.shape != space.shape:
        hint = "; ask for one observation at a time" if array.shape[1:] == space.shape and array.ndim else ""
        raise _UnfitError(f"must be numbers of shape {space.shape}, not {array.shape}{hint}")
    if not np.isfinite(array).all():
        raise _UnfitError("must be finite")
    typed = array.astype(space.dtype, copy=False)
    exact = typed.dtype.kind == "f" or (typed == array).all()
    if not exact or not (isinstance(space, Box) or space.contains(typed)):
        raise _UnfitError(f"must be in {space}")
    return typed
