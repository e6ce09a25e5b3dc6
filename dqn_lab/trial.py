"""Tries out components from outside the package, so that a mistake in one is found before the run begins."""

from __future__ import annotations

import contextlib
import copy
import inspect
import random
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from dqn_lab import registry
from dqn_lab._global_draws import GlobalDraws
from dqn_lab._networks import mixing, observations
from dqn_lab._outside import UNSAVED, located
from dqn_lab._passed_on import PassedOn
from dqn_lab._reseeding import global_states_kept
from dqn_lab._results import WatchedDiagnostics, watched_bootstrap, watched_buffer, watched_value
from dqn_lab.agent import Agent, action_problem
from dqn_lab.build import build
from dqn_lab.engine.torch import TorchEngine
from dqn_lab.hooks import Reports
from dqn_lab.rollout._episode import plain_numbers
from dqn_lab.schedule import NEVER, Progress
from dqn_lab.train import Experiment
from dqn_lab.types import ConfigError, Exploration, Logger, StateError, Stateful, TrainingError

LONGEST = 10_000  # environment steps of a trial
PLAIN = (bool, int, float, str, bytes, set, np.generic)
GIVEN = {  # the random numbers that a component is given
    "exploration": "the `draw` that `select` is given",
    "buffer": "the `draws` that `sample` is given",
    "network": "the generator that its constructor is given, and `draw_noise` (hook `DrawsNoise`)",
}


def rehearse(config: Mapping[str, Any]) -> list[str]:
    """Tries components from outside the package on a scratch copy: acts, makes one update and evaluates.

    Args:
        config: a validated configuration. It, the run and the global random states are left unchanged.

    Returns:
        a warning for each such component that draws random numbers from a global generator, whose `state_dict` lacks
        an attribute that has changed, that returns batches of another size, or that leaves out parameters.

    Raises:
        ConfigError: such a component failed.
    """
    outside = _outside(config)
    draws = GlobalDraws(set(outside.values()))
    if not outside:
        return []
    forgotten = list[str]()
    try:
        with global_states_kept():
            forgotten += _play(config, draws, outside)
    except ConfigError as error:
        if not isinstance(error.__cause__, (AttributeError, TypeError)):
            raise
        raise _failure(error.__cause__, outside) from error  # raised by a component that uses the failing one
    except TrainingError:  # caused by the environment or the learning rate; the run will report it
        pass
    except (Exception, SystemExit) as error:
        raise _failure(error, outside) from error
    return [*dict.fromkeys(_warning(*found, outside) for found in draws.found), *forgotten]


def _warning(module: str, generator: str, owner: type, outside: Mapping[str, str]) -> str:
    """Returns a line that says which component draws from a global generator, and what to use instead."""
    parts = [part for part, its_module in outside.items() if its_module == module]
    own = [part for part in parts if part.partition("=")[2] == f"{module}:{owner.__qualname__}"] or parts
    given = GIVEN.get(own[0].partition("=")[0], "the numbers that it is given")
    why = f"draws from {generator}, which the seed does not fix and `resume` does not restore"
    return f"{', '.join(own)}: {why}; use {given}"


def _failure(error: BaseException, outside: Mapping[str, str]) -> ConfigError:
    """Returns an error that says in one line which component failed, and how."""
    parts = _culprits(error, outside)
    group = parts[0].partition("=")[0]
    said = located(error)
    hint = f"`components {group}` prints what {'an' if group[0] in 'aeiou' else 'a'} {group} needs"
    return ConfigError(f"{', '.join(parts)}: failed in a trial before the run: {said}; {hint}")


def _outside(config: Mapping[str, Any]) -> dict[str, str]:
    """Maps each component from outside the package, as `group=name`, to its module."""
    parts = [(group, config[group]["name"]) for group in registry.GROUPS if group != "logger"]
    parts += [("logger", part["name"]) for part in config["logger"].values()]
    modules = {f"{group}={name}": registry.lookup(group, name).__module__ for group, name in parts}
    return {part: module for part, module in modules.items() if not module.startswith("dqn_lab.")}


def _play(config: Mapping[str, Any], draws: GlobalDraws, outside: Iterable[str]) -> list[str]:
    """Steps a scratch copy, in its own environment, until it has made an update.

    Args:
        config: a validated configuration.
        draws: watches the global generators, but only after building: initial weights come from a seeded global one.
        outside: the components to try, as `group=name`.

    Returns:
        a warning for each component, for example that its `state_dict` lacks attributes.

    Raises:
        Exception: any error that a component raises.
    """
    train = {**config["train"], "learning_starts": 1, "interval": 1, "num_updates": 1}
    trial = {**config, "train": train, "engine": _engine(config), "rollout": {"name": "python"}}
    fresh = build(trial)
    with PassedOn(config, outside) as passed_on:
        scratch = build(trial)
    rollout, agent = scratch.rollout, scratch.agent
    for logger in scratch.loggers:
        _check_methods(logger, Logger)
    _check_methods(agent.exploration, Exploration)
    for part in _components(agent).values():
        if {"state_dict", "load_state_dict"} & set(dir(part)):  # each needs the other
            _check_methods(part, Stateful)
    env = scratch.make_env()
    limit = min(LONGEST, train["batch_size"] + config["buffer"].get("n_step", 1) + 1)
    lines = list[str]()
    with contextlib.closing(rollout), draws, _results_watched(scratch, env, outside, lines.append):
        try:
            obs = observations(env)
        finally:
            env.close()
        _check_network(agent, obs, config, outside)
        _explore(agent.exploration, int(env.action_space.n), _near_end(config))  # type: ignore[attr-defined]
        while not rollout.progress.updates and rollout.progress.step < limit:
            rollout.advance(NEVER._replace(step=rollout.progress.step + 1))
        agent.target.follow(*agent.engine.parameters, Progress(), Progress(1, 1, 1))
        for part in (*_components(agent).values(), agent.engine, *agent.engine.online.modules(), agent.diagnostics):
            if isinstance(part, Reports):
                _check_report(part)
    with contextlib.closing(fresh.rollout):
        return [*passed_on.warnings(), *dict.fromkeys(lines), *_forgotten_parameters(agent, config, outside),
                *_unsaved_attributes(rollout, fresh.rollout, outside)]  # fmt: skip


def _check_network(agent: Agent, obs: Any, config: Mapping[str, Any], outside: Iterable[str]) -> None:
    """Checks the Q-values of observations [B, *O]."""
    q_values, network = agent.greedy(obs), f"network={config['network']['name']}"
    if network not in outside:
        return
    if not (finite := np.isfinite(q_values).all(axis=1)).all():
        raise ConfigError(f"{network}: returned {q_values[~finite][0].tolist()}; must be finite numbers")
    if problem := mixing(agent.greedy, obs):
        raise ConfigError(f"{network}: {problem}")


@contextlib.contextmanager
def _results_watched(
    scratch: Experiment, env: Any, outside: Iterable[str], warn: Callable[[str], None]
) -> Iterator[None]:
    """Has the results of the components from outside checked."""
    agent, config = scratch.agent, scratch.config
    names = {group: config[group]["name"] for group in ("bootstrap", "buffer", "value", "diagnostics")}
    own = {group: name for group, name in names.items() if f"{group}={name}" in outside}
    before = agent.engine.bootstrap, agent.buffer, agent.engine.value, agent.diagnostics
    if "bootstrap" in own:
        agent.engine.bootstrap = watched_bootstrap(agent.engine.bootstrap, own["bootstrap"])
    if "buffer" in own:
        agent.buffer = watched_buffer(agent.buffer, own["buffer"], env, config["discount"], warn)
    if "value" in own:
        agent.engine.value = watched_value(agent.engine.value, own["value"])
    if agent.diagnostics is not None and "diagnostics" in own:
        agent.diagnostics = WatchedDiagnostics(agent.diagnostics, own["diagnostics"], agent.engine)
    try:
        yield
    finally:
        agent.engine.bootstrap, agent.buffer, agent.engine.value, agent.diagnostics = before


def _forgotten_parameters(agent: Agent, config: Mapping[str, Any], outside: Iterable[str]) -> list[str]:
    """Warns if an optimizer's `build` does not pass all parameters on."""
    part, engine = f"optimizer={config['optimizer']['name']}", agent.engine
    if part not in outside or not isinstance(engine, TorchEngine):
        return []
    given = {id(parameter) for group in engine.optimizer.param_groups for parameter in group["params"]}
    wanted = [id(parameter) for parameter in engine.parameters[0] if parameter.requires_grad]
    left = len(set(wanted) - given)
    return [f"{part}: build leaves out {left} of {len(wanted)} parameters, which will not learn"] if left else []


def _unsaved_attributes(rollout: Any, fresh: Any, outside: Iterable[str]) -> list[str]:
    """Saves a rollout's state, loads it into a fresh one, and says which attributes of its components differ."""
    try:
        fresh.load_state_dict(copy.deepcopy(rollout.state_dict()))
    except StateError:  # caused by the environment; the run will print a warning
        return []
    lines = []
    for part in outside:
        group = part.partition("=")[0]
        before, after = (_attributes(each.agent, group) for each in (rollout, fresh))
        if names := [name for name in before if not _same(before[name], after.get(name), group)]:
            component = _components(rollout.agent).get(group)
            if isinstance(component, Stateful) and {*names} <= {*component.state_dict()}:
                what = f"its load_state_dict does not restore {', '.join(names)}"
            else:
                what = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {UNSAVED}"
            lines.append(f"{part}: {what}; a resumed run may continue differently")
    return lines


def _attributes(agent: Agent, group: str) -> dict[str, Any]:
    """Returns the attributes of an agent's component in a group; of a network, those of its modules."""
    if group == "network":
        modules = agent.engine.online.named_modules()
        own = {(name, key): value for name, module in modules for key, value in vars(module).items()}
        return {".".join(filter(None, words)): value for words, value in own.items() if words[1][0] != "_"}
    return getattr(_components(agent).get(group), "__dict__", {})


def _components(agent: Agent) -> dict[str, Any]:
    """Returns an agent's components that may change during a run, by group, except its network."""
    return {"bootstrap": agent.engine.bootstrap, "value": agent.engine.value, "optimizer": agent.optimizer,
            "buffer": agent.buffer, "exploration": agent.exploration, "target": agent.target}  # fmt: skip


def _same(one: Any, other: Any, group: str) -> bool:
    """Returns whether two attributes are equal, or of a kind that cannot be compared."""
    if isinstance(one, (np.ndarray, Tensor)):  # a buffer's may have rows that were never written
        here, there = (np.asarray(each.detach().cpu() if isinstance(each, Tensor) else each) for each in (one, other))
        return group == "buffer" or np.array_equal(here, there, equal_nan=here.dtype.kind == "f")
    if isinstance(one, Mapping):
        one, other = list(one.items()), list(other.items()) if isinstance(other, Mapping) else other
    if isinstance(one, (list, tuple, deque)):
        alike = isinstance(other, (list, tuple, deque)) and len(one) == len(other)
        return alike and all(_same(*pair, group) for pair in zip(one, other, strict=True))
    return one == other or one != one if isinstance(one, PLAIN) else True  # NaN differs from itself


def _check_methods(part: object, *contracts: type) -> None:
    """Checks that a component has all methods of its contracts, because some are called only at the end of a run.

    Raises:
        TypeError: methods are missing, or one does not take the contract's arguments.
    """
    wanted = {name: own for contract in contracts for name, own in vars(contract).items() if not name.startswith("_")}
    if absent := [name for name in wanted if not hasattr(part, name)]:
        raise TypeError(f"{type(part).__name__} has no {', '.join(absent)}")
    for name, own in wanted.items():
        arguments = [*inspect.signature(own).parameters][1:] if callable(own) else []
        try:
            inspect.signature(getattr(part, name)).bind(*arguments)
        except TypeError:
            raise TypeError(f"{type(part).__name__}.{name} must take ({', '.join(arguments)})") from None


def _near_end(config: Mapping[str, Any]) -> Progress:
    """Returns a point near a run's end that it reaches whatever its episodes' lengths."""
    episodes = (config["episodes"] or 1) - 1
    steps = (config["steps"] or episodes + 1) - 1
    return Progress(steps, min(episodes, steps))


def _explore(exploration: Exploration, num_actions: int, last: Progress) -> None:
    """Lets an exploration choose actions, at a run's beginning and near its end, and report.

    Raises:
        ConfigError: an action is not one of the environment's.
        TypeError: the report's columns are not the declared ones.
    """
    rng = random.Random(0)
    for progress in (Progress(), last):
        action = exploration.select(lambda: np.zeros(num_actions, np.float32), rng.random, 0, progress)
        if problem := action_problem(exploration, action, num_actions):
            raise ConfigError(problem)
    _check_report(exploration)


def _check_report(part: Any) -> None:
    """Raises an error unless a report has the columns that were declared."""
    found = part.report(Progress())
    row = found if isinstance(found, Mapping) else {}
    if set(row) != set(part.columns) or row is not found:
        must = (
            f"a value for each of its columns, {', '.join(part.columns)}" if part.columns else "{}: it has no columns"
        )
        raise TypeError(f"report returned {', '.join(row) or 'nothing'}; must return {must}")
    plain_numbers(row)


def _engine(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the configuration of an engine that need not compile, or that of a custom engine unchanged."""
    return config["engine"] if registry.is_outside("engine", config["engine"]["name"]) else {"name": "torch"}


def _culprits(error: BaseException, outside: Mapping[str, str]) -> list[str]:
    """Lists the outside components that an error names or whose code it comes from, or all of them if none is."""
    frames = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)]
    named = [part for part in outside if str(error).startswith(f"{part.rpartition(':')[2]}.")]
    return named or [part for part, module in outside.items() if module in frames] or list(outside)
