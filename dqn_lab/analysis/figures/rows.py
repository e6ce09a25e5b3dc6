"""Figures with one row per variant: differences, shares, and every run's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dqn_lab.analysis.figures.style import INK, PAPER, SOFT, Layout, Looks, canvas, even_places, in_percent, round_ticks
from dqn_lab.analysis.figures.text import fit, inches, tell_apart, wrap

MAX_DOTS = 2_000  # per figure
BESIDE = 2.3  # inches: longer names go above their rows
NAME_LINES = 3  # the most lines of a name above its row
LINE = 0.15  # inches: the height of a line of a name
CROWD = 40  # with this many runs of a variant, dots are smaller
SWARM = 0.4  # inches across a row for all of its dots


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The axes of the rows, and the place and text of each row's name: above the row or beside it.

    Args:
        height: a row's height in inches.
        name_at: inches from a row's line to the name above it.
        names: the text to write for each variant.
    """

    axes: Axes
    above: bool
    height: float
    name_at: float
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A variant's value and interval, NaN if there is no interval; a hollow point marks an undecided difference."""

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
        rows: the estimates in the order to draw.
        looks: each variant's look.
        layout: the figure's layout.
        label: the axis label.
        zero: the label of the line at 0; None for no line.
        share: whether the values are shares of 1.

    Returns:
        the figure.
    """
    drawn = _rows(rows, layout, down=0.19, name_at=0.14, beside=0.34, top=0.32 if zero else 0.1)
    axes = drawn.axes
    for place, row in enumerate(rows):
        colour = looks[row.variant].colour
        axes.plot([row.low, row.high], [place, place], color=colour, lw=2.4)
        axes.plot([row.value], [place], "o", ms=7, mew=1.8, mec=colour, mfc=PAPER if row.hollow else colour)
        _name_row(drawn, place, row, colour)
    axes.set_xlabel(label, loc="left")
    if share:
        axes.set_xlim(-0.02, 1.02)
        axes.xaxis.set_major_formatter(in_percent())
    if zero:
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.02 * (high - low)), max(high, 0.02 * (high - low)))
        if drawn.above:  # only next to the bars, so that the line crosses no name
            places = np.arange(len(rows))
            axes.vlines([0] * len(rows), places - 0.1 / drawn.height, places + 0.17 / drawn.height, color=INK, lw=1)
        else:
            axes.axvline(0, color=INK, lw=1)
        _name_zero(axes, zero)
    return _figure_of(axes)


def _name_zero(axes: Axes, name: str) -> None:
    """Writes the control's name above the line at 0, centred if there is room on both sides."""
    room = axes.get_position().width * _figure_of(axes).get_figwidth()
    text = fit(name, room)
    low, high = axes.get_xlim()
    half = inches(text) / 2 / room
    place = min(max(-low / (high - low), half), 1 - half)
    axes.annotate(text, (place, 1), xytext=(0, 5), xycoords="axes fraction", textcoords="offset points", ha="center",
                  color=SOFT)  # fmt: skip


def outcomes(
    runs: Mapping[str, Sequence[float]], means: Sequence[Estimate], looks: Looks, layout: Layout, *, label: str
) -> Figure:
    """Draws every run's final result as a dot, in a row per variant, with the mean and its interval below the dots.

    Args:
        runs: each variant's results; at most `MAX_DOTS` in all are drawn, evenly spaced by rank from the smallest to
            the largest.
        means: the variants' means, in the order to draw.
        looks: each variant's look.
        layout: the figure's layout.
        label: the axis label.

    Returns:
        the figure.
    """
    drawn = _rows(means, layout, down=0.29, name_at=0.33, beside=0.62, top=0.1)
    dots = {}
    for row in means:
        results = np.sort(runs[row.variant])
        dots[row.variant] = results[even_places(len(results), MAX_DOTS // len(means))]
    ends = [end for row in means for end in (row.low, row.high)]
    scale = _fix_limits(drawn.axes, np.concatenate([*dots.values(), ends]))
    size = 6.5 if max(map(len, dots.values())) < CROWD else 4.5  # points
    for place, row in enumerate(means):
        values, colour = dots[row.variant], looks[row.variant].colour
        offsets = _swarm(values * scale, size / 72) - 0.1  # inches, above the interval
        drawn.axes.plot(values, place + offsets / drawn.height, "o", ms=size, color=colour, mew=0, clip_on=False)
        if len(values) > 1:
            below = place + 0.17 / drawn.height
            drawn.axes.plot([row.low, row.high], [below, below], color=INK, lw=1.6)
            drawn.axes.plot([row.value], [below], "D", ms=5, color=INK)
        _name_row(drawn, place, row, colour)
    drawn.axes.set_xlabel(label, loc="left")
    return _figure_of(drawn.axes)


def _fix_limits(axes: Axes, values: npt.NDArray[np.float64]) -> float:
    """Sets the limits before any dot is placed; returns the inches per unit."""
    known = values[np.isfinite(values)]
    room = 0.04 * (float(np.ptp(known)) or abs(float(known[0])) or 1.0)
    low, high = known.min() - room, known.max() + room
    axes.set_xlim(low, high)
    return float(axes.get_position().width * _figure_of(axes).get_figwidth() / (high - low))


def _swarm(places: npt.NDArray[np.float64], size: float) -> npt.NDArray[np.float64]:
    """Moves dots off their line so that none hides another, as far as there is room.

    Args:
        places: the positions of the dots on the line, ascending.
        size: a dot's size, in the same unit.

    Returns:
        the offsets: 0 if there is room on the line, else one size up, one down, two up, …
    """
    ends: list[float] = []  # where the last dot of each lane ends
    lanes = np.zeros(len(places))
    for number, place in enumerate(places):
        lane = next((lane for lane, end in enumerate(ends) if end <= place), len(ends))
        ends[lane : lane + 1] = [place + size]
        lanes[number] = -(lane + 1) // 2 if lane % 2 else lane // 2
    return lanes * min(size, (SWARM - size) / max(len(ends) - 1, 1))


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _rows(rows: Sequence[Estimate], layout: Layout, *, down: float, name_at: float, beside: float, top: float) -> _Rows:
    """Returns axes with room for names beside the rows, or above them if they are too long.

    Args:
        rows: the estimates in the order to draw.
        layout: the figure's layout.
        down: inches below the last row's line, if names go above the rows.
        name_at: inches from a row's line to the name above it.
        beside: the height in inches of a row with its name beside it.
        top: inches above the first row.
    """
    longest, words = (max(inches(text, bold) for text in texts) for texts, bold in
                      (([row.variant for row in rows], True), ([row.text for row in rows], False)))  # fmt: skip
    above = layout.narrow or longest > BESIDE
    left = 0.15 if above else 0.2 + longest
    right = 0.15 if above or not words else 0.25 + words
    room = layout.width - left - right - max(inches(row.text) for row in rows) - 0.1 if above else BESIDE
    names = tell_apart(
        (row.variant for row in rows), lambda name: wrap(name, room, NAME_LINES) if above else fit(name, room)
    )
    up = name_at + LINE * (1 + max(text.count("\n") for text in names.values())) + 0.03 if above else beside / 2
    down = down if above else beside / 2
    height = up + down
    _, axes = canvas(layout, top + 0.45 + height * len(rows), left=left, right=right, top=top)
    axes.set_ylim(len(rows) - 1 + down / height, -up / height)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(round_ticks(5 if layout.narrow else 7))
    return _Rows(axes=axes, above=above, height=height, name_at=name_at, names=names)


def _name_row(rows: _Rows, place: int, row: Estimate, colour: str) -> None:
    above = rows.above
    height = place - rows.name_at / rows.height if above else place
    for words, side, bold in ((rows.names[row.variant], 0, True), (row.text, 1, False)):
        if words:
            rows.axes.annotate(
                words, (side, height), xytext=(0 if above else (-8, 10)[side], 0), textcoords="offset points",
                xycoords=("axes fraction", "data"), va="bottom" if above else "center",
                ha=("left", "right")[side != (not above)],
                color=colour if bold else INK, fontweight="bold" if bold else "normal",
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.5} if above else None,
            )  # fmt: skip
