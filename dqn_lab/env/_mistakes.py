"""Hints for an environment that cannot be made: the known ids, its keyword arguments, the missing module."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import gymnasium
from gymnasium.envs.registration import find_highest_version, load_env_creator, parse_env_id

from dqn_lab._nearest import nearest
from dqn_lab._outside import no_module

OTHERS = (  # not suggested: no class of their own, or continuous actions, like all of MuJoCo's
    "phys2d/", "tabular/", "Pendulum-", "MountainCarContinuous-", "LunarLanderContinuous-", "BipedalWalker",
    "CarRacing-",
)  # fmt: skip
LIKENESS = 0.7  # from which on an id is suggested: all ids look alike in their version


def known(id: str) -> list[str]:
    """Lists the environments to suggest: those that a named module registers, or all."""
    module, _, _ = id.partition(":")
    origins = {name: spec.entry_point for name, spec in gymnasium.registry.items()}
    modules = {name: at.partition(":")[0] if isinstance(at, str) else str(vars(at).get("__module__"))
               for name, at in origins.items() if isinstance(at, str | type)}  # fmt: skip
    own = [f"{module}:{name}" for name, origin in modules.items() if f"{origin}.".startswith(f"{module}.")]
    return own or [name for name, origin in modules.items() if not name.startswith(OTHERS) and ".mujoco." not in origin]


def versioned(id: str) -> str | None:
    """Returns the latest version of an environment that is named without one; None if the name is complete."""
    name = id.rpartition(":")[2]
    latest = None if name in gymnasium.registry else find_highest_version(*parse_env_id(name)[:2])
    return None if latest is None or "-v" in name else f"{id}-v{latest}"


def arguments(id: str) -> list[str]:
    """Lists the keyword arguments of an environment's constructor."""
    creator: Any = gymnasium.spec(id.rpartition(":")[2]).entry_point
    made = load_env_creator(creator) if isinstance(creator, str) else creator
    not_theirs = ("self", "render_mode", "args", "kwargs")
    return [name for name in inspect.signature(made).parameters if name not in not_theirs]


def missing(id: str, error: ModuleNotFoundError) -> str:
    """Returns a message about the missing module: the one that an environment's id names, or one that it imports."""
    module, colon, _ = id.partition(":")
    if colon and error.name and f"{module}.".startswith(f"{error.name}."):
        return no_module(module)
    return str(error).partition(". Environment registration")[0]


def _spelled(id: str) -> str:
    """Returns the known id whose letters are the same, as `CartPole-v1` for `cartpole` or `Cart_Pole-v1`; else `id`."""

    def letters(text: str) -> str:
        return "".join(filter(str.isalnum, text)).lower()

    ids = known(id)
    found = {letters(each.rpartition("-v")[0]): each for each in ids} | {letters(each): each for each in ids}
    return found.get(letters(id), id)


def unregistered(id: str) -> str:
    """Says that there is no such environment, and how a class of that name is registered."""
    module, colon, name = id.partition(":")
    owner = vars(sys.modules[module]).get(name) if colon and module in sys.modules else None
    if not (isinstance(owner, type) and issubclass(owner, gymnasium.Env)):
        hint = "" if colon else "; a custom one is env.id=MODULE:NAME"
        return f"no such Gymnasium environment; {nearest(_spelled(id), known(id), LIKENESS)}{hint}"
    names = [spec.id for spec in gymnasium.registry.values() if spec.entry_point in (owner, id)]
    if names:
        return f"a class; its environment is env.id={module}:{names[0]}"
    line = f'gymnasium.register(id="{name}-v0", entry_point="{id}")'
    return f"a class that is not registered; add {line} to its module and write env.id={id}-v0"
