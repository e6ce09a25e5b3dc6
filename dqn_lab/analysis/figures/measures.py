"""A figure of what was measured while agents learned: a small plot for each measure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from dqn_lab.analysis.figures.curves import MAX_LINES, TITLE, draw_curve
from dqn_lab.analysis.figures.plots import set_steps, short_number, small_plots
from dqn_lab.analysis.figures.style import INK, SOFT, Layout, Looks, legend, legend_rows, round_ticks
from dqn_lab.analysis.figures.text import SIZE, wrap

NOTE = 7  # points: the size of a measure's meaning
NUMBERS = 0.6  # inches on the left of each plot for its numbers
LOG = 1_000  # a measure whose largest mean is so many times its median has a logarithmic axis
ROOM = 1.5  # bands may reach so far beyond the means, in parts of their range: one wide band would flatten all lines


def measures(
    curves: pd.DataFrame, meanings: Mapping[str, str], looks: Looks, layout: Layout, *, named: bool = True
) -> Figure:
    """Draws each measure's means over steps, one line per variant, each measure on its own scale.

    Args:
        curves: `measure, variant, step, mean, low, high`; bands are drawn for at most `MAX_LINES` variants.
        meanings: what each known measure means.
        looks: each variant's look, in the order to draw.
        layout: the figure's layout.
        named: whether to name the variants.

    Returns:
        the figure.
    """
    names = list(dict.fromkeys(curves["measure"]))
    columns = min(len(names), 2 if layout.narrow or len(names) == 4 else 3)
    room = layout.width / columns - NUMBERS
    titles = {name: wrap(name, room * SIZE / TITLE, 2) for name in names}
    notes = {name: wrap(meanings.get(name, ""), room * SIZE / NOTE, 2) for name in names}
    lines = max(_lines(titles[name]) + _lines(notes[name]) for name in names)
    top = 0.2 * legend_rows(list(looks), layout) if named else 0.0
    figure, plots = small_plots(
        len(names), layout, columns, lines, top=top, left=NUMBERS, gap=NUMBERS + 0.05, alike=False
    )
    if len(looks) > MAX_LINES:
        curves = curves.assign(low=curves["mean"], high=curves["mean"])
    for name, axes in zip(names, plots, strict=True):
        own = curves[curves["measure"] == name]
        _set_values(axes, own)
        for variant, look in looks.items():
            draw_curve(axes, own[own["variant"] == variant], look)
        _name(axes, titles[name], notes[name])
    set_steps(plots[0], float(curves["step"].max()), 2)
    if named:
        legend(plots[0], looks, layout, lines)
    place = 0.08 if layout.narrow else NUMBERS
    figure.text(place / layout.width, 0.012, "over environment steps", color=SOFT, va="bottom")
    return figure


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _set_values(axes: Axes, own: pd.DataFrame) -> None:
    """Sets the vertical axis: logarithmic if a few values would flatten all others, and limited by the means."""
    means = own["mean"].to_numpy(float)
    usual = float(np.median(np.abs(means[means != 0]))) if means.any() else 1.0
    low, high = float(means.min()), float(means.max())
    if max(-low, high) > LOG * usual:
        axes.set_yscale("log") if low > 0 else axes.set_yscale("symlog", linthresh=usual)
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        span = (high - low) or abs(high) or 1.0
        edges = max(float(own["low"].min()), low - ROOM * span), min(float(own["high"].max()), high + ROOM * span)
        low, high = (edge if np.isfinite(edge) else end for edge, end in zip(edges, (low, high), strict=True))
        margin = 0.05 * ((high - low) or span)
        axes.set_ylim(low - margin, high + margin)
        axes.yaxis.set_major_locator(round_ticks(4))
        if low <= 0 <= high:
            axes.axhline(0, color=SOFT, lw=0.8, zorder=1)
    axes.yaxis.set_major_formatter(FuncFormatter(short_number))


def _name(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, loc="left", fontsize=TITLE, color=INK, fontweight="bold", pad=6 + 9.5 * _lines(note))
    axes.annotate(note, (0, 1), xycoords="axes fraction", xytext=(0, 6), textcoords="offset points", va="bottom",
                  fontsize=NOTE, color=SOFT)  # fmt: skip
    axes.tick_params(labelbottom=True)
    axes.grid(axis="x", visible=False)
