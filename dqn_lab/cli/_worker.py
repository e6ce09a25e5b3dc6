"""A worker process of a sweep or multirun, which ends when its parent ends for any reason."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from dqn_lab.interrupt import Interrupted

PARENT = "DQN_LAB_PARENT"  # the id of the process that starts workers
LOOK = 1.0  # seconds between two checks of the parent
PATIENCE = 10.0  # seconds that a run has to save its state

_state = {"watching": False, "stopped": False}


def begin_workers(launcher: str) -> None:
    """Tells the workers that this process is about to start who their parent is.

    Args:
        launcher: its class's name. Only joblib's workers are this process's children; a cluster manages its own jobs.
    """
    os.environ.pop(PARENT, None)
    if launcher.endswith("JoblibLauncher"):
        if "joblib" in sys.modules:  # those of an earlier sweep in this process: what they imported may have changed
            sys.modules["joblib"].externals.loky.get_reusable_executor().shutdown()
        os.environ[PARENT] = str(os.getpid())


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Surrounds a job. A worker that a signal has stopped, or whose parent is gone, does no other job.

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
