"""Being asked to stop: a run ends at its next safe point, between two steps, so that it can be continued from there."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")  # the last two are clusters' warnings
PATIENCE = 3.0  # seconds until a safe point that does not come is no longer waited for


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to stop.

    Args:
        number: of the signal.
        safe: whether this was raised at a safe point, where everything that a run depends on is whole.
        text: where it was, in one line.
    """

    def __init__(self, number: int, safe: bool = False, text: str = "") -> None:
        super().__init__(text)
        self.number, self.safe = number, safe

    @property
    def code(self) -> int:
        """The exit code that says so: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


class _Asked:
    """Which signals have come since somebody began to listen."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.count = 0  # of Ctrl-C
        self.hold = False  # while what is being done takes a moment and must be done


asked = _Asked()


def check() -> None:
    """Is called at every safe point.

    Raises:
        Interrupted: a signal has asked the process to stop.
    """
    if asked.number is not None:
        raise Interrupted(asked.number, safe=True)


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Has a signal stop the process at its next safe point, a second Ctrl-C at once, and a fourth end it on the spot.

    A signal that was ignored from the start, as by nohup, stays ignored. In a thread that is not the main one, where
    Python allows no handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _forget()
    asked.count, asked.hold = 0, False
    numbers = [number for name in SIGNALS if (number := vars(signal).get(name)) is not None]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, _handle)
    try:
        yield
    finally:
        _wait(0)
        for number, handler in before.items():
            signal.signal(number, handler)
        came = _forget()
        if came is not None and _is_foreign(before[came]):
            signal.raise_signal(came)  # a launcher's handler may have the job queued again


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
    """Lets what takes only a moment be done whatever signals come."""
    asked.hold, before = True, asked.hold
    try:
        yield
    finally:
        asked.hold = before


def _handle(number: int, frame: FrameType | None) -> None:
    if asked.number is None:
        asked.number = number
        _wait(PATIENCE)
    asked.count += number == signal.SIGINT
    if asked.count > 3:
        os._exit(128 + number)
    if asked.count > 1 and not asked.hold:
        raise Interrupted(asked.number)


def _wait(seconds: float) -> None:
    """Has the process stop wherever it is when the time is up; 0 calls that off."""
    if sys.platform != "win32":
        if seconds:
            signal.signal(signal.SIGALRM, _lose_patience)
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _lose_patience(number: int, frame: FrameType | None) -> None:
    if asked.number is not None and not asked.hold:
        raise Interrupted(asked.number)
