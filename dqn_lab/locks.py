"""Whose a directory is: a lock that ends with its process, and a heartbeat for whoever looks from another machine."""

from __future__ import annotations

import contextlib
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
BEAT = 15.0  # seconds between two heartbeats
SILENCE = 300.0  # seconds without one, after which a process on another machine counts as dead


class Claim:
    """A directory's only user, from now until `release` or the end of the process.

    Args:
        directory: exists.
        taken: what to say when another process has it.

    Raises:
        ConfigError: another process has it, or it cannot be written.
    """

    def __init__(self, directory: Path, taken: str) -> None:
        self.path = directory / LOCK
        self._lock = FileLock(self.path, timeout=0.5)  # whoever only looks holds it for a moment
        try:
            self._lock.acquire()
        except (Timeout, RuntimeError):  # the latter if it is this process itself
            raise ConfigError(f"{directory}: {taken}") from None
        except OSError as error:
            raise ConfigError(f"{directory}: cannot be written: {error.strerror or error}") from error
        self._released = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while True:
            with contextlib.suppress(OSError):  # a directory that is gone, or a full disk
                os.utime(self.path)
            if self._released.wait(BEAT):
                return

    def release(self) -> None:
        """Lets others have the directory."""
        self._released.set()
        self._lock.release()


def is_claimed(directory: Path, record: Mapping[str, Any]) -> bool:
    """Returns whether the process that a `run.json` speaks of is still there.

    Args:
        directory: of the run.
        record: its `run.json`; `host` is what matters.
    """
    path = directory / LOCK
    try:
        if record.get("host") != socket.gethostname():
            return time.time() - path.stat().st_mtime < SILENCE
        return _is_locked(path)
    except OSError:
        return False


def _is_locked(path: Path) -> bool:
    """Returns whether a process holds a lock, which need not be writable.

    Raises:
        OSError: there is no such file.
    """
    try:
        import fcntl
    except ImportError:
        return _is_locked_elsewhere(path)
    number = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def _is_locked_elsewhere(path: Path) -> bool:
    """Does the same on Windows."""
    if not path.is_file():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False


def place(directory: Path) -> tuple[int, int] | None:
    """Returns what tells a directory from another one of the same name; None if there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
