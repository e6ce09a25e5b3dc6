"""A figure of what was measured while agents learned: a small plot for each measure."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dqn_lab.analysis.figures.curves import MAX_LINES, TITLE, draw_curve
from dqn_lab.analysis.figures.plots import LEFT, set_steps, small_plots, thousands
from dqn_lab.analysis.figures.style import INK, SOFT, Layout, Looks, legend, legend_rows, round_ticks
from dqn_lab.analysis.figures.text import SIZE, wrap

NOTE = 7  # points: the size of a measure's meaning
GAP = 0.55  # inches between two plots, for the numbers of the right one


def measures(curves: pd.DataFrame, meanings: Mapping[str, str], looks: Looks, layout: Layout) -> Figure:
    """Draws each measure's means over steps, one line per variant, each measure on its own scale.

    Args:
        curves: `measure, variant, step, mean, low, high`; bands are drawn for at most `MAX_LINES` variants.
        meanings: what each known measure means.
        looks: each variant's look, in the order to draw.
        layout: the figure's layout.

    Returns:
        the figure.
    """
    names = list(dict.fromkeys(curves["measure"]))
    looks = {name: look for name, look in looks.items() if (curves["variant"] == name).any()}
    columns = min(len(names), 2 if layout.narrow else 3)
    room = layout.width / columns - 0.5
    titles = {name: wrap(name, room * SIZE / TITLE, 2) for name in names}
    notes = {name: wrap(meanings.get(name, ""), room * SIZE / NOTE, 2) for name in names}
    lines = max(_lines(titles[name]) + _lines(notes[name]) for name in names)
    legend_lines = legend_rows(list(looks), layout) if len(looks) > 1 else 0
    figure, plots = small_plots(len(names), layout, columns, lines, top=0.2 * legend_lines, gap=GAP, alike=False)
    if len(looks) > MAX_LINES:
        curves = curves.assign(low=curves["mean"], high=curves["mean"])
    for name, axes in zip(names, plots, strict=True):
        for variant, look in looks.items():
            draw_curve(axes, curves[(curves["measure"] == name) & (curves["variant"] == variant)], look)
        _finish(axes, titles[name], notes[name])
    set_steps(plots[0], float(curves["step"].max()), 2)
    if len(looks) > 1:
        legend(plots[0], looks, layout, lines)
    place = (0.08 if layout.narrow else LEFT) / layout.width
    figure.text(place, 0.012, "over environment steps", color=SOFT, va="bottom")
    return figure


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _finish(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, loc="left", fontsize=TITLE, color=INK, fontweight="bold", pad=6 + 9.5 * _lines(note))
    axes.annotate(note, (0, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", va="bottom",
                  fontsize=NOTE, color=SOFT)  # fmt: skip
    axes.tick_params(labelbottom=True)
    axes.grid(axis="x", visible=False)
    axes.yaxis.set_major_locator(round_ticks(4))
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0, color=SOFT, lw=0.8, zorder=1)
