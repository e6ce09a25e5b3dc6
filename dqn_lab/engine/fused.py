"""A whole update in one call of compiled code: multilayer perceptrons on the CPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqn_lab.bootstrap.double import Double
from dqn_lab.bootstrap.max import Max
from dqn_lab.bootstrap.munchausen import Munchausen
from dqn_lab.engine import _layout
from dqn_lab.network.mlp import MLP
from dqn_lab.optimizer.adam import Adam
from dqn_lab.optimizer.adamw import AdamW
from dqn_lab.optimizer.keras_adam import KerasAdam
from dqn_lab.optimizer.rmsprop import RMSprop
from dqn_lab.optimizer.sgd import SGD
from dqn_lab.registry import register
from dqn_lab.schedule import Progress
from dqn_lab.types import Array, Batch, Bootstrap, NetworkNoise, Noise, Optimizer, Transition, Update, Value
from dqn_lab.value.expected import Expected

SUPPORTED = {  # key: the values it may have
    "network.name": ("mlp",),
    "network.activation": ("relu", "tanh"),
    "network.noisy": (False,),
    "value.name": ("expected",),
    "bootstrap.name": ("max", "double", "munchausen"),
    "buffer.name": ("uniform", "prioritized", "none"),
    "optimizer.name": ("adam", "adamw", "keras_adam", "rmsprop", "sgd"),
    "device": ("cpu",),
}

BOOTSTRAPS: dict[type, int] = {Max: _layout.MAX, Double: _layout.DOUBLE, Munchausen: _layout.MUNCHAUSEN}


@register("engine", "fused")
class FusedEngine:
    """Runs an update as compiled kernels, in place on the networks' own memory.

    Each network's parameters become views of one flat array: what the kernels write is what the module, a checkpoint
    and a target network's copy read. The engine owns the optimiser's moments; there is no `torch.optim` object. Held to
    `torch` by tests: in float64 to 1e-10.

    Args:
        online: a multilayer perceptron.
        target: the target network; the online one itself where there is none.
        value: the expected return.
        bootstrap: max, double or munchausen.
        optimizer: how a gradient becomes a step.
        device: the CPU.

    Raises:
        ValueError: something else than these.
    """

    @classmethod
    def check(cls, config: Mapping[str, Any]) -> Iterator[str]:
        """It runs on device cpu: network mlp with relu or tanh, not noisy; value expected; bootstrap max,
        double, munchausen; buffer uniform, prioritized, none; optimizer adam, adamw, keras_adam, rmsprop, sgd.
        """  # noqa: D205 (one list, which `components` shows)
        for key, values in SUPPORTED.items():
            group, _, name = key.partition(".")
            if name and name not in config[group]:
                continue  # another component's key, which is refused by its name
            value = config[group][name] if name else config[group]
            if value not in values:
                yield f"engine=fused: does not run {key}={_word(value)}, only {_word(*values)}; engine=torch does"

    def __init__(
        self,
        online: nn.Module,
        target: nn.Module,
        value: Value,
        bootstrap: Bootstrap,
        optimizer: Optimizer,
        device: torch.device,
    ) -> None:
        self.online, self.target = online, target
        self.value, self.bootstrap = value, bootstrap
        plan = _plan(online, value, bootstrap, optimizer)
        flat = _flatten(online)
        flat_target = flat if target is online else _flatten(target)
        self.parameters = [flat], [flat_target]
        self._params, self._target_params = flat.numpy(), flat_target.numpy()
        self._plan = np.array(plan, np.int64)
        self._state = np.zeros((3, len(flat)), self._params.dtype)  # two moments and the gradient
        self._held = self._params, self._target_params, self._state, self._plan, _settings(value, bootstrap, optimizer)
        self._lr = optimizer.lr(Progress())
        self._no_weights = np.empty(0, self._params.dtype)
        self._memory: Transition[Array] | None = None
        self._reserve(1)
        from dqn_lab import _numba  # numba is imported by those who use it
        from dqn_lab.engine import _update

        self._prepare, self._q_values, self._update = _numba.prepare, _update.q_values, _update.update
        out = np.empty((1, self._num_actions), self._params.dtype)
        acting = (out, *self._single, self._rows, self._params, self._plan, self._space)
        self._q_values = _numba.prepare(_update.q_values, *acting)

    def q_values(self, obs: Array, noise: NetworkNoise[Array] | None = None) -> Array:
        """Gives the online network's expected values [B, A] at observations [B, *O]."""
        batch_size = len(obs)
        if batch_size > len(self._rows):
            self._reserve(batch_size)
        seen, rows = self._single if batch_size == 1 else (self._seen[:batch_size], self._rows[:batch_size])
        seen[:] = obs if obs.ndim == 2 else obs.reshape(batch_size, -1)
        out = np.empty((batch_size, self._num_actions), self._params.dtype)
        self._q_values(out, seen, rows, rows, self._params, self._plan, self._space)
        return out

    def update(self, batch: Batch, noise: Noise, lr: float | None = None, epsilon: float = 0.0) -> Update:
        """Computes the whole batch's target once, then takes a gradient step on each minibatch of it."""
        rows, batch_size = batch.rows, len(batch.rows)
        if batch_size > len(self._rows):
            self._reserve(batch_size)
        if noise.minibatches is None:
            num_updates, size = 1, batch_size
            order = self._rows if batch_size == len(self._rows) else self._rows[:batch_size]
        else:
            num_updates, size = len(noise.minibatches), len(noise.minibatches[0])
            order = np.concatenate(noise.minibatches)
            if [*range(0, batch_size, size)] != [*np.cumsum([0, *map(len, noise.minibatches[:-1])])]:
                raise ValueError("minibatches must all have one size, but for the last, which may be smaller")
        weights = self._no_weights if batch.weights is None else batch.weights.astype(self._params.dtype, copy=False)
        priorities = np.empty(batch_size, self._params.dtype)
        rest = (rows, weights, order, size, self._lr if lr is None else lr, *self._held, self._space, priorities)
        if batch.memory is not self._memory:
            self._read(batch.memory, rest)
        loss, q_value = self._update(*self._arrays, *rest)
        return Update(loss, q_value, priorities, num_updates)

    def _reserve(self, batch_size: int) -> None:
        """Makes room for batches of up to this size."""
        widths = self._plan[_layout.WIDTHS :].tolist()
        self._num_actions = widths[-1] - self._plan[_layout.DUELING]
        self._rows = np.arange(batch_size)
        self._seen = np.zeros((batch_size, widths[0]), self._params.dtype)
        self._single = self._seen[:1], self._rows[:1]
        self._space = np.zeros(_layout.space_needed(widths, batch_size), self._params.dtype)

    def _read(self, memory: Transition[Array], rest: tuple[Any, ...]) -> None:
        """Keeps a memory's arrays as the kernel reads them, the same ones unless their layout is unusual."""
        obs, action, reward, next_obs, discount = (np.require(array, requirements=["C", "W"]) for array in memory)
        flat = obs.reshape(len(obs), -1), next_obs.reshape(len(next_obs), -1)
        self._arrays = flat[0], action.astype(np.int64, copy=False), reward, flat[1], discount
        same = all(np.shares_memory(mine, theirs) for mine, theirs in zip(self._arrays, memory, strict=True))
        self._memory = memory if same else None  # a copy is good for one update
        self._update = self._prepare(self._update, *self._arrays, *rest)

    def state_dict(self) -> dict[str, Any]:
        """Gives both networks' parameters and the optimiser's state."""
        moments = torch.from_numpy(self._state[:2].copy())
        return {
            "online": self.online.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": {"moments": moments, "step": int(self._plan[_layout.NUMBER])},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Puts back what `state_dict` gave."""
        self.online.load_state_dict(state["online"])
        self.target.load_state_dict(state["target"])
        self._state[:2] = state["optimizer"]["moments"].numpy()
        self._plan[_layout.NUMBER] = state["optimizer"]["step"]


def _word(*values: Any) -> str:
    return ", ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)


def _flatten(network: nn.Module) -> Tensor:
    """Makes a network's parameters views of one flat array, and gives that."""
    parameters = _ordered(network)
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    for parameter, part in zip(
        parameters, torch.split(flat, [parameter.numel() for parameter in parameters]), strict=True
    ):
        parameter.data = part.view_as(parameter)
    return flat


def _ordered(network: nn.Module) -> list[nn.Parameter]:
    """Lists a network's parameters as the kernels have them: a dueling network's streams are rows of one last layer."""
    parameters = list(network.parameters())
    if getattr(network.head, "value", None) is not None:
        weight, bias = parameters[-4::2], parameters[-3::2]
        parameters[-4:] = [*weight, *bias]
    return parameters


def _plan(network: nn.Module, value: Value, bootstrap: Bootstrap, optimizer: Optimizer) -> list[int]:
    """Writes the composition down as the kernels read it."""
    if type(network) is not MLP or type(value) is not Expected or type(bootstrap) not in BOOTSTRAPS:
        raise ValueError(
            "engine=fused knows the network mlp, the value expected, the bootstraps max, double, munchausen"
        )
    if network.noise_size:
        raise ValueError("engine=fused does not know noisy networks")
    layers, dueling = network.layers, network.head.value is not None
    kinds = [type(layer) for layer in layers]
    if not set(kinds) <= {nn.Linear, nn.LayerNorm, nn.ReLU, nn.Tanh}:
        raise ValueError("engine=fused knows the activations relu and tanh")
    activation = _layout.TANH if nn.Tanh in kinds else _layout.RELU
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    widths = [linear[0].in_features, *(layer.out_features for layer in linear)]
    if dueling:
        widths[-2:] = [sum(widths[-2:])]
    choices = [activation, nn.LayerNorm in kinds, dueling, BOOTSTRAPS[type(bootstrap)]]
    choices += [value.kappa is not None, value.all_actions, _rule(optimizer)]
    return [*map(int, choices), 0, max(widths), *widths]


def _rule(optimizer: Optimizer) -> int:
    rules = {
        Adam: _layout.ADAM, AdamW: _layout.ADAMW, KerasAdam: _layout.KERAS_ADAM, RMSprop: _layout.RMSPROP,
        SGD: _layout.NESTEROV if getattr(optimizer, "nesterov", False) else _layout.SGD,
    }  # fmt: skip
    if type(optimizer) not in rules:
        raise ValueError(f"engine=fused does not know the optimizer {type(optimizer).__name__}")
    return rules[type(optimizer)]


def _settings(value: Value, bootstrap: Bootstrap, optimizer: Optimizer) -> Array:
    """Writes the numbers down that the kernels need."""
    settings = np.zeros(_layout.NUM_SETTINGS)
    beta1, beta2 = getattr(optimizer, "betas", (0.0, getattr(optimizer, "alpha", 0.0)))
    settings[_layout.BETA1], settings[_layout.BETA2] = beta1, beta2
    settings[_layout.EPS] = getattr(optimizer, "eps", 0.0)
    settings[_layout.WEIGHT_DECAY] = getattr(optimizer, "weight_decay", 0.0)
    settings[_layout.MOMENTUM] = getattr(optimizer, "momentum", 0.0)
    settings[_layout.MAX_GRAD_VALUE] = math.inf if optimizer.max_grad_value is None else optimizer.max_grad_value
    settings[_layout.MAX_GRAD_NORM] = math.inf if optimizer.max_grad_norm is None else optimizer.max_grad_norm
    settings[_layout.KAPPA] = getattr(value, "kappa", None) or 0.0
    settings[_layout.SCALE] = getattr(bootstrap, "scale", 0.0)
    settings[_layout.TEMPERATURE] = getattr(bootstrap, "temperature", 0.0)
    settings[_layout.CLIP] = getattr(bootstrap, "clip", 0.0)
    return settings
