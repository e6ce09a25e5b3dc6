"""Finds the files that come with the lab."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
GROUPS = (  # folders of `conf/` and of the package
    "env", "network", "value", "bootstrap", "buffer", "optimizer", "target", "exploration",
    "rollout", "engine", "diagnostics", "logger",
)  # fmt: skip


def config_directory() -> Path:
    """Returns `conf/`: next to the package in a repository, inside it in an installed wheel."""
    return _home() / "conf"


def sweeps_directory() -> Path:
    """Returns `sweeps/`: next to the package in a repository, inside it in an installed wheel."""
    return _home() / "sweeps"


def _home() -> Path:
    repository = PACKAGE.parent
    is_one = (repository / "pyproject.toml").is_file() and (repository / "conf" / "config.yaml").is_file()
    return repository if is_one else PACKAGE
