"""Resumes a grid (`train -m`): runs the jobs of its `sweep.json` that are not completed, as a sweep does."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from dqn_lab._memory import shared_by
from dqn_lab.cli import _interrupt, _overrides, _worker, fail, say, warn
from dqn_lab.cli._about import command
from dqn_lab.cli._compose import as_config_error
from dqn_lab.cli._grid import follow, plan_grid
from dqn_lab.cli._trust import check_launching, config_dir, launching
from dqn_lab.cli._workplace import workplace
from dqn_lab.cli.sweep.jobs import Draft, Job, Plan
from dqn_lab.cli.sweep.launch import master, num_workers
from dqn_lab.cli.sweep.ledger import changed_code, state
from dqn_lab.cli.sweep.run import exclusively, prepare_directories
from dqn_lab.errors import ConfigError
from dqn_lab.records import SWEEP, override_key

SILENT = "display=none"  # one table shows all jobs


def resume_grid(directory: Path, grid: Mapping[str, Any], trust: bool) -> int:
    """Runs the jobs of a grid that are not completed; returns the exit code.

    Args:
        directory: the grid's directory.
        grid: the content of its `sweep.json`.
        trust: allow importing code outside dqn_lab that the grid's command names.

    Raises:
        ConfigError: one line per problem, such as jobs whose options have changed; nothing was written.
        KeyboardInterrupt: the grid was interrupted; every run's record has its status.
    """
    base = grid.get("base")
    is_text = isinstance(base, list) and all(isinstance(text, str) for text in base)
    if not is_text or not all(_is_complete(row, grid) for row in grid["jobs"]):
        return fail(f"{directory / SWEEP}: damaged: it does not say what its jobs are; run the command again")
    launch, options = launching(grid), config_dir(grid)
    check_launching(launch, options, trust)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is silent
    with _interrupt.listening(), as_config_error(), workplace(command(), options):
        return _resume(directory, grid, [*launch, f"hydra.sweep.dir={_overrides.quote(str(directory.absolute()))}"])


def _resume(directory: Path, grid: Mapping[str, Any], launch: list[str]) -> int:
    listed = {row["directory"]: _listed(row) for row in grid["jobs"]}
    with _interrupt.before("a job began"):
        config = master(launch)
        left = [job for job in listed.values() if state(job, directory) != "completed"]
        with shared_by(num_workers(config, len(left))):
            planned = _plan(left, launch, grid)
        plan = dataclasses.replace(planned, jobs=[*(listed | {job.directory: job for job in planned.jobs}).values()])
        warn(*plan.warnings, *changed_code(plan.jobs, directory))
    with exclusively(directory):
        waiting, line = prepare_directories(plan, directory)
        say(line)
        _worker.begin_workers(str(config.hydra.launcher._target_))
        return follow(config, plan, waiting, directory, shows=True)


def _plan(jobs: Sequence[Job], launch: list[str], grid: Mapping[str, Any]) -> Plan:
    """Plans the jobs that are left as they were planned before.

    Raises:
        ConfigError: one line per problem, such as jobs whose options have changed.
    """

    def name(draft: Draft, _: DictConfig, known_by: str) -> str:
        job = jobs[draft.number]
        if known_by != job.hash:
            raise ConfigError("its options have changed since the grid began; change them back, or start a new grid")
        return job.directory

    drafts = [
        Draft(
            number=number,
            name=f"{job.variant} seed={job.seed}",
            variant=job.variant,
            overrides=(*launch, *_words(job, grid), f"seed={job.seed}", SILENT),
        )
        for number, job in enumerate(jobs)
    ]
    return plan_grid(drafts, name)


def _is_complete(row: Mapping[str, Any], grid: Mapping[str, Any]) -> bool:
    """Returns whether a job's entry suffices to run it, in a directory inside the grid's."""
    name, is_typed = row["directory"], isinstance(row.get("seed"), int) and isinstance(row.get("hash"), str)
    return Path(name).name == name not in ("", "..") and row["variant"] in grid["variants"] and is_typed


def _listed(row: Mapping[str, Any]) -> Job:
    variant, seed, known_by, name = (row[key] for key in ("variant", "seed", "hash", "directory"))
    return Job(variant=variant, seed=seed, hash=known_by, directory=name, overrides=())


def _words(job: Job, grid: Mapping[str, Any]) -> list[str]:
    """Returns the overrides that say what a job does, without its seed."""
    words = [*grid["base"], *grid["variants"][job.variant]]
    keys = map(override_key, words)
    return [text for text, key in zip(words, keys, strict=True)
            if key not in ("seed", "display") and not _overrides.is_hydras(key)]  # fmt: skip
