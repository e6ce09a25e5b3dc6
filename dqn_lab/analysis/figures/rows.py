"""Figures with a row per variant: differences, shares, and every run's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dqn_lab.analysis.figures.style import INK, PAPER, SOFT, Layout, Looks, canvas, even_places, in_percent, round_ticks
from dqn_lab.analysis.figures.text import fit, inches, shorten

MAX_DOTS = 1_000  # in a figure
BESIDE = 2.3  # inches: longer names go above their rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A variant's value and interval, NaN if it has none; a hollow point is an undecided difference."""

    variant: str
    value: float
    low: float
    high: float
    text: str = ""
    hollow: bool = False


def intervals(
    rows: Sequence[Estimate], looks: Looks, layout: Layout, *, label: str, zero: str | None = None, share: bool = False
) -> Figure:
    """Draws a point and its interval for each variant, with the numbers as text.

    Args:
        rows: in the order to draw.
        looks: each variant's.
        layout: the figure's.
        label: the axis's.
        zero: the label of the line at 0; None for no line.
        share: whether the values are shares of 1.

    Returns:
        the figure.
    """
    figure, axes, above = _rows(rows, layout, 0.5, 0.34, 0.32 if zero else 0.1)
    for place, row in enumerate(rows):
        colour = looks[row.variant].colour
        axes.plot([row.low, row.high], [place, place], color=colour, lw=2.4)
        axes.plot([row.value], [place], "o", ms=7, mew=1.8, mec=colour, mfc=PAPER if row.hollow else colour)
        _name_row(axes, place, row, colour, above)
    axes.set_xlabel(label, loc="left")
    if share:
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(in_percent())
    if zero:
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.02 * (high - low)), max(high, 0.02 * (high - low)))
        if above:  # beside the bars only, so that no name lies on the line
            axes.vlines([0] * len(rows), np.arange(len(rows)) - 0.2, np.arange(len(rows)) + 0.4, color=INK, lw=1)
        else:
            axes.axvline(0, color=INK, lw=1)
        axes.annotate(shorten(zero, 30), (0, 1), xytext=(0, 5), xycoords=("data", "axes fraction"),
                      textcoords="offset points", ha=_towards_the_middle(axes), color=SOFT)  # fmt: skip
    return figure


def _towards_the_middle(axes: Axes) -> str:
    low, high = axes.get_xlim()
    place = (0 - low) / (high - low)
    return "left" if place < 0.2 else "right" if place > 0.8 else "center"


def outcomes(
    runs: Mapping[str, Sequence[float]], means: Sequence[Estimate], looks: Looks, layout: Layout, *, label: str
) -> Figure:
    """Draws every run's final result as a dot, in a row per variant, with the mean and its interval.

    Args:
        runs: each variant's results; at most `MAX_DOTS` in all are drawn, at even ranks from the least to the greatest.
        means: the variants', in the order to draw.
        looks: each variant's.
        layout: the figure's.
        label: the axis's.

    Returns:
        the figure.
    """
    figure, axes, above = _rows(means, layout, 0.66, 0.5, 0.1)
    for place, row in enumerate(means):
        results, colour = np.sort(runs[row.variant]), looks[row.variant].colour
        values = results[even_places(len(results), MAX_DOTS // len(means))]
        offsets = (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 0.5  # scattered evenly, and the same each time
        axes.scatter(values, place + offsets, s=12, color=colour, alpha=0.45, lw=0)
        axes.plot([row.low, row.high], [place, place], color=INK, lw=1.6)
        if len(values) > 1:
            axes.plot([row.value], [place], "D", ms=5, color=INK)
        _name_row(axes, place, row, colour, above)
    axes.set_xlabel(label, loc="left")
    return figure


def _rows(
    rows: Sequence[Estimate], layout: Layout, above_height: float, beside_height: float, top: float
) -> tuple[Figure, Axes, bool]:
    """Makes axes with room for names beside the rows, or above them if they are too long."""
    longest, words = (max(inches(text, bold) for text in texts) for texts, bold in
                      (([row.variant for row in rows], True), ([row.text for row in rows], False)))  # fmt: skip
    above = layout.narrow or longest > BESIDE
    left = 0.15 if above else 0.2 + longest
    right = 0.15 if above or not words else 0.25 + words
    height = above_height if above else beside_height
    figure, axes = canvas(layout, top + 0.45 + height * len(rows), left=left, right=right, top=top)
    axes.set_ylim(len(rows) - 0.5, -0.7 if above else -0.5)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(round_ticks(5 if layout.narrow else 7))
    return figure, axes, above


def _name_row(axes: Axes, place: int, row: Estimate, colour: str, above: bool) -> None:
    height = place - 0.44 if above else place
    room = axes.get_position().width * axes.get_figure(root=True).get_figwidth()  # type: ignore[union-attr]
    room = room - inches(row.text) - 0.1 if above else BESIDE
    for words, side, bold in ((fit(row.variant, room), 0, True), (row.text, 1, False)):
        if words:
            axes.annotate(
                words, (side, height), xytext=(0 if above else (-8, 10)[side], 0), textcoords="offset points",
                xycoords=("axes fraction", "data"), va="center", ha=("left", "right")[side != (not above)],
                color=colour if bold else INK, fontweight="bold" if bold else "normal",
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5} if above else None,
            )  # fmt: skip
