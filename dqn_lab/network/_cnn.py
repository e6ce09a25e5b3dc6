"""Convolutional networks for images: a trunk of convolutions, a head of dense layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor, nn

from dqn_lab.network._head import Head, TrunkAndHead
from dqn_lab.network._linear import draw_uniform, linear

Channels = Literal["first", "last"]


class Convolution(NamedTuple):
    """A convolution without padding, relu after it."""

    filters: int
    kernel: int
    stride: int

    def size(self, pixels: int) -> int:
        """Gives how many pixels it leaves of so many."""
        return (pixels - self.kernel) // self.stride + 1

    def needed(self, pixels: int) -> int:
        """Gives how many pixels it needs to leave so many."""
        return (pixels - 1) * self.stride + self.kernel


class CNN(TrunkAndHead):
    """Convolutions over an image, flattened; then a dense layer with relu and one of outputs, two of each in dueling.

    Weights and biases are drawn from ±1/√fan_in (torch's own). Bytes are divided by 255, and truth values become 0 and
    1; other numbers are taken as they are. Noisy are the dense layers only.

    Args:
        observation_space: a `Box` of three axes.
        num_actions: A.
        num_outputs: K, outputs per action.
        generator: draws the initial weights.
        convolutions: from the image on.
        hidden: width of the dense layer.
        channels: where the axis of channels stands.
        dueling: whether outputs are values plus advantages.
        noisy_sigma: σ₀ of noisy dense layers; None for plain ones.
        dueling_gradient_scale: what the gradient from a dueling head into the convolutions is multiplied by.

    Raises:
        ValueError: the observation is no image, or too small a one.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        num_actions: int,
        num_outputs: int,
        generator: torch.Generator,
        convolutions: Sequence[Convolution],
        hidden: int,
        channels: Channels,
        dueling: bool,
        noisy_sigma: float | None,
        dueling_gradient_scale: float = 1.0,
    ) -> None:
        depth, *pixels = _image_shape(observation_space, channels, convolutions)
        trunk: list[nn.Module] = []
        for convolution in convolutions:
            trunk += [_layer(depth, convolution, generator), nn.ReLU()]
            depth, pixels = convolution.filters, [convolution.size(length) for length in pixels]
        num_features = depth * math.prod(pixels)

        def make(fan_in: int, fan_out: int) -> nn.Linear:
            return linear(fan_in, fan_out, generator, noisy_sigma=noisy_sigma)

        sizes, scale = (num_features, num_actions, num_outputs), dueling_gradient_scale
        head = Head(*sizes, make, hidden=hidden, dueling=dueling, gradient_scale=scale)
        super().__init__(nn.Sequential(*trunk, nn.Flatten()), head, num_features)
        self.channels = channels

    def prepare(self, obs: Tensor) -> Tensor:
        """Gives images [B, *O] as numbers, bytes from 0 to 1, channels first."""
        images = obs.to(self.dtype)
        images = images / 255 if obs.dtype == torch.uint8 else images
        return images if self.channels == "first" else images.movedim(-1, 1)


def _image_shape(space: Space[Any], channels: Channels, convolutions: Sequence[Convolution]) -> tuple[int, int, int]:
    """Gives an image's channels, height and width.

    Raises:
        ValueError: it is none, or the convolutions leave nothing of it.
    """
    if not isinstance(space, Box) or len(space.shape) != 3:
        order = "channels, height, width" if channels == "first" else "height, width, channels"
        raise ValueError(f"needs images to observe, a Box of three axes ({order}), got {space}")
    depth, height, width = space.shape if channels == "first" else (space.shape[2], *space.shape[:2])
    least = 1
    for convolution in reversed(convolutions):
        least = convolution.needed(least)
    if min(height, width) < least:
        problem = f"of shape {space.shape} images are {height} × {width}, and must be at least {least} × {least}"
        raise ValueError(f"channels={channels}: {problem}")
    return depth, height, width


def _layer(depth: int, convolution: Convolution, generator: torch.Generator) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):  # its own initial weights come from the global generator, and go again
        layer = nn.Conv2d(depth, *convolution)
    draw_uniform(layer, depth * convolution.kernel**2, generator)
    return layer
