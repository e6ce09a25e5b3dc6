"""`train`: one run, or one per combination of a grid's values."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shlex
import time
import warnings
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from dqn_lab._memory import shared_by
from dqn_lab.cli import WARNED, _directories, _grid, _hydra, _index, _interrupt, _jobs, _worker, fail, status, warn
from dqn_lab.cli._about import COMMAND, command
from dqn_lab.cli._compose import ERRORS, compose_config, composer
from dqn_lab.cli._display import make_display, show_engine, show_summary
from dqn_lab.cli._plain import say
from dqn_lab.cli._text import labelled, number_of, shown
from dqn_lab.cli.sweep.launch import batches, num_workers
from dqn_lab.errors import ConfigError, StateError, one_line
from dqn_lab.records import RUN, read_record, score_text

if TYPE_CHECKING:
    from dqn_lab.train import Experiment

NUM_JOBS = "DQN_LAB_NUM_JOBS"  # in a multirun, for workers to inherit


def main(argv: list[str]) -> int:
    """Trains, with Hydra's own flags and overrides; returns the exit code."""
    os.environ[COMMAND] = command()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them and exiting
    for name in (NUM_JOBS, WARNED):
        os.environ.pop(name, None)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is silent
    try:
        with _interrupt.listening():
            args = _hydra.parse_flags(argv)
            _directories.add_directories(args.config_dir)
            return _run(args)
    except ConfigError as error:
        return fail(*error.problems)
    except ERRORS as error:
        return fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {error.strerror or error}", code=1)
    except KeyboardInterrupt as error:
        _interrupt.ignore()
        return _interrupt.interrupted(error)


def _run(args: Namespace) -> int:
    """Carries out what the flags ask for; returns the exit code."""
    if args.hydra_help or args.info or args.shell_completion or args.cfg:
        if args.cfg:
            with composer():
                compose_config(args.overrides)  # for its error messages, which are clearer than Hydra's
        status()
        _hydra.show(args)
        return 0
    warn(*_index.read().problems)
    with composer():
        return _run_grid(args.overrides) if args.multirun else _run_one(args.overrides)


def _run_one(overrides: list[str]) -> int:
    config = compose_config(overrides)
    experiment = _jobs.prepare(config)
    warn(*experiment.warnings)
    given = any("hydra.run.dir=" in override for override in overrides)
    directory = make_directory(Path(config.hydra.run.dir), bump=not given)
    return int(math.isnan(_jobs.as_hydras_job(config, directory, lambda: carry_out(experiment, directory))))


def _run_grid(overrides: list[str]) -> int:
    """Runs a grid's jobs with Hydra's launcher, or a search's with its sweeper; returns the exit code."""
    config = compose_config(_hydra.about_hydra(overrides))
    directory = Path(config.hydra.sweep.dir)
    jobs = _hydra.expand(overrides, config)
    with shared_by(num_workers(config, len(jobs or ()))):
        checked = None if jobs is None else _grid.check_jobs(jobs, directory)
    make_directory(directory, bump=False)
    before = _records(directory)
    _worker.begin_workers(str(config.hydra.launcher._target_))
    if jobs is None:
        sweeper = Plugins.instance().instantiate_sweeper(
            config=config, hydra_context=_hydra.context(config), task_function=job
        )
        sweeper.sweep(_hydra.about_jobs(overrides))
    else:
        os.environ[NUM_JOBS] = str(len(jobs))
        OmegaConf.save(config, directory / "multirun.yaml")
        _grid.record(checked or [], directory, is_first=not before)
        for start, batch in batches(config, [_hydra.about_jobs(each) for each in jobs]):
            Plugins.instance().instantiate_launcher(_hydra.context(config), job, config).launch(batch, start)
    # a grid counts only its own jobs, not another multirun's in this directory; a search's are not known beforehand
    found = _records(directory)
    places = {directory / each.directory for each in checked or ()}
    return _show_jobs(directory, found - before if checked is None else {at for at in found if at.parent in places})


def job(config: DictConfig) -> float:
    """Runs one job of a grid in the directory that Hydra made for it.

    Returns:
        the final policy's mean return, for sweepers that search; NaN if the job failed.
    """
    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    if NUM_JOBS in os.environ:
        say(f"\njob {hydra.job.num + 1} of {os.environ[NUM_JOBS]}: {' '.join(hydra.overrides.task)}")
    try:
        experiment = _jobs.prepare(config, hydra)
        warn(*experiment.warnings)
        with _worker.at_work():
            return carry_out(experiment, directory)
    except (ConfigError, StateError) as error:
        fail(f"{error}; {shown(directory)}")
        return math.nan


def carry_out(experiment: Experiment, directory: Path) -> float:
    """Runs an experiment and prints the results; a failure is printed and recorded in run.json.

    Returns:
        the final policy's mean return; NaN if the run failed.

    Raises:
        ConfigError: another process is training there.
        StateError: the run there has no checkpoint to continue from.
    """
    display, began = experiment.config["display"], time.perf_counter()
    if display not in ("none", "notebook"):
        show_engine(experiment)
    try:
        record = _jobs.carry_out(experiment, directory, lambda it: make_display(display, it))
    except KeyboardInterrupt as error:
        error.args = (_where(experiment, directory),)
        raise
    except (ConfigError, StateError):  # it did not begin
        raise
    except Exception as error:
        fail(f"{one_line(error)}; {shown(directory)}")
        return math.nan
    if display != "none":
        show_summary(record, shown(directory), time.perf_counter() - began)
    return float(record["scores"]["final"]["return_mean"])


def _where(experiment: Experiment, directory: Path) -> str:
    """Says where a run was interrupted, and how to continue it."""
    progress, place = experiment.rollout.progress, shown(directory)
    with contextlib.suppress(ValueError):
        if read_record(directory)["status"] == "completed":
            return f"interrupted after the run had completed; {place}"
    again = f"; python -m dqn_lab resume {shlex.quote(place)} continues it" if experiment.keep else ""
    return f"interrupted at episode {progress.episode}, step {progress.step}; {place}{again}"


def make_directory(path: Path, bump: bool) -> Path:
    """Makes a run's own directory; with `bump`, a number is added to a name that is taken."""
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
        return candidate
    raise ConfigError(f"{path}: exists already, as do the next 998 names")


def _records(directory: Path) -> set[Path]:
    return set(directory.rglob(RUN))


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
    head = [f"\n{statuses.count('completed')} of {total} jobs completed in {shown(directory)}", *lines]
    if "completed" in statuses:
        head += [*_variant_lines(directory), f"next      python -m dqn_lab report {shlex.quote(shown(directory))}"]
    say("\n".join(head))
    return int(statuses.count("completed") < total)


def _variant_lines(directory: Path) -> list[str]:
    """Lists the mean final return of each variant of a multirun."""
    from dqn_lab.analysis import load_configs  # pandas is imported once there are results

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unreadable runs, which are listed above
        frame = load_configs(directory)
    groups = frame.dropna(subset=["final_return"]).groupby("variant", observed=True)["final_return"]
    width = max((len(str(label)) for label in groups.groups), default=0) + 2
    return [
        labelled(
            str(label), width, f"mean final return {score_text(scores.mean())} over {number_of(len(scores), 'run')}"
        )
        for label, scores in groups
    ]
