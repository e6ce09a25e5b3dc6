from __future__ import annotations

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dqn_lab.agent import Agent
from dqn_lab.schedule import Constant, Linear, Progress
from dqn_lab.seeding import Streams, torch_generator
from dqn_lab.types import Batch, NetworkNoise, TrainingError, Transition, Update

SETTINGS = {
    "optimizer": SimpleNamespace(lr=Constant(1e-3)),
    "batch_size": 8,
    "minibatch_size": None,
    "learning_starts": 1,
    "interval": 1,
    "num_updates": 1,
}


class FakeEngine:
    def __init__(self, events, loss=0.5):
        self.online, self.target = nn.Linear(2, 2), nn.Linear(2, 2)
        self.bootstrap = None
        self.parameters = ["the online network's"], ["the target network's"]
        self.events, self.loss, self.noises, self.rates, self.epsilons = events, loss, [], [], []

    def q_values(self, obs, noise=None):
        self.noises.append(noise)
        return np.array([[0.0, 1.0]] * len(obs))

    def update(self, batch, noise, lr, epsilon):
        self.events.append("update")
        self.rates.append(lr)
        self.epsilons.append(epsilon)
        self.noises.append(noise)
        return Update(self.loss, 0.0, batch.indices * 10.0, 1 if noise.minibatches is None else len(noise.minibatches))


class FakeBuffer:
    def __init__(self, events, last=math.inf):
        self.events, self.last, self.sizes, self.priorities = events, last, [], []

    def ready(self, batch_size):
        return len(self.sizes) < self.last

    def sample(self, draws):
        assert ((draws >= 0) & (draws < 1)).all()
        self.sizes.append(len(draws))
        return Batch(Transition(*[np.ones(len(draws), np.float32)] * 5), None, np.arange(len(draws)))

    def update_priorities(self, indices, priorities):
        self.priorities.append(dict(zip(indices.tolist(), priorities.tolist(), strict=True)))


class FakeExploration:
    def __init__(self, events):
        self.events = events

    def select(self, q_values, draw, env_index, progress):
        return int(q_values().argmax())

    def end_episode(self, env_index):
        self.events.append(("end", env_index))


class FakeTarget:
    def __init__(self, events):
        self.events = events

    def follow(self, online, target, before, after):
        assert (online, target) == (["the online network's"], ["the target network's"])
        self.events.append((before, after))


def fake(loss=0.5, last=math.inf, **settings):
    """Returns an agent made of fakes, and the list of their events."""
    events = []
    engine, buffer = FakeEngine(events, loss), FakeBuffer(events, last)
    return Agent(
        engine=engine,
        buffer=buffer,
        exploration=FakeExploration(events),
        target=FakeTarget(events),
        streams=Streams(0),
        **{**SETTINGS, **settings},
    ), events


def walk(agent, num_steps):
    """Learns along an endless episode and returns the number of updates after each step."""
    progress, counts = Progress(), []
    for step in range(1, num_steps + 1):
        progress, updates = agent.learn(progress, progress._replace(step=step))
        counts.append(len(updates))
    return counts, progress


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"learning_starts": 1}, [1] * 12),
        ({"learning_starts": 5}, [0] * 4 + [1] * 8),
        ({"learning_starts": 5, "interval": 3}, [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0]),
        ({"learning_starts": 4, "interval": 4, "num_updates": 2}, [0, 0, 0, 2] * 3),
        ({"learning_starts": 0, "interval": 5, "num_updates": 3}, [0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0, 0]),
    ],
)
def test_updates_are_made_when_they_are_due(settings, expected):
    agent, _ = fake(**settings)
    counts, progress = walk(agent, 12)
    assert counts == expected
    assert progress == Progress(step=12, updates=sum(expected))
    assert agent.buffer.sizes == [8] * sum(expected)


def test_learning_stops_when_the_buffer_has_nothing_more():
    agent, _ = fake(last=2, num_updates=5)
    assert walk(agent, 3)[0] == [2, 0, 0]


def test_every_minibatch_counts_as_an_update():
    agent, _ = fake(batch_size=8, minibatch_size=3, num_updates=2)
    assert walk(agent, 1) == ([2], Progress(step=1, updates=6))


@given(batch_size=st.integers(1, 40), minibatch_size=st.integers(1, 40))
def test_minibatches_partition_the_batch(batch_size, minibatch_size):
    agent, _ = fake(minibatch_size=minibatch_size)
    minibatches = agent.draw_noise(batch_size).minibatches
    if minibatch_size >= batch_size:
        assert minibatches is None
        return
    assert sorted(np.concatenate(minibatches).tolist()) == list(range(batch_size))
    full, rest = divmod(batch_size, minibatch_size)
    assert [len(rows) for rows in minibatches] == [minibatch_size] * full + [rest] * (rest > 0)


def test_minibatches_are_reshuffled_each_time():
    agent, _ = fake(minibatch_size=4)
    orders = {tuple(np.concatenate(agent.draw_noise(8).minibatches).tolist()) for _ in range(10)}
    assert len(orders) == 10


def test_priorities_go_back_to_where_the_batch_came_from():
    agent, _ = fake(batch_size=3)
    walk(agent, 1)
    assert agent.buffer.priorities == [{0: 0.0, 1: 10.0, 2: 20.0}]


def test_the_target_follows_after_every_update():
    agent, events = fake(minibatch_size=4, num_updates=3)
    before, after = Progress(step=6, episode=1, updates=10), Progress(step=7, episode=2, updates=10)
    now, _ = agent.learn(before, after)
    kinds = "".join("u" if event == "update" else "f" for event in events)
    assert kinds.replace("ff", "f") == "ufufuf"
    strides = [event for event in events if event != "update"]
    assert [start for start, _ in strides] == [before, *[end for _, end in strides[:-1]]]
    assert strides[-1][1] == now == Progress(7, 2, 16)
    assert sorted({end.updates for _, end in strides}) == [12, 14, 16]


def test_the_target_follows_a_step_without_updates():
    agent, events = fake(learning_starts=9)
    agent.learn(Progress(3), Progress(4, 1))
    assert events == [(Progress(3), Progress(4, 1))]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_training(loss):
    agent, events = fake(loss=loss)
    with pytest.raises(TrainingError, match=rf"^the loss became {loss} in episode 3, step 70: lower optimizer\.lr"):
        agent.learn(Progress(69, 3, 5), Progress(70, 3, 5))
    assert (events, agent.buffer.priorities) == (["update"], [])


def test_a_loss_that_is_not_finite_before_any_update_is_not_blamed_on_the_learning_rate():
    agent, _ = fake(loss=math.nan)
    with pytest.raises(TrainingError, match=r"step 70: in the first update, a setting, observation or reward is"):
        agent.learn(Progress(69, 3), Progress(70, 3))


@pytest.mark.parametrize(
    ("field", "name"), [("obs", "an observation"), ("next_obs", "an observation"), ("reward", "a reward")]
)
@pytest.mark.parametrize("number", [math.nan, -math.inf])
def test_an_environment_that_returns_nan_is_named_as_the_cause(field, name, number):
    agent, _ = fake(loss=math.nan)
    sample = agent.buffer.sample

    def spoilt(draws):
        batch = sample(draws)
        column = np.full(len(draws), 1.0, np.float32)
        column[3] = number
        return Batch(batch.transition._replace(**{field: column}), None, batch.indices)

    agent.buffer.sample = spoilt
    with pytest.raises(
        TrainingError, match=rf"^the loss became nan in .*: {name} that the environment returned is not"
    ):
        agent.learn(Progress(69, 3), Progress(70, 3))


def test_the_error_names_the_episode_that_the_step_belongs_to():
    """An episode's last step belongs to it, although the episode then counts as completed."""
    agent, _ = fake(loss=math.nan)
    with pytest.raises(TrainingError, match=r"in episode 3, step 70"):
        agent.learn(Progress(69, 3, 5), Progress(70, 4, 5))


class NoisyToy(nn.Module):
    """A linear network that adds the given noise, shared and per row, and records every noise it saw."""

    def __init__(self, label, seen):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 3))
        self.label, self.seen = label, seen

    is_noisy = True

    def draw_noise(self, rng, batch_size, purpose):
        shared, rows = rng.normal(size=3), rng.normal(size=(batch_size, 3))
        return NetworkNoise(shared.astype(np.float32), rows.astype(np.float32))

    def forward(self, obs, noise=None):
        seen = None if noise is None else (tuple(noise.shared.tolist()), *map(tuple, noise.rows.tolist()))
        self.seen.append((self.label, obs.tolist(), seen))
        outputs = obs @ self.weight
        return (outputs if noise is None else outputs + noise.shared + noise.rows).unsqueeze(-1)


@pytest.fixture
def noisy(make):
    """Returns an agent with noisy networks and a real engine after one transition, and what the networks saw."""
    seen = []
    parts = [make("value", "expected"), make("bootstrap", "double"), make("optimizer", "sgd")]
    engine = make("engine", "torch", NoisyToy("online", seen), NoisyToy("target", seen), *parts, torch.device("cpu"))
    agent = Agent(
        engine=engine,
        buffer=make("buffer", "uniform", Box(-1, 1, (2,)), 0.9, 1, capacity=4),
        exploration=make("exploration", "none", 3),
        target=make("target", "periodic"),
        streams=Streams(0),
        **{**SETTINGS, "batch_size": 1},
    )
    agent.observe(np.array([1.0, 0.0]), 0, 1.0, np.array([0.0, 1.0]), False, False)
    return agent, seen


def test_online_selector_and_target_draw_their_own_noise(noisy):
    agent, seen = noisy
    agent.learn(Progress(), Progress(step=1))
    here, there = [[1.0, 0.0]], [[0.0, 1.0]]
    assert sorted(entry[:2] for entry in seen) == [("online", there), ("online", here), ("target", there)]
    assert None not in {noise for *_, noise in seen}
    assert len({noise for *_, noise in seen}) == 3


def test_noise_is_fresh_in_every_update_and_every_action_and_off_in_evaluation(noisy):
    agent, seen = noisy
    for step in range(3):
        agent.learn(Progress(step), Progress(step + 1))
        agent.act(np.zeros(2, np.float32), Progress(step + 1))
    assert len(seen) == len({noise for *_, noise in seen}) == 12
    agent.greedy(np.zeros((2, 2), np.float32))
    assert seen[-1] == ("online", [[0.0, 0.0]] * 2, None)


def real(make, seed=0, engine="torch"):
    space = Box(-1, 1, (2,))
    networks = [make("network", "mlp", space, 2, 1, torch_generator(seed, name), hidden=[8]) for name in "ab"]
    parts = [make("value", "expected"), make("bootstrap", "max"), make("optimizer", "adam")]
    return Agent(
        engine=make("engine", engine, *networks, *parts, torch.device("cpu")),
        buffer=make("buffer", "uniform", space, 0.9, 1, capacity=20, n_step=3),
        exploration=make("exploration", "constant", 2, epsilon=0.5),
        target=make("target", "polyak"),
        streams=Streams(seed),
        **{**SETTINGS, "batch_size": 4, "minibatch_size": 3},
    )


def live(agent, start, num_steps):
    """Acts and learns on synthetic observations; returns the progress, all actions and all updates."""
    progress, seen = start, []
    for step in range(start.step, start.step + num_steps):
        obs = np.array([math.sin(step), math.cos(step)], np.float32)
        action = agent.act(obs, progress)
        agent.observe(obs, action, float(step % 3), obs[::-1], step % 7 == 0, False)
        progress, updates = agent.learn(progress, progress._replace(step=step + 1))
        seen.append((action, [(update.loss, update.q_value) for update in updates]))
    return progress, seen


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("num_steps", [0, 31, 90])
def test_an_agent_continues_from_its_saved_state(make, engine, num_steps):
    """Saved before any batch is drawn, within a block of random numbers, and within the next block."""
    agent, other = (real(make, seed, engine) for seed in (1, 1))
    progress, _ = live(agent, Progress(), num_steps)
    other.load_state_dict(pickle.loads(pickle.dumps(agent.state_dict())))
    assert live(other, progress, 50) == live(agent, progress, 50)


def test_a_saved_state_does_not_change_with_the_agent(make):
    agent, late, early = (real(make, seed=1) for _ in range(3))
    progress, _ = live(agent, Progress(), 31)
    state = agent.state_dict()
    early.load_state_dict(pickle.loads(pickle.dumps(state)))
    draws = state["draws"].copy()
    live(agent, progress, 5)
    np.testing.assert_array_equal(state["draws"], draws)
    late.load_state_dict({**state, "engine": early.engine.state_dict()})  # the torch engine's state is not a copy
    np.testing.assert_array_equal(late.state_dict()["draws"], early.state_dict()["draws"])


def test_no_random_number_is_used_for_two_batches():
    agent, _ = fake(num_updates=5)
    seen = []
    sample = agent.buffer.sample
    agent.buffer.sample = lambda draws: (seen.extend(draws.tolist()), sample(draws))[1]
    walk(agent, 40)
    assert len(seen) == len(set(seen)) == 40 * 5 * 8


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_an_agent_uses_no_global_randomness(make, check_global_randomness, engine):
    with check_global_randomness():
        live(real(make, engine=engine), Progress(), 20)


def test_the_learning_rate_follows_its_schedule():
    agent, _ = fake(optimizer=SimpleNamespace(lr=Linear(1.0, 0.0, 4, "steps")))
    progress = Progress()
    for _ in range(5):
        progress, _ = agent.learn(progress, progress._replace(step=progress.step + 1))
    assert agent.engine.rates == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_an_update_gets_the_epsilon_of_its_step():
    agent, _ = fake(num_updates=2)
    agent.epsilon = Linear(1.0, 0.0, 4, "steps")
    progress = Progress()
    for _ in range(3):
        progress, _ = agent.learn(progress, progress._replace(step=progress.step + 1))
    assert agent.engine.epsilons == [1.0, 1.0, 0.75, 0.75, 0.5, 0.5]


def test_epsilon_is_zero_unless_an_update_uses_it():
    agent, _ = fake()
    agent.learn(Progress(), Progress(step=1))
    assert agent.engine.epsilons == [0.0]


@pytest.mark.parametrize(("bootstrap", "exploration", "epsilon"), [
    ("expected_sarsa", "constant", 0.1), ("max", "constant", None), ("expected_sarsa", "boltzmann", None),
])  # fmt: skip
def test_the_policys_epsilon_goes_to_a_bootstrap_that_uses_it(make, bootstrap, exploration, epsilon):
    agent, _ = fake()
    agent.engine.bootstrap, exploration = make("bootstrap", bootstrap), make("exploration", exploration, 2)
    agent = Agent(engine=agent.engine, buffer=agent.buffer, exploration=exploration, target=agent.target,
                  streams=Streams(0), **SETTINGS)  # fmt: skip
    assert (agent.epsilon and agent.epsilon(Progress())) == epsilon


@pytest.mark.parametrize(("terminated", "truncated", "told"), [
    (True, False, [("end", 2)]), (False, True, [("end", 2)]), (False, False, []),
])  # fmt: skip
def test_the_exploration_is_told_of_an_episodes_end(terminated, truncated, told):
    agent, events = fake()
    agent.buffer.append = lambda *step: None
    agent.observe("obs", 1, 0.0, "next obs", terminated, truncated, env_index=2)
    assert events == told


def test_stored_rewards_are_clipped():
    """They are clipped at both ends, and their sign is kept."""
    agent, _ = fake(max_reward=1.0)
    stored = []
    agent.buffer.append = lambda *step: stored.append(step)
    for reward in (7.0, 0.5, -0.25, -400.0):
        agent.observe("obs", 1, reward, "next obs", False, True)
    assert stored == [(0, "obs", 1, reward, "next obs", False, True) for reward in (1.0, 0.5, -0.25, -1.0)]
