"""The look of figures, and their rendering as SVG and PNG; the same data produce the same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dqn_lab.analysis.figures.text import SIZE, lacking, quiet, set_fonts, shorten, tell_apart, width

# name: (on a light background, on a dark one); the page refers to them by name, files use the first
COLOURS = {
    "paper": ("#ffffff", "#15181c"),
    "ink": ("#1b1f24", "#e9ebee"),
    "soft": ("#59626e", "#a3acb8"),
    "grid": ("#e4e7eb", "#2d333b"),
    "control": ("#5a6472", "#b4bdc9"),
    "hue0": ("#0b62a8", "#62b4f5"),
    "hue1": ("#c24e08", "#ff9a5c"),
    "hue2": ("#008066", "#3fcfa6"),
    "hue3": ("#98408b", "#e292d8"),
    "hue4": ("#8a6a00", "#e0c14a"),
    "hue5": ("#c93a72", "#ff8cb5"),
    "hue6": ("#1b7799", "#86d8f6"),
}
PAPER, INK, SOFT, GRID, CONTROL = (COLOURS[name][0] for name in ("paper", "ink", "soft", "grid", "control"))
HUES = [light for name, (light, _) in COLOURS.items() if name.startswith("hue")]
_NAMES = {light: f"var(--{name})" for name, (light, _) in COLOURS.items()}

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dqn_lab",
    "font.family": "sans-serif",
    "font.size": SIZE,
    "path.simplify": False,
    "text.parse_math": False,  # labels are plain text, whatever characters they contain
    "text.color": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "xtick.major.pad": 5,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Layout:
    """A figure's width in inches, and whether labels go above the axes instead of beside them."""

    name: str
    width: float
    narrow: bool


WIDE = Layout("wide", 7.6, narrow=False)
NARROW = Layout("narrow", 3.7, narrow=True)
Draw = Callable[[Layout], Figure]


@dataclass(frozen=True)
class Look:
    """What a variant looks like: its colour, and its dashes once colours repeat."""

    colour: str
    dashes: Any


Looks = Mapping[str, Look]


def looks(variants: Sequence[str], control: str | None) -> dict[str, Look]:
    """Assigns the neutral colour to the control, and to every other variant a colour that no neighbour has."""
    others = [variant for variant in variants if variant != control]
    styles = ["-", (0, (4, 1.6)), (0, (1.2, 1.6)), (0, (6, 1.5, 1.2, 1.5))]
    found = {name: Look(HUES[i % 7], styles[i // 7 % len(styles)]) for i, name in enumerate(others)}
    return {name: found.get(name, Look(CONTROL, "-")) for name in variants}


@dataclass(frozen=True)
class Rendered:
    """A figure's files, and the SVG to embed in a page, with the page's colours and font.

    Args:
        svg: the wide figure as SVG.
        png: the wide figure as PNG; None if no installed font has all of its characters.
        inline: both layouts, to embed.
        missing: the characters that no installed font has.
    """

    svg: str
    png: bytes | None
    inline: dict[str, str]
    missing: str


def render(draw: Draw, name: str) -> Rendered:
    """Draws a figure in both layouts.

    Args:
        draw: draws the figure in a layout.
        name: a prefix that makes the ids inside the SVG unique on the page.

    Returns:
        the wide figure's files, and both layouts for the page.
    """
    with mpl.rc_context(STYLE), quiet():
        _, narrow, _ = _draw(draw, NARROW, name)
        figure, wide, missing = _draw(draw, WIDE, name)
        inline = {NARROW.name: _inline(narrow), WIDE.name: _inline(wide)}
        return Rendered(wide, None if missing else _png(figure), inline, missing)


def draw_wide(draw: Draw, name: str) -> str:
    """Draws a figure in the wide layout only, and returns its SVG file."""
    with mpl.rc_context(STYLE), quiet():
        return _draw(draw, WIDE, name)[1]


def _draw(draw: Draw, layout: Layout, name: str) -> tuple[Figure, str, str]:
    """Returns a figure, its SVG, and the characters that no installed font has."""
    figure, missing = draw(layout), ""
    svg = _svg(figure, f"{name}-{layout.name}")
    if signs := lacking(svg):
        missing = set_fonts(figure, signs)
        svg = _svg(figure, f"{name}-{layout.name}")
    return figure, svg, missing


def _svg(figure: Figure, name: str) -> str:
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", buffer.getvalue(), flags=re.DOTALL)
    text = re.sub(r'((?:id="|href="#|url\(#))', rf"\g<1>{name}-", text)
    text = re.sub(r'(?<= d=")[^"]+', lambda path: _short(path[0]), text)
    return re.sub(r">\n\s*<(?!tspan)", "><", text)


def _short(path: str) -> str:
    """Rounds coordinates to a hundredth of a point, which is finer than any screen."""
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), path).replace(
        "\n", ""
    )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
    return buffer.getvalue()


def _inline(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"', r"\1\2", svg, count=1)
    svg = svg.replace("<svg", '<svg aria-hidden="true" focusable="false"', 1)
    return re.sub("|".join(_NAMES), lambda light: _NAMES[light[0]], svg)


def canvas(layout: Layout, height: float, **margins: float) -> tuple[Figure, Axes]:
    """Returns a figure with one pair of axes and margins in inches."""
    figure = Figure(figsize=(layout.width, height))
    sides = {"left": 0.45, "right": 0.15, "top": 0.3, "bottom": 0.45, **margins}
    axes = figure.add_axes(
        (
            sides["left"] / layout.width,
            sides["bottom"] / height,
            1 - (sides["left"] + sides["right"]) / layout.width,
            1 - (sides["top"] + sides["bottom"]) / height,
        )
    )
    return figure, axes


def even_places(number: int, most: int) -> list[int]:
    """Picks at most `most` of `number` places, evenly spaced, including the first and the last."""
    chosen: list[int] = np.linspace(0, number - 1, min(number, most)).round().astype(int).tolist()
    return chosen


def in_percent() -> PercentFormatter:
    """Returns a formatter that writes shares of 1 as the page's text does."""
    return PercentFormatter(1, symbol="\u00a0%")


def round_ticks(number: int) -> MaxNLocator:
    """Returns a locator that puts at most `number` ticks at round numbers."""
    return MaxNLocator(number, steps=[1, 2, 2.5, 5, 10])


def legend_rows(names: Sequence[str], layout: Layout) -> int:
    """Returns how many lines of text a legend of these names needs."""
    return -(-len(names) // _columns(names, layout))


def _columns(names: Sequence[str], layout: Layout) -> int:
    longest = min(max(map(width, names)), legend_width(layout))
    return max(1, min(len(names), int((layout.width - 0.6) / (0.42 + 0.072 * longest))))


def legend_width(layout: Layout) -> int:
    """Returns how many columns of text fit into a legend."""
    return int((layout.width - 1.1) / 0.072)


def legend(axes: Axes, looks: Looks, layout: Layout, title_lines: int = 1) -> None:
    """Names the lines above the axes and the lines of their title, in their colours."""
    lines = [Line2D([], [], color=look.colour, ls=look.dashes, lw=2.5) for look in looks.values()]
    figure = axes.get_figure(root=True)
    names = list(tell_apart(looks, lambda name: shorten(name, legend_width(layout))).values())
    assert figure is not None
    height = axes.get_position().height * figure.get_figheight()
    words = axes.legend(lines, names, ncols=_columns(names, layout), loc="lower left", frameon=False, handlelength=1.2,
                        bbox_to_anchor=(0, 1 + (0.14 + 0.13 * title_lines) / height), borderaxespad=0,
                        columnspacing=1.2, borderpad=0, labelspacing=0.35)  # fmt: skip
    for text, look in zip(words.get_texts(), looks.values(), strict=True):
        text.set_color(look.colour)
