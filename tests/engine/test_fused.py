"""The compiled engine against the eager one, which defines what is right."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dqn_lab import registry
from dqn_lab.seeding import torch_generator
from dqn_lab.types import Batch, Noise, Transition

CPU = torch.device("cpu")
ARRAY = {torch.float32: np.float32, torch.float64: np.float64}


def create(group, configuration, *supplied):
    return registry.create(group, registry.validate(group, configuration), *supplied)


class Composition(NamedTuple):
    """What an engine is built of, and what batches it is given."""

    obs: int = 4
    num_actions: int = 3
    network: dict[str, Any] = {"name": "mlp"}
    value: dict[str, Any] = {"name": "expected"}
    bootstrap: str = "max"
    shared: bool = False
    optimizer: dict[str, Any] = {"name": "adam"}
    batch_size: int = 32
    minibatch_size: int | None = None
    weighted: bool = False
    memory: int | None = None  # transitions that batches are rows of; None: each batch is its own memory
    sync: int = 10  # updates from one copy to the target network to the next
    seed: int = 0

    def networks(self, dtype):
        """Builds the online and the target network; one for both where it is shared."""
        online, target = (
            create("network", self.network, Box(-1, 1, (self.obs,)), self.num_actions, 1, generator).to(dtype)
            for generator in (torch_generator(self.seed, "online"), torch_generator(self.seed, "target"))
        )
        return online, online if self.shared else target

    def build(self, name, dtype):
        """Builds an engine; engines of one composition begin with the same weights, rounded once."""
        online, target = self.networks(dtype)
        value, bootstrap = create("value", self.value), create("bootstrap", {"name": self.bootstrap})
        return create("engine", {"name": name}, online, target, value, bootstrap, create("optimizer", self.optimizer), CPU)

    def draw(self, size, rng, array):
        """Makes transitions up; a number is the same in both types, but for its rounding."""
        return Transition(
            obs=rng.normal(size=(size, self.obs)).astype(array),
            action=rng.integers(self.num_actions, size=size),
            reward=rng.normal(size=size).astype(array),
            next_obs=rng.normal(size=(size, self.obs)).astype(array),
            discount=np.where(rng.random(size) < 0.2, 0, 0.9).astype(array),
        )

    def batches(self, dtype, number=100):
        """Yields batches, and the noise of their updates."""
        rng, array, size = np.random.default_rng(self.seed), ARRAY[dtype], self.batch_size
        memory = None if self.memory is None else self.draw(self.memory, rng, array)
        for _ in range(number):
            weights = rng.uniform(0.2, 1, size).astype(array) if self.weighted else None
            if memory is None:
                batch = Batch(self.draw(size, rng, array), weights, np.arange(size))
            else:
                rows = rng.integers(self.memory, size=size)
                batch = Batch(memory, weights, rows, rows)
            order, step = rng.permutation(size), self.minibatch_size
            yield batch, Noise(step and [order[i : i + step] for i in range(0, size, step)])

    def follow(self, engine, number):
        """Copies the online network where it is time to."""
        if number % self.sync == 0 and not self.shared:
            engine.target.load_state_dict(engine.online.state_dict())


def flat(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).numpy().copy()


def distance(one, other):
    """How far two networks are apart, in units of the second one's largest weight."""
    return np.abs(flat(one) - flat(other)).max() / np.abs(flat(other)).max()


fraction = st.floats(0, 0.95)
rate = st.floats(1e-4, 1e-2)
norm = st.none() | st.floats(0.05, 10)


def rule(name, **fields):
    return st.fixed_dictionaries({"name": st.just(name), "max_grad_norm": norm, "lr": rate, **fields})


eps = st.sampled_from([1e-8, 1e-7, 1e-5, 1e-3])
betas = st.tuples(fraction, st.floats(0.5, 0.999)).map(list)
optimizers = st.one_of(
    rule("adam", betas=betas, eps=eps),
    rule("adamw", betas=betas, eps=eps, weight_decay=st.floats(0, 0.1)),
    rule("keras_adam", betas=betas, eps=eps),
    rule("rmsprop", alpha=st.floats(0.5, 0.999), momentum=fraction, eps=eps),
    rule("sgd", momentum=fraction),
    rule("sgd", momentum=st.floats(0.1, 0.95), nesterov=st.just(True)),
)


@st.composite
def compositions(draw):
    batch_size = draw(st.integers(1, 70))
    return Composition(
        obs=draw(st.integers(1, 20)),
        num_actions=draw(st.integers(1, 7)),
        network={
            "name": "mlp",
            "hidden": draw(st.lists(st.integers(1, 40), min_size=1, max_size=3)),
            "activation": draw(st.sampled_from(["relu", "tanh"])),
            "layer_norm": draw(st.booleans()),
            "init": draw(st.sampled_from(["fan_in_uniform", "glorot_uniform"])),
        },
        value={
            "name": "expected",
            "loss": draw(st.sampled_from(["squared", "huber"])),
            "kappa": draw(st.floats(0.1, 3)),
            "all_actions": draw(st.booleans()),
        },
        bootstrap=draw(st.sampled_from(["max", "double"])),
        shared=draw(st.booleans()),
        optimizer=draw(optimizers),
        batch_size=batch_size,
        minibatch_size=draw(st.none() | st.integers(-(-batch_size // 4), batch_size)),
        weighted=draw(st.booleans()),
        memory=draw(st.none() | st.integers(1, 200)),
        sync=draw(st.integers(1, 40)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )
