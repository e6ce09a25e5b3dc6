"""Adam as Keras computes it, which differs slightly from PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from annotated_types import Gt

from dqn_lab.optimizer._shared import Decay, Shared
from dqn_lab.registry import register
from dqn_lab.schedule import Progress


class _KerasAdam(torch.optim.Optimizer):
    """w ← w − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε): ε is added to the *uncorrected* root."""

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], lr: float, betas: tuple[float, float], eps: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state.update(step=0, m=torch.zeros_like(parameter), v=torch.zeros_like(parameter))
                state["step"] += 1
                rate = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
                state["m"].lerp_(parameter.grad, 1 - beta1)
                state["v"].lerp_(parameter.grad.square(), 1 - beta2)
                parameter.sub_(rate * state["m"] / state["v"].sqrt().add_(group["eps"]))


@register("optimizer", "keras_adam")
class KerasAdam(Shared):
    """Adam with eps added to the uncorrected root of the second moment, as in `keras.optimizers.Adam`.

    Kingma, Ba 2015, https://arxiv.org/abs/1412.6980, in the order of the last paragraph of its section 2.

    Args:
        betas: decay rates of the first and the second moment.
        eps: added to the root of the second moment before its bias is corrected.
    """

    def __init__(
        self, *, betas: tuple[Decay, Decay] = (0.9, 0.999), eps: Annotated[float, Gt(0)] = 1e-7, **shared: Any
    ) -> None:
        super().__init__(**shared)
        self.betas, self.eps = betas, eps

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """Makes the optimiser."""
        return _KerasAdam(parameters, self.lr(Progress()), self.betas, self.eps)
