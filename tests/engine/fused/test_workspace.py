"""The workspace: its parts, and where they begin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.workspace import allocate, part_sizes
from tests.engine.fused.compositions import Composition, compositions, few


@few
@given(compositions(), st.integers(1, 300), st.sampled_from([np.float32, np.float64]))
def test_parts_lie_behind_each_other_and_fill_the_whole(composition, batch_size, dtype):
    """So that none reaches into the next, and each begins at a cache line."""
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


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_every_parameter_has_a_place_of_its_own(dueling, layer_norm):
    """In the order of torch, but for a dueling network's streams, which are rows of one layer."""
    network = {"name": "mlp", "hidden": [5, 7], "dueling": dueling, "layer_norm": layer_norm}
    engine = Composition(network=network).build("fused", torch.float32)
    begin = engine.parameters[0][0].data_ptr()
    places = {(p.data_ptr() - begin) // 4: p.numel() for p in engine.online.parameters()}
    ends = np.cumsum([0, *(places[place] for place in sorted(places))])
    assert sorted(places) == ends[:-1].tolist()
    assert ends[-1] == engine.parameters[0][0].numel()
    assert (list(places) == sorted(places)) is not dueling
