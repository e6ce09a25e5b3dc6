from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from dqn_lab.seeding import torch_generator
from dqn_lab.types import Batch, Transition

SPACE, A = Box(-1, 1, (4,)), 3


@pytest.fixture
def build(make):
    """Builds an engine on two small networks, or on one that is shared as its target."""

    def engine(
        name: str = "torch",
        *,
        value: Any = "expected",
        bootstrap: str = "max",
        optimizer: tuple[str, dict[str, Any]] = ("adam", {}),
        shared: bool = False,
        dtype: torch.dtype = torch.float32,
        hidden: list[int] = [8],  # noqa: B006 (never changed)
        seed: int = 0,
    ) -> Any:
        online, target = (
            make("network", "mlp", SPACE, A, 1, torch_generator(seed, which), hidden=hidden).to(dtype)
            for which in ("online", "target")
        )
        parts = [value if not isinstance(value, str) else make("value", value), make("bootstrap", bootstrap)]
        parts.append(make("optimizer", optimizer[0], **optimizer[1]))
        return make("engine", name, online, online if shared else target, *parts, torch.device("cpu"))

    return engine


@pytest.fixture
def draw_batch():
    """Draws a random batch, with some terminal transitions."""

    def draw(size: int = 12, dtype: Any = np.float32, weighted: bool = False, seed: int = 0) -> Batch:
        rng = np.random.default_rng(seed)
        transition = Transition(
            obs=rng.normal(size=(size, *SPACE.shape)).astype(dtype),
            action=rng.integers(A, size=size),
            reward=rng.normal(size=size).astype(dtype),
            next_obs=rng.normal(size=(size, *SPACE.shape)).astype(dtype),
            discount=np.where(rng.random(size) < 0.3, 0, 0.9).astype(dtype),
        )
        weights = rng.uniform(0.2, 1, size).astype(dtype) if weighted else None
        return Batch(transition, weights, np.arange(size) * 3)

    return draw


class Plain:
    """Plain Q-learning with squared error, on copies of an engine's networks."""

    def __init__(self, engine: Any, optimizer: Any) -> None:
        self.online, self.target = copy.deepcopy((engine.online, engine.target))
        self.optimizer = optimizer(self.online.parameters())

    def targets(self, batch: Batch) -> torch.Tensor:
        reward, next_obs, discount = map(torch.from_numpy, batch.transition[2:])
        with torch.no_grad():
            return reward + discount * self.target(next_obs).squeeze(-1).max(1).values

    def descend(self, batch: Batch, targets: torch.Tensor, rows: Any = slice(None)) -> SimpleNamespace:
        """Takes one gradient step on the given rows; returns loss, Q-value and priorities."""
        obs, action = (torch.from_numpy(field[rows]) for field in batch.transition[:2])
        q_value = self.online(obs).squeeze(-1)[torch.arange(len(action)), action]
        td_error = targets[rows] - q_value
        weights = 1.0 if batch.weights is None else torch.from_numpy(batch.weights[rows])
        loss = (weights * td_error**2).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return SimpleNamespace(loss=loss.item(), q_value=q_value.mean().item(), priorities=td_error.detach().abs())


@pytest.fixture
def plain():
    return Plain
