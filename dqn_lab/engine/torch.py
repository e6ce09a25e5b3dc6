"""Eager PyTorch: the reference for every other engine, for any component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqn_lab.registry import register
from dqn_lab.types import (
    Array,
    Batch,
    Bootstrap,
    Bootstrapped,
    Engine,
    Loss,
    NetworkNoise,
    Noise,
    Optimizer,
    T,
    Transition,
    Update,
    Value,
)


class BatchQValues:
    """Q-values of a batch at s and s′, and its targets; each is computed on first use."""

    def __init__(self, engine: Engine, transition: Transition[Tensor], noise: Noise, epsilon: float | Tensor) -> None:
        self.engine, self.transition, self.noise, self.epsilon = engine, transition, noise, epsilon

    @cached_property
    def bootstrapped(self) -> Bootstrapped:
        return self.engine.bootstrap(self, self.transition.action)

    @cached_property
    def targets(self) -> Tensor:  # [B, …]
        bootstrapped = self.bootstrapped
        current: Callable[[], Tensor] = lambda: self.online_outputs  # noqa: E731 (computed only if asked for)
        return self.engine.value.target(self.transition, self.target_outputs, bootstrapped, current)

    @cached_property
    def target_outputs(self) -> Tensor:  # [B, A, K] at s′
        return forward(self.engine.target, self.transition.next_obs, self.noise.target)

    @cached_property
    def target_next(self) -> Tensor:  # [B, A]
        return self.engine.value.q_values(self.target_outputs)

    @cached_property
    def target_obs(self) -> Tensor:  # [B, A]
        return self.engine.value.q_values(forward(self.engine.target, self.transition.obs, self.noise.target))

    @cached_property
    def online_next(self) -> Tensor:  # [B, A]
        return self.engine.value.q_values(forward(self.engine.online, self.transition.next_obs, self.noise.selector))

    @cached_property
    def online_outputs(self) -> Tensor:  # [B, A, K] at s
        return forward(self.engine.online, self.transition.obs, self.noise.online)


@register("engine", "torch")
class TorchEngine:
    """Runs an update as eager modules, autograd and a `torch.optim` optimiser.

    Args:
        online: maps observations [B, *O], and noise if it is noisy, to outputs [B, A, K].
        target: the target network; the online network itself if there is no target network.
        value: interprets the outputs, and computes the target and the loss.
        bootstrap: estimates the next state's value.
        optimizer: turns gradients into steps.
        device: the networks' device.
    """

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
        self.max_grad_value, self.max_grad_norm = optimizer.max_grad_value, optimizer.max_grad_norm
        self.parameters: tuple[Sequence[Tensor], Sequence[Tensor]]
        parameters = list(online.parameters())  # a list, because an optimizer may read it twice
        self.parameters = parameters, list(target.parameters())
        self.optimizer = optimizer.build(parameters)
        self.device = device

    @torch.inference_mode()
    def q_values(self, obs: Array, noise: NetworkNoise[Array] | None = None) -> Array:
        """Returns the online network's expected values [B, A] at observations [B, *O]."""
        batch = self._tensor(np.array(obs))  # a copy, because torch does not accept read-only or reversed views
        return self.value.q_values(forward(self.online, batch, self._noise_tensors(noise))).cpu().numpy()

    def update(self, batch: Batch, noise: Noise, lr: float | None = None, epsilon: float = 0.0) -> Update:
        """Computes the whole batch's target once, then takes a gradient step on each minibatch of it."""
        for group in self.optimizer.param_groups if lr is not None else ():
            group["lr"] = lr
        transition = Transition(*map(self._tensor, batch.transition))
        weights = None if batch.weights is None else self._tensor(batch.weights)
        noise = Noise(noise.minibatches, *map(self._noise_tensors, noise[1:]))
        target = self.targets(transition, noise, epsilon)  # [B, …]
        if noise.minibatches is None:
            return _summarize(self.descend(transition.obs, transition.action, target, weights, noise.online), 1)
        judged = []
        for rows in map(self._tensor, noise.minibatches):
            part = None if weights is None else weights[rows]
            own = of_rows(noise.online, rows)
            judged.append(self.descend(transition.obs[rows], transition.action[rows], target[rows], part, own))
        order = np.argsort(np.concatenate(noise.minibatches))
        whole = Loss(*(torch.cat(field)[self._tensor(order)] for field in zip(*judged, strict=True)))
        return _summarize(whole, len(judged))

    @torch.no_grad()
    def targets(self, transition: Transition[Tensor], noise: Noise, epsilon: float | Tensor = 0.0) -> Tensor:
        """Returns the targets of the online network's outputs, [B, …]."""
        return BatchQValues(self, transition, noise, epsilon).targets

    def descend(
        self, obs: Tensor, action: Tensor, target: Tensor, weights: Tensor | None, noise: NetworkNoise[Tensor] | None
    ) -> Loss:
        """Takes a gradient step on a minibatch towards the targets [B, …]; returns the losses before the step."""
        judged = judge(self, obs, action, target, weights, noise)
        loss = judged.loss.mean()
        for parameter in self.parameters[0]:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self.max_grad_value is not None:
            nn.utils.clip_grad_value_(self.parameters[0], self.max_grad_value)
        if self.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters[0], self.max_grad_norm)
        self.optimizer.step()
        return judged._replace(loss=judged.loss.detach())

    def _tensor(self, array: Array) -> Tensor:
        return put(array, self.device)

    def _noise_tensors(self, noise: NetworkNoise[Array] | None) -> NetworkNoise[Tensor] | None:
        return put_noise(noise, self.device)

    def state_dict(self) -> dict[str, Any]:
        """Returns both networks' parameters and the optimiser's state."""
        return {
            "online": self.online.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self.online.load_state_dict(state["online"])
        self.target.load_state_dict(state["target"])
        self.optimizer.load_state_dict(state["optimizer"])


def put(array: Array, device: torch.device) -> Tensor:
    """Returns the array as a tensor on the device; on the CPU the two share their memory."""
    tensor = torch.from_numpy(array)
    return tensor if device.type == "cpu" else tensor.to(device)


def put_noise(noise: NetworkNoise[Array] | None, device: torch.device) -> NetworkNoise[Tensor] | None:
    """Returns a network's noise, if there is any, as tensors on the device."""
    return noise and NetworkNoise(*(None if part is None else put(part, device) for part in noise))


def forward(network: nn.Module, obs: Tensor, noise: NetworkNoise[Tensor] | None) -> Tensor:
    """Calls a network, with its noise if there is any: [B, *O] to [B, A, K]."""
    outputs: Tensor = network(obs) if noise is None else network(obs, noise)
    return outputs


def judge(
    engine: Engine,
    obs: Tensor,
    action: Tensor,
    target: Tensor,
    weights: Tensor | None,
    noise: NetworkNoise[Tensor] | None,
) -> Loss:
    """Compares the online network's outputs at s with the targets [B, …]; the losses are weighted."""
    judged = engine.value.loss(forward(engine.online, obs, noise), action, target, noise)
    return judged if weights is None else judged._replace(loss=weights * judged.loss)


def of_rows(noise: NetworkNoise[T] | None, rows: T) -> NetworkNoise[T] | None:
    """Returns the noise of some rows of a batch: the shared part, and the part of these rows."""
    return noise if noise is None or noise.rows is None else noise._replace(rows=noise.rows[rows])  # type: ignore[index]


def _summarize(judged: Loss, num_updates: int) -> Update:
    loss, q_value = judged.loss.mean().item(), judged.q_value.mean().item()
    return Update(loss, q_value, judged.priority.cpu().numpy(), num_updates)
