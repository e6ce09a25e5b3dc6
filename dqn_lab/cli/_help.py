"""`train --help`: every group, option and key."""

from __future__ import annotations

from typing import Any

import yaml

from dqn_lab._paths import GROUPS
from dqn_lab.cli import _options, fail
from dqn_lab.cli._text import wrapped
from dqn_lab.errors import ConfigError

_dump: Any = yaml.safe_dump
USAGE = "usage: python -m dqn_lab train [KEY=VALUE …] [GROUP=OPTION …] [FLAG …]"
ABOUT = "Trains a DQN. Writes metrics as CSV, a record, and the policy to outputs/<date>/<time>_<overrides>-<hash>/."
FLAGS = {
    "--cfg job": "print the composed configuration, and run nothing",
    "-m": "run every combination of values: -m target.interval=1,10,100 seed='range(10)'",
    "--config-dir DIR": "add a directory with your own options and components",
    "--hydra-help": "all of Hydra's flags",
}
MORE = "`python -m dqn_lab components GROUP` explains a group's options and parameters."


def main(argv: list[str]) -> int:
    """Prints the help, with the keys of the options that these arguments choose; returns the exit code."""
    try:
        _options.add_typed_directory(argv)
    except ConfigError as error:
        return fail(*error.problems)
    print(f"{wrapped(USAGE, 7)}\n\n{wrapped(ABOUT, 0)}\n\nGroups (choose with GROUP=OPTION):\n{_groups()}")
    print(f"Keys and their defaults (change with KEY=VALUE):\n{_keys(argv)}\nFlags:")
    print("\n".join(wrapped(f"  {flag:<17} {text}", 20) for flag, text in FLAGS.items()))
    print(f"\n{wrapped(MORE, 0)}")
    return 0


def _groups() -> str:
    names = {group: ", ".join(_options.options(group)) for group in (*GROUPS, "experiment")}
    return "".join(wrapped(f"  {group:<12} {options}", 15) + "\n" for group, options in names.items())


def _keys(typed: list[str]) -> str:
    """Lists each key and its default, as typed on the command line."""
    chosen = _options.choices(dict(text.split("=", 1) for text in typed if "=" in text))
    lines = list(_leaves(_options.run_keys(), ""))
    for group, names in chosen.items():
        lines += [f"  # {group}={names[0] if len(names) == 1 else '[' + ','.join(names) + ']'}"]
        for name in names:
            lines += _leaves(_options.keys(group, name), f"{group}.")
    return "\n".join(lines) + "\n"


def _leaves(values: dict[str, Any], prefix: str) -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines += _leaves(value, f"{prefix}{key}.")
        else:
            text = _dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
            lines.append(f"  {prefix}{key}={text.replace(', ', ',')}")
    return lines
