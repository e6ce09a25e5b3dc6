"""Code from outside the package: what names it, and the permission to import it."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dqn_lab._outside import REFUSED, forget_changed, outside_names
from dqn_lab.cli._about import recorded_commands
from dqn_lab.errors import ConfigError
from dqn_lab.records import override_key

# what a recorded command may set of Hydra's own part: launchers of clusters run commands, and read pickles from a sweep
LAUNCHING = re.compile(r"hydra/launcher=(basic|joblib)|hydra\.(launcher\.n_jobs|sweeper\.max_batch_size)=-?\d+")


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
        ConfigError: the configuration names such code, and it is not trusted.
    """
    if not trust:
        _refuse_names(config)
    else:
        forget_changed()
        sys.path[:0] = [path for path in record.get("import_path", []) if path not in sys.path]


def trusting(config: Mapping[str, Any]) -> str:
    """Returns ` --trust`, for a command to copy, if a configuration imports code from outside the package."""
    return " --trust" if outside_names(config) else ""


@contextlib.contextmanager
def refusing(trust: bool) -> Iterator[None]:
    """Refuses code from outside the package, unless trusted, in whatever is composed and run inside, workers included.

    A recorded command decides what it composes, and may name code in many ways: by an interpolation, in an option's
    file, in Hydra's own part. Therefore not its text is checked, but what it composes.
    """
    if not trust:
        os.environ[REFUSED] = "1"
    try:
        yield
    finally:
        os.environ.pop(REFUSED, None)


def check_composed(config: Mapping[str, Any], overrides: Iterable[str]) -> None:
    """Refuses a composed configuration that may import code from outside the package, if such code is refused.

    Args:
        config: the configuration as plain values, interpolations resolved.
        overrides: those that it was composed from, without Hydra's own (`hydra.…`, `hydra/…`).

    Raises:
        ConfigError: it may.
    """
    if REFUSED in os.environ:
        _refuse_names(config)
        _refuse_overrides([*filter(_reaches_hydra, overrides)])


def check_launching(overrides: Iterable[str], config_dir: str | None, trust: bool) -> None:
    """Refuses a recorded command that may import code through Hydra or a directory, unless trusted.

    Args:
        overrides: the command's overrides.
        config_dir: its `--config-dir`.
        trust: allow it.

    Raises:
        ConfigError: it may, and is not trusted.
    """
    if not trust:
        directory = [] if config_dir is None else [f"--config-dir={config_dir}"]
        own = [text for text in overrides if _reaches_hydra(text) and not LAUNCHING.fullmatch(text)]
        _refuse_overrides([*directory, *own])


def imported(grid: Mapping[str, Any]) -> list[str]:
    """Returns the words of a grid's command that may run code from outside the package, to name them in a hint."""
    words = [*grid["base"], *itertools.chain.from_iterable(grid["variants"].values())]
    names = [text for text in words if ":" in text and override_key(text).endswith((".name", ".id"))]
    directory = config_dir(grid)
    launch = [text for text in launching(grid) if not LAUNCHING.fullmatch(text)]
    return [*([] if directory is None else [f"--config-dir={directory}"]), *names, *launch]


def launching(grid: Mapping[str, Any]) -> list[str]:
    """Returns the overrides of a grid's command that say how its jobs are launched."""
    keys = ("hydra/launcher", "hydra.launcher.", "hydra.sweeper.max_batch_size")
    return [text for text in grid["base"] if override_key(text).startswith(keys)]


def config_dir(grid: Mapping[str, Any]) -> str | None:
    """Returns the `--config-dir` of a grid's command, if it has one.

    Raises:
        ConfigError: its record contains no command line.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-cd", "--config-dir")
    found: str | None = parser.parse_known_args(recorded_commands(str(grid.get("command")))[-1])[0].config_dir
    return found


def _reaches_hydra(override: str) -> bool:
    """Returns whether an override sets Hydra's own part, or may: `group@package=option` goes to any part."""
    key = override_key(override)
    return "@" in key or re.split(r"[./]", key)[0] == "hydra"


def _refuse_names(config: Mapping[str, Any]) -> None:
    if outside := sorted(outside_names(config)):
        raise ConfigError(f"this run imports {', '.join(outside)}; if you trust that code, add --trust")


def _refuse_overrides(words: list[str]) -> None:
    if words:
        raise ConfigError(f"{' '.join(words)}: may run code from outside dqn_lab; if you trust it, add --trust")
