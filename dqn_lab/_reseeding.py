"""Checks that an environment's episodes are fixed by the seed and the actions."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import torch

from dqn_lab.env import state
from dqn_lab.env.checked import Checked

KNOWN = ("gymnasium", "dqn_lab", "minatar", "ale_py")  # packages whose environments are known to be fixed by the seed
NUM_STEPS = 20
PATIENCE = 1.0  # seconds; an environment that takes longer for these steps is not checked
REASON = (
    "two episodes with the same seed and the same actions differ, so the run cannot be repeated; its reset must call "
    "super().reset(seed=seed), and all its random numbers must come from self.np_random"
)
Make = Callable[[], gymnasium.Env[Any, Any]]
_found: dict[type, str | None] = {}  # the result for each class of environments


def seeding_problem(env: gymnasium.Env[Any, Any], make_env: Make) -> str | None:
    """Returns why an environment from outside the package cannot be repeated, or None.

    Each class is tried once per process, the first time in the given environment. If that is not repeatable, it may
    only remember earlier episodes, so two fresh ones decide.

    Args:
        env: an environment that nobody else uses.
        make_env: makes another one.
    """
    kind = type(env.unwrapped)
    if kind.__module__.partition(".")[0] in KNOWN or state.is_exact(env):
        return None
    if kind not in _found:
        _found[kind] = None
        with global_states_kept(), contextlib.suppress(Exception, SystemExit):  # the run will report it
            if not _repeats(env, env) and not _fresh_ones_repeat(make_env):
                _found[kind] = REASON
    return _found[kind]


def _fresh_ones_repeat(make_env: Make) -> bool:
    with contextlib.closing(Checked(make_env())) as one, contextlib.closing(Checked(make_env())) as other:
        return _repeats(one.env, other.env)


def _repeats(env: gymnasium.Env[Any, Any], other: gymnasium.Env[Any, Any]) -> bool:
    """Returns whether an episode comes out the same in both, or takes too long to find out."""
    begin = time.monotonic()
    first = list(_play(env))
    return time.monotonic() - begin > PATIENCE or all(map(_same, first, _play(other)))


def _play(env: gymnasium.Env[Any, Any]) -> Iterator[tuple[Any, ...]]:
    """Yields what an environment returns in some steps of an episode."""
    yield np.array(env.reset(seed=0)[0]), 0.0, False
    for number in range(NUM_STEPS):
        obs, reward, terminated, truncated, _ = env.step(number % int(env.action_space.n))  # type: ignore[attr-defined]
        yield np.array(obs), float(reward), terminated
        if terminated or truncated:
            return


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(np.allclose(*pair, equal_nan=True) for pair in zip(one, other, strict=True))


@contextlib.contextmanager
def global_states_kept() -> Iterator[None]:
    """Restores the global random states afterwards, because custom code may use them."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
