"""Compositions for the compiled rollout: a few that cover every pair of choices, or any number at random."""

from __future__ import annotations

import itertools
import random

CHOICES: dict[str, list[tuple[str, ...]]] = {
    "env": [
        ("env.max_episode_steps=40",), ("env.max_episode_steps=23", "env.truncation_terminates=true"),
        ("env=acrobot", "env.max_episode_steps=30"), ("env=mountain_car", "env.max_episode_steps=30"),
        ("env=mountain_car", "env.max_episode_steps=30", "env.rescale=true"), ("+env.kwargs.sutton_barto_reward=true",),
        ("env=frozen_lake",), ("env=cliff_walking", "env.max_episode_steps=25"),
        ("env=taxi", "env.max_episode_steps=30", "env.truncation_terminates=true"),
    ],
    "network": [
        ("network.hidden=[8]",), (), ("network.layer_norm=true", "network.hidden=[12,9]"), ("network.dueling=true",),
        ("network.activation=tanh", "network.hidden=[16]"), ("network.noisy=true",),
        ("network.noisy=true", "network.noisy_layers=head"),
        ("network.noisy=true", "network.dueling=true", "network.layer_norm=true"),
    ],
    "value": [
        (), ("value=huber",), ("value.all_actions=true",), ("value=categorical",), ("value=quantile",),
        ("value=implicit_quantile",),
    ],
    "bootstrap": [(), ("bootstrap=double",), ("bootstrap=munchausen",), ("bootstrap=expected_sarsa",)],
    "buffer": [
        ("buffer.capacity=90",), ("buffer.n_step=3", "buffer.capacity=90"), ("buffer.replacement=false",),
        ("buffer=prioritized", "buffer.capacity=90"),
        ("buffer=prioritized", "buffer.n_step=4", "buffer.normalize=buffer", "buffer.stratified=false"),
        ("buffer=prioritized", "buffer.importance_exponent=0.5", "buffer.priority_exponent=1.0"), ("buffer=none",),
    ],
    "optimizer": [
        (), ("optimizer=nadam",), ("optimizer=radam",), ("optimizer=rmsprop_centered",),
        ("optimizer=adamw", "optimizer.max_grad_norm=1.0"), ("optimizer=keras_adam",), ("optimizer=sgd",),
        ("optimizer=rmsprop", "optimizer.lr={start: 1e-3, end: 0.0, duration: 150, unit: steps}"),
        ("optimizer.lr={start: 1e-3, end: 1e-4, duration: 100, unit: updates}", "optimizer.max_grad_value=0.1"),
    ],
    "target": [
        ("target.interval=2",), ("target.interval=30", "target.unit=steps"), ("target=none",),
        ("target.interval=7", "target.unit=updates"), ("target=polyak", "target.tau=0.01"),
        ("target=polyak", "target.tau=0.7", "target.interval=3"),
    ],
    "exploration": [
        ("exploration.decay=0.9",), ("exploration.clamp=false", "exploration.decay=0.5"), ("exploration=none",),
        ("exploration.unit=updates", "exploration.decay=0.98"), ("exploration=constant",), ("exploration=piecewise",),
        ("exploration=linear", "exploration.duration=100"), ("exploration=boltzmann",),
        ("exploration=boltzmann", "exploration.temperature={start: 1.0, end: 0.0, duration: 99, unit: steps}"),
        ("exploration=ez_greedy", "exploration.start=0.5", "exploration.end=0.3", "exploration.duration=150"),
    ],
    "train": [
        (), ("train.interval=3",), ("train.num_updates=2",), ("train.minibatch_size=4", "train.num_updates=2"),
        ("train.minibatch_size=3", "train.max_reward=0.5"), ("train.batch_size=19", "train.minibatch_size=19"),
    ],
}  # fmt: skip
NOT_GREEDY = {"network.noisy=true", "exploration=boltzmann", "exploration=ez_greedy"}  # expected_sarsa needs ε
COMMON = ("logger=csv", "engine=fused", "env.implementation=compiled", "train.learning_starts=20", "train.batch_size=8")


def pairwise(seed: int = 0) -> list[tuple[str, ...]]:
    """Returns compositions that cover every pair of choices of different groups."""
    rng, groups = random.Random(seed), list(CHOICES)
    left = {
        frozenset({(a, i), (b, j)})
        for a, b in itertools.combinations(groups, 2)
        for i, j in itertools.product(range(len(CHOICES[a])), range(len(CHOICES[b])))
        if len(_kept({a: i, b: j})) == 2
    }
    found = []
    while left:
        candidates = []
        for _ in range(30):
            a_pair = dict(rng.choice(sorted(map(sorted, left))))
            candidate = {group: a_pair.get(group, rng.randrange(len(CHOICES[group]))) for group in groups}
            covered = {frozenset(pair) for pair in itertools.combinations(_kept(candidate).items(), 2)}
            covered &= left
            candidates.append((len(covered), sorted(candidate.items()), covered))
        _, chosen, covered = max(candidates, key=lambda candidate: candidate[:2])
        left -= covered
        found.append(overrides(dict(chosen)))
    return found


def at_random(seed: int) -> tuple[str, ...]:
    """Returns a random composition."""
    rng = random.Random(seed)
    return (*overrides({group: rng.randrange(len(choices)) for group, choices in CHOICES.items()}), f"seed={seed}")


def overrides(chosen: dict[str, int]) -> tuple[str, ...]:
    """Returns the overrides of the choices, without those that conflict."""
    words = [word for group, i in _kept(chosen).items() for word in CHOICES[group][i]]
    if "buffer=none" in words:
        words = [word for word in words if not word.startswith(("train.minibatch", "train.num_updates"))]
    return (*COMMON, *words)


def _kept(chosen: dict[str, int]) -> dict[str, int]:
    """Returns the choices, without `expected_sarsa` unless the policy is ε-greedy."""
    words = {word for group, i in chosen.items() for word in CHOICES[group][i]}
    clash = NOT_GREEDY & words and "bootstrap=expected_sarsa" in words
    return {group: i for group, i in chosen.items() if not (clash and group == "bootstrap")}
