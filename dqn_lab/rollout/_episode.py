"""The current training episode: its sums, and its row at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from dqn_lab.hooks import Reports
from dqn_lab.schedule import Progress
from dqn_lab.types import Row, Update

PLAIN = float, int, type(None)


@dataclass(slots=True)
class Tally:
    """Sums over one training episode, all plain numbers."""

    score: float = 0.0  # the undiscounted return
    length: int = 0
    loss: float = 0.0
    q_value: float = 0.0
    num_batches: int = 0

    def add(self, reward: float, updates: Sequence[Update]) -> None:
        """Counts a step and the updates made after it."""
        self.score += reward
        self.length += 1
        for update in updates:
            self.loss += update.loss
            self.q_value += update.q_value
            self.num_batches += 1

    def state_dict(self) -> dict[str, Any]:
        """Returns the sums."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        for name, value in state.items():
            setattr(self, name, value)


def episode_row(
    tally: Tally, start: Progress, end: Progress, reported: Mapping[str, float], reporters: Sequence[Reports]
) -> Row:
    """Builds a finished episode's row.

    Args:
        tally: the episode's sums.
        start: the run's progress before the episode.
        end: the run's progress after it.
        reported: the exploration's columns.
        reporters: the other parts that add columns.
    """
    row: dict[str, float | int | None] = {
        "episode": start.episode,
        "step": end.step,
        "return": tally.score,
        "length": tally.length,
        **plain_numbers(reported),
        "updates": end.updates,
        "loss": tally.loss / tally.num_batches if tally.num_batches else None,
        "q_value": tally.q_value / tally.num_batches if tally.num_batches else None,
    }
    for reporter in reporters:
        row.update(plain_numbers(reporter.report(end)))
    return row


def plain_numbers(reported: Mapping[str, Any]) -> dict[str, float | int | None]:
    """Converts what a part reports: a truth value to 0 or 1, an array or tensor of one element to its element.

    Raises:
        TypeError: a value is not a number.
    """
    return {name: value if type(value) in PLAIN else _plain(name, value) for name, value in reported.items()}


def _plain(name: str, value: Any) -> float | int:
    if isinstance(value, (np.ndarray, torch.Tensor)) and len(found := value.reshape(-1)) == 1:
        value = found[0].item()
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"report returned {name}={value!r}; must be a number, or None for an empty cell")
    return value  # type: ignore[return-value]
