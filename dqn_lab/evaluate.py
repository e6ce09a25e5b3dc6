"""Plays greedy episodes to evaluate a policy."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from dqn_lab import interrupt
from dqn_lab.hooks import HasUpdateKernel
from dqn_lab.rollout._wrappers import Wrapped, is_known, take_apart
from dqn_lab.seeding import seed_sequence
from dqn_lab.types import Array, TrainingError

TOGETHER = 16  # episodes played side by side


class Episode(NamedTuple):
    """One greedy episode."""

    seed: int
    score: float  # the undiscounted return
    length: int  # environment steps


class Moment(NamedTuple):
    """A state of a greedy episode: the observation, its Q-values, and the action taken."""

    obs: Any  # [*O]
    q_values: Array  # [A]
    action: int | None  # None at the episode's end
    reward: float  # of the step that led here; 0 for the first moment
    terminated: bool
    truncated: bool


def watch(q_values: Callable[[Array], Array], env: gymnasium.Env[Any, Any], seed: int) -> Iterator[Moment]:
    """Plays the greedy episode that `evaluate` plays from a seed, state by state; the caller may render in between.

    Args:
        q_values: as for `evaluate`.
        env: the environment, which is reset first and stepped after each moment.
        seed: the episode's seed.

    Yields:
        one more moment than the episode has steps.

    Raises:
        TrainingError: a Q-value is NaN.
    """
    ties, seen = np.random.default_rng(seed_sequence(seed, "ties")), _places(env)
    seen[0], _ = env.reset(seed=seed)
    reward, terminated, truncated = 0.0, False, False
    while True:
        values = q_values(seen)[0].copy()
        action = None if terminated or truncated else greedy(values, ties)
        yield Moment(np.array(seen[0]), values, action, reward, bool(terminated), bool(truncated))
        if action is None:
            return
        seen[0], gained, terminated, truncated, _ = env.step(action)
        reward = float(gained)


def episode_seeds(rng: np.random.Generator, num_episodes: int) -> list[int]:
    """Draws the seeds of greedy episodes; the first ones are the same for any number of episodes."""
    seeds: list[int] = rng.integers(2**31, size=num_episodes).tolist()
    return seeds


def evaluate(
    q_values: Callable[[Array], Array],
    make_env: Callable[[], gymnasium.Env[Any, Any]],
    rng: np.random.Generator,
    num_episodes: int,
    engine: object = None,
) -> Iterator[Episode]:
    """Plays greedy episodes, each from a fresh seed, some side by side.

    An episode depends only on the policy and its seed, not on the episodes played at the same time.

    Args:
        q_values: maps observations [B, *O] to Q-values [B, A]; a row must not depend on the others.
        make_env: makes environments separate from the training environment.
        rng: the generator of the seeds.
        num_episodes: the number of episodes.
        engine: the engine that computes `q_values`; if it and the environment have kernels, compiled code plays the
            same episodes.

    Yields:
        the episodes in the order of their seeds.

    Raises:
        TrainingError: a Q-value is NaN.
        Interrupted: a signal asked the process to stop.
    """
    seeds = episode_seeds(rng, num_episodes)
    together = math.ceil(num_episodes / math.ceil(num_episodes / TOGETHER))  # about the same number each time
    with contextlib.ExitStack() as stack:
        envs = [stack.enter_context(contextlib.closing(make_env())) for _ in range(together)]
        compiled = isinstance(engine, HasUpdateKernel) and is_known(envs[0])
        for start in range(0, num_episodes, together):
            some = seeds[start : start + together]
            yield from _play_compiled(engine, envs, some) if compiled else _play(q_values, envs, some)


def _play(
    q_values: Callable[[Array], Array], envs: Sequence[gymnasium.Env[Any, Any]], seeds: list[int]
) -> list[Episode]:
    """Plays one episode from each seed, asking for the Q-values of all at once."""
    ties = [np.random.default_rng(seed_sequence(seed, "ties")) for seed in seeds]
    scores, lengths, running = [0.0] * len(seeds), [0] * len(seeds), list(range(len(seeds)))
    seen = _places(envs[0])
    for i in running:
        seen[i], _ = envs[i].reset(seed=seeds[i])
    while running:
        interrupt.check()
        values = q_values(seen)
        actions, best = values.argmax(1).tolist(), (values == values.max(1, keepdims=True)).sum(1).tolist()
        over = set()
        for i in running:
            action = actions[i] if best[i] == 1 else greedy(values[i], ties[i])
            seen[i], reward, terminated, truncated, _ = envs[i].step(action)
            scores[i] += float(reward)
            lengths[i] += 1
            if terminated or truncated:
                over.add(i)
        if over:
            running = [i for i in running if i not in over]
    return [Episode(*episode) for episode in zip(seeds, scores, lengths, strict=True)]


def _places(env: gymnasium.Env[Any, Any]) -> Array:
    """Allocates observations for `TOGETHER` episodes: always as many, because batch size affects rounding."""
    space = env.observation_space
    return np.zeros((TOGETHER, *(space.shape or ())), space.dtype)


def _play_compiled(engine: Any, envs: Sequence[gymnasium.Env[Any, Any]], seeds: list[int]) -> list[Episode]:
    """Does what `_play` does, in compiled code; only ties are broken in Python."""
    from dqn_lab._function import Function
    from dqn_lab.rollout import _greedy_kernels as kernels  # imported late, because it loads numba

    ties = [np.random.default_rng(seed_sequence(seed, "ties")) for seed in seeds]
    q_values = engine.q_values_kernel(TOGETHER)
    values, seen = q_values[1][:2]
    for i, seed in enumerate(seeds):
        seen[i] = np.ravel(envs[i].reset(seed=seed)[0])
    parts = [take_apart(env) for env in envs[: len(seeds)]]
    own = [(part.inner.state, part.inner.draws, part.inner.obs) for part in parts]
    states, draws, raw = map(np.array, zip(*own, strict=True))
    step = Function(parts[0].inner.kernels[1], states[0], 0, draws[0], raw[0])
    counts, scores = np.zeros((len(seeds), 5), np.int64), np.zeros(len(seeds))
    counts[:, kernels.RUNNING] = 1
    limit = parts[0].checked.limit  # of evaluation alone
    longest = int(min(parts[0].limit, math.inf if limit is None else limit.steps))
    arguments = counts, scores, q_values, states, draws, raw, step, longest, *parts[0].of_observations
    play = Function(kernels.play, *arguments).call_quickly
    while (why := _go_on(play, arguments, parts)) != kernels.FINISHED:
        interrupt.check()
        running = counts[:, kernels.RUNNING] == 1
        if limit is not None and running.any():
            limit.reached(int(counts[running, kernels.LENGTH].max()))  # warns that the episode is still running
        if why == kernels.TIED:
            for i in np.flatnonzero(running & (counts[:, kernels.DECIDED] == 0)).tolist():
                counts[i, kernels.ACTION], counts[i, kernels.DECIDED] = greedy(values[i], ties[i]), 1
    if limit is not None and longest < parts[0].limit and counts[:, kernels.CUT_OFF].any():
        limit.reached(longest)  # warns that the episode was cut off
    lengths = counts[:, kernels.LENGTH].tolist()
    return [Episode(*episode) for episode in zip(seeds, scores.tolist(), lengths, strict=True)]


def _go_on(play: Callable[..., tuple[int, int, float]], arguments: tuple[Any, ...], parts: Sequence[Wrapped]) -> int:
    """Lets the compiled code continue; returns why it stopped.

    Raises:
        TrainingError: an environment raised, or returned something invalid.
    """
    from dqn_lab.rollout import _greedy_kernels as kernels

    counts, seen = arguments[0], arguments[2][1][1]
    try:
        why, i, reward = play(*arguments)
    except Exception as error:  # raised by an environment: no other kernel raises
        running = counts[:, kernels.RUNNING] == 1
        num_steps = int(counts[running, kernels.LENGTH].min())  # the ones stepped before it are a step ahead
        raise parts[0].checked.explain(None, 0.0, error, num_steps) from error
    if why in (kernels.REWARD_UNFIT, kernels.OBSERVATION_UNFIT):
        space = parts[i].checked.observation_space
        obs = None if why == kernels.REWARD_UNFIT else seen[i].reshape(space.shape).astype(space.dtype)
        raise parts[i].checked.explain(obs, reward, None, int(counts[i, kernels.LENGTH]))
    return why


def greedy(q_values: Array, rng: np.random.Generator) -> int:
    """Returns the action of the largest Q-value [A]; ties are broken at random.

    Raises:
        TrainingError: a Q-value is NaN.
    """
    best = np.flatnonzero(q_values == q_values.max())
    if not len(best):
        raise TrainingError(
            f"the policy's Q-values are NaN ({q_values}): lower optimizer.lr, or look at what "
            "the environment and the network return"
        )
    return int(best[0] if len(best) == 1 else rng.choice(best))


def summarize(episodes: list[Episode]) -> dict[str, float | int]:
    """Returns mean, standard deviation (of the population), extremes and number of returns."""
    scores = np.array([episode.score for episode in episodes])
    return {
        "return_mean": float(scores.mean()),
        "return_std": float(scores.std()),
        "return_min": float(scores.min()),
        "return_max": float(scores.max()),
        "episodes": len(scores),
    }
