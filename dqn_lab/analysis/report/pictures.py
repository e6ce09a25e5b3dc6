"""Chooses the figures that an environment's numbers allow, and writes each figure's text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd

from dqn_lab.analysis import distribution, reached_curves, steps_to_threshold
from dqn_lab.analysis._numbers import largest_in, number, percent, plain
from dqn_lab.analysis._processes import do_all
from dqn_lab.analysis.figures import curves, rows, seeds
from dqn_lab.analysis.figures.rows import Estimate
from dqn_lab.analysis.figures.style import render
from dqn_lab.analysis.report.dependence import dependence
from dqn_lab.analysis.report.evidence import Evidence
from dqn_lab.analysis.report.measured import measured
from dqn_lab.analysis.report.metrics import FOR_QUARTILES, seeds_between
from dqn_lab.analysis.report.plan import Picture, Plan
from dqn_lab.analysis.sentence import FEW, listed, quoted
from dqn_lab.tasks import find_task

OF_ONE_RUN = "learning_curves", "diagnostics"
COMPLETE = "sensitivity", "interaction", "heat_map", "diagnostics"
LEAST_SHARE = 0.25  # of the figure's height that the learning curves must keep if the threshold is drawn


def draw_all(found: Evidence) -> list[Picture]:
    """Draws every figure that the numbers allow."""
    plans = [*learning_curve_plans(found), *_differences(found), *_outcomes(found), *_distribution(found),
             *_successes(found), *_reached(found), *dependence(found), *measured(found), *_seeds(found)]  # fmt: skip
    if len(found.scores) == 1:  # a single run has only its curves
        plans = [plan for plan in plans if plan.name in OF_ONE_RUN]
    prefix = "".join(letter if letter.isalnum() else "-" for letter in found.task)
    drawn = do_all([partial(render, plan.draw, f"{prefix}-{plan.name}") for plan in plans])
    return [
        Picture(name=plan.name, title=plan.title, alt=plan.alt, data=plan.data, rendered=rendered,
                caption=plan.caption + _left_out(found, plan))
        for plan, rendered in zip(plans, drawn, strict=True)
    ]  # fmt: skip


def _left_out(found: Evidence, plan: Plan) -> str:
    """Returns a sentence on which variants a figure leaves out; empty if none, or if the figure has its own."""
    if len(found.shown) == len(found.looks) or plan.name in COMPLETE:
        return ""
    number_of = len(found.looks)
    with_control = "only the control and those" if found.control in found.shown else "only those"
    return f" Of {number_of} variants, {with_control} with the best means are shown; the tables list all."


def learning_curve_plans(found: Evidence) -> Iterator[Plan]:
    """Yields the figure of the learning curves, if a variant in the figures has one; a caveat names the others."""
    data, evaluations = found.curves, found.finished
    if not data["variant"].isin(list(found.shown)).any():
        return
    last = data.groupby("variant", observed=True, sort=False).last()
    ends = "; ".join(f"{quoted(name)} {number(row['mean'])}" for name, row in last.iterrows() if name in found.shown)
    few, most = int(data["seeds"].min()), int(data["seeds"].max())
    seeds_of = seeds_between(few, most)
    what = "Greedy return of one run" if len(found.scores) == 1 else f"Mean greedy return over {seeds_of} per variant"
    more = ", with its pointwise 95 % band." if most > 1 else "."
    if len(last) > curves.MAX_LINES and found.control in found.shown:
        more += " Grey: the control."
    solved = _solved(found, data)
    if last["step"].min() < 0.95 * evaluations["step"].max():
        more += " A curve ends where fewer than nine in ten of its runs continue."
    yield Plan(
        name="learning_curves",
        title="Learning curves",
        caption=f"{what}{more}",
        alt=f"Line chart of mean greedy return over environment steps. At the end of each line: {ends}.",
        draw=lambda layout: curves.learning_curves(
            data,
            found.shown,
            layout,
            metric="greedy return, mean of seeds" if most > 1 else "greedy return",
            control=found.control,
            threshold=solved,
        ),
        data=data,
    )


def _solved(found: Evidence, data: pd.DataFrame) -> curves.Threshold | None:
    """Returns the return at which the task counts as solved, or the requested threshold.

    Returns None if the curves lie so far from it that drawing it would leave them too little of the figure's height.
    """
    asked, task = found.material.threshold, find_task(found.task)
    if asked is not None and found.material.metric.is_return:
        value, label = asked, f"threshold {plain(asked)}"
    elif task is not None and task.threshold is not None:
        value, label = task.threshold, f"solved at {plain(task.threshold)}"
    else:
        return None
    shown = data[data["variant"].isin(list(found.shown))]
    drawn = shown[["low", "mean", "high"]].to_numpy(float)  # a single run has no band
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    low = min(low, 0.0) if low < high / 2 else low  # as the figure's axis does
    share = (high - low) / ((max(high, value) - min(low, value)) or 1.0)
    return curves.Threshold(value, label) if share >= LEAST_SHARE else None


def _differences(found: Evidence) -> Iterator[Plan]:
    if found.compared is None:
        return
    metric = found.material.metric
    write = partial(number, signed=True, largest=largest_in(found.compared, "difference", "low", "high"))
    estimates = [
        Estimate(variant=str(row["variant"]), value=row["difference"], low=row["low"], high=row["high"],
                 text=f"{write(row['difference'])}  {row['verdict']}",
                 hollow=row["verdict"] == "undecided")
        for row in found.compared.to_dict("records")
        if row["variant"] in found.shown
    ]  # fmt: skip
    if not estimates:
        return
    control, number_of = quoted(found.control), len(found.compared)
    described = "; ".join(
        f"{quoted(row.variant)} {' '.join(row.text.split())} ({write(row.low)} to {write(row.high)})"
        for row in estimates
    )
    good = "right of the line is better" if metric.higher_is_better else "left of the line is better"
    interval = f"interval, corrected for {number_of} comparisons" if number_of > 1 else "95 % interval"
    yield Plan(
        name="differences",
        title=f"Difference from {control}",
        caption=f"Difference of the means of the {metric.title} with its {interval}; {good}. A hollow "
        "point marks an undecided difference.",
        alt=f"Differences of mean {metric.title} from {control}: {described}.",
        draw=lambda layout: rows.intervals(
            estimates, found.shown, layout, label=f"difference of the mean {metric.title}", zero=str(found.control)
        ),
    )


def _outcomes(found: Evidence) -> Iterator[Plan]:
    metric = found.material.metric
    means = [
        Estimate(variant=str(row["variant"]), value=row["mean"], low=row["mean_low"], high=row["mean_high"])
        for row in found.summary.to_dict("records")
        if row["seeds"] and row["variant"] in found.shown
    ]
    if not means:
        return
    groups = found.counted.groupby(found.counted["variant"].astype(str))[metric.name]
    results = {str(name): values.to_list() for name, values in groups}
    described = "; ".join(
        f"{quoted(row.variant)} mean {number(row.value)}, {len(results[row.variant])} runs" for row in means
    )
    total, some = sum(len(results[row.variant]) for row in means), rows.MAX_DOTS // len(means)
    dots = (
        "Each dot is a run"
        if max(map(len, results.values())) <= some
        else f"Each dot is a run; at most {some} are shown per variant"
    )
    mean = "; the diamond is their mean, with its 95 % interval." if total > len(means) else "."
    yield Plan(
        name="outcomes",
        title=f"Every run's {metric.title}",
        caption=f"{dots}{mean}",
        alt=f"Dot plot of every run's {metric.title}: {described}.",
        draw=lambda layout: rows.outcomes(results, means, found.shown, layout, label=metric.title),
    )


def _distribution(found: Evidence) -> Iterator[Plan]:
    metric = found.material.metric
    if found.most_seeds < FOR_QUARTILES:
        return
    data = distribution(found.counted, metric.name)
    medians = "; ".join(
        f"{quoted(row['variant'])} {number(row['median'])}"
        for row in found.summary.to_dict("records")
        if row["variant"] in found.shown
    )
    yield Plan(
        name="distribution",
        title=f"Distribution of the {metric.title}",
        caption="The share of each variant's runs that ended at or above a value, with a 95 % band that holds for all "
        "values at once.",
        alt=f"Empirical distributions of the {metric.title}. Medians: {medians}.",
        draw=lambda layout: curves.distributions(data, found.shown, layout, label=metric.title, control=found.control),
        data=data,
    )


def _successes(found: Evidence) -> Iterator[Plan]:
    if found.threshold is None or found.most_seeds < 2:
        return
    estimates = [
        Estimate(variant=str(row["variant"]), value=row["success_rate"], low=row["success_low"],
                 high=row["success_high"], text=f"{row['successes']} of {row['seeds']}")
        for row in found.summary.to_dict("records")
        if row["seeds"] and row["variant"] in found.shown
    ]  # fmt: skip
    if not estimates:
        return
    described = "; ".join(
        f"{quoted(row.variant)} {row.text} ({percent(row.low)} to {percent(row.high)})" for row in estimates
    )
    title = found.material.metric.title
    yield Plan(
        name="success_rates",
        title=f"Runs that succeed: {title} of {plain(found.threshold)} or above",
        caption="The share of runs, with its Wilson 95 % interval.",
        alt=f"Success rates: {described}.",
        draw=lambda layout: rows.intervals(estimates, found.shown, layout, label="share of runs", share=True),
    )


def _reached(found: Evidence) -> Iterator[Plan]:
    if found.threshold is None or not len(found.evaluations) or not found.material.metric.is_return:
        return
    times = steps_to_threshold(found.evaluations, found.threshold)
    if not times["reached"].any():
        return
    data = reached_curves(times)
    several = found.most_seeds > 1
    if not several:  # one run has no spread
        data[["low", "high"]] = np.nan
    highest = data.groupby("variant", observed=True, sort=False)["fraction"].max()
    never = [quoted(name) for name in highest.index[highest == 0] if name in found.shown]
    some = {name: look for name, look in found.shown.items() if quoted(name) not in never}
    if not some:
        return
    which = f"the other {len(never)} variants" if len(never) > FEW else listed(never, "or")
    without = f" No run of {which} reaches it." if never else ""
    last = data.groupby("variant", observed=True, sort=False).last()
    shares = "; ".join(
        f"{quoted(name)} {percent(row['fraction'])}" for name, row in last.iterrows() if name in found.shown
    )
    yield Plan(
        name="steps_to_threshold",
        title=f"How soon an evaluation reaches {plain(found.threshold)}",
        caption="The share of runs that, by each step, have had at least one evaluation at or above the threshold "
        f"(Turnbull's estimate{', 95 % band' if several else ''}; a run that stops early counts up to its end, and a "
        f"line ends where few runs continue). Reaching it once is easier than ending there.{without}",
        alt=f"Share of runs that have reached {plain(found.threshold)} over environment steps; in the end: {shares}.",
        draw=lambda layout: curves.reached(data, some, layout, control=found.control),
        data=data,
    )


def _seeds(found: Evidence) -> Iterator[Plan]:
    if not len(found.evaluations) or found.evaluations.groupby("run")["step"].nunique().max() < 2:
        return
    metric = found.material.metric
    shown = found.evaluations[found.evaluations["variant"].isin(list(found.shown))]
    runs = seeds.collect(shown, found.scores, metric.name, list(found.shown))
    kept, there = sum(map(len, runs.values())), shown[["run", "variant"]].drop_duplicates().shape[0]
    some = "" if kept == there else f" Of {there:,} runs, {kept} are shown, evenly spaced in that order."
    values = shown["return_mean"][np.isfinite(shown["return_mean"])]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    low = min(0.0, low) if low > -0.2 * high else low
    single = shown.groupby(["run", "variant"], observed=True)["step"].nunique().min() < 2
    dots = " A dot is a run's only evaluation." if single else ""
    yield Plan(
        name="seeds",
        title="Every seed" if kept == there else "Seeds, from the best to the worst",
        caption=f"Greedy return over steps, all runs on the same scale, from {number(low, largest=high)} "
        f"at the bottom to {number(high)} at the top; ordered by {metric.title}, the best first.{some}{dots} "
        "The number is the seed.",
        alt=f"Small learning curves of {kept} runs, with greedy returns from {number(low)} to {number(high)}.",
        draw=lambda layout: seeds.seeds(runs, found.shown, layout, low=low, high=high),
    )
