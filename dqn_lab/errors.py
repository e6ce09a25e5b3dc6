"""Errors that are shown to users, with one line per problem."""

from __future__ import annotations

TRACEBACK = "; the traceback is in train.log"


class OneLine(BaseException):
    """An error that a notebook shows without a traceback: its message says what to do."""

    def _render_traceback_(self) -> list[str]:  # called by IPython
        return [f"{type(self).__name__}: {self}"]


class ConfigError(OneLine, ValueError):
    """Reports everything that is wrong with a configuration, one line per problem."""

    def __init__(self, *problems: str) -> None:
        self.problems = (*dict.fromkeys(problems),)  # parts of one whole may find the same problem
        super().__init__("\n".join(self.problems))


class TrainingError(OneLine, RuntimeError):
    """Reports, in one line, why a run could not continue."""


class StateError(RuntimeError):
    """Reports, in one line, why a state cannot be saved or restored."""


def one_line(error: BaseException) -> str:
    """Writes an error on one line, preceded by its type unless it is one of dqn_lab's own."""
    text = " ".join(str(error).split())
    kind = "" if isinstance(error, (ConfigError, TrainingError, StateError)) else type(error).__name__
    return ": ".join(filter(None, (kind, text)))


def budget_exceeded(directory: object, episode: int, step: int) -> str:
    """Says that a run is further than the budget with which it is to be resumed."""
    return f"{directory}: is at episode {episode:,}, step {step:,} already; steps=… or episodes=… must be larger"
