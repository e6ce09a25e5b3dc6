"""The distribution of returns as equally likely quantiles: QR-DQN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.types import Bootstrapped, Loss, NetworkNoise, Transition


def midpoints(num_quantiles: int, like: Tensor) -> Tensor:
    """(2i + 1) / 2N for i = 0 … N − 1, the fractions [N] that the quantiles stand for, of `like`'s type and device."""
    return (2 * torch.arange(num_quantiles, dtype=like.dtype, device=like.device) + 1) / (2 * num_quantiles)


def quantile_huber(td_error: Tensor, fraction: Tensor, kappa: float) -> Tensor:
    """|τ − 1{δ < 0}| · huber(δ, κ) / κ, elementwise; as κ goes to 0, |τ − 1{δ < 0}| · |δ|.

    Equation 10 of Dabney et al. 2018, divided by κ as in Dabney et al. 2018, "Implicit Quantile Networks for
    Distributional Reinforcement Learning", https://arxiv.org/abs/1806.06923; with κ = 1 they are the same.

    Args:
        td_error: δ, target minus quantile, of any shape.
        fraction: τ in (0, 1), of a shape that broadcasts to it.
        kappa: > 0, in units of return.

    Returns:
        The shape of δ.
    """
    error = td_error.detach()
    clipped = error.clamp(-kappa, kappa)
    slope = torch.where(error < 0, (1 - fraction) / kappa, fraction / kappa) * clipped
    # Huber's δ²/2 and κ(|δ| − κ/2) are both c(δ − c/2) of c = clip(δ, −κ, κ), and c is its derivative by δ: held fixed,
    # it gives the loss and the gradient in half the passes over [B, N, M]
    return slope * torch.sub(td_error, clipped, alpha=0.5)


def quantile_target(reward: Tensor, discount: Tensor, next_quantiles: Tensor, bootstrap: Bootstrapped) -> Tensor:
    """Returns the samples Σ rewards + bonus + discount · (θ(a′) + shift(a′)), each with its weight π(a′) / N.

    The weighted samples are exactly the mixture over next actions. If one action has all the probability, only its
    samples have weights, 1 / N each.

    Args:
        reward: [B].
        discount: [B], 0 where the episode terminated.
        next_quantiles: θ at s′, [B, A, N].
        bootstrap: probabilities [B, A], shift [B, A], bonus [B].

    Returns:
        Samples and weights, [B, 2, M] with M = A · N.
    """
    shifted = next_quantiles + bootstrap.shift.unsqueeze(-1)  # [B, A, N]
    samples = (reward + bootstrap.bonus).view(-1, 1, 1) + discount.view(-1, 1, 1) * shifted
    weights = (bootstrap.probabilities / next_quantiles.shape[-1]).unsqueeze(-1).expand_as(samples)
    return torch.stack([samples.flatten(1), weights.flatten(1)], 1)


def pairwise(error: Tensor, weights: Tensor) -> Tensor:
    """Σ_i Σ_j weights_j error_ij: sums over the online quantiles and averages over the target's samples.

    Args:
        error: [B, N, M].
        weights: the samples' weights, which sum to 1, [B, M].

    Returns:
        [B].
    """
    return (error.sum(1) * weights).sum(1)


def quantile_loss(outputs: Tensor, action: Tensor, target: Tensor, fractions: Tensor, kappa: float) -> Loss:
    """Computes Σ_i mean_j of the quantile Huber loss of δ_ij = sample_j − θ_i, for the action taken.

    Args:
        outputs: quantiles at s, [B, A, N].
        action: [B].
        target: samples and their weights, [B, 2, M].
        fractions: τ of each quantile, [N] or [B, N].
        kappa: see `quantile_huber`.

    Returns:
        the loss, the quantiles' mean, and the mean |δ_ij| as priority.
    """
    rows = action.view(-1, 1, 1).expand(-1, 1, outputs.shape[-1])
    quantiles = outputs.gather(1, rows).squeeze(1)  # [B, N]
    samples, weights = target.unbind(1)  # [B, M] each
    td_error = samples.unsqueeze(1) - quantiles.unsqueeze(2)  # [B, N, M]
    loss = pairwise(quantile_huber(td_error, fractions.unsqueeze(-1), kappa), weights)
    priority = pairwise(td_error.detach().abs(), weights) / quantiles.shape[1]
    return Loss(loss, quantiles.detach().mean(-1), priority)


@register("value", "quantile")
class Quantile:
    """QR-DQN: N equally likely returns per action, learned by quantile regression with the Huber loss.

    Dabney, Rowland, Bellemare, Munos 2018, "Distributional Reinforcement Learning with Quantile Regression",
    https://arxiv.org/abs/1710.10044. Q is the quantiles' mean.

    Args:
        num_quantiles: N. The paper uses 200 on Atari; the default is C51's number of atoms, enough for small
            tasks.
        kappa: the error beyond which the Huber loss is linear, in units of return. The loss is divided by it.
    """

    def __init__(
        self, *, num_quantiles: Annotated[int, Gt(0), Le(1_000)] = 51, kappa: Annotated[float, Gt(0), Le(1e30)] = 1.0
    ) -> None:
        self.num_outputs = num_quantiles
        self.kappa = kappa

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formulas."""
        own = config["value"]
        n = own["num_quantiles"]
        return {
            "target": f"y_j = r + γ′ θ_j(s′, a′; θ⁻), j = 1 … {n}, a′ chosen as in V(s′)",
            "loss": "loss = Σᵢ mean_j |τᵢ − 1{δᵢⱼ < 0}| huber(δᵢⱼ) / κ, δᵢⱼ = y_j − θᵢ(s, a; θ), "
            f"κ = {own['kappa']:g}, i = 1 … {n}",
            "priority": "mean_ij |δᵢⱼ|",
        }

    def q_values(self, outputs: Tensor) -> Tensor:
        """Returns the mean of each action's quantiles: [..., A, N] to [..., A]."""
        return outputs.mean(-1)

    def distribution(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the quantiles in ascending order, equally likely, [..., A, M] each."""
        return outputs.sort(-1).values, torch.full_like(outputs, 1 / outputs.shape[-1])

    def target(
        self, transition: Transition[Tensor], outputs: Tensor, bootstrap: Bootstrapped, current: Callable[[], Tensor]
    ) -> Tensor:
        """Returns samples and their weights, [B, 2, A · N]: see `quantile_target`."""
        return quantile_target(transition.reward, transition.discount, outputs, bootstrap)

    def loss(self, outputs: Tensor, action: Tensor, target: Tensor, noise: NetworkNoise[Tensor] | None) -> Loss:
        """Returns Σ_i mean_j of the quantile Huber loss of δ_ij = sample_j − θ_i; the priority is the mean |δ_ij|."""
        return quantile_loss(outputs, action, target, midpoints(self.num_outputs, outputs), self.kappa)
