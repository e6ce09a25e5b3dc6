"""Small plots side by side, and their axes."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from dqn_lab.analysis.figures.style import Layout, round_ticks

LEFT, RIGHT, GAP = 0.45, 0.18, 0.3  # inches: the margins of small plots, and the gap between them


def small_plots(
    number: int, layout: Layout, columns: int, title_lines: int, *, top: float = 0.0, left: float = LEFT,
    gap: float = GAP, alike: bool = True,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """Returns small plots that share the horizontal axis.

    Args:
        number: the number of plots.
        layout: the figure's layout.
        columns: the number of plots in a row.
        title_lines: lines of text above each plot.
        top: inches above all of them.
        left: inches on their left.
        gap: inches between two in a row.
        alike: whether they share the vertical axis too.

    Returns:
        the figure and its plots.
    """
    rows = -(-number // columns)
    plot, title, ticks = 1.05 if layout.narrow or columns > 3 else 1.4, 0.2 + 0.13 * title_lines, 0.25
    height = top + rows * (title + plot) + (rows - 1) * ticks + 0.5
    across = (layout.width - left - RIGHT - (columns - 1) * gap) / columns
    figure = Figure(figsize=(layout.width, height))
    plots = figure.subplots(rows, columns, sharex=True, sharey=alike, squeeze=False).ravel()
    figure.subplots_adjust(left=left / layout.width, right=1 - RIGHT / layout.width, top=1 - (top + title) / height,
                           bottom=0.5 / height, wspace=gap / across, hspace=(title + ticks) / plot)  # fmt: skip
    for spare in plots[number:]:
        spare.set_visible(False)
    return figure, list(plots[:number])


def set_steps(axes: Axes, last: float, number: int) -> None:
    """Sets an axis of environment steps that begins at 0, with at most `number` ticks."""
    axes.set_xlim(0, 1.015 * last)  # so that the edge does not cut off the last point
    axes.set_xticks([step for step in round_ticks(number).tick_values(0, last) if step <= last])
    axes.xaxis.set_major_formatter(FuncFormatter(short_number))
    axes.grid(axis="x", visible=False)


def short_number(number: float, _: int | None = None) -> str:
    """Writes 50,000 as 50k, and very large and very small numbers as 2e12 and 5e−5."""
    size = abs(number)
    if size >= 1e9 or 0 < size < 1e-3:
        text = f"{number:.1e}".replace(".0e", "e").replace("e+", "e").replace("e0", "e").replace("e-0", "e-")
    else:
        factor, letter = (1e6, "M") if size >= 1e6 else (1e3, "k") if size >= 1e3 else (1.0, "")
        text = f"{number / factor:g}{letter}"
    return text.replace("-", "−")
