"""Makes the directories of runs, and finds runs. If a path is none, or does not exist, the error suggests others."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dqn_lab.errors import ConfigError
from dqn_lab.records import RUN, SWEEP, is_attempt, override_key

SHOWN = 3  # runs that an error lists
MOST = 1_000  # runs that are counted


def names_a_directory(overrides: Iterable[str], key: str = "hydra.run.dir") -> bool:
    """Returns whether overrides set the directory of a run, or by `hydra.sweep.dir` that of a grid."""
    return any(override_key(text) == key for text in overrides)


def make_directory(path: Path, bump: bool, alone: bool = True) -> Path:
    """Creates the directory of a run or a grid.

    Args:
        path: its path.
        bump: adds a number to a name that is taken.
        alone: refuses a directory that holds other runs, as a run's may not, and a grid's may.

    Returns:
        an absolute path.

    Raises:
        ConfigError: the directory cannot be created or used.
    """
    if not path.name and not path.is_absolute():
        raise ConfigError("hydra.run.dir, hydra.sweep.dir: must name a directory, not the current one")
    for number in range(1, 1_000):
        candidate = path if number == 1 else path.with_name(f"{path.name}_{number}")
        try:
            candidate.mkdir(parents=True, exist_ok=not bump)
            if not os.access(candidate, os.W_OK):
                raise ConfigError(f"{candidate}: cannot be written: permission denied")
        except FileExistsError:
            if bump and candidate.is_dir():
                continue
            raise ConfigError(f"{candidate}: is not a directory") from None
        except (OSError, ValueError) as error:  # ValueError for a name with a NUL
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"{candidate}: cannot be written: {reason}") from error
        if (candidate / RUN).exists():
            raise ConfigError(f"{candidate}: holds a run already; choose another directory, or remove this one")
        if alone and (inside := next(candidate.glob(f"*/{RUN}"), None)):
            raise ConfigError(f"{candidate}: holds other runs, such as {inside.parent.name}; choose another directory")
        return candidate.absolute()
    raise ConfigError(f"{path}: exists already, as do the next 998 names")


def check_run(path: Path) -> None:
    """Checks that a path is a run's directory.

    Raises:
        ConfigError: it is something else; the message lists runs nearby.
    """
    try:
        if (path / RUN).exists():
            return
        if not path.exists():
            raise ConfigError(f"{path}: no such directory{_listed(Path('outputs'), '; runs here: ')}")
        if not path.is_dir():
            inside = (path.parent / RUN).is_file()
            hint = f": {path.parent}" if inside else _listed(Path("outputs"), "; runs here: ")
            raise ConfigError(f"{path}: is a file; name a run's directory{hint}")
        if below := _listed(path, "; runs below it: "):
            what = "is a sweep or a grid, not a run" if (path / SWEEP).is_file() else "is not a run"
            raise ConfigError(f"{path}: {what}{below}")
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    raise ConfigError(f"{path}: no run here (there is no readable {RUN})")


def check_results(*paths: Path) -> None:
    """Checks that paths exist.

    Raises:
        ConfigError: one does not; the message lists sweeps, or runs if there are none.
    """
    for path in paths:
        if not path.exists():
            below = Path("outputs")
            if (below / "sweeps" / path).is_dir():
                raise ConfigError(f"{path}: no such directory; did you mean {below / 'sweeps' / path}?")
            there = _listed(below, "; sweeps here: ", SWEEP) or _listed(below, "; runs here: ")
            raise ConfigError(f"{path}: no such directory{there}")


def find_runs(paths: Sequence[Path], at_most: int) -> list[Path]:
    """Lists the runs at or below the paths; below a path, earlier attempts are left out.

    Raises:
        ConfigError: there are none, or more than `at_most`.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = [path] if (path / RUN).is_file() else sorted(_below(path))
        if not inside:
            check_run(path)
        found.update(dict.fromkeys(inside))
    if len(found) > at_most:
        raise ConfigError(f"{len(found)} runs: at most {at_most} fit side by side; name fewer")
    return list(found)


def _below(directory: Path, name: str = RUN) -> Iterator[Path]:
    """Yields the directories below this one that contain a file of this name and are no earlier attempts."""
    return (path.parent for path in directory.rglob(name) if not is_attempt(path.parent.name))


def _listed(directory: Path, words: str, name: str = RUN) -> str:
    """Lists some directories with a file of this name, the newest first; nothing if there are none."""
    found = list(itertools.islice(_below(directory, name), MOST))
    found.sort(key=lambda path: (path / name).stat().st_mtime, reverse=True)
    if not found:
        return ""
    more = f", … ({len(found)}{' or more' if len(found) == MOST else ''} in all)" if len(found) > SHOWN else ""
    return f"{words}{', '.join(map(str, found[:SHOWN]))}{more}"


def engine_of(record: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the configuration of the engine that a run used: with another budget, `auto` might choose another.

    Args:
        record: the run's `run.json`; it may come from somebody else, so only an engine of the package is taken from it.
        config: its configuration, validated.
    """
    from dqn_lab import registry

    configured: dict[str, Any] = config["engine"]
    name = (record.get("engine") or {}).get("name")
    return {"name": name} if name in registry.names("engine") and name != configured["name"] else configured
