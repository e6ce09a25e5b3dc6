"""Figures of what a policy has learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from dqn_lab.analysis._numbers import number, percent
from dqn_lab.analysis.figures.style import CONTROL, HUES, INK, PAPER, SOFT, Layout, canvas, in_percent, round_ticks
from dqn_lab.analysis.inspect.material import Chart, Distribution, Insight, Plane, Walk

TINT = 0.55  # of a colour, the rest white
WHITE = "#fffffe"  # unlike PAPER, it stays white on a dark page
_ARROWS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
Limits = tuple[float, float]


def colours(count: int) -> list[str]:
    """Returns a colour for each action."""
    return [HUES[i % len(HUES)] for i in range(count)]


def q_values(insight: Insight, layout: Layout, limits: Limits) -> Figure:
    """Draws each action's Q-value along an episode, and the actual return from each state on."""
    walk, names = insight.walk, insight.action_names
    lines = ["actual return", *names] + (["actual return + last Q"] if walk.truncated else [])
    rows = _legend_rows(lines, layout)
    figure, axes = canvas(layout, 2.7 + 0.17 * rows, top=0.3 + 0.17 * rows)
    steps = np.arange(len(walk.actions))  # without the last state, after which nothing follows
    values = walk.q_values[:-1]
    axes.plot(steps, walk.actual_return[:-1], color=INK, lw=2.2, label=lines[0], zorder=1.5)
    for action, colour in enumerate(colours(len(names))):
        hidden = number_hidden(values, action, limits[1] - limits[0])
        dashes = (4 * hidden, (4, 4 * hidden)) if hidden else "-"
        axes.plot(steps, values[:, action], color=colour, lw=1.3, ls=dashes, label=names[action])
    if walk.truncated:
        axes.plot(steps, walk.bootstrapped_return[:-1], color=INK, lw=1.2, ls=(0, (2, 1.5)), label=lines[-1])
    axes.set_ylim(limits)
    axes.set_xlabel("step of the episode")
    axes.xaxis.set_major_locator(round_ticks(5 if layout.narrow else 8))
    _title(axes, "Q(s, a) and actual return", rows)
    _legend(axes, layout, lines)
    return figure


def number_hidden(values: NDArray[np.float64], action: int, height: float) -> int:
    """Returns how many earlier actions' lines one action would hide, because they nearly coincide most of the time.

    Args:
        values: Q-values, [T, A].
        action: the action.
        height: the height of the axes in units of return; a hundredth of it is about a line's width.
    """
    gaps = np.abs(values[:, :action] - values[:, [action]])  # [T, action]
    return int((np.median(gaps, axis=0) < height / 100).sum())


def value_surface(insight: Insight, plane: Plane, layout: Layout, limits: Limits) -> Figure:
    """Draws max Q over two dimensions, with contour lines and the episode's path."""
    figure, axes = _plane_axes(insight, plane, layout)
    values = plane.q_values.max(-1)
    image = axes.imshow(values, origin="lower", extent=_extent(plane), aspect="auto", cmap="viridis",
                        vmin=limits[0], vmax=limits[1], interpolation="bilinear")  # fmt: skip
    if values.max() > values.min():
        axes.contour(plane.x, plane.y, values, levels=7, colors=PAPER, linewidths=0.5, alpha=0.55)
    _draw_path(axes, insight.walk, plane)
    bar = figure.colorbar(image, ax=axes, pad=0.02, fraction=0.05, aspect=24)
    bar.outline.set_visible(False)
    axes.set_title("V(s) = max Q(s, a)", loc="left", fontsize=9, color=SOFT, pad=6)
    return figure


def policy(insight: Insight, plane: Plane, layout: Layout) -> Figure:
    """Draws the greedy action over two dimensions, with the episode's path."""
    figure, axes = _plane_axes(insight, plane, layout)
    count = len(insight.action_names)
    shades = [_tint(colour) for colour in colours(count)]
    axes.imshow(plane.q_values.argmax(-1), origin="lower", extent=_extent(plane), aspect="auto",
                cmap=ListedColormap(shades), vmin=-0.5, vmax=count - 0.5, interpolation="nearest")  # fmt: skip
    _draw_path(axes, insight.walk, plane)
    marks = [Patch(color=shade) for shade in shades]
    columns = 2 if layout.narrow else 4
    axes.legend(marks, list(insight.action_names), loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns,
                frameon=False, borderaxespad=0, handlelength=1, columnspacing=1.2, labelcolor=SOFT,
                fontsize=8)  # fmt: skip
    return figure


def _tint(colour: str) -> str:
    """Returns the colour mixed with white, the same on a light page and on a dark one."""
    red, green, blue = (1 - TINT * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def distributions(insight: Insight, layout: Layout) -> Figure:
    """Draws the cumulative distribution of each action's return in a few states."""
    found: Sequence[Distribution] = insight.distributions
    names, count = insight.action_names, len(found)
    figure = Figure(figsize=(layout.width, 2.4 if not layout.narrow else 1.9 * count + 0.4), layout="constrained")
    grid = figure.subplots(count, 1, squeeze=False) if layout.narrow else figure.subplots(1, count, squeeze=False)
    for axes, one in zip(grid.ravel(), found, strict=True):
        for action, colour in enumerate(colours(len(names))):
            reached = np.cumsum(one.masses[action])
            axes.step(one.values[action], reached, where="post", color=colour, lw=1.6)
            mean = float((one.values[action] * one.masses[action]).sum())
            axes.axvline(mean, color=colour, lw=1, ls=(0, (2, 1.5)))
        axes.set_title(f"step {one.step:,}", loc="left", fontsize=9, color=SOFT)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("return")
        axes.xaxis.set_major_locator(round_ticks(5))
    lines = [Line2D([], [], color=colour, lw=2) for colour in colours(len(names))]
    figure.legend(lines, list(names), loc="outside upper left", ncols=2 if layout.narrow else 6, frameon=False,
                  labelcolor=SOFT, fontsize=8)  # fmt: skip
    return figure


def actions(insight: Insight, layout: Layout) -> Figure:
    """Draws how often each action is taken."""
    names, shares = insight.action_names, insight.counts / max(1, insight.counts.sum())
    longest = max(map(len, names))
    figure, axes = canvas(layout, 0.6 + 0.3 * len(names), left=0.2 + 0.075 * longest, top=0.15, right=0.5)
    places = np.arange(len(names))
    axes.barh(places, shares, color=colours(len(names)), height=0.62)
    for place, share in enumerate(shares.tolist()):
        axes.text(share + 0.01, place, percent(share), va="center", color=SOFT, fontsize=8)
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(in_percent())
    axes.grid(axis="y", visible=False)
    return figure


def chart(insight: Insight, charts: Sequence[Chart], layout: Layout) -> Figure:
    """Draws the greedy policy and its values on the environment's own map."""
    columns = 1 if len(charts) == 1 else 2 if layout.narrow else 4
    rows = -(-len(charts) // columns)
    height, width = charts[0].picture.shape[:2]
    share = min(0.72, 5.0 / layout.width * width / height) if len(charts) == 1 and width <= height else 1.0
    figure = Figure(
        figsize=(layout.width, rows * (layout.width * share / columns * height / width + 0.3)), layout="constrained"
    )
    low, high = min(each.values.min() for each in charts), max(each.values.max() for each in charts)
    for axes, one in zip(figure.subplots(rows, columns, squeeze=False).ravel(), charts, strict=False):
        axes.imshow((255 - 0.75 * (255.0 - one.picture)).astype(np.uint8))  # paler, so that the marks stand out
        axes.set_axis_off()
        if len(charts) > 1:
            axes.set_title(one.title, loc="left", fontsize=8, color=SOFT)
        size = 0.27 * _spacing(one.places)
        for (x, y), action, value in zip(one.places, one.actions, one.values, strict=True):
            if action >= 0:
                _mark(axes, (x, y), insight.action_names[action], size)
            if len(charts) == 1:
                axes.text(x, y + size * 1.25, number(value), ha="center", va="center", fontsize=7, color="#20242a")
    figure.supxlabel(f"max Q from {number(low)} to {number(high)}", fontsize=8, color=SOFT)
    return figure


def legend_of(insights: Sequence[Insight]) -> str:
    """Returns a caption that explains what `chart` draws."""
    letters = [f"{name[:1].upper()}: {name}" for name in insights[0].action_names if name not in _ARROWS]
    marks = f"Arrows: the greedy action ({', '.join(letters)})." if letters else "Arrows: the greedy action."
    charts = [one for insight in insights for one in insight.charts]
    if any((one.actions < 0).any() for one in charts):
        marks += " No mark: all actions have the same value."
    return marks if any(len(insight.charts) > 1 for insight in insights) else f"{marks} Numbers: max Q."


def _spacing(places: NDArray[np.float64]) -> float:
    """Returns the smallest distance between two of the places [S, 2]; 0 if there is only one."""
    distances = np.abs(places[:, None] - places).max(-1)
    return float(distances[distances > 0].min(initial=np.inf)) if len(places) > 1 else 0.0


def _mark(axes: Axes, place: tuple[float, float], name: str, size: float) -> None:
    """Draws an arrow if the action is a direction, else its first letter."""
    x, y = place
    if name not in _ARROWS:
        axes.text(x, y, name[:1].upper(), ha="center", va="center", fontsize=8, fontweight="bold", color="#b3450a")
        return
    dx, dy = _ARROWS[name]
    look = {"arrowstyle": "-|>", "color": "#0a4f8a", "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x + dx * size, y + dy * size), (x - dx * size, y - dy * size), arrowprops=look)


def _plane_axes(insight: Insight, plane: Plane, layout: Layout) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(layout.width, 3.3 if layout.narrow else 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(visible=False)
    axes.set_xlabel(insight.dimensions[plane.dimensions[0]].replace("_", " "))
    axes.set_ylabel(insight.dimensions[plane.dimensions[1]].replace("_", " "))
    return figure, axes


def _extent(plane: Plane) -> tuple[float, float, float, float]:
    return float(plane.x[0]), float(plane.x[-1]), float(plane.y[0]), float(plane.y[-1])


def _draw_path(axes: Axes, walk: Walk, plane: Plane) -> None:
    x, y = (walk.obs[:, dimension] for dimension in plane.dimensions)
    axes.plot(x, y, color=WHITE, lw=2.6)
    axes.plot(x, y, color="#d0312d", lw=1.1)
    axes.plot(x[:1], y[:1], "o", color="#d0312d", mec=WHITE, ms=6)
    axes.plot(x[-1:], y[-1:], "s", color="#d0312d", mec=WHITE, ms=6)
    axes.set_xlim(_extent(plane)[:2])
    axes.set_ylim(_extent(plane)[2:])


def _title(axes: Axes, text: str, rows: int) -> None:
    axes.set_title(text, loc="left", fontsize=9, color=SOFT, pad=6 + 13 * rows)


def _legend_columns(names: Sequence[str], layout: Layout) -> int:
    return max(1, min(len(names), int((layout.width - 0.6) / (0.45 + 0.072 * max(map(len, names))))))


def _legend_rows(names: Sequence[str], layout: Layout) -> int:
    return -(-len(names) // _legend_columns(names, layout))


def _legend(axes: Axes, layout: Layout, names: Sequence[str]) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=_legend_columns(names, layout), frameon=False,
                borderaxespad=0, handlelength=1.4, columnspacing=1.2, labelcolor=CONTROL, fontsize=8)  # fmt: skip
