"""How the kernels read the replay memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete, MultiBinary, MultiDiscrete

from dqn_lab.types import Batch, Noise, Transition
from tests.engine.fused.compositions import Composition, distance


@pytest.mark.parametrize("shape", [(2, 3), ()])
def test_observations_of_any_shape_are_flattened(shape):
    composition = Composition(obs=shape, memory=50)
    engine, fused = (composition.build(name, torch.float64) for name in ("torch", "fused"))
    for batch, noise in composition.batches(torch.float64, 5):
        engine.update(batch, noise)
        fused.update(batch, noise)
    assert distance(fused.online, engine.online) < 1e-10
    obs = batch.transition.obs[:5]
    np.testing.assert_allclose(fused.q_values(obs), engine.q_values(obs), rtol=1e-10, atol=1e-10)


def unusual(memory, layout):
    """Returns the arrays to write to, and a memory of other views of them."""
    if layout == "strided":
        wide = [np.repeat(field, 2, 0) for field in memory]
        return Transition(*(field[::2] for field in wide)), Transition(*(field[::2] for field in wide))
    if layout == "read-only":
        views = [field.view() for field in memory]
        for view in views:
            view.flags.writeable = False
        return memory, Transition(*views)
    changed = memory._replace(action=memory.action.astype(np.int32))
    return changed, changed


@pytest.mark.parametrize("layout", ["strided", "read-only", "short actions"])
def test_a_memory_of_any_layout_is_read_as_it_is_now(layout):
    """A custom buffer may use any array layout, and changes its arrays in place."""
    composition = Composition(memory=40)
    fused, alone = (composition.build("fused", torch.float64) for _ in range(2))
    rng, rows = np.random.default_rng(0), np.arange(30)
    arrays, memory = unusual(composition.draw(40, rng, np.float64), layout)
    for _ in range(3):
        for field, new in zip(arrays, composition.draw(40, rng, np.float64), strict=True):
            field[:] = new
        copied = Transition(*(np.array(field[rows]) for field in memory))
        copied = copied._replace(action=copied.action.astype(np.int64))
        one = fused.update(Batch(memory, None, rows, rows), Noise())
        assert one.loss == alone.update(Batch(copied, None, rows), Noise()).loss


@pytest.mark.parametrize("kind", ["f2", "f16", ">f4"])
@pytest.mark.parametrize("fields", [("obs", "next_obs"), ("reward", "discount")], ids=str)
def test_numbers_of_any_type_are_converted(kind, fields):
    """As by torch's networks; the kernels are compiled for the usual types only."""
    composition = Composition(memory=40)
    fused, alone = (composition.build("fused", torch.float32) for _ in range(2))
    memory, rows = composition.draw(40, np.random.default_rng(0), np.float32), np.arange(5, 35)
    odd = memory._replace(**{field: (4 * getattr(memory, field)).astype(kind) for field in fields})
    usual = odd._replace(**{field: getattr(odd, field).astype(np.float32) for field in fields})
    for _ in range(2):
        one, other = (
            engine.update(Batch(m, None, rows, rows), Noise()) for engine, m in ((fused, odd), (alone, usual))
        )
        assert one.loss == pytest.approx(other.loss, rel=1e-6)
    obs = odd.obs[:3]
    np.testing.assert_array_equal(fused.q_values(obs), fused.q_values(obs.astype(np.float32)))


def test_half_precision_observations_are_learned_from_as_in_torch():
    composition = Composition(memory=40)
    memory, rows = composition.draw(40, np.random.default_rng(0), np.float32), np.arange(30)
    memory = memory._replace(obs=memory.obs.astype(np.float16), next_obs=memory.next_obs.astype(np.float16))
    losses = [composition.build(name, torch.float32).update(Batch(memory, None, rows, rows), Noise()).loss
              for name in ("torch", "fused")]  # fmt: skip
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("space", [
    Discrete(1), Discrete(70, start=-3), MultiDiscrete([2, 5, 3], start=[0, 4, -1]), MultiDiscrete([[2, 3], [4, 1]]),
    MultiBinary(6),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("kept", [True, False], ids=["memory", "copied batches"])
def test_states_are_learned_from_as_in_torch(space, kept):
    """The kernels read one-hot inputs from the states that a buffer stores."""
    composition = Composition(space=space, memory=150 if kept else None, batch_size=70)
    engine, fused = (composition.build(name, torch.float64) for name in ("torch", "fused"))
    for batch, noise in composition.batches(torch.float64, 10):
        one, other = engine.update(batch, noise), fused.update(batch, noise)
        assert other.loss == pytest.approx(one.loss, rel=1e-10)
    assert distance(fused.online, engine.online) < 1e-10
    for size in (1, 3, 100):
        obs = batch.memory.obs[:size]
        np.testing.assert_allclose(fused.q_values(obs), engine.q_values(obs), rtol=1e-10, atol=1e-10)


def test_a_state_outside_its_space_is_encoded_as_zeros():
    """As in torch, all its one-hot inputs are 0."""
    engine, fused = (Composition(space=Discrete(4)).build(name, torch.float64) for name in ("torch", "fused"))
    obs = np.array([-1, 4, 10**6])
    np.testing.assert_allclose(fused.q_values(obs), engine.q_values(obs), rtol=1e-10, atol=1e-10)
    assert (engine.q_values(obs) == engine.q_values(obs)[0]).all()
