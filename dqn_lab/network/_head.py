"""What networks are made of: a trunk that gives features, and a head that turns them into outputs for each action."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

Make = Callable[[int, int], nn.Linear]  # a linear layer from fan_in to fan_out features


def linear(fan_in: int, fan_out: int, generator: torch.Generator, init: str = "fan_in_uniform") -> nn.Linear:
    """Makes a linear layer with initial weights from `generator`.

    Args:
        fan_in: features of the input.
        fan_out: features of the output.
        generator: draws the weights.
        init: `fan_in_uniform` draws weights and biases from ±1/√fan_in; `glorot_uniform` draws weights from
            ±√(6 / (fan_in + fan_out)) and sets biases to 0.
    """
    with torch.random.fork_rng(devices=[]):  # its own initial weights come from the global generator, and go again
        layer = nn.Linear(fan_in, fan_out)
    if init == "glorot_uniform":
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    else:
        draw_uniform(layer, 1 / math.sqrt(fan_in), generator)
    return layer


def draw_uniform(layer: nn.Linear | nn.Conv2d, bound: float, generator: torch.Generator) -> None:
    """Draws a layer's weights, then its biases, from ±`bound`."""
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)


def dueling_outputs(value: Tensor, advantage: Tensor) -> Tensor:
    """V + A − mean A over actions, output by output: an atom or quantile has its own mean, before any softmax.

    Equation 9 of Wang et al. 2016, "Dueling Network Architectures for Deep Reinforcement Learning",
    https://arxiv.org/abs/1511.06581.

    Args:
        value: [..., K].
        advantage: [..., A, K].

    Returns:
        [..., A, K].
    """
    return value.unsqueeze(-2) + advantage - advantage.mean(-2, keepdim=True)


class Head(nn.Module):
    """Outputs for each action from features: one stream of layers, or with `dueling` one of values, one of advantages.

    Args:
        num_features: F.
        num_actions: A.
        num_outputs: K, outputs per action.
        make: makes a linear layer.
        hidden: width of a hidden layer with relu in each stream; None for a single linear layer.
        dueling: whether outputs are values plus advantages.
    """

    def __init__(
        self, num_features: int, num_actions: int, num_outputs: int, make: Make, *, hidden: int | None, dueling: bool
    ) -> None:
        super().__init__()
        self.shape = num_actions, num_outputs

        def stream(width: int) -> nn.Sequential:
            if hidden is None:
                return nn.Sequential(make(num_features, width))
            return nn.Sequential(make(num_features, hidden), nn.ReLU(), make(hidden, width))

        self.value = stream(num_outputs) if dueling else None
        self.action = stream(num_actions * num_outputs)  # the advantages of a dueling head

    def forward(self, features: Tensor) -> Tensor:
        """Maps features [..., F] to outputs [..., A, K]."""
        outputs: Tensor = self.action(features).unflatten(-1, self.shape)
        return outputs if self.value is None else dueling_outputs(self.value(features), outputs)


class TrunkAndHead(nn.Module):
    """A network that turns observations into features [B, F], and these into outputs [B, A, K].

    Args:
        trunk: maps observations as `prepare` gives them to features; its first layer has weights.
        head: maps features to outputs.
        num_features: F.
    """

    def __init__(self, trunk: nn.Sequential, head: Head, num_features: int) -> None:
        super().__init__()
        self.trunk, self.head, self.num_features = trunk, head, num_features
        self._first = [trunk[0]]  # in a list, so that it is not registered twice

    @property
    def dtype(self) -> torch.dtype:
        """The type it computes in."""
        weight = self._first[0].weight
        assert isinstance(weight, Tensor)
        return weight.dtype

    @property
    def layers(self) -> list[nn.Module]:
        """Every layer in the order of the parameters: the trunk's, a dueling head's values', the outputs'."""
        return [*self.trunk, *(self.head.value or ()), *self.head.action]

    def prepare(self, obs: Tensor) -> Tensor:
        """Gives observations [B, *O] the trunk's form and type."""
        raise NotImplementedError

    def features(self, obs: Tensor) -> Tensor:
        """Maps observations [B, *O] to features [B, F]."""
        features: Tensor = self.trunk(self.prepare(obs))
        return features

    def forward(self, obs: Tensor) -> Tensor:
        """Maps observations [B, *O] to outputs [B, A, K]."""
        outputs: Tensor = self.head(self.features(obs))
        return outputs
