"""A custom network and a custom buffer."""

from typing import Annotated

import numpy as np
import torch
from annotated_types import Gt
from torch import nn

from dqn_lab.buffer.uniform import Uniform


class Residual(nn.Module):
    """One hidden layer, plus a linear path from observation to outputs.

    Args:
        width: units of the hidden layer.
    """

    def __init__(self, observation_space, num_actions, num_outputs, generator, *, width: Annotated[int, Gt(0)] = 32):
        super().__init__()
        self.shape = (num_actions, num_outputs)
        (size,) = observation_space.shape
        self.hidden, self.out = nn.Linear(size, width), nn.Linear(width, num_actions * num_outputs)
        self.straight = nn.Linear(size, num_actions * num_outputs)

    def forward(self, obs):
        """Maps observations [B, O] to outputs [B, A, K]."""
        outputs = self.out(torch.relu(self.hidden(obs))) + self.straight(obs)
        return outputs.view(-1, *self.shape)


class Recent(Uniform):
    """Replay that draws newer transitions more often, and reports how full it is.

    Args:
        capacity: transitions remembered.
        emphasis: 1 is uniform; larger values prefer newer transitions.
    """

    columns = ("fill",)

    def __init__(
        self, observation_space, discount, num_envs, *,
        capacity: Annotated[int, Gt(0)] = 10_000, emphasis: Annotated[float, Gt(0)] = 2.0,
    ):  # fmt: skip
        super().__init__(observation_space, discount, num_envs, capacity=capacity)
        self.emphasis = emphasis

    def sample(self, draws):
        """Draws a batch from uniform numbers in [0, 1), [B]."""
        age = (draws**self.emphasis * len(self)).astype(np.int64)
        indices = (self.ring.head - 1 - age) % len(self)
        return self.ring.batch(indices)

    def report(self, progress):
        """Returns the values of `columns` at an episode's end."""
        return {"fill": len(self) / self.ring.capacity}
