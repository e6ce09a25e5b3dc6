"""A lookup table with separate values for every state."""

from __future__ import annotations

import math
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from annotated_types import Gt
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from dqn_lab.registry import register

LARGEST = 10**8  # numbers in a table

Count = Annotated[int, Gt(0)]
Ends = list[float | None]


class Grid(NamedTuple):
    """The bins of each observed number: bin 0 begins at `start`, and each bin is `width` wide."""

    start: NDArray[np.float64]
    width: NDArray[np.float64]
    sizes: list[int]


@register("network", "table")
class Table(nn.Module):
    """A separate row of numbers for every state, one per action, as in Watkins' Q-learning (1989).

    States of a `Discrete`, `MultiDiscrete` or `MultiBinary` space have a row each. Each dimension of a vector, a `Box`,
    is cut into bins of equal width, and each cell of this grid has a row (Michie, Chambers 1968, "BOXES: An Experiment
    in Adaptive Control"). Values beyond an end belong to the bin at that end.

    Args:
        observation_space: a `Discrete`, `MultiDiscrete`, `MultiBinary` or `Box`, of one dimension at most.
        num_actions: A.
        num_outputs: K, outputs per action.
        generator: unused, because nothing here is random.
        bins: the number of bins per dimension of a `Box`: one number, or a list with one for each.
        low: lower end of the bins of each dimension of a `Box`; null, for all or for one, means the space's own.
        high: upper end, likewise.
        initial: the initial value of every entry; if above every possible return, a greedy policy tries every action.

    Raises:
        ValueError: the space is not supported, the bins or ends do not fit it, or the table is too large.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        num_actions: int,
        num_outputs: int,
        generator: torch.Generator,
        *,
        bins: Count | list[Count] = 10,
        low: Ends | None = None,
        high: Ends | None = None,
        initial: float = 0.0,
    ) -> None:
        super().__init__()
        self.grid: Tensor
        self.num_actions, self.num_outputs = num_actions, num_outputs
        if len(observation_space.shape or ()) > 1:
            raise ValueError(f"needs states or a vector of numbers as observations; got {observation_space}")
        if isinstance(observation_space, Box):
            start, width, sizes = _cut(observation_space, bins, low, high)
        else:
            start, width, sizes = _states(observation_space)
        num_rows, row = math.prod(sizes), num_actions * num_outputs
        if num_rows * row > LARGEST:
            culprit = f"bins={bins}: " if isinstance(observation_space, Box) else ""
            raise ValueError(f"{culprit}a table of about 10^{math.log10(num_rows * row):.0f} numbers is too large")
        strides = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
        grid = torch.from_numpy(np.stack([start, width, np.subtract(sizes, 1), strides]))  # [4, dimensions]
        self.register_buffer("grid", grid, persistent=False)
        self.weight = nn.Parameter(torch.full((num_rows, row), initial))

    def _apply(self, *arguments: Any, **options: Any) -> Table:
        """Moves or converts the table, but keeps its bins in double precision, so that large integers stay exact."""
        grid = self.grid
        super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]
        self.grid = grid.to(self.weight.device)
        return self

    def forward(self, obs: Tensor) -> Tensor:
        """Maps observations [B, *O] to outputs [B, A, K]."""
        return embedding(self.rows(obs), self.weight).view(-1, self.num_actions, self.num_outputs)

    def rows(self, obs: Tensor) -> Tensor:
        """Returns the rows [B] of observations [B, *O]."""
        start, width, last, strides = self.grid
        bins = ((obs.reshape(len(obs), -1).double() - start) / width).floor().clamp(min=0)  # [B, dimensions]
        rows: Tensor = (bins.minimum(last) @ strides).long()
        return rows


def _states(space: Space[Any]) -> Grid:
    """Returns one bin per state."""
    if isinstance(space, Discrete):
        sizes, start = [int(space.n)], [int(space.start)]
    elif isinstance(space, MultiDiscrete):
        sizes, start = space.nvec.tolist(), space.start.tolist()
    elif isinstance(space, MultiBinary):
        sizes, start = [2] * math.prod(space.shape), [0] * math.prod(space.shape)
    else:
        raise ValueError(f"needs states or a vector of numbers as observations; got {space}")
    return Grid(np.array(start, np.float64), np.ones(len(sizes)), sizes)


def _cut(space: Box, bins: int | list[int], low: Ends | None, high: Ends | None) -> Grid:
    """Returns the bins of each dimension."""
    number = math.prod(space.shape)
    sizes = bins if isinstance(bins, list) else [bins] * number
    if len(sizes) != number:
        raise ValueError(f"bins={bins}: must be one number, or {number} numbers, one per observed number")
    start, end = _ends("low", low, space.low), _ends("high", high, space.high)
    for i in range(number):
        if not start[i] < end[i]:
            raise ValueError(
                f"low={low}: for observed number {i} it is {start[i]:g}, and must be below high, {end[i]:g}"
            )
    return Grid(start, (end - start) / sizes, sizes)


def _ends(key: str, given: Ends | None, own: NDArray[Any]) -> NDArray[np.float64]:
    """Returns one end of every dimension; the space's own if none is given."""
    ends = own.astype(np.float64).reshape(-1)
    shown = "null" if given is None else given
    if given is not None and len(given) != len(ends):
        raise ValueError(f"{key}={shown}: must be null, or {len(ends)} numbers, one per observed number")
    for i, end in enumerate(given or ()):
        ends[i] = ends[i] if end is None else end
    if not np.isfinite(ends).all():
        i = int(np.flatnonzero(~np.isfinite(ends))[0])
        raise ValueError(f"{key}={shown}: observed number {i} is unbounded; give its end in a list")
    return ends
