"""`inspect` agrees with numbers worked by hand on a chain of three states and on small networks."""

from dataclasses import replace
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import nn

from dqn_lab import insight
from dqn_lab.analysis.figures.style import WIDE
from dqn_lab.analysis.inspect import figures
from dqn_lab.analysis.inspect.material import Features, Walk
from dqn_lab.analysis.inspect.page import _sentence, over_estimation
from dqn_lab.build import build


class Chain(gymnasium.Env):
    """States 0, 1, 2 in a row; action 1 advances, action 0 stays. Leaving state 2 earns 4 and ends; a step costs 1."""

    def __init__(self):
        self.observation_space, self.action_space = Discrete(3), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 0
        return self.state, {}

    def step(self, action):
        if action and self.state == 2:
            return 2, 4.0, True, False, {}
        self.state += int(action)
        return self.state, -1.0, False, False, {}


gymnasium.register("Chain-v0", Chain)
TABLE = ("env.id=Chain-v0", "network=table", "buffer=none", "target=none", "optimizer=sgd", "discount=0.5")


def see(experiment, seeds, *, label="", task="", policy=""):
    walks = insight.play_walks(experiment, seeds)
    return insight.look_into(experiment, label=label, task=task, policy=policy, step=0, walks=walks)


def look(configure, weights, *overrides):
    experiment = build(configure(*TABLE, *overrides))
    with torch.no_grad():
        experiment.agent.engine.online.weight[:] = torch.tensor(weights)
    return see(experiment, [0, 1], label="chain", task="Chain-v0", policy="final")


def test_a_chain_of_three_states(configure):
    """G = −1 − ½ + ¼ · 4, then −1 + ½ · 4, then 4; Q-values of 0.5, 2, 3 along the way."""
    found = look(configure, [[0.0, 0.5], [1.0, 2.0], [0.0, 3.0]])
    walk = found.walk
    assert walk.obs.tolist() == [0, 1, 2, 2]
    assert walk.actions.tolist() == [1, 1, 1]
    assert walk.rewards.tolist() == [-1, -1, 4]
    assert walk.actual_return.tolist() == [-0.5, 1.0, 4.0, 0.0]
    assert walk.bootstrapped_return.tolist() == walk.actual_return.tolist()
    assert walk.q_values.tolist() == [[0, 0.5], [1, 2], [0, 3], [0, 3]]
    assert over_estimation(found) == pytest.approx((1.0 + 1.0 - 1.0) / 3)
    assert found.counts.tolist() == [0, 6]
    assert found.returns.tolist() == [2, 2]
    assert found.features is None
    assert (list(found.planes), list(found.distributions), list(found.charts)) == ([], [], [])


def test_a_truncated_return_is_completed_by_the_last_states_value(configure):
    """A policy that stays: −1 − ½ within two steps, and a quarter of Q after them."""
    walk = look(configure, [[8.0, 0.0], [0.0, 0.0], [0.0, 0.0]], "env.max_episode_steps=2").walk
    assert walk.truncated
    assert walk.actual_return.tolist() == [-1.5, -1.0, 0.0]
    assert walk.bootstrapped_return.tolist() == [-1.5 + 8 / 4, -1.0 + 8 / 2, 8.0]


def test_values_are_compared_with_the_rewards_learned_from_and_returns_are_before_clipping(configure):
    found = look(configure, [[0.0, 1]] * 3, "train.max_reward=0.5")
    assert found.walk.rewards.tolist() == [-1, -1, 4]
    assert found.walk.learned.tolist() == [-0.5, -0.5, 0.5]
    assert found.walk.actual_return.tolist() == [-0.5 - 0.25 + 0.125, -0.5 + 0.25, 0.5, 0.0]
    assert found.returns.tolist() == [2, 2]


def test_effective_rank_and_dormant_units_by_hand():
    """Singular values 8, 4: the second takes the sum past 0.99. Mean sizes 4, 2, 0, 0: half the units are dormant."""
    values = np.zeros((2, 4))
    values[0, 0], values[1, 1] = 8, 4
    assert Features(values=values).effective_rank() == 2
    assert Features(values=values).dormant() == 0.5
    assert Features(values=np.outer([1, 2, 3], [1, 1])).effective_rank() == 1
    small = np.array([[1.0, 1.0, 1.0, 0.018]])
    assert Features(values=small).dormant() == 0.25
    assert Features(values=small).dormant(0.02) == 0.0


def test_features_are_what_the_last_linear_layer_is_given():
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    obs = np.ones((5, 2), np.float32)
    expected = network[:2](torch.from_numpy(obs)).detach().numpy()
    assert np.allclose(insight.last_features(network, obs).values, expected)
    assert not network[0]._forward_pre_hooks


@pytest.mark.parametrize("value", ["categorical", "quantile", "implicit_quantile"])
def test_a_distributions_mean_is_the_q_value(configure, value):
    experiment = build(configure(f"value={value}"))
    found = see(experiment, [3])
    assert len(found.distributions) == 3
    for one in found.distributions:
        assert np.allclose(one.masses.sum(1), 1, atol=1e-5)
        assert np.all(np.diff(one.values, axis=1) >= 0)
        means = (one.values * one.masses).sum(1)
        assert np.allclose(means, found.walk.q_values[one.step], atol=1e-4)
    assert found.features.values.shape[1] == 24


def test_a_plane_holds_the_other_dimensions_and_has_the_networks_values(configure):
    experiment = build(configure())
    walks = insight.play_walks(experiment, [1])
    region = insight.find_region(experiment, walks, 0)
    found = insight.look_into(experiment, label="", task="", policy="", step=0, walks=walks,
                              pairs=[(2, 3)], region=region)  # fmt: skip
    (plane,) = found.planes
    point = plane.held.copy()
    point[2], point[3] = plane.x[7], plane.y[50]
    expected = experiment.agent.greedy(point[None].astype(np.float32))[0]
    assert np.allclose(plane.q_values[50, 7], expected, atol=1e-5)
    assert np.allclose(plane.held, np.median(found.walk.obs, axis=0))
    assert plane.x[0] < -0.1 < 0.1 < plane.x[-1]  # as far as a pole falls


def test_a_plane_ends_where_the_states_do(configure):
    experiment = build(configure("env=mountain_car"))
    low, high = insight.find_region(experiment, insight.play_walks(experiment, [1]), 0)
    assert low.min() >= -1.2
    assert high[0] <= 0.6
    assert -0.07 <= low[1] < high[1] <= 0.07 + 1e-6


@pytest.mark.parametrize(
    ("env", "charts", "states"), [("frozen_lake", 1, 11), ("cliff_walking", 1, 37), ("taxi", 8, 25)]
)
def test_tables_have_the_environments_own_map(configure, env, charts, states):
    experiment = build(configure(f"env={env}", "network=table"))
    with torch.no_grad():
        experiment.agent.engine.online.weight[:, 1] = 1.0
    found = see(experiment, [0])
    assert len(found.charts) == charts
    for chart in found.charts:
        assert chart.actions.tolist() == [1] * states
        height, width, _ = chart.picture.shape
        assert ((chart.places > 0) & (chart.places < (width, height))).all()


class TaxiEnv(Chain):
    """A user's own, with the name of one of Gymnasium's."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}

    def __init__(self, render_mode=None):
        super().__init__()
        self.render_mode = render_mode
        self.action_space = Discrete(6)

    def step(self, action):
        return super().step(min(action, 1))

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


gymnasium.register("OwnTaxi-v0", TaxiEnv, max_episode_steps=9)


def test_an_environment_with_the_name_of_gymnasiums_has_neither_its_map_nor_its_names(configure):
    experiment = build(configure(*TABLE, "env.id=OwnTaxi-v0"))
    found = see(experiment, [0])
    assert (list(found.charts), found.action_names) == ([], tuple(f"action {i}" for i in range(6)))


def test_dimensions_are_chosen_by_name_or_number(configure):
    experiment = build(configure())
    assert insight.choose_pairs(experiment, []) == [(2, 3)]
    assert insight.choose_pairs(experiment, ["pole_velocity", "0"]) == [(3, 0)]
    assert len(insight.choose_pairs(experiment, ["all"])) == 6
    for asked, problem in {
        ("9", "0"): "no such dimension",
        ("0",): "two different",
        ("1", "1"): "two different",
    }.items():
        with pytest.raises(ValueError, match=problem):
            insight.choose_pairs(experiment, asked)
    with pytest.raises(ValueError, match="--dims: needs two continuous dimensions"):
        insight.choose_pairs(build(configure(*TABLE)), ["0", "1"])


def test_a_walks_return_is_the_discounted_sum():
    walk = Walk(seed=0, obs=np.zeros((3, 1)), q_values=np.zeros((3, 2)), actions=np.zeros(2, int),
                rewards=np.array([1.0, 2.0]), discount=0.9, truncated=False)  # fmt: skip
    assert walk.actual_return == pytest.approx([1 + 0.9 * 2, 2.0, 0.0])


def test_the_page_says_that_rewards_are_clipped(configure):
    walk = insight._Look(build(configure(*TABLE, "train.max_reward=0.5"))).walk(0)
    assert np.abs(walk.learned).max() == walk.clipped == 0.5
    assert _sentence(SimpleNamespace(label="final", walk=walk)).endswith("Rewards are clipped to ±0.5, as in training.")
    assert "clipped" not in _sentence(SimpleNamespace(label="final", walk=replace(walk, clipped=None)))


class Furnace(gymnasium.Env):
    """Observes one of three modes, and two temperatures."""

    def __init__(self):
        self.observation_space = Dict({"mode": Discrete(3), "temp": Box(-5, 5, (2,), np.float32)})
        self.action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.modes = iter([2, 1, 2, 0, 1])
        return self.observe(), {}

    def step(self, action):
        return self.observe(), 1.0, False, False, {}

    def observe(self):
        return {"mode": next(self.modes), "temp": np.zeros(2, np.float32)}


gymnasium.register("Furnace-v0", Furnace, max_episode_steps=4)


def test_planes_are_over_continuous_numbers_alone_and_hold_a_state_that_exists(configure, monkeypatch):
    """One-hot inputs as axes, or held at their medians, would be states that cannot occur."""
    monkeypatch.setattr(insight, "RANDOM_STEPS", 4)
    experiment = build(configure("env.id=Furnace-v0"))
    assert insight.choose_pairs(experiment, []) == [(3, 4)]
    assert insight.choose_pairs(experiment, ["all"]) == [(3, 4)]
    with pytest.raises(ValueError, match=r"--dims mode\[0\]: is a state, .*; choices: 3 or temp\[0\], 4 or temp\[1\]"):
        insight.choose_pairs(experiment, ["mode[0]", "temp[0]"])
    walks = insight.play_walks(experiment, [1])
    region = insight.find_region(experiment, walks, 0)
    found = insight.look_into(experiment, label="", task="", policy="", step=0, walks=walks,
                              pairs=[(3, 4)], region=region)  # fmt: skip
    assert found.planes[0].held.tolist() == [0, 0, 1, 0, 0]  # modes 2, 1, 2, 0, 1: one of the most frequent


def test_all_states_are_listed_if_there_are_few(configure):
    listed = look(configure, [[0.0, 0.5], [1.0, 2.0], [0.0, 3.0]]).states
    assert listed.names == ("state",)
    assert listed.states.tolist() == [[0], [1], [2]]
    assert listed.q_values.tolist() == [[0, 0.5], [1, 2], [0, 3]]
    assert see(build(configure()), [0]).states is None


def test_lines_of_equal_values_are_told_apart(configure):
    """The second action's line covers the first one's and is dashed; nothing is drawn after the episode's end."""
    found = look(configure, [[0.5, 0.5], [2.0, 2.0], [2.999, 3.0]])
    figure = figures.q_values(found, WIDE, (0.0, 4.0))
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert lines["action 0"].get_linestyle() == "-"
    assert lines["action 1"].get_linestyle() == "--"
    assert all(len(line.get_xdata()) == len(found.walk.actions) for line in lines.values())
