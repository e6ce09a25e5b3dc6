from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from dqn_lab.evaluate import Episode, evaluate, greedy, summarize


class Corridor(gymnasium.Env):
    """Ends after as many steps as its seed asks for: by itself where that is odd, by a time limit where even."""

    def __init__(self):
        self.seeds, self.actions = [], []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        self.left = self.length = 1 + seed % 5
        return np.zeros(1), {}

    def step(self, action):
        assert self.left > 0
        self.actions.append(action)
        self.left -= 1
        over = self.left == 0
        return np.zeros(1), 0.5, over and self.length % 2 == 1, over and self.length % 2 == 0, {}


def play(q_values, num_episodes=30, seed=0):
    env = Corridor()
    return list(evaluate(lambda obs: np.array(q_values), env, np.random.default_rng(seed), num_episodes)), env


def test_an_episode_is_scored_by_its_plain_sum_of_rewards():
    episodes, env = play([0.0, 1.0])
    assert [episode.seed for episode in episodes] == env.seeds
    assert [episode.length for episode in episodes] == [1 + seed % 5 for seed in env.seeds]
    assert [episode.score for episode in episodes] == [0.5 * episode.length for episode in episodes]
    assert {episode.length for episode in episodes} == {1, 2, 3, 4, 5}


def test_the_greedy_action_is_taken():
    assert set(play([0.0, 2.0, 1.0])[1].actions) == {1}


def test_every_episode_has_a_seed_of_its_own():
    assert len(set(play([0.0])[1].seeds)) == 30


def test_seeds_do_not_depend_on_the_policy():
    assert play([1.0, 1.0, 1.0])[1].seeds == play([0.0, 1.0, 0.0])[1].seeds


def test_the_same_generator_gives_the_same_episodes():
    assert play([1.0, 1.0], seed=3)[1].actions == play([1.0, 1.0], seed=3)[1].actions


def test_episodes_come_one_at_a_time():
    env = Corridor()
    next(evaluate(lambda obs: np.zeros(2), env, np.random.default_rng(0), 5))
    assert len(env.seeds) == 1


def test_ties_are_broken_evenly_and_among_the_best_only():
    rng = np.random.default_rng(0)
    counts = np.bincount([greedy(np.array([3.0, 1.0, 3.0, 3.0]), rng) for _ in range(3000)], minlength=4)
    assert counts[1] == 0
    assert ((counts[[0, 2, 3]] - 1000) ** 2 / 1000).sum() < 13.8  # χ² with 2 degrees of freedom: 1 in 1000


def test_a_summary_of_four_returns():
    """Mean 12 / 4 = 3; squared deviations 4 + 1 + 0 + 9 = 14, so √(14 / 4) of the population."""
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
