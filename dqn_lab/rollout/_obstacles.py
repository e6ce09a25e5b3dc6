"""Why the compiled rollout cannot run a composition."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dqn_lab import registry
from dqn_lab.hooks import Chooses, HasKernel, HasUpdateKernel, MeasuresSome
from dqn_lab.rollout._wrappers import take_apart
from dqn_lab.schedule import UncountedError
from dqn_lab.types import ConfigError

CONTRACT = {  # what a kernel stands for, by group
    "exploration": ("select", "end_episode", "policy_epsilon"),
    "buffer": ("append", "ready", "sample", "update_priorities"),
    "target": ("follow",),
}
WATCHING = "observe", "before_update", "after_update"  # not called at every step if diagnostics have `skip`


def obstacles(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields, for a validated configuration, which parts cannot be compiled and why: `key=value: reason`.

    The environment is made only if there is no other obstacle, because it may need packages that are not installed.
    """
    found = [*_component_obstacles(config), *_schedule_obstacles(config)]
    yield from found or _env_obstacles(config)


def _component_obstacles(config: Mapping[str, Any]) -> Iterator[str]:
    engine = registry.lookup("engine", config["engine"]["name"])
    name = engine.choose(config).name if isinstance(engine, Chooses) else config["engine"]["name"]
    if not isinstance(registry.lookup("engine", name), HasUpdateKernel):
        yield f"engine={name}: its updates are called from Python"
    watching = config["diagnostics"]["name"]
    if watching != "none" and not _measures_some(registry.lookup("diagnostics", watching)):
        yield f"diagnostics={watching}: it looks at every update"
    for group, members in CONTRACT.items():
        component = registry.lookup(group, config[group]["name"])
        if not isinstance(component, HasKernel):
            yield f"{group}={config[group]['name']}: it has no kernel"
        elif overridden := _overridden(component, members, "kernel"):
            yield f"{group}={config[group]['name']}: its own {', '.join(overridden)} is not what its kernel does"


def _env_obstacles(config: Mapping[str, Any]) -> Iterator[str]:
    name = config["env"]["name"]
    try:
        with registry.blame("env", config["env"]):
            env = registry.create("env", config["env"]).make()
    except ConfigError as error:  # building the run reports it
        yield f"env={name}: cannot be made: {error}"
        return
    with contextlib.closing(env):
        try:
            take_apart(env)
        except ValueError as error:
            yield f"env={name}: {error}"


def _measures_some(diagnostics: type) -> bool:
    return isinstance(diagnostics, MeasuresSome) and not _overridden(diagnostics, WATCHING, "skip")


def _overridden(component: type, members: Sequence[str], hook: str) -> list[str]:
    """Returns which members or private attributes a subclass overrides, but not the hook for compiled code."""
    depth = _depth(component, hook)
    inherited = {name for owner in component.__mro__[depth:] for name in vars(owner)}
    own = {name: None for owner in component.__mro__[:depth] for name in vars(owner) if name in inherited}
    return [name for name in own if name in members or (name.startswith("_") and not name.startswith("__"))]


def _depth(component: type, member: str) -> int:
    """Returns how far up a class's bases a member is defined."""
    return next(depth for depth, owner in enumerate(component.__mro__) if member in vars(owner))


def _schedule_obstacles(config: Mapping[str, Any]) -> Iterator[str]:
    name = config["exploration"]["name"]
    if not registry.is_outside("exploration", name):  # the package's own schedules all say it
        return
    with registry.blame("exploration", config["exploration"]):
        exploration = registry.create("exploration", config["exploration"], 2)
        try:
            if isinstance(exploration, HasKernel):
                exploration.kernel()
        except UncountedError as error:
            yield f"exploration={name}: {error}"
