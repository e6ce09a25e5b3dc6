"""What every engine must do: the same updates as plain code, without side effects."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch

from dqn_lab import registry
from dqn_lab.types import Batch, Noise, Transition

ENGINES = [name for name in registry.names("engine") if hasattr(registry.lookup("engine", name), "update")]
pytestmark = pytest.mark.parametrize("name", ENGINES)
EXACT = {torch.float32: {"rtol": 1e-4, "atol": 1e-6}, torch.float64: {"rtol": 0, "atol": 1e-10}}


def weights_of(network):
    return [parameter.detach().clone() for parameter in network.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def close(one, other, dtype):
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype == dtype
        torch.testing.assert_close(a, b, **EXACT[dtype])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "array"), [(torch.float32, np.float32), (torch.float64, np.float64)])
def test_updates_are_those_of_plain_code(build, draw_batch, plain, name, dtype, array, weighted):
    engine = build(name, dtype=dtype)
    reference = plain(engine, lambda parameters: torch.optim.Adam(parameters, 1e-3, foreach=False))
    for seed in range(4):
        batch = draw_batch(dtype=array, weighted=weighted, seed=seed)
        update, expected = engine.update(batch, Noise()), reference.descend(batch, reference.targets(batch))
        assert (update.loss, update.q_value) == pytest.approx((expected.loss, expected.q_value), rel=1e-4)
        close([torch.as_tensor(update.priorities)], [expected.priorities], dtype)
        assert update.num_updates == 1
    close(weights_of(engine.online), weights_of(reference.online), dtype)


def test_all_targets_are_computed_before_the_first_minibatch(build, draw_batch, plain, name):
    """With a shared network, targets that are computed later would differ."""
    engine, batch = build(name, shared=True, optimizer=("sgd", {"lr": 0.1})), draw_batch(10)
    minibatches = [np.array([7, 0, 3, 9, 4]), np.array([2, 8, 1, 6, 5])]
    reference = plain(engine, lambda parameters: torch.optim.SGD(parameters, 0.1))
    targets = reference.targets(batch)
    judged = [reference.descend(batch, targets, rows) for rows in minibatches]
    update = engine.update(batch, Noise(minibatches))
    close(weights_of(engine.online), weights_of(reference.online), torch.float32)
    assert update.num_updates == 2
    assert update.loss == pytest.approx(np.mean([part.loss for part in judged]), rel=1e-4)
    for part, rows in zip(judged, minibatches, strict=True):
        np.testing.assert_allclose(update.priorities[rows], part.priorities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sizes", [[12], [4, 4, 4], [5, 5, 2], [1] * 12])
def test_reported_values_are_means_over_the_batch_for_any_minibatches(build, draw_batch, name, sizes):
    """With a learning rate too small to change the weights, minibatches make no difference."""
    still = ("sgd", {"lr": 1e-30})
    batch, order = draw_batch(12), np.random.default_rng(0).permutation(12)
    whole = build(name, optimizer=still).update(batch, Noise())
    divided = build(name, optimizer=still).update(batch, Noise(np.split(order, np.cumsum(sizes)[:-1])))
    assert divided.num_updates == len(sizes)
    assert (divided.loss, divided.q_value) == pytest.approx((whole.loss, whole.q_value), rel=1e-5)
    np.testing.assert_allclose(divided.priorities, whole.priorities, rtol=1e-5)


def test_only_the_online_network_learns(build, draw_batch, name):
    engine = build(name)
    online, target = weights_of(engine.online), weights_of(engine.target)
    engine.update(draw_batch(), Noise())
    assert not same(weights_of(engine.online), online)
    assert same(weights_of(engine.target), target)


def test_parameters_are_updated_in_place(build, draw_batch, name):
    engine = build(name)
    places = [parameter.data_ptr() for parameter in engine.online.parameters()]
    engine.update(draw_batch(), Noise())
    assert [parameter.data_ptr() for parameter in engine.online.parameters()] == places


def test_a_batch_is_read_and_not_changed(build, draw_batch, name):
    batch = draw_batch(weighted=True)
    build(name).update(batch, Noise([np.arange(6), np.arange(6, 12)]))
    untouched = draw_batch(weighted=True)
    for field, other in zip(batch.transition, untouched.transition, strict=True):
        np.testing.assert_array_equal(field, other)
    for kept in ("weights", "indices", "rows"):
        np.testing.assert_array_equal(getattr(batch, kept), getattr(untouched, kept))


def test_q_values_are_those_of_the_current_online_network(build, draw_batch, name):
    engine, batch = build(name), draw_batch()
    for size in (1, 12, 5):
        obs = batch.transition.obs[:size]
        q_values = engine.q_values(obs)
        assert isinstance(q_values, np.ndarray)
        assert q_values.shape == (size, 3)
        expected = engine.online(torch.from_numpy(obs)).detach().numpy().squeeze(-1)
        np.testing.assert_allclose(q_values, expected, rtol=1e-5, atol=1e-6)
        engine.update(batch, Noise())


@pytest.mark.parametrize("view", ["reversed", "strided", "read-only"])
def test_q_values_accept_any_view_of_an_array(build, name, view):
    obs = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    if view == "reversed":
        seen = obs[::-1, ::-1].copy()[::-1, ::-1]
    elif view == "strided":
        seen = np.repeat(np.repeat(obs, 2, 0), 2, 1)[::2, ::2]
    else:
        seen = obs.copy()
        seen.flags.writeable = False
    engine = build(name)
    np.testing.assert_array_equal(engine.q_values(seen), engine.q_values(obs))


@pytest.mark.parametrize("array", [np.float64, np.int64, np.uint8, bool])
def test_observations_are_converted_to_the_networks_type(build, name, array):
    obs, engine = np.array([[0, 1, 3, 2], [4, 0, 0, 1]]).astype(array), build(name)
    np.testing.assert_array_equal(engine.q_values(obs), engine.q_values(obs.astype(np.float32)))


@pytest.mark.parametrize("size", [1, 12])
def test_returned_q_values_do_not_change_later(build, draw_batch, name, size):
    engine, batch = build(name), draw_batch()
    q_values = engine.q_values(batch.transition.obs[:size])
    kept = q_values.copy()
    engine.update(batch, Noise())
    engine.q_values(batch.transition.next_obs[:size])
    np.testing.assert_array_equal(q_values, kept)


@pytest.mark.parametrize("hidden", [[8], [7], [24, 24], [40, 13, 5], [120, 84]], ids=str)
@pytest.mark.parametrize(("dtype", "array"), [(torch.float32, np.float32), (torch.float64, np.float64)])
def test_q_values_of_a_row_do_not_depend_on_the_others(build, name, hidden, dtype, array):
    """They are equal bit for bit at the same index of an equally large batch, as in `dqn_lab.evaluate`."""
    engine, rng = build(name, hidden=hidden, dtype=dtype), np.random.default_rng(0)
    obs = rng.normal(size=(16, 4)).astype(array)
    together = engine.q_values(obs)
    for place in range(16):
        others = rng.normal(size=(16, 4)).astype(array)
        others[place] = obs[place]
        np.testing.assert_array_equal(engine.q_values(others)[place], together[place])


def test_parameters_are_those_of_both_networks_in_place(build, draw_batch, name):
    """Target updates copy between them, so a change of them must change the network."""
    engine, batch = build(name), draw_batch()
    engine.update(batch, Noise())
    for mine, theirs in zip(*engine.parameters, strict=True):
        theirs.data.copy_(mine)
    assert same(weights_of(engine.target), weights_of(engine.online))
    engine.update(batch, Noise())
    assert not same(weights_of(engine.target), weights_of(engine.online))
    for network, parameters in zip((engine.online, engine.target), engine.parameters, strict=True):
        assert sum(part.numel() for part in parameters) == sum(part.numel() for part in network.parameters())


def test_transitions_are_read_from_the_memory_in_place(build, draw_batch, name):
    """Rows of a memory give the same update as a copied batch, also after the memory has changed."""
    there, alone = build(name), build(name)
    memory, rng = draw_batch(40).transition, np.random.default_rng(1)
    for seed in range(3):
        for field, new in zip(memory, draw_batch(40, seed=seed).transition, strict=True):
            field[:] = new
        rows = rng.integers(40, size=12)
        one = there.update(Batch(memory, None, rows * 7, rows), Noise())
        copied = Transition(*(field[rows] for field in memory))
        other = alone.update(Batch(copied, None, rows * 7), Noise())
        assert (one.loss, one.q_value) == (other.loss, other.q_value)
        np.testing.assert_array_equal(one.priorities, other.priorities)
    assert same(weights_of(there.online), weights_of(alone.online))


def through_pickle(state):
    return pickle.loads(pickle.dumps(state))


def through_torch(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("carry", [through_pickle, through_torch])
@pytest.mark.parametrize("num_updates", [0, 1, 3])
def test_an_engine_continues_from_its_saved_state(build, draw_batch, name, num_updates, carry):
    engine, other = build(name), build(name, seed=1)
    for seed in range(num_updates):
        engine.update(draw_batch(seed=seed), Noise())
    other.load_state_dict(carry(engine.state_dict()))
    for seed in range(10, 13):
        one, another = engine.update(draw_batch(seed=seed), Noise()), other.update(draw_batch(seed=seed), Noise())
        assert (one.loss, one.q_value) == (another.loss, another.q_value)
        assert np.array_equal(one.priorities, another.priorities)
    assert same(weights_of(engine.online), weights_of(other.online))
    assert same(weights_of(engine.target), weights_of(other.target))


def test_no_global_randomness_is_used(build, draw_batch, name, check_global_randomness):
    with check_global_randomness():
        engine, batch = build(name), draw_batch()
        engine.update(batch, Noise())
        engine.q_values(batch.transition.obs)
