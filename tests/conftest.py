"""Shared fixtures: components, configurations, and a check of global randomness."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from hypothesis import settings

from dqn_lab import registry
from dqn_lab.build import validate
from dqn_lab.cli import _compose, _index

settings.register_profile("dqn_lab", deadline=None, max_examples=50, derandomize=True)  # the same examples every time
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dqn_lab"))
torch.set_num_threads(1)


class Pictures(gymnasium.Env):
    """Shows five black or white images per episode; the action that names the colour, 0 or 1, earns 1."""

    def __init__(self, shape=(4, 84, 84), dtype="uint8"):
        self.observation_space = Box(0, 255 if dtype == "uint8" else 1, tuple(shape), np.dtype(dtype))
        self.action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.shown = 0
        return self.show(), {}

    def step(self, action):
        reward = float(action == self.white)
        self.shown += 1
        return self.show(), reward, self.shown == 5, False, {}

    def show(self):
        self.white = bool(self.np_random.integers(2))
        space = self.observation_space
        return np.full(space.shape, self.white * space.high.max(), space.dtype)


gymnasium.register("Pictures-v0", Pictures)


@pytest.fixture(scope="session")
def make() -> Callable[..., Any]:
    """Builds a component as a run does: `make(group, name, *supplied, **configuration)`."""

    def build(group: str, name: str, /, *supplied: Any, **configuration: Any) -> Any:
        return registry.create(group, registry.validate(group, {"name": name, **configuration}), *supplied)

    return build


@pytest.fixture(scope="session")
def check_global_randomness() -> Callable[[], AbstractContextManager[None]]:
    """Checks that a block does not change the global generators of random, numpy and torch."""

    @contextlib.contextmanager
    def watch() -> Iterator[None]:
        before = _global_states()
        yield
        assert _global_states() == before

    return watch


def _global_states() -> dict[str, bytes]:
    return {
        "random": pickle.dumps(random.getstate()),
        "numpy": pickle.dumps(np.random.get_state()),  # noqa: NPY002
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


@pytest.fixture(scope="session")
def configure() -> Callable[..., dict[str, Any]]:
    """Composes and validates a run's configuration from overrides, as `train` does."""

    @functools.cache
    def compose(*overrides: str) -> dict[str, Any]:
        with _compose.composer():
            plain = _compose.plain(_compose.compose_config(list(overrides)))
            validated = validate(plain)
            assert validated == _index.validate(plain)  # without importing components, as the command line does first
            return validated

    return lambda *overrides: copy.deepcopy(compose(*overrides))
