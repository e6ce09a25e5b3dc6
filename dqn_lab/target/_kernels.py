"""How the target network follows the online one, in compiled code.

The contract: `follow(online, target, before, after, state)`. The networks' parameters are flat arrays, the points of
the run are (step, episode, updates), and the state is (interval, first occasion, which of the three is counted), τ.
"""

from __future__ import annotations

from typing import Any

from numba.extending import intrinsic

from dqn_lab._function import is_due
from dqn_lab._numba import kernel


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Returns a · b + c, rounded once."""
    return a(a, b, c), lambda context, builder, sig, args: builder.fma(*args)


@kernel
def follow_none(online, target, before, after, state):
    """Does nothing."""


@kernel
def follow_periodic(online, target, before, after, state):
    """Copies the parameters if a copy is due."""
    every, _ = state
    if is_due(every, before, after):
        for i in range(len(target)):
            target[i] = online[i]


@kernel
def follow_polyak(online, target, before, after, state):
    """Moves the target a share τ of the way if a step is due; rounds as `torch.lerp` does."""
    every, tau = state
    if not is_due(every, before, after):
        return
    share = target.dtype.type(tau)
    if abs(share) < target.dtype.type(0.5):
        for i in range(len(target)):
            target[i] = multiply_add(share, online[i] - target[i], target[i])
    else:
        share -= target.dtype.type(1)
        for i in range(len(target)):
            target[i] = multiply_add(share, online[i] - target[i], online[i])
