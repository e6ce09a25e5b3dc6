"""IQN's network, whose inputs include the fractions at which to return quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dqn_lab.hooks import HasFeatures, noise_source
from dqn_lab.types import Array, NetworkNoise, Purpose
from dqn_lab.value.quantile import midpoints


class Factored(HasFeatures, Protocol):
    """A network of features followed by a head; the fractions are inserted between the two."""

    num_features: int  # F
    head: Callable[[Tensor, Tensor | None], Tensor]  # features [..., F] to outputs [..., A, K]


def cosines(fractions: Tensor, num_cosines: int) -> Tensor:
    """cos(π i τ) for i = 0 … n − 1: fractions τ [..., N] to [..., N, n]."""
    index = torch.arange(num_cosines, dtype=fractions.dtype, device=fractions.device)
    return (math.pi * fractions.unsqueeze(-1) * index).cos()


class FractionNetwork(nn.Module):
    """Returns the quantiles head(features(s) ⊙ φ(τ)) at fractions τ, with φ(τ) = relu(linear(cosines of τ)).

    Equation 4 of Dabney et al. 2018, "Implicit Quantile Networks for Distributional Reinforcement Learning",
    https://arxiv.org/abs/1806.06923. The noise contains the fractions, [B, M]; without noise they are fixed midpoints.

    Args:
        network: a `Factored` network with one output per action.
        counts: how many fractions are drawn for each purpose.
        num_midpoints: M without noise.
        num_cosines: n.
        generator: draws φ's initial weights, ±1/√n.
    """

    def __init__(
        self,
        network: nn.Module,
        counts: Mapping[Purpose, int],
        num_midpoints: int,
        num_cosines: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.network: Factored = network  # type: ignore[assignment]
        self.counts, self.num_midpoints, self.num_cosines = counts, num_midpoints, num_cosines
        with torch.random.fork_rng(devices=[]):  # torch initialises from the global generator; replaced below
            self.embedding = nn.Linear(num_cosines, self.network.num_features)
        for parameter in self.embedding.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(num_cosines), 1 / math.sqrt(num_cosines), generator=generator)

    is_noisy = True

    def draw_noise(self, rng: np.random.Generator, batch_size: int, purpose: Purpose) -> NetworkNoise[Array]:
        """Draws fractions for each row, and the network's own noise if it is noisy."""
        own = noise_source(self.network)
        shared = None if own is None else own.draw_noise(rng, batch_size, purpose).shared
        return NetworkNoise(shared, rng.random((batch_size, self.counts[purpose]), dtype=np.float32))

    def forward(self, obs: Tensor, noise: NetworkNoise[Tensor] | None = None) -> Tensor:
        """Maps observations [B, *O] to a quantile for each fraction, [B, A, M]."""
        shared, fractions = noise or (None, None)
        features = self.network.features(obs, shared)  # [B, F]
        if fractions is None:
            fractions = midpoints(self.num_midpoints, features).unsqueeze(0)  # [1, M]
        cosine = cosines(fractions.to(features.dtype), self.num_cosines)  # [B, M, n]
        embedded = self.embedding(cosine).relu()  # [B, M, F]
        quantiles = self.network.head(features.unsqueeze(1) * embedded, shared)  # [B, M, A, 1]
        return quantiles.squeeze(-1).transpose(1, 2)
