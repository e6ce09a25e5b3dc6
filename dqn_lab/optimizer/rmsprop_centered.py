"""RMSprop as in the first deep Q-network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from annotated_types import Gt

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress, Rate


class _CenteredRMSprop(torch.optim.Optimizer):
    """w ← w − lr · grad / √(s − g² + ε), where g and s are moving means of grad and grad²: ε is *inside* the root."""

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
                # rounding may make it negative
                variance = torch.addcmul(state["s"], state["g"], state["g"], value=-1).clamp_(min=0)
                parameter.sub_(group["lr"] * parameter.grad / variance.add_(group["eps"]).sqrt_())


@register("optimizer", "rmsprop_centered")
class CenteredRMSprop(Shared):
    """RMSprop that divides by the gradient's standard deviation, with ε inside the root.

    Mnih et al. 2015, "Human-level control through deep reinforcement learning", https://doi.org/10.1038/nature14236,
    after Graves 2013, https://arxiv.org/abs/1308.0850, equations 38–41, without momentum:
    g ← decay · g + (1 − decay) · grad, s ← decay · s + (1 − decay) · grad², w ← w − lr · grad / √(s − g² + eps).
    `torch.optim.RMSprop(centered=True)` is another optimiser: it adds ε to the root.

    Args:
        decay: decay rate of both means, g and s.
        eps: added under the root; Mnih's "minimum squared gradient".
    """

    def __init__(
        self, *, lr: Rate = 2.5e-4, decay: Decay = 0.95, eps: Annotated[float, Gt(0)] = 0.01, **shared: Any
    ) -> None:
        super().__init__(lr=lr, **shared)
        self.decay, self.eps = decay, eps

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the optimiser."""
        return _CenteredRMSprop(parameters, self.lr(Progress()), self.decay, self.eps)
