"""Trains DQN on the reference work entirely in JAX, with many seeds in one call, as PureJaxRL does.

The algorithm is reimplemented after PureJaxRL's design (Lu et al. 2022, https://github.com/luchris429/purejaxrl): the
environment is a JAX function, the loop a `lax.scan`, and 32 seeds are `vmap`ped over it. The work per seed and
step is that of `speed.py`: one step of CartPole, one stored transition, one batch of 64 out of 50,000, one
Adam update of a 4-24-24-2 network, a target copy every 500 steps. It prints the time per seed and step, excluding
compilation, for `speed.py --peer`.

    pip install jax; taskset -c 1 python tests/benchmarks/jax_dqn.py [STEPS] [SEEDS]
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import functools
import itertools
import math
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

WARM_UP = 1_000
CAPACITY, BATCH_SIZE, COPY_EVERY, LEARNING_STARTS = 50_000, 64, 500, 64
EPSILON, DISCOUNT, LR, BETA_1, BETA_2, EPS = 0.05, 0.99, 1e-3, 0.9, 0.999, 1e-8
WIDTHS = 4, 24, 24, 2
FAR, STEEP, LIMIT = 2.4, 12 * 2 * math.pi / 360, 500  # where an episode ends


class State(NamedTuple):
    """The state that a step changes."""

    key: jax.Array
    step: jax.Array
    obs: jax.Array  # [4]
    elapsed: jax.Array
    memory: tuple  # obs [C, 4], action [C], next_obs [C, 4], discount [C]; every reward is 1
    online: list
    target: list
    moments: tuple
    episodes: jax.Array


def reset(key):
    """Draws a first state."""
    return jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)


def move(obs, action):
    """Computes CartPole-v1's next state, and whether the pole has fallen or the cart left its track."""
    _, x_dot, theta, theta_dot = obs
    force, sine, cosine = jnp.where(action == 1, 10.0, -10.0), jnp.sin(theta), jnp.cos(theta)
    push = (force + 0.05 * theta_dot**2 * sine) / 1.1
    angular = (9.8 * sine - cosine * push) / (0.5 * (4.0 / 3.0 - 0.1 * cosine**2 / 1.1))
    linear = push - 0.05 * angular * cosine / 1.1
    following = obs + 0.02 * jnp.stack([x_dot, linear, theta_dot, angular])
    return following, (jnp.abs(following[0]) > FAR) | (jnp.abs(following[2]) > STEEP)


def q_values(network, obs):
    """Computes Q-values [..., 2]."""
    for number, (weight, bias) in enumerate(network):
        obs = obs @ weight + bias
        if number < len(network) - 1:
            obs = jax.nn.relu(obs)
    return obs


def loss(online, target, batch):
    """Computes the mean squared TD error of a batch."""
    obs, action, next_obs, discount = batch
    goal = 1.0 + discount * q_values(target, next_obs).max(-1)
    chosen = jnp.take_along_axis(q_values(online, obs), action[:, None], -1)[:, 0]
    return jnp.mean((chosen - goal) ** 2)


def adam(network, gradient, moments, count):
    """Takes a step of Adam; returns the network and the moments."""
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, moments[0], gradient)
    second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, moments[1], gradient)
    one, two = 1 - BETA_1**count, 1 - BETA_2**count
    network = jax.tree.map(lambda p, m, v: p - LR * (m / one) / (jnp.sqrt(v / two) + EPS), network, first, second)
    return network, (first, second)


def begin(key):
    """Returns the state before the first step."""
    key, *keys = jax.random.split(key, 2 + len(WIDTHS))
    network = []
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(WIDTHS)):
        bound = 1 / math.sqrt(fan_in)
        weights, biases = jax.random.split(keys[number])
        network.append((
            jax.random.uniform(weights, (fan_in, fan_out), minval=-bound, maxval=bound),
            jax.random.uniform(biases, (fan_out,), minval=-bound, maxval=bound),
        ))  # fmt: skip
    memory = jnp.zeros((CAPACITY, 4)), jnp.zeros(CAPACITY, jnp.int32), jnp.zeros((CAPACITY, 4)), jnp.zeros(CAPACITY)
    counts = [jnp.zeros((), jnp.int32) for _ in range(3)]
    target = jax.tree.map(jnp.copy, network)  # donated arrays must differ
    moments = jax.tree.map(jnp.zeros_like, network), jax.tree.map(jnp.zeros_like, network)
    return State(key, counts[0], reset(keys[-1]), counts[1], memory, network, target, moments, counts[2])


def advance(state, _):
    """Explores, steps, stores, samples, learns and updates the target: one step of one seed."""
    key, explore, choose, draw, start = jax.random.split(state.key, 5)
    greedy = q_values(state.online, state.obs).argmax()
    action = jnp.where(jax.random.uniform(explore) < EPSILON, jax.random.randint(choose, (), 0, 2), greedy)
    next_obs, terminated = move(state.obs, action)
    ended = terminated | (state.elapsed + 1 >= LIMIT)
    row = state.step % CAPACITY
    transition = state.obs, action.astype(jnp.int32), next_obs, jnp.where(terminated, 0.0, DISCOUNT)
    memory = jax.tree.map(lambda column, value: column.at[row].set(value), state.memory, transition)
    step = state.step + 1

    rows = jax.random.randint(draw, (BATCH_SIZE,), 0, jnp.minimum(step, CAPACITY))
    gradient = jax.grad(loss)(state.online, state.target, jax.tree.map(lambda column: column[rows], memory))
    count = jnp.maximum(step - LEARNING_STARTS + 1, 1).astype(jnp.float32)
    learned = adam(state.online, gradient, state.moments, count)
    online, moments = jax.tree.map(
        lambda new, old: jnp.where(step >= LEARNING_STARTS, new, old), learned, (state.online, state.moments)
    )
    target = jax.tree.map(lambda new, old: jnp.where(step % COPY_EVERY == 0, new, old), online, state.target)
    obs = jnp.where(ended, reset(start), next_obs)
    elapsed, episodes = jnp.where(ended, 0, state.elapsed + 1), state.episodes + ended
    return State(key, step, obs, elapsed, memory, online, target, moments, episodes), None


@functools.partial(jax.jit, static_argnums=1, donate_argnums=0)
def train(states, steps):
    """Takes a number of steps with every seed."""
    return jax.lax.scan(jax.vmap(advance, in_axes=(0, None)), states, None, steps)[0]


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 6_000
    num_seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 32
    states = jax.vmap(begin)(jax.random.split(jax.random.key(0), num_seeds))
    counted = steps - WARM_UP
    compiled = train.lower(states, counted).compile()
    states = jax.block_until_ready(train(states, WARM_UP))
    started = time.perf_counter()
    states = jax.block_until_ready(compiled(states))
    seconds = time.perf_counter() - started
    mean_length = steps * num_seeds / float(states.episodes.sum())
    each = seconds / counted / num_seeds * 1e6
    print(f"jax, {num_seeds} seeds: {each:.1f} us/step; {mean_length:.0f} steps an episode")


if __name__ == "__main__":
    main()
