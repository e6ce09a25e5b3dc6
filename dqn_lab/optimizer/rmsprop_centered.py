"""RMSprop as the first deep Q-network had it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt

from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate, rate


class _CenteredRMSprop(torch.optim.Optimizer):
    """w ← w − lr · grad / √(s − g² + ε), g and s being moving means of grad and grad²: ε stands *inside* the root."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float, decay: float, eps: float) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state.update(g=torch.zeros_like(parameter), s=torch.zeros_like(parameter))
                state["g"].lerp_(parameter.grad, 1 - group["decay"])
                state["s"].lerp_(parameter.grad.square(), 1 - group["decay"])
                variance = torch.addcmul(state["s"], state["g"], state["g"], value=-1).clamp_(min=0)  # but for rounding
                parameter.addcdiv_(parameter.grad, variance.add_(group["eps"]).sqrt_(), value=-group["lr"])


@register("optimizer", "rmsprop_centered")
class CenteredRMSprop:
    """RMSprop that divides by the gradient's standard deviation, with ε inside the root.

    Mnih et al. 2015, "Human-level control through deep reinforcement learning", https://doi.org/10.1038/nature14236,
    after Graves 2013, https://arxiv.org/abs/1308.0850, equations 38–41, without momentum:
    g ← decay · g + (1 − decay) · grad, s ← decay · s + (1 − decay) · grad², w ← w − lr · grad / √(s − g² + eps).
    `torch.optim.RMSprop(centered=True)` is another optimiser: it adds ε to the root.

    Args:
        lr: learning rate, or `{start, end, duration, unit}` for a straight line of it.
        decay: of both means, g and s.
        eps: added under the root; Mnih's "minimum squared gradient".
        max_grad_value: the largest size of each number of the gradient; null for no clipping.
        max_grad_norm: the gradient's largest Euclidean norm, after that; null for no clipping.
    """

    def __init__(
        self,
        *,
        lr: Rate = 2.5e-4,
        decay: Annotated[float, Ge(0), Lt(1)] = 0.95,
        eps: Annotated[float, Gt(0)] = 0.01,
        max_grad_value: Annotated[float, Gt(0)] | None = None,
        max_grad_norm: Annotated[float, Gt(0)] | None = None,
    ) -> None:
        self.lr, self.decay, self.eps = rate(lr), decay, eps
        self.max_grad_value, self.max_grad_norm = max_grad_value, max_grad_norm

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the optimiser."""
        return _CenteredRMSprop(parameters, self.lr(Progress()), self.decay, self.eps)
