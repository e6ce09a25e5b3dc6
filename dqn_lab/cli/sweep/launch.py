"""Runs jobs, composed in advance, with Hydra's launchers."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from dqn_lab.cli import _hydra, _interrupt, _jobs, _worker, say
from dqn_lab.cli._compose import compose_config, with_seed
from dqn_lab.cli._overrides import split_seed
from dqn_lab.cli.sweep.jobs import Job, Plan
from dqn_lab.cli.sweep.ledger import state
from dqn_lab.errors import one_line
from dqn_lab.records import RUN, read_record

if TYPE_CHECKING:
    from dqn_lab.types import T

PATIENCE = 10.0  # seconds that interrupted runs have to save their state
TRIES = 3  # how often workers may die before any run has begun


class Prepared(ConfigLoaderImpl):
    """Makes a job's configuration from its variant's, which was composed before the first job started.

    Hydra's own loader composes each job in its worker, which takes 0.1 s and reads files that may have changed.

    Args:
        search_path: Hydra's own.
        composed: the configurations by the jobs' overrides, without the seed and the last one, the job's directory.
    """

    def __init__(self, search_path: ConfigSearchPath, composed: dict[tuple[str, ...], DictConfig]) -> None:
        super().__init__(search_path)
        self.composed = composed

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Returns what Hydra's own loader would, for overrides that end in a directory."""
        *words, subdir = sweep_overrides
        shared, seed = split_seed(words)
        config = with_seed(self.composed[shared], seed, subdir)
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config


def job(config: DictConfig, num_jobs: int) -> str | None:
    """Runs one job in the directory that Hydra made for it.

    It prints nothing, because one table shows all jobs, unless a display was chosen.

    Returns:
        why it failed, in one line; None if it did not, or if its failure was printed. Its run.json, if there is one,
        says so too.
    """
    hydra = HydraConfig.get()
    directory = Path(hydra.runtime.output_dir)
    try:
        experiment = _jobs.prepare(config, hydra)
        with _worker.at_work():
            if experiment.config["display"] in ("auto", "none"):
                with _interrupt.explained(experiment, directory):
                    _jobs.carry_on(experiment, directory)
            else:
                say(f"\njob {hydra.job.num + 1} of {num_jobs}: {' '.join(hydra.overrides.task)}")
                _jobs.carry_out_visibly(experiment, directory)
    except Exception as error:
        return one_line(error)
    return None


def master(launch: Sequence[str]) -> DictConfig:
    """Composes Hydra's own configuration of a sweep: the launcher and the directory.

    Raises:
        ConfigError: there is no such launcher, or it is not installed.
    """
    return compose_config(list(launch))


def launch(config: DictConfig, plan: Plan, jobs: Sequence[Job], directory: Path) -> dict[str, str]:
    """Runs jobs with the launcher that the configuration names.

    If a worker is killed, its launcher gives up. The jobs that were running are then run again one by one, so that a
    job that kills its worker affects no other.

    Returns:
        why jobs failed, by directory, if their run.json does not say so.
    """
    search_path = GlobalHydra.instance().config_loader().get_search_path()
    loader, task = Prepared(search_path, plan.composed), functools.partial(job, num_jobs=len(jobs))
    errors: dict[str, str] = {}
    groups, idle = [list(jobs)], 0
    while groups:
        group = groups.pop(0)
        try:
            errors |= _launch(config, loader, task, group, directory)
        except Exception as error:
            reason = f"its worker died: {one_line(error)[:300]}"
            close(group, directory)
            left = [each for each in group if state(each, directory) not in ("completed", "failed")]
            begun = [each for each in left if (directory / each.directory / RUN).exists()]
            idle = 0 if begun else idle + 1
            if len(group) == 1 or idle == TRIES:
                errors |= {each.directory: reason for each in left}
            else:
                rest = [each for each in left if each not in begun]
                groups = [*([rest] if rest else []), *groups, *([each] for each in begun)]
    return errors


def _launch(
    config: DictConfig, loader: Prepared, task: Callable[[DictConfig], str | None], jobs: list[Job], directory: Path
) -> dict[str, str]:
    errors = {}
    for start, batch in batches(config, jobs):
        launcher = Plugins.instance().instantiate_launcher(_hydra.context(config, loader), task, config)
        returns = launcher.launch([each.overrides for each in batch], initial_job_idx=start)
        for each, result in zip(batch, returns, strict=True):
            if result.return_value is not None and not (directory / each.directory / RUN).exists():
                errors[each.directory] = result.return_value
    return errors


def num_workers(config: DictConfig, num_jobs: int) -> int:
    """Returns how many jobs run at a time on this machine; 1 if the launcher does not say."""
    asked = config.hydra.launcher.get("n_jobs") or 1  # joblib's: −1 for all cores, −2 for all but one
    return min(num_jobs, asked if asked > 0 else max(1, (os.cpu_count() or 1) + 1 + asked))


def batches(config: DictConfig, jobs: list[T]) -> Iterator[tuple[int, list[T]]]:
    """Splits jobs into batches if `max_batch_size` is set, or if a launcher would start them all at once."""
    size = config.hydra.sweeper.get("max_batch_size")
    if size is None and str(config.hydra.launcher._target_).endswith("submitit_launcher.LocalLauncher"):
        size = os.cpu_count()
    size = size or len(jobs)
    for start in range(0, len(jobs), size):
        yield start, jobs[start : start + size]


def close(jobs: Sequence[Job], directory: Path) -> None:
    """Asks the running jobs on this machine to stop where they can be resumed, and waits for them."""
    told: set[int] = set()
    deadline = time.monotonic() + PATIENCE
    while (left := _running(jobs, directory)) and time.monotonic() < deadline:
        for pid in left - told:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)
        told |= left
        time.sleep(0.1)


def _running(jobs: Sequence[Job], directory: Path) -> set[int]:
    """Returns the processes of the running jobs on this machine, except this process."""
    found: set[int] = set()
    for path in {directory / each.directory for each in jobs}:
        try:
            record: dict[str, Any] = read_record(path)
        except ValueError:
            continue
        ours = record["status"] == "running" and record.get("host") == socket.gethostname()
        if ours and isinstance(pid := record.get("pid"), int) and pid > 1:
            found.add(pid)
    return found - {os.getpid()}
