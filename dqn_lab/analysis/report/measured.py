"""Chooses the figure of what `diagnostics` measured while the agents learned."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dqn_lab.analysis import NoCurve, learning_curves
from dqn_lab.analysis._numbers import number
from dqn_lab.analysis.figures import measures
from dqn_lab.analysis.figures.curves import MAX_LINES
from dqn_lab.analysis.report.evidence import Evidence, best_of
from dqn_lab.analysis.report.metrics import seeds_between
from dqn_lab.analysis.report.plan import Plan
from dqn_lab.analysis.sentence import FEW, listed, quoted

ALWAYS = "step", "return", "length", "updates", "loss", "q_value"  # the columns that every run has
PREDICTED, OBTAINED = "q_start", "return_discounted"
EXCESS = f"{PREDICTED} − {OBTAINED}"
MEANINGS = {
    "return": "of training episodes, while exploring",
    "epsilon": "at an episode's start",
    "loss": "mean of an episode's updates",
    "q_value": "mean Q(s, a) of an episode's updates",
    "grad_norm": "norm of a batch's gradient",
    "td_error": "mean |TD error| of a batch",
    "target_gap": "mean |Q − target network's Q|",
    "churn": "actions changed by an update",
    "q_probe": "mean max Q",
    EXCESS: "predicted − obtained return",
}
PROBED = "target_gap", "churn", "q_probe"
NUM_PARTS = 25  # of the steps; a run counts with its mean in each
MOST_LINES = 6  # more would hide each other
CURVES = ["measure", "variant", "step", "seeds", "mean", "low", "high"]


def measured(found: Evidence) -> Iterator[Plan]:
    """Yields the figure of the means of what was measured, over environment steps, if anything was."""
    episodes = _episodes(found)
    curves = _curves(episodes, alone=len(found.scores) == 1)
    if curves.empty:
        return
    there = set(curves["variant"])
    shown = best_of(found, [name for name in found.looks if name in there], MOST_LINES)
    drawn = curves[curves["variant"].isin(shown)]
    yield Plan(
        name="diagnostics",
        title="Measured while learning",
        caption=" ".join([*_caption(drawn, float(episodes["step"].max())), *_left_out(found, there, shown)]),
        alt=f"Small line charts over environment steps. {_ends(drawn)}",
        draw=lambda layout: measures.measures(
            drawn, MEANINGS, {name: found.looks[name] for name in shown}, layout, named=len(found.looks) > 1
        ),
        data=curves,
    )


def _episodes(found: Evidence) -> pd.DataFrame:
    """Returns the loaded training episodes of completed runs, with finite numbers only."""
    episodes = found.material.measured
    if episodes is None:
        return pd.DataFrame()
    completed = found.scores.loc[found.scores["status"] == "completed", "run"]
    here = (episodes["task"] == found.task) & episodes["variant"].isin(list(found.looks))
    kept = episodes[here & episodes["run"].isin(completed)]
    kept = kept.assign(variant=kept["variant"].cat.remove_unused_categories())
    if {PREDICTED, OBTAINED} <= {*kept}:
        kept[EXCESS] = kept[PREDICTED] - kept[OBTAINED]
        kept = kept.drop(columns=[PREDICTED, OBTAINED])
    return kept.replace([np.inf, -np.inf], np.nan)


def _curves(episodes: pd.DataFrame, alone: bool) -> pd.DataFrame:
    """Averages each measure over a variant's runs, at the middle of each part of the steps.

    Returns:
        `measure, variant, step, seeds, mean, low, high`, for variants with values in two parts or more.
    """
    tables = []
    if len(episodes):
        size = float(episodes["step"].max()) / NUM_PARTS
        middles = (np.arange(NUM_PARTS) + 0.5) * size
        parts = np.minimum(np.ceil(episodes["step"].to_numpy(float) / size), NUM_PARTS).astype(int) - 1
        placed = episodes.assign(step=middles[parts])
        own = _measures(list(episodes.columns), alone)
        tables = [curve for name in own if len(curve := _curve(placed, name, middles.tolist()))]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=CURVES)


def _measures(columns: list[str], alone: bool) -> list[str]:
    """Returns the columns to draw: those of `diagnostics`, and of a single run also those that every run has."""
    if alone:
        return [name for name in columns[columns.index("return") :] if name not in ("length", "updates")]
    return columns[max(columns.index(name) for name in ALWAYS if name in columns) + 1 :]


def _curve(placed: pd.DataFrame, name: str, steps: list[float]) -> pd.DataFrame:
    means = placed.groupby(["run", "variant", "seed", "step"], observed=True)[name].mean().dropna().reset_index()
    if means.empty:
        return means
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoCurve)  # the caption names these variants
        curve = learning_curves(means, name, grid=steps)
    if (means[name] >= 0).all():
        curve["low"] = curve["low"].clip(lower=0)
    curve = curve[curve.groupby("variant", observed=True)["step"].transform("size") > 1]
    return curve.assign(measure=name)[CURVES]


def _caption(curves: pd.DataFrame, last: float) -> Iterator[str]:
    names, most = set(curves["measure"]), int(curves["seeds"].max())
    seeds = f" and {seeds_between(int(curves['seeds'].min()), most)} per variant" if most > 1 else ""
    band = ", with its pointwise 95 % band" if most > 1 and curves["variant"].nunique() <= MAX_LINES else ""
    yield f"Mean over a {NUM_PARTS}th of the steps{seeds}{band}."
    if most > 1 and curves.groupby("variant", observed=True)["step"].max().min() < 0.9 * last:
        yield "A curve ends where fewer than nine in ten of its runs continue."
    if probed := [name for name in PROBED if name in names]:
        yield f"{listed(probed)}: over the probe states, which stay the same."
    if EXCESS in names:
        yield f"If {EXCESS} stays above 0, values are too high, exploring is costly, or a time limit ends episodes."


def _left_out(found: Evidence, there: set[str], shown: Sequence[str]) -> Iterator[str]:
    """Says of which variants nothing was measured, or only too little, and which are only in the table."""
    missing = [name for name in found.looks if name not in there]
    if missing and len(missing) <= max(len(there), FEW):
        yield f"{listed(list(map(quoted, missing)))}: too little was measured, or nothing."
    elif missing:
        yield f"Of the other {len(missing)} variants too little was measured, or nothing."
    if len(shown) < len(there):
        with_control = "the control and " if found.control in shown else ""
        yield f"Of {len(there)} variants, {with_control}those with the best means are drawn; the CSV file has all."


def _ends(curves: pd.DataFrame) -> str:
    """Lists each measure's last means in words."""
    last = curves.groupby(["measure", "variant"], observed=True, sort=False)["mean"].last()
    return " ".join(
        f"{name}, at the end: "
        + "; ".join(f"{quoted(variant)} {number(value)}" for variant, value in last[name].items())
        + "."
        for name in dict.fromkeys(curves["measure"])
    )
