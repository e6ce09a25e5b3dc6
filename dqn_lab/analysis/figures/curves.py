"""Figures of curves: learning curves, distributions, and how soon a threshold is reached.

Figures compute nothing: means, intervals and decisions come from the statistics. No information is conveyed by colour
alone: a label or a position repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dqn_lab.analysis.figures.plots import GAP, LEFT, RIGHT, set_steps, small_plots
from dqn_lab.analysis.figures.style import (
    CONTROL,
    SOFT,
    Layout,
    Look,
    Looks,
    canvas,
    in_percent,
    legend,
    legend_rows,
    round_ticks,
)
from dqn_lab.analysis.figures.text import SIZE, fit, inches, spread, tell_apart, wrap

Draw = Callable[[Axes, pd.DataFrame, Look, bool], None]
MAX_LINES = 2  # with more variants, each gets a small plot: three overlapping bands turn brown
TITLE = 8  # points: the size of a small plot's title
TITLE_LINES = 4  # the most lines in such a title
MAX_POINTS = 200  # per line
LABEL = 0.09  # of the height: what the name of the threshold needs
BESIDE = 2.5  # inches for a name next to the end of its line


class Threshold(NamedTuple):
    """The return at which a run succeeds, and its label."""

    value: float
    label: str


def learning_curves(
    curves: pd.DataFrame,
    looks: Looks,
    layout: Layout,
    *,
    metric: str,
    control: str | None,
    threshold: Threshold | None = None,
) -> Figure:
    """Draws each variant's mean over steps with its band: in one plot, or with more than two variants in one plot each.

    Args:
        curves: `variant, step, mean, low, high`.
        looks: each variant's look, in the order to draw.
        layout: the figure's layout.
        metric: the label of the vertical axis.
        control: the variant to draw behind every other one if each has its own plot.
        threshold: drawn as a line; None for no line.

    Returns:
        the figure.
    """
    names = [name for name in looks if (curves["variant"] == name).any()]
    last = float(curves["step"].max())
    curves = _thin(curves)
    if len(names) > MAX_LINES:
        figure, plots = _small_multiples(
            curves, names, looks, layout, draw_curve, f"{metric}, over environment steps", control
        )
        set_steps(plots[0], last, 2)
        if threshold is not None:
            for place, axes in enumerate(plots):
                _draw_threshold(axes, threshold, named=place == 0)
        _from_zero(plots[0])
        return figure
    figure, axes = _together(curves, names, looks, layout, metric)
    set_steps(axes, last, 5)
    if threshold is not None:
        _draw_threshold(axes, threshold)
    _from_zero(axes)
    if len(names) > 1 and layout.narrow:
        legend(axes, {name: looks[name] for name in names}, layout)
    elif len(names) > 1:
        _label_ends(axes, {name: curves[curves["variant"] == name] for name in names}, looks)
    return figure


def _together(
    curves: pd.DataFrame, names: Sequence[str], looks: Looks, layout: Layout, metric: str
) -> tuple[Figure, Axes]:
    """Draws all curves in one plot, with room for their names."""
    beside = not layout.narrow and len(names) > 1
    right = 0.18 + min(max(inches(name, bold=True) for name in names), BESIDE) if beside else 0.15
    rows = 0 if beside or len(names) == 1 else legend_rows(names, layout)
    height = 2.7 + 0.2 * rows if layout.narrow else 3.6
    figure, axes = canvas(layout, height, right=right, top=0.35 + 0.2 * rows)
    for name in names:
        draw_curve(axes, curves[curves["variant"] == name], looks[name])
    axes.set_xlabel("environment steps", loc="right")
    axes.set_title(metric, loc="left", fontsize=9, color=SOFT, pad=8)
    return figure, axes


def _thin(bands: pd.DataFrame) -> pd.DataFrame:
    """Keeps about `MAX_POINTS` rows of each variant, including the first and the last."""
    place, size = (
        bands.groupby("variant", observed=True).cumcount(),
        bands.groupby("variant", observed=True)["variant"].transform("size"),
    )
    return bands[(size <= MAX_POINTS) | (place % -(-size // MAX_POINTS) == 0) | (place == size - 1)]


def draw_curve(axes: Axes, curve: pd.DataFrame, look: Look, faint: bool = False) -> None:
    """Draws a mean over steps and its band."""
    axes.fill_between(curve["step"], curve["low"], curve["high"], color=look.colour, alpha=0.1 if faint else 0.18, lw=0)
    axes.plot(curve["step"], curve["mean"], color=look.colour, ls=look.dashes, lw=1 if faint else 1.8)


def _from_zero(axes: Axes) -> None:
    """Starts the axis at 0 if that needs little room."""
    low, high = axes.get_ylim()
    if 0 < low < high / 2:
        axes.set_ylim(0, high)


def _draw_threshold(axes: Axes, threshold: Threshold, named: bool = True) -> None:
    low, high = axes.get_ylim()
    room = LABEL * (max(high, threshold.value) - min(low, threshold.value)) if named else 0.0
    right, below = _free_corner(axes, threshold.value, room)
    edge = threshold.value - room if below else threshold.value + room
    axes.set_ylim(min(low, threshold.value, edge), max(high, threshold.value, edge))
    axes.axhline(threshold.value, color=SOFT, lw=0.8, ls=(0, (5, 3)), zorder=1)
    if named:
        axes.annotate(threshold.label, (int(right), threshold.value), xycoords=("axes fraction", "data"),
                      xytext=(-2 if right else 2, -1.5 if below else 1.5), textcoords="offset points",
                      ha="right" if right else "left", va="top" if below else "bottom",
                      fontsize=7, color=SOFT)  # fmt: skip


def _free_corner(axes: Axes, value: float, room: float) -> tuple[bool, bool]:
    """Returns the place beside a horizontal line that the fewest curves enter: whether on the right, and whether below.

    A half on one side of the line that no curve enters is best, otherwise the emptiest strip along the line.
    """
    points = np.concatenate([np.asarray(line.get_xydata()) for line in axes.lines])
    is_right, above = points[:, 0] > points[:, 0].max() / 2, points[:, 1] - value

    def crowd(corner: tuple[bool, bool]) -> tuple[int, bool]:
        right, below = corner
        here = (-above if below else above)[is_right == right]
        return int(((here >= 0) & (here <= room)).sum()), bool((here >= 0).any())

    return min(((False, False), (True, True), (True, False), (False, True)), key=crowd)


def _label_ends(axes: Axes, curves: Mapping[str, pd.DataFrame], looks: Looks) -> None:
    """Writes each variant's name where its curve ends, far enough from its neighbours to be read."""
    ends = {name: float(curve["mean"].iloc[-1]) for name, curve in curves.items()}
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    places = spread(ends, 0.062 * (high - low), low, high)
    texts = tell_apart(places, lambda name: fit(name, BESIDE))
    for name, place in places.items():
        text = axes.annotate(
            texts[name], (1, place), xytext=(9, 0), xycoords=("axes fraction", "data"), textcoords="offset points"
        )
        text.set(color=looks[name].colour, va="center", fontweight="bold")


def _small_multiples(
    data: pd.DataFrame, names: Sequence[str], looks: Looks, layout: Layout, draw: Draw, label: str, control: str | None
) -> tuple[Figure, list[Axes]]:
    """Draws a small plot for each variant on shared axes, with the control in grey behind it."""
    columns = 2 if layout.narrow else 3 if len(names) in (3, 5, 6) else 4
    room = ((layout.width - LEFT - RIGHT - (columns - 1) * GAP) / columns + 0.1) * SIZE / TITLE
    titles = tell_apart(names, lambda name: wrap(name, room, TITLE_LINES))
    figure, plots = small_plots(len(names), layout, columns, max(title.count("\n") + 1 for title in titles.values()))
    for name, axes in zip(names, plots, strict=True):
        if control in names and name != control:
            draw(axes, data[data["variant"] == control], Look(CONTROL, "-"), True)
        draw(axes, data[data["variant"] == name], looks[name], False)
        axes.set_title(titles[name], loc="left", fontsize=TITLE, color=looks[name].colour, fontweight="bold", pad=9)
        axes.tick_params(labelbottom=True)
        axes.grid(axis="x", visible=False)
    figure.text((0.08 if layout.narrow else 0.45) / layout.width, 0.012, label, color=SOFT, va="bottom")
    return figure, plots


def distributions(bands: pd.DataFrame, looks: Looks, layout: Layout, *, label: str, control: str | None) -> Figure:
    """Draws the share of a variant's runs that ended at or above each value, with a band.

    Args:
        bands: `variant, score, fraction, low, high`, scores ascending.
        looks: each variant's look.
        layout: the figure's layout.
        label: the label of the horizontal axis.
        control: the variant to draw behind every other one if each has its own plot.

    Returns:
        the figure.
    """
    # a run counts up to its score: a share holds from the previous score (excluded) to its own (included)
    data, title = bands.rename(columns={"score": "at"}), "runs at this value or above"
    figure, plots = _stairs(data, looks, layout, "pre", title, label, control)
    plots[0].xaxis.set_major_locator(round_ticks(5 if len(plots) == 1 else 3))
    if bands.loc[bands["variant"].isin(list(looks)), "low"].min() > 0.5:
        plots[0].set_ylim(0.5, 1.01)
    return figure


def reached(bands: pd.DataFrame, looks: Looks, layout: Layout, *, control: str | None) -> Figure:
    """Draws the share of a variant's runs that have reached the threshold by each step, with a band.

    Args:
        bands: `variant, step, fraction, low, high`, steps ascending.
        looks: each variant's look.
        layout: the figure's layout.
        control: the variant to draw behind every other one if each has its own plot.

    Returns:
        the figure.
    """
    data, title = bands.rename(columns={"step": "at"}), "runs that have reached it"
    figure, plots = _stairs(data, looks, layout, "post", title, "environment steps", control)
    set_steps(plots[0], float(bands["step"].max()), 5 if len(plots) == 1 else 2)
    return figure


def _stairs(
    bands: pd.DataFrame, looks: Looks, layout: Layout, where: Literal["pre", "post"], title: str, label: str,
    control: str | None,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    names = [name for name in looks if (bands["variant"] == name).any()]
    first, last = float(bands["at"].min()), float(bands["at"].max())
    bands = _thin(bands)

    def draw(axes: Axes, band: pd.DataFrame, look: Look, faint: bool = False) -> None:
        whole = _extend(band, first, last)
        alpha = 0.08 if faint else 0.14
        axes.fill_between(whole["at"], whole["low"], whole["high"], step=where, color=look.colour, alpha=alpha, lw=0)
        axes.step(
            whole["at"], whole["fraction"], where=where, color=look.colour, ls=look.dashes, lw=1 if faint else 1.8
        )

    if len(names) > MAX_LINES:
        figure, plots = _small_multiples(bands, names, looks, layout, draw, f"{title}, over {label}", control)
    else:
        rows = legend_rows(names, layout)
        figure, axes = canvas(layout, 2.7 + 0.2 * rows, top=0.35 + 0.2 * rows, left=0.5)
        for name in names:
            draw(axes, bands[bands["variant"] == name], looks[name])
        axes.set_title(title, loc="left", fontsize=9, color=SOFT, pad=8)
        axes.set_xlabel(label, loc="right")
        legend(axes, {name: looks[name] for name in names}, layout)
        plots = [axes]
    plots[0].set_ylim(0, 1.02)
    plots[0].yaxis.set_major_formatter(in_percent())
    return figure, plots


def _extend(band: pd.DataFrame, first: float, last: float) -> pd.DataFrame:
    """Extends a staircase that is at 100 % to the edge of the axes, because it stays there."""
    ends = band.iloc[[0, -1]].assign(at=[first, last])
    keep = (ends["fraction"] == 1) & (ends["at"] != band["at"].iloc[[0, -1]])
    return pd.concat([ends[:1][keep[:1]], band, ends[1:][keep[1:]]])
