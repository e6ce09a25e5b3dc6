"""Compositions that together contain every pair of options: each learns, is saved and continues identically."""

from __future__ import annotations

import copy
import io
import itertools
import random
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from dqn_lab import registry
from dqn_lab.build import build, validate
from dqn_lab.schedule import Progress
from dqn_lab.types import ConfigError

NUM_UPDATES, NUM_MORE, LEARNING_STARTS = 50, 10, 8
CANDIDATES = 20  # compositions tried for a pair before it counts as refused
Composition = dict[str, Any]
Pair = tuple[tuple[str, Any], tuple[str, Any]]

BASE: dict[str, dict[str, Any]] = {
    "env": {"name": "gymnasium", "id": "CartPole-v1"},
    "network": {"name": "mlp", "hidden": [8]},
    "exploration": {"name": "constant"},
    "engine": {"name": "torch"},
    "train": {"batch_size": 8, "learning_starts": LEARNING_STARTS},
}
SMALL: dict[tuple[str, str], dict[str, Any]] = {  # so that a short run takes every path
    ("value", "categorical"): {"num_atoms": 11, "v_min": 0.0, "v_max": 20.0},
    ("value", "quantile"): {"num_quantiles": 5},
    ("value", "implicit_quantile"): {"num_quantiles": 3, "num_target_quantiles": 4, "num_cosines": 8},
    ("buffer", "uniform"): {"capacity": 40},
    ("buffer", "prioritized"): {"capacity": 40},
    ("target", "periodic"): {"interval": 7, "unit": "updates"},
}
FLAGS = {"network.dueling": (False, True), "network.noisy": (False, True), "buffer.n_step": (1, 3)}


def choices() -> dict[str, list[Any]]:
    """Returns the levels of each factor: components by name, and flags that some component has."""
    groups = ("value", "bootstrap", "buffer", "optimizer", "target")
    factors: dict[str, list[Any]] = {group: registry.names(group) for group in groups}
    for key, levels in FLAGS.items():
        group, _, flag = key.partition(".")
        names = [BASE[group]["name"]] if group in BASE else registry.names(group)
        if any(flag in registry.schema(registry.lookup(group, name)).model_fields for name in names):
            factors[key] = list(levels)
    return factors


def configuration(composition: Composition, seed: int = 0) -> dict[str, Any]:
    """Returns a composition as a run's configuration; a flag at its first level is left out.

    Raises:
        ConfigError: the composition is refused.
    """
    config: dict[str, Any] = {**copy.deepcopy(BASE), "seed": seed}
    for key, level in composition.items():
        group, _, flag = key.partition(".")
        if not flag:
            config[group] = {"name": level, **SMALL.get((group, level), {})}
        elif level != FLAGS[key][0]:
            config[group][flag] = level
    if composition.get("network.noisy"):
        config["exploration"] = {"name": "none"}
    return validate(config)


def refusal(composition: Composition) -> tuple[str, ...]:
    """Returns the lines that refuse a composition; none if it is allowed."""
    try:
        configuration(composition)
    except ConfigError as error:
        return error.problems
    return ()


def pairs(composition: Composition) -> set[Pair]:
    return set(itertools.combinations(composition.items(), 2))


def possible_pairs() -> Iterator[Pair]:
    for (one, levels), (other, others) in itertools.combinations(choices().items(), 2):
        for a, b in itertools.product(levels, others):
            yield (one, a), (other, b)


def covering() -> tuple[list[Composition], list[Pair]]:
    """Finds compositions that contain every pair of options, greedily and deterministically.

    Returns:
        The compositions, and the pairs that no valid candidate contained.
    """
    factors, rng = choices(), random.Random(0)
    missing, refused = set(possible_pairs()), []
    chosen: list[Composition] = []
    while missing:
        pair = min(missing, key=str)
        tried = [
            {key: dict(pair).get(key, rng.choice(levels)) for key, levels in factors.items()} for _ in range(CANDIDATES)
        ]
        allowed = [composition for composition in tried if not refusal(composition)]
        if allowed:
            chosen.append(max(allowed, key=lambda composition: len(pairs(composition) & missing)))
            missing -= pairs(chosen[-1])
        else:
            refused.append(pair)
            missing.remove(pair)
    return chosen, refused


COMPOSITIONS, REFUSED = covering()


def label(composition: Composition) -> str:
    return "-".join(
        f"{key.partition('.')[2]}={level}" if "." in key else str(level) for key, level in composition.items()
    )


def cartpole(seed: int) -> Iterator[tuple[Any, ...]]:
    """Yields random steps: obs, action, reward, next_obs, terminated, truncated; episodes are truncated at 12 steps."""
    env, rng = gymnasium.make("CartPole-v1", max_episode_steps=12), np.random.default_rng(seed)
    obs, _ = env.reset(seed=seed)
    while True:
        action = int(rng.integers(2))
        next_obs, reward, terminated, truncated, _ = env.step(action)
        yield obs, action, float(reward), next_obs, terminated, truncated
        obs = env.reset()[0] if terminated or truncated else next_obs


class Learner:
    """An agent that learns from given steps, and chooses an action at each."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.agent, self.progress = build(config).agent, Progress()

    def step(self, step: tuple[Any, ...]) -> list[Any]:
        """Learns from a step; returns the action, the updates and all weights."""
        acted = self.agent.act(step[0], self.progress)
        self.agent.observe(*step)
        before = self.progress
        after = Progress(before.step + 1, before.episode + (step[4] or step[5]), before.updates)
        self.progress, updates = self.agent.learn(before, after)
        figures = [(update.loss, update.q_value, update.priorities.tobytes()) for update in updates]
        return [acted, figures, *(part.detach().numpy().tobytes() for network in self.weights() for part in network)]

    def weights(self) -> tuple[Any, Any]:
        return tuple(
            [*network.state_dict().values()] for network in (self.agent.engine.online, self.agent.engine.target)
        )


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(("seed", "composition"), enumerate(COMPOSITIONS), ids=map(label, COMPOSITIONS))
def test_a_composition_learns_and_continues_from_its_saved_state(seed, composition):
    """Weights are finite after 50 updates; 10 more give the same bytes in another agent that loads the state."""
    config, steps = configuration(composition, seed), cartpole(seed)
    learner, other = Learner(config), Learner({**config, "seed": seed + 1})
    start = [part.clone() for part in learner.weights()[0]]
    while learner.progress.updates < NUM_UPDATES:
        learner.step(next(steps))
    assert all(part.isfinite().all() for network in learner.weights() for part in network)
    assert any(not torch.equal(one, another) for one, another in zip(learner.weights()[0], start, strict=True))
    other.agent.load_state_dict(through_a_file(learner.agent.state_dict()))
    other.progress = learner.progress
    for _ in range(NUM_MORE):
        step = next(steps)
        assert learner.step(step) == other.step(step)
    assert learner.progress.updates == NUM_UPDATES + NUM_MORE


def test_every_pair_is_held_by_a_composition_or_refused():
    held = set().union(*map(pairs, COMPOSITIONS))
    assert held | set(REFUSED) == set(possible_pairs())
    assert not held & set(REFUSED)


@pytest.mark.parametrize("pair", REFUSED, ids=str)
def test_a_refused_pair_is_refused_in_any_composition(pair):
    """One line is the same in every composition, and begins with one of the pair's keys."""
    lines = set.intersection(*(set(refusal({**composition, **dict(pair)})) for composition in COMPOSITIONS))
    assert any(line.startswith(key) for line in lines for key, _ in pair)
