"""Chooses figures that show how a result depends on one or two keys."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pandas as pd

from dqn_lab.analysis import summarize
from dqn_lab.analysis._numbers import number
from dqn_lab.analysis.figures import keys
from dqn_lab.analysis.figures.style import looks
from dqn_lab.analysis.report.evidence import Evidence
from dqn_lab.analysis.report.metrics import FOR_QUARTILES
from dqn_lab.analysis.report.plan import Plan


def dependence(found: Evidence) -> Iterator[Plan]:
    """Yields figures of how the result depends on the swept keys: one numeric key, or any two keys."""
    own = found.counted[~found.counted["is_reference"].astype(bool)]
    swept = [key for key in found.material.swept if key in own and own[key].nunique(dropna=False) > 1]
    metric = found.material.metric
    number_of = own["variant"].nunique()
    if found.most_seeds < 2:
        return
    if len(swept) == 1 and number_of == own[swept[0]].nunique() >= 3 and pd.api.types.is_numeric_dtype(own[swept[0]]):
        table = summarize(own.sort_values(swept[0], kind="stable"), metric.name, by=swept[0])
        yield _sensitivity(found, table, swept[0])
    pairs = len(own[swept].drop_duplicates())
    if len(swept) == 2 and number_of == pairs == math.prod(own[key].nunique(dropna=False) for key in swept) > 3:
        words = [key for key in swept if own[key].isna().any() or not pd.api.types.is_numeric_dtype(own[key])]
        text = own.assign(**{key: own[key].astype(object).map(keys.name) for key in words})
        ordered = text.sort_values(swept[::-1], kind="stable", key=lambda column: column.map(keys.place))
        yield from _interaction(found, summarize(ordered, metric.name, by=swept), (swept[0], swept[1]))


def _sensitivity(found: Evidence, table: pd.DataFrame, key: str) -> Plan:
    metric = found.material.metric
    described = "; ".join(f"{row[key]:g}: {number(row['mean'])}" for row in table.to_dict("records"))
    enough = found.most_seeds >= FOR_QUARTILES
    tenth = ", and the 10th percentile, below which one run in ten lies" if enough else ""
    return Plan(
        name="sensitivity",
        title=f"Sensitivity to {key}",
        caption=f"Mean {metric.title} with its 95 % interval{tenth}.",
        alt=f"Mean {metric.title} by {key}: {described}.",
        draw=lambda layout: keys.sensitivity(table, layout, key=key, metric=metric.title, tenth=enough),
        data=table,
    )


def _interaction(found: Evidence, table: pd.DataFrame, names: tuple[str, str]) -> Iterator[Plan]:
    metric = found.material.metric
    cells = table.rename(columns={names[0]: "first", names[1]: "second"})
    values = [keys.name(value) for value in dict.fromkeys(cells["second"])]
    described = "; ".join(f"{row['first']}, {row['second']}: {number(row['mean'])}" for row in cells.to_dict("records"))
    yield Plan(
        name="interaction",
        title=f"{names[0]} and {names[1]} together",
        caption=f"Mean {metric.title} with its 95 % interval. Where the lines are parallel, one key does not change "
        "the effect of the other.",
        alt=f"Mean {metric.title} by {names[0]} and {names[1]}: {described}.",
        draw=lambda layout: keys.interaction(cells, looks(values, None), layout, keys=names, metric=metric.title),
        data=table,
    )
    yield Plan(
        name="heat_map",
        title=f"Mean {metric.title} of each pair",
        caption="The same means as numbers; a stronger colour marks a larger mean.",
        alt="The same numbers as in the previous figure, as a grid.",
        draw=lambda layout: keys.heat_map(cells, layout, keys=names),
    )
