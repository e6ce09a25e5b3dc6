"""Diagnostics measure what they document, the same in every engine, and change no result."""

import csv
import itertools

import numpy as np
import pytest
import torch

from dqn_lab import registry
from dqn_lab.build import build, validate
from dqn_lab.cli._quiet import Quiet
from dqn_lab.engine._graph import obstacle
from dqn_lab.records import identity
from dqn_lab.run import Run
from dqn_lab.types import Batch, Noise, Transition

SHORT = ("logger=csv", "steps=900", "episodes=null", "evaluation.interval=300", "evaluation.unit=steps",
         "evaluation.num_episodes=2", "evaluation.final_num_episodes=2", "train.learning_starts=64")  # fmt: skip
NAMES = registry.names("diagnostics")
COMPOSITIONS = {
    "default": (),
    "tutorial": ("experiment=tutorial",),
    "prioritized, n = 3, clipped": ("experiment=prioritized", "buffer.n_step=3", "train.max_reward=0.5"),
    "rainbow": ("experiment=rainbow", "train.interval=6"),
    "iqn": ("experiment=iqn", "train.interval=6"),
    "munchausen quantiles": ("value=quantile", "bootstrap=munchausen", "train.interval=6"),
    "tabular": ("env=frozen_lake", "network=table", "buffer=none", "target=none", "optimizer=sgd"),
    "expected sarsa": ("bootstrap=expected_sarsa", "train.num_updates=2"),
}


def rows(configure, directory, *overrides):
    Run(build(configure(*overrides)), directory, {}).execute(Quiet())
    with (directory / "episodes.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("composition", [
    pytest.param(name, marks=[pytest.mark.slow] if "quantiles" in name or name == "iqn" else [])
    for name in COMPOSITIONS
])  # fmt: skip
def test_diagnostics_change_no_result(configure, tmp_path, composition):
    words = (*COMPOSITIONS[composition], *SHORT)
    plain = rows(configure, tmp_path / "plain", *words)
    seen = rows(configure, tmp_path / "seen", *words, "diagnostics=probe", "diagnostics.interval=7")
    own = registry.lookup("diagnostics", "probe").columns
    assert [{key: value for key, value in row.items() if key not in own} for row in seen] == plain
    rows(configure, tmp_path / "python", *words, "diagnostics=probe", "diagnostics.interval=7", "rollout=python")
    assert (tmp_path / "python" / "episodes.csv").read_bytes() == (tmp_path / "seen" / "episodes.csv").read_bytes()
    assert list(seen[0])[-len(own) :] == [*own]
    evaluations = [(tmp_path / name / "evaluations.csv").read_bytes() for name in ("plain", "seen")]
    assert evaluations[0] == evaluations[1]
    measured = [row for row in seen if row["grad_norm"]]
    assert len(measured) >= 2
    for row, name in itertools.product(measured, own):
        assert np.isfinite(float(row[name])), name
    assert all(0 <= float(row["churn"]) <= 1 for row in measured)


COMPILES = (
    pytest.mark.slow,
    pytest.mark.skipif(obstacle(torch.device("cpu")) is not None, reason="needs a C++ compiler"),
)


@pytest.mark.parametrize(("engine", "overrides"), [
    ("fused", ()), ("fused", ("experiment=tutorial",)), ("fused", ("experiment=munchausen",)),
    ("fused", ("experiment=prioritized", "network.dueling=true")), pytest.param("compiled", (), marks=COMPILES),
    pytest.param("compiled", ("experiment=rainbow",), marks=COMPILES),
    pytest.param("compiled", ("experiment=iqn",), marks=COMPILES),
])  # fmt: skip
def test_engines_measure_alike(configure, tmp_path, engine, overrides):
    """The values agree up to rounding, in runs too short for rounding errors to grow."""
    words = (*overrides, *SHORT, "steps=170", "diagnostics=probe", "diagnostics.interval=5", "train.learning_starts=64")
    fast, eager = (rows(configure, tmp_path / name, *words, f"engine={name}") for name in (engine, "torch"))
    compared = 0
    for one, other in zip(fast, eager, strict=False):
        if one["step"] != other["step"]:
            break
        for name in registry.lookup("diagnostics", "probe").columns:
            assert bool(one[name]) == bool(other[name])
            if one[name]:
                assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-3, abs=1e-4)
                compared += 1
    assert compared > 8


def watched(configure, *overrides):
    """Builds an agent with diagnostics and known Q-values of two states of FrozenLake."""
    words = ("env=frozen_lake", "network=table", "optimizer=sgd", "optimizer.lr=0.25", "engine=torch", "discount=0.5")
    agent = build(configure(*words, "diagnostics=probe", "diagnostics.interval=2", *overrides)).agent
    with torch.no_grad():
        for network, values in ((agent.engine.online, [[1.0, 3, 0, 0], [2, 0, 0, 0]]),
                                (agent.engine.target, [[1.0, 2, 0, 0], [4, 0, 0, 0]])):  # fmt: skip
            network.weight.zero_()
            network.weight[:2] = torch.tensor(values)
    return agent


def batch(*transitions):
    obs, action, reward, next_obs, discount = map(np.array, zip(*transitions, strict=True))
    floats = reward.astype(np.float32), discount.astype(np.float32)
    return Batch(Transition(obs, action, floats[0], next_obs, floats[1]), None, np.arange(len(obs)))


def test_values_are_those_worked_out_by_hand(configure):
    """The target network's largest values are 2 in state 0 and 4 in state 1."""
    agent = watched(configure)
    watch = agent.diagnostics
    watch.states = np.array([0, 1])
    learned = batch((0, 1, 1.0, 1, 0.5), (0, 0, 1.0, 1, 0.5), (1, 0, 5.0, 0, 0.0), (1, 1, 0.0, 0, 0.5))
    # δ: 1 + 2 − 3 = 0, 1 + 2 − 1 = 2, 5 − 2 = 3, 0 + 1 − 0 = 1
    watch.observe(np.array(0), 1.0, False)
    watch.before_update(learned, Noise(), 0.0)
    agent.engine.update(learned, Noise())
    watch.after_update()
    watch.observe(np.array(1), 4.0, True)
    row = watch.report(None)
    assert row["td_error"] == pytest.approx(6 / 4)
    assert row["grad_norm"] == pytest.approx(2 / 4 * np.sqrt(4 + 9 + 1))  # ∂ mean δ² = −2 δ / 4 for each
    # Q moves by 0.25 · 2 · δ / 4: online becomes [1.25, 3, 0, 0], [2.375, 0.125, 0, 0]
    assert row["target_gap"] == pytest.approx((0.25 + 1 + 1.625 + 0.125) / 8)
    assert row["churn"] == 0.0
    assert row["q_probe"] == pytest.approx((3 + 2.375) / 2)
    assert row["q_start"] == 3.0
    assert row["return_discounted"] == pytest.approx(1 + 0.5 * 4)


def test_churn_is_the_share_of_states_whose_greedy_action_an_update_changed(configure):
    agent = watched(configure)
    watch = agent.diagnostics
    watch.states = np.array([0, 1, 1, 1])
    learned = batch((0, 2, 100.0, 0, 0.0))
    watch.before_update(learned, Noise(), 0.0)
    agent.engine.update(learned, Noise())
    watch.after_update()
    assert watch.report(None)["churn"] == 0.25


def test_no_probe_state_is_a_last_state_whose_values_are_never_learned(configure):
    """FrozenLake's holes are 5, 7, 11 and 12; its goal is 15."""
    states = watched(configure, "diagnostics.num_states=500").diagnostics._visit()
    assert len(states) == 500
    assert not {5, 7, 11, 12, 15} & {*states.reshape(-1).tolist()}


def test_every_interval_th_batch_is_measured_and_a_new_episode_starts_empty(configure):
    watch = watched(configure).diagnostics
    watch.states = np.array([0])
    learned = batch((0, 1, 1.0, 1, 0.5))
    measured = []
    for _ in range(5):
        watch.before_update(learned, Noise(), 0.0)
        watch.after_update()
        measured.append(watch.measuring)
    assert measured == [True, False, True, False, True]
    watch.observe(np.array(0), 0.0, True)
    assert watch.report(None)["td_error"] is None  # a new episode, without a measurement


class Curious(registry.lookup("diagnostics", "basic")):
    """Reads every batch."""

    def before_update(self, batch, noise, epsilon):
        super().before_update(batch, noise, epsilon)
        self._add(grad_norm=0.0)


def test_diagnostics_that_read_every_batch_run_in_the_python_rollout(configure):
    config = configure("diagnostics=basic", "logger=csv")
    assert build(config).choices["rollout"].name == "compiled"
    config["diagnostics"] = {"name": f"{__name__}:Curious"}
    choice = build(validate(config)).choices["rollout"]
    assert choice.name == "python"
    assert choice.rejected["compiled"] == f"diagnostics={__name__}:Curious: it looks at every update"


@pytest.mark.parametrize("name", NAMES)
def test_diagnostics_continue_from_a_saved_state(configure, name):
    words = (*SHORT, f"diagnostics={name}", *(["diagnostics.interval=7"] if name != "none" else []))
    first, second = build(configure(*words)).rollout, build(configure(*words)).rollout
    end = first.progress._replace(step=10**9, episode=10**9, updates=10**9)
    for _ in range(6):
        first.advance(end)
    first.advance(end._replace(step=first.progress.step + 5))
    second.load_state_dict(first.state_dict())
    assert [first.advance(end) for _ in range(4)] == [second.advance(end) for _ in range(4)]


def test_without_diagnostics_identity_state_and_columns_are_the_same(configure):
    config = configure()
    older = {key: value for key, value in config.items() if key != "diagnostics"}
    assert identity(config) == identity(older)
    assert identity(configure("diagnostics=basic")) != identity(config)
    agent = build(config).agent
    assert agent.diagnostics is None
    assert "diagnostics" not in agent.state_dict()
    assert build(older | {"diagnostics": {"name": "none"}}).columns == build(config).columns
