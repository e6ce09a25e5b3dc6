"""The jobs of a grid: each checked before the first starts, listed in the grid's `sweep.json`, and followed."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from omegaconf import DictConfig
from rich.console import Console

from dqn_lab.cli import _hydra, _index, _interrupt, _jobs, status, warn
from dqn_lab.cli._about import about
from dqn_lab.cli._compose import compose_config, plain, with_seed
from dqn_lab.cli._plain import say
from dqn_lab.cli._problems import Problems
from dqn_lab.cli._summary import engine_note
from dqn_lab.cli._text import shown, to_copy
from dqn_lab.cli._trust import imported
from dqn_lab.cli.sweep.board import Board, Watch, show_results
from dqn_lab.cli.sweep.launch import batches, close
from dqn_lab.cli.sweep.plan import Job
from dqn_lab.errors import ConfigError
from dqn_lab.records import RUN, SWEEP, identity, override_key, read_sweep, saved_states, write_sweep

LISTED = 3  # jobs that an interruption names
SEED = re.compile(r"seed=\d{1,9}")


def check_jobs(jobs: Sequence[list[str]], sweep: Path) -> list[Job]:
    """Composes, validates and builds every job of a grid, and prints each warning and note once.

    Raises:
        ConfigError: one line per problem, with the jobs that have it.
    """
    problems = Problems("job", len(jobs))
    configs = dict(_composed(jobs, problems))
    problems.refuse()  # before torch is imported
    seen: dict[str, str] = {}
    warned: list[str] = []
    notes: list[str] = []
    checked = []
    for overrides, label, (name, config) in zip(jobs, _labels(jobs), configs.items(), strict=True):
        with problems.of(name):
            experiment = _jobs.prepare(config)
            warned += experiment.warnings
            notes.append(engine_note(experiment))
            directory = str(config.hydra.sweep.subdir)
            first = seen.setdefault(directory, name)
            if first != name:
                raise ConfigError(f"the same as job {first.partition(' ')[0]}")
            if (sweep / directory / RUN).exists():
                raise ConfigError(f"{shown(sweep / directory)}: holds a run already")
            known_by = identity(experiment.config)
            checked.append(Job(variant=label, seed=experiment.config["seed"], hash=known_by, directory=directory,
                               overrides=tuple(overrides)))  # fmt: skip
    problems.refuse()
    warn(*warned)
    for note in filter(None, dict.fromkeys(notes)):
        say(note)
    return checked


def _labels(jobs: Sequence[list[str]]) -> list[str]:
    """Returns the label of each job's variant: the overrides that not all jobs share, without the seed, as typed.

    If all jobs belong to one variant, its label consists of the overrides that they share.
    """
    labels = [_label(own) for own in _distinct_overrides(jobs)]
    if set(labels) == {""}:
        labels = [_label(text for text in _hydra.about_jobs(job) if override_key(text) != "seed") for job in jobs]
    return [label or "default" for label in labels]


def _distinct_overrides(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Returns the overrides of each job that not all jobs share, without the seed."""
    common = set.intersection(*map(set, jobs))
    return [[text for text in job if text not in common and override_key(text) != "seed"] for job in jobs]


def _label(overrides: Iterable[str]) -> str:
    return ", ".join(text.lstrip("+~") for text in overrides)


def _composed(jobs: Sequence[list[str]], problems: Problems) -> Iterator[tuple[str, DictConfig]]:
    """Composes each job; of jobs that differ only in their seed, composes the first and copies it."""
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

    Writes none if there is only one variant, or if the directory already contains another grid's runs.

    Args:
        jobs: the grid's jobs.
        directory: the grid's directory.
        is_first: whether the directory contains no other runs.
    """
    common = set.intersection(*(set(job.overrides) for job in jobs))
    variants: dict[str, list[str]] = {}
    rows = []
    for job, own in zip(jobs, _distinct_overrides([job.overrides for job in jobs]), strict=True):
        variants[job.variant] = own
        rows.append(job.row())
    if not is_first:
        _remove_record(directory)
    elif len(variants) > 1:
        here = about()
        write_sweep(directory, {
            "name": directory.name, "question": None, "command": here["command"], "started": here["started"],
            "control": None, "metric": None, "base": sorted(common), "variants": variants,
            "seeds": sorted({job.seed for job in jobs}), "versions": here["versions"], "git": here["git"], "jobs": rows,
        })  # fmt: skip


def _remove_record(directory: Path) -> None:
    """Removes an earlier grid's `sweep.json`, which does not list the new runs."""
    found: dict[str, Any] | None = None
    with contextlib.suppress(ValueError, OSError):
        found = read_sweep(directory)
    if found and found.get("question") is None:
        (directory / SWEEP).unlink(missing_ok=True)


def run(config: DictConfig, jobs: Sequence[Job], directory: Path, task: Callable[[DictConfig], float]) -> int:
    """Runs a grid's jobs with Hydra's launcher, shows their progress, and prints the results.

    Args:
        config: Hydra's part of the configuration.
        jobs: the jobs.
        directory: the grid's directory.
        task: runs one job; shows its progress only if a display was typed, which then replaces the table of all jobs.

    Returns:
        the exit code: 1 if a job did not complete.

    Raises:
        KeyboardInterrupt: the grid was interrupted; every run's record has its status.
    """
    board = Board("", jobs, directory)
    typed = any(override_key(text) == "display" for job in jobs for text in job.overrides)
    try:
        with (
            _interrupt.after(lambda: close(jobs, directory)),
            contextlib.nullcontext() if typed else Watch(board, Console()),
        ):
            for start, batch in batches(config, [_hydra.about_jobs(list(job.overrides)) for job in jobs]):
                Plugins.instance().instantiate_launcher(_hydra.context(config), task, config).launch(batch, start)
    except KeyboardInterrupt as error:
        _interrupt.ignore()
        show_results(board, {}, hint=False)
        _add_hint(error, jobs, board)
        raise
    board.look()
    lost = [name for name, status in board.status.items() if status == "waiting"]
    show_results(board, dict.fromkeys(lost, f"has no readable {RUN}"))
    return board.code()


def _add_hint(error: KeyboardInterrupt, jobs: Sequence[Job], board: Board) -> None:
    """Adds to an interruption which jobs never began, and the command to resume the grid or its first stopped run."""
    never = [job for job in jobs if not (board.directory / job.directory / RUN).exists()]
    message = str(error) or "interrupted"
    if never:
        names = [f"{job.variant} seed={job.seed}" for job in never[:LISTED]]
        more = f", … ({len(never)} in all)" if len(never) > LISTED else ""
        message += f"; {len(never)} of {len(jobs)} jobs never began: {', '.join(names)}{more}"
    error.args = (message,)
    grid = read_sweep(board.directory)
    if grid and grid["question"] is None:  # the grid is resumed as a whole, including the run in this process
        place = f"{shlex.quote(shown(board.directory))}{' --trust' if imported(grid) else ''}"
        error.__notes__ = [to_copy("next", place, "python -m dqn_lab resume", sys.stderr)]
        return
    stopped = [board.directory / name for name, status in board.status.items() if status == "interrupted"]
    stopped = [path for path in stopped if saved_states(path)]
    if stopped and not hasattr(error, "__notes__"):
        error.add_note(to_copy("next", shlex.quote(shown(stopped[0])), "python -m dqn_lab resume", sys.stderr))


def show_search(directory: Path, found: set[Path]) -> int:
    """Prints the results of a search, whose jobs are known only afterwards; returns 1 if one did not complete."""
    from dqn_lab.analysis import load_configs  # pandas is imported once there are results

    labels: dict[str, str] = {}
    if found:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unreadable runs, which are listed with the others
            frame = load_configs(*found)
        labels = {Path(path).name: str(label) for path, label in zip(frame["directory"], frame["variant"], strict=True)}
    jobs = [
        Job(variant=labels.get(path.name, path.name), seed=0, hash="", directory=path.name, overrides=())
        for path in sorted(found)
    ]
    board = Board("", jobs, directory)
    show_results(board, dict.fromkeys({path.name for path in found} - set(labels), f"has no readable {RUN}"))
    return board.code()
