"""The convolutional network of DQN on Atari."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from gymnasium import Space

from dqn_lab.network._cnn import CNN, Channels, Convolution
from dqn_lab.registry import register


@register("network", "nature_cnn")
class NatureCNN(CNN):
    """Convolutions of 32 filters 8×8 (stride 4), 64 of 4×4 (2) and 64 of 3×3 (1), a dense layer of 512: DQN on Atari.

    Mnih et al. 2015, "Human-level control through deep reinforcement learning", https://doi.org/10.1038/nature14236.
    Images have at least 36 × 36 pixels; bytes are divided by 255, truth values become 0 and 1.

    Args:
        observation_space: a `Box` of three axes.
        num_actions: A.
        num_outputs: K, outputs per action.
        generator: draws the initial weights.
        channels: where the axis of channels, or stacked frames, stands: before height and width, or after them.
        dueling: whether outputs are a value plus each action's advantage over their mean, either stream with a dense
            layer of 512 of its own (Wang et al. 2016, "Dueling Network Architectures for Deep Reinforcement Learning",
            https://arxiv.org/abs/1511.06581).
        dueling_gradient_scale: what the gradient from both streams into the convolutions is multiplied by: 1 for what
            it is, Wang's 1/√2.
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
        channels: Channels = "first",
        dueling: bool = False,
        dueling_gradient_scale: Annotated[float, Gt(0), Le(1)] = 1.0,
        noisy: bool = False,
        noisy_sigma: Annotated[float, Ge(0)] = 0.5,
    ) -> None:
        convolutions = [Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)]
        sigma = noisy_sigma if noisy else None
        supplied = observation_space, num_actions, num_outputs, generator
        super().__init__(*supplied, convolutions, 512, channels, dueling, sigma, dueling_gradient_scale)
