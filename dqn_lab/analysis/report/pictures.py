"""Which figures an environment's numbers give, and what each says in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dqn_lab.analysis import distribution, learning_curves, reached_curves, steps_to_threshold, summarize
from dqn_lab.analysis.figures import curves, keys, rows, seeds
from dqn_lab.analysis.figures.rows import Estimate
from dqn_lab.analysis.figures.style import Draw, Rendered, looks, render
from dqn_lab.analysis.report.evidence import Evidence
from dqn_lab.analysis.report.metrics import number, percent
from dqn_lab.analysis.report.tables import verdict


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with its heading, what to look for in it, what it shows in words, and the numbers behind it."""

    name: str
    title: str
    caption: str
    alt: str
    rendered: Rendered
    data: pd.DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A picture before it is drawn."""

    name: str
    title: str
    caption: str
    alt: str
    draw: Draw
    data: pd.DataFrame | None = None


def draw_all(found: Evidence) -> list[Picture]:
    """Draws every figure that there are numbers for."""
    plans = [*_curves(found), *_differences(found), *_outcomes(found), *_distribution(found), *_successes(found),
             *_reached(found), *_keys(found), *_seeds(found)]  # fmt: skip
    prefix = "".join(letter if letter.isalnum() else "-" for letter in found.task)
    return [
        Picture(name=plan.name, title=plan.title, caption=plan.caption, alt=plan.alt, data=plan.data,
                rendered=render(plan.draw, f"{prefix}-{plan.name}"))
        for plan in plans
    ]  # fmt: skip


def _finished(found: Evidence) -> pd.DataFrame:
    """The evaluations of completed runs; a run that stopped early would leave the mean at its best or its worst."""
    done = set(found.scores.loc[found.scores["status"] == "completed", "run"])
    return found.evaluations[found.evaluations["run"].isin(done)] if len(found.evaluations) else found.evaluations


def _curves(found: Evidence) -> Iterator[Plan]:
    evaluations = _finished(found)
    if not len(evaluations) or evaluations.groupby("run")["step"].nunique().max() < 2:
        return
    evaluations = evaluations.assign(variant=evaluations["variant"].cat.remove_unused_categories())
    data = learning_curves(evaluations)
    last = data.groupby("variant", observed=True, sort=False).last()
    ends = "; ".join(f"{name} {number(row['mean'])}" for name, row in last.iterrows())
    counts = data["seeds"]
    seeds_of = f"{counts.max()} seeds" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()} seeds"
    many = " Grey: the control." if len(last) > curves.MAX_LINES else ""
    if last["step"].min() < 0.95 * evaluations["step"].max():
        many += " A curve ends where fewer than nine in ten of its runs go on."
    yield Plan(
        name="learning_curves",
        title="Learning curves",
        caption=f"Mean greedy return over {seeds_of} a variant, with its pointwise 95 % band.{many}",
        alt=f"Line chart of mean greedy return over environment steps. At the end of each line: {ends}.",
        draw=lambda layout: curves.learning_curves(
            data, found.looks, layout, metric="greedy return, mean of seeds", control=found.control
        ),
        data=data,
    )


def _differences(found: Evidence) -> Iterator[Plan]:
    if found.compared is None:
        return
    metric = found.material.metric
    estimates = [
        Estimate(variant=str(row["variant"]), value=row["difference"], low=row["low"], high=row["high"],
                 text=f"{number(row['difference'], signed=True)}  {verdict(row)}",  # type: ignore[arg-type]
                 hollow=row["verdict"] == "undecided")
        for row in found.compared.to_dict("records")
    ]  # fmt: skip
    said = "; ".join(f"{row.variant} {row.text} ({number(row.low)} to {number(row.high)})" for row in estimates)
    good = "right of the line is better" if metric.higher_is_better else "left of the line is better"
    corrected = f", corrected for {len(estimates)} comparisons" if len(estimates) > 1 else ""
    yield Plan(
        name="differences",
        title=f"Difference from {found.control}",
        caption=f"Difference of the means of the {metric.title} with its 95 % interval{corrected}; {good}. A hollow "
        "point is undecided.",
        alt=f"Differences of mean {metric.title} from {found.control}: {said}.",
        draw=lambda layout: rows.intervals(
            estimates, found.looks, layout, label=f"difference of the mean {metric.title}", zero=str(found.control)
        ),
    )


def _outcomes(found: Evidence) -> Iterator[Plan]:
    metric = found.material.metric
    if found.summary.empty:
        return
    means = [
        Estimate(variant=str(row["variant"]), value=row["mean"], low=row["mean_low"], high=row["mean_high"])
        for row in found.summary.to_dict("records")
        if row["seeds"]
    ]
    groups = found.counted.groupby(found.counted["variant"].astype(str))[metric.name]
    results = {str(name): values.to_list() for name, values in groups}
    said = "; ".join(f"{row.variant} mean {number(row.value)}, {len(results[row.variant])} runs" for row in means)
    yield Plan(
        name="outcomes",
        title=f"Every run's {metric.title}",
        caption="A dot is a run; the diamond is their mean, with its 95 % interval.",
        alt=f"Dot plot of every run's {metric.title}: {said}.",
        draw=lambda layout: rows.outcomes(results, means, found.looks, layout, label=metric.title),
    )


def _distribution(found: Evidence) -> Iterator[Plan]:
    metric = found.material.metric
    if len(found.counted) < 2:
        return
    data = distribution(found.counted, metric.name)
    medians = "; ".join(f"{row['variant']} {number(row['median'])}" for row in found.summary.to_dict("records"))
    yield Plan(
        name="distribution",
        title=f"Distribution of the {metric.title}",
        caption="The share of a variant's runs that ended at a value or above it: its empirical distribution, with a "
        "95 % band that holds for all values at once.",
        alt=f"Empirical distributions of the {metric.title}. Medians: {medians}.",
        draw=lambda layout: curves.distributions(data, found.looks, layout, label=metric.title, control=found.control),
        data=data,
    )


def _successes(found: Evidence) -> Iterator[Plan]:
    if found.threshold is None or found.summary.empty:
        return
    estimates = [
        Estimate(variant=str(row["variant"]), value=row["success_rate"], low=row["success_low"],
                 high=row["success_high"], text=f"{row['successes']} of {row['seeds']}")
        for row in found.summary.to_dict("records")
        if row["seeds"]
    ]  # fmt: skip
    said = "; ".join(f"{row.variant} {row.text} ({percent(row.low)} to {percent(row.high)})" for row in estimates)
    title = found.material.metric.title
    yield Plan(
        name="success_rates",
        title=f"Runs that succeed: {title} of {found.threshold:g} or above",
        caption="The share of runs, with its Wilson 95 % interval.",
        alt=f"Success rates: {said}.",
        draw=lambda layout: rows.intervals(estimates, found.looks, layout, label="share of runs", share=True),
    )


def _reached(found: Evidence) -> Iterator[Plan]:
    if found.threshold is None or not len(found.evaluations) or not found.material.metric.is_return:
        return
    times = steps_to_threshold(found.evaluations, found.threshold)
    if not times["reached"].any():
        return
    data = reached_curves(times)
    last = data.groupby("variant", observed=True, sort=False).last()
    said = "; ".join(f"{name} {percent(row['fraction'])}" for name, row in last.iterrows())
    yield Plan(
        name="steps_to_threshold",
        title=f"How soon an evaluation reaches {found.threshold:g}",
        caption="The share of runs of which some evaluation has reached it by then (Turnbull's estimate, 95 % band; "
        "runs that stop before count as long as they were watched, and a line ends where few were). Reaching it once "
        "is easier than ending there.",
        alt=f"Share of runs that have reached {found.threshold:g} over environment steps; in the end: {said}.",
        draw=lambda layout: curves.reached(data, found.looks, layout, control=found.control),
        data=data,
    )


def _keys(found: Evidence) -> Iterator[Plan]:
    """Shows what the result depends on, where one key of numbers varies, or two keys of anything."""
    own = found.counted[~found.counted["is_reference"].astype(bool)]
    swept = [key for key in found.material.swept if key in own and own[key].nunique(dropna=False) > 1]
    metric = found.material.metric
    arms = own["variant"].nunique()
    if len(swept) == 1 and arms == own[swept[0]].nunique() >= 3 and pd.api.types.is_numeric_dtype(own[swept[0]]):
        table = summarize(own.sort_values(swept[0], kind="stable"), metric.name, by=swept[0])
        yield _sensitivity(found, table, swept[0])
    pairs = len(own[swept].drop_duplicates())
    if len(swept) == 2 and arms == pairs == math.prod(own[key].nunique(dropna=False) for key in swept) > 3:
        words = [key for key in swept if own[key].isna().any() or not pd.api.types.is_numeric_dtype(own[key])]
        text = own.assign(**{key: own[key].astype(object).map(keys.name) for key in words})
        ordered = text.sort_values(swept[::-1], kind="stable", key=lambda column: column.map(keys.place))
        yield from _interaction(found, summarize(ordered, metric.name, by=swept), (swept[0], swept[1]))


def _sensitivity(found: Evidence, table: pd.DataFrame, key: str) -> Plan:
    metric = found.material.metric
    said = "; ".join(f"{row[key]:g}: {number(row['mean'])}" for row in table.to_dict("records"))
    return Plan(
        name="sensitivity",
        title=f"Sensitivity to {key}",
        caption=f"Mean {metric.title} with its 95 % interval, and the 10th percentile: one run in ten lies below.",
        alt=f"Mean {metric.title} by {key}: {said}.",
        draw=lambda layout: keys.sensitivity(table, layout, key=key, metric=metric.title),
        data=table,
    )


def _interaction(found: Evidence, table: pd.DataFrame, names: tuple[str, str]) -> Iterator[Plan]:
    metric = found.material.metric
    cells = table.rename(columns={names[0]: "first", names[1]: "second"})
    values = [keys.name(value) for value in dict.fromkeys(cells["second"])]
    said = "; ".join(f"{row['first']}, {row['second']}: {number(row['mean'])}" for row in cells.to_dict("records"))
    yield Plan(
        name="interaction",
        title=f"{names[0]} and {names[1]} together",
        caption=f"Mean {metric.title} with its 95 % interval. Where the lines are parallel, the one does not change "
        "what the other does.",
        alt=f"Mean {metric.title} by {names[0]} and {names[1]}: {said}.",
        draw=lambda layout: keys.interaction(cells, looks(values, None), layout, keys=names, metric=metric.title),
        data=table,
    )
    yield Plan(
        name="heat_map",
        title=f"Mean {metric.title} of each pair",
        caption="The same means as numbers; the stronger the colour, the larger.",
        alt="The same numbers as in the figure before, as a grid.",
        draw=lambda layout: keys.heat_map(cells, layout, keys=names),
    )


def _seeds(found: Evidence) -> Iterator[Plan]:
    if not len(found.evaluations):
        return
    metric = found.material.metric
    runs = seeds.collect(found.evaluations, found.scores, metric.name, list(found.looks))
    low, high = found.evaluations["return_mean"].min(), found.evaluations["return_mean"].max()
    low = min(0.0, low) if low > -0.2 * high else low
    yield Plan(
        name="seeds",
        title="Every seed",
        caption=f"Greedy return over steps, each run on the same axes, from {number(low)} at the bottom to "
        f"{number(high)} at the top; ordered by {metric.title}, the best first. The number is the seed.",
        alt=f"Small learning curves of {sum(map(len, runs.values()))} runs.",
        draw=lambda layout: seeds.seeds(runs, found.looks, layout, low=low, high=high),
    )
