"""Environments whose steps are compiled: Gymnasium's own, bit for bit, and a base class for others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

CLASSES = {  # by Gymnasium's id: the file, the class, and keyword arguments that only the original has
    "Acrobot-v1": ("acrobot", "AcrobotEnv", ()),
    "CartPole-v1": ("cartpole", "CartPoleEnv", ()),
    "CliffWalking-v1": ("toy_text", "CliffWalkingEnv", ()),
    "FrozenLake-v1": ("toy_text", "FrozenLakeEnv", ()),
    "MountainCar-v0": ("mountain_car", "MountainCarEnv", ()),
    "Taxi-v4": ("toy_text", "TaxiEnv", ("fickle_passenger",)),
}


def obstacle(id: str, kwargs: Mapping[str, Any]) -> str | None:
    """Returns why there is no compiled version of Gymnasium's environment with this id; None if there is one."""
    if id not in CLASSES:
        return f"{id} has no compiled version; these do: {', '.join(CLASSES)}"
    own = [name for name in CLASSES[id][2] if kwargs.get(name)]
    return f"the compiled {id} does not support {', '.join(own)}" if own else None


def find_class(id: str) -> type:
    """Returns the class of the compiled version of Gymnasium's environment with this id."""
    file, name, _ = CLASSES[id]
    found: type = getattr(import_module(f"{__name__}.{file}"), name)
    return found
