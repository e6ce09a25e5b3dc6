"""Measures how fast a run is, and how long it will take."""

from __future__ import annotations

import time


class Pace:
    """The speed since the clock was started: at a run's beginning, when it was resumed, or after compiling.

    Args:
        step: the run's environment steps so far.
        share: the share of the budget that is spent, in [0, 1].
    """

    def __init__(self, step: int = 0, share: float = 0.0) -> None:
        self.began, self.step, self.share = time.perf_counter(), step, share
        self.paused = 0.0  # seconds of evaluations, which do not count towards the speed

    def rate(self, step: int) -> float:
        """Returns the steps per second, without evaluations."""
        return (step - self.step) / max(time.perf_counter() - self.began - self.paused, 1e-9)

    def seconds_left(self, share: float) -> float | None:
        """Estimates the seconds left in training, with evaluations; None if nothing is known yet."""
        done = share - self.share
        return (time.perf_counter() - self.began) * (1 - share) / done if done > 0 else None
