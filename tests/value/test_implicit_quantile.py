from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, tensor

from dqn_lab.build import build
from dqn_lab.checkpoint import load_policy, save_policy
from dqn_lab.cli._quiet import Quiet
from dqn_lab.run import Run
from dqn_lab.seeding import torch_generator
from dqn_lab.types import Bootstrapped, ConfigError, NetworkNoise, Transition
from dqn_lab.value._fractions import FractionNetwork, cosines
from dqn_lab.value.quantile import midpoints

SMALL = ("logger=csv", "episodes=null", "steps=80", "evaluation.interval=null", "evaluation.final_num_episodes=2",
         "network.hidden=[8]", "value=implicit_quantile", "train.batch_size=16")  # fmt: skip


class Plain(nn.Module):
    """A network with the features x and 2x, and their sum and difference as outputs of two actions."""

    num_features = 2

    def features(self, obs, noise=None):
        return torch.cat([obs, 2 * obs], 1)

    def head(self, features, noise):
        return torch.stack([features.sum(-1), features[..., 0] - features[..., 1]], -1).unsqueeze(-1)


@pytest.fixture
def quantiles(make):
    """Builds an MLP that takes fractions, in float64."""

    def network(seed=0, **configuration):
        inner = make(
            "network", "mlp", Box(-1, 1, (3,)), 2, 1, torch_generator(seed, "network"), hidden=[4], activation="tanh",
            **configuration,
        )  # fmt: skip
        value = make("value", "implicit_quantile", num_quantiles=3, num_target_quantiles=4, num_policy_quantiles=5)
        return value.adapt(inner, torch_generator(seed, "embedding")).double()

    return network


def draw(network, batch_size=2, purpose="online", seed=0):
    noise = network.draw_noise(np.random.default_rng(seed), batch_size, purpose)
    return NetworkNoise(*(None if part is None else torch.from_numpy(part) for part in noise))


OBS = torch.rand(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_cosines_begin_at_index_zero():
    expected = [[1, 1, 1, 1], [1, 0, -1, 0], [1, -1, 1, -1]]
    torch.testing.assert_close(cosines(tensor([0, 0.5, 1]), 4), tensor(expected, dtype=torch.float32))
    assert cosines(tensor([[0.25]]), 2)[0, 0, 1].item() == pytest.approx(math.sqrt(0.5))
    assert cosines(torch.zeros(1, 3, device="meta"), 4).device.type == "meta"


def test_quantiles_by_hand():
    """φ = relu(cos 0 + 2 cos π τ, −1): (3, 0) at τ = 0, (1, 0) at ½; with bias (0, 3): (3, 2) and (1, 2).

    At 1 the features 1 and 2 become 3 and 4, or 1 and 4: sums 7 and 5, differences −1 and −3; at 10 ten times that.
    """
    network = FractionNetwork(Plain(), {"online": 2}, 2, 2, torch_generator(0, "embedding"))
    network.embedding.weight.data = tensor([[1.0, 2.0], [-1.0, 0.0]])
    network.embedding.bias.data = tensor([0.0, 3.0])
    outputs = network(tensor([[1.0], [10.0]]), NetworkNoise(rows=tensor([[0.0, 0.5], [0.5, 0.0]])))
    expected = tensor([[[7.0, 5.0], [-1.0, -3.0]], [[50.0, 70.0], [-30.0, -10.0]]])
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-4)


def test_the_embedding_is_rectified():
    network = FractionNetwork(Plain(), {}, 3, 2, torch_generator(0, "embedding"))
    network.embedding.weight.data = tensor([[-1.0, 0.0], [-1.0, 0.0]])
    network.embedding.bias.data.zero_()
    assert not network(tensor([[1.0]])).any()


def test_the_embedding_is_drawn_within_its_bounds_from_its_own_generator(quantiles):
    """±1/√n with n = 64, weights and biases alike."""
    drawn, again, other = (quantiles(seed).embedding for seed in (0, 0, 1))
    for name in ("weight", "bias"):
        one, same, another = (getattr(layer, name) for layer in (drawn, again, other))
        assert torch.equal(one, same)
        assert not torch.equal(one, another)
        assert one.abs().max() <= 1 / 8
    assert drawn.weight.min() < -0.12
    assert drawn.weight.max() > 0.12


def test_each_purpose_has_its_number_of_fractions_for_each_row(quantiles):
    network = quantiles()
    for purpose, number in {"acting": 5, "online": 3, "selector": 5, "target": 4}.items():
        noise = draw(network, 7, purpose)
        assert noise.shared is None
        assert noise.rows.shape == (7, number)
        assert len(noise.rows.unique()) == 7 * number
        assert ((noise.rows >= 0) & (noise.rows < 1)).all()


def test_fractions_are_drawn_in_single_precision(quantiles):
    assert draw(quantiles()).rows.dtype == torch.float32


def test_evaluation_uses_as_many_midpoints_as_acting_draws_fractions(quantiles):
    network, fixed = quantiles(), midpoints(5, OBS).expand(2, 5)
    torch.testing.assert_close(network(OBS), network(OBS, NetworkNoise(rows=fixed)))


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.floats(0.1, 5))
def test_at_midpoints_it_is_quantile_regression(make, seed, num_actions, num_quantiles, num_target, kappa):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    plain = make("value", "quantile", num_quantiles=num_quantiles, kappa=kappa)
    value = make("value", "implicit_quantile", num_quantiles=num_quantiles, kappa=kappa)
    outputs, next_outputs = normal(3, num_actions, num_quantiles), normal(3, num_actions, num_target)
    transition = Transition(None, torch.randint(num_actions, (3,), generator=generator), normal(3), None, normal(3))
    bootstrap = Bootstrapped(normal(3, num_actions).softmax(1), normal(3, num_actions), normal(3))
    target = value.target(transition, next_outputs, bootstrap, None)
    assert torch.equal(target, plain.target(transition, next_outputs, bootstrap, None))
    expected = plain.loss(outputs, transition.action, target, None)
    noise = NetworkNoise(rows=midpoints(num_quantiles, outputs).expand(3, num_quantiles))
    for given_noise in (noise, None):
        judged = value.loss(outputs, transition.action, target, given_noise)
        for one, other in zip(judged, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_the_loss_by_hand(make):
    """κ = 1; quantiles 0 at τ = 0.1 and 2 at τ = 0.8 against samples 1 and 5, each of weight ½.

    δ of the first: 1 and 5, 0.1 · ½ and 0.1 · 4.5; of the second: −1 and 3, 0.2 · ½ and 0.8 · 2.5. Half of all that is
    ½ (0.05 + 0.45 + 0.1 + 2) = 1.3, and the mean |δ| is (1 + 5 + 1 + 3) / 4.
    """
    value, outputs = make("value", "implicit_quantile"), tensor([[[7.0, 7.0], [0.0, 2.0]]])
    noise = NetworkNoise(rows=tensor([[0.1, 0.8]]))
    judged = value.loss(outputs, tensor([1]), tensor([[[1.0, 5.0], [0.5, 0.5]]]), noise)
    assert judged.loss.tolist() == pytest.approx([1.3])
    assert (judged.q_value.tolist(), judged.priority.tolist()) == ([1.0], [2.5])


def test_a_row_depends_on_its_own_observation_and_fractions_only(quantiles):
    network = quantiles(dueling=True)
    noise = draw(network, 2)
    torch.testing.assert_close(network(OBS, noise)[1:], network(OBS[1:], NetworkNoise(rows=noise.rows[1:])))


def test_dueling_advantages_have_mean_zero_at_every_fraction(quantiles):
    """The mean over actions is the value stream alone."""
    network = quantiles(dueling=True)
    noise = draw(network)
    before = network(OBS, noise).mean(1)
    nn.init.zeros_(network.network.head.action[0].weight)
    torch.testing.assert_close(network(OBS, noise).mean(1), before)


def test_every_noise_value_affects_the_outputs(quantiles):
    """In the hidden layers and in the head, with fixed fractions."""
    network = quantiles(noisy=True)
    noise = draw(network)
    shared = noise.shared.clone().requires_grad_()
    network(OBS, NetworkNoise(shared, noise.rows)).square().sum().backward()
    assert (shared.grad != 0).all()


def test_a_noisy_network_has_noise_beside_the_fractions(quantiles):
    network = quantiles(noisy=True)
    noise = draw(network)
    assert noise.shared.shape == (3 + 4 + 4 + 2,)
    assert not torch.equal(network(OBS, noise), network(OBS, NetworkNoise(rows=noise.rows)))


@pytest.mark.parametrize("flags", [{}, {"dueling": True, "noisy": True}], ids=str)
def test_the_gradient_is_that_of_finite_differences(quantiles, flags):
    network = quantiles(**flags)
    names, weights = zip(*network.named_parameters(), strict=True)
    noise = draw(network)

    def outputs(*weights):
        return torch.func.functional_call(network, dict(zip(names, weights, strict=True)), (OBS, noise))

    assert torch.autograd.gradcheck(outputs, weights)


def test_a_distributions_quantile_function_is_learned(make):
    """Samples are spread evenly over [0, 4]: the quantile at τ is 4τ."""
    inner = make("network", "mlp", Box(-1, 1, (1,)), 1, 1, torch_generator(0, "network"), hidden=[16])
    value = make("value", "implicit_quantile", num_policy_quantiles=10, kappa=0.1)
    network, rng = value.adapt(inner, torch_generator(1, "embedding")), np.random.default_rng(0)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    obs, action = torch.ones(32, 1), torch.zeros(32, dtype=torch.int64)
    target = torch.stack([4 * midpoints(20, obs), torch.full((20,), 1 / 20)]).expand(32, 2, 20)
    for _ in range(250):
        noise = NetworkNoise(rows=torch.from_numpy(network.draw_noise(rng, 32, "online").rows))
        optimizer.zero_grad()
        value.loss(network(obs, noise), action, target, noise).loss.mean().backward()
        optimizer.step()
    torch.testing.assert_close(network(obs[:1]).flatten().detach(), 4 * midpoints(10, obs), rtol=0, atol=0.3)


@pytest.mark.parametrize("overrides", [
    (), ("network.dueling=true", "network.noisy=true", "exploration=none"),
    ("bootstrap=double", "buffer=prioritized", "buffer.n_step=3", "train.minibatch_size=5", "target=polyak"),
    ("bootstrap=munchausen", "buffer=none", "target=none", "network.layer_norm=true"),
])  # fmt: skip
def test_the_same_seed_gives_the_same_bytes_in_every_composition(configure, tmp_path, overrides):
    tables = []
    for name in ("first", "again"):
        experiment = build(configure(*SMALL, *overrides))
        Run(experiment, tmp_path / name, {}).execute(Quiet())
        tables.append([(tmp_path / name / f"{table}.csv").read_bytes() for table in ("episodes", "evaluations")])
    assert tables[0] == tables[1]
    assert tables[0][0].count(b"\n") > 2


def test_auto_chooses_the_fused_engine(configure):
    assert build(configure(*SMALL)).choices["engine"].name == "fused"


def test_online_selector_and_target_have_their_own_fractions(configure):
    agent = build(configure(*SMALL)).agent
    noise = agent.draw_noise(16)
    assert [part.rows.shape for part in noise[1:]] == [(16, 8), (16, 32), (16, 8)]
    assert len(np.unique(np.concatenate([part.rows.ravel() for part in noise[1:]]))) > 16 * 47
    assert not np.array_equal(agent.draw_noise(16).online.rows, noise.online.rows)


def test_acting_draws_fractions_and_evaluation_does_not(configure):
    agent, obs = build(configure(*SMALL)).agent, np.full((1, 4), 0.1, np.float32)
    assert np.array_equal(agent.greedy(obs), agent.greedy(obs))
    assert not np.array_equal(agent._noisy_q_values(obs[0]), agent._noisy_q_values(obs[0]))


def test_a_policy_is_saved_with_its_embedding(configure, tmp_path):
    one, other = (build(configure(*SMALL, f"seed={seed}")).agent for seed in (0, 1))
    save_policy(tmp_path / "policy.pt", one.engine.online, {"step": 1})
    load_policy(tmp_path / "policy.pt", other.engine.online)
    obs = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(other.greedy(obs), one.greedy(obs))


def test_a_network_that_takes_no_fractions_is_refused(configure):
    with pytest.raises(ConfigError) as error:
        configure("value=implicit_quantile", "network.name=torch.nn:Identity", "~network.hidden", *(
            f"~network.{key}"
            for key in ("activation", "layer_norm", "init", "dueling", "noisy", "noisy_layers", "noisy_sigma")
        ))  # fmt: skip
    (line,) = error.value.problems
    assert line.startswith("value=implicit_quantile: network=torch.nn:Identity takes no fractions; mlp")


@pytest.mark.parametrize("key", ["num_quantiles", "num_target_quantiles", "num_policy_quantiles", "num_cosines"])
def test_counts_of_zero_are_refused(make, key):
    with pytest.raises(ConfigError, match=rf"^value\.{key}=0: must be greater than 0"):
        make("value", "implicit_quantile", **{key: 0})
