"""Convolutional networks for images: convolutions, then a head of dense layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from annotated_types import Ge
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor, nn

from dqn_lab.network._head import Head, TrunkAndHead
from dqn_lab.network._linear import check_size, draw_uniform, linear

Channels = Literal["first", "last"]
MOST_CHANNELS, FEWEST_PIXELS = 32, 8  # beyond both, and if square with the axes in the other order, that is meant


class Convolution(NamedTuple):
    """A convolution without padding, followed by relu."""

    filters: int
    kernel: int
    stride: int

    def size(self, pixels: int) -> int:
        """Returns the output's length along an axis of length `pixels`."""
        return (pixels - self.kernel) // self.stride + 1

    def needed(self, pixels: int) -> int:
        """Returns the smallest input length whose output has `pixels`."""
        return (pixels - 1) * self.stride + self.kernel


class CNN(TrunkAndHead):
    """Convolutions over an image; then a dense layer with relu and a dense output layer (two of each if dueling).

    Weights and biases are drawn from ±1/√fan_in (torch's default). Bytes are divided by 255; booleans become 0 and 1;
    other numbers are used as they are.

    Args:
        convolutions: the convolutions, starting at the image.
        hidden_size: width of the dense layer.
        channels: the axis of the channels or stacked frames: `first`, before height and width, or `last`.
        gradient_scale: the factor of the gradient from a dueling head into the convolutions.
        observation_space: a `Box` of three axes.
        num_actions: A.
        num_outputs: K, outputs per action.
        generator: draws the initial weights.
        dueling: whether outputs are a value plus each action's advantage over their mean, each stream with its own
            dense layer (Wang et al. 2016, "Dueling Network Architectures for Deep Reinforcement Learning",
            https://arxiv.org/abs/1511.06581).
        noisy: whether the dense layers have factorised noise of a learned size (Fortunato et al. 2018, "Noisy
            Networks for Exploration", https://arxiv.org/abs/1706.10295): redrawn for each action and, for each
            network, each batch; off in evaluation. The noise explores by itself: use `exploration=none`.
        noisy_sigma: σ₀, the initial size of the noise, in units of 1/√fan_in.

    Raises:
        ValueError: the observation is not an image, or the image is too small.
    """

    def __init__(
        self,
        convolutions: Sequence[Convolution],
        hidden_size: int,
        channels: Channels,
        gradient_scale: float,
        observation_space: Space[Any],
        num_actions: int,
        num_outputs: int,
        generator: torch.Generator,
        *,
        dueling: bool = False,
        noisy: bool = False,
        noisy_sigma: Annotated[float, Ge(0)] = 0.5,
    ) -> None:
        depth, *pixels = _image_shape(observation_space, channels, convolutions)
        trunk: list[nn.Module] = []
        for convolution in convolutions:
            trunk += [_layer(depth, convolution, generator), nn.ReLU()]
            depth, pixels = convolution.filters, [convolution.size(length) for length in pixels]
        num_features = depth * math.prod(pixels)
        streams = num_features * hidden_size * (1 + dueling), hidden_size * (num_actions + dueling) * num_outputs
        check_size(sum(streams) * (1 + noisy), f"images of shape {observation_space.shape}")

        def make(fan_in: int, fan_out: int) -> nn.Linear:
            return linear(fan_in, fan_out, generator, noisy_sigma=noisy_sigma if noisy else None)

        sizes = num_features, num_actions, num_outputs
        head = Head(*sizes, make, hidden=hidden_size, dueling=dueling, gradient_scale=gradient_scale)
        super().__init__(nn.Sequential(*trunk, nn.Flatten()), head, num_features)
        self.channels = channels

    def prepare(self, obs: Tensor) -> Tensor:
        """Returns images [B, *O] as numbers, bytes from 0 to 1, channels first."""
        images = obs.to(self.dtype)
        images = images / 255 if obs.dtype == torch.uint8 else images
        return images if self.channels == "first" else images.movedim(-1, 1)


def _image_shape(space: Space[Any], channels: Channels, convolutions: Sequence[Convolution]) -> tuple[int, int, int]:
    """Returns an image's channels, height and width.

    Raises:
        ValueError: it is not an image, is too small for the convolutions, or clearly has its axes in the other order.
    """
    if not isinstance(space, Box) or len(space.shape) != 3:
        order = "channels, height, width" if channels == "first" else "height, width, channels"
        raise ValueError(f"needs images as observations, a Box of three axes ({order}); got {space}")
    depth, height, width = space.shape if channels == "first" else (space.shape[2], *space.shape[:2])
    other, sides = ("last", space.shape[:2]) if channels == "first" else ("first", space.shape[1:])
    if depth > MOST_CHANNELS and min(height, width) <= FEWEST_PIXELS and sides[0] == sides[1]:
        problem = f"images of shape {space.shape} would have {depth} channels and {height} × {width} pixels"
        raise ValueError(f"channels={channels}: {problem}; network.channels={other} makes them square")
    least = 1
    for convolution in reversed(convolutions):
        least = convolution.needed(least)
    if min(height, width) < least:
        problem = f"images of shape {space.shape} are {height} × {width}, and must be at least {least} × {least}"
        hint = f"; network.channels={other} fits this shape" if min(sides) >= least else ""
        raise ValueError(f"channels={channels}: {problem}{hint}")
    return depth, height, width


def _layer(depth: int, convolution: Convolution, generator: torch.Generator) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):  # torch initialises from the global generator; replaced below
        layer = nn.Conv2d(depth, *convolution)
    draw_uniform(layer, depth * convolution.kernel**2, generator)
    return layer
