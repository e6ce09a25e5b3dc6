"""The distribution of returns as a function of the fraction: IQN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from torch import Tensor, nn

from dqn_lab import registry
from dqn_lab.hooks import HasFeatures
from dqn_lab.types import Bootstrapped, Loss, NetworkNoise, Purpose, Transition
from dqn_lab.value._fractions import FractionNetwork
from dqn_lab.value.quantile import midpoints, quantile_loss, quantile_target

Count = Annotated[int, Gt(0), Le(1_000)]


@registry.register("value", "implicit_quantile")
class ImplicitQuantile:
    """IQN: the quantile of each action's return at any fraction, learned at randomly drawn fractions.

    Dabney, Ostrovski, Silver, Munos 2018, "Implicit Quantile Networks for Distributional Reinforcement Learning",
    https://arxiv.org/abs/1806.06923. The network's features are multiplied by an embedding of the fraction: the
    inputs of a convolutional network's dense layers, as in the paper, or a perceptron's last hidden layer. Each row of
    a batch has its own fractions; the online network at s, at s′ (where it selects) and the target network draw theirs
    independently. Q is the mean of the quantiles at K drawn fractions in training, at K fixed midpoints in evaluation.
    If the target network selects too (`bootstrap=max`), it uses the mean of the same N′ quantiles that form the target;
    the paper draws K separate ones for selection.

    Args:
        num_quantiles: N, fractions of the online network at s.
        num_target_quantiles: N′, fractions of the target network.
        num_policy_quantiles: K, fractions for choosing actions.
        num_cosines: n, of the embedding: cos(π i τ) for i = 0 … n − 1.
        kappa: the error beyond which the Huber loss is linear, in units of return. The loss is divided by it.
    """

    num_outputs = 1  # for each fraction

    def __init__(
        self,
        *,
        num_quantiles: Count = 8,
        num_target_quantiles: Count = 8,
        num_policy_quantiles: Count = 32,
        num_cosines: Count = 64,
        kappa: Annotated[float, Gt(0), Le(1e30)] = 1.0,
    ) -> None:
        self.counts: dict[Purpose, int] = {
            "acting": num_policy_quantiles,
            "online": num_quantiles,
            "selector": num_policy_quantiles,
            "target": num_target_quantiles,
        }
        self.num_cosines = num_cosines
        self.kappa = kappa

    @staticmethod
    def check(config: Mapping[str, Any]) -> Iterator[str]:
        """The network must be one that takes fractions between features and head: mlp, nature_cnn, minatar_cnn."""
        name = config["network"]["name"]
        if not isinstance(registry.lookup("network", name), HasFeatures):
            yield f"value=implicit_quantile: network={name} takes no fractions; mlp, nature_cnn and minatar_cnn do"

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formulas."""
        own = config["value"]
        return {
            "target": f"y_j = r + γ′ Z_τ′ⱼ(s′, a′; θ⁻), {own['num_target_quantiles']} random τ′, a′ chosen as in V(s′)",
            "loss": f"loss = Σᵢ mean_j |τᵢ − 1{{δᵢⱼ < 0}}| huber(δᵢⱼ) / κ, δᵢⱼ = y_j − Z_τᵢ(s, a; θ), "
            f"{own['num_quantiles']} random τ, κ = {own['kappa']:g}",
            "priority": "mean_ij |δᵢⱼ|",
        }

    def adapt(self, network: nn.Module, generator: torch.Generator) -> FractionNetwork:
        """Turns a network into one that takes fractions."""
        return FractionNetwork(network, self.counts, self.counts["acting"], self.num_cosines, generator)

    def q_values(self, outputs: Tensor) -> Tensor:
        """Returns the mean of each action's quantiles: [..., A, M] to [..., A]."""
        return outputs.mean(-1)

    def distribution(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the quantiles in ascending order, equally likely, [..., A, M] each."""
        return outputs.sort(-1).values, torch.full_like(outputs, 1 / outputs.shape[-1])

    def target(
        self, transition: Transition[Tensor], outputs: Tensor, bootstrap: Bootstrapped, current: Callable[[], Tensor]
    ) -> Tensor:
        """Returns samples and their weights, [B, 2, A · N′]: see `quantile_target`."""
        return quantile_target(transition.reward, transition.discount, outputs, bootstrap)

    def loss(self, outputs: Tensor, action: Tensor, target: Tensor, noise: NetworkNoise[Tensor] | None) -> Loss:
        """Returns Σ_i mean_j of the quantile Huber loss of δ_ij at the drawn τ_i; the priority is the mean |δ_ij|."""
        fractions = midpoints(outputs.shape[-1], outputs)  # as the network uses without noise
        if noise is not None and noise.rows is not None:
            fractions = noise.rows.to(outputs.dtype)
        return quantile_loss(outputs, action, target, fractions, self.kappa)
