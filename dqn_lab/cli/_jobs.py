"""Turns a composed configuration into a finished run, for `train`, `sweep`, searches and Python calls."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import run_job
from omegaconf import DictConfig, open_dict, read_write

from dqn_lab._compiling import compiling
from dqn_lab._outside import located, sources, untracked
from dqn_lab.cli import _hydra, _interrupt, _overrides, fail, say, status
from dqn_lab.cli._about import about
from dqn_lab.cli._compose import plain
from dqn_lab.cli._display import make_display
from dqn_lab.cli._quiet import Quiet
from dqn_lab.cli._summary import engine_note, show_summary
from dqn_lab.cli._text import shown
from dqn_lab.errors import ConfigError, StateError
from dqn_lab.records import RUN, identity, set_aside

if TYPE_CHECKING:  # torch is imported once a configuration's names and values are known to be right
    from dqn_lab.run import Display
    from dqn_lab.train import Experiment
    from dqn_lab.types import T


def prepare(config: DictConfig, hydra: Any = None) -> Experiment:
    """Validates and builds a composed run, and names its directory in Hydra's part of the configuration.

    Args:
        config: the configuration, with or without Hydra's part.
        hydra: Hydra's part, if `config` does not contain it.

    Raises:
        ConfigError: one line per problem; nothing was written.
    """
    values = plain(config, hydra)
    if hydra is None:  # not in a worker
        status("importing PyTorch")
    with _interrupt.later():  # PyTorch cannot be imported a second time
        from dqn_lab.build import build, validate
        from dqn_lab.trial import rehearse

    status()
    validated, warnings = validate(values), list[str]()
    if hydra is None:
        _hydra.name_directory(config, identity(validated))
        warnings = [*_overrides.repeated(config.hydra.overrides.task), *untracked(validated), *rehearse(validated)]
    with contextlib.chdir("."):  # a component may change the current directory
        experiment = build(validated)
    experiment.warnings.extend(warnings)
    return experiment


def as_hydras_job(config: DictConfig, directory: Path, run: Callable[[], T], own_logging: bool = True) -> T:
    """Calls `run` as Hydra runs a job, in an existing directory: with its `.hydra/` and, if asked to, its log.

    Raises:
        Exception: what `run` raised.
    """
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.run.dir = str(directory)
    task = lambda _: run()  # noqa: E731
    done = run_job(task, config, "hydra.run.dir", None, _hydra.context(config), configure_logging=own_logging)
    if isinstance(done._return_value, Exception):  # `return_value` would print its traceback
        raise done._return_value
    returned: T = done._return_value
    return returned


def carry_out(
    experiment: Experiment,
    directory: Path,
    show: Callable[[Experiment], AbstractContextManager[Display]] = lambda _: Quiet(),
) -> dict[str, Any]:
    """Runs an experiment in its own directory; a run that was started there continues from its newest checkpoint.

    Args:
        experiment: as `prepare` built it.
        directory: contains no run yet, or this run, unfinished.
        show: creates the display.

    Returns:
        the content of `run.json`.

    Raises:
        ConfigError: another process is training there.
        StateError: the run there has no checkpoint to continue from.
        KeyboardInterrupt: the run was interrupted; its record says so, and where.
        Exception: the run failed; its record says so.
    """
    import torch

    from dqn_lab.run import Run

    num_threads = torch.get_num_threads()
    begin = Run.resume if (directory / RUN).exists() else Run
    run = begin(experiment, directory.absolute(), {**about(), "sources": sources(experiment.config)})
    try:
        with contextlib.chdir("."), show(experiment) as display:
            return run.execute(display)
    finally:
        run.claim.release()  # even if it failed before it was executed
        torch.set_num_threads(num_threads)  # the process may be a notebook's


def carry_on(experiment: Experiment, directory: Path) -> dict[str, Any]:
    """Runs `carry_out` silently; a run that cannot continue is set aside and started over."""
    try:
        return carry_out(experiment, directory)
    except StateError:
        start_over(directory)
        return carry_out(experiment, directory)


def start_over(directory: Path) -> Path:
    """Sets a run aside and makes its directory anew, with Hydra's files; returns where the old files are."""
    aside = set_aside(directory)
    directory.mkdir()
    if (aside / ".hydra").is_dir():
        shutil.copytree(aside / ".hydra", directory / ".hydra")
    return aside


def carry_out_visibly(experiment: Experiment, directory: Path) -> float:
    """Runs `carry_out` with the progress, the results and any failure printed; a failure is recorded in run.json.

    Returns:
        the final policy's mean return; NaN if the run failed.

    Raises:
        ConfigError: another process is training there.
        StateError: the run there has no checkpoint to continue from.
    """
    display, began, compiled = experiment.config["display"], time.perf_counter(), compiling.seconds
    if note := engine_note(experiment):
        say(note)
    try:
        with _interrupt.explained(experiment, directory):
            record = carry_out(experiment, directory, lambda it: make_display(display, it))
    except (ConfigError, StateError):  # the run did not start
        raise
    except Exception as error:
        fail(f"{located(error)}; {shown(directory)}")
        return math.nan
    if display != "none":
        show_summary(record, shown(directory), time.perf_counter() - began, compiling.seconds - compiled)
    return float(record["scores"]["final"]["return_mean"])
