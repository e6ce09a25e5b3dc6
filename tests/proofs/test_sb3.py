"""Whole updates against Stable-Baselines3's own `DQN.train` and sb3-contrib's `QRDQN.train`, over scripted batches.

Both sides begin with the same weights and get the same batches; after a hundred updates every weight of both networks
is compared, in double precision. Stable-Baselines3 casts observations to single precision, which is patched out.
"""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from dqn_lab.schedule import Progress
from dqn_lab.seeding import torch_generator
from dqn_lab.types import Batch, Noise, Transition

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about their own imports
    sb3 = pytest.importorskip("stable_baselines3", reason="the proofs need it: pip install -e '.[proofs]'")
    contrib = pytest.importorskip("sb3_contrib", reason="the proofs need it: pip install -e '.[proofs]'")
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

SPACE, A = Box(-1, 1, (4,), np.float32), 3
BATCH_SIZE, NUM_UPDATES, INTERVAL, HIDDEN = 16, 100, 7, [24, 24]
QUANTILES = 8  # a power of two, so that sb3-contrib's fractions are exact in single precision
LR, EPS = 3e-3, 1e-5


class Nowhere(gymnasium.Env):
    """Has spaces, and is never stepped."""

    observation_space, action_space = SPACE, Discrete(A)

    def reset(self, *, seed=None, options=None):
        raise AssertionError

    def step(self, action):
        raise AssertionError


def script(n_step: int) -> list[Transition]:
    """Draws the batches; every third has large rewards, so that gradients are clipped only there."""
    rng, batches = np.random.default_rng(0), []
    for number in range(NUM_UPDATES):
        discount = 0.97 ** rng.integers(1, n_step + 1, size=BATCH_SIZE)
        batches.append(
            Transition(
                obs=rng.normal(size=(BATCH_SIZE, 4)),
                action=rng.integers(A, size=BATCH_SIZE),
                reward=rng.normal(size=BATCH_SIZE) * (40 if number % 3 == 0 else 1),
                next_obs=rng.normal(size=(BATCH_SIZE, 4)),
                discount=np.where(rng.random(BATCH_SIZE) < 0.2, 0.0, discount),
            )
        )
    return batches


class Scripted:
    """A replay buffer that gives their agent our batches; terminal transitions keep a nonzero discount."""

    def __init__(self, batches: list[Transition]) -> None:
        self.batches = iter(batches)

    def sample(self, batch_size: int, env: Any = None) -> Any:
        batch = next(self.batches)
        column = {name: torch.tensor(array)[:, None] for name, array in batch._asdict().items()}
        terminated = (column["discount"] == 0).double()
        discounts = torch.where(terminated == 1, 0.97, column["discount"])
        obs, next_obs = torch.tensor(batch.obs), torch.tensor(batch.next_obs)
        return ReplayBufferSamples(obs, column["action"], next_obs, terminated, column["reward"], discounts)


def theirs(algorithm: Any, monkeypatch: Any, batches: list[Transition], tau: float, max_grad_norm: Any) -> Any:
    """Builds their agent in double precision; its step count is set so that a copy follows the first update."""
    monkeypatch.setattr("stable_baselines3.common.policies.preprocess_obs", lambda obs, *_, **__: obs)
    policy: dict[str, Any] = {"net_arch": HIDDEN, "optimizer_class": torch.optim.Adam, "optimizer_kwargs": {"eps": EPS}}
    if algorithm is contrib.QRDQN:
        policy["n_quantiles"] = QUANTILES
    model = algorithm(
        "MlpPolicy", Nowhere(), learning_rate=LR, batch_size=BATCH_SIZE, buffer_size=1, gamma=0.5, tau=tau, seed=0,
        target_update_interval=INTERVAL, max_grad_norm=max_grad_norm, policy_kwargs=policy, device="cpu",
    )  # fmt: skip
    model.policy.double()
    model.replay_buffer, model._n_calls = Scripted(batches), INTERVAL - 1
    model.set_logger(Logger(None, []))
    return model


def ours(make: Any, engine: str, value: Any, optimizer: dict[str, Any], weights: Any) -> Any:
    """Builds an engine whose networks have the given weights."""
    online, target = (
        make("network", "mlp", SPACE, A, value.num_outputs, torch_generator(0, "network"), hidden=HIDDEN).double()
        for _ in range(2)
    )
    for network in (online, target):
        network.load_state_dict(dict(zip(network.state_dict(), weights, strict=True)))
    parts = value, make("bootstrap", "max"), make("optimizer", "adam", lr=LR, eps=EPS, **optimizer)
    return make("engine", engine, online, target, *parts, torch.device("cpu"))


def weights_of(network: torch.nn.Module, num_outputs: int = 1) -> list[torch.Tensor]:
    """Copies their network's weights; its last layer, with quantiles before actions, is put in our order."""
    *hidden, weight, bias = (parameter.detach().clone() for parameter in network.parameters())
    order = torch.arange(A * num_outputs).view(num_outputs, A).T.flatten()
    return [*hidden, weight[order], bias[order]]


def compare_updates(make, monkeypatch, algorithm, networks, engine, value, tau, max_grad_norm, n_step):
    """Runs all updates on both sides; compares each loss, and the weights at the end."""
    batches = script(n_step)
    model = theirs(algorithm, monkeypatch, batches, tau, max_grad_norm)
    online, target = (getattr(model, name) for name in networks)
    start = weights_of(online, value.num_outputs)
    mine = ours(make, engine, value, {"max_grad_norm": max_grad_norm}, start)
    follow = make("target", "polyak", tau=tau, interval=INTERVAL, unit="updates").follow
    for number, batch in enumerate(batches):
        model.train(1, BATCH_SIZE)
        model._on_step()
        update = mine.update(Batch(batch, None, np.arange(BATCH_SIZE)), Noise())
        follow(*mine.parameters, Progress(updates=number), Progress(updates=number + 1))
        assert update.loss == pytest.approx(model.logger.name_to_value["train/loss"], rel=1e-9)
    for mine_, theirs_ in ((mine.online, online), (mine.target, target)):
        expected = weights_of(theirs_, value.num_outputs)
        for one, other in zip(mine_.parameters(), expected, strict=True):
            torch.testing.assert_close(one.detach(), other, rtol=0, atol=1e-9)
    moved = weights_of(online, value.num_outputs)
    assert min((one - other).abs().max() for one, other in zip(moved, start, strict=True)) > 0.01


@pytest.mark.parametrize("engine", ["torch", "fused"])
@pytest.mark.parametrize("max_grad_norm", [10.0, 0.5])
@pytest.mark.parametrize(("tau", "n_step"), [(1.0, 1), (0.3, 3)])
def test_a_hundred_updates_are_those_of_stable_baselines3(make, monkeypatch, engine, max_grad_norm, tau, n_step):
    """Huber loss, Adam, clipping by norm; the target network is updated by τ after every seventh update."""
    value = make("value", "expected", loss="huber")
    networks = "q_net", "q_net_target"
    compare_updates(make, monkeypatch, sb3.DQN, networks, engine, value, tau, max_grad_norm, n_step)


@pytest.mark.parametrize("max_grad_norm", [None, 10.0])
@pytest.mark.parametrize(("tau", "n_step"), [(1.0, 1), (0.3, 3)])
def test_a_hundred_updates_are_those_of_sb3_contribs_qr_dqn(make, monkeypatch, max_grad_norm, tau, n_step):
    """The quantile Huber loss with κ = 1, summed over the quantiles; the target network selects and evaluates."""
    value = make("value", "quantile", num_quantiles=QUANTILES)
    networks = "quantile_net", "quantile_net_target"
    compare_updates(make, monkeypatch, contrib.QRDQN, networks, "torch", value, tau, max_grad_norm, n_step)
