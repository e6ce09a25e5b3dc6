"""`train`: one run, or one per combination of a grid's values."""

from __future__ import annotations

import logging
import math
import os
import shlex
import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from dqn_lab._compiling import compiling
from dqn_lab._memory import shared_by
from dqn_lab._outside import located
from dqn_lab.cli import WARNED, _directories, _hydra, _index, _interrupt, _jobs, _overrides, _worker, fail, status, warn
from dqn_lab.cli._about import COMMAND, command
from dqn_lab.cli._compose import as_config_error, compose_config, composer
from dqn_lab.cli._display import make_display
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._plain import say
from dqn_lab.cli._summary import engine_note, show_summary
from dqn_lab.cli._text import score_text, shown, to_copy
from dqn_lab.cli._trust import trusting
from dqn_lab.cli.sweep.launch import num_workers
from dqn_lab.errors import ConfigError, StateError
from dqn_lab.records import RUN, override_key

if TYPE_CHECKING:
    from dqn_lab.train import Experiment

NUM_JOBS = "DQN_LAB_NUM_JOBS"  # in a multirun, for workers to inherit


@one_line_errors
def main(argv: list[str]) -> int:
    """Trains, with Hydra's own flags and overrides; returns the exit code."""
    os.environ[COMMAND] = command()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them and exiting
    for name in (NUM_JOBS, WARNED):
        os.environ.pop(name, None)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is silent
    with _interrupt.listening(), as_config_error():
        args = _hydra.parse_flags(argv)
        _directories.add_directories(args.config_dir)
        return _run(args)


def _run(args: Namespace) -> int:
    """Carries out what the flags request; returns the exit code."""
    if args.hydra_help or args.info or args.shell_completion or args.cfg:
        if args.cfg:
            with composer():
                compose_config(args.overrides)  # for its error messages, which are clearer than Hydra's
        status()
        _hydra.show(args)
        return 0
    with _interrupt.before("a run began"):
        warn(*_index.read().problems)
    with composer():
        return _run_grid(args.overrides) if args.multirun else _run_one(args.overrides)


def _run_one(overrides: list[str]) -> int:
    with _interrupt.before("the run began"):
        config = compose_config(overrides)
        experiment = _jobs.prepare(config)
    warn(*experiment.warnings)
    directory = make_directory(Path(config.hydra.run.dir), bump=not names_a_directory(overrides))
    return int(math.isnan(_jobs.as_hydras_job(config, directory, lambda: carry_out(experiment, directory))))


def _run_grid(overrides: list[str]) -> int:
    """Runs a grid's jobs with Hydra's launcher, or a search's with its sweeper; returns the exit code."""
    from dqn_lab.cli import _grid  # its table takes a moment to import

    with _interrupt.before("a job began"):
        config = compose_config(_hydra.about_hydra(overrides))
        warn(*_overrides.repeated(overrides))
        directory = Path(config.hydra.sweep.dir)
        jobs = _hydra.expand(overrides, config)
        with shared_by(num_workers(config, len(jobs or ()))):
            checked = None if jobs is None else _grid.check_jobs(jobs, directory)
    make_directory(directory, bump=False)
    before = _records(directory)
    _worker.begin_workers(str(config.hydra.launcher._target_))
    if checked is not None:
        os.environ[NUM_JOBS] = str(len(checked))
        OmegaConf.save(config, directory / "multirun.yaml")
        _grid.record(checked, directory, is_first=not before)
        return _grid.run(config, checked, directory, job)
    sweeper = Plugins.instance().instantiate_sweeper(
        config=config, hydra_context=_hydra.context(config), task_function=job
    )
    sweeper.sweep(_hydra.about_jobs(overrides))
    return _grid.show_search(directory, {path.parent for path in _records(directory) - before})


def job(config: DictConfig) -> float:
    """Runs one job of a grid or a search in the directory that Hydra made for it.

    With `display=auto`, a grid's jobs print nothing, because one table shows them all. A search's jobs print one line
    each when they end.

    Returns:
        the final policy's mean return, for sweepers that search; NaN if the job failed.
    """
    hydra = HydraConfig.get()
    directory, total = Path(hydra.runtime.output_dir), os.environ.get(NUM_JOBS)
    name, words = f"job {hydra.job.num + 1}{f' of {total}' if total else ''}", " ".join(hydra.overrides.task)
    try:
        experiment = _jobs.prepare(config, hydra)
        shows = experiment.config["display"] not in ("auto", "none")
        if shows:
            say(f"\n{name}: {words}")
        warn(*experiment.warnings)
        with _worker.at_work():
            score = carry_out(experiment, directory, shows)
    except (ConfigError, StateError) as error:
        fail(f"{error}; {shown(directory)}")
        return math.nan
    if not total and experiment.config["display"] == "auto":
        say(f"{name}: {'failed' if math.isnan(score) else score_text(score)}  {words}")
    return score


def carry_out(experiment: Experiment, directory: Path, shows: bool = True) -> float:
    """Runs an experiment; a failure is recorded in run.json.

    Args:
        experiment: as `prepare` built it.
        directory: the run's directory.
        shows: whether to print the progress, the results and any failure.

    Returns:
        the final policy's mean return; NaN if the run failed.

    Raises:
        ConfigError: another process is training there.
        StateError: the run there has no checkpoint to continue from.
    """
    display, began = experiment.config["display"] if shows else "none", time.perf_counter()
    compiled = compiling.seconds
    if shows and (note := engine_note(experiment)):
        say(note)
    try:
        record = _jobs.carry_out(experiment, directory, lambda it: make_display(display, it))
    except KeyboardInterrupt as error:
        said, resumes = _interrupt.where_interrupted(experiment, directory)
        error.args, place = (said,), shown(directory)
        if resumes:
            place = f"{shlex.quote(place)}{trusting(experiment.config)}"
            error.add_note(to_copy("next", place, "python -m dqn_lab resume", sys.stderr))
        else:
            error.add_note(to_copy("files", place, stream=sys.stderr))
        raise
    except (ConfigError, StateError):  # the run did not start
        raise
    except Exception as error:
        if shows:
            fail(f"{located(error)}; {shown(directory)}")
        return math.nan
    if display != "none":
        show_summary(record, shown(directory), time.perf_counter() - began, compiling.seconds - compiled)
    return float(record["scores"]["final"]["return_mean"])


def names_a_directory(overrides: Iterable[str]) -> bool:
    """Returns whether overrides set the run's directory."""
    return any(override_key(text) == "hydra.run.dir" for text in overrides)


def make_directory(path: Path, bump: bool) -> Path:
    """Creates a run's directory; with `bump`, adds a number to a name that is taken. Returns an absolute path."""
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
        return candidate.absolute()
    raise ConfigError(f"{path}: exists already, as do the next 998 names")


def _records(directory: Path) -> set[Path]:
    return set(directory.rglob(RUN))
