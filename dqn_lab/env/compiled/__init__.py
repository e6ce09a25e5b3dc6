"""Environments whose steps are compiled: Gymnasium's own, bit for bit, and a base class for others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

CLASSES = {  # by Gymnasium's id: in which file here, the class, and keyword arguments that only the original has
    "Acrobot-v1": ("acrobot", "AcrobotEnv", ()),
    "CartPole-v1": ("cartpole", "CartPoleEnv", ()),
    "CliffWalking-v1": ("toy_text", "CliffWalkingEnv", ()),
    "FrozenLake-v1": ("toy_text", "FrozenLakeEnv", ()),
    "MountainCar-v0": ("mountain_car", "MountainCarEnv", ()),
    "Taxi-v4": ("toy_text", "TaxiEnv", ("fickle_passenger",)),
}


def obstacle(id: str, kwargs: Mapping[str, Any]) -> str | None:
    """Returns why there is no compiled environment like Gymnasium's of this id; None if there is one."""
    if id not in CLASSES:
        return f"there is none of {id}; there are {', '.join(CLASSES)}"
    own = [name for name in CLASSES[id][2] if kwargs.get(name)]
    return f"the compiled {id} has no {', '.join(own)}" if own else None


def find_class(id: str) -> type:
    """Returns the compiled environment that equals Gymnasium's of this id."""
    file, name, _ = CLASSES[id]
    found: type = getattr(import_module(f"{__name__}.{file}"), name)
    return found
