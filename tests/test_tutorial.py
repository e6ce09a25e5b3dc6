"""`experiment=tutorial` against numbers recorded from the notebook's Keras code."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dqn_lab.build import build
from dqn_lab.schedule import Progress
from dqn_lab.types import Batch, Noise, Transition

RECORDED = Path(__file__).parent / "data" / "tutorial_updates.npz"
HALVES = Noise(minibatches=[np.arange(32), np.arange(32, 64)])


def load(network, arrays):
    """Copies Keras kernels (in, out) and biases into a torch network."""
    with torch.no_grad():
        for parameter, array in zip(network.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array.T))


def replay(engine, recorded):
    """Runs the recorded calls; yields the largest error of any weight after each."""
    for network, name in ((engine.online, "main"), (engine.target, "target")):
        load(network, [recorded[f"init_{name}_{i}"] for i in range(6)])
    for call in range(int(recorded["calls"])):
        obs, action, reward, next_obs, done = (
            recorded[f"{field}_{call}"] for field in ("obs", "action", "reward", "next_obs", "done")
        )
        discount = np.where(done, 0, recorded["gamma"]).astype(np.float32)
        batch = Batch(Transition(obs, action, reward, next_obs, discount), None, np.arange(64))
        engine.update(batch, HALVES)
        after = [recorded[f"after_{call}_{i}"] for i in range(6)]
        yield max(
            np.abs(parameter.detach().numpy().T - array).max()
            for parameter, array in zip(engine.online.parameters(), after, strict=True)
        )
        if call + 1 == int(recorded["sync_after"]):
            engine.target.load_state_dict(engine.online.state_dict())


@pytest.fixture
def recorded():
    with np.load(RECORDED, allow_pickle=False) as arrays:
        yield arrays


@pytest.mark.parametrize("name", ["torch", "fused"])
def test_twelve_calls_agree_with_keras_on_every_weight(configure, recorded, name):
    """The engines, built from the yaml, follow the notebook's `train()` within 1e-6."""
    engine = build(configure("experiment=tutorial", f"engine={name}")).agent.engine
    errors = list(replay(engine, recorded))
    assert len(errors) == 12
    assert max(errors) < 1e-6


@pytest.mark.parametrize("name", ["torch", "fused"])
@pytest.mark.parametrize("key", ["optimizer=adam optimizer.eps=1e-7", "value.all_actions=false"])
def test_each_deviation_is_needed_to_agree(configure, recorded, key, name):
    """Without Keras' Adam or the loss over all actions, the weights differ by more than 1e-4."""
    engine = build(configure("experiment=tutorial", *key.split(), f"engine={name}")).agent.engine
    assert max(replay(engine, recorded)) > 1e-4


def test_every_deviation_is_a_named_key(configure):
    """The recipe differs from the default in exactly these keys."""
    default, tutorial = configure(), configure("experiment=tutorial")
    changed = {
        f"{group}.{key}"
        for group in default
        if isinstance(default[group], dict) and group != "logger"
        for key in default[group] | tutorial[group]
        if default[group].get(key) != tutorial[group].get(key)
    }
    assert changed == {
        "buffer.replacement",
        "env.truncation_terminates",
        "exploration.clamp",
        "network.init",
        "optimizer.eps",
        "optimizer.name",
        "train.minibatch_size",
        "value.all_actions",
    }


def test_the_notebook_rounds_epsilon_the_same_way(configure):
    """After episode 12, the notebook prints ε = 0.995 ** 13 = 0.94; the last product may fall below 0.01."""
    exploration = build(configure("experiment=tutorial")).agent.exploration
    assert f"{exploration.epsilon(Progress(episode=13)):.2f}" == "0.94"
    epsilon = 1.0
    for _ in range(2_000):
        if epsilon > 0.01:
            epsilon *= 0.995
    assert exploration.epsilon(Progress(episode=2_000)) == pytest.approx(epsilon, rel=1e-12)
    assert epsilon < 0.01
