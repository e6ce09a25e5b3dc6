"""A worker process, begun by a sweep or a multirun: it ends when that ends, however it does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

from dqn_lab.interrupt import Interrupted

PARENT = "DQN_LAB_PARENT"  # the number of the process that begins workers
LOOK = 1.0  # seconds between two looks at it
PATIENCE = 10.0  # seconds that a run has to save what it has come to

_state = {"watching": False, "stopped": False}


def begin_workers(launcher: str) -> None:
    """Lets the workers that this process is about to begin know who began them.

    Args:
        launcher: the name of its class. Only joblib's workers are this process's own; a cluster looks after its jobs.
    """
    os.environ.pop(PARENT, None)
    if launcher.endswith("JoblibLauncher"):
        os.environ[PARENT] = str(os.getpid())


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Surrounds a job. A worker that a signal has stopped does no other, nor does one whose parent is gone.

    Raises:
        Interrupted: the worker was stopped before.
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
