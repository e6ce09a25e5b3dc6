"""Finds the files that come with the lab, and a run's policies."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dqn_lab.records import CHECKPOINT

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


def policy_path(directory: Path, name: str) -> Path:
    """Returns the path of a run's policy, such as `final` or `best`."""
    return directory / CHECKPOINT / f"{name}.safetensors"


def policy_names(directory: Path) -> list[str]:
    """Lists a run's saved policies: those saved during training by step, then `best` and `final`."""
    found = {path.stem for path in (directory / CHECKPOINT).glob("*.safetensors")}
    kept = {int(match[1]): match[0] for name in found if (match := re.fullmatch(r"step_(\d+)", name))}
    return [*(kept[step] for step in sorted(kept)), *(name for name in ("best", "final") if name in found)]


def to_read(path: str | os.PathLike[str]) -> Path:
    """Returns a path to read from; a `~` at its beginning stands for the user's own directory."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (leaves what it cannot expand as it is)
