"""The agent: acts, learns, and has its target network follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dqn_lab.schedule import Constant, Every, Progress
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
        learning_starts: int,
        interval: int,
        num_updates: int,
    ) -> None:
        self.engine, self.buffer, self.exploration, self.target = engine, buffer, exploration, target
        self.streams = streams
        self.lr = lr
        self.epsilon = epsilon or Constant(0.0)
        self.batch_size = batch_size
        self.minibatch_size = minibatch_size
        self.learning = Every(interval, "steps", first=learning_starts)
        self.num_updates = num_updates
        self._draw_online: DrawNoise | None = getattr(engine.online, "draw_noise", None)  # few networks have any
        self._draw_target: DrawNoise | None = getattr(engine.target, "draw_noise", None)
        self._exploration_rng, self._replay_rng = streams("exploration"), streams("replay")
        self._draws: NDArray[np.float64] = np.empty((0, batch_size))  # of the next batches
        self._drawn = 0  # of them

    def act(self, obs: Any, progress: Progress) -> int:
        """Chooses an action at observation [*O]."""
        if self._draw_online is None:
            return self.exploration.select(lambda: self.engine.q_values(obs[None])[0], self._exploration_rng, progress)
        return self.exploration.select(lambda: self._noisy_q_values(obs), self._exploration_rng, progress)

    def observe(self, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool, truncated: bool) -> None:
        """Remembers one environment step."""
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
        for number in range(self.num_updates if self.learning.due(before, after) else 0):
            if not self.buffer.ready(self.batch_size):
                break
            if number:
                now = self._follow(now, Progress(before.step, before.episode, count))
            batch = self.buffer.sample(self._draw_batch())
            noise = self.draw_noise(len(batch.indices))
            update = self.engine.update(batch, noise, self.lr(before), self.epsilon(before))
            if not math.isfinite(update.loss):
                raise TrainingError(
                    f"the loss became {update.loss} in episode {before.episode}, step {before.step + 1}: "
                    "lower optimizer.lr, or set optimizer.max_grad_norm (10, say)"
                )
            self.buffer.update_priorities(batch.indices, update.priorities)
            updates.append(update)
            count += update.num_updates
        return self._follow(now, Progress(after.step, after.episode, count) if updates else after), updates

    def greedy(self, obs: Any) -> Array:
        """Gives the Q-values [B, A] that evaluation acts on at observations [B, *O]: without noise."""
        return self.engine.q_values(obs)

    def _noisy_q_values(self, obs: Any) -> Array:
        noise = self._draw(self._draw_online, 1, "acting")
        q_values: Array = self.engine.q_values(obs[None], noise)[0]
        return q_values

    def _draw_batch(self) -> NDArray[np.float64]:
        """Gives the uniform numbers [B] that the next batch is drawn by."""
        if self._drawn == len(self._draws):
            self._draws, self._drawn = self._replay_rng.random((BLOCK, self.batch_size)), 0
        self._drawn += 1
        draws: NDArray[np.float64] = self._draws[self._drawn - 1]
        return draws

    def _follow(self, before: Progress, after: Progress) -> Progress:
        self.target.follow(*self.engine.parameters, before, after)
        return after

    def draw_noise(self, batch_size: int) -> Noise:
        """Draws all that is random in one update."""
        if self._draw_online is None and self.minibatch_size is None:
            return _NO_NOISE
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
            "draws": self._draws[self._drawn :].copy(),
            **{name: part.state_dict() for name, part in self._parts().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self._draws, self._drawn = state["draws"].copy(), 0
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "buffer": self.buffer,
            "exploration": self.exploration,
            "streams": self.streams,
        }
