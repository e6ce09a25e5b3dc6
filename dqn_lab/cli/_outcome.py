"""Turns the errors of a command into one line each and an exit code."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec

from dqn_lab.cli import _interrupt, fail
from dqn_lab.errors import ConfigError, StateError, TrainingError

P = ParamSpec("P")


def one_line_errors(main: Callable[P, int]) -> Callable[P, int]:
    """Decorates a command, so that it prints an error on one line and returns 2 for bad input, 1 for a failure.

    A pipe whose reader went away is left to `cli.main`.
    """

    @functools.wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except ConfigError as error:
            return fail(*error.problems)
        except BrokenPipeError:
            raise
        except OSError as error:
            return fail(f"{error.filename or 'output'}: {error.strerror or error}", code=1)
        except TrainingError as error:
            return fail(str(error), code=1)
        except (StateError, ValueError) as error:
            return fail(str(error))
        except KeyboardInterrupt as error:
            _interrupt.ignore()
            return _interrupt.interrupted(error)

    return run


@contextlib.contextmanager
def writing(out: Path | None) -> Iterator[None]:
    """Names a command's output, not the temporary file next to it, if it cannot be written.

    Args:
        out: where the command writes, as typed; None if it was not typed.

    Raises:
        ConfigError: the output cannot be written.
        OSError: another file cannot be read or written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        at = None if error.filename is None else Path(os.fsdecode(error.filename))
        if at is None or (out is not None and (at.parent == out.parent or at in out.parents or out in at.parents)):
            raise ConfigError(f"{out or 'the output'}: cannot be written: {error.strerror}") from error
        raise
