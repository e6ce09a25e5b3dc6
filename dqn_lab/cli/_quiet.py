"""Displays that need no terminal: nothing at all, and the notebook's line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dqn_lab.cli import say
from dqn_lab.schedule import Progress

if TYPE_CHECKING:
    from dqn_lab.types import Row, Stride


class Quiet:
    """Shows nothing; the base class of the other displays."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves the terminal as it was."""

    def start(self) -> None:
        """Called when training begins."""

    def stride(self, stride: Stride) -> None:
        """Called with the run's progress and every episode that ended."""

    def playing(self, played: int, total: int) -> None:
        """Called as an evaluation begins, and after each of its episodes."""

    def evaluation(self, row: Row, label: str) -> None:
        """Called after every evaluation."""


class Notebook(Quiet):
    """Prints the notebook's line for every episode, with ε as it is after the episode's decay."""

    def __init__(self, parameter: Callable[[Progress], dict[str, float]]) -> None:
        self.parameter = parameter

    def stride(self, stride: Stride) -> None:
        """Prints `Episode: 12, Total Reward: 14.0, Epsilon: 0.94` for every episode that ended."""
        for row in stride.episodes:
            end = Progress(int(row["step"] or 0), int(row["episode"] or 0) + 1, int(row["updates"] or 0))
            value = next(iter(self.parameter(end).values()), 0.0)
            say(f"Episode: {row['episode']}, Total Reward: {row['return']}, Epsilon: {value:.2f}")
