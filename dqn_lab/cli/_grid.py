"""The jobs of a grid: each composed and checked before the first starts, and listed in the grid's `sweep.json`."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from dqn_lab.cli import _hydra, _index, _jobs, status, warn
from dqn_lab.cli._about import about
from dqn_lab.cli._compose import compose_config, plain, with_seed
from dqn_lab.cli._problems import Problems
from dqn_lab.cli._text import shown
from dqn_lab.errors import ConfigError
from dqn_lab.records import RUN, SWEEP, identity, override_key, read_sweep, write_sweep

LISTED = 3  # jobs that an interruption names
SEED = re.compile(r"seed=\d{1,9}")


class Job(NamedTuple):
    """One run of a grid: its overrides as typed, its identity, and its directory's name."""

    overrides: list[str]
    seed: int
    hash: str
    directory: str


def check_jobs(jobs: Sequence[list[str]], sweep: Path) -> list[Job]:
    """Composes, validates and builds every job of a grid, and prints the warnings.

    Raises:
        ConfigError: one line per problem, with the jobs that have it.
    """
    problems = Problems("job", len(jobs))
    configs = dict(_composed(jobs, problems))
    problems.refuse()  # before torch is imported
    seen: dict[str, str] = {}
    warnings: list[str] = []
    checked = []
    for overrides, (name, config) in zip(jobs, configs.items(), strict=True):
        with problems.of(name):
            experiment = _jobs.prepare(config)
            warnings += experiment.warnings
            directory = str(config.hydra.sweep.subdir)
            first = seen.setdefault(directory, name)
            if first != name:
                raise ConfigError(f"the same as job {first.partition(' ')[0]}")
            if (sweep / directory / RUN).exists():
                raise ConfigError(f"{shown(sweep / directory)}: holds a run already")
            checked.append(Job(overrides, experiment.config["seed"], identity(experiment.config), directory))
    problems.refuse()
    warn(*warnings)
    return checked


def _composed(jobs: Sequence[list[str]], problems: Problems) -> Iterator[tuple[str, DictConfig]]:
    """Composes each job; of those that differ in their seed alone only the first, the others are as right or wrong."""
    known: dict[tuple[str, ...], DictConfig | ConfigError] = {}
    for number, overrides in enumerate(jobs):
        status(f"checking job {number + 1} of {len(jobs)}")
        shared = tuple("seed=" if SEED.fullmatch(text) else text for text in overrides)
        name = f"{number + 1} ({' '.join(overrides)})"
        with problems.of(name):
            if "seed=" not in shared or shared not in known:
                known[shared] = _attempt(overrides, number)
            found = known[shared]
            if isinstance(found, ConfigError):
                raise found
            if "seed=" in shared:
                seed = [text.partition("=")[2] for text in overrides if SEED.fullmatch(text)][-1]
                found = with_seed(found, int(seed), number=number)
                _index.validate(plain(found))
            yield name, found


def _attempt(overrides: list[str], number: int) -> DictConfig | ConfigError:
    try:
        return compose_config(overrides, number)
    except ConfigError as error:
        return error


def record(jobs: Sequence[Job], directory: Path, is_first: bool) -> None:
    """Writes a grid's `sweep.json`, in which variants are labelled and ordered as typed.

    There is none for a single variant, for several tasks, which are no variants, and beside another grid's runs.

    Args:
        jobs: the grid's.
        directory: the grid's.
        is_first: whether it holds no other runs.
    """
    common = set.intersection(*(set(job.overrides) for job in jobs))
    variants: dict[str, list[str]] = {}
    rows = []
    for job in jobs:
        own = [text for text in job.overrides if text not in common and override_key(text) != "seed"]
        label = ", ".join(text.lstrip("+~") for text in own)
        variants[label] = own
        rows.append({"variant": label, "seed": job.seed, "hash": job.hash, "directory": job.directory})
    varied = {override_key(text) for own in variants.values() for text in own}
    if not is_first:
        _forget(directory)
    elif len(variants) > 1 and not any(key.startswith("env") for key in varied):
        here = about()
        write_sweep(directory, {
            "name": directory.name, "question": None, "command": here["command"], "started": here["started"],
            "control": None, "metric": None, "base": sorted(common), "variants": variants,
            "seeds": sorted({job.seed for job in jobs}), "versions": here["versions"], "git": here["git"], "jobs": rows,
        })  # fmt: skip


@contextlib.contextmanager
def interrupted_where(jobs: Sequence[Job], directory: Path) -> Iterator[None]:
    """Has an interruption say which jobs never began, and what runs them."""
    try:
        yield
    except KeyboardInterrupt as error:
        left = [job for job in jobs if not (directory / job.directory / RUN).exists()]
        if left:
            names = [" ".join(_hydra.about_jobs(job.overrides)) for job in left[:LISTED]]
            more = f", … ({len(left)} in all)" if len(left) > LISTED else ""
            has_record = (directory / SWEEP).is_file()
            hint = f"; python -m dqn_lab resume {shlex.quote(shown(directory))} runs what is missing"
            never = f"{len(left)} of {len(jobs)} jobs never began: {', '.join(names)}{more}{hint if has_record else ''}"
            error.args = (f"{str(error) or 'interrupted'}; {never}",)
        raise


def _forget(directory: Path) -> None:
    """Removes an earlier grid's `sweep.json`, which does not know the runs that are added."""
    found: dict[str, Any] | None = None
    with contextlib.suppress(ValueError, OSError):
        found = read_sweep(directory)
    if found and found.get("question") is None:
        (directory / SWEEP).unlink(missing_ok=True)
