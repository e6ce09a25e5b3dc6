"""The convolutional network of MinAtar."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge
from gymnasium import Space

from dqn_lab.network._cnn import CNN, Channels, Convolution
from dqn_lab.registry import register


@register("network", "minatar_cnn")
class MinAtarCNN(CNN):
    """One convolution of 16 filters 3×3 (stride 1) and a dense layer of 128: small images, MinAtar's.

    Young, Tian 2019, "MinAtar: An Atari-Inspired Testbed for Thorough and Reproducible Reinforcement Learning
    Experiments", https://arxiv.org/abs/1903.03176. Truth values become 0 and 1, bytes are divided by 255.

    Args:
        observation_space: a `Box` of three axes.
        num_actions: A.
        num_outputs: K, outputs per action.
        generator: draws the initial weights.
        channels: where the axis of channels stands: before height and width, or after them, as MinAtar has it.
        dueling: whether outputs are a value plus each action's advantage over their mean, either stream with a dense
            layer of 128 of its own (Wang et al. 2016, "Dueling Network Architectures for Deep Reinforcement Learning",
            https://arxiv.org/abs/1511.06581).
        noisy: whether the dense layers have factorised noise, whose size is learned (Fortunato et al. 2018, "Noisy
            Networks for Exploration", https://arxiv.org/abs/1706.10295): drawn anew for each action and, for each
            network, each batch; left out in evaluation. It explores by itself: `exploration=none`.
        noisy_sigma: σ₀, the size of the noise at first, in units of 1/√fan_in.

    Raises:
        ValueError: the observation is no image, or too small a one.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        num_actions: int,
        num_outputs: int,
        generator: torch.Generator,
        *,
        channels: Channels = "last",
        dueling: bool = False,
        noisy: bool = False,
        noisy_sigma: Annotated[float, Ge(0)] = 0.5,
    ) -> None:
        sigma = noisy_sigma if noisy else None
        supplied = observation_space, num_actions, num_outputs, generator
        super().__init__(*supplied, [Convolution(16, 3, 1)], 128, channels, dueling, sigma)
