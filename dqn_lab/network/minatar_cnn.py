"""The convolutional network of MinAtar."""

from __future__ import annotations

from typing import Any

from dqn_lab.network._cnn import CNN, Channels, Convolution
from dqn_lab.registry import register


@register("network", "minatar_cnn")
class MinAtarCNN(CNN):
    """One convolution of 16 filters 3×3 (stride 1) and a dense layer of 128, for MinAtar's small images.

    Young, Tian 2019, "MinAtar: An Atari-Inspired Testbed for Thorough and Reproducible Reinforcement Learning
    Experiments", https://arxiv.org/abs/1903.03176. Booleans become 0 and 1, bytes are divided by 255.
    """

    def __init__(self, *supplied: Any, channels: Channels = "last", **shared: Any) -> None:
        super().__init__([Convolution(16, 3, 1)], 128, channels, 1.0, *supplied, **shared)
