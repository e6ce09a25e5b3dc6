"""The convolutional network of DQN on Atari."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Gt, Le

from dqn_lab.network._cnn import CNN, Channels, Convolution
from dqn_lab.registry import register


@register("network", "nature_cnn")
class NatureCNN(CNN):
    """Convolutions of 32 filters 8×8 (stride 4), 64 of 4×4 (2) and 64 of 3×3 (1), a dense layer of 512: DQN on Atari.

    Mnih et al. 2015, "Human-level control through deep reinforcement learning", https://doi.org/10.1038/nature14236.
    Images have at least 36 × 36 pixels; bytes are divided by 255, booleans become 0 and 1.

    Args:
        dueling_gradient_scale: the factor of the gradient from both streams of a dueling head into the convolutions;
            Wang et al. use 1/√2.
    """

    def __init__(
        self,
        *supplied: Any,
        channels: Channels = "first",
        dueling_gradient_scale: Annotated[float, Gt(0), Le(1)] = 1.0,
        **shared: Any,
    ) -> None:
        convolutions = [Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)]
        super().__init__(convolutions, 512, channels, dueling_gradient_scale, *supplied, **shared)
