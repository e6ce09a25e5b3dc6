"""The report's figures: each takes tidy numbers and a layout, and gives a matplotlib figure.

Nothing is computed here: means, intervals and decisions come from the statistics. Whatever a colour says,
a label or a position says too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from dqn_lab.analysis.figures.style import CONTROL, SOFT, Layout, Look, Looks, canvas, legend, legend_rows

MAX_LINES = 6  # more variants than this are drawn side by side


def learning_curves(curves: pd.DataFrame, looks: Looks, layout: Layout, *, metric: str, control: str | None) -> Figure:
    """Draws each variant's mean over steps, in its band; one plot, or one a variant where there are many.

    Args:
        curves: `variant, step, mean, low, high`.
        looks: of each variant, in the order to draw.
        layout: of the figure.
        metric: what the vertical axis is.
        control: stands behind every other variant where each has a plot of its own.

    Returns:
        the figure.
    """
    names = [name for name in looks if (curves["variant"] == name).any()]
    if len(names) > MAX_LINES:
        return _curves_apart(curves, names, looks, layout, metric, control)
    beside = not layout.narrow and len(names) > 1
    right = 0.12 + 0.075 * max(map(len, names)) if beside else 0.15
    rows = 0 if beside or len(names) == 1 else legend_rows(names, layout)
    figure, axes = canvas(
        layout, 3.6 if not layout.narrow else 2.7 + 0.2 * rows, right=min(right, 2.6), top=0.35 + 0.2 * rows
    )
    for name in names:
        _curve(axes, curves[curves["variant"] == name], looks[name])
    _steps(axes, metric)
    axes.set_xlim(0, float(curves["step"].max()))
    if beside:
        _label_ends(axes, {name: curves[curves["variant"] == name] for name in names}, looks)
    elif rows:
        legend(axes, {name: looks[name] for name in names}, layout)
    return figure


def _curve(axes: Axes, curve: pd.DataFrame, look: Look, faint: bool = False) -> None:
    axes.fill_between(curve["step"], curve["low"], curve["high"], color=look.colour, alpha=0.1 if faint else 0.18, lw=0)
    axes.plot(curve["step"], curve["mean"], color=look.colour, ls=look.dashes, lw=1 if faint else 1.8)


def _steps(axes: Axes, metric: str) -> None:
    axes.set_xlabel("environment steps", loc="right")
    axes.set_title(metric, loc="left", fontsize=9, color=SOFT, pad=8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.grid(axis="x", visible=False)


def _thousands(step: float, _: int | None = None) -> str:
    """Writes 50,000 as 50k, where nothing is lost by it."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:g}{letter}"
    return f"{step:g}"


def _label_ends(axes: Axes, curves: Mapping[str, pd.DataFrame], looks: Looks) -> None:
    """Writes each variant's name where its curve ends, far enough from its neighbours to be read."""
    ends = {name: float(curve["mean"].iloc[-1]) for name, curve in curves.items()}
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    places = spread(ends, 0.062 * (high - low), low, high)
    for name, place in places.items():
        text = axes.annotate(
            name, (1, place), xytext=(9, 0), xycoords=("axes fraction", "data"), textcoords="offset points"
        )
        text.set(color=looks[name].colour, va="center", fontweight="bold")


def spread(places: Mapping[str, float], gap: float, low: float, high: float) -> dict[str, float]:
    """Moves points on a line apart, as little as brings each `gap` away from the next, and keeps their order.

    Args:
        places: where each would be.
        gap: between neighbours.
        low: none lies below.
        high: none lies above, if there is room.

    Returns:
        where each goes.
    """
    names = sorted(places, key=lambda name: places[name])
    found = np.array([places[name] for name in names])
    offsets = gap * np.arange(len(names))
    blocks: list[list[float]] = []  # isotonic regression of what is left once the gaps are taken out: [mean, size]
    for value in found - offsets:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, size), (other, number) = blocks[-2:]
            blocks[-2:] = [[(mean * size + other * number) / (size + number), size + number]]
    moved = np.concatenate([np.full(int(size), mean) for mean, size in blocks])
    return dict(zip(names, (np.maximum(np.minimum(moved, high - offsets[-1]), low) + offsets).tolist(), strict=True))


def _grid(number: int, layout: Layout, columns: int, height: float, top: float = 0.5) -> tuple[Figure, list[Axes]]:
    """Makes small plots that share both axes."""
    columns = min(columns, number)
    rows = -(-number // columns)
    figure = Figure(figsize=(layout.width, rows * height + 0.3 + top - 0.5))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    total = figure.get_figheight()
    figure.subplots_adjust(left=0.42 / layout.width, right=1 - 0.12 / layout.width, top=1 - top / total, bottom=0.42 / total,
                           wspace=0.12, hspace=0.32)  # fmt: skip
    for spare in axes[number:]:
        spare.set_visible(False)
    return figure, list(axes[:number])


def _curves_apart(
    curves: pd.DataFrame, names: Sequence[str], looks: Looks, layout: Layout, metric: str, control: str | None
) -> Figure:
    figure, plots = _grid(len(names), layout, 2 if layout.narrow else 4, 1.45)
    behind = curves[curves["variant"] == control]
    for name, axes in zip(names, plots, strict=True):
        if name != control:
            _curve(axes, behind, Look(CONTROL, "-"), faint=True)
        _curve(axes, curves[curves["variant"] == name], looks[name])
        axes.set_title(
            _cut(name, 20 if layout.narrow else 26), loc="left", fontsize=8, color=looks[name].colour, fontweight="bold"
        )
        axes.xaxis.set_major_locator(MaxNLocator(2))
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.set_xlim(0, float(curves["step"].max()))
        axes.grid(axis="x", visible=False)
    figure.text(0.42 / layout.width, 0.012, f"{metric} over environment steps", color=SOFT, va="bottom")
    return figure


def _cut(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def distributions(bands: pd.DataFrame, looks: Looks, layout: Layout, *, label: str) -> Figure:
    """Draws which share of a variant's runs ended at a value or above it, with a band.

    Args:
        bands: `variant, score, fraction, low, high`, scores ascending.
        looks: of each variant.
        layout: of the figure.
        label: of the horizontal axis.

    Returns:
        the figure.
    """
    # a run of a score is counted up to it: the share holds from the score before, excluded, to this one, included
    figure, axes = _stairs(
        bands.rename(columns={"score": "at"}), looks, layout, "pre", "runs that ended there or above"
    )
    axes.set_xlabel(label, loc="right")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def reached(bands: pd.DataFrame, looks: Looks, layout: Layout) -> Figure:
    """Draws which share of a variant's runs has reached the threshold by each step, with a band.

    Args:
        bands: `variant, step, fraction, low, high`, steps ascending.
        looks: of each variant.
        layout: of the figure.

    Returns:
        the figure.
    """
    title = "runs that have reached it"
    figure, axes = _stairs(bands.rename(columns={"step": "at"}), looks, layout, "post", title)
    _steps(axes, title)
    axes.set_xlim(0, float(bands["step"].max()))
    return figure


def _stairs(
    bands: pd.DataFrame, looks: Looks, layout: Layout, where: Literal["pre", "post"], title: str
) -> tuple[Figure, Axes]:
    names = [name for name in looks if (bands["variant"] == name).any()]
    rows = legend_rows(names, layout)
    figure, axes = canvas(layout, 2.7 + 0.2 * rows, top=0.35 + 0.2 * rows, left=0.5)
    for name in names:
        band, look = bands[bands["variant"] == name], looks[name]
        if len(names) <= MAX_LINES:
            axes.fill_between(band["at"], band["low"], band["high"], step=where, color=look.colour, alpha=0.12, lw=0)
        axes.step(band["at"], band["fraction"], where=where, color=look.colour, ls=look.dashes, lw=1.8)
    axes.set_ylim(-0.02, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_title(title, loc="left", fontsize=9, color=SOFT, pad=8)
    legend(axes, {name: looks[name] for name in names}, layout)
    return figure, axes
