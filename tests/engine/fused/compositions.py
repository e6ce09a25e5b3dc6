"""Compositions of the fused engine, fixed or random, and the batches that engines learn from."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

from dqn_lab import registry
from dqn_lab.hooks import AdaptsNetwork, noise_source
from dqn_lab.seeding import torch_generator
from dqn_lab.types import Batch, Noise, Transition

CPU = torch.device("cpu")
ARRAY = {torch.float32: np.float32, torch.float64: np.float64}
few = settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
many = settings(few, max_examples=4 * few.max_examples)  # if an example is an update or two


def create(group, configuration, *supplied):
    return registry.create(group, registry.validate(group, configuration), *supplied)


class Composition(NamedTuple):
    """The components of an engine, and the batches it learns from."""

    obs: tuple[int, ...] = (4,)
    space: gymnasium.Space[Any] | None = None  # of the observations; None: a Box of shape `obs`
    num_actions: int = 3
    network: dict[str, Any] = {"name": "mlp"}
    value: dict[str, Any] = {"name": "expected"}
    bootstrap: dict[str, Any] = {"name": "max"}
    shared: bool = False
    optimizer: dict[str, Any] = {"name": "adam"}
    batch_size: int = 32
    minibatch_size: int | None = None
    weighted: bool = False
    memory: int | None = None  # size of the memory that batches are drawn from; None: one memory per batch
    epsilon: float = 0.0  # of the policy
    sync: int = 10  # updates between copies to the target network
    seed: int = 0

    def networks(self, dtype):
        """Builds the online and the target network, which are one if shared."""
        space = Box(-1, 1, self.obs) if self.space is None else self.space
        value = create("value", self.value)

        def network(name):
            generator = torch_generator(self.seed, name)
            made = create("network", self.network, space, self.num_actions, value.num_outputs, generator)
            return (value.adapt(made, generator) if isinstance(value, AdaptsNetwork) else made).to(dtype)

        online, target = network("online"), network("target")
        return online, online if self.shared else target

    def build(self, name, dtype):
        """Builds an engine; engines of one composition start with the same weights."""
        online, target = self.networks(dtype)
        parts = [create("value", self.value), create("bootstrap", self.bootstrap)]
        parts.append(create("optimizer", self.optimizer))
        return create("engine", {"name": name}, online, target, *parts, CPU)

    def observe(self, size, rng):
        """Draws observations."""
        if self.space is None:
            return rng.normal(size=(size, *self.obs))
        self.space.seed(int(rng.integers(2**31)))
        return np.stack([self.space.sample() for _ in range(size)])

    def draw(self, size, rng, array):
        """Draws transitions whose numbers are exact in either dtype."""
        made = Transition(
            obs=self.observe(size, rng),
            action=rng.integers(self.num_actions, size=size),
            reward=rng.normal(size=size),
            next_obs=self.observe(size, rng),
            discount=np.where(rng.random(size) < 0.2, 0, 0.9),
        )
        return Transition(*(f.astype(np.float32).astype(array) if f.dtype == np.float64 else f for f in made))

    def batches(self, dtype, number=100):
        """Yields batches, and the noise of their updates."""
        rng, array, size = np.random.default_rng(self.seed), ARRAY[dtype], self.batch_size
        source = noise_source(self.networks(dtype)[0])
        memory = None if self.memory is None else self.draw(self.memory, rng, array)
        for _ in range(number):
            weights = rng.uniform(0.2, 1, size).astype(np.float32).astype(array) if self.weighted else None
            if memory is None:
                batch = Batch(self.draw(size, rng, array), weights, np.arange(size))
            else:
                rows = rng.integers(self.memory, size=size)
                batch = Batch(memory, weights, rows, rows)
            order, step = rng.permutation(size), self.minibatch_size
            own = [source and source.draw_noise(rng, size, purpose) for purpose in ("online", "selector", "target")]
            yield batch, Noise(step and [order[i : i + step] for i in range(0, size, step)], *own)

    def follow(self, engine, number):
        """Copies the online to the target network every `sync` updates."""
        if number % self.sync == 0 and not self.shared:
            engine.target.load_state_dict(engine.online.state_dict())

    def learn(self, engine, dtype):
        """Trains an engine on all batches; returns its updates."""
        updates = []
        for number, (batch, noise) in enumerate(self.batches(dtype)):
            updates.append(engine.update(batch, noise, epsilon=self.epsilon))
            self.follow(engine, number)
        return updates

    def learn_steadily(self, dtype):
        """Returns two torch engines after all batches, and the first one's updates, if rounding errors stay small.

        They grow if steps oscillate about a minimum, or if Adam scales up a gradient that is only rounding:
        then two correct computations end far apart. So the second engine starts from weights that are rounded
        differently, and examples are discarded in which the two end far apart.
        """
        engine, other = self.build("torch", dtype), self.build("torch", dtype)
        jitter(other, torch.finfo(dtype).eps / 2)
        updates, others = self.learn(engine, dtype), self.learn(other, dtype)
        apart = max(abs(one.loss - another.loss) for one, another in zip(updates, others, strict=True))
        assume(max(apart, distance(other.online, engine.online)) < {torch.float32: 2e-6, torch.float64: 1e-12}[dtype])
        return engine, other, updates


def flat(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).numpy().copy()


def distance(one, other):
    """Returns the largest difference of two networks' weights, over the second one's largest weight."""
    return np.abs(flat(one) - flat(other)).max() / np.abs(flat(other)).max()


fraction = st.floats(0, 0.95)
norm = st.none() | st.floats(0.05, 10)
largest = st.none() | st.floats(0.01, 1)
eps = st.sampled_from([1e-8, 1e-7, 1e-5, 1e-3])
betas = st.tuples(fraction, st.floats(0.5, 0.999)).map(list)


def rule(name, **fields):
    clipping = {"max_grad_value": largest, "max_grad_norm": norm}
    return st.fixed_dictionaries({"name": st.just(name), "lr": st.floats(1e-4, 1e-2), **clipping, **fields})


optimizers = st.one_of(
    rule("adam", betas=betas, eps=eps),
    rule("adamw", betas=betas, eps=eps, weight_decay=st.floats(0, 0.1)),
    rule("keras_adam", betas=betas, eps=eps),
    rule("rmsprop", alpha=st.floats(0.5, 0.999), momentum=fraction, eps=eps),
    rule("nadam", betas=betas, eps=eps, momentum_decay=st.floats(0, 0.1)),
    rule("radam", betas=betas, eps=eps),
    rule("rmsprop_centered", decay=st.floats(0.5, 0.999), eps=st.sampled_from([1e-5, 1e-3, 1e-2])),
    rule("sgd", momentum=fraction),
    rule("sgd", momentum=st.floats(0.1, 0.95), nesterov=st.just(True)),
)
networks = st.fixed_dictionaries({
    "name": st.just("mlp"),
    "hidden": st.lists(st.integers(1, 40), min_size=1, max_size=3),
    "activation": st.sampled_from(["relu", "tanh"]),
    "layer_norm": st.booleans(),
    "dueling": st.booleans(),
    "noisy": st.booleans(),
    "noisy_layers": st.sampled_from(["all", "head"]),
    "init": st.sampled_from(["fan_in_uniform", "glorot_uniform"]),
})  # fmt: skip
bootstraps = st.sampled_from([{"name": name} for name in ("max", "double", "expected_sarsa")]) | st.fixed_dictionaries({
    "name": st.just("munchausen"),
    "scale": st.floats(0, 1),
    "temperature": st.floats(0.01, 3),
    "clip": st.floats(-3, 0),
})  # fmt: skip
kappa, count = st.floats(0.1, 3), st.integers(1, 12)


def value(name, **fields):
    return st.fixed_dictionaries({"name": st.just(name), **fields})


values = st.one_of(
    value("expected", loss=st.sampled_from(["squared", "huber"]), kappa=kappa, all_actions=st.booleans()),
    value("categorical", num_atoms=st.integers(2, 55), v_min=st.floats(-5, -0.5), v_max=st.floats(0.5, 5)),
    value("quantile", num_quantiles=st.integers(1, 20), kappa=kappa),
    value(
        "implicit_quantile", num_quantiles=count, num_target_quantiles=count, num_policy_quantiles=count,
        num_cosines=st.integers(1, 40), kappa=kappa,
    ),
)  # fmt: skip


@st.composite
def compositions(draw):
    batch_size = draw(st.integers(1, 70))
    return Composition(
        obs=(draw(st.integers(1, 20)),),
        num_actions=draw(st.integers(1, 7)),
        network=draw(networks),
        value=draw(values),
        bootstrap=draw(bootstraps),
        shared=draw(st.booleans()),
        optimizer=draw(optimizers),
        batch_size=batch_size,
        minibatch_size=draw(st.none() | st.integers(-(-batch_size // 4), batch_size)),
        weighted=draw(st.booleans()),
        memory=draw(st.none() | st.integers(1, 200)),
        epsilon=draw(st.floats(0, 1)),
        sync=draw(st.integers(1, 40)),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def jitter(engine, eps, seed=0):
    """Changes each of an engine's weights by 0 or ±`eps` times the largest."""
    generator = torch.Generator().manual_seed(seed)
    largest = max(parameter.abs().max().item() for parameter in engine.parameters[0])
    for parameter in engine.parameters[0]:
        parameter.data += eps * largest * torch.randint(-1, 2, parameter.shape, generator=generator)
