"""Parameters and the state of the optimiser: shared with torch, saved and restored."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch

from dqn_lab.engine.fused import support
from tests.engine.fused.compositions import Composition, flat


def resume(composition, engine, through):
    """Returns another engine that loaded an engine's state from bytes."""
    if through == "pickle":
        state = pickle.loads(pickle.dumps(engine.state_dict()))
    else:
        file = io.BytesIO()
        torch.save(engine.state_dict(), file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
    other = composition._replace(seed=composition.seed + 1).build("fused", torch.float32)
    other.load_state_dict(state)
    return other


@pytest.mark.parametrize("through", ["pickle", "torch.save"])
@pytest.mark.parametrize("optimizer", support.SUPPORTED["optimizer.name"])
@pytest.mark.parametrize("shared", [False, True])
def test_an_engine_continues_bit_for_bit_from_a_saved_state(through, optimizer, shared):
    composition = Composition(optimizer={"name": optimizer}, shared=shared, batch_size=8)
    engine, batches = composition.build("fused", torch.float32), list(composition.batches(torch.float32, 12))
    for batch, noise in batches[:7]:
        engine.update(batch, noise)
    other = resume(composition, engine, through)
    for batch, noise in batches[7:]:
        one, another = engine.update(batch, noise), other.update(batch, noise)
        assert (one.loss, one.q_value) == (another.loss, another.q_value)
        np.testing.assert_array_equal(one.priorities, another.priorities)
    for mine, theirs in ((engine.online, other.online), (engine.target, other.target)):
        np.testing.assert_array_equal(flat(mine), flat(theirs))


@pytest.mark.parametrize(("source", "sink"), [("fused", "torch"), ("torch", "fused"), ("fused", "fused")])
def test_a_network_loads_the_weights_that_another_engine_saved(source, sink):
    """The weights are loaded in place, so the kernels use them."""
    composition = Composition(network={"name": "mlp", "layer_norm": True}, batch_size=8)
    giver, taker = composition.build(source, torch.float32), composition._replace(seed=5).build(sink, torch.float32)
    for batch, noise in composition.batches(torch.float32, 5):
        giver.update(batch, noise)
    obs = batch.transition.obs
    assert np.abs(giver.q_values(obs) - taker.q_values(obs)).max() > 1e-3
    taker.online.load_state_dict(giver.online.state_dict())
    taker.target.load_state_dict(giver.target.state_dict())
    np.testing.assert_allclose(taker.q_values(obs), giver.q_values(obs), rtol=1e-5, atol=1e-6)
    one, other = (engine.update(batch, noise) for engine in (giver, taker))
    assert one.loss == pytest.approx(other.loss, rel=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_parameters_are_views_of_one_array(shared):
    engine = Composition(shared=shared).build("fused", torch.float32)
    for network, parts in ((engine.online, engine.parameters[0]), (engine.target, engine.parameters[1])):
        (whole,) = parts
        assert {parameter.untyped_storage().data_ptr() for parameter in network.parameters()} == {whole.data_ptr()}
        assert sum(parameter.numel() for parameter in network.parameters()) == whole.numel()
        assert all(parameter.is_leaf and parameter.requires_grad for parameter in network.parameters())
    assert (engine.parameters[0][0].data_ptr() == engine.parameters[1][0].data_ptr()) is shared
