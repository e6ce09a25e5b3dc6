"""Where the files are that come with the lab."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def sweeps_directory() -> Path:
    """Finds `sweeps/`: beside the package in a repository, inside it in an installed wheel."""
    repository = PACKAGE.parent
    return (repository if (repository / "pyproject.toml").is_file() else PACKAGE) / "sweeps"
