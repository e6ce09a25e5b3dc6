"""Computes what a policy has learned: episodes, planes of states, maps, distributions, features."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from torch import Tensor, nn

from dqn_lab.agent import Agent
from dqn_lab.analysis.inspect.material import Chart, Distribution, Features, Insight, Plane, States, Walk
from dqn_lab.env.names import find_names
from dqn_lab.env.state import class_path
from dqn_lab.evaluate import watch
from dqn_lab.film import open_stage
from dqn_lab.hooks import HasDistribution
from dqn_lab.train import Experiment
from dqn_lab.types import Array

RESOLUTION = 81  # points along a side of a plane
RANDOM_STEPS = 2_000  # steps of random play to find a plane's region
MOST_STATES = 2_000  # states whose features are computed
MOST_LISTED = 64  # all states are listed if an environment has at most this many
NUM_DISTRIBUTIONS = 3
Region = tuple[Array, Array]  # the minimum and the maximum of each dimension, [D] each


class _Look:
    """Access to a policy's network and environment.

    Args:
        experiment: the experiment whose agent has the policy.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.agent: Agent = experiment.agent
        self.make_env, self.config = experiment.make_env, experiment.config
        with contextlib.closing(self.make_env()) as env:
            self.space: gymnasium.Space[Any] = env.observation_space
            self.names = find_names(env)

    def q_values(self, obs: Array) -> Array:
        """Returns Q-values [N, A] at any number of observations."""
        parts = [self.agent.greedy(obs[i : i + 256]).copy() for i in range(0, len(obs), 256)]
        return np.concatenate(parts)

    def outputs(self, obs: Array) -> Tensor:
        """Returns the network's own outputs [N, A, K], without noise."""
        with torch.no_grad():
            outputs: Tensor = self.agent.engine.online(torch.from_numpy(obs))
        return outputs

    def walk(self, seed: int) -> Walk:
        """Plays a greedy episode."""
        with contextlib.closing(self.make_env()) as env:
            moments = list(watch(self.agent.greedy, env, seed))
        return Walk(
            seed=seed,
            obs=np.array([moment.obs for moment in moments], self.space.dtype),
            q_values=np.array([moment.q_values for moment in moments], np.float64),
            actions=np.array([moment.action for moment in moments[:-1]], np.int64),
            rewards=np.array([moment.reward for moment in moments[1:]], np.float64),
            discount=self.config["discount"],
            clipped=self.config["train"]["max_reward"],
            truncated=moments[-1].truncated and not moments[-1].terminated,
        )


def observation_space(experiment: Experiment) -> gymnasium.Space[Any]:
    """Returns the space of an experiment's observations."""
    return _Look(experiment).space


def find_region(experiment: Experiment, walks: Sequence[Walk], seed: int) -> Region | None:
    """Returns the range of visited states, 1st to 99th percentile, plus a margin within the space's bounds.

    Args:
        experiment: the experiment whose environment is used.
        walks: greedy episodes.
        seed: the seed of the random play.

    Returns:
        None unless observations are vectors with at least two continuous numbers.
    """
    look = _Look(experiment)
    if len(look.names.continuous) < 2:
        return None
    rng, visited = np.random.default_rng(seed), []
    with contextlib.closing(experiment.make_env()) as env:
        obs, ended = env.reset(seed=seed)[0], False
        for _ in range(RANDOM_STEPS):
            visited.append(np.array(obs, np.float64))
            obs = env.reset()[0] if ended else obs
            obs, _, terminated, truncated, _ = env.step(int(rng.integers(len(look.names.actions))))
            ended = bool(terminated or truncated)
    groups = [np.array(visited), np.concatenate([walk.obs for walk in walks]).astype(np.float64)]
    low = np.min([np.percentile(group, 1, axis=0) for group in groups], axis=0)
    high = np.max([np.percentile(group, 99, axis=0) for group in groups], axis=0)
    margin = np.where(high > low, 0.1 * (high - low), 0.5)
    space: Any = look.space  # a Box: others have no continuous numbers
    return np.maximum(low - margin, space.low), np.minimum(high + margin, space.high)


def look_into(
    experiment: Experiment,
    *,
    label: str,
    task: str,
    policy: str,
    step: int,
    walks: Sequence[Walk],
    pairs: Sequence[tuple[int, int]] = (),
    region: Region | None = None,
) -> Insight:
    """Computes everything that a page shows of a policy.

    Args:
        experiment: the experiment whose agent has the policy.
        label: what distinguishes it from other policies on the page.
        task: its environment.
        policy: its name.
        step: the step at which it was saved.
        walks: greedy episodes, as `play_walks` returns them; the first is drawn.
        pairs: the pairs of dimensions over which Q-values are shown.
        region: the planes' range, as `find_region` returns it.
    """
    look = _Look(experiment)
    states = np.concatenate([walk.obs for walk in walks])
    states = states[:: -(-len(states) // MOST_STATES)]
    count = len(look.names.actions)
    charts = list(_charts(look))
    return Insight(
        label=label, task=task, policy=policy, step=step,
        dimensions=look.names.dimensions, action_names=look.names.actions, walk=walks[0],
        returns=np.array([walk.rewards.sum() for walk in walks]),
        counts=np.sum([np.bincount(walk.actions, minlength=count) for walk in walks], axis=0),
        planes=[_plane(look, pair, states, region) for pair in pairs] if region is not None else (),
        distributions=list(_distributions(look, walks[0])),
        charts=charts, states=None if charts else list_states(look),
        features=last_features(experiment.agent.engine.online, states),
    )  # fmt: skip


def play_walks(experiment: Experiment, seeds: Sequence[int]) -> list[Walk]:
    """Plays a greedy episode from each seed."""
    look = _Look(experiment)
    return [look.walk(seed) for seed in seeds]


def choose_pairs(experiment: Experiment, asked: Sequence[str]) -> list[tuple[int, int]]:
    """Returns the pairs of dimensions to show: those asked for, or the environment's default.

    Args:
        experiment: the experiment whose environment is used.
        asked: nothing, `all`, or two names or numbers.

    Raises:
        ValueError: there are no such dimensions.
    """
    look = _Look(experiment)
    names, continuous = look.names.dimensions, look.names.continuous
    if len(continuous) < 2:
        if asked:
            raise ValueError(
                f"--dims: needs two continuous dimensions, and this environment's observations are {look.space}"
            )
        return []
    if not asked:
        return [look.names.plane or (continuous[0], continuous[1])]
    if list(asked) == ["all"]:
        return list(itertools.combinations(continuous, 2))
    found = [_dimension(word, names, continuous) for word in asked]
    if len(found) != 2 or found[0] == found[1]:
        raise ValueError(f"--dims {' '.join(asked)}: must be two different dimensions, or all")
    return [(found[0], found[1])]


def _dimension(word: str, names: Sequence[str], continuous: Sequence[int]) -> int:
    number = names.index(word) if word in names else int(word) if word.isdecimal() else None
    if number is not None and number in continuous:
        return number
    what = "is a state, not a continuous number" if number in range(len(names)) else "no such dimension"
    choices = ", ".join(f"{i} or {names[i]}" for i in continuous)
    raise ValueError(f"--dims {word}: {what}; choices: {choices}, all")


def _plane(look: _Look, pair: tuple[int, int], states: Array, region: Region) -> Plane:
    held = np.median(states.astype(np.float64), axis=0)
    discrete = [i for i in range(len(held)) if i not in look.names.continuous]
    found, counts = np.unique(states[:, discrete], axis=0, return_counts=True)
    held[discrete] = found[counts.argmax()]  # the medians of one-hot numbers may not form a state
    x, y = (np.linspace(region[0][i], region[1][i], RESOLUTION) for i in pair)
    points = np.tile(held, (RESOLUTION, RESOLUTION, 1))
    points[..., pair[0]], points[..., pair[1]] = np.meshgrid(x, y)
    q_values = look.q_values(points.reshape(-1, len(held)).astype(look.space.dtype))
    return Plane(dimensions=pair, x=x, y=y, q_values=q_values.reshape(RESOLUTION, RESOLUTION, -1), held=held)


def _distributions(look: _Look, walk: Walk) -> Iterator[Distribution]:
    """Yields the distributions at a few states, evenly spaced over an episode."""
    value = look.agent.engine.value
    if not isinstance(value, HasDistribution):
        return
    steps = np.unique(np.linspace(0, len(walk.actions) - 1, NUM_DISTRIBUTIONS).astype(int))
    values, masses = value.distribution(look.outputs(walk.obs[steps]))
    for number, step in enumerate(steps):
        yield Distribution(step=int(step), values=values[number].numpy(), masses=masses[number].numpy())


def last_features(network: nn.Module, obs: Array) -> Features | None:
    """Returns the inputs of a network's last linear layer at observations [N, *O]; None if it has no such layer."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen[:] = [inputs[0].detach()]

    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    handles = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        with torch.no_grad():
            network(torch.from_numpy(obs))
    finally:
        for handle in handles:
            handle.remove()
    return Features(values=seen[0].reshape(-1, seen[0].shape[-1]).double().numpy()) if seen else None


def list_states(look: _Look) -> States | None:
    """Returns the Q-values of all states of an environment, if it has only a few; otherwise None."""
    space = look.space
    if not isinstance(space, (Discrete, MultiDiscrete)):
        return None
    sizes = np.ravel(space.n if isinstance(space, Discrete) else space.nvec)
    if len(sizes) > MOST_LISTED.bit_length() or sizes.prod() > MOST_LISTED:
        return None
    states = np.array(list(np.ndindex(*sizes.tolist()))) + np.ravel(space.start)  # [S, D]
    obs = states.reshape(-1, *(space.shape or ())).astype(space.dtype)
    return States(names=look.names.dimensions or ("state",), states=states, q_values=look.q_values(obs))


def _charts(look: _Look) -> Iterator[Chart]:
    """Yields maps of all states, for Gymnasium's environments that can be drawn as a map."""
    if not isinstance(look.space, Discrete):
        return
    with contextlib.suppress(ValueError), contextlib.closing(open_stage(look.make_env)) as stage:
        inner: Any = stage.unwrapped
        q_values = look.q_values(np.arange(int(look.space.n), dtype=look.space.dtype))  # [S, A]
        draw = CHARTS.get(class_path(inner))
        yield from [] if draw is None else draw(inner, q_values)


def _grid(inner: Any, q_values: Array, shape: tuple[int, int], walls: Array) -> Iterator[Chart]:
    picture = np.asarray(inner.render())
    states = np.flatnonzero(~walls.reshape(-1))
    rows, columns = np.unravel_index(states, shape)
    cell = np.array([picture.shape[1] / shape[1], picture.shape[0] / shape[0]])
    yield _chart("every cell", picture, (np.stack([columns, rows], 1) + 0.5) * cell, q_values[states])


def _frozen_lake(inner: Any, q_values: Array) -> Iterator[Chart]:
    yield from _grid(inner, q_values, (inner.nrow, inner.ncol), np.isin(inner.desc, [b"H", b"G"]))


def _cliff_walking(inner: Any, q_values: Array) -> Iterator[Chart]:
    walls = np.array(inner._cliff, bool)
    walls[-1, -1] = True  # the goal
    yield from _grid(inner, q_values, tuple(inner.shape), walls)


def _taxi(inner: Any, q_values: Array) -> Iterator[Chart]:
    """Yields maps of the way to the passenger at each place, and of the way to each place with the passenger."""
    for aboard, place in itertools.product((False, True), range(4)):
        passenger, goal = (4, place) if aboard else (place, (place + 1) % 4)
        cells = list(itertools.product(range(5), range(5)))
        states = np.array([inner.encode(row, column, passenger, goal) for row, column in cells])
        inner.s, inner.lastaction = int(states[12]), None
        picture = np.asarray(inner.render())
        cell = np.array(inner.cell_size)
        places = np.array([inner.get_surf_loc(place) for place in cells]) + cell / 2
        title = f"passenger aboard, to {'RGYB'[place]}" if aboard else f"to the passenger at {'RGYB'[place]}"
        yield _chart(title, picture, places, q_values[states])


def _chart(title: str, picture: Array, places: Array, q_values: Array) -> Chart:
    indifferent = q_values.max(1) == q_values.min(1)
    actions = np.where(indifferent, -1, q_values.argmax(1))
    return Chart(title=title, picture=picture, places=places, actions=actions, values=q_values.max(1))


CHARTS: Mapping[str, Any] = {  # by the class of the unwrapped environment
    "gymnasium.envs.toy_text.frozen_lake.FrozenLakeEnv": _frozen_lake,
    "gymnasium.envs.toy_text.cliffwalking.CliffWalkingEnv": _cliff_walking,
    "gymnasium.envs.toy_text.taxi.TaxiEnv": _taxi,
}
