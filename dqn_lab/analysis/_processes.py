"""Divides work among processes."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

MOST = 4  # processes; each copies the memory pages that it writes to
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
T = TypeVar("T")
_jobs: Sequence[Callable[[], Any]] = ()  # set in each worker process


def do_all(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Runs independent jobs, on several cores where processes can be forked safely.

    Args:
        jobs: callables; only their results must be picklable.

    Returns:
        the results, in the order of the jobs.

    Raises:
        Exception: what a job raised.
    """
    cores = min(MOST, len(jobs), _num_cores())
    if cores < 2 or sys.platform != "linux" or threading.active_count() > 1:  # a fork copies locks, not their owners
        return [job() for job in jobs]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_begin, initargs=(jobs,)) as pool:
        return list(pool.map(_do, range(len(jobs))))


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _begin(jobs: Sequence[Callable[[], Any]]) -> None:
    """Stores the jobs in a worker; makes it ignore Ctrl-C, which the parent handles, and end when the parent ends."""
    global _jobs
    _jobs = jobs
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)


def _do(number: int) -> Any:
    return _jobs[number]()
