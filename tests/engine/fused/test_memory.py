"""How the kernels read the replay memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from dqn_lab.build import build
from dqn_lab.cli._quiet import Quiet
from dqn_lab.run import Run
from dqn_lab.types import Batch, Noise, Transition
from tests.engine.fused import buffers
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


RUN = ("engine=fused", "logger=csv", "episodes=null", "steps=600", "train.batch_size=16", "evaluation.interval=null",
       "evaluation.final_num_episodes=2", "buffer.capacity=300", "optimizer.lr=1e-2")  # fmt: skip


def row_bytes(configure, directory, *overrides):
    """Returns the rows that a run writes."""
    Run(build(configure(*RUN, *overrides)), directory, {}).execute(Quiet())
    return (directory / "episodes.csv").read_bytes()


def test_a_run_with_a_custom_buffer_gives_the_bytes_of_one_that_draws_the_same(configure, tmp_path):
    """However the batches are stored, and whether or not the rollout is compiled as well."""
    rows = {
        name: row_bytes(configure, tmp_path / name, f"buffer.name=tests.engine.fused.buffers:{name}")
        for name in ("Same", "Weighted", "Copying")
    }
    assert rows["Same"] == row_bytes(configure, tmp_path / "uniform", "buffer=uniform")
    assert rows["Same"] == row_bytes(configure, tmp_path / "python", "buffer=uniform", "rollout=python")
    assert rows["Weighted"] == rows["Copying"] != rows["Same"]


@pytest.mark.parametrize("name", ["Same", "Weighted", "Copying"])
def test_the_batches_of_a_custom_buffer_are_learned_from_as_in_torch(name):
    composition, rng = Composition(), np.random.default_rng(0)
    buffer = getattr(buffers, name)(Box(-1, 1, (4,)), 0.99, 1, capacity=50)
    engine, fused = (composition.build(engine, torch.float64) for engine in ("torch", "fused"))
    for _ in range(100):
        buffer.append(0, *rng.normal(size=(1, 4)), rng.integers(3), rng.normal(), rng.normal(size=4), False, False)
        batch = buffer.sample(rng.random(20))
        one, other = engine.update(batch, Noise()), fused.update(batch, Noise())
        assert (other.loss, other.q_value) == pytest.approx((one.loss, one.q_value), rel=1e-6)
        np.testing.assert_allclose(other.priorities, one.priorities, rtol=1e-5)


@pytest.mark.parametrize("kind", [list, lambda array: array.astype(np.int32), lambda array: array.repeat(2)[::2]])
def test_rows_and_weights_of_any_layout_are_read(kind):
    composition, rows = Composition(memory=40, weighted=True), np.arange(30)
    memory, weights = composition.draw(40, np.random.default_rng(0), np.float64), np.linspace(0.5, 1, 30)
    one, other = (composition.build("fused", torch.float64) for _ in range(2))
    for _ in range(3):
        found = one.update(Batch(memory, weights.repeat(3)[::3], rows, kind(rows)), Noise())
        assert found.loss == other.update(Batch(memory, weights, rows, rows), Noise()).loss


@pytest.mark.parametrize("row", [-1, 40, 10**9])
def test_a_row_outside_the_memory_is_refused(row):
    composition, rows = Composition(memory=40), np.arange(30)
    memory, engine = (
        composition.draw(40, np.random.default_rng(0), np.float64),
        composition.build("fused", torch.float64),
    )
    engine.update(Batch(memory, None, rows, rows), Noise())
    with pytest.raises(IndexError, match="a row of the batch is not in its memory"):
        engine.update(Batch(memory, None, rows, np.where(rows == 7, row, rows)), Noise())


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
