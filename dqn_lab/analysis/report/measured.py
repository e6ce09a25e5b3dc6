"""Chooses the figure of what `diagnostics` measured while the agents learned."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from dqn_lab.analysis import NoCurve, learning_curves
from dqn_lab.analysis.figures import measures
from dqn_lab.analysis.figures.curves import MAX_LINES
from dqn_lab.analysis.report.evidence import Evidence, best_of, left_out
from dqn_lab.analysis.report.metrics import count_seeds, number
from dqn_lab.analysis.report.plan import Plan
from dqn_lab.analysis.sentence import listed, quoted

ALWAYS = {"episode", "step", "return", "length", "epsilon", "temperature", "updates", "loss", "q_value"}
PREDICTED, OBTAINED = "q_start", "return_discounted"
EXCESS = f"{PREDICTED} − {OBTAINED}"
MEANINGS = {
    "grad_norm": "norm of a batch's gradient",
    "td_error": "mean |TD error| of a batch",
    "target_gap": "mean |Q − target network's Q|",
    "churn": "actions changed by an update",
    "q_probe": "mean max Q",
    EXCESS: "predicted − obtained return",
}
NOT_NEGATIVE = "grad_norm", "td_error", "target_gap", "churn"
PROBED = "target_gap", "churn", "q_probe"
NUM_PARTS = 25  # of the steps; a run counts with its mean in each
MOST_LINES = 6  # more would hide each other


def measured(found: Evidence) -> Iterator[Plan]:
    """Yields the figure of the means of what was measured, over environment steps, if anything was."""
    shown = best_of(found, MOST_LINES)
    curves = _curves(_episodes(found, shown))
    if curves.empty:
        return
    names = list(dict.fromkeys(curves["measure"]))
    yield Plan(
        name="diagnostics",
        title="Diagnostics",
        caption=_caption(curves, names) + left_out(found, len(shown)),
        alt=f"Small line charts over environment steps. {_ends(curves, names)}",
        draw=lambda layout: measures.measures(curves, MEANINGS, {name: found.shown[name] for name in shown}, layout),
        data=curves,
    )


def _episodes(found: Evidence, shown: Sequence[str]) -> pd.DataFrame:
    """Returns the measured training episodes of completed runs, with columns of finite numbers only."""
    episodes = found.material.measured
    if episodes is None:
        return pd.DataFrame()
    completed = found.scores.loc[found.scores["status"] == "completed", "run"]
    kept = episodes[
        (episodes["task"] == found.task) & episodes["run"].isin(completed) & episodes["variant"].isin(shown)
    ]
    kept = kept.assign(variant=kept["variant"].cat.remove_unused_categories())
    if {PREDICTED, OBTAINED} <= {*kept}:
        kept[EXCESS] = kept[PREDICTED] - kept[OBTAINED]
        kept = kept.drop(columns=[PREDICTED, OBTAINED])
    return kept.replace([np.inf, -np.inf], np.nan)


def _curves(episodes: pd.DataFrame) -> pd.DataFrame:
    """Averages each measure over a variant's runs, at the middle of each part of the steps.

    Returns:
        `measure, variant, step, seeds, mean, low, high`; empty if nothing was measured in two parts.
    """
    tables = [pd.DataFrame(columns=["measure", "variant", "step", "seeds", "mean", "low", "high"])]
    if len(episodes):
        size = float(episodes["step"].max()) / NUM_PARTS
        middles = (np.arange(NUM_PARTS) + 0.5) * size
        parts = np.minimum(np.ceil(episodes["step"].to_numpy(float) / size), NUM_PARTS).astype(int) - 1
        placed = episodes.assign(step=middles[parts])
        tables += [_curve(placed, name, middles.tolist()) for name in _measures(episodes)]
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def _measures(episodes: pd.DataFrame) -> list[str]:
    columns = list(episodes.columns)
    return [name for name in columns[columns.index("step") :] if name not in ALWAYS]


def _curve(placed: pd.DataFrame, name: str, steps: list[float]) -> pd.DataFrame:
    means = placed.groupby(["run", "variant", "seed", "step"], observed=True)[name].mean().dropna().reset_index()
    if means["step"].nunique() < 2:
        return pd.DataFrame()
    bounds = (0.0, np.inf) if name in NOT_NEGATIVE else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoCurve)  # of runs that end early; a caveat says so
        curve = learning_curves(means, name, grid=steps, bounds=bounds)
    curve.insert(0, "measure", name)
    return curve


def _caption(curves: pd.DataFrame, names: Sequence[str]) -> str:
    most, spread = int(curves["seeds"].max()), curves["variant"].nunique() <= MAX_LINES
    seeds = f" and {count_seeds(most)} per variant" if most > 1 else ""
    band = ", with its pointwise 95 % band" if most > 1 and spread else ""
    probed = [name for name in PROBED if name in names]
    states = f" {listed(probed)}: over the probe states, which stay the same." if probed else ""
    excess = f" If {EXCESS} stays above 0, values are overestimated or exploring is costly." if EXCESS in names else ""
    return f"Mean over a {NUM_PARTS}th of the steps{seeds}{band}.{states}{excess}"


def _ends(curves: pd.DataFrame, names: Sequence[str]) -> str:
    """Lists each measure's last means in words."""
    last = curves.groupby(["measure", "variant"], observed=True, sort=False)["mean"].last()
    return " ".join(
        f"{name}, at the end: "
        + "; ".join(f"{quoted(variant)} {number(value)}" for variant, value in last[name].items())
        + "."
        for name in names
    )
