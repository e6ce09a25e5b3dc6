"""`train`: one run, or one for each value of a grid."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from dqn_lab._paths import config_directory
from dqn_lab.build import build, validate
from dqn_lab.cli import WARNED, _directories, _hydra, _interrupt, _overrides, fail, warn
from dqn_lab.cli._about import COMMAND, about, command
from dqn_lab.cli._display import make_display, say, show_summary
from dqn_lab.run import Run, read_record
from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError

NUM_JOBS = "DQN_LAB_NUM_JOBS"  # of a multirun, for the workers of any launcher


def main(argv: list[str]) -> int:
    """Trains, with Hydra's own flags and overrides; returns the exit code."""
    os.environ[COMMAND] = command()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of being printed and exited on
    _interrupt.listen()
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, says nothing more
    try:
        args = _hydra.parse_flags(argv)
        _directories.add_directories(args.config_dir)
        _hydra.register_resolver()
        directory, jobs = _prepare(args)
    except ConfigError as error:
        return fail(*error.problems)
    except _hydra.ERRORS as error:
        return fail(str(error))
    key = "sweep" if args.multirun else "run"
    fixed = [] if directory is None else [f"hydra.{key}.dir={_overrides.quote(str(directory))}"]
    sys.argv = ["dqn-lab", *_hydra.hydra_argv(args), *fixed]
    if directory is None:
        return _run_hydra()
    before = _records(directory)
    code = _run_hydra()
    if not args.multirun:
        return code or _settle(directory)
    # a search's jobs are not known beforehand; of a grid's, those of another multirun here are none
    records = (
        _records(directory) - before if jobs is None else {path for path in _records(directory) if path.parent in jobs}
    )
    return max(code, _show_jobs(directory, records))


def _run_hydra() -> int:
    try:
        hydra.main(str(config_directory()), "config", version_base="1.3")(job)()
    except _hydra.ERRORS as error:
        return fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {error.strerror or error}", code=1)
    except KeyboardInterrupt as error:
        _interrupt.ignore()
        return _interrupt.interrupted(error)
    return 0


def job(config: DictConfig) -> float:
    """Runs one job in the directory that Hydra made for it; a failure is told here and stands in its run.json.

    Returns:
        the final policy's mean return, for sweepers that search; not a number where the job failed.
    """
    directory = Path(HydraConfig.get().runtime.output_dir)
    _announce()
    began = time.perf_counter()
    run = None
    try:
        experiment = build(validate(_hydra.plain(config, HydraConfig.get())))
        warn(*experiment.warnings)
        run = Run(experiment, directory, about())
        with make_display(experiment.config["display"], experiment) as display:
            record = run.execute(display)
    except KeyboardInterrupt as error:
        progress = run.progress if run else Progress()
        where = f"interrupted at episode {progress.episode}, step {progress.step}; {shown(directory)}"
        raise type(error)(where) from error
    except Exception as error:
        fail(f"{run.record.get('error', error) if run else error}; {shown(directory)}")
        return math.nan
    if experiment.config["display"] != "none":
        show_summary(record, shown(directory), time.perf_counter() - began)
    return float(record["scores"]["final"]["return_mean"])


def _announce() -> None:
    """Says which job of how many starts."""
    if NUM_JOBS in os.environ:
        about_job = HydraConfig.get().job
        overrides = " ".join(HydraConfig.get().overrides.task)
        say(f"\njob {about_job.num + 1} of {os.environ[NUM_JOBS]}: {overrides}")


def _prepare(args: Any) -> tuple[Path | None, set[Path] | None]:
    """Checks every job by building it, and then makes the directory that all is written to.

    Returns:
        the directory, None where a flag asks to be shown something, and nothing is to run; and those of a grid's jobs.
    """
    os.environ.pop(NUM_JOBS, None)
    os.environ.pop(WARNED, None)
    if args.help or args.hydra_help or args.info or args.shell_completion:
        return None, None
    with _hydra.composer():
        if args.cfg:
            _hydra.compose_config(args.overrides)
            return None, None
        if not args.multirun:
            config = _hydra.compose_config(args.overrides)
            warn(*build(validate(_hydra.plain(config))).warnings)
            given = any("hydra.run.dir=" in override for override in args.overrides)
            return make_directory(Path(config.hydra.run.dir), bump=not given), None
        base = _hydra.compose_config(_hydra.about_hydra(args.overrides))
        sweep = Path(base.hydra.sweep.dir)
        jobs = check_jobs(_hydra.expand(args.overrides, base), sweep)
        return make_directory(sweep, bump=False), jobs


def check_jobs(jobs: list[list[str]] | None, sweep: Path) -> set[Path] | None:
    """Composes, validates and builds every job of a grid; a search's jobs are not known beforehand.

    Jobs that can run and hardly mean what they say are warned of, once for all.

    Returns:
        the jobs' directories; None for a search.

    Raises:
        ConfigError: one line a problem, with the jobs that have it.
    """
    problems: dict[str, list[str]] = {}  # what is wrong: the jobs it is wrong with
    seen: dict[str, int] = {}
    warnings: list[str] = []
    for number, overrides in enumerate(jobs or [], start=1):
        name = f"job {number} ({' '.join(overrides)})"
        try:
            config = _hydra.compose_config(overrides, number - 1)
            warnings += build(validate(_hydra.plain(config))).warnings
            directory = str(config.hydra.sweep.subdir)
            first = seen.setdefault(directory, number)
            if first != number:
                raise ConfigError(f"the same as job {first}")
            if (sweep / directory / "run.json").exists():
                raise ConfigError(f"{shown(sweep / directory)}: holds a run already")
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(name)
    if problems:
        raise ConfigError(*(_with_jobs(problem, names, len(jobs or [])) for problem, names in problems.items()))
    warn(*warnings)
    if jobs is None:
        return None
    os.environ[NUM_JOBS] = str(len(jobs))
    return {sweep / directory for directory in seen}


def _with_jobs(problem: str, names: list[str], total: int) -> str:
    if len(names) == total:
        return f"every job: {problem}"
    return f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {problem}"


def make_directory(path: Path, bump: bool) -> Path:
    """Makes a run's directory, its alone; with `bump` a name that is taken gets a number."""
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
        except OSError as error:
            raise ConfigError(f"{candidate}: cannot be written: {error.strerror}") from error
        if (candidate / "run.json").exists():
            raise ConfigError(f"{candidate}: holds a run already")
        return candidate
    raise ConfigError(f"{path}: is taken, and so are the next 998 names")


def _settle(directory: Path) -> int:
    """Returns 1 if a run did not complete."""
    try:
        return int(read_record(directory)["status"] != "completed")
    except ValueError:
        return 1


def _records(directory: Path) -> set[Path]:
    return set(directory.rglob("run.json"))


def _show_jobs(directory: Path, records: set[Path]) -> int:
    """Lists a multirun's jobs that did not complete; returns 1 if there are any."""
    statuses = []
    lines = []
    for path in sorted(records):
        try:
            record = read_record(path.parent)
        except ValueError as error:
            record = {"status": "damaged", "error": str(error)}
        statuses.append(record["status"])
        if record["status"] != "completed":
            lines.append(f"  {record['status']}: {path.parent.name}: {record.get('error', '')}")
    total = int(os.environ.get(NUM_JOBS, len(records)))
    say("\n".join([f"\n{statuses.count('completed')} of {total} jobs completed in {shown(directory)}", *lines]))
    return int(statuses.count("completed") < total)


def shown(path: Path) -> str:
    """Writes a path as a person here would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
