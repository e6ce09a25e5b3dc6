"""Runs a sweep, from its question to its summary."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from omegaconf import DictConfig
from rich.console import Console

from dqn_lab._memory import shared_by
from dqn_lab.cli import _interrupt, _overrides, _worker, report, say, warn
from dqn_lab.cli._about import about
from dqn_lab.cli._text import fitting, shown
from dqn_lab.cli.sweep.board import Board, Watch, show_results
from dqn_lab.cli.sweep.jobs import Job, Plan, once
from dqn_lab.cli.sweep.launch import close, launch, master, num_workers
from dqn_lab.cli.sweep.ledger import SETTLED, add_to, changed_code, dropped_variants, read_ledger, redeclared, state
from dqn_lab.cli.sweep.plan import make_plan
from dqn_lab.cli.sweep.question import Question, read_question
from dqn_lab.cli.sweep.search import AGAIN, check_search, run_search
from dqn_lab.cli.sweep.typed import read_typed
from dqn_lab.errors import ConfigError
from dqn_lab.records import RUN, SLUG, legible, safe_name, set_aside, write_sweep

QUIET = "hydra.job_logging.root.handlers=[file]"  # a job's warnings go to its train.log, not into the table


def sweep(path: Path, args: argparse.Namespace) -> int:
    """Runs a sweep, and writes its report if asked to; returns the exit code. The arguments are `run_sweep`'s."""
    done = run_sweep(read_question(path, args.quick), args)
    return max(done.code, report.write(Path(shown(done.directory)))) if args.report and not args.dry_run else done.code


class Outcome(NamedTuple):
    """A sweep's directory; 1 if a job did not complete, else 0; a line for each that did not; the number of jobs."""

    directory: Path
    code: int
    problems: Sequence[str] = ()
    num_jobs: int = 0


def run_sweep(question: Question, args: argparse.Namespace, brief: bool = False) -> Outcome:
    """Plans a question's jobs, and runs those that are not done yet.

    Args:
        question: the question.
        args: `overrides`, `quick`, `dry_run`, `report` and `dir`, as typed.
        brief: whether to leave out the results at the end.

    Raises:
        ConfigError: one line per problem; nothing was written.
        KeyboardInterrupt: the sweep was interrupted; every run's record has its status.
    """
    with _interrupt.before("a job began"):
        typed = read_typed(args.overrides)
        if typed.seeds:
            question = dataclasses.replace(question, seeds=typed.seeds, has_seeds=True)
        directory = (args.dir or _default_directory(question.name, args.quick, typed.base)).absolute()
        place = f"hydra.sweep.dir={_overrides.quote(str(directory))}"
        hydra_part = [*typed.launch, place, QUIET]
        if question.search:
            config, plan = check_search(question, question.search, hydra_part, typed.base), Plan(jobs=[], composed={})
        else:
            config = master(hydra_part)
            with shared_by(num_workers(config, len(question.variants) * len(question.seeds))):
                plan = make_plan(question, hydra_part, typed.base, directory)
            _worker.check_environments(str(config.hydra.launcher._target_), plan.composed.values())
        old = read_ledger(directory)
        described = _describe(question, plan, typed.base)
        ledger = add_to(old, described, directory)
        warn(*_overrides.repeated(args.overrides), *plan.warnings, *changed_code(once(plan.jobs), directory),
             *dropped_variants(old, described), *redeclared(old, described, ledger))  # fmt: skip
    if args.dry_run:
        return Outcome(directory, _show_plan(question, plan, directory))
    writes = ledger != old or question.search or any(_is_left(job, directory) for job in plan.jobs)
    with exclusively(directory) if writes else contextlib.nullcontext():
        if writes:
            ledger = add_to(read_ledger(directory), described, directory)  # another sweep may just have ended
            write_sweep(directory, ledger)
            _worker.begin_workers(str(config.hydra.launcher._target_))
        if question.search:
            completed, runs = run_search(config, question, question.search, typed.base, ledger, typed.shows)
            return Outcome(directory, int(not completed), () if completed else ("no trial completed",), runs)
        show = functools.partial(show_results, hint=not args.report, brief=brief)
        return _run(config, question, plan, directory, typed.shows, show)


def _default_directory(name: str, quick: bool, typed: list[str]) -> Path:
    """Returns a question's default directory: its name and the overrides, with a hash if they are abbreviated."""
    words = [f"{name}{'_quick' if quick else ''}", *(text.lstrip("+") for text in typed)]
    readable = ",".join(filter(None, [safe_name(words[0])[:SLUG], legible(words[1:])]))
    if readable != ",".join(words).replace(" ", "-"):
        readable = f"{readable or 'sweep'}-{hashlib.sha256(','.join(words).encode()).hexdigest()[:8]}"
    return Path("outputs", "sweeps", readable)


@contextlib.contextmanager
def exclusively(directory: Path) -> Iterator[None]:
    """Makes a sweep's directory and locks it against other sweeps."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise ConfigError(f"{directory}: another sweep is running there") from None
    except OSError as error:
        raise ConfigError(f"{error.filename or directory}: cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _describe(question: Question, plan: Plan, typed: list[str]) -> dict[str, Any]:
    """Returns the content of `sweep.json`."""
    here = about()
    return {
        "name": question.name,
        "question": question.question,
        "command": here["command"],
        "started": here["started"],
        "control": question.control,
        "metric": question.metric,
        "is_search": question.search is not None,
        "base": _overrides.merge(question.base, typed),
        "variants": question.variants,
        "seeds": question.seeds,
        "versions": here["versions"],
        "git": here["git"],
        "jobs": [job.row() for job in plan.jobs],
    }


def _show_plan(question: Question, plan: Plan, directory: Path) -> int:
    if question.search:
        trials = f"{question.search.num_trials} trials, {len(question.seeds)} seeds each"
        print(f"{trials}; trials already in {shown(directory)} are not run again")
        return 0
    words = {"new": "run", "completed": "skip: completed", "running": "skip: running", "resumed": "resume"}
    states = _states(plan, directory)
    for job in once(plan.jobs):
        print(f"{words.get(states[job.directory], f'run again: {states[job.directory]}'):<27}{job.directory}")
    left = sum(each not in SETTLED for each in states.values())
    print(f"{left} of {len(states)} jobs to run in {shown(directory)}")
    return 0


def _is_left(job: Job, directory: Path) -> bool:
    return state(job, directory) not in SETTLED


def _run(
    config: DictConfig,
    question: Question,
    plan: Plan,
    directory: Path,
    shows: bool,
    show: Callable[[Board, dict[str, str]], list[str]],
) -> Outcome:
    """Runs the jobs that are not completed, and shows the results."""
    note = "" if question.has_seeds else f" (default seeds: {question.seeds[0]} to {question.seeds[-1]})"
    waiting, line = prepare_directories(plan, directory, note)
    if shows:
        say(line)
    waiting.sort(key=lambda job: question.seeds.index(job.seed))  # seed by seed, so that variants can be compared early
    board = Board(question.question, plan.jobs, directory, question.metric)
    try:
        errors = run_jobs(config, plan, waiting, board, shows)
    except KeyboardInterrupt as error:
        error.args, error.__notes__ = (AGAIN,), []
        raise
    problems = show(board, errors)  # which takes a last look at the runs
    return Outcome(directory, board.code(), problems, len(once(plan.jobs)))


def run_jobs(config: DictConfig, plan: Plan, waiting: list[Job], board: Board, shows: bool) -> dict[str, str]:
    """Runs jobs with a launcher.

    Args:
        config: Hydra's part of the configuration.
        plan: all jobs.
        waiting: the jobs to run.
        board: all jobs; it is brought up to date.
        shows: whether to show the progress.

    Returns:
        why jobs failed, by directory, if their run.json does not say so.

    Raises:
        KeyboardInterrupt: the jobs were interrupted; every run's record has its status, and the results are printed.
    """
    board.expect(job.directory for job in waiting)
    watch = Watch(board, Console()) if shows else contextlib.nullcontext()
    errors: dict[str, str] = {}
    try:
        if waiting:
            with _interrupt.after(lambda: close(waiting, board.directory)), watch:
                errors = launch(config, plan, waiting, board.directory)
    except KeyboardInterrupt:
        _interrupt.ignore()
        show_results(board, errors, hint=False)
        raise
    board.look()
    lost = [job.directory for job in waiting if board.status[job.directory] == "waiting"]
    return dict.fromkeys(lost, f"has no readable {RUN}") | errors


def _states(plan: Plan, directory: Path) -> dict[str, str]:
    """Returns each job's state by its directory."""
    return {job.directory: state(job, directory) for job in once(plan.jobs)}


def prepare_directories(plan: Plan, directory: Path, note: str = "") -> tuple[list[Job], str]:
    """Sets aside failed runs and interrupted ones that cannot continue.

    Args:
        plan: all jobs.
        directory: the directory of the sweep or grid.
        note: added to the number of jobs in the line.

    Returns:
        the jobs to run, and a line on them.
    """
    jobs, states = once(plan.jobs), _states(plan, directory)
    waiting = [job for job in jobs if states[job.directory] not in SETTLED]
    again = [job for job in waiting if states[job.directory] not in ("new", "resumed")]
    for job in again:
        set_aside(directory / job.directory)
    parts = [f"{len(waiting)} of {len(jobs)} jobs to run{note}"]
    parts += [f"{count} {what}{' already' if what in SETTLED else ''}" for what in (*SETTLED, "resumed")
              if (count := list(states.values()).count(what))]  # fmt: skip
    parts += [f"{len(again)} again; their earlier attempts are kept as *.attempt1, …"] if again else []
    return waiting, fitting(", ".join(parts), 2)
