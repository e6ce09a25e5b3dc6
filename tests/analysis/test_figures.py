"""Figures: what is drawn lies where its axis says."""

import pandas as pd
import pytest

from dqn_lab.analysis.figures import keys
from dqn_lab.analysis.figures.style import NARROW, WIDE, looks


@pytest.mark.parametrize("layout", [WIDE, NARROW])
@pytest.mark.parametrize("values", [(5e-4, 1e-3), (1, 10, 1_000), (16, 32, 64), ("none", "uniform"), (0, 0.5)])
def test_lines_of_an_interaction_are_nudged_by_little(values, layout):
    cells = [(first, second, 100.0 + second) for first in values for second in (1, 2, 3)]
    table = pd.DataFrame(cells, columns=["first", "second", "mean"]).assign(mean_low=0.0, mean_high=500.0)
    figure = keys.interaction(table, looks(["1", "2", "3"], None), layout, keys=("first", "second"), metric="return")
    (axes,) = figure.axes
    figure.canvas.draw()
    width = axes.get_window_extent().width
    ticks = [axes.transData.transform((place, 0))[0] for place in axes.get_xticks()]
    assert len(ticks) == len(values)
    assert ticks[-1] - ticks[0] > 0.8 * width
    for line in axes.lines:
        drawn = axes.transData.transform(line.get_xydata())[:, 0]
        assert abs(drawn - ticks).max() < 0.02 * width
