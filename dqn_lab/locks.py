"""Which process owns a directory: a lock that ends with the process, and a heartbeat for other machines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dqn_lab.errors import ConfigError

LOCK = ".lock"
BEAT = 15.0  # seconds between heartbeats
SILENCE = 300.0  # seconds without a heartbeat after which a process on another machine counts as dead


class Claim:
    """Makes this process a directory's only user, until `release` or the end of the process.

    Args:
        directory: an existing directory.
        taken: the error message if another process is using it.

    Raises:
        ConfigError: another process is using it, or it is not writable.
    """

    def __init__(self, directory: Path, taken: str) -> None:
        self.path = directory / LOCK
        self._lock = FileLock(self.path, timeout=0.5)  # a process that only checks the lock holds it for a moment
        try:
            self._lock.acquire()
        except (Timeout, RuntimeError):  # RuntimeError if this process itself holds the lock
            raise ConfigError(f"{directory}: {taken}") from None
        except OSError as error:
            raise ConfigError(f"{directory}: cannot be written: {error.strerror or error}") from error
        self._file = self.path.open("rb")  # while it is open, no other file has its inode
        self._released = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # the directory is gone, or the disk is full
                os.utime(self.path)
            if self._released.wait(BEAT):
                return

    def holds(self) -> bool:
        """Returns whether the directory is still in its place, not removed, renamed or replaced."""
        try:
            return not self._file.closed and os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Lets other processes use the directory."""
        self._released.set()
        self._file.close()
        self._lock.release()


def is_claimed(directory: Path, record: Mapping[str, Any]) -> bool:
    """Returns whether the process that a `run.json` names is still running.

    Args:
        directory: the run's directory.
        record: its `run.json`, of which only `host` is used.
    """
    path = directory / LOCK
    try:
        is_beating = abs(time.time() - path.stat().st_mtime) < SILENCE
    except OSError:
        return False
    try:
        return _is_locked(path) if record.get("host") == socket.gethostname() else is_beating
    except OSError:  # the file system has no locks
        return is_beating


def _is_locked(path: Path) -> bool:
    """Returns whether a process holds a lock; works even if the file is not writable.

    Raises:
        OSError: there is no such file, or its file system has no locks.
    """
    number = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False
