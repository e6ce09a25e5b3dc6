"""Numbers that are not finite never go unnoticed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.build import build
from dqn_lab.cli._quiet import Quiet
from dqn_lab.run import Run
from tests.engine.fused.compositions import Composition, compositions, flat, many


def losses(composition, name, damage):
    """Returns the losses of two updates after the damage, which may not show in the first."""
    engine, batches = composition.build(name, torch.float64), list(composition.batches(torch.float64, 2))
    damage(engine, batches[0][0].memory)
    return [engine.update(*each).loss for each in batches]


def write(network, index, number):
    """Sets one weight of a network."""
    for parameter in network.parameters():
        if 0 <= index < parameter.numel():
            parameter.data.view(-1)[index] = number
        index -= parameter.numel()


@many
@given(compositions(), st.sampled_from([np.nan, np.inf, -np.inf]), st.integers(0), st.data())
def test_a_number_that_is_not_finite_never_goes_unnoticed(composition, number, index, data):
    """If torch's loss is not finite, the fused engine's is not finite either, or was not before.

    Infinite weights of the target network are left out: for actions that are not selected, torch computes 0 · ∞.
    """
    composition = composition._replace(memory=None, minibatch_size=None)
    networks = ["online", "target"] if np.isnan(number) else ["online"]
    place = data.draw(st.sampled_from(["obs", "next_obs", "reward", *networks]))

    def damage(engine, memory):
        if place in networks:
            write(getattr(engine, place), index % flat(engine.online).size, number)
        else:
            field = getattr(memory, place).reshape(-1)
            field[index % field.size] = number

    expected, got = (np.isfinite(losses(composition, name, damage)) for name in ("torch", "fused"))
    assert (np.logical_and.accumulate(got) <= np.logical_and.accumulate(expected)).all()
    assert expected[0] == got[0] or not got[0]
    clipped = np.isinf(number) and composition.value["name"] == "categorical"  # to the support's end, as torch does
    if (place == "reward" and not clipped) or (np.isnan(number) and place.endswith("obs")):
        assert not got[0]


@pytest.mark.parametrize("bootstrap", ["max", "double", "munchausen"])
@pytest.mark.parametrize("action", [0, 1, 2])
def test_an_action_whose_value_is_nan_is_not_passed_over(bootstrap, action):
    """Every comparison with nan is false, so that a search for the maximum may miss it."""
    composition = Composition(bootstrap={"name": bootstrap}, batch_size=8)

    def damage(engine, memory):
        memory.action[:] = 0
        engine.target.layers[-1].bias.data[action] = np.nan

    assert not math.isfinite(losses(composition, "torch", damage)[0])
    assert not math.isfinite(losses(composition, "fused", damage)[0])


def test_nan_ends_a_run_in_one_line(configure, tmp_path):
    overrides = ("engine=fused", "logger=csv", "evaluation.interval=null", "target=polyak")
    run = Run(build(configure(*overrides)), tmp_path / "run", {})
    run.experiment.agent.engine.target.layers[0].weight.data[0, 0] = np.nan
    with pytest.raises(Exception, match=r"^the loss became nan in episode .*: in the first update") as error:
        run.execute(Quiet())
    assert "\n" not in str(error.value)
