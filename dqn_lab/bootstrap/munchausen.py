"""The soft next value, with the policy's own log-probability as a bonus: Munchausen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.types import Bootstrapped, QValues


def soft_policy(q_values: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """π = softmax(Q / τ), and τ log π = Q − max Q − τ log Σ exp((Q − max Q) / τ), finite however small τ is.

    The form that the appendix of Vieillard et al. 2020 recommends.

    Args:
        q_values: Q, [..., A].
        temperature: τ > 0, in units of return.

    Returns:
        π and τ log π, [..., A] each.
    """
    gap = q_values - q_values.amax(-1, keepdim=True)
    scaled = gap / temperature
    return scaled.softmax(-1), gap - temperature * scaled.logsumexp(-1, keepdim=True)


def munchausen_bonus(scaled_log_policy: Tensor, action: Tensor, scale: float, clip: float) -> Tensor:
    """α · clip(τ log π(a|s), clip, 0): at most 0, and lower for actions that the policy is less likely to take.

    Args:
        scaled_log_policy: τ log π(·|s), [B, A].
        action: a, [B].
        scale: α in [0, 1].
        clip: the lower bound, ≤ 0, in units of return.

    Returns:
        [B].
    """
    taken = scaled_log_policy.gather(1, action.unsqueeze(1)).squeeze(1)
    return scale * taken.clamp(clip, 0)


@register("bootstrap", "munchausen")
class Munchausen:
    """r + α clip(τ log π(a|s), clip, 0) + γ Σ_a′ π(a′|s′) (Q(s′, a′) − τ log π(a′|s′)), with π = softmax(Q / τ).

    Vieillard, Pietquin, Geist 2020, "Munchausen Reinforcement Learning", https://arxiv.org/abs/2007.14430. Both
    policies are the target network's. The sum is τ log Σ exp(Q(s′, ·) / τ), a soft maximum; with `scale` 0 this is
    soft Q-learning, and if the `temperature` is also near 0, it is `max`. With a distributional value, the target is a
    mixture weighted by π, in which each action's part is shifted by −τ log π.

    With `buffer.n_step` above 1 it is an approximation: only the first action of a window adds a bonus, and only its
    last state an entropy; the steps in between add neither.

    Args:
        scale: α, how much of the log-probability is added to the reward.
        temperature: the policy's τ, in units of return.
        clip: the lower bound put on τ log π(a|s).
    """

    def __init__(
        self,
        *,
        scale: Annotated[float, Ge(0), Le(1)] = 0.9,
        temperature: Annotated[float, Gt(0), Le(1e30)] = 0.03,
        clip: Annotated[float, Le(0)] = -1.0,
    ) -> None:
        self.scale, self.temperature, self.clip = scale, temperature, clip

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """With buffer.n_step above 1 it is an approximation."""
        n_step = config["buffer"].get("n_step", 1)
        if n_step > 1:
            yield f"bootstrap=munchausen, buffer.n_step={n_step}: an approximation, without the steps in between"

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formulas."""
        own = config["bootstrap"]
        scale, temperature, clip = (f"{own[key]:g}" for key in ("scale", "temperature", "clip"))
        return {
            "bonus": f"r ← r + {scale} · clip({temperature} log π(a|s), {clip}, 0), "
            f"π = softmax(Q(·; θ⁻) / {temperature})",
            "next": f"V(s′) = Σ_a′ π(a′|s′) (Q(s′, a′; θ⁻) − {temperature} log π(a′|s′))",
        }

    def __call__(self, q_values: QValues, action: Tensor) -> Bootstrapped:
        """Weights the next actions by π(·|s′), adds −τ log π(·|s′) to their values, and the bonus to the reward."""
        probabilities, log_next = soft_policy(q_values.target_next, self.temperature)  # [B, A]
        _, log_obs = soft_policy(q_values.target_obs, self.temperature)
        return Bootstrapped(probabilities, -log_next, munchausen_bonus(log_obs, action, self.scale, self.clip))
