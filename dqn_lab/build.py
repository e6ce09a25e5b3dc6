"""Validates a plain configuration, and builds the objects of a run from it."""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gymnasium
import torch

from dqn_lab import registry
from dqn_lab._networks import check_outputs, check_parts, received, zeros
from dqn_lab._reseeding import seeding_problem
from dqn_lab.agent import Agent
from dqn_lab.env.checked import Checked, Limit, make_checked
from dqn_lab.env.stack import space_of
from dqn_lab.hooks import AdaptsNetwork, Checks, Chooses, Continues, Reports, Warns
from dqn_lab.records import table_columns
from dqn_lab.schedule import Every
from dqn_lab.seeding import Streams, torch_generator
from dqn_lab.settings import RunValues
from dqn_lab.tasks import return_bounds
from dqn_lab.train import Clock, Due, Experiment
from dqn_lab.types import Choice, ConfigError, Diagnostics, Engine, Optimizer, Value

_log = logging.getLogger(__name__)
LEARNING = ("network", "value", "bootstrap", "buffer", "optimizer", "target", "engine")  # what a loss depends on


def validate(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Checks a whole configuration without building anything.

    Args:
        plain: numbers, strings, booleans, None, lists and dictionaries, as the yaml files hold them.

    Returns:
        the same with all defaults filled in and all numbers converted to their declared type.

    Raises:
        ConfigError: one line per problem, all together.
    """
    config = registry.validate_all({**registry.OLDER, **plain}, RunValues)
    problems = list(_conflicts(config))
    if problems:
        raise ConfigError(*problems)
    return config


def _conflicts(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields an error for each combination of values that does not work."""
    if config["episodes"] is None and config["steps"] is None:
        yield "episodes=null, steps=null: one of them must say when the run ends"
    train = config["train"]
    if (train["minibatch_size"] or 0) > train["batch_size"]:
        yield f"train.minibatch_size={train['minibatch_size']}: must be at most train.batch_size={train['batch_size']}"
    whole = registry.for_hooks(config)
    for part, component in _components(config):
        if isinstance(component, Checks):
            with registry.blame(*part):
                problems = _lines(component, "check", whole)
            yield from problems
    yield from _device_problems(config["device"])


def _warnings(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields a warning for each combination that is valid but probably unintended."""
    steps, learning_starts = config["steps"], config["train"]["learning_starts"]
    if steps is not None and learning_starts >= steps:
        few = "before anything is learned" if learning_starts > steps else "with its first learning step"
        yield f"train.learning_starts={learning_starts}, steps={steps}: the run ends {few}"
    batch_size = config["train"]["batch_size"]
    if steps is not None and batch_size > steps and config["buffer"]["name"] != "none":
        yield f"train.batch_size={batch_size}, steps={steps}: the run ends before a whole batch is stored"
    if config["checkpoint"]["interval"]:
        yield from _loggers_that_begin_anew(config["logger"])
    whole = registry.for_hooks(config)
    known = {**whole, "env": {**config["env"], "return_bounds": return_bounds(config["env"])}}
    for part, component in _components(config):
        if isinstance(component, Warns):
            with registry.blame(*part):
                lines = _lines(component, "warn", known)
            yield from lines


def _lines(component: type, hook: str, config: Mapping[str, Any]) -> list[str]:
    """Returns the lines of a class's `check` or `warn`; a single text is one line, and an empty one none."""
    if inspect.isfunction(inspect.getattr_static(component, hook)):
        raise TypeError(f"{hook} must be a @staticmethod or a @classmethod: it is called before anything is built")
    found = getattr(component, hook)(config)
    lines = [found] if isinstance(found, str) else list(found or ())
    if wrong := [line for line in lines if not isinstance(line, str)]:
        raise TypeError(f"{hook} must return lines of text, returned {wrong[0]!r}")
    return [line for line in lines if line]


def _loggers_that_begin_anew(loggers: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yields a warning for each custom logger that cannot continue where it stopped when a run is resumed."""
    for name, part in loggers.items():
        if ":" in part["name"] and not isinstance(registry.lookup("logger", part["name"]), Continues):
            reason = "has no `position` and `resume`, so a resumed run starts it from scratch"
            yield f"logger={name}: {reason}; rows in its file may then be lost or duplicated"


def _components(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str, Mapping[str, Any]], type]]:
    """Lists every part of a configuration, with its group and the class that it names."""
    for group in registry.GROUPS:
        for part in config.get(group, {}).values() if group == "logger" else [config[group]]:
            yield (group, part), registry.lookup(group, part["name"])


def _device_problems(name: str) -> Iterator[str]:
    here = ["cpu", *(["cuda"] if torch.cuda.is_available() else []), *(["mps"] if torch.mps.is_available() else [])]
    try:
        device = torch.device(name)
    except RuntimeError:
        yield f"device={name}: no such type of device; available: {', '.join(here)}"
        return
    missing = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if device.type not in here or missing:
        yield f"device={name}: not available on this machine; available: {', '.join(here)}"


def build(config: Mapping[str, Any]) -> Experiment:
    """Builds an experiment from a validated configuration, without writing any file.

    Raises:
        ConfigError: a component rejected the configuration.
    """
    streams, unseeded = Streams(config["seed"]), list[str]()
    env_factory = registry.create("env", config["env"])
    with registry.blame("env", config["env"]):
        space, num_actions = look_around(env_factory.make, unseeded.append)
    _check_video(config, env_factory.make)
    exploration = registry.create("exploration", config["exploration"], num_actions)
    buffer = registry.create("buffer", config["buffer"], space, config["discount"], 1)
    target = registry.create("target", config["target"])
    optimizer = registry.create("optimizer", config["optimizer"])
    choices = _choose_and_say(config)
    engine = _build_engine(config, choices["engine"].name, space, num_actions, optimizer, target.has_network)
    diagnostics = _build_diagnostics(config, engine, env_factory.make)
    agent = Agent(
        engine=engine, buffer=buffer, exploration=exploration, target=target, streams=streams, optimizer=optimizer,
        diagnostics=diagnostics if diagnostics.columns else None, **config["train"],
        outside=[f"{group}={name}" for group in LEARNING if registry.is_outside(group, name := config[group]["name"])],
    )  # fmt: skip
    parts = (env_factory, *engine.online.modules(), engine.value, engine.bootstrap, buffer, target, engine, diagnostics)
    reporters = [part for part in parts if isinstance(part, Reports) and part.columns]
    columns = table_columns(exploration.columns, [name for reporter in reporters for name in reporter.columns])
    _check_columns(config, columns["episodes"], [exploration, *reporters])
    rollout = _options("rollout", choices["rollout"].name, config)
    make_env = functools.partial(make_checked, env_factory.make)
    first_reset = int(streams("environment").integers(2**31))
    return Experiment(
        config=dict(config),
        choices=choices,
        warnings=[
            *_warnings(config),
            *(f"env={config['env'].get('id', config['env']['name'])}: {reason}" for reason in unseeded),
        ],
        streams=streams,
        make_env=functools.partial(make_checked, env_factory.make, Limit(config["evaluation"]["max_steps"])),
        agent=agent,
        rollout=registry.create("rollout", rollout, agent, make_env, first_reset, reporters),
        due=_due(config),
        columns=columns,
        loggers=[registry.create("logger", part) for part in config["logger"].values()],
        num_episodes=config["evaluation"]["num_episodes"],
        final_num_episodes=config["evaluation"]["final_num_episodes"],
        keep=config["checkpoint"]["keep"] if config["checkpoint"]["interval"] else None,
    )


def _due(config: Mapping[str, Any]) -> Due:
    evaluation, checkpoint = config["evaluation"], config["checkpoint"]
    by_the_clock = checkpoint["interval"] and checkpoint["unit"] == "seconds"
    return Due(
        steps=config["steps"],
        episodes=config["episodes"],
        evaluations=_every(evaluation),
        checkpoints=Clock(checkpoint["interval"]) if by_the_clock else _every(checkpoint),
    )


def _every(part: Mapping[str, Any]) -> Every | None:
    return Every(part["interval"], part["unit"]) if part["interval"] else None


def look_around(
    make_env: Callable[..., gymnasium.Env[Any, Any]], warn: Callable[[str], None] | None = None
) -> tuple[gymnasium.Space[Any], int]:
    """Returns an environment's observation space and its number of actions.

    Args:
        make_env: makes the environment.
        warn: is told if the seed does not fix the environment; None not to try that.
    """
    with contextlib.closing(Checked(make_env())) as env:
        if warn and (problem := seeding_problem(env.env, make_env)):
            warn(problem)
        return space_of(env), int(env.action_space.n)  # type: ignore[attr-defined]


def _check_video(config: Mapping[str, Any], make_env: Callable[..., gymnasium.Env[Any, Any]]) -> None:
    """Checks before the run that its evaluations can be filmed, if `evaluation.video` is set."""
    if not config["evaluation"]["video"]:
        return
    from dqn_lab import film, video  # imported late, because they need an extra

    try:
        video.check_writer(".mp4")
        film.open_stage(make_env).close()
    except film.RenderError as error:
        raise ConfigError(f"evaluation.video=true: {error}") from error


def _choose_and_say(config: Mapping[str, Any]) -> dict[str, Choice]:
    """Chooses the engine and the rollout; logs a warning if the requested one cannot run here."""
    choices = {group: choose(group, config) for group in ("engine", "rollout")}
    for group, choice in choices.items():
        if (asked := config[group]["name"]) in choice.rejected:
            _log.warning("%s=%s: %s; %s=%s is used", group, asked, choice.rejected[asked], group, choice.name)
    return choices


def choose(group: str, config: Mapping[str, Any]) -> Choice:
    """Returns which component of a group to build, and why."""
    name = config[group]["name"]
    component = registry.lookup(group, name)
    return component.choose(config) if isinstance(component, Chooses) else Choice(name, "asked for", {})


def _options(group: str, name: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a component's options: the configured ones if it was requested, the defaults if it was chosen instead."""
    return config[group] if name == config[group]["name"] else registry.validate(group, {"name": name})


def _build_engine(
    config: Mapping[str, Any], name: str, space: Any, num_actions: int, optimizer: Optimizer, has_target: bool
) -> Engine:
    device = torch.device(config["device"])
    value = registry.create("value", config["value"])
    online = build_network(config, value, space, num_actions).to(device)
    target = copy.deepcopy(online) if has_target else online
    bootstrap = registry.create("bootstrap", config["bootstrap"])
    options = _options("engine", name, config)
    engine: Engine = registry.create("engine", options, online, target, value, bootstrap, optimizer, device)
    return engine


def build_network(config: Mapping[str, Any], value: Value, space: Any, num_actions: int) -> torch.nn.Module:
    """Builds the network of a validated configuration, adapted by its value."""
    with torch.random.fork_rng(devices=[]):  # for networks that ignore the generator they are given
        generator = torch_generator(config["seed"], "network")
        torch.manual_seed(generator.initial_seed())
        supplied = (space, num_actions, value.num_outputs, generator)
        part, is_outside = config["network"], registry.is_outside("network", config["network"]["name"])
        with received(space, is_outside):
            online: torch.nn.Module = registry.create("network", part, *supplied)
        with registry.blame("network", part):
            check_parts(online)
        with received(space, is_outside), registry.blame("network", part), torch.no_grad():
            outputs = online(zeros(space))
        with registry.blame("network", part):
            check_outputs(outputs, (1, num_actions, value.num_outputs))
            if isinstance(value, AdaptsNetwork):
                online = value.adapt(online, generator)
    return online


def _build_diagnostics(
    config: Mapping[str, Any], engine: Engine, make_env: Callable[..., gymnasium.Env[Any, Any]]
) -> Diagnostics:
    rng = Streams(config["seed"])("diagnostics")  # not one of the run's own streams, whose saved state it would change
    supplied = engine, make_env, config["discount"], rng
    diagnostics: Diagnostics = registry.create("diagnostics", config["diagnostics"], *supplied)
    return diagnostics


def _check_columns(config: Mapping[str, Any], columns: tuple[str, ...], reporters: Sequence[Reports]) -> None:
    """Rejects duplicate columns.

    Raises:
        ConfigError: a column is declared twice; names the component that declares it last.
    """
    for name in columns:
        if columns.count(name) > 1:
            owner = next(part for part in reversed(reporters) if name in part.columns)
            chosen = [f"{group}={part['name']}" for group, part in config.items() if group in registry.GROUPS
                      and group != "logger" and registry.lookup(group, part["name"]) is type(owner)]  # fmt: skip
            raise ConfigError(f"{[*chosen, type(owner).__name__][0]} declares column {name!r}, which exists already")
