"""The plan: a composition as the kernels read it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.engine.fused.compositions import Composition


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_every_parameter_has_its_own_place(dueling, layer_norm):
    """They are in torch's order, except for dueling streams, which are rows of one layer."""
    network = {"name": "mlp", "hidden": [5, 7], "dueling": dueling, "layer_norm": layer_norm}
    engine = Composition(network=network).build("fused", torch.float32)
    begin = engine.parameters[0][0].data_ptr()
    places = {(p.data_ptr() - begin) // 4: p.numel() for p in engine.online.parameters()}
    ends = np.cumsum([0, *(places[place] for place in sorted(places))])
    assert sorted(places) == ends[:-1].tolist()
    assert ends[-1] == engine.parameters[0][0].numel()
    assert (list(places) == sorted(places)) is not dueling
