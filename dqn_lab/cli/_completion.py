"""Shell completion, answered from the yaml files and the cached index: neither Hydra nor torch is imported."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dqn_lab._paths import GROUPS, policy_names, sweeps_directory
from dqn_lab.cli import COMMANDS, _options, fail
from dqn_lab.errors import ConfigError

FLAGS = {
    "train": ("--cfg", "--config-dir", "--help", "--multirun"),
    "sweep": ("--config-dir", "--dir", "--dry-run", "--help", "--quick", "--report"),
    "resume": ("--help", "--trust"),
    "verify": ("--evaluate", "--help", "--trust"),
    "evaluate": ("--csv", "--episodes", "--help", "--policy", "--seed", "--trust"),
    "play": ("--episodes", "--fps", "--help", "--policy", "--seed", "--trust"),
    "record": (
        "--episodes", "--fps", "--gif", "--grid", "--help", "--out", "--policy", "--seed", "--tiles", "--trust",
        "--width",
    ),
    "inspect": ("--dims", "--episodes", "--help", "--open", "--out", "--policy", "--seed", "--trust"),
    "explain": ("--config-dir", "--help", "--html", "--trust"),
    "report": (
        "--against", "--compare", "--control", "--help", "--metric", "--open", "--out", "--threshold", "--trust",
        "--videos",
    ),
    "components": ("--config-dir", "--help"),
    "warm": ("--help",),
}  # fmt: skip
METRICS = ("final_return", "best_return", "last_100", "mean_return", "wall_seconds")
FUNCTION = """_dqn_lab() {
    local IFS=$'\\n'
    COMPREPLY=($(COMP_LINE="${COMP_LINE:0:COMP_POINT}" dqn-lab -sc query=bash 2>/dev/null))
}
complete -o nospace -o default -F _dqn_lab dqn-lab"""
SCRIPTS = {
    "bash": f"COMP_WORDBREAKS=${{COMP_WORDBREAKS//=}}\n{FUNCTION}",
    "zsh": f"autoload -U +X bashcompinit && bashcompinit\n{FUNCTION}",
    "fish": "complete -c dqn-lab "
    "-a '(env COMP_LINE=(commandline -cp | string collect) dqn-lab -sc query=fish 2>/dev/null)'",
}


def main(arguments: list[str]) -> int:
    """Prints a shell's script, or answers its query, which is in COMP_LINE; returns the exit code."""
    action, _, shell = " ".join(arguments[1:]).partition("=")
    if shell not in SCRIPTS or action not in ("install", "query"):
        return fail("-sc: must be install=bash, install=zsh or install=fish")
    if action == "install":
        print(SCRIPTS[shell])
        return 0
    words = _words(os.environ.get("COMP_LINE", ""))
    for answer in dict.fromkeys(_answers(words)):
        print(answer)
    return 0


def _words(line: str) -> list[str]:
    """Splits a line as a shell does, without the program; the word being typed comes last, even if empty."""
    try:
        words = shlex.split(line)
    except ValueError:  # an open quote
        words = line.split()
    return [*words[1:], ""] if line.endswith(" ") or len(words) < 2 else words[1:]


def _answers(words: list[str]) -> Iterator[str]:
    """Lists the completions of the last word."""
    *before, word = words
    command, *typed = before or [""]
    if not before:
        found: Iterable[str] = [*COMMANDS, "--help", "--version"]
    elif word.startswith("-"):
        found = FLAGS.get(command, ())
    elif typed and typed[-1] == "--metric":
        found = METRICS
    elif typed and typed[-1] == "--policy":
        found = _policies(typed)
    elif typed and typed[-1] in ("--config-dir", "--dir", "--out", "--csv", "--against", "--html"):
        found = _files(word)
    elif command == "components":
        found = (*GROUPS, "experiment", "sweep")
    elif command == "sweep" and not any(not each.startswith("-") for each in typed):
        found = [*sorted(path.stem for path in sweeps_directory().glob("*.yaml")), *_files(word, ".yaml")]
    elif command == "explain":
        found = [*_overrides(typed, word), *_files(word)]
    elif command in ("train", "sweep"):
        found = _overrides(typed, word)
    else:
        found = _files(word)
    return (each for each in found if each.startswith(word))


def _policies(typed: list[str]) -> list[str]:
    """Lists the policies that `evaluate` and others can play: those of the run that was typed before, if any."""
    return [name for word in typed for name in policy_names(Path(word))] or ["final", "best"]


def _files(word: str, suffix: str | None = None) -> Iterator[str]:
    """Lists directories, and the files that end in a suffix, that match the word being typed."""
    parent, _, name = word.rpartition("/")
    start = f"{parent}/" if parent or word.startswith("/") else ""
    try:
        paths = sorted(Path(start or ".").iterdir())
    except (OSError, ValueError):
        return
    for path in paths:
        if path.name.startswith(".") and not name.startswith("."):
            continue
        if path.is_dir():
            yield f"{start}{path.name}/"
        elif suffix and path.suffix == suffix:
            yield f"{start}{path.name}"


def _overrides(typed: list[str], word: str) -> Iterator[str]:
    """Lists the options of a group, or all groups and the keys of the chosen options."""
    with contextlib.suppress(ConfigError):
        _options.add_typed_directory(typed)
    key, equals, value = word.partition("=")
    if equals:
        several, comma, _ = value.rpartition(",")
        found = _options.options(key) or _values(key)
        yield from (f"{key}={several}{comma}{option}" for option in found)
        return
    values = dict(text.split("=", 1) for text in typed if "=" in text)
    yield from (f"{group}=" for group in (*GROUPS, "experiment"))
    yield from _leaves(_options.run_keys(), "")
    for group, names in _options.choices(values).items():
        for name in names:
            yield from _leaves(_options.keys(group, name), f"{group}.")


def _values(key: str) -> Iterator[str]:
    """Lists the values of a key that accepts only a few words, or true and false."""
    from dqn_lab.cli import _index  # imports pydantic, which no other completion needs

    index, (group, _, leaf) = _index.read(), key.rpartition(".")
    schemas = [component.fields or {} for component in index.components.get(group, {}).values()]
    for schema in schemas or [index.run, *index.run["$defs"].values()]:
        field = schema.get("properties", {}).get(leaf, {})
        for kind in (field, *field.get("anyOf", ())):
            yield from map(str, kind.get("enum", ()))
            yield from ("true", "false") if kind.get("type") == "boolean" else ()


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}="
