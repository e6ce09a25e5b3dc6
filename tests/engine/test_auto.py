"""Which engine `auto` chooses, and what it says about the others."""

import pytest

from dqn_lab.build import build
from dqn_lab.engine import compiled
from dqn_lab.engine.auto import MIN_COMPILED_STEPS, gradient_steps
from dqn_lab.engine.fused import FusedEngine
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
def test_auto_compiles_where_the_declared_length_pays_for_it(configure, monkeypatch, overrides, missing, name):
    monkeypatch.setattr("dqn_lab.engine.auto.obstacle", lambda device: missing)
    monkeypatch.setattr(compiled, "obstacle", lambda device: missing)
    choice = build(configure("engine=auto", *overrides)).choices["engine"]
    assert choice.name == name
    assert {choice.name, *choice.rejected} == {"fused", "compiled", "torch"}


@pytest.mark.parametrize(("overrides", "missing", "rejected"), [
    ((), None, {"compiled": "slower than fused", "torch": "slower than fused"}),
    (LONG, None, {"fused": "network.activation=silu", "torch": "slower than compiled"}),
    (LONG, "no C++ compiler", {"fused": "network.activation=silu", "compiled": "no C++ compiler"}),
    ((*LONG, "steps=100"), None, {"fused": "network.activation=silu", "compiled": "36 gradient steps are declared"}),
    (("network.name=dqn_lab.network.mlp:MLP",), None, {"compiled": "network=dqn_lab.network.mlp:MLP"}),
])  # fmt: skip
def test_auto_says_why_it_did_not_choose_the_others(configure, monkeypatch, overrides, missing, rejected):
    monkeypatch.setattr("dqn_lab.engine.auto.obstacle", lambda device: missing)
    monkeypatch.setattr(compiled, "obstacle", lambda device: missing)
    choice = build(configure("engine=auto", *overrides)).choices["engine"]
    for name, reason in rejected.items():
        assert reason in choice.rejected[name]


def test_gradient_steps_are_counted_as_declared(configure):
    config = configure(
        "episodes=null", "steps=1064", "train.interval=4", "train.num_updates=2", "train.minibatch_size=30"
    )
    assert gradient_steps(config) == 250 * 2 * 3


@pytest.mark.parametrize("overrides", [
    (), ("experiment=tutorial",), ("experiment=cartpole",), ("bootstrap=double", "value=huber", "target=polyak"),
    ("buffer=none", "target=none", "optimizer=rmsprop"), ("network.layer_norm=true", "network.activation=tanh"),
    ("experiment=c51",), ("experiment=qr_dqn",), ("experiment=iqn",), ("experiment=rainbow",),
    ("bootstrap=expected_sarsa", "optimizer=radam"), ("optimizer=nadam",), ("optimizer=rmsprop_centered",),
    ("optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true", "env=mountain_car"),
])  # fmt: skip
def test_auto_is_fused_where_the_kernels_know_everything(configure, overrides):
    experiment = build(configure("engine=auto", *overrides))
    assert experiment.choices["engine"].name == "fused"
    assert type(experiment.agent.engine) is FusedEngine
    assert build(configure("engine=fused", *overrides)).choices["engine"] == Choice("fused", "asked for", {})


@pytest.mark.parametrize(("batch_size", "minibatch_size", "name"), [
    (78, None, "fused"), (79, None, "torch"), (256, 78, "fused"), (256, 79, "torch"),
])  # fmt: skip
def test_auto_leaves_much_tanh_to_torch(configure, batch_size, minibatch_size, name):
    """512 hidden units times 78 transitions are 39,936, times 79 are 40,448."""
    overrides = ["network=mlp256", f"train.batch_size={batch_size}", f"train.minibatch_size={minibatch_size or 'null'}"]
    assert build(configure("network.activation=tanh", *overrides)).choices["engine"].name == name
    assert build(configure("network.activation=relu", *overrides)).choices["engine"].name == "fused"


def test_auto_is_the_default(configure):
    assert configure()["engine"] == {"name": "auto"}
