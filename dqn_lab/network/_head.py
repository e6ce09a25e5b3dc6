"""The parts of a network: a trunk that computes features, and a head that maps them to outputs for each action."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqn_lab.network._linear import factorised_noise, number_noise, run
from dqn_lab.types import Array, NetworkNoise, Purpose

Make = Callable[[int, int], nn.Linear]  # a linear layer from fan_in to fan_out features


def dueling_outputs(value: Tensor, advantage: Tensor) -> Tensor:
    """V + A − mean A over actions, for each output (atom or quantile) separately, before any softmax.

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
    """Maps features to outputs per action: one stream of layers, or with `dueling` one of values and one of advantages.

    Args:
        num_features: F.
        num_actions: A.
        num_outputs: K, outputs per action.
        make: makes a linear layer.
        hidden: width of a hidden layer with relu in each stream; None for a single linear layer.
        dueling: whether outputs are values plus advantages.
        gradient_scale: the factor of the gradient from a dueling head into the features.
    """

    def __init__(
        self,
        num_features: int,
        num_actions: int,
        num_outputs: int,
        make: Make,
        *,
        hidden: int | None,
        dueling: bool,
        gradient_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.shape = num_actions, num_outputs
        self.gradient_scale = gradient_scale if dueling else 1.0

        def stream(width: int) -> nn.Sequential:
            if hidden is None:
                return nn.Sequential(make(num_features, width))
            return nn.Sequential(make(num_features, hidden), nn.ReLU(), make(hidden, width))

        self.value = stream(num_outputs) if dueling else None
        self.action = stream(num_actions * num_outputs)  # the advantages of a dueling head

    def forward(self, features: Tensor, noise: Tensor | None = None) -> Tensor:
        """Maps features [..., F], and the network's noise [D] if there is any, to outputs [..., A, K]."""
        if self.gradient_scale != 1.0:
            fixed = features.detach()
            features = fixed + self.gradient_scale * (features - fixed)  # the same values with a scaled gradient
        outputs = run(self.action, features, noise).view(*features.shape[:-1], *self.shape)
        return outputs if self.value is None else dueling_outputs(run(self.value, features, noise), outputs)


class TrunkAndHead(nn.Module):
    """A network that maps observations to features [B, F], and these to outputs [B, A, K].

    If a layer is noisy, one draw of noise serves a whole batch.

    Args:
        trunk: maps what `prepare` returns to features; its first layer has weights.
        head: maps features to outputs.
        num_features: F.
    """

    def __init__(self, trunk: nn.Sequential, head: Head, num_features: int) -> None:
        super().__init__()
        self.trunk, self.head, self.num_features = trunk, head, num_features
        self.noise_size = number_noise(self)  # D
        self._first = [trunk[0]]  # in a list, so that it is not registered twice

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """With `noisy` in all layers the noise explores by itself, and any exploration except `none` is added to it."""
        name, network = config["exploration"]["name"], config["network"]
        if network.get("noisy") and network.get("noisy_layers") != "head" and name != "none":
            yield f"network.noisy=true, exploration={name}: both explore; exploration=none leaves it to the noise"

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type it computes in."""
        weight = self._first[0].weight
        assert isinstance(weight, Tensor)
        return weight.dtype

    @property
    def layers(self) -> list[nn.Module]:
        """Every layer in the order of the parameters: the trunk's, a dueling head's values', the outputs'."""
        return [*self.trunk, *(self.head.value or ()), *self.head.action]

    def prepare(self, obs: Tensor) -> Tensor:
        """Converts observations [B, *O] to the trunk's form and type."""
        raise NotImplementedError

    def features(self, obs: Tensor, noise: Tensor | None = None) -> Tensor:
        """Maps observations [B, *O], and the network's noise [D] if there is any, to features [B, F]."""
        return run(self.trunk, self.prepare(obs), noise)

    def forward(self, obs: Tensor, noise: NetworkNoise[Tensor] | None = None) -> Tensor:
        """Maps observations [B, *O] to outputs [B, A, K]."""
        shared = None if noise is None else noise.shared
        outputs: Tensor = self.head(self.features(obs, shared), shared)
        return outputs

    @property
    def is_noisy(self) -> bool:
        """Whether a layer is noisy."""
        return self.noise_size > 0

    def draw_noise(self, rng: np.random.Generator, batch_size: int, purpose: Purpose) -> NetworkNoise[Array]:
        """Draws the noise of a forward pass, shared by all rows."""
        return NetworkNoise(shared=factorised_noise(rng, self.noise_size))
