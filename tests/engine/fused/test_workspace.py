"""The workspace: its parts, and where they begin."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.workspace import allocate, part_sizes
from tests.engine.fused.compositions import compositions, few


@few
@given(compositions(), st.integers(1, 300), st.sampled_from([np.float32, np.float64]))
def test_parts_lie_behind_each_other_and_fill_the_whole(composition, batch_size, dtype):
    """No part reaches into the next, and each begins at a cache line."""
    plan = composition.build("fused", torch.float32)._plan.copy()
    whole = allocate(plan, batch_size, dtype)
    starts = plan[layout.PARTS : layout.LAYERS]
    sizes = part_sizes(plan, batch_size)
    assert list(sizes) == [*range(layout.PARTS, layout.PARTS_END)]
    assert (np.diff(starts) >= list(sizes.values())).all()
    assert (starts[0], starts[-1]) == (0, len(whole))
    assert not (whole.ctypes.data + starts * whole.itemsize).astype(np.int64).__mod__(64).any()
    assert whole.dtype == dtype
    assert not whole.any()
