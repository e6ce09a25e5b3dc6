"""The fused engine against torch's, which is the reference."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given

from dqn_lab.build import build
from dqn_lab.cli._quiet import Quiet
from dqn_lab.run import Run
from dqn_lab.types import Noise
from tests.engine.fused.compositions import Composition, compositions, distance, few, flat


@few
@given(compositions())
def test_in_double_precision_a_hundred_updates_equal_those_of_torch(composition):
    engine, _, updates = composition.learn_steadily(torch.float64)
    fused = composition.build("fused", torch.float64)
    for one, other in zip(updates, composition.learn(fused, torch.float64), strict=True):
        assert (other.loss, other.q_value) == pytest.approx((one.loss, one.q_value), rel=1e-10, abs=1e-10)
        np.testing.assert_allclose(other.priorities, one.priorities, rtol=1e-10, atol=1e-10)
        assert other.num_updates == one.num_updates
    assert distance(fused.online, engine.online) < 1e-10
    assert distance(fused.target, engine.target) < 1e-10


@pytest.mark.parametrize("minibatch_size", [None, 100])
@pytest.mark.parametrize("batch_size", [63, 64, 65, 128, 300])
def test_batches_of_more_than_one_chunk_are_added_up(batch_size, minibatch_size):
    composition = Composition(batch_size=batch_size, minibatch_size=minibatch_size, weighted=True)
    engine, fused = (composition.build(name, torch.float64) for name in ("torch", "fused"))
    for batch, noise in composition.batches(torch.float64, 5):
        one, other = engine.update(batch, noise), fused.update(batch, noise)
        np.testing.assert_allclose(other.priorities, one.priorities, rtol=1e-10, atol=1e-10)
        assert (other.loss, other.q_value) == pytest.approx((one.loss, one.q_value), rel=1e-10)
    assert distance(fused.online, engine.online) < 1e-10


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
def test_noise_in_the_head_alone_leaves_the_layers_before_it_plain(dueling, layer_norm):
    switches = {"noisy": True, "noisy_layers": "head", "dueling": dueling, "layer_norm": layer_norm}
    composition = Composition(network={"name": "mlp", "hidden": [17, 9], **switches}, bootstrap={"name": "double"})
    engine, fused = (composition.build(name, torch.float64) for name in ("torch", "fused"))
    for one, other in zip(*(composition.learn(made, torch.float64) for made in (engine, fused)), strict=True):
        assert (other.loss, other.q_value) == pytest.approx((one.loss, one.q_value), rel=1e-10)
    assert distance(fused.online, engine.online) < 1e-10
    rng = np.random.default_rng(0)
    obs, noise = composition.observe(5, rng), engine.online.draw_noise(rng, 5, "acting")
    np.testing.assert_allclose(fused.q_values(obs, noise), engine.q_values(obs, noise), rtol=1e-10)


@pytest.mark.parametrize("minibatches", [[2, 10], [7, 1, 4], [4, 5, 3]], ids=str)
def test_minibatches_of_unequal_sizes_are_refused(minibatches):
    composition = Composition(batch_size=12)
    ((batch, _),) = composition.batches(torch.float64, 1)
    noise = Noise(np.split(np.random.default_rng(0).permutation(12), np.cumsum(minibatches)[:-1]))
    with pytest.raises(ValueError, match="all minibatches must have the same size"):
        composition.build("fused", torch.float64).update(batch, noise)


@pytest.mark.slow
@few
@given(compositions())
def test_in_single_precision_a_hundred_updates_lose_no_more_than_those_of_torch(composition):
    """The error is at most four times torch's own, the larger of two, plus 1e-6 of the largest weight.

    That is about eight roundings of that weight, because torch's own error may happen to be 0.
    """
    *engines, _ = composition.learn_steadily(torch.float32)
    exact, fused = composition.build("torch", torch.float64), composition.build("fused", torch.float32)
    composition.learn(exact, torch.float64)
    composition.learn(fused, torch.float32)
    torchs_own = max(distance(engine.online, exact.online) for engine in engines)
    assert distance(fused.online, exact.online) <= 4 * torchs_own + 1e-6


def test_earlier_updates_leave_no_trace():
    """Neither a larger batch nor nan stays in its workspace."""
    composition = Composition(network={"name": "mlp", "hidden": [5, 7], "layer_norm": True}, batch_size=7)
    used, fresh = (composition.build("fused", torch.float32) for _ in range(2))
    ((large, noise),) = composition._replace(batch_size=150).batches(torch.float32, 1)
    state = pickle.loads(pickle.dumps(used.state_dict()))
    for number in (0.5, np.nan):
        large.memory.obs[3:] = large.memory.next_obs[3:] = number
        used.update(large, noise)
        used.q_values(large.memory.obs)
    used.load_state_dict(state)
    for batch, noise in composition.batches(torch.float32, 5):
        one, other = used.update(batch, noise), fresh.update(batch, noise)
        assert (one.loss, one.q_value) == (other.loss, other.q_value)
    np.testing.assert_array_equal(flat(used.online), flat(fresh.online))


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_the_same_seed_gives_the_same_bytes(configure, tmp_path, engine):
    tables = []
    for name in ("first", "again"):
        overrides = ("logger=csv", "episodes=null", "steps=300", "evaluation.interval=null")
        Run(build(configure(f"engine={engine}", *overrides)), tmp_path / name, {}).execute(Quiet())
        tables.append((tmp_path / name / "episodes.csv").read_bytes())
    assert tables[0] == tables[1]
    assert tables[0].count(b"\n") > 5
