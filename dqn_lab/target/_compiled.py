"""Target networks for compiled code."""

from __future__ import annotations

from dqn_lab.schedule import Every
from dqn_lab.types import Kernel


def make_kernel(follow: str, every: Every | None = None, tau: float = 1.0) -> Kernel:
    """Makes a target's kernel; `follow` is the name of its function in `_kernels.py`."""
    from dqn_lab.target import _kernels  # imported late, because it loads numba

    when = (1, 1, 0) if every is None else every.numbers
    return Kernel((getattr(_kernels, follow),), (when, tau), lambda before, after: None, lambda: None)
