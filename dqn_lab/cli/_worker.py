"""A worker process of a sweep or multirun, which ends when its parent ends for any reason."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points

from omegaconf import DictConfig

from dqn_lab._outside import entry_module, in_a_file
from dqn_lab._plugins import GROUP
from dqn_lab.errors import ConfigError
from dqn_lab.interrupt import Interrupted

PARENT = "DQN_LAB_PARENT"  # the id of the process that starts workers
LOOK = 1.0  # seconds between two checks of the parent
PATIENCE = 10.0  # seconds that a run has to save its state

_state = {"watching": False, "stopped": False}


def begin_workers(launcher: str) -> None:
    """Records this process as the parent of the workers that it is about to start.

    Args:
        launcher: the launcher's class name. Only joblib's workers are this process's children; a cluster manages its
            own jobs.
    """
    os.environ.pop(PARENT, None)
    if launcher.endswith("JoblibLauncher"):
        if "joblib" in sys.modules:  # workers of an earlier sweep may have imported code that has changed since
            sys.modules["joblib"].externals.loky.get_reusable_executor().shutdown()
        os.environ[PARENT] = str(os.getpid())


def check_environments(launcher: str, configs: Iterable[DictConfig]) -> None:
    """Checks that worker processes will find the environments of their jobs.

    Args:
        launcher: the launcher's class name.
        configs: the jobs' configurations.

    Raises:
        ConfigError: an environment was registered in this process, outside any module that a worker imports.
    """
    if launcher.endswith("BasicLauncher"):  # runs jobs in this process
        return
    plugins = [*entry_points(group="gymnasium.envs"), *entry_points(group=GROUP)]
    known = {"gymnasium", "dqn_lab", *(plugin.module.partition(".")[0] for plugin in plugins)}
    for env_id in dict.fromkeys(str(config.env.id) for config in configs if config.env.name == "gymnasium"):
        module = entry_module(env_id) or "gymnasium"
        if ":" not in env_id and module.partition(".")[0] not in known:
            what = "is registered only in this process, not in its workers"
            raise ConfigError(f"env.id={env_id}: {what}; {in_a_file(env_id)}")


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Wraps a job. A worker that was stopped by a signal, or whose parent is gone, runs no further job.

    Raises:
        Interrupted: the worker was stopped earlier.
    """
    parent = int(os.environ.get(PARENT, os.getpid()))
    if parent == os.getpid():  # the parent itself, or a cluster's process
        yield
        return
    if os.getppid() != parent:
        os._exit(1)
    if _state["stopped"]:
        raise Interrupted(signal.SIGTERM)
    if not _state["watching"]:
        _state["watching"] = True
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        _state["stopped"] = True
        raise


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os._exit(1)
