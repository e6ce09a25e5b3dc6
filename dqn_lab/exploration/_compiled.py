"""Explorations for compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dqn_lab.schedule import Progress, Tabulated
from dqn_lab.types import Kernel


def make_kernel(
    select: str,
    schedule: Callable[[Progress], float],
    numbers: NDArray[np.float64] | None = None,
    enter: Callable[[NDArray[np.int64]], None] = lambda under_way: None,
    leave: Callable[[NDArray[np.int64]], None] = lambda under_way: None,
) -> Kernel:
    """Makes an exploration's kernel.

    Args:
        select: the name of the function in `_kernels.py`.
        schedule: the schedule of ε, or of the temperature.
        numbers: further numbers that `select` needs.
        enter: fills in the repetition under way: three whole numbers, all 0 if there is none.
        leave: reads them.
    """
    from dqn_lab.exploration import _kernels  # imported late, because it loads numba

    curve, under_way = Tabulated(schedule), np.zeros(3, np.int64)

    def bring_up_to_date(before: Progress, after: Progress) -> None:
        curve.cover(before, after)
        enter(under_way)

    functions: tuple[Any, ...] = getattr(_kernels, select), _kernels.end_episode
    state = curve.values, curve.start, np.zeros(0) if numbers is None else numbers, under_way
    return Kernel(functions, state, bring_up_to_date, lambda: leave(under_way))
