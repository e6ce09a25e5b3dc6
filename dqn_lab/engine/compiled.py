"""A whole update as one compiled graph, for any composition that can be traced."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dqn_lab.engine._graph import GraphError, graph, obstacle
from dqn_lab.engine.torch import TorchEngine, forward, of_rows
from dqn_lab.registry import register
from dqn_lab.types import Array, Batch, Bootstrap, Choice, NetworkNoise, Noise, Optimizer, Transition, Update, Value

_log = logging.getLogger(__name__)


@register("engine", "compiled")
class CompiledEngine:
    """Runs what `torch` runs, traced and compiled: targets, loss, gradient, clipping and the optimiser's step.

    There are no formulas here: the torch engine is run once on tensors without values, and its operations become a
    graph of the parameters, the optimiser's state, the learning rate, the batch and the noise. There is one graph for
    each shape of a batch, and one for acting. The first update is torch's own, and creates the optimiser's state. If
    something cannot be traced or compiled, torch continues, and `fallback` says why. Tests compare it with `torch`:
    equal to 1e-10 in float64.

    Args:
        online: any network whose forward pass is a function of tensors.
        target: the target network; the online network itself if there is no target network.
        value: interprets the outputs, and computes the target and the loss.
        bootstrap: estimates the next state's value.
        optimizer: turns gradients into steps. Numbers in its state become tensors, which its `step` must support.
        device: the networks' device.
    """

    @staticmethod
    def choose(config: Mapping[str, Any]) -> Choice:
        """Returns `compiled`, or `torch` and the reason if there is no compiler."""
        missing = obstacle(torch.device(config["device"]))
        if missing is None:
            return Choice("compiled", "asked for", {})
        return Choice("torch", f"engine=compiled: {missing}", {"compiled": missing})

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
        self.value, self.bootstrap, self._description = value, bootstrap, optimizer
        self.device = device
        self.fallback: str | None = None
        self._torch = TorchEngine(online, target, value, bootstrap, optimizer, device)
        self.parameters, self.q_values = self._torch.parameters, self._torch.q_values
        self._optimizer = self._torch.optimizer
        self._state: list[dict[str, Tensor]] | None = None  # the optimiser's, by parameter
        self._graphs: dict[tuple[Any, ...], Callable[..., Tensor]] = {}

    def update(self, batch: Batch, noise: Noise, lr: float | None = None, epsilon: float = 0.0) -> Update:
        """Computes the whole batch's target once, then takes a gradient step on each minibatch of it."""
        if self._state is None:
            update = self._torch.update(batch, noise, lr, epsilon)
            self._state = None if self.fallback else self._hold()
            return update
        if lr is not None:
            self._lr.fill_(lr)
        try:
            figures = self._learn(batch, noise, np.array(epsilon))  # [3, B]
        except GraphError as error:  # raised before anything was changed
            self._fall_back(str(error))
            return self._torch.update(batch, noise, lr, epsilon)
        loss, q_value, _ = figures.mean(1).tolist()
        return Update(loss, q_value, figures[2], 1 if noise.minibatches is None else len(noise.minibatches))

    def acting(self, obs: Array, noise: NetworkNoise[Array] | None = None) -> Array:
        """Returns the Q-values [1, A] at the observation [1, *O] on which an agent acts, from a separate graph."""
        if self._state is None:
            return self._torch.q_values(obs, noise)
        try:
            return self._prepare(_q_values, np.array(obs), noise)()
        except GraphError as error:
            self._fall_back(str(error))
            return self._torch.q_values(obs, noise)

    def _learn(self, batch: Batch, noise: Noise, epsilon: Array) -> Array:
        transition, weights = batch.transition, batch.weights
        if noise.minibatches is None:
            return self._prepare(_whole, transition, weights, noise, epsilon)()
        minibatches, noise = noise.minibatches, noise._replace(minibatches=None)
        target = self._prepare(_targets, transition, noise, epsilon)()
        steps = []  # all are compiled before the first step is taken
        for rows in minibatches:
            part = None if weights is None else weights[rows]
            fields = transition.obs[rows], transition.action[rows], target[rows], part, of_rows(noise.online, rows)
            steps.append(self._prepare(_descend, *fields))
        figures = np.concatenate([step() for step in steps], 1)
        return figures[:, np.argsort(np.concatenate(minibatches))]

    def _prepare(self, function: Callable[..., Tensor], *data: Any) -> Callable[[], Array]:
        """Finds or compiles a graph for a function and data like these; returns the call without making it."""
        leaves = [np.asarray(leaf, order="C") if leaf is not None else None for leaf in _leaves(data)]
        key = (function, *[None if leaf is None else (leaf.shape, leaf.dtype) for leaf in leaves])
        inputs = [*self._held, *[torch.from_numpy(leaf).to(self.device) for leaf in leaves if leaf is not None]]
        if key not in self._graphs:
            self._graphs[key] = graph(functools.partial(self._trace, function, data), inputs)
        compiled = self._graphs[key]
        return lambda: compiled(*inputs).cpu().numpy()

    def _trace(self, function: Callable[..., Tensor], data: tuple[Any, ...], *inputs: Tensor) -> Tensor:
        """Calls a function on a torch engine that consists only of a graph's inputs."""
        given = iter(inputs)
        online = _Bound(self.online, given)
        target = online if self.target is self.online else _Bound(self.target, given)
        engine = TorchEngine(online, target, self.value, self.bootstrap, self._description, self.device)
        state = [{key: next(given) for key in kept} for kept in self._state or ()]
        lr = next(given)
        for group in engine.optimizer.param_groups:
            modes = {"lr": lr, "fused": False, "foreach": True, "capturable": True}  # torch.optim needs it to be traced
            group.update({key: mode for key, mode in modes.items() if key in group})
        before = [dict(group) for group in engine.optimizer.param_groups]
        for parameter, kept in zip(engine.parameters[0], state, strict=True):
            engine.optimizer.state[parameter] = dict(kept)
        result = function(engine, *_rebuilt(data, given))
        _put_back(engine, state)
        if [dict(group) for group in engine.optimizer.param_groups] != before:
            raise ValueError("the optimizer counts in its groups")
        return result

    def _hold(self) -> list[dict[str, Tensor]]:
        """Collects the optimiser's state: tensors unchanged, numbers as double-precision tensors."""
        self._lr = self._number(self._optimizer.param_groups[0]["lr"])
        state = []
        for parameter in self.parameters[0]:
            own = self._optimizer.state.get(parameter, {})
            state.append(
                {key: self._number(kept) if _is_number(kept, parameter) else kept for key, kept in own.items()}
            )
        networks = [self.online] if self.target is self.online else [self.online, self.target]
        self._held = [tensor.detach() for network in networks for tensor in _tensors(network).values()]
        self._held += [tensor for kept in state for tensor in kept.values()]
        self._held.append(self._lr)
        return state

    def _number(self, number: Any) -> Tensor:
        return torch.tensor(float(number), dtype=torch.float64, device=self.device)

    def _hand_back(self) -> None:
        """Writes the learning rate and the numbers back to torch's optimiser."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr.item()
        for parameter, kept in zip(self.parameters[0], self._state or (), strict=True):
            own = self._optimizer.state.get(parameter, {})
            for key, tensor in kept.items():
                if isinstance(own[key], Tensor):
                    own[key].copy_(tensor)
                else:
                    own[key] = type(own[key])(tensor.item())

    def _fall_back(self, reason: str) -> None:
        self.fallback = f"engine=compiled: {reason}"
        _log.warning("%s; engine=torch continues", self.fallback)
        self._hand_back()
        self._state = None

    def state_dict(self) -> dict[str, Any]:
        """Returns both networks' parameters and the optimiser's state, as `torch` does, plus its numbers unrounded."""
        if self._state is None:
            return {**self._torch.state_dict(), "numbers": None}
        self._hand_back()
        numbers = [
            {key: tensor for key, tensor in kept.items() if tensor is not self._optimizer.state[parameter][key]}
            for parameter, kept in zip(self.parameters[0], self._state, strict=True)
        ]
        return {**self._torch.state_dict(), "numbers": numbers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._torch.load_state_dict(state)
        self._state = None if state["numbers"] is None or self.fallback else self._hold()
        if self._state is None:
            return
        for kept, numbers in zip(self._state, state["numbers"], strict=True):
            for key, number in numbers.items():
                kept[key].copy_(number)


class _Bound(nn.Module):
    """A network that uses given tensors in place of its own parameters and buffers."""

    def __init__(self, network: nn.Module, tensors: Iterator[Tensor]) -> None:
        super().__init__()
        # in a partial, so that the network's own parameters are not registered here
        self.call = functools.partial(functional_call, network)
        names = dict(network.named_parameters())
        self.tensors = {name: next(tensors) for name in _tensors(network)}
        for name, parameter in names.items():
            self.tensors[name] = nn.Parameter(self.tensors[name], parameter.requires_grad)
        self.own = nn.ParameterList([self.tensors[name] for name in names])

    def forward(self, *arguments: Any) -> Any:
        return self.call(self.tensors, arguments)


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _is_number(kept: Any, parameter: Tensor) -> bool:
    return not isinstance(kept, Tensor) or (kept.dim() == 0 and parameter.dim() > 0)


def _q_values(engine: TorchEngine, obs: Tensor, noise: NetworkNoise[Tensor] | None) -> Tensor:
    return engine.value.q_values(forward(engine.online, obs, noise)).detach()


def _whole(
    engine: TorchEngine, transition: Transition[Tensor], weights: Tensor | None, noise: Noise, epsilon: Tensor
) -> Tensor:
    target = _targets(engine, transition, noise, epsilon)
    return _descend(engine, transition.obs, transition.action, target, weights, noise.online)


def _targets(engine: TorchEngine, transition: Transition[Tensor], noise: Noise, epsilon: Tensor) -> Tensor:
    return engine.targets(transition, noise, epsilon)


def _descend(engine: TorchEngine, *data: Any) -> Tensor:
    return torch.stack(engine.descend(*data))  # [3, B]


def _put_back(engine: TorchEngine, state: list[dict[str, Tensor]]) -> None:
    """Copies tensors that an optimiser replaced back into the original ones."""
    for parameter, kept in zip(engine.parameters[0], state, strict=True):
        after = engine.optimizer.state[parameter]
        if after.keys() != kept.keys():
            raise ValueError(f"the optimizer's state changes from {', '.join(kept)} to {', '.join(after)}")
        for key, tensor in kept.items():
            if after[key] is not tensor:
                tensor.copy_(after[key])


def _leaves(data: Any) -> Iterator[Any]:
    """Yields the leaves of nested tuples and lists, including None."""
    if isinstance(data, (tuple, list)):
        for part in data:
            yield from _leaves(part)
    else:
        yield data


def _rebuilt(data: Any, tensors: Iterator[Tensor]) -> Any:
    """Replaces every leaf that is not None with the next tensor."""
    if isinstance(data, (tuple, list)):
        parts = [_rebuilt(part, tensors) for part in data]
        return type(data)(*parts) if hasattr(data, "_fields") else type(data)(parts)
    return None if data is None else next(tensors)
