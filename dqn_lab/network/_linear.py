"""Linear layers with initial weights from a generator, plain and noisy."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dqn_lab._memory import check_memory
from dqn_lab.types import Array

COPIES = 5  # of a network's weights in training: online, target, gradient, and an optimizer's two moments


def check_size(num_weights: int, what: str) -> None:
    """Checks that a network fits into memory in training, before any of it is allocated.

    Args:
        num_weights: the network's number of weights.
        what: the beginning of the message, such as `hidden=[64, 64]`.

    Raises:
        ValueError: the machine's memory is too small.
    """
    problem = check_memory(4 * COPIES * num_weights)
    if problem:
        raise ValueError(f"{what}: training {num_weights:,} weights {problem}")


def linear(
    fan_in: int,
    fan_out: int,
    generator: torch.Generator,
    init: str = "fan_in_uniform",
    noisy_sigma: float | None = None,
) -> nn.Linear:
    """Makes a linear layer.

    Args:
        fan_in: features of the input.
        fan_out: features of the output.
        generator: draws the initial weights.
        init: `fan_in_uniform` draws weights and biases from ±1/√fan_in; `glorot_uniform` draws weights from
            ±√(6 / (fan_in + fan_out)) and sets biases to 0.
        noisy_sigma: σ₀ of a noisy layer; None for a plain one.
    """
    with torch.random.fork_rng(devices=[]):  # torch initialises from the global generator; replaced below
        layer = nn.Linear(fan_in, fan_out) if noisy_sigma is None else NoisyLinear(fan_in, fan_out, noisy_sigma)
    if init == "glorot_uniform":
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    else:
        draw_uniform(layer, fan_in, generator)
    return layer


def draw_uniform(layer: nn.Linear | nn.Conv2d, fan_in: int, generator: torch.Generator) -> None:
    """Draws a layer's weights, then its biases, from ±1/√fan_in."""
    bound = 1 / math.sqrt(fan_in)
    for parameter in (layer.weight, layer.bias):
        assert parameter is not None
        nn.init.uniform_(parameter, -bound, bound, generator=generator)


class NoisyLinear(nn.Linear):
    """y = (μ_w + σ_w ⊙ ε_out ε_inᵀ) x + μ_b + σ_b ⊙ ε_out: a linear layer with factorised noise of a learned size.

    Fortunato et al. 2018, "Noisy Networks for Exploration", https://arxiv.org/abs/1706.10295. The layer's
    `weight` and `bias` are μ; without noise, only μ is used. Every σ begins at σ₀ / √fan_in.

    Args:
        fan_in: features of the input.
        fan_out: features of the output.
        sigma: σ₀.
    """

    def __init__(self, fan_in: int, fan_out: int, sigma: float) -> None:
        super().__init__(fan_in, fan_out)
        self.weight_sigma = nn.Parameter(torch.full((fan_out, fan_in), sigma / math.sqrt(fan_in)))
        self.bias_sigma = nn.Parameter(torch.full((fan_out,), sigma / math.sqrt(fan_in)))
        self.start = 0  # where its slice of the network's noise begins

    def forward(self, inputs: Tensor, noise: Tensor | None = None) -> Tensor:
        """Maps [..., fan_in] to [..., fan_out], with the noise of the whole network if there is any."""
        if noise is None:
            return super().forward(inputs)
        own = noise[self.start : self.start + self.in_features + self.out_features].to(self.weight.dtype)
        noise_in, noise_out = torch.split(own, [self.in_features, self.out_features])
        weight = self.weight + self.weight_sigma * torch.outer(noise_out, noise_in)
        return functional.linear(inputs, weight, self.bias + self.bias_sigma * noise_out)


def number_noise(network: nn.Module) -> int:
    """Assigns each noisy layer its slice of the network's noise; returns the size of the whole noise."""
    size = 0
    for layer in network.modules():
        if isinstance(layer, NoisyLinear):
            layer.start = size
            size += layer.in_features + layer.out_features
    return size


def factorised_noise(rng: np.random.Generator, size: int) -> Array:
    """Draws sgn(x) √|x| of standard normal x, [size]: the factors of the noisy layers' σ."""
    normal = rng.standard_normal(size, dtype=np.float32)
    noise: Array = np.copysign(np.sqrt(np.abs(normal)), normal)
    return noise


def run(layers: nn.Sequential, inputs: Tensor, noise: Tensor | None) -> Tensor:
    """Calls layers one after another, the noisy ones with the network's noise [D]."""
    for layer in layers:
        inputs = layer(inputs, noise) if isinstance(layer, NoisyLinear) else layer(inputs)
    return inputs
