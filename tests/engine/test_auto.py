"""Which engine `auto` chooses, and the reasons it records against the others."""

import pytest

from dqn_lab.build import build
from dqn_lab.engine import compiled
from dqn_lab.engine.auto import MIN_COMPILED_STEPS, Auto, gradient_steps
from dqn_lab.engine.fused import FusedEngine
from dqn_lab.explain import explain
from dqn_lab.types import Choice

LONG = ("network.activation=silu", "episodes=null", f"steps={MIN_COMPILED_STEPS + 1000}")


@pytest.mark.parametrize(("overrides", "missing", "name"), [
    (LONG, None, "compiled"), (LONG, "none here", "torch"), (("network.activation=silu",), None, "compiled"),
    (("network.activation=silu", "episodes=100"), None, "torch"),
    (("network.activation=silu", "episodes=null", f"steps={MIN_COMPILED_STEPS}"), None, "torch"),
    ((*LONG, "train.interval=2"), None, "torch"),
    ((*LONG, "train.interval=2", "train.num_updates=2"), None, "compiled"),
    ((*LONG, "episodes=100"), None, "torch"),
    (("episodes=null", f"steps={MIN_COMPILED_STEPS + 1000}"), None, "fused"),
    ((*LONG, "network.name=dqn_lab.network.mlp:MLP"), None, "torch"),
])  # fmt: skip
def test_auto_compiles_if_the_declared_run_is_long_enough(configure, monkeypatch, overrides, missing, name):
    monkeypatch.setattr("dqn_lab.engine.auto.obstacle", lambda device: missing)
    monkeypatch.setattr(compiled, "obstacle", lambda device: missing)
    choice = build(configure("engine=auto", *overrides)).choices["engine"]
    assert choice.name == name
    assert {choice.name, *choice.rejected} == {"fused", "compiled", "torch"}


@pytest.mark.parametrize(("overrides", "missing", "rejected"), [
    ((), None, {"compiled": "slower than fused", "torch": "slower than fused"}),
    (LONG, None, {"fused": "network.activation=silu", "torch": "slower than compiled"}),
    (LONG, "no C++ compiler", {"fused": "network.activation=silu", "compiled": "no C++ compiler"}),
    ((*LONG, "steps=100"), None, {"fused": "network.activation=silu", "compiled": "this run declares 37"}),
    (("network.name=dqn_lab.network.mlp:MLP",), None, {"compiled": "network=dqn_lab.network.mlp:MLP"}),
])  # fmt: skip
def test_auto_records_why_it_rejected_the_others(configure, monkeypatch, overrides, missing, rejected):
    monkeypatch.setattr("dqn_lab.engine.auto.obstacle", lambda device: missing)
    monkeypatch.setattr(compiled, "obstacle", lambda device: missing)
    choice = build(configure("engine=auto", *overrides)).choices["engine"]
    for name, reason in rejected.items():
        assert reason in choice.rejected[name]


@pytest.mark.parametrize("overrides", [
    ("steps=1064", "train.interval=4", "train.num_updates=2", "train.minibatch_size=30"), ("steps=10_063",),
    ("steps=20_000", "buffer=none", "train.num_updates=5"),
    ("steps=500", "train.learning_starts=10", "train.batch_size=32"),
])  # fmt: skip
def test_the_declared_gradient_steps_are_those_that_explain_shows(configure, overrides):
    config = configure("episodes=null", *overrides)
    assert f"{gradient_steps(config):,}" == explain(config, {}).numbers["gradient steps"]


@pytest.mark.parametrize("overrides", [
    (), ("experiment=tutorial",), ("experiment=cartpole",), ("bootstrap=double", "value=huber", "target=polyak"),
    ("buffer=none", "target=none", "optimizer=rmsprop"), ("network.layer_norm=true", "network.activation=tanh"),
    ("experiment=c51",), ("experiment=qr_dqn",), ("experiment=iqn",), ("experiment=rainbow",),
    ("bootstrap=expected_sarsa", "optimizer=radam"), ("optimizer=nadam",), ("optimizer=rmsprop_centered",),
    ("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true", "env=mountain_car"),
])  # fmt: skip
def test_auto_chooses_fused_if_the_kernels_support_the_whole_composition(configure, overrides):
    experiment = build(configure("engine=auto", *overrides))
    assert experiment.choices["engine"].name == "fused"
    assert type(experiment.agent.engine) is FusedEngine
    assert build(configure("engine=fused", *overrides)).choices["engine"] == Choice("fused", "asked for", {})


@pytest.mark.parametrize(("hidden", "name"), [
    ("[1581,1581]", "fused"), ("[1582,1582]", "torch"), ("[100_000]", "fused"), ("[1000,1000,1500]", "fused"),
    ("[1000,1000,1501]", "torch"),
])  # fmt: skip
def test_auto_leaves_wide_networks_to_torch(configure, hidden, name):
    """The limit is 2,500,000 weights: 1,581² = 2,499,561, and 1,000 · 1,000 + 1,000 · 1,500 = 2,500,000."""
    choice = Auto.choose(configure(f"network.hidden={hidden}"))
    assert choice.name == name
    for other, reason in choice.rejected.items():
        assert ("slower than" in reason) == (name == "fused"), other


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_auto_chooses_fused_for_large_batches(configure, activation):
    config = configure("network=mlp256", f"network.activation={activation}", "train.batch_size=4096")
    assert Auto.choose(config).name == "fused"


def test_auto_is_the_default(configure):
    assert configure()["engine"] == {"name": "auto"}
