"""How a run was made, as plain values for `run.json`: versions, commit, host, command."""

from __future__ import annotations

import functools
import itertools
import os
import platform
import shlex
import socket
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dqn_lab import __version__
from dqn_lab.errors import ConfigError

COMMAND = "DQN_LAB_COMMAND"  # what the user typed, for workers to inherit
CONFIG_DIR = "DQN_LAB_CONFIG_DIR"  # the user's own directory, for workers to inherit
PYTHON = "dqn_lab."  # how a recorded call from Python begins
PACKAGES = ("torch", "numpy", "gymnasium", "hydra-core", "omegaconf", "wandb")


def about() -> dict[str, Any]:
    """Returns versions, git commit, host, command and start time of this process's run."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": os.environ.get(COMMAND, command()),
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "import_path": [os.environ[CONFIG_DIR]] if CONFIG_DIR in os.environ else [],
        "git": _git(),
        "versions": {"dqn_lab": __version__, "python": platform.python_version(), **_versions()},
    }


def command() -> str:
    """Returns this process's command as the user typed it."""
    program = Path(sys.argv[0]).name
    words = ["python", "-m", "dqn_lab"] if program == "__main__.py" else [program]
    return shlex.join([*words, *sys.argv[1:]])


def recorded_commands(text: str) -> list[list[str]]:
    """Returns the words of each command that a record joins by `&&`, without the program's: `["sweep", "replay"]`.

    Raises:
        ConfigError: it is not a command line, but empty or a call from Python.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words or text.startswith(PYTHON) or f" && {PYTHON}" in text:
        raise ConfigError(f"{text!r}: is not a command line")
    groups = (list(group) for joins, group in itertools.groupby(words, lambda word: word == "&&") if not joins)
    return [group[3:] if group[1:3] == ["-m", "dqn_lab"] else group[1:] for group in groups]


@functools.cache  # a worker makes hundreds of runs
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@functools.cache  # as it was when this process began
def _git() -> dict[str, Any] | None:
    """Returns the commit of the package's own repository, and whether files were changed; None outside a repository."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit, status = (
            subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=5, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "changed": bool(status.strip())}
