"""Signals during a run: it stops at the next safe point, between two steps, so that it can be resumed from there."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from dqn_lab.errors import OneLine, one_line

_log = logging.getLogger(__name__)
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # clusters send the last two before a time limit
PATIENCE = 3.0  # seconds to wait for a safe point
CLOSING = 1.5  # seconds that closing one part may take after a signal


class Interrupted(OneLine, KeyboardInterrupt):
    """A signal asked the process to stop.

    Args:
        number: the signal's number.
        safe: whether it was raised at a safe point, where the run's state is consistent.
        text: where it was, in one line.
    """

    def __init__(self, number: int, safe: bool = False, text: str = "") -> None:
        super().__init__(text)
        self.number, self.safe = number, safe

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.number, self.safe, str(self))

    @property
    def code(self) -> int:
        """The signal's exit code: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class _Asked:
    """The signals received since a command, a call from Python or `listening` began."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forgets what came before."""
        self.number: int | None = None
        self.count = 0  # of Ctrl-C
        self.hold = False  # whether a short piece of work must be finished first
        self.heard = False  # whether a signal has ended the work, so that later ones are ignored


asked = _Asked()


def check() -> None:
    """Called at every safe point.

    Raises:
        Interrupted: a signal has asked the process to stop.
    """
    if asked.number is not None:
        raise _leave(asked.number, safe=True)


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Makes a signal stop the process at its next safe point, a second Ctrl-C at once; a fourth Ctrl-C kills it.

    A signal that was ignored from the start, as by nohup, stays ignored. A signal that arrives too late to stop the
    work is raised again after it. Outside the main thread, where Python allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _forget()
    asked.count, asked.hold = 0, False
    before = {number: signal.signal(number, _handle) for number in heeded()}
    asked.heard = False
    try:
        yield
    except Interrupted:
        asked.heard = True
        raise
    finally:
        _wait(0)
        for number, handler in before.items():
            signal.signal(number, handler)
        came = _forget()
        if came is not None and (not asked.heard or _is_foreign(before[came])):
            signal.raise_signal(came)  # a launcher's handler may requeue the job


def heeded() -> list[int]:
    """Returns the numbers of the signals that ask to stop, except those that are ignored here.

    Outside the main thread, where Python allows no handlers, there are none.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    found = [number for name in SIGNALS if (number := vars(signal).get(name)) is not None]
    return [number for number in found if signal.getsignal(number) not in (None, signal.SIG_IGN)]


def _forget() -> int | None:
    came, asked.number = asked.number, None
    return came


def _is_foreign(handler: object) -> bool:
    return (
        callable(handler)
        and handler is not signal.default_int_handler
        and not str(handler.__module__).startswith(f"{__package__}.")
    )


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Lets a short piece of work finish, whatever signals arrive."""
    asked.hold, before = True, asked.hold
    try:
        yield
    finally:
        asked.hold = before


def shut(what: str, close: Callable[[], object]) -> None:
    """Closes part of a run once its results are saved; warns if closing fails, or hangs after a signal."""
    asked.hold, before = False, asked.hold
    try:
        _wait(0 if asked.number is None else CLOSING)
        close()
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        _log.warning("closing %s: %s", what, "took too long" if isinstance(error, Interrupted) else one_line(error))
    finally:
        _wait(0)
        asked.hold = before


def _handle(number: int, frame: FrameType | None) -> None:
    if asked.number is None:
        asked.number = number
        _wait(PATIENCE)
    asked.count += number == signal.SIGINT
    if asked.count > 3:
        os._exit(128 + number)
    if asked.count > 1 and not asked.hold:
        raise _leave(asked.number)


def _leave(number: int, safe: bool = False) -> Interrupted:
    """Returns the exception to raise, and protects the end of the run from further signals."""
    asked.hold = True
    _wait(0)
    return Interrupted(number, safe)


def _wait(seconds: float) -> None:
    """Sets a timer that stops the process wherever it is; 0 cancels the timer."""
    if threading.current_thread() is threading.main_thread():
        if seconds:
            signal.signal(signal.SIGALRM, _stop_anywhere)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _stop_anywhere(number: int, frame: FrameType | None) -> None:
    if asked.number is not None and asked.hold:
        _wait(PATIENCE)
    elif asked.number is not None:
        raise _leave(asked.number)
