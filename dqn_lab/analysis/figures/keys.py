"""Figures of how a result depends on one or two keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from dqn_lab.analysis.figures.style import HUES, INK, SOFT, Layout, Looks, canvas, legend, legend_rows

MARGIN = 0.06  # beside the outermost values, as a share of the distance between them


def sensitivity(table: pd.DataFrame, layout: Layout, *, key: str, metric: str, tenth: bool) -> Figure:
    """Draws the mean, its interval and the 10th percentile over the values of one key.

    Args:
        table: the key, `mean, mean_low, mean_high, p10`, one row per value, in order.
        layout: the figure's layout.
        key: the key's name.
        metric: the label of the vertical axis.
        tenth: whether to draw the 10th percentile.

    Returns:
        the figure.
    """
    top = 0.55 if layout.narrow and tenth else 0.3
    figure, axes = canvas(layout, 2.6 + top, left=0.5, top=top)
    places = _axis(axes, list(table[key]), key)
    axes.fill_between(places, table["mean_low"], table["mean_high"], color=HUES[0], alpha=0.15, lw=0)
    axes.vlines(places, table["mean_low"], table["mean_high"], color=HUES[0], lw=2)
    axes.plot(places, table["mean"], "o-", color=HUES[0], lw=1.8, ms=5.5, label="mean, 95 % interval")
    if tenth:
        axes.plot(places, table["p10"], "s:", color=SOFT, lw=1.2, ms=3.5, label="10th percentile")
    axes.set_title(metric, loc="left", fontsize=9, color=SOFT, pad=8)
    place = (1, 1 + (top - 0.3) / 2.15)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=place, ncols=2, borderaxespad=0.2, handlelength=1.6,
                columnspacing=1, fontsize=8, labelcolor=SOFT)  # fmt: skip
    return figure


def interaction(table: pd.DataFrame, looks: Looks, layout: Layout, *, keys: tuple[str, str], metric: str) -> Figure:
    """Draws the mean over one key's values, with a line per value of the other key; parallel lines mean no interaction.

    Args:
        table: `first, second, mean, mean_low, mean_high`.
        looks: one look for each value of the second key, as text, in order.
        layout: the figure's layout.
        keys: the names of both keys.
        metric: the label of the vertical axis.

    Returns:
        the figure.
    """
    labels = {f"{value}": f"{keys[1]}={value}" for value in looks}
    rows = legend_rows(list(labels.values()), layout)
    figure, axes = canvas(layout, 2.8 + 0.2 * rows, left=0.5, top=0.35 + 0.2 * rows)
    values = list(dict.fromkeys(table["first"]))
    places = dict(zip(values, _axis(axes, values, keys[0]), strict=True))
    for number, (value, look) in enumerate(looks.items()):
        part = table[table["second"].map(name) == value]
        nudge = (number - (len(looks) - 1) / 2) * 0.012  # so that intervals at one place do not overlap
        here = axes.transData.transform([(places[first], 0) for first in part["first"]])
        moved = here + np.array([nudge * axes.bbox.width, 0])
        across = axes.transData.inverted().transform(moved)[:, 0]
        axes.vlines(across, part["mean_low"], part["mean_high"], color=look.colour, lw=1.5, alpha=0.7)
        axes.plot(across, part["mean"], "o", ls=look.dashes, color=look.colour, lw=1.6, ms=4.5)
    axes.set_title(metric, loc="left", fontsize=9, color=SOFT, pad=8)
    legend(axes, {labels[value]: look for value, look in looks.items()}, layout)
    return figure


def heat_map(table: pd.DataFrame, layout: Layout, *, keys: tuple[str, str]) -> Figure:
    """Writes the mean of each pair of values into a cell; a darker cell has a larger mean.

    Args:
        table: `first, second, mean`.
        layout: the figure's layout.
        keys: the names of both keys.

    Returns:
        the figure.
    """
    columns, rows = (list(dict.fromkeys(table[name])) for name in ("first", "second"))
    left = 0.3 + 0.075 * max(len(str(row)) for row in rows)
    figure, axes = canvas(layout, 0.85 + 0.42 * len(rows), left=left, top=0.35)
    low, high = table["mean"].min(), table["mean"].max()
    for row in table.itertuples():
        x, y = columns.index(row.first), rows.index(row.second)
        weight = 0.08 + 0.42 * (row.mean - low) / (high - low or 1)
        axes.fill_between([x - 0.48, x + 0.48], y - 0.46, y + 0.46, color=HUES[0], alpha=weight, lw=0)
        axes.text(x, y, f"{row.mean:,.1f}", ha="center", va="center", color=INK)
    axes.grid(visible=False)
    axes.set_xticks(range(len(columns)), [str(value) for value in columns])
    axes.set_yticks(range(len(rows)), [str(value) for value in rows])
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.spines[["bottom"]].set_visible(False)
    axes.set_xlabel(keys[0], loc="left")
    axes.set_title(keys[1], loc="left", fontsize=9, color=SOFT, pad=8, x=-(left - 0.1) / (layout.width - left - 0.15))
    return figure


def _axis(axes: Axes, values: Sequence[object], key: str) -> list[float]:
    """Returns the positions of a key's values on the axis: on a log scale, on a linear scale, or evenly spaced.

    The axis' limits are final, so that positions in the figure can be computed before anything is drawn.
    """
    axes.set_xlabel(key, loc="right")
    axes.grid(axis="x", visible=False)
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    words = len(numbers) < len(values)
    places = [float(number) for number in range(len(values))] if words else numbers
    low, high = min(places), max(places)
    if not words and low > 0 and high / low >= 8:
        axes.set_xscale("log")
        axes.set_xlim(low / (high / low) ** MARGIN, high * (high / low) ** MARGIN)
    else:
        axes.set_xlim(low - MARGIN * (high - low), high + MARGIN * (high - low))
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    if words:
        axes.set_xticklabels([name(value) for value in values])
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    return places


def place(value: object) -> tuple[bool, float, str]:
    """Returns a sort key for a key's value: numbers by size, even if they are text, before words."""
    try:
        return False, float(str(value)), ""
    except ValueError:
        return True, 0.0, str(value)


def name(value: Any) -> str:
    """Formats a configuration's value as the command line accepts it."""
    return "null" if pd.isna(value) else str(value).lower() if isinstance(value, bool) else str(value)
