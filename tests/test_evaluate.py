from __future__ import annotations

import functools
import sys

import gymnasium
import numpy as np
import pytest

from dqn_lab.build import build
from dqn_lab.env.checked import Limit
from dqn_lab.evaluate import Episode, evaluate, greedy, summarize
from dqn_lab.types import TrainingError


class Corridor(gymnasium.Env):
    """An episode's length follows from its seed; it is terminated if odd, truncated if even."""

    observation_space, action_space = gymnasium.spaces.Box(0, 5, (1,)), gymnasium.spaces.Discrete(3)

    def __init__(self, log):
        self.log = log  # per episode, the seed and the actions

    def reset(self, *, seed=None, options=None):
        self.actions = []
        self.log.append((seed, self.actions))
        self.left = self.length = 1 + (seed or 0) % 5
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.actions.append(int(action))
        self.left -= 1
        over = self.left == 0
        seen = np.full(1, self.left, np.float32)
        return seen, 0.5, over and self.length % 2 == 1, over and self.length % 2 == 0, {}


def play(q_values, num_episodes=30, seed=0):
    """Returns the episodes, and the actions of each."""
    log = []
    rng = np.random.default_rng(seed)
    policy = q_values if callable(q_values) else lambda obs: np.tile(q_values, (len(obs), 1))
    episodes = list(evaluate(policy, lambda: Corridor(log), rng, num_episodes))
    played = {seed: actions for seed, actions in log if seed is not None}
    return episodes, [played[episode.seed][: episode.length] for episode in episodes]


def test_an_episode_is_scored_by_its_plain_sum_of_rewards():
    episodes, _ = play([0.0, 1.0, 0.0])
    assert [episode.length for episode in episodes] == [1 + episode.seed % 5 for episode in episodes]
    assert [episode.score for episode in episodes] == [0.5 * episode.length for episode in episodes]
    assert {episode.length for episode in episodes} == {1, 2, 3, 4, 5}


def test_the_greedy_action_is_taken():
    assert all(action == 1 for actions in play([0.0, 2.0, 1.0])[1] for action in actions)


def test_every_action_follows_from_its_own_observation():
    """The greedy action is 2 while more than two steps are left, then 1."""
    episodes, actions = play(lambda obs: np.concatenate([0 * obs, 1 + 0 * obs, obs], 1) * [1, 2.5, 1])
    for episode, taken in zip(episodes, actions, strict=True):
        seen = [0, *range(episode.length - 1, 0, -1)]
        assert taken == [2 if left > 2 else 1 for left in seen]


def test_every_episode_has_its_own_seed():
    assert len({episode.seed for episode in play([0.0, 0.0, 0.0])[0]}) == 30


def test_seeds_do_not_depend_on_the_policy():
    assert play([1.0, 1.0, 1.0])[0] == play([2.0, 1.0, 0.0])[0]


@pytest.mark.parametrize("together", [1, 3, 16, 40])
def test_an_episode_does_not_depend_on_the_others(monkeypatch, together):
    """Also if ties are broken at random."""
    alone = play([1.0, 1.0, 1.0], seed=3)
    monkeypatch.setattr(sys.modules["dqn_lab.evaluate"], "TOGETHER", together)
    assert play([1.0, 1.0, 1.0], seed=3) == alone
    assert len({tuple(actions) for actions in alone[1]}) > 5


def test_no_more_environments_are_made_than_episodes_asked_for():
    log = []
    list(evaluate(lambda obs: np.zeros((len(obs), 3)), lambda: Corridor(log), np.random.default_rng(0), 2))
    assert len({seed for seed, _ in log if seed is not None}) == 2


def test_nan_q_values_end_the_evaluation_in_one_line():
    with pytest.raises(TrainingError, match=r"are NaN .* lower optimizer\.lr"):
        play([np.nan, 1.0, 0.0])


def test_ties_are_broken_evenly_and_among_the_best_only():
    rng = np.random.default_rng(0)
    counts = np.bincount([greedy(np.array([3.0, 1.0, 3.0, 3.0]), rng) for _ in range(3000)], minlength=4)
    assert counts[1] == 0
    assert ((counts[[0, 2, 3]] - 1000) ** 2 / 1000).sum() < 13.8  # χ² with 2 degrees of freedom: p = 0.001


def test_a_summary_of_four_returns():
    """Mean 12 / 4 = 3; squared deviations 4 + 1 + 0 + 9 = 14; so the standard deviation is √(14 / 4)."""
    summary = summarize([Episode(0, score, 1) for score in (1.0, 2.0, 3.0, 6.0)])
    assert summary == {
        "return_mean": 3.0,
        "return_std": pytest.approx(3.5**0.5),
        "return_min": 1.0,
        "return_max": 6.0,
        "episodes": 4,
    }


def test_no_global_randomness_is_used(check_global_randomness):
    with check_global_randomness():
        play([1.0, 1.0])


@pytest.mark.parametrize("overrides", [
    (), ("env=acrobot",), ("env=mountain_car", "env.rescale=true"), ("env.max_episode_steps=20",),
    ("network.hidden=[1]",), ("network.dueling=true", "env.truncation_terminates=true"),
], ids=",".join)  # fmt: skip
def test_compiled_code_plays_the_same_episodes(configure, overrides):
    """Ties included: in a network of one dead unit all actions have equal values."""
    experiment = build(configure("logger=csv", "env.implementation=compiled", *overrides))
    agent = experiment.agent
    if "network.hidden=[1]" in overrides:
        agent.engine.online.load_state_dict({k: 0 * v for k, v in agent.engine.online.state_dict().items()})
    played = [
        list(evaluate(agent.greedy, experiment.make_env, np.random.default_rng(3), 37, engine))
        for engine in (None, agent.engine)
    ]
    assert played[0] == played[1]
    assert len({episode.length for episode in played[0]}) > 1 or "env" in overrides[0]


@pytest.mark.parametrize("overrides", [
    ("evaluation.max_steps=30",), ("evaluation.max_steps=30", "env.max_episode_steps=30"),
    ("evaluation.max_steps=null",),
], ids=",".join)  # fmt: skip
def test_compiled_code_warns_the_same_of_truncated_episodes(configure, caplog, overrides):
    experiment = build(configure("logger=csv", "env=mountain_car", "env.implementation=compiled", *overrides))
    agent, make_env, outcomes = experiment.agent, experiment.make_env, []
    for engine in (None, agent.engine):
        made = functools.partial(make_env.func, make_env.args[0], Limit(experiment.config["evaluation"]["max_steps"]))
        episodes = list(evaluate(agent.greedy, made, np.random.default_rng(3), 5, engine))
        outcomes.append((episodes, list(caplog.messages)))
        caplog.clear()
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][1]) == (overrides == ("evaluation.max_steps=30",))
