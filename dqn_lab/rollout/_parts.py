"""Passes the parts of a run to compiled code and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import gymnasium
import numpy as np

from dqn_lab._function import Function, source_of_draws, source_of_noise
from dqn_lab.agent import Agent
from dqn_lab.engine.fused.layout import PURPOSES
from dqn_lab.hooks import HasKernel, HasUpdateKernel, noise_source
from dqn_lab.rollout import _kernels
from dqn_lab.rollout._wrappers import take_apart
from dqn_lab.schedule import REACH, Progress, Tabulated
from dqn_lab.types import Array, Kernel, TrainingError, Transition

POINT = 0, 0, 0  # a point of a run, used only for its type


class Parts:
    """An agent and its environment as `_kernels.play` takes them.

    Args:
        agent: an agent whose engine, buffer, exploration and target have kernels.
        env: an environment that kernels can step, with wrappers that `_wrappers.py` knows.
        longest: the largest number of steps of a stride.
    """

    def __init__(self, agent: Agent, env: gymnasium.Env[Any, Any], longest: int) -> None:
        self.agent, self.wrapped = agent, take_apart(env)
        self.engine = cast(HasUpdateKernel, agent.engine)
        self.uniforms, self.lr = agent.uniforms.kernel(), Tabulated(agent.lr)
        self.exploration, self.buffer, self.target = map(_kernel, (agent.exploration, agent.buffer, agent.target))
        self.memory = Transition(*self.buffer.state[0])
        space, size = env.observation_space, agent.batch_size
        self.shape = space.shape or ()
        self.obs: Array = np.zeros((2, math.prod(space.shape or ())), space.dtype)  # the current one, and the next
        self.clock, self.tally = np.zeros(3, np.int64), np.zeros(_kernels.TALLY)
        self.sources = _noise_sources(agent)
        self.progress, self.ended = np.zeros(3, np.int64), np.zeros((longest, _kernels.TALLY + 2))
        num_starts = longest + 1 if agent.diagnostics is not None and not len(self.sources) else 0
        self.heard = np.zeros(longest), np.zeros(num_starts)
        self.epsilon = self.exploration.state[:2] if agent.epsilon is not None else (np.zeros(1), np.array([0, -1]))
        numbers = self._engine()[0][1][0].dtype
        self.room = np.zeros(size, np.int64), np.zeros(size, numbers), np.arange(size), np.zeros(size, numbers)
        self.with_kernels = self.uniforms, self.exploration, self.buffer, self.target
        self.fixed = self._env(), *self._functions()
        # a source is needed even if there are no minibatches to shuffle
        others = "replay" if agent.minibatch_size is None else "minibatch"
        sources = [source_of_draws(agent.streams(name)) for name in ("replay", others)]
        max_reward = math.inf if agent.max_reward is None else agent.max_reward
        lr = self.lr.values, self.lr.start
        self.learning = (
            max_reward, agent.learning.numbers, agent.num_updates, size, agent.minibatch_size or 0, lr, self.epsilon,
            agent.draws, *sources, self.room,
        )  # fmt: skip
        self._play = Function(_kernels.play, *self._arguments(POINT)).call_quickly

    def enter(self, progress: Progress, tally: Sequence[float], obs: Array | None) -> Progress:
        """Copies the current episode and the state that the parts hold in Python into the arrays for compiled code.

        Returns:
            how far these reach: the next stride must end there, or earlier.
        """
        limit = self.wrapped.time_limit
        elapsed = self.wrapped.checked.num_steps if limit is None else limit._elapsed_steps
        self.clock[_kernels.ELAPSED] = elapsed or 0  # None before the first reset
        self.clock[_kernels.AWAITS_RESET], self.clock[_kernels.NUM_DRAWN] = obs is None, self.agent.num_drawn
        self.progress[:], self.tally[:] = progress, tally
        if obs is not None:
            self.obs[0] = obs.ravel()
        self.wrapped.inner.connect()
        last = _furthest(progress, len(self.ended), self.agent)
        self.lr.cover(progress, last)
        for part in self.with_kernels:
            part.enter(progress, last)
        return last

    def play(self, until: Progress) -> tuple[int, float]:
        """Continues towards a point of the run; returns why it stopped, and the last loss or reward."""
        result: tuple[int, float] = self._play(*self._arguments(tuple(until)))
        return result

    def env_error(self, why: int, reward: float, error: Exception | None = None) -> TrainingError:
        """Returns the error for what the environment returned or raised in a stride, after `leave`."""
        elapsed, awaits_reset, _ = self.clock.tolist()
        if error is not None:
            return self.wrapped.checked.explain(None, 0.0, error, -1 if awaits_reset else elapsed)
        if why == _kernels.REWARD_UNFIT:
            return self.wrapped.checked.explain(None, reward, None, elapsed)
        obs = self.obs[min(elapsed, 1)].reshape(self.shape)
        return self.wrapped.checked.explain(obs, 0.0, None, elapsed - 1)

    def leave(self) -> tuple[Progress, list[float], Array | None]:
        """Writes back what is not shared; returns progress, tally and observation (None between episodes)."""
        for part in self.with_kernels:
            part.leave()
        self.agent.num_drawn = int(self.clock[_kernels.NUM_DRAWN])
        if self.wrapped.time_limit is not None:
            limit: Any = self.wrapped.time_limit
            limit._elapsed_steps = int(self.clock[_kernels.ELAPSED])
        self.wrapped.checked.num_steps = int(self.clock[_kernels.ELAPSED])
        obs = None if self.clock[_kernels.AWAITS_RESET] else self.obs[0].reshape(self.shape).copy()
        return Progress(*self.progress.tolist()), self.tally.tolist(), obs

    def _arguments(self, until: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns what `_kernels.play` takes; the engine's arrays may have changed since the last stride."""
        env, exploration, buffer, target = self.fixed
        engine = self._engine()
        obs = self.obs[0], self.obs[1], engine[0][1][1]
        changing = self.progress, until, self.clock, self.tally, self.ended, self.heard, obs
        return *changing, env, exploration, buffer, target, engine, self.learning

    def _engine(self) -> tuple[Any, Any]:
        size = self.agent.batch_size
        update = self.engine.update_kernel(self.memory, size, self.sources)  # first, because it may reallocate arrays
        return self.engine.q_values_kernel(1, self.sources), update

    def _env(self) -> tuple[Any, ...]:
        """Returns what `act` takes as `env`."""
        inner, (reset, step) = self.wrapped.inner, self.wrapped.inner.kernels
        state, draws, obs = inner.state, inner.draws, inner.obs
        functions = Function(reset, state, draws, obs), Function(step, state, 0, draws, obs)
        return *functions, state, draws, obs, *self.wrapped.of_steps

    def _functions(self) -> tuple[tuple[Any, ...], ...]:
        """Returns exploration, buffer and target as `play` takes them."""
        select, end_episode = self.exploration.functions
        append, ready, sample, update = self.buffer.functions
        (follow,), own = self.target.functions, self.buffer.state
        obs, next_obs = self.obs
        rows, weights, _, priorities = self.room
        draws, state = self.uniforms.state, self.exploration.state
        exploration = (
            Function(select, self._engine()[0], draws, POINT, state),
            Function(end_episode, state),
            draws,
            state,
        )
        buffer = (
            Function(append, obs, 0, 0.0, next_obs, False, False, own),
            Function(ready, 0, own),
            Function(sample, self.agent.draws[0], rows, weights, own),
            Function(update, rows, priorities, own),
            own,
        )
        networks = self.engine.flat
        target = Function(follow, *networks, POINT, POINT, self.target.state), *networks, self.target.state
        return exploration, buffer, target


def _furthest(before: Progress, num_steps: int, agent: Agent) -> Progress:
    """Returns the furthest point of a stride of some steps, in each unit; many updates per step make it shorter."""
    minibatches = -(-agent.batch_size // (agent.minibatch_size or agent.batch_size))
    updates = num_steps * agent.num_updates * minibatches
    return Progress(before.step + num_steps, before.episode + num_steps, before.updates + min(updates, REACH))


def _noise_sources(agent: Agent) -> Array:
    """Returns the sources of the networks' noise, [purposes, 5]; no rows if they are not noisy."""
    if noise_source(agent.engine.online) is None:
        return np.zeros((0, 5), np.int64)
    return np.stack([source_of_noise(agent.streams(f"{purpose} noise")) for purpose in PURPOSES])


def _kernel(part: Any) -> Kernel:
    return cast(HasKernel, part).kernel()
