"""The distribution of returns as probabilities of fixed atoms: C51."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import gymnasium
import torch
from annotated_types import Ge, Le
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.types import Bootstrapped, Loss, NetworkNoise, Transition

Bound = Annotated[float, Ge(-1e30), Le(1e30)]  # sums over the support must not exceed single precision


def project(atoms: Tensor, masses: Tensor, support: Tensor) -> Tensor:
    """Divides each atom's mass between its two neighbours on the support; the nearer one gets more.

    Σ_j masses_j · max(0, 1 − |clip(atoms_j, z_0, z_{N−1}) − z_i| / Δz): equation 7 of Bellemare et al. 2017. The mean
    is preserved if no atom is clipped. A product with weights [B, M, N] rounds the same way in every run, unlike
    scattered additions on a GPU.

    Args:
        atoms: the positions of the masses, in units of return, [B, M].
        masses: ≥ 0, [B, M].
        support: N ≥ 2 evenly spaced values in ascending order, [N].

    Returns:
        [B, N].
    """
    low, high = support[0], support[-1]
    last = len(support) - 1
    position = (atoms.clamp(low, high) - low) / (high - low) * last  # [B, M], in units of atoms; exact at the last atom
    index = torch.arange(last + 1, dtype=support.dtype, device=support.device)
    nearness = (position.unsqueeze(-1) - index).abs_().neg_().add_(1).clamp_(min=0)  # [B, M, N], in place
    return (masses.unsqueeze(1) @ nearness).squeeze(1)


def categorical_target(
    reward: Tensor, discount: Tensor, next_masses: Tensor, support: Tensor, bootstrap: Bootstrapped
) -> Tensor:
    """Projects the mixture over next actions of the atoms Σ rewards + bonus + discount · (z + shift(a′)).

    Args:
        reward: [B].
        discount: [B], 0 where the episode terminated.
        next_masses: probability of each atom at s′ for each next action, [B, A, N].
        support: the atoms z, [N].
        bootstrap: probabilities [B, A], shift [B, A], bonus [B].

    Returns:
        Probabilities of the support's atoms, [B, N].
    """
    shifted = support + bootstrap.shift.unsqueeze(-1)  # [B, A, N]
    atoms = (reward + bootstrap.bonus).view(-1, 1, 1) + discount.view(-1, 1, 1) * shifted
    masses = bootstrap.probabilities.unsqueeze(-1) * next_masses
    return project(atoms.flatten(1), masses.flatten(1), support)


def _discounted(total: float, discount: float, length: int) -> float:
    """Returns the discounted equivalent of an undiscounted return that is earned evenly over `length` steps."""
    weights = length if discount == 1 else (1 - discount**length) / (1 - discount)
    return total / length * weights


@register("value", "categorical")
class Categorical:
    """C51: softmax probabilities of fixed returns, learned by cross-entropy with the projected target.

    Bellemare, Dabney, Munos 2017, "A Distributional Perspective on Reinforcement Learning",
    https://arxiv.org/abs/1707.06887. Q is the distribution's mean. Returns beyond the support are clipped to its ends,
    so it must cover the *discounted* returns: with γ = 0.99, [0, 100] for CartPole and [−100, 0] for Acrobot and
    MountainCar.

    Args:
        num_atoms: N, evenly spaced from `v_min` to `v_max`, both included.
        v_min: the least return, in units of discounted return.
        v_max: the greatest return, likewise.

    Raises:
        ValueError: `v_min` is not less than `v_max`.
    """

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """The support must cover the environment's possible discounted returns, if they are known."""
        value, env = config["value"], config["env"]
        spec = gymnasium.registry.get(env.get("id", ""))
        length = env.get("max_episode_steps") or (spec.max_episode_steps if spec else None)
        if env.get("return_bounds") is None or length is None or config["train"]["max_reward"] is not None:
            return
        for key, bound, sign in zip(("v_min", "v_max"), env["return_bounds"], (-1, 1), strict=True):
            reach = _discounted(bound, config["discount"], length)
            if sign * value[key] < sign * reach and math.isfinite(reach):
                yield (
                    f"value.{key}={value[key]:g}: discounted returns of this environment reach about {reach:.3g}, "
                    "and the support clips them"
                )

    def __init__(
        self, *, num_atoms: Annotated[int, Ge(2), Le(1_000)] = 51, v_min: Bound = 0.0, v_max: Bound = 100.0
    ) -> None:
        if v_min >= v_max:
            raise ValueError(f"v_min={v_min}: must be less than v_max={v_max}")
        self.num_outputs = num_atoms
        self.v_min, self.v_max = v_min, v_max

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formulas."""
        own = config["value"]
        atoms = f"{own['num_atoms']} atoms from {own['v_min']:g} to {own['v_max']:g}"
        return {
            "target": f"y = the distribution of r + γ′ Z(s′, a′; θ⁻), a′ chosen as in V(s′), projected onto {atoms}",
            "loss": "loss = −Σᵢ yᵢ log pᵢ(s, a; θ)",
            "priority": "KL(y ‖ p(s, a; θ))",
        }

    def support(self, outputs: Tensor) -> Tensor:
        """Returns the atoms [N], of the outputs' type and on their device."""
        return torch.linspace(self.v_min, self.v_max, self.num_outputs, dtype=outputs.dtype, device=outputs.device)

    def q_values(self, outputs: Tensor) -> Tensor:
        """Returns the mean Σ p z of each action's distribution: logits [..., A, N] to [..., A]."""
        return (outputs.softmax(-1) * self.support(outputs)).sum(-1)

    def distribution(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the atoms and their probabilities, [..., A, N] each."""
        return self.support(outputs).expand_as(outputs), outputs.softmax(-1)

    def target(
        self, transition: Transition[Tensor], outputs: Tensor, bootstrap: Bootstrapped, current: Callable[[], Tensor]
    ) -> Tensor:
        """Returns the projected distribution, [B, N]: see `categorical_target`."""
        support = self.support(outputs)
        return categorical_target(transition.reward, transition.discount, outputs.softmax(-1), support, bootstrap)

    def loss(self, outputs: Tensor, action: Tensor, target: Tensor, noise: NetworkNoise[Tensor] | None) -> Loss:
        """Returns the cross-entropy −Σ target log p of the action taken; the priority is KL(target ‖ p)."""
        rows = action.view(-1, 1, 1).expand(-1, 1, outputs.shape[-1])
        log_masses = outputs.gather(1, rows).squeeze(1).log_softmax(-1)  # [B, N]
        loss = -(target * log_masses).sum(-1)
        divergence = torch.xlogy(target, target).sum(-1) + loss.detach()  # rounding may make it negative
        q_value = (log_masses.detach().exp() * self.support(outputs)).sum(-1)
        return Loss(loss, q_value, divergence.clamp(min=0))
