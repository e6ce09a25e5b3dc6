"""A small curve for every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from dqn_lab.analysis.curves import Curve, each_run
from dqn_lab.analysis.figures.style import GRID, SOFT, Layout, Looks, even_places
from dqn_lab.analysis.figures.text import tell_apart, wrap

POINTS = 90  # per inch of a curve
MAX_CURVES = 200  # in all variants together
LEAST, MOST = 0.44, 0.9  # inches: limits of the height of a curve with its seed
LINE = 0.15  # inches: the height of a line of a variant's name
ROOMY = 0.7  # inches: the width from which a seed's number is called one


@dataclass(frozen=True)
class SeedCurve:
    """A run's curve, and its label."""

    seed: str
    curve: Curve


def collect(
    evaluations: pd.DataFrame, scores: pd.DataFrame, metric: str, variants: Sequence[str]
) -> dict[str, list[SeedCurve]]:
    """Splits a table of evaluations into runs, the best first, those without a score last.

    Args:
        evaluations: `run, variant, seed, step, return_mean`.
        scores: one row per run, with the metric.
        metric: the score to order by.
        variants: the variants, in the order to draw.

    Returns:
        each variant's curves; at most `MAX_CURVES` in all, evenly spaced by rank from the best to the worst.
    """
    about, curves = each_run(evaluations[["run", "variant", "seed", "step", "return_mean"]], "return_mean")
    score = dict(zip(zip(scores["run"], scores["variant"].astype(str), strict=True), scores[metric], strict=True))
    found: dict[str, list[tuple[float, int, int]]] = {name: [] for name in variants}
    for place, (run, variant) in enumerate(zip(about["run"], about["variant"].astype(str), strict=True)):
        value = score.get((run, variant), np.nan)
        found[variant].append((np.inf if pd.isna(value) else -float(value), int(about["seed"].iloc[place]), place))
    most = max(MAX_CURVES // len(found), 2)
    chosen = {}
    for name, runs in found.items():
        places = [place for *_, place in sorted(runs)]
        some = [places[rank] for rank in even_places(len(places), most)]
        chosen[name] = [SeedCurve(str(about["seed"].iloc[place]), curves[place]) for place in some]
    return {name: runs for name, runs in chosen.items() if runs}


def seeds(
    curves: Mapping[str, Sequence[SeedCurve]], looks: Looks, layout: Layout, *, low: float, high: float
) -> Figure:
    """Draws a small curve for every run, all on the same scale, in a block per variant.

    Args:
        curves: each variant's curves, in the order to draw.
        looks: each variant's look.
        layout: the figure's layout.
        low: the value at the bottom of each small plot.
        high: the value at the top of each small plot.

    Returns:
        the figure.
    """
    columns = _count_columns(max(map(len, curves.values())), 10 if layout.narrow else 20)
    width = 0.98 * layout.width / columns
    height, seed = min(max(LEAST, 0.55 * width), MOST), "seed " if width >= ROOMY else ""
    names = tell_apart(curves, lambda name: wrap(name, layout.width - 0.1, 2))
    header = 0.18 + LINE * (1 + max(text.count("\n") for text in names.values()))
    blocks = {name: -(-len(runs) // columns) for name, runs in curves.items()}
    total = height * sum(blocks.values()) + header * len(blocks)
    figure = Figure(figsize=(layout.width, 0.1 + total))
    axes = figure.add_axes((0.01, 0, 0.98, 1))
    axes.set(xlim=(0, columns), ylim=(total, 0))  # inches, downwards
    axes.set_axis_off()
    longest = max(float(run.curve.steps[-1]) for runs in curves.values() for run in runs) or 1.0
    top = 0.0
    for name, runs in curves.items():
        axes.text(0, top + header - 0.06, names[name], color=looks[name].colour, fontweight="bold", va="bottom")
        top += header
        lines, areas, floors, dots = [], [], [], []
        for number, run in enumerate(runs):
            x, y = number % columns + 0.06, top + (number // columns + 1) * height - 0.15
            line = _place(run, longest, low, high, int(POINTS * width)) * (0.86, 0.19 - height) + (x, y)
            floors.append([(x, y), (x + 0.86, y)])
            if len(line) == 1:
                dots.append(line[0])
            elif len(line):
                lines.append(line)
                areas.append(np.vstack([line, (line[-1, 0], y), (line[0, 0], y)]))
            axes.text(x + 0.43, y + 0.08, f"{seed}{run.seed}", fontsize=7, color=SOFT, ha="center", va="center")
        axes.add_collection(LineCollection(floors, colors=GRID, linewidths=0.8))
        axes.add_collection(PolyCollection(areas, facecolors=looks[name].colour, alpha=0.22, linewidths=0))
        axes.add_collection(LineCollection(lines, colors=looks[name].colour, linewidths=1))
        if dots:
            across, down = np.transpose(dots)
            axes.scatter(across, down, s=4, color=looks[name].colour, linewidths=0)
        top += blocks[name] * height
    return figure


def _count_columns(number: int, most: int) -> int:
    """Returns the fewest columns that need no more rows than `most` columns would, so that the rows are full."""
    rows = -(-number // most)
    return -(-number // rows)


def _place(run: SeedCurve, longest: float, low: float, high: float, most: int) -> npt.NDArray[np.float64]:
    """Returns at most `most` points of a curve, as shares of its cell's width and height."""
    kept = np.isfinite(run.curve.values)
    steps, values = run.curve.steps[kept], run.curve.values[kept]
    chosen = np.unique(np.linspace(0, len(steps) - 1, most).round().astype(int)) if len(steps) > most else slice(None)
    heights = np.clip((values[chosen] - low) / ((high - low) or 1), 0, 1)
    return np.column_stack([steps[chosen] / longest, heights])
