"""Directories with options: those of the package, the plugins and the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dqn_lab._paths import config_directory, to_read
from dqn_lab._plugins import plugin_places
from dqn_lab.cli._about import CONFIG_DIR
from dqn_lab.errors import ConfigError


def directories() -> list[Path]:
    """Lists every directory with options, the package's own first."""
    found = [config_directory()]
    if CONFIG_DIR in os.environ:
        found.append(Path(os.environ[CONFIG_DIR]))
    return found + [place / "conf" for place in plugin_places() if (place / "conf").is_dir()]


def misplaced(group: str, name: str) -> str:
    """Says where a user's directory has a file that is probably meant as this option; else an empty text."""
    places = [f"{group}/{name}.yml", f"{group}s/{name}.yaml", f"{group}s/{name}.yml", f"{name}.yaml", f"{name}.yml"]
    for directory in directories()[1:]:
        for place in places:
            if (directory / place).is_file():
                return f"{directory / place} must be {group}/{name}.yaml there"
    return ""


def add_directories(config_dir: str | None) -> None:
    """Adds a user's directory to the directories with options and to Python's import path.

    Raises:
        ConfigError: there is no such directory.
    """
    os.environ.pop(CONFIG_DIR, None)
    if config_dir is None:
        return
    try:
        directory = to_read(config_dir).resolve()
        is_there = config_dir != "" and directory.is_dir()
        what = "is not a directory" if config_dir and directory.exists() else "no such directory"
    except (OSError, ValueError):  # a name that is too long, or with a NUL
        is_there, what = False, "no such directory"
    if not is_there:
        hint = "" if Path(config_dir).is_absolute() else f" in {Path.cwd()}"
        raise ConfigError(f"--config-dir={config_dir}: {what}{hint}")
    sys.path.insert(0, str(directory))
    os.environ[CONFIG_DIR] = str(directory)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
