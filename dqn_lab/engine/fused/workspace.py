"""The kernels' scratch memory: one flat array, cut into the parts that `layout.py` names."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layout import TILE, round_up
from dqn_lab.engine.fused.simd import element, lower_view

Array = NDArray[Any]


def part_sizes(plan: Array, batch_size: int) -> dict[int, Any]:
    """Returns the size of each part for batches up to this size."""
    rows = layout.linear_layers(plan)
    inputs, outputs = rows[:, layout.INPUTS], rows[:, layout.OUTPUTS]
    last, embeds, noisy = rows[plan[layout.NUM_LAYERS] - 1], plan[layout.NUM_COSINES] > 0, plan[layout.NOISE_SIZE] > 0
    per_action, samples = batch_size * plan[layout.NUM_ACTIONS], plan[layout.CHUNK_SIZE]
    counts = plan[layout.COUNTS : layout.COUNTS + len(layout.PURPOSES)]
    apart = counts.max() * plan[layout.DISTRIBUTION]  # outputs that are not Q-values
    pairs = samples * counts.max() * embeds  # of samples and fractions
    width = max(last[layout.OUTPUTS], plan[layout.NUM_ACTIONS] * apart)
    widest, hidden = max(inputs.max(), width), samples * inputs.sum()
    return {
        layout.PASS_Q_VALUES: layout.NUM_PASSES * per_action,  # [passes, B, A]
        layout.NEXT_OUTPUTS: per_action * apart,  # [B, A, K]
        layout.PROBABILITIES: per_action,  # [B, A]
        layout.NEXT_SHIFT: per_action,  # [B, A]
        layout.MEAN: batch_size,  # [B]
        layout.BONUS: batch_size,  # [B]
        layout.TARGET: batch_size * plan[layout.TARGET_SIZE],  # [B, …]
        layout.TAKEN: samples * apart,
        layout.GOAL: samples * plan[layout.TARGET_SIZE] * plan[layout.DISTRIBUTION],
        layout.JUDGED: samples * layout.JUDGEMENTS * plan[layout.DISTRIBUTION],
        layout.NOISE: len(layout.PURPOSES) * plan[layout.NOISE_SIZE],
        layout.DRAWN: layout.num_parameters(plan) * noisy,
        layout.FRACTIONS: batch_size * counts.sum() * embeds,
        layout.TAUS: pairs,
        layout.PAIR_TAUS: pairs,
        layout.COSINES: pairs * plan[layout.NUM_COSINES] + TILE * TILE * embeds,
        layout.EMBEDDED: pairs * last[layout.INPUTS],
        layout.PAIRS: (pairs * last[layout.INPUTS]) + TILE * TILE * embeds,
        layout.PAIR_OUTPUTS: pairs * last[layout.OUTPUTS],
        layout.PAIR_GRADIENT: pairs * last[layout.INPUTS],
        layout.BLOCKS: (round_up(inputs) * outputs).sum(),
        layout.ZEROS: widest,
        layout.HIDDEN: hidden + TILE * TILE,  # one more tile, because features are transposed tile by tile
        layout.NORMAL: hidden,
        layout.NORM_SCALE: samples * len(rows),
        layout.LAST: samples * width,
        layout.GRADIENT: samples * widest,
        layout.NEXT_GRADIENT: samples * widest,
        layout.TURNED: max(samples, pairs) * round_up(widest),
    }


def allocate(plan: Array, batch_size: int, dtype: np.dtype[np.floating]) -> Array:
    """Allocates a workspace for batches up to this size, and writes into the plan where its parts begin.

    Each part begins at the start of a cache line.
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
