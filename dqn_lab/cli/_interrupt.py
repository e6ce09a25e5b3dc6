"""Handles signals outside a run: any signal that asks to stop ends the command at once, as Ctrl-C does."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from dqn_lab.cli import fail
from dqn_lab.cli._text import shown, to_copy
from dqn_lab.cli._trust import trusting
from dqn_lab.interrupt import Interrupted, asked, heeded
from dqn_lab.records import read_record

if TYPE_CHECKING:
    from dqn_lab.train import Experiment

SOON = 0.05  # seconds until an interruption that was dropped is raised again
_raised: Interrupted | None = None  # since this command began to listen


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Makes the first signal interrupt the command, except those ignored from the start, as under nohup.

    Later ones change nothing, so that the command can say where it stopped; a fourth Ctrl-C ends it at once.

    Raises:
        Interrupted: a signal came, even if a library caught it and raised an error of its own instead.
    """
    global _raised
    _raised = None
    asked.begin()
    for number in heeded():
        signal.signal(number, _interrupt)
    try:
        yield
    except Exception:
        if _raised is None:
            raise
        raise _raised from None


@contextlib.contextmanager
def after(first: Callable[[], object]) -> Iterator[None]:
    """Calls a function before a signal interrupts the command; a second Ctrl-C does not wait for it.

    Args:
        first: the function to call.
    """

    def handle(number: int, _: object) -> None:
        if asked.heard:
            return
        for each in heeded():
            signal.signal(each, _interrupt if each == signal.SIGINT else signal.SIG_IGN)
        first()
        _raise(number)

    before = {number: signal.signal(number, handle) for number in heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def before(what: str) -> Iterator[None]:
    """Says in an interruption what had not happened yet: before it, a command writes nothing.

    Args:
        what: such as "the run began".
    """
    try:
        yield
    except KeyboardInterrupt as error:
        error.args = (f"interrupted before {what}; nothing was written",)
        raise


@contextlib.contextmanager
def explained(experiment: Experiment, directory: Path) -> Iterator[None]:
    """Says in an interruption where a run stopped, and what to type next."""
    try:
        yield
    except KeyboardInterrupt as error:
        said, resumes = where_interrupted(experiment, directory)
        error.args, place = (said,), shown(directory)
        if resumes:
            place = f"{shlex.quote(place)}{trusting(experiment.config)}"
            error.add_note(to_copy("next", place, "python -m dqn_lab resume", sys.stderr))
        else:
            error.add_note(to_copy("files", place, stream=sys.stderr))
        raise


@contextlib.contextmanager
def later() -> Iterator[None]:
    """Lets a short piece of work finish before Ctrl-C interrupts a notebook's cell; a command ends at once."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def ignore() -> None:
    """Ignores further signals, which would only disrupt the shutdown."""
    for number in heeded():
        signal.signal(number, signal.SIG_IGN)


def interrupted(error: KeyboardInterrupt) -> int:
    """Prints that a command was interrupted, and where; returns its exit code.

    Args:
        error: the interruption; its notes are printed as further lines, such as what to type next.
    """
    code = fail(str(error) or "interrupted", code=error.code if isinstance(error, Interrupted) else 130)
    for line in getattr(error, "__notes__", ()):
        print(line, file=sys.stderr)
    return code


def where_interrupted(experiment: Experiment, directory: Path) -> tuple[str, bool]:
    """Returns a text that says where a run was interrupted, and whether it saves its state and so can continue."""
    progress = experiment.rollout.progress
    with contextlib.suppress(ValueError):
        if read_record(directory)["status"] == "completed":
            return "interrupted after the run had completed", False
    return f"interrupted at episode {progress.episode:,}, step {progress.step:,}", bool(experiment.keep)


def _interrupt(number: int, _: object) -> None:
    asked.count += number == signal.SIGINT
    if asked.count > 3:
        os._exit(128 + number)
    if not asked.heard:
        _raise(number)


def _raise(number: int) -> NoReturn:
    global _raised
    asked.heard, _raised = True, Interrupted(number)
    sys.unraisablehook = _raise_dropped
    raise _raised


def _raise_dropped(unraisable: sys.UnraisableHookArgs) -> None:
    """Raises an interruption again, shortly after Python had to drop it, for example in a destructor."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
    elif threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, _raise_again)
        signal.setitimer(signal.ITIMER_REAL, SOON)


def _raise_again(number: int, _: object) -> None:
    if _raised is not None:
        raise _raised
