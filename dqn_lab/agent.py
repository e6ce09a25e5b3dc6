"""The agent: acts, learns, and has its target network follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dqn_lab.schedule import Every, Progress, progress_of
from dqn_lab.seeding import Streams
from dqn_lab.types import (
    Array,
    Buffer,
    DrawNoise,
    Engine,
    Exploration,
    NetworkNoise,
    Noise,
    Purpose,
    Target,
    TrainingError,
    Update,
)

_NO_NOISE = Noise()
BLOCK = 64  # batches whose numbers are drawn together


class Agent:
    """A deep Q-network agent, put together from its parts.

    Args:
        engine: holds the networks and executes updates.
        buffer: remembers transitions.
        exploration: chooses actions.
        target: moves the target network.
        streams: the run's random generators.
        lr: the learning rate, a function of progress.
        epsilon: the ε of the policy, likewise; None where no update asks for it.
        batch_size: transitions drawn for an update.
        minibatch_size: transitions a gradient step; None for the whole batch in one.
        max_reward: what rewards are clipped to, up and down, before they are remembered; None for no clipping.
        learning_starts: environment steps before the first update; a learning step for which the buffer has no whole
            batch yet is left out.
        interval: environment steps from one learning step to the next.
        num_updates: batches drawn a learning step.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        buffer: Buffer,
        exploration: Exploration,
        target: Target,
        streams: Streams,
        lr: Callable[[Progress], float],
        epsilon: Callable[[Progress], float] | None = None,
        batch_size: int,
        minibatch_size: int | None,
        max_reward: float | None = None,
        learning_starts: int,
        interval: int,
        num_updates: int,
    ) -> None:
        self.engine, self.buffer, self.exploration, self.target = engine, buffer, exploration, target
        self.streams = streams
        self.lr = lr
        self.epsilon = epsilon
        self.batch_size = batch_size
        self.minibatch_size = minibatch_size
        self.max_reward = max_reward
        self.learning = Every(interval, "steps", first=learning_starts)
        self.num_updates = num_updates
        self._draw_online: DrawNoise | None = getattr(engine.online, "draw_noise", None)  # few networks have any
        self._draw_target: DrawNoise | None = getattr(engine.target, "draw_noise", None)
        self._acting = getattr(engine, "acting", engine.q_values)  # an engine may be quicker at one observation
        self._noisy = self._draw_online is not None or minibatch_size is not None
        self._exploration_rng, self._replay_rng = streams("exploration"), streams("replay")
        self._draws: list[NDArray[np.float64]] = []  # of the next batches, the next one last

    def act(self, obs: Any, progress: Progress) -> int:
        """Chooses an action at observation [*O]."""
        if self._draw_online is None:
            return self.exploration.select(lambda: self._acting(obs[None])[0], self._exploration_rng, progress)
        return self.exploration.select(lambda: self._noisy_q_values(obs), self._exploration_rng, progress)

    def observe(self, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool) -> None:
        """Remembers one environment step."""
        if self.max_reward is not None:
            reward = min(max(reward, -self.max_reward), self.max_reward)
        self.buffer.append(0, obs, action, reward, next_obs, terminated, truncated)

    def learn(self, before: Progress, after: Progress) -> tuple[Progress, list[Update]]:
        """Makes the updates due between two points of a run, the target network following after each.

        Returns:
            `after` with its updates counted, and what each update did.

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
            if not self._draws:
                self._draws.extend(self._replay_rng.random((BLOCK, self.batch_size))[::-1])
            batch = self.buffer.sample(self._draws.pop())
            noise = self.draw_noise(len(batch.indices)) if self._noisy else _NO_NOISE
            epsilon = 0.0 if self.epsilon is None else self.epsilon(before)
            update = self.engine.update(batch, noise, self.lr(before), epsilon)
            if not math.isfinite(update.loss):
                raise TrainingError(
                    f"the loss became {update.loss} in episode {before.episode}, step {before.step + 1}: "
                    "lower optimizer.lr, or set optimizer.max_grad_norm (10, say)"
                )
            self.buffer.update_priorities(batch.indices, update.priorities)
            updates.append(update)
            count += update.num_updates
        if updates:
            after = progress_of((after.step, after.episode, count))
        self.target.follow(*self.engine.parameters, now, after)
        return after, updates

    def greedy(self, obs: Any) -> Array:
        """Gives the Q-values [B, A] that evaluation acts on at observations [B, *O]: without noise."""
        return self.engine.q_values(obs)

    def _noisy_q_values(self, obs: Any) -> Array:
        noise = self._draw(self._draw_online, 1, "acting")
        q_values: Array = self._acting(obs[None], noise)[0]
        return q_values

    def draw_noise(self, batch_size: int) -> Noise:
        """Draws all that is random in one update."""
        minibatches = None
        if self.minibatch_size is not None and self.minibatch_size < batch_size:
            order = self.streams("minibatch").permutation(batch_size)
            minibatches = [order[i : i + self.minibatch_size] for i in range(0, batch_size, self.minibatch_size)]
        return Noise(
            minibatches,
            self._draw(self._draw_online, batch_size, "online"),
            self._draw(self._draw_online, batch_size, "selector"),
            self._draw(self._draw_target, batch_size, "target"),
        )

    def _draw(self, draw: DrawNoise | None, batch_size: int, purpose: Purpose) -> NetworkNoise[Array] | None:
        return None if draw is None else draw(self.streams(f"{purpose} noise"), batch_size, purpose)

    def state_dict(self) -> dict[str, Any]:
        """Gives everything that learning goes on from."""
        return {
            "draws": np.array(self._draws[::-1]).reshape(-1, self.batch_size),
            **{name: part.state_dict() for name, part in self._parts().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self._draws = [*state["draws"][::-1].copy()]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "buffer": self.buffer,
            "exploration": self.exploration,
            "streams": self.streams,
        }
