"""The engine that runs a whole update in compiled code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from dqn_lab.engine.fused import layout, support
from dqn_lab.engine.fused.plan import flatten, make_plan, make_settings
from dqn_lab.hooks import noise_source
from dqn_lab.registry import register
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Batch, Bootstrap, NetworkNoise, Noise, Optimizer, Transition, Update, Value


@register("engine", "fused")
class FusedEngine:
    """Runs an update as compiled kernels, in place on the networks' own memory.

    Each network's parameters become views of one flat array: what the kernels write is what the module, a checkpoint
    and a target network's copy read. The engine owns the optimiser's moments; there is no `torch.optim` object. Tests
    compare it with `torch`: equal to 1e-10 in float64.

    Args:
        online: a multilayer perceptron.
        target: the target network; the online network itself if there is no target network.
        value: how a return is represented.
        bootstrap: estimates the next state's value.
        optimizer: turns gradients into steps.
        device: the CPU.

    Raises:
        ValueError: one of them is not in the table of `support.py`.
    """

    @classmethod
    def check(cls, config: Mapping[str, Any]) -> Iterator[str]:
        for problem in support.refusals(support.configured(config)):
            yield f"engine=fused: {problem}; engine=torch does"

    check.__func__.__doc__ = support.describe()  # type: ignore[attr-defined]

    def __init__(
        self,
        online: nn.Module,
        target: nn.Module,
        value: Value,
        bootstrap: Bootstrap,
        optimizer: Optimizer,
        device: torch.device,
    ) -> None:
        names = support.identify(online, value, bootstrap, optimizer, device)
        from dqn_lab import _numba  # imported late, because it takes long
        from dqn_lab.engine.fused import workspace
        from dqn_lab.engine.fused.update import make_kernels

        q_values, update = make_kernels(names["value.name"], names["network.noisy"])
        self.online, self.target = online, target
        self.value, self.bootstrap = value, bootstrap
        self._draws_noise = noise_source(online) is not None
        self._plan = make_plan(names, online, value, optimizer)
        flat = flatten(online, self._plan)
        flat_target = flat if target is online else flatten(target, self._plan)
        self.parameters = [flat], [flat_target]
        self._params, self._target_params = flat.numpy(), flat_target.numpy()
        self._state = np.zeros((3, len(flat)), self._params.dtype)  # two moments and the gradient
        self._settings = make_settings(value, bootstrap, optimizer)
        self._composition = self._plan, self._settings
        self._held = self._params, self._target_params, self._state, *self._composition
        self._lr = optimizer.lr(Progress())
        self._no_weights = np.empty(0, self._params.dtype)
        self._memory: Transition[Array] | None = None
        self._evaluate: Any = None  # the kernels as compiled code calls them
        self._act: Any = None
        self._learn: Any = None
        self._learn_noisily: Any = None
        self._drawn = np.zeros(self._plan[layout.NOISE_SIZE], np.float32)  # room for noise
        self._allocate, self._prepare, self._update = workspace.allocate, _numba.prepare, update
        self._reserve(1)
        out = np.empty((1, self._num_actions), self._params.dtype)
        acting = (out, *self._single, self._rows, self._params, *self._composition, self._space)
        self._q_values = _numba.prepare(q_values, *acting)

    def q_values(self, obs: Array, noise: NetworkNoise[Array] | None = None) -> Array:
        """Returns the online network's expected values [B, A] at observations [B, *O]."""
        return self._values_of(self._params, obs, noise)

    def target_q_values(self, obs: Array) -> Array:
        """Returns the target network's expected values [B, A] at observations [B, *O], without noise."""
        return self._values_of(self._target_params, obs, None)

    def _values_of(self, params: Array, obs: Array, noise: NetworkNoise[Array] | None) -> Array:
        batch_size = len(obs)
        if batch_size > len(self._rows):
            self._reserve(batch_size)
        seen, rows = self._single if batch_size == 1 else (self._seen[:batch_size], self._rows[:batch_size])
        seen[:] = obs if obs.ndim == 2 else obs.reshape(batch_size, -1)
        out = np.empty((batch_size, self._num_actions), self._params.dtype)
        if self._draws_noise:
            self._hear(layout.ACTING, noise, batch_size)
        self._q_values(out, seen, rows, rows, params, *self._composition, self._space)
        return out

    def update(self, batch: Batch, noise: Noise, lr: float | None = None, epsilon: float = 0.0) -> Update:
        """Computes the whole batch's target once, then takes a gradient step on each minibatch of it."""
        rows = np.ascontiguousarray(batch.rows, np.int64)
        batch_size = len(rows)
        if batch_size > len(self._rows):
            self._reserve(batch_size)
        if noise.minibatches is None:
            num_updates, size = 1, batch_size
            order = self._rows if batch_size == len(self._rows) else self._rows[:batch_size]
        else:
            num_updates, size = len(noise.minibatches), len(noise.minibatches[0])
            order = np.concatenate(noise.minibatches)
            if [*range(0, batch_size, size)] != [*np.cumsum([0, *map(len, noise.minibatches[:-1])])]:
                raise ValueError("all minibatches must have the same size, except the last, which may be smaller")
        weights = self._no_weights
        if batch.weights is not None:
            weights = np.ascontiguousarray(batch.weights, self._params.dtype)
        priorities = np.empty(batch_size, self._params.dtype)
        rest = (weights, order, size, self._lr if lr is None else lr, *self._held, self._space, priorities)
        self._settings[layout.EPSILON] = epsilon
        for purpose, own in enumerate(noise[1:]) if self._draws_noise else ():
            self._hear(purpose, own, batch_size)
        if batch.memory is not self._memory:
            rows = self._read(batch, rows, rest)
        loss, q_value = self._update(*self._arrays, rows, *rest)
        return Update(loss, q_value, priorities, num_updates)

    @property
    def flat(self) -> tuple[Array, Array]:
        """Both networks' parameters, flat; one array if there is no target network."""
        return self._params, self._target_params

    def q_values_kernel(self, batch_size: int, sources: Array | None = None) -> tuple[Any, ...]:
        """Returns a function and its arguments: the first are the Q-values [B, A], the second observations [B, I].

        An update, or another call of this method, may replace them.

        Args:
            batch_size: B.
            sources: the sources of noise, see `noise.draw_noise`; None for no noise.
        """
        from dqn_lab._function import Function

        if batch_size > len(self._rows):
            self._reserve(batch_size)
        out, rows = np.empty((batch_size, self._num_actions), self._params.dtype), self._rows[:batch_size]
        self._hear(layout.ACTING, None, batch_size)
        arguments = out, self._seen[:batch_size], rows, rows, self._params, *self._composition, self._space
        self._evaluate = self._evaluate or Function(self._q_values, *arguments)
        if sources is None or not self._draws_noise:
            return self._evaluate, arguments
        from dqn_lab.engine.fused.noise import act

        noisy = *arguments, self._evaluate, (sources, self._drawn)
        self._act = self._act or Function(act, *noisy)
        return self._act, noisy

    def update_kernel(self, memory: Transition[Array], batch_size: int, sources: Array) -> tuple[Any, ...]:
        """Returns what `update.call_update` takes, for batches of up to this size; valid for as long as above.

        Args:
            memory: the stored transitions, with observations as [N, I].
            batch_size: the largest batch size.
            sources: the sources of noise, see `noise.draw_noise`.
        """
        from dqn_lab._function import Function

        if batch_size > len(self._rows):
            self._reserve(batch_size)
        noise: tuple[Any, ...] = ()
        rows, priorities = np.zeros(1, np.int64), np.zeros(1, self._params.dtype)
        arguments = *memory, rows, self._no_weights, rows, 1, 0.0, *self._held, self._space, priorities
        self._learn = self._learn or Function(self._update, *arguments)
        if self._draws_noise:
            from dqn_lab.engine.fused.noise import learn

            noise = self._learn, (sources, self._drawn)
            self._learn_noisily = self._learn_noisily or Function(learn, *arguments, *noise)
        return self._learn_noisily or self._learn, tuple(memory), self._held, self._space, noise

    def _reserve(self, batch_size: int) -> None:
        """Allocates the workspace for batches up to this size."""
        self._num_actions, num_observed = self._plan[layout.NUM_ACTIONS], layout.num_observed(self._plan)
        self._rows = np.arange(batch_size)
        self._seen = np.zeros((batch_size, num_observed), self._params.dtype)
        self._single = self._seen[:1], self._rows[:1]
        self._space = self._allocate(self._plan, batch_size, self._params.dtype)
        begin, size = self._plan[layout.NOISE], self._plan[layout.NOISE_SIZE]
        self._noise = self._space[begin : begin + len(layout.PURPOSES) * size].reshape(len(layout.PURPOSES), size)
        counts = np.cumsum([0, *self._plan[layout.COUNTS : layout.COUNTS + len(layout.PURPOSES)]])
        self._places = [slice(*pair) for pair in pairwise(counts)]
        begin, size = self._plan[layout.FRACTIONS], batch_size * counts[-1] * (self._plan[layout.NUM_COSINES] > 0)
        self._fractions = self._space[begin : begin + size].reshape(-1, counts[-1])

    def _hear(self, purpose: int, noise: NetworkNoise[Array] | None, batch_size: int) -> None:
        """Writes a forward pass's noise where the kernels read it; without noise, 0, and midpoints as fractions."""
        shared, rows = noise or (None, None)
        if self._noise.size:
            self._noise[purpose] = 0 if shared is None else shared
        if self._fractions.size:
            place = self._places[purpose]
            number = place.stop - place.start
            midpoints = (2 * np.arange(number) + 1) / (2 * number)
            self._fractions[:batch_size, place] = midpoints if rows is None else rows

    def _read(self, batch: Batch, rows: Array, rest: tuple[Any, ...]) -> Array:
        """Sets the arrays that the kernel reads, and returns the batch's rows in them.

        They are the memory's own arrays, which are kept, or a copy of the batch if the kernel cannot read those.
        """
        readable = all(map(_is_readable, batch.memory)) and batch.memory.action.dtype == np.int64
        fields = batch.memory
        if not readable:
            fields, rows = batch.transition, np.arange(len(rows))
            action = fields.action.astype(np.int64)
            fields = Transition(*(np.array(field, self._params.dtype, order="C") for field in fields))
            fields = fields._replace(action=action)
        obs, action, reward, next_obs, discount = fields
        self._arrays = obs.reshape(len(obs), -1), action, reward, next_obs.reshape(len(next_obs), -1), discount
        self._memory = batch.memory if readable else None
        self._update = self._prepare(self._update, *self._arrays, rows, *rest)
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Returns both networks' parameters and the optimiser's state."""
        moments, product = torch.from_numpy(self._state[:2].copy()), float(self._settings[layout.MOMENTUM_PRODUCT])
        return {
            "online": self.online.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": {"moments": moments, "step": int(self._plan[layout.NUM_UPDATES]), "product": product},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.online.load_state_dict(state["online"])
        self.target.load_state_dict(state["target"])
        self._state[:2] = state["optimizer"]["moments"].numpy()
        self._plan[layout.NUM_UPDATES] = state["optimizer"]["step"]
        self._settings[layout.MOMENTUM_PRODUCT] = state["optimizer"]["product"]


def _is_readable(field: Array) -> bool:
    """Returns whether kernels can read an array without converting it."""
    is_number = field.dtype.kind in "biu" or field.dtype in (np.float32, np.float64)
    return bool(field.dtype.isnative and is_number and field.flags.c_contiguous and field.flags.writeable)
