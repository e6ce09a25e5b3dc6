"""Code from outside the package: what names it, and the permission to import it."""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from dqn_lab._outside import forget_changed, outside_names
from dqn_lab.records import override_key


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that allows importing a run's own code."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="allow importing Python code outside dqn_lab that the run's configuration names",
    )


def check_trust(config: dict[str, Any], record: dict[str, Any], trust: bool) -> None:
    """Refuses a configuration that names code outside the registry, unless trusted; then makes the code importable.

    Raises:
        ValueError: the configuration names such code, and it is not trusted.
    """
    outside = sorted(outside_names(config))
    if outside and not trust:
        raise ValueError(f"this run imports {', '.join(outside)}; if you trust that code, add --trust")
    if trust:
        forget_changed()
        sys.path[:0] = [path for path in record.get("import_path", []) if path not in sys.path]


def trusting(config: Mapping[str, Any]) -> str:
    """Returns ` --trust`, for a command to copy, if a configuration imports code from outside the package."""
    return " --trust" if outside_names(config) else ""


def imported(grid: Mapping[str, Any]) -> list[str]:
    """Returns the words of a grid's command that import code from outside the package."""
    words = [*grid["base"], *itertools.chain.from_iterable(grid["variants"].values())]
    return [*config_dir(grid), *filter(_imports_code, words)]


def config_dir(grid: Mapping[str, Any]) -> list[str]:
    """Returns the words of a grid's command that name its `--config-dir`; none if it has none."""
    typed = shlex.split(str(grid["command"]))
    pairs = itertools.pairwise(typed)
    found = next((["--config-dir", following] for word, following in pairs if word == "--config-dir"), [])
    return found or [word for word in typed if word.startswith("--config-dir=")]


def _imports_code(override: str) -> bool:
    """Returns whether an override names a module, or is a flag, which no genuine recorded override is."""
    names_module = override_key(override).endswith((".name", ".id")) and ":" in override
    return names_module or override.startswith("-")
