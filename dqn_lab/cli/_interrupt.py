"""Being asked to stop: every signal that means it ends a command like Ctrl-C does."""

from __future__ import annotations

import signal

from dqn_lab.cli import fail


class Terminated(KeyboardInterrupt):
    """The process was asked to end by a signal other than Ctrl-C's."""


def listen() -> None:
    """Has SIGTERM and SIGHUP interrupt the command, but for those that were ignored from the start, as by nohup."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminate)


def ignore() -> None:
    """Lets the end come: one more Ctrl-C would only break it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def interrupted(error: KeyboardInterrupt) -> int:
    """Says that a command was interrupted, and where; returns its exit code."""
    return fail(str(error) or "interrupted", code=143 if isinstance(error, Terminated) else 130)


def _terminate(*_: object) -> None:
    raise Terminated
