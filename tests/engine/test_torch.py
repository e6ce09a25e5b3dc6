from __future__ import annotations

import numpy as np
import pytest
import torch

from dqn_lab.types import Batch, NetworkNoise, Noise

SGD = ("sgd", {"lr": 1.0})


def flat(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def step(engine, batch, noise=None):
    """Makes an update and returns how far each weight moved."""
    before = flat(engine.online)
    return engine.update(batch, noise or Noise()), flat(engine.online) - before


def count_calls(network):
    calls = []
    network.register_forward_hook(lambda module, inputs, outputs: calls.append(outputs.requires_grad))
    return calls


def test_a_shared_network_is_moved_by_its_semi_gradient(build, draw_batch, plain):
    """The full gradient, which includes the next state's value, would take another step."""
    engine, batch = build(shared=True, optimizer=SGD), draw_batch()
    reference = plain(engine, lambda parameters: torch.optim.SGD(parameters, 1.0))
    reference.target = reference.online
    reference.descend(batch, reference.targets(batch))
    engine.update(batch, Noise())
    torch.testing.assert_close(flat(engine.online), flat(reference.online))


def test_gradients_flow_through_the_online_network_at_s_only(build, draw_batch):
    engine = build(bootstrap="double")
    online, target = count_calls(engine.online), count_calls(engine.target)
    engine.update(draw_batch(), Noise())
    assert sorted(online) == [False, True]
    assert target == [False]
    assert all(parameter.grad is None for parameter in engine.target.parameters())


def test_no_network_computes_values_that_are_not_needed(build, draw_batch):
    """Max needs no online value at s′."""
    engine = build(bootstrap="max")
    online, target = count_calls(engine.online), count_calls(engine.target)
    engine.update(draw_batch(), Noise())
    assert (len(online), len(target)) == (1, 1)


def test_actions_not_taken_are_held_to_their_old_values(build, draw_batch, make):
    """If the td_error of every action taken is 0, no weight moves."""
    engine = build(value=make("value", "expected", all_actions=True), optimizer=SGD)
    batch = draw_batch()
    obs, action, *_ = batch.transition
    said = engine.q_values(obs)[np.arange(len(obs)), action]
    transition = batch.transition._replace(reward=said, discount=np.zeros_like(said))
    content = Batch(transition, batch.weights, batch.indices)
    update, moved = step(engine, content)
    assert update.loss == pytest.approx(0, abs=1e-10)
    torch.testing.assert_close(moved, torch.zeros_like(moved))


@pytest.mark.parametrize("factor", [0.0, 0.25, 3.0])
def test_importance_weights_scale_the_loss_and_the_step(build, draw_batch, factor):
    batch = draw_batch()
    plain, moved = step(build(optimizer=SGD), batch)
    weighted = Batch(batch.memory, np.full(12, factor, np.float32), batch.indices)
    scaled, moved_less = step(build(optimizer=SGD), weighted)
    assert scaled.loss == pytest.approx(factor * plain.loss)
    torch.testing.assert_close(moved_less, factor * moved)
    np.testing.assert_array_equal(scaled.priorities, plain.priorities)


def test_a_transition_of_weight_zero_teaches_nothing(build, draw_batch):
    batch = draw_batch(weighted=True)
    batch.weights[5] = 0
    _, moved = step(build(optimizer=SGD), batch)
    batch.transition.reward[5] = 1e3
    _, moved_too = step(build(optimizer=SGD), batch)
    torch.testing.assert_close(moved, moved_too)


def test_weights_belong_to_their_rows_in_every_minibatch(build, draw_batch):
    """One minibatch holds exactly the rows of weight zero, so it moves nothing."""
    batch, rows = draw_batch(weighted=True), np.array([1, 4, 6, 9])
    batch.weights[rows] = 0
    rest = np.setdiff1d(np.arange(12), rows)
    _, moved = step(build(optimizer=SGD), batch, Noise([rest, rows]))
    alone = Batch(batch.memory, batch.weights[rest], batch.indices[rest], rest)
    _, moved_alone = step(build(optimizer=SGD), alone)
    torch.testing.assert_close(moved, moved_alone)


def test_a_long_gradient_is_clipped_to_the_maximum_norm(build, draw_batch):
    batch = draw_batch()
    _, moved = step(build(optimizer=SGD), batch)
    _, clipped = step(build(optimizer=("sgd", {"lr": 1.0, "max_grad_norm": 0.01})), batch)
    assert moved.norm() > 0.1
    assert clipped.norm().item() == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(clipped / clipped.norm(), moved / moved.norm(), rtol=1e-3, atol=1e-5)


def test_large_values_of_a_gradient_are_clipped_one_by_one(build, draw_batch):
    batch = draw_batch()
    _, moved = step(build(optimizer=SGD), batch)
    _, clipped = step(build(optimizer=("sgd", {"lr": 1.0, "max_grad_value": 0.01})), batch)
    assert moved.abs().max() > 0.1
    torch.testing.assert_close(clipped, moved.clamp(-0.01, 0.01), rtol=1e-4, atol=1e-6)


def test_values_are_clipped_before_the_norm(build, draw_batch):
    batch = draw_batch()
    _, clipped = step(build(optimizer=("sgd", {"lr": 1.0, "max_grad_value": 0.01})), batch)
    _, both = step(build(optimizer=("sgd", {"lr": 1.0, "max_grad_value": 0.01, "max_grad_norm": 0.005})), batch)
    assert both.norm().item() == pytest.approx(0.005, rel=1e-3)
    torch.testing.assert_close(both / both.norm(), clipped / clipped.norm(), rtol=1e-3, atol=1e-5)


def test_a_short_gradient_is_not_changed(build, draw_batch):
    batch = draw_batch()
    _, moved = step(build(optimizer=SGD), batch)
    _, clipped = step(build(optimizer=("sgd", {"lr": 1.0, "max_grad_norm": 1e3})), batch)
    torch.testing.assert_close(clipped, moved)


@pytest.mark.parametrize("bootstrap", ["max", "double"])
def test_double_and_max_take_the_same_step_if_both_networks_are_equal(build, draw_batch, bootstrap):
    engine, shared = build(bootstrap=bootstrap), build(bootstrap="max", shared=True)
    engine.target.load_state_dict(engine.online.state_dict())
    torch.testing.assert_close(step(engine, draw_batch())[1], step(shared, draw_batch())[1])


class RecordingNetwork(torch.nn.Linear):
    """Records the observations and the noise of every call."""

    def __init__(self):
        super().__init__(4, 3)
        self.seen = []

    def forward(self, obs, noise=None):
        self.seen.append((obs[:, 0].tolist(), noise.shared.tolist(), noise.rows.tolist()))
        return super().forward(obs).unsqueeze(-1)


def test_rows_have_their_own_noise_in_every_minibatch_and_share_the_rest(make, draw_batch):
    network, batch = RecordingNetwork(), draw_batch(6)
    parts = [make("value", "expected"), make("bootstrap", "max"), make("optimizer", "sgd")]
    engine = make("engine", "torch", network, RecordingNetwork(), *parts, torch.device("cpu"))
    minibatches = [np.array([4, 0, 3]), np.array([1, 5, 2])]
    noise = NetworkNoise(np.array([7.0]), np.arange(6.0))
    engine.update(batch, Noise(minibatches, online=noise, selector=None, target=noise))
    first = batch.transition.obs[:, 0]
    assert network.seen == [(first[rows].tolist(), [7.0], rows.tolist()) for rows in minibatches]
    assert engine.target.seen == [(batch.transition.next_obs[:, 0].tolist(), [7.0], [*range(6)])]
