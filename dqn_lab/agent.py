"""The agent: acts, learns, and updates its target network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from dqn_lab.hooks import ActsFast, DrawsNoise, EpsilonGreedy, FollowsEpsilon, noise_source
from dqn_lab.schedule import Every, Progress, progress_of
from dqn_lab.seeding import Streams, Uniforms
from dqn_lab.types import (
    Array,
    Batch,
    Buffer,
    Diagnostics,
    Engine,
    Exploration,
    NetworkNoise,
    Noise,
    Optimizer,
    Purpose,
    Stateful,
    Target,
    TrainingError,
    Update,
)

_NO_NOISE = Noise()
BLOCK = 64  # batches whose random numbers are drawn together


class Agent:
    """A deep Q-network agent, composed of its parts.

    Args:
        engine: owns the networks and executes updates.
        buffer: stores transitions.
        exploration: chooses actions.
        target: updates the target network.
        streams: the run's random generators.
        optimizer: its `lr` is the learning rate, a function of progress.
        batch_size: transitions sampled per update.
        minibatch_size: transitions per gradient step; None for the whole batch.
        max_reward: rewards are clipped to ± this before they are stored; None for no clipping.
        learning_starts: environment steps before the first update; learning steps are skipped until the buffer holds a
            full batch.
        interval: environment steps from one learning step to the next.
        num_updates: batches per learning step.
        diagnostics: measures learning; None for no measurements.
        outside: the components from outside the package, as `group=name`, for error messages.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        buffer: Buffer,
        exploration: Exploration,
        target: Target,
        streams: Streams,
        optimizer: Optimizer,
        batch_size: int,
        minibatch_size: int | None,
        max_reward: float | None = None,
        learning_starts: int,
        interval: int,
        num_updates: int,
        diagnostics: Diagnostics | None = None,
        outside: Sequence[str] = (),
    ) -> None:
        self.engine, self.buffer, self.exploration, self.target = engine, buffer, exploration, target
        self.streams, self.diagnostics, self.outside = streams, diagnostics, outside
        self.optimizer, self.lr = optimizer, optimizer.lr
        self.epsilon: Callable[[Progress], float] | None = None  # of the policy, for a bootstrap that uses it
        if isinstance(engine.bootstrap, FollowsEpsilon) and isinstance(exploration, EpsilonGreedy):
            self.epsilon = exploration.policy_epsilon
        self.batch_size = batch_size
        self.minibatch_size = minibatch_size
        self.max_reward = max_reward
        self.learning = Every(interval, "steps", first=learning_starts)
        self.num_updates = num_updates
        self._minibatch_rng = streams("replay" if minibatch_size is None else "minibatch")  # created now, if used
        self._acting = engine.acting if isinstance(engine, ActsFast) else engine.q_values
        self._online_noise, self._target_noise = noise_source(engine.online), noise_source(engine.target)
        for purpose in () if self._online_noise is None else get_args(Purpose):
            streams(f"{purpose} noise")  # created now, so that every saved state includes them
        self._draws_noise = self._online_noise is not None or minibatch_size is not None
        self.uniforms, self._replay_rng = Uniforms(streams("exploration")), streams("replay")
        self.draws, self.num_drawn = np.zeros((BLOCK, batch_size)), BLOCK  # for the next batches; how many are used

    def act(self, obs: Any, progress: Progress, env_index: int = 0) -> int:
        """Chooses an action at observation [*O]."""
        if self._online_noise is not None:
            return self.exploration.select(lambda: self._noisy_q_values(obs), self.uniforms, env_index, progress)
        return self.exploration.select(lambda: self._acting(obs[None])[0], self.uniforms, env_index, progress)

    def observe(
        self, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool, env_index: int = 0
    ) -> None:
        """Stores one environment step."""
        if self.max_reward is not None:
            reward = min(max(reward, -self.max_reward), self.max_reward)
        self.buffer.append(env_index, obs, action, reward, next_obs, terminated, truncated)
        if self.diagnostics is not None:
            self.diagnostics.observe(obs, reward, terminated or truncated)
        if terminated or truncated:
            self.exploration.end_episode(env_index)

    def learn(self, before: Progress, after: Progress) -> tuple[Progress, list[Update]]:
        """Performs the updates due between two points of a run, and moves the target network after each.

        Returns:
            `after` with its updates counted, and the result of each update.

        Raises:
            TrainingError: a loss was not finite.
        """
        updates: list[Update] = []
        now, count = before, before.updates
        num_updates = self.num_updates if self.learning.due(before, after) else 0
        while len(updates) < num_updates and self.buffer.ready(self.batch_size):
            if updates:
                now, previous = progress_of((before.step, before.episode, count)), now
                self.target.follow(*self.engine.parameters, previous, now)
            batch = self.buffer.sample(self._next_draws())
            noise = self.draw_noise(len(batch.indices)) if self._draws_noise else _NO_NOISE
            epsilon = 0.0 if self.epsilon is None else self.epsilon(before)
            if self.diagnostics is not None:
                self.diagnostics.before_update(batch, noise, epsilon)
            update = self.engine.update(batch, noise, self.lr(before), epsilon)
            if not math.isfinite(update.loss):
                raise loss_error(update.loss, before, batch, self.outside)
            self.buffer.update_priorities(batch.indices, update.priorities)
            if self.diagnostics is not None:
                self.diagnostics.after_update()
            updates.append(update)
            count += update.num_updates
        if updates:
            after = progress_of((after.step, after.episode, count))
        self.target.follow(*self.engine.parameters, now, after)
        return after, updates

    def _next_draws(self) -> NDArray[np.float64]:
        if self.num_drawn == BLOCK:
            self._replay_rng.random(out=self.draws)
            self.num_drawn = 0
        self.num_drawn += 1
        draws: NDArray[np.float64] = self.draws[self.num_drawn - 1]
        return draws

    def greedy(self, obs: Any) -> Array:
        """Returns the Q-values [B, A] of observations [B, *O] without noise, as evaluation uses them."""
        return self.engine.q_values(obs)

    def _noisy_q_values(self, obs: Any) -> Array:
        noise = self._draw(self._online_noise, 1, "acting")
        q_values: Array = self._acting(obs[None], noise)[0]
        return q_values

    def draw_noise(self, batch_size: int) -> Noise:
        """Draws all the random numbers of one update."""
        minibatches = None
        size = self.minibatch_size
        if size is not None and size < batch_size:
            order = self._minibatch_rng.permutation(batch_size)
            minibatches = [order[i : i + size] for i in range(0, batch_size, size)]
        return Noise(
            minibatches,
            self._draw(self._online_noise, batch_size, "online"),
            self._draw(self._online_noise, batch_size, "selector"),
            self._draw(self._target_noise, batch_size, "target"),
        )

    def _draw(self, source: DrawsNoise | None, batch_size: int, purpose: Purpose) -> NetworkNoise[Array] | None:
        return None if source is None else source.draw_noise(self.streams(f"{purpose} noise"), batch_size, purpose)

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that acting and learning depend on."""
        return {
            "draws": self.draws[self.num_drawn :].copy(),
            **{name: part.state_dict() for name, part in self._parts().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.num_drawn = BLOCK - len(state["draws"])
        self.draws[self.num_drawn :] = state["draws"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        choices = {"value": self.engine.value, "bootstrap": self.engine.bootstrap, "optimizer": self.optimizer}
        others = {**choices, "target": self.target, "exploration": self.exploration}  # few of which have a state
        return {
            **{name: part for name, part in others.items() if isinstance(part, Stateful)},
            "engine": self.engine,
            "buffer": self.buffer,
            "uniforms": self.uniforms,
            "streams": self.streams,
            **({} if self.diagnostics is None else {"diagnostics": self.diagnostics}),
        }


def action_problem(exploration: Exploration, action: Any, num_actions: int) -> str | None:
    """Returns what is wrong with an action that an exploration chose, or None if it is valid."""
    if isinstance(action, int | np.integer) and 0 <= action < num_actions:
        return None
    name = f"{type(exploration).__module__}:{type(exploration).__qualname__}"
    return f"exploration={name} returned {action!r}; must be an integer from 0 to {num_actions - 1}"


def loss_error(loss: float, before: Progress, batch: Batch, outside: Sequence[str]) -> TrainingError:
    """Returns the error for a loss that is not finite, in the step that follows `before`.

    Args:
        loss: the loss.
        before: the point of the run before the step.
        batch: what was learned from.
        outside: the components from outside the package.
    """
    where = f"in episode {before.episode}, step {before.step + 1}"
    return TrainingError(f"the loss became {loss} {where}: {_reason(batch, outside, before.updates)}")


def _reason(batch: Batch, outside: Sequence[str], updates: int) -> str:
    """Returns the likely reason why a batch's loss is not finite, or else what to try."""
    obs, _, reward, next_obs, _ = batch.transition
    for name, field in (("an observation", obs), ("an observation", next_obs), ("a reward", reward)):
        if np.issubdtype(field.dtype, np.floating) and not np.isfinite(field).all():
            return f"{name} that the environment returned is not a finite number"
    hint = "lower optimizer.lr, or set optimizer.max_grad_norm (10, say)"
    if not updates:  # no step has been taken yet, so none was too large
        hint = "in the first update, a setting, observation or reward is too large or too small for single precision"
    if not outside:
        return hint
    return f"{', '.join(outside)} may have returned NaN or too large numbers; if not, {hint}"
