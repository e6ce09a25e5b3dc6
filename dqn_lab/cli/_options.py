"""Options, and the keys of the chosen ones, read from the yaml files without Hydra."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from dqn_lab._paths import GROUPS, config_directory
from dqn_lab.cli._directories import add_directories, directories
from dqn_lab.cli._yaml import read_yaml
from dqn_lab.errors import ConfigError


def options(group: str) -> dict[str, Path]:
    """Lists a group's options and their files, those in folders last; of two with the same name, the first wins.

    Files whose name begins with `_` are not options; they contain what several options share.
    """
    found = {name: path for name, path in _files(group).items() if not path.name.startswith("_")}
    return dict(sorted(found.items(), key=lambda item: ("/" in item[0], item[0])))


def _files(group: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for directory in directories():
        for path in (directory / group).rglob("*.yaml"):
            found.setdefault(path.relative_to(directory / group).with_suffix("").as_posix(), path)
    return found


def add_typed_directory(words: list[str]) -> None:
    """Adds the directory that `--config-dir` names, if it is among the words.

    Raises:
        ConfigError: there is no such directory.
    """
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        if name == "--config-dir":
            add_directories(value if equals else following)


def run_keys() -> dict[str, Any]:
    """Returns the run's own keys and their defaults."""
    return {key: value for key, value in _default().items() if key not in ("defaults", "hydra")}


def choices(typed: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the chosen options of each group.

    Args:
        typed: keys and values as typed, including `experiment`.
    """
    found = chosen_by(recipes(typed.get("experiment")))
    return found | {key: value.strip("[]").split(",") for key, value in typed.items() if key in found}


def chosen_by(recipes: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Returns the options of each group that a recipe chooses; the default ones where it chooses none.

    Args:
        recipes: what the recipe's file contains, then those of the recipes that it builds on.
    """
    found: dict[str, list[str]] = {}
    for recipe in recipes:
        found = _chosen(recipe) | found
    found = _chosen(_default()) | found
    return {group: found.get(group, []) for group in GROUPS}


def recipes(name: str | None) -> Iterator[dict[str, Any]]:
    """Yields what a recipe's file contains, then those of the recipes that it builds on; skips what cannot be read."""
    files, left = _files("experiment"), [str(name)]
    for recipe in left:  # grows while it is read
        try:
            values = read_yaml(files[recipe])
        except (ConfigError, KeyError):
            continue
        yield values
        more = [entry.removeprefix("/experiment/") for entry in values.get("defaults") or [] if isinstance(entry, str)]
        left += [each for each in more if each not in left]


def keys(group: str, option: str) -> dict[str, Any]:
    """Returns the keys of an option and their defaults; nothing if its file cannot be read."""
    try:
        values = read_yaml(options(group)[option])
    except (ConfigError, KeyError):
        return {}
    values.pop("name", None)
    return {option: values} if group == "logger" else values


def takes_a_list(key: str) -> bool:
    """Returns whether a key's default, in any option, is a list."""
    group, _, leaf = key.rpartition(".")
    return key == "logger" or any(isinstance(keys(group, option).get(leaf), list) for option in options(group))


def _default() -> dict[str, Any]:
    return read_yaml(config_directory() / "config.yaml")


def _chosen(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Reads a defaults list: `- env: cartpole`, `- override /network: mlp64`."""
    pairs = [pair for entry in values.get("defaults") or [] if isinstance(entry, dict) for pair in entry.items()]
    named = {str(key).removeprefix("override ").lstrip("/"): value for key, value in pairs}
    return {key: value if isinstance(value, list) else [value] for key, value in named.items()}
