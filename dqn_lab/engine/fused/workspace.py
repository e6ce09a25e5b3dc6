"""Where the kernels keep what they compute on the way: parts of one flat array, whose names are in `layout.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layout import CHUNK, TILE, round_up
from dqn_lab.engine.fused.simd import element, lower_view

Array = NDArray[Any]


def part_sizes(plan: Array, batch_size: int) -> dict[int, Any]:
    """Returns how many numbers each part has for batches of up to this size."""
    rows = layout.linear_layers(plan)
    inputs, outputs = rows[:, layout.INPUTS], rows[:, layout.OUTPUTS]
    per_action, samples = batch_size * plan[layout.NUM_ACTIONS], CHUNK * TILE
    widest, hidden = max(inputs.max(), outputs[-1]), samples * inputs.sum()
    return {
        layout.PASS_OUTPUTS: layout.NUM_PASSES * per_action * plan[layout.NUM_OUTPUTS],  # [passes, B, A, K]
        layout.PASS_Q_VALUES: layout.NUM_PASSES * per_action,  # [passes, B, A]
        layout.PROBABILITIES: per_action,  # [B, A]
        layout.NEXT_SHIFT: per_action,  # [B, A]
        layout.MEAN: batch_size,  # [B]
        layout.BONUS: batch_size,  # [B]
        layout.TARGET: batch_size * plan[layout.TARGET_SIZE],  # [B, …]
        layout.BLOCKS: (round_up(inputs) * outputs).sum(),
        layout.ZEROS: widest,
        layout.HIDDEN: hidden + TILE * TILE,  # a tile more, because features are turned tile by tile
        layout.NORMAL: hidden,
        layout.NORM_SCALE: samples * len(rows),
        layout.LAST: samples * outputs[-1],
        layout.GRADIENT: samples * widest,
        layout.NEXT_GRADIENT: samples * widest,
        layout.TURNED: samples * round_up(widest),
    }


def allocate(plan: Array, batch_size: int, dtype: np.dtype[np.floating]) -> Array:
    """Makes a workspace for batches of up to this size, and writes into the plan where its parts begin.

    Parts begin where a cache line does.
    """
    sizes = part_sizes(plan, batch_size)
    ends = np.cumsum([0, *(round_up(sizes[which]) for which in range(layout.PARTS, layout.PARTS_END))])
    plan[layout.PARTS : layout.LAYERS] = ends
    whole = np.zeros(ends[-1] + TILE, dtype)
    first = -whole.ctypes.data % (TILE * 4) // whole.itemsize
    return whole[first : first + ends[-1]]


@intrinsic
def part(typing: Any, space: Any, plan: Any, which: Any) -> Any:
    """Returns a part of the workspace, space[plan[which] : plan[which + 1]]."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = element(context, builder, plan, args[1], args[2])
        end = element(context, builder, plan, args[1], builder.add(args[2], args[2].type(1)))
        return lower_view(context, builder, space, args[0], start, builder.sub(end, start))

    return space(space, plan, types.intp), lower
