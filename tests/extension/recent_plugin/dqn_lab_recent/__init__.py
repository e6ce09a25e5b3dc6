"""A buffer for dqn_lab: `buffer=newest`."""

from typing import Annotated

from annotated_types import Gt

from dqn_lab.buffer.uniform import Uniform
from dqn_lab.registry import register


@register("buffer", "newest")
class Newest(Uniform):
    """Uniform replay over few transitions.

    Args:
        capacity: transitions remembered.
    """

    def __init__(self, observation_space, discount, num_envs, *, capacity: Annotated[int, Gt(0)] = 100):
        super().__init__(observation_space, discount, num_envs, capacity=capacity)
