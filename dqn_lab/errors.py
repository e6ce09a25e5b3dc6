"""Errors that are shown to users, with one line per problem."""

from __future__ import annotations


class ConfigError(ValueError):
    """Reports everything that is wrong with a configuration, one line per problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def _render_traceback_(self) -> list[str]:  # called by IPython: a mistake needs no traceback in a notebook
        return [f"ConfigError: {self}"]


class TrainingError(RuntimeError):
    """Reports, in one line, why a run could not continue."""


class StateError(RuntimeError):
    """Reports, in one line, why a state cannot be saved or restored."""


def one_line(error: BaseException) -> str:
    """Writes an error on one line, with its type unless the message is one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, (ConfigError, TrainingError, StateError)) else f"{type(error).__name__}: {text}"
