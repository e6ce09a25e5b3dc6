"""The expected return, one number per action, as in Q-learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from annotated_types import Gt, Le
from torch import Tensor

from dqn_lab.registry import register
from dqn_lab.types import Bootstrapped, Loss, NetworkNoise, Transition


def squared_error(td_error: Tensor) -> Tensor:
    """δ², elementwise, without a factor ½: averaged over a batch it is `torch.nn.functional.mse_loss`."""
    return td_error.square()


def huber(td_error: Tensor, kappa: float) -> Tensor:
    """½δ² where |δ| ≤ κ, κ(|δ| − κ/2) beyond, elementwise (Huber 1964, https://doi.org/10.1214/aoms/1177703732)."""
    size = td_error.abs()
    inside = size.clamp(max=kappa)
    return inside * (size - inside / 2)


def q_learning_target(reward: Tensor, discount: Tensor, next_q_values: Tensor, bootstrap: Bootstrapped) -> Tensor:
    """Σ rewards + bonus + discount · Σ_a′ π(a′) (Q(s′, a′) + shift(a′)).

    With a `max` bootstrap this is Watkins' r + γ max_a′ Q(s′, a′) (1989; Mnih et al. 2015, "Human-level control
    through deep reinforcement learning", https://doi.org/10.1038/nature14236).

    Args:
        reward: [B].
        discount: [B], 0 where the episode terminated.
        next_q_values: the target network's Q(s′, ·), [B, A].
        bootstrap: probabilities [B, A], shift [B, A], bonus [B].

    Returns:
        [B].
    """
    next_value = (bootstrap.probabilities * (next_q_values + bootstrap.shift)).sum(-1)  # [B]
    return reward + bootstrap.bonus + discount * next_value


@register("value", "expected")
class Expected:
    """The expected return, with squared error or the Huber loss.

    Args:
        loss: `squared` (δ²) or `huber`.
        kappa: the error beyond which the Huber loss is linear; unused by `squared`.
        all_actions: whether the loss is the mean over *all* actions; the targets of actions not taken are the online
            network's predictions before the update. The notebook does so; standard DQN does not.
    """

    num_outputs = 1

    def __init__(
        self,
        *,
        loss: Literal["squared", "huber"] = "squared",
        kappa: Annotated[float, Gt(0), Le(1e30)] = 1.0,
        all_actions: bool = False,
    ) -> None:
        self.kappa = kappa if loss == "huber" else None
        self.all_actions = all_actions

    @staticmethod
    def explain(config: Mapping[str, Any]) -> dict[str, str]:
        """Returns the formulas."""
        own = config["value"]
        loss = "(y − Q(s, a; θ))²" if own["loss"] == "squared" else f"huber(y − Q(s, a; θ)), κ = {own['kappa']:g}"
        others = ", averaged over all actions, where the others' targets are their old values"
        return {
            "target": "y = r + γ′ V(s′)",
            "loss": f"loss = {loss}{others if own['all_actions'] else ''}",
            "priority": "|y − Q(s, a; θ)|",
        }

    def q_values(self, outputs: Tensor) -> Tensor:
        """Drops the single output: [..., A, 1] to [..., A]."""
        return outputs.squeeze(-1)

    def target(
        self, transition: Transition[Tensor], outputs: Tensor, bootstrap: Bootstrapped, current: Callable[[], Tensor]
    ) -> Tensor:
        """Returns r + bonus + γ Σ π (Q + shift), [B]; with `all_actions`, the targets of all actions, [B, A]."""
        taken = q_learning_target(transition.reward, transition.discount, outputs.squeeze(-1), bootstrap)
        if not self.all_actions:
            return taken
        return current().squeeze(-1).scatter(1, transition.action.unsqueeze(1), taken.unsqueeze(1))

    def loss(self, outputs: Tensor, action: Tensor, target: Tensor, noise: NetworkNoise[Tensor] | None) -> Loss:
        """Returns the loss of δ = target − Q(s, a); the priority is |δ| of the action taken."""
        q_values = outputs.squeeze(-1)  # [B, A]
        chosen = q_values.gather(1, action.unsqueeze(1)).squeeze(1)  # [B]
        if self.all_actions:
            loss = self._error(target - q_values).mean(1)
            td_error = target.gather(1, action.unsqueeze(1)).squeeze(1) - chosen
        else:
            td_error = target - chosen
            loss = self._error(td_error)
        return Loss(loss, chosen.detach(), td_error.detach().abs())

    def _error(self, td_error: Tensor) -> Tensor:
        return squared_error(td_error) if self.kappa is None else huber(td_error, self.kappa)
