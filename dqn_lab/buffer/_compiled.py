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
        functions: the names in `_kernels.py` of those that append, say whether a batch is ready, sample, and update.
        ring: what is stored; shared with compiled code.
        windows: what is in flight, of environment 0.
        more: of the state.
        enter: fills in those of the counts that the ring does not have, and brings the rest up to date.
        leave: reads them.
    """
    from dqn_lab.buffer import _kernels  # numba is imported by those who use it

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
    """Returns (observations, actions, rewards, first and number, γᵏ, where the last transitions went), all of n steps.

    Also what reads the windows in flight into them, and what writes them back.
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
