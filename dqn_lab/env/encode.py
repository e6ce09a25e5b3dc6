"""Observations as the agent receives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import ObservationWrapper

from dqn_lab.env.gymnasium import Flattened, StatesAsVector
from dqn_lab.types import Array


def encode(env: gymnasium.Env[Any, Any], obs: Any) -> Array:
    """Converts an observation to the array [*O] that the agent receives.

    Args:
        env: the environment as the agent sees it.
        obs: an observation as the agent receives it, or as the environment returns it if that is a `Dict` or `Tuple`.

    Raises:
        ValueError: it is neither of these.
    """
    layers: list[gymnasium.Env[Any, Any]] = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    joins = [number for number, layer in enumerate(layers) if isinstance(layer, (StatesAsVector, Flattened))]
    space, array = env.observation_space, None
    try:
        if joins and isinstance(obs, (Mapping, tuple)):
            for layer in reversed(layers[: joins[0] + 1]):
                obs = layer.observation(obs) if isinstance(layer, ObservationWrapper) else obs
        array = np.asarray(obs)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"obs={obs!r}: is not an observation ({type(error).__name__}: {error})") from error
    if array.dtype.kind not in "biuf" or array.shape != space.shape:
        raise ValueError(f"obs={obs!r}: must be numbers of shape {space.shape}, has shape {array.shape}")
    return array.astype(space.dtype, copy=False)
