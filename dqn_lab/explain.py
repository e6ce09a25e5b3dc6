"""Explains a composition: its algorithm, formulas, papers, deviations and numbers, from what its components declare."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dqn_lab import registry
from dqn_lab.build import build_network, choose, look_around
from dqn_lab.hooks import Explains, TakesMemory
from dqn_lab.records import value_text
from dqn_lab.schedule import updates_at_once, updates_in
from dqn_lab.types import ConfigError

# what an algorithm is made of
PARTS = (
    "network",
    "value",
    "bootstrap",
    "buffer",
    "optimizer",
    "target",
    "exploration",
)
COMPARED = (*PARTS, "train", "discount")
NOT_THE_PREPROCESSING = ("name", "id", "return_bounds", "truncation_terminates")  # keys of `env=atari/…`


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a composition is compared with.

    Args:
        config: the validated configuration that comes closest to the reference.
        differences: what no key can change.
        differences_in_games: further differences that no key can change, on Atari only.
    """

    config: Mapping[str, Any]
    differences: tuple[str, ...] = ()
    differences_in_games: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A component of the composition.

    Args:
        group: the group it is chosen from.
        name: its name.
        summary: what it does, with its own values.
        values: its configuration.
        citations: the papers that its documentation names.
    """

    group: str
    name: str
    summary: str
    values: Mapping[str, str]
    citations: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The explanation of a composition.

    Args:
        title: its task and its components.
        steps: the algorithm's steps, each with its depth of nesting and its text.
        pieces: the components.
        deviations: for each reference, every key that differs, with both values, and what no key can change.
        numbers: the number of parameters, the memory and so on, by name.
    """

    title: str
    steps: tuple[tuple[int, str], ...]
    pieces: tuple[Piece, ...]
    deviations: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, str]


def explain(config: Mapping[str, Any], references: Mapping[str, Reference]) -> Explanation:
    """Explains a validated configuration; builds only its environment, network and buffer.

    Args:
        config: the composition.
        references: what it is compared with, by name.
    """
    pieces = tuple(_piece(group, config) for group in PARTS)
    env = config["env"].get("id", config["env"]["name"])
    return Explanation(
        title=f"{env}: {', '.join(f'{piece.group}={piece.name}' for piece in pieces)}",
        steps=tuple(_steps(config, env)),
        pieces=pieces,
        deviations={name: tuple(deviations(config, other)) for name, other in references.items()},
        numbers=dict(_numbers(config)),
    )


def _piece(group: str, config: Mapping[str, Any]) -> Piece:
    part = config[group]
    component = registry.lookup(group, part["name"])
    documented = inspect.getdoc(component) or ""
    values = {key: _text(value) for key, value in part.items() if key != "name"}
    summary = _summary(documented, values)
    if documented and registry.is_outside(group, part["name"]) and not vars(component).get("__doc__"):
        summary = f"{summary} [its base class's documentation]"
    return Piece(
        group=group, name=part["name"], summary=summary, values=values,
        citations=tuple(_citations(documented)),
    )  # fmt: skip


def _text(value: Any) -> str:
    """Writes a value as a user types it, but a linear schedule in words."""
    if isinstance(value, Mapping) and value.keys() == {"start", "end", "duration", "unit"}:
        return f"{value['start']:g} to {value['end']:g} over {value['duration']:,} {value['unit']}"
    return value_text(value)


def _summary(documented: str, values: Mapping[str, str]) -> str:
    """Returns the first paragraph, with values in place of the names of parameters in backquotes."""
    text = " ".join(documented.partition("\n\n")[0].split()) or "has no documentation"
    text = re.sub(r" \([^()]*https?://[^()]*\)", "", text)  # listed among the citations
    text = re.sub(r"`(\w+)`", lambda name: values.get(name[1], name[1]), text)
    return re.sub(r"\bevery 1 (\w+)s\b", r"every \1", text)


def _citations(documented: str) -> Iterator[str]:
    """Finds the citations in a docstring: each address with the part of the sentence before it."""
    text = re.sub(r"^Args:.*", "", documented, flags=re.DOTALL | re.MULTILINE)
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        start = 0
        for found in re.finditer(r"https?://[^\s)]+?(?=[).,;:]*(?:\s|$))", words):
            before = words[start : found.start()]
            title = before.find('"')  # a title may contain any of the marks
            head = before if title < 0 else before[:title]
            begin = max((mark.end() for mark in re.finditer(r"\(|[;:] |(?<!al)\. ", head)), default=0)
            yield f"{before[begin:].strip(' ,')}, {found[0]}".lstrip(", ")
            start = found.end()


def _lines(group: str, config: Mapping[str, Any]) -> Mapping[str, str]:
    """Returns the lines that a component declares."""
    component = registry.lookup(group, config[group]["name"])
    if not isinstance(component, Explains):
        return {}
    note = ""
    if registry.is_outside(group, config[group]["name"]) and (base := _explained_by(component)):
        if vars(component).get("__doc__"):
            return {}
        note = f" [as {base} does; {component.__name__} changes it, and has neither `explain` nor a docstring]"
    with registry.blame(group, config[group]):
        return {key: f"{line}{note}" for key, line in component.explain(registry.for_hooks(config)).items()}


def _explained_by(component: type) -> str | None:
    """Returns the base class that explains a component which changes its behaviour, or None."""
    mro = component.__mro__
    place = next(number for number, owner in enumerate(mro) if "explain" in vars(owner))
    changed = any(inspect.isfunction(member) for owner in mro[:place] for member in vars(owner).values())
    return mro[place].__name__ if changed else None


def _steps(config: Mapping[str, Any], env: str) -> Iterator[tuple[int, str]]:
    """Yields the lines of the training loop, each filled in by the component that decides it."""
    said = {group: _lines(group, config) for group in PARTS}
    train, evaluation = config["train"], config["evaluation"]

    def line(group: str, name: str) -> str:
        piece = _piece(group, config)
        return said[group].get(name) or f"{piece.summary.rstrip('.:')}{_shown(piece)}"

    limits = [f"{config[unit]:,} {unit}" for unit in ("steps", "episodes") if config[unit] is not None]
    yield 0, f"Q(·; θ) ← {line('network', 'network')}"
    has_target = config["target"]["name"] != "none"
    yield 0, "θ⁻ ← θ" if has_target else line("target", "follow")
    yield 0, f"until {' or '.join(limits)}:"
    yield 1, f"s ← a fresh episode of {env}; until it ends:"
    act = line("exploration", "act")
    yield 2, f"{act}{_shown(_piece('exploration', config))}" if "act" in said["exploration"] else act
    clipped = "" if train["max_reward"] is None else f"; r ← clip(r, ±{train['max_reward']:g})"
    yield 2, f"r, s′ ← the environment's answer to a{clipped}"
    if "draw" not in said["buffer"] or "store" in said["buffer"]:
        yield 2, line("buffer", "store")
    often = "after every step" if train["interval"] == 1 else f"after every {train['interval']:,} steps"
    alone = config["buffer"]["name"] == "none"  # a batch is one transition
    times = "" if train["num_updates"] == 1 or alone else f", {train['num_updates']:,} times"
    yield 2, f"{often}, from step {train['learning_starts']:,} on{times}:"
    yield 3, said["buffer"].get("draw") or f"draw {train['batch_size']} transitions (s, a, r, s′, γ′)"
    if "bonus" in said["bootstrap"]:
        yield 3, said["bootstrap"]["bonus"]
    yield 3, line("bootstrap", "next")
    steps, discount = config["buffer"].get("n_step", 1), f"γ′ = {config['discount']:g}"
    yield 3, f"{line('value', 'target')}; {discount}{'' if steps == 1 else '^k'}, 0 at termination"
    size = train["minibatch_size"]
    whole = size is None or size >= train["batch_size"] or alone
    parts = "" if whole else f"; in shuffled minibatches of {size}, one after the other"
    yield 3, f"{line('value', 'loss')}{parts}"
    if "rank" in said["buffer"]:
        yield 3, f"{said['buffer']['rank']} ← {said['value'].get('priority', 'as the value ranks it')}"
    yield 3, said["optimizer"].get("step") or f"θ ← {line('optimizer', 'step')}"
    if has_target:
        yield 2, line("target", "follow")
    yield 2, "s ← s′"
    if evaluation["interval"] is not None:
        number = evaluation["num_episodes"]
        yield 1, f"every {evaluation['interval']:,} {evaluation['unit']}: the mean return of {number} greedy episodes"


def _shown(piece: Piece) -> str:
    """Writes a component's values in parentheses."""
    values = ", ".join(f"{key}={value}" for key, value in piece.values.items() if value != "null")
    return f" ({values})" if values else ""


def deviations(config: Mapping[str, Any], reference: Reference) -> Iterator[str]:
    """Yields each key in which a composition's algorithm differs from a reference, and what no key can change."""
    for group in COMPARED:
        mine, theirs = config[group], reference.config[group]
        if not isinstance(mine, Mapping):
            if mine != theirs:
                yield f"{group}={value_text(mine)}, not {value_text(theirs)}"
        elif mine.get("name") != theirs.get("name"):
            yield f"{group}={mine['name']}, not {theirs['name']}"
        else:
            for key in dict.fromkeys([*mine, *theirs]):
                if mine.get(key) != theirs.get(key):
                    yield f"{group}.{key}={value_text(mine.get(key))}, not {value_text(theirs.get(key))}"
    mine, theirs = config["env"], reference.config["env"]
    here, there = (each.get("truncation_terminates", False) for each in (mine, theirs))
    if here != there:
        yield f"env.truncation_terminates={value_text(here)}, not {value_text(there)}"
    if mine["name"] == theirs["name"] == "atari":
        for key in (key for key in mine if key not in NOT_THE_PREPROCESSING):
            if mine[key] != theirs[key]:
                yield f"env.{key}={value_text(mine[key])}, not {value_text(theirs[key])}"
        yield from reference.differences_in_games
    yield from reference.differences


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    value = registry.create("value", config["value"])
    try:
        with registry.blame("env", config["env"]):
            space, num_actions = look_around(registry.create("env", config["env"]).make)
        network = build_network(config, value, space, num_actions)
        yield "parameters", f"{sum(parameter.numel() for parameter in network.parameters()):,}"
        yield "memory", _memory(config, space)
    except ConfigError as error:
        yield "parameters", f"unknown: {error}"
    yield "gradient steps", _updates(config)
    for group in ("engine", "rollout"):
        choice = choose(group, config)
        against = "".join(f"; not {name}: {why}" for name, why in choice.rejected.items())
        yield group, f"{choice.name}: {choice.reason}{against}"


def _memory(config: Mapping[str, Any], space: Any) -> str:
    try:
        buffer = registry.create("buffer", config["buffer"], space, config["discount"], 1)
    except ConfigError as error:
        return str(error)
    if isinstance(buffer, TakesMemory):
        return f"{buffer.nbytes / 1e6:,.1f} MB of replay"
    own = registry.is_outside("buffer", config["buffer"]["name"])
    return "unknown: the buffer has no nbytes" if own else "no replay"


def _updates(config: Mapping[str, Any]) -> str:
    interval, steps = config["train"]["interval"], config["steps"]
    if steps is None:
        each = updates_at_once(config)
        rate = f"{each:,} after every step" if interval == 1 else f"{each:,} every {interval:,} steps"
        return f"{rate}; how many depends on how long {config['episodes']:,} episodes are"
    most = "at most " if config["episodes"] is not None or config["buffer"].get("n_step", 1) > 1 else ""
    return f"{most}{updates_in(config, steps):,}"
