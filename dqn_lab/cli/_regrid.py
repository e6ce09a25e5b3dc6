"""Runs the missing jobs of a grid (`train -m`), as listed in its `sweep.json`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from dqn_lab.cli import _overrides, fail
from dqn_lab.cli._plain import say
from dqn_lab.cli._trust import check_launching, config_dir
from dqn_lab.cli.sweep.board import Board, Watch, show_results
from dqn_lab.cli.sweep.plan import Job
from dqn_lab.records import RUN, SWEEP, override_key, read_record, saved_states, set_aside

SILENT = "display=none"  # one table shows all jobs
SIGNALLED = 128  # larger exit codes mean that a signal ended the process


def resume_grid(directory: Path, grid: Mapping[str, Any], trust: bool) -> int:
    """Runs the jobs of a grid that are not completed, one after the other; returns the exit code.

    Args:
        directory: the grid's directory.
        grid: the content of its `sweep.json`.
        trust: allow importing code outside dqn_lab that the grid's command names.
    """
    if not all(_is_complete(row, grid) for row in grid["jobs"]) or not isinstance(grid.get("base"), list):
        return fail(f"{directory / SWEEP}: damaged: it does not say what its jobs are; run the command again")
    options = config_dir(grid)
    check_launching([], options, trust)
    jobs = {row["directory"]: row for row in grid["jobs"]}
    left = [name for name in jobs if _status(directory / name) not in ("completed", "running")]
    words = {name: _words(jobs[name], grid) for name in left}
    if not trust:
        _refuse_outside_code(words.values())
    say(f"{len(left)} of {len(jobs)} jobs to run")
    board = Board("", [_job(row) for row in jobs.values()], directory)
    board.expect(left)
    code = 0
    with Watch(board, Console()):
        for name in left:
            code = max(code, _run(directory / name, [*words[name], f"seed={jobs[name]['seed']}"], options, trust))
            if code > SIGNALLED:
                break
    show_results(board, {}, hint=code < SIGNALLED)
    return max(code, board.code())


def _job(row: Mapping[str, Any]) -> Job:
    variant, seed, name = row["variant"], row["seed"], row["directory"]
    return Job(variant=variant, seed=seed, hash=str(row.get("hash")), directory=name, overrides=())


def _words(row: Mapping[str, Any], grid: Mapping[str, Any]) -> list[str]:
    """Returns the overrides that say what a job does, without its seed."""
    return [text for text in [*grid["base"], *grid["variants"][row["variant"]]] if _describes_job(text)]


def _refuse_outside_code(jobs: Iterable[list[str]]) -> None:
    """Composes jobs before the first of them runs, because composing refuses code that is not trusted.

    Raises:
        ConfigError: a job imports such code, or cannot be composed.
    """
    from dqn_lab.cli._compose import compose_config, composer  # imports Hydra

    with composer():
        for words in dict.fromkeys(map(tuple, jobs)):
            compose_config([*words])


def _run(path: Path, words: list[str], options: str | None, trust: bool) -> int:
    """Resumes a job's run, or starts it; a failed attempt is kept next to it."""
    from dqn_lab.cli import _continue, train  # imports Hydra

    if _status(path) == "interrupted" and saved_states(path):
        return _continue.continue_run(path, [SILENT], trust)
    if (path / RUN).exists():
        set_aside(path)
    directory = [] if options is None else [f"--config-dir={options}"]
    return train.main([*words, SILENT, *directory, f"hydra.run.dir={_overrides.quote(os.fspath(path))}"])


def _status(path: Path) -> str | None:
    """Returns a run's status; None if it has not begun, or its record is damaged."""
    try:
        return str(read_record(path)["status"])
    except ValueError:
        return None


def _is_complete(row: Mapping[str, Any], grid: Mapping[str, Any]) -> bool:
    """Returns whether a job's entry suffices to run it, in a directory inside the grid's."""
    name, seed = row["directory"], row.get("seed")
    return Path(name).name == name not in ("", "..") and row["variant"] in grid["variants"] and isinstance(seed, int)


def _describes_job(override: str) -> bool:
    """Returns whether an override says what a job does, not how jobs are launched."""
    key = override_key(override)
    return key not in ("seed", "display") and not key.startswith(("hydra.", "hydra/"))
