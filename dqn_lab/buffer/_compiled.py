"""Buffers for compiled code."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from dqn_lab.buffer._ring import Ring
from dqn_lab.buffer._windows import Windows
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Kernel


def make_kernel(
    functions: tuple[str, ...],
    ring: Ring,
    windows: Windows,
    more: tuple[Any, ...] = (),
    enter: Callable[[Array, Progress, Progress], None] = lambda counts, before, after: None,
    leave: Callable[[Array], None] = lambda counts: None,
) -> Kernel:
    """Makes a buffer's kernel.

    Args:
        functions: the names of its functions in `_kernels.py`: for appending, readiness, sampling and priorities.
        ring: the stored transitions; shared with compiled code.
        windows: the unfinished windows, of which environment 0's are used.
        more: further parts of the state.
        enter: fills in the counts that the ring does not have, and updates `more`.
        leave: reads these counts.
    """
    from dqn_lab.buffer import _kernels  # imported late, because it loads numba

    obs, next_obs = (array.reshape(ring.capacity, -1) for array in (ring.arrays.obs, ring.arrays.next_obs))
    memory = tuple(ring.arrays._replace(obs=obs, next_obs=next_obs))
    counts = np.zeros(6, np.int64)
    own, read, write = _windows_state(windows, ring)

    def bring_up_to_date(before: Progress, after: Progress) -> None:
        counts[:] = ring.head, ring.size, ring.written, 0, 0, 0
        read()
        enter(counts, before, after)

    def take_over() -> None:
        ring.written = int(counts[_kernels.WRITTEN])
        write()
        leave(counts)

    found = tuple(getattr(_kernels, name) for name in functions)
    return Kernel(found, (memory, counts, own, *more), bring_up_to_date, take_over)


def _windows_state(windows: Windows, ring: Ring) -> tuple[tuple[Array, ...], Callable[[], None], Callable[[], None]]:
    """Returns arrays for the unfinished windows, a function that fills them in, and one that writes them back.

    The arrays, for n steps: observations, actions, rewards, first and number, γᵏ, rows of the last transitions.
    """
    n_step, obs = windows.n_step, ring.arrays.obs
    all_obs = np.zeros((n_step, *obs.shape[1:]), obs.dtype)
    actions, rewards, waiting = np.zeros(n_step, np.int64), np.zeros(n_step), np.zeros(2, np.int64)
    powers = np.array([windows.discount**k for k in range(n_step + 1)], np.float64)

    def read() -> None:
        waiting[:] = 0, len(windows.queues[0])
        for i, step in enumerate(windows.queues[0]):
            all_obs[i], actions[i], rewards[i] = step

    def write() -> None:
        places = [int(i) % n_step for i in range(waiting[0], waiting.sum())]
        windows.queues[0] = deque((all_obs[i].copy(), int(actions[i]), float(rewards[i])) for i in places)

    flat = all_obs.reshape(n_step, -1)
    return (flat, actions, rewards, waiting, powers, np.zeros(n_step, np.int64)), read, write
