"""A multilayer perceptron."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from annotated_types import Gt, MinLen
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor, nn

from dqn_lab.registry import register

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU}


@register("network", "mlp")
class MLP(nn.Module):
    """Fully connected layers over a flattened observation vector, one linear layer of outputs on top.

    Args:
        observation_space: a `Box`, of any shape; observations are flattened.
        num_actions: A.
        num_outputs: K, outputs per action.
        generator: draws the initial weights.
        hidden: width of each hidden layer, from the input on.
        activation: after each hidden layer.
        layer_norm: whether to normalise each hidden layer before its activation (Ba, Kiros, Hinton 2016,
            "Layer Normalization", https://arxiv.org/abs/1607.06450).
        init: `fan_in_uniform` draws weights and biases from ±1/√fan_in (`torch.nn.Linear`'s own);
            `glorot_uniform` draws weights from ±√(6 / (fan_in + fan_out)) and sets biases to 0 (Keras' own).

    Raises:
        ValueError: the observation space is no `Box`.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        num_actions: int,
        num_outputs: int,
        generator: torch.Generator,
        *,
        hidden: Annotated[list[Annotated[int, Gt(0)]], MinLen(1)] = [24, 24],  # noqa: B006 (never changed)
        activation: Literal["relu", "tanh", "silu", "gelu"] = "relu",
        layer_norm: bool = False,
        init: Literal["fan_in_uniform", "glorot_uniform"] = "fan_in_uniform",
    ) -> None:
        super().__init__()
        if not isinstance(observation_space, Box):
            hint = "network=table looks states up"
            raise ValueError(f"needs a Box of numbers to observe, got {observation_space}; {hint}")
        self.num_actions, self.num_outputs = num_actions, num_outputs
        widths = [math.prod(observation_space.shape), *hidden]
        linear = [_linear(fan_in, fan_out, init, generator) for fan_in, fan_out in pairwise(widths)]
        layers: list[nn.Module] = []
        for layer, fan_out in zip(linear, hidden, strict=True):
            layers.append(layer)
            layers.extend([nn.LayerNorm(fan_out)] if layer_norm else [])
            layers.append(_ACTIVATIONS[activation]())
        layers.append(_linear(widths[-1], num_actions * num_outputs, init, generator))
        self.layers = nn.Sequential(*layers)
        self.first = linear[:1]  # in a list, so that it is not registered twice

    def forward(self, obs: Tensor) -> Tensor:
        """Maps observations [B, *O] to outputs [B, A, K]."""
        outputs: Tensor = self.layers(obs.reshape(len(obs), -1).to(self.first[0].weight.dtype))
        return outputs.view(-1, self.num_actions, self.num_outputs)


def _linear(fan_in: int, fan_out: int, init: str, generator: torch.Generator) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):  # its own initial weights come from the global generator, and go again
        layer = nn.Linear(fan_in, fan_out)
    if init == "glorot_uniform":
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    else:
        bound = 1 / math.sqrt(fan_in)
        nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer
