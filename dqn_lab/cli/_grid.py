"""Grids (`train -m`): every job is checked before the first starts, listed in `sweep.json`, and run as a sweep's."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, read_write

from dqn_lab._memory import shared_by
from dqn_lab.cli import _hydra, _interrupt, _overrides, _worker, say, warn
from dqn_lab.cli._about import about
from dqn_lab.cli._problems import Problems
from dqn_lab.cli._runs import make_directory, names_a_directory
from dqn_lab.cli._text import shown, to_copy
from dqn_lab.cli._trust import imported
from dqn_lab.cli.sweep.board import Board, show_results
from dqn_lab.cli.sweep.jobs import Draft, Job, Plan, plan_jobs
from dqn_lab.cli.sweep.launch import master, num_workers
from dqn_lab.cli.sweep.run import run_jobs
from dqn_lab.records import RUN, SWEEP, may_matter, override_key, read_sweep, saved_states, write_sweep

LISTED = 3  # jobs that an interruption names


def run_grid(overrides: list[str]) -> int:
    """Runs every combination of the overrides' values; returns the exit code: 1 if a job did not complete.

    Raises:
        ConfigError: one line per problem; nothing was written.
        KeyboardInterrupt: the grid was interrupted; every run's record has its status.
    """
    with _interrupt.before("a job began"):
        config = master(_hydra.about_hydra(overrides))
        warn(*_overrides.repeated(overrides))
        drafts = draft_jobs(_hydra.expand(overrides, config))
        with shared_by(num_workers(config, len(drafts))):
            plan = plan_grid(drafts, _as_configured)
        directory = Path(next(iter(plan.composed.values())).hydra.sweep.dir)  # may follow the first job's values
        if given := names_a_directory(overrides, "hydra.sweep.dir"):
            _refuse_existing(drafts, plan, directory)
        warn(*plan.warnings)
        for note in plan.notes:
            say(note)
    directory = make_directory(directory, bump=not given, alone=False)
    for each in (config, *plan.composed.values()):
        with read_write(each.hydra):
            each.hydra.sweep.dir = str(directory)
    is_first = not any(directory.rglob(RUN))
    _worker.begin_workers(str(config.hydra.launcher._target_))
    OmegaConf.save(config, directory / "multirun.yaml")
    record(drafts, plan, directory, is_first)
    shows = not any(override_key(text) == "display" for text in overrides)
    return follow(config, plan, plan.jobs, directory, shows)


def draft_jobs(jobs: Sequence[Sequence[str]]) -> list[Draft]:
    """Names and labels the jobs of a grid.

    Args:
        jobs: the overrides of each job, as typed.
    """
    return [
        Draft(number=number, name=f"{number + 1} ({' '.join(job)})", variant=label, overrides=tuple(job))
        for number, (job, label) in enumerate(zip(jobs, _labels(jobs), strict=True))
    ]


def plan_grid(drafts: Sequence[Draft], name: Callable[[Draft, DictConfig, str], str]) -> Plan:
    """Plans the jobs of a grid; the arguments are those of `plan_jobs`.

    Raises:
        ConfigError: one line per problem, with the jobs that have it.
    """
    problems, warnings = (Problems("job", len(drafts)) for _ in range(2))
    plan = plan_jobs(drafts, problems, warnings, name)
    first: dict[str, int] = {}
    for draft, job in zip(drafts, plan.jobs, strict=True):
        if (before := first.setdefault(job.directory, draft.number)) != draft.number:
            problems.add([f"the same as job {before + 1}"], draft.name)
    problems.refuse()
    return dataclasses.replace(plan, warnings=list(warnings.found))


def _as_configured(draft: Draft, first: DictConfig, known_by: str) -> str:
    """Names a job's directory as `hydra.sweep.subdir` says."""
    config = draft.configuration(first)
    _hydra.name_directory(config, known_by)
    return str(config.hydra.sweep.subdir)


def _refuse_existing(drafts: Sequence[Draft], plan: Plan, directory: Path) -> None:
    """Refuses jobs whose directories hold runs.

    Raises:
        ConfigError: one line per job.
    """
    problems = Problems("job", len(drafts))
    for draft, job in zip(drafts, plan.jobs, strict=True):
        if ((place := directory / job.directory) / RUN).exists():
            problems.add([f"{shown(place)}: holds a run already"], draft.name)
    problems.refuse()


def _labels(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Returns the label of each job's variant: the overrides that not all jobs share, without the seed, as typed.

    If all jobs belong to one variant, its label consists of the overrides that they share and that may matter.
    """
    labels = [_label(own) for own in _distinct_overrides(jobs)]
    if set(labels) == {""}:
        labels = [_label(filter(may_matter, _hydra.about_jobs(job))) for job in jobs]
    return [label or "default" for label in labels]


def _distinct_overrides(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Returns the overrides of each job that not all jobs share, without the seed."""
    common = set.intersection(*map(set, jobs))
    return [[text for text in job if text not in common and override_key(text) != "seed"] for job in jobs]


def _label(overrides: Iterable[str]) -> str:
    return ", ".join(text.lstrip("+~") for text in overrides)


def record(drafts: Sequence[Draft], plan: Plan, directory: Path, is_first: bool) -> None:
    """Writes a grid's `sweep.json`, in which variants are labelled and ordered as typed.

    Writes none if the directory contains other runs: then it removes the `sweep.json` of an earlier grid, which does
    not list the new runs.

    Args:
        drafts: the jobs, as typed.
        plan: the same jobs.
        directory: the grid's directory.
        is_first: whether the directory contains no other runs.
    """
    jobs = [draft.overrides for draft in drafts]
    common = set.intersection(*map(set, jobs))
    variants = dict(zip((draft.variant for draft in drafts), _distinct_overrides(jobs), strict=True))
    if not is_first:
        _remove_record(directory)
        return
    here = about()
    write_sweep(directory, {
        "name": directory.name, "question": None, "command": here["command"], "started": here["started"],
        "control": None, "metric": None, "base": [text for text in jobs[0] if text in common],
        "variants": variants, "seeds": sorted({job.seed for job in plan.jobs}), "versions": here["versions"],
        "git": here["git"], "jobs": [job.row() for job in plan.jobs],
    })  # fmt: skip


def _remove_record(directory: Path) -> None:
    found: dict[str, Any] | None = None
    with contextlib.suppress(ValueError, OSError):
        found = read_sweep(directory)
    if found and found.get("question") is None:
        (directory / SWEEP).unlink(missing_ok=True)


def follow(config: DictConfig, plan: Plan, waiting: list[Job], directory: Path, shows: bool) -> int:
    """Runs jobs of a grid, shows their progress, and prints the results; returns the exit code.

    Args:
        config: Hydra's part of the configuration.
        plan: all jobs.
        waiting: the jobs to run.
        directory: the grid's directory.
        shows: whether to show the progress.

    Raises:
        KeyboardInterrupt: the grid was interrupted; every run's record has its status.
    """
    board = Board("", plan.jobs, directory)
    try:
        errors = run_jobs(config, plan, waiting, board, shows)
    except KeyboardInterrupt as error:
        _add_hint(error, board)
        raise
    show_results(board, errors)
    return board.code()


def _add_hint(error: KeyboardInterrupt, board: Board) -> None:
    """Adds to an interruption which jobs never began, and the command to resume the grid or its first stopped run."""
    never = [job for job in board.jobs if not (board.directory / job.directory / RUN).exists()]
    message = str(error) or "interrupted"
    if never:
        names = [f"{job.variant} seed={job.seed}" for job in never[:LISTED]]
        more = f", … ({len(never)} in all)" if len(never) > LISTED else ""
        message += f"; {len(never)} of {len(board.jobs)} jobs never began: {', '.join(names)}{more}"
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
