"""One task's answer in words."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from dqn_lab.analysis import answer
from dqn_lab.analysis._numbers import largest_in, number, percent, plain
from dqn_lab.analysis.best import LEAST, best_in_words
from dqn_lab.analysis.report.evidence import Evidence
from dqn_lab.analysis.report.metrics import count_seeds
from dqn_lab.analysis.report.tables import interval
from dqn_lab.analysis.sentence import FEW, quoted


def answer_of(found: Evidence) -> str:
    """Returns the comparison's answer; if there is none, a description of the only variant, or the reason."""
    metric = found.material.metric
    if found.compared is not None:
        return " ".join([answer(found.compared), *_best(found)])
    if found.summary.empty:
        runs = "the run has" if len(found.scores) == 1 else f"none of {len(found.scores)} runs has"
        return f"No answer yet: {runs} {'no' if len(found.scores) == 1 else 'a'} {metric.title}."
    several = len(found.looks) > 1 or (len(found.material.tasks) == 1 and len(found.material.planned) > 1)
    if several and found.material.is_search:
        return _best_trial(found)
    if several and found.control is None and found.material.control is not None:
        return f"No answer: {quoted(found.material.control)}, the control, has no runs here."
    if several:
        why = "No answer yet: the control and another variant need two finished runs each."
        return " ".join([why, *_so_far(found)])
    return _describe(found, found.summary.to_dict("records")[0])


def _best(found: Evidence) -> list[str]:
    """Says which variant has the best mean, of those that are compared; stored results are no candidates."""
    if found.compared is None or found.counted["is_reference"].any():
        return []
    names = {found.control, *found.compared["variant"].astype(str)}
    scores = found.counted[found.counted["variant"].astype(str).isin(names)]
    metric = found.material.metric
    text = best_in_words(scores, metric.name)
    return [text] if text else []


def _best_trial(found: Evidence) -> str:
    """Names the trial with the best mean, and those that may be better, if there are enough seeds to tell.

    A trial of which a run failed is left out, unless all have such a run.
    """
    metric = found.material.metric
    whole = found.summary[found.summary["missing"] == 0]
    trials = whole if len(whole) else found.summary
    sign = 1 if metric.higher_is_better else -1
    best = max(trials.to_dict("records"), key=lambda row: sign * row["mean"])
    if len(trials) == 1:
        return _describe(found, best)
    name, mean = quoted(best["variant"]), f"{number(best['mean'])} ({count_seeds(best['seeds'])})"
    extreme = "highest" if metric.higher_is_better else "lowest"
    if trials["seeds"].min() < 2 or len(trials) < LEAST:
        return f"Of {len(trials)} trials, {name} has the {extreme} mean {metric.title}: {mean}."
    scores = found.counted[found.counted["variant"].astype(str).isin(trials["variant"].astype(str))]
    chosen = best_in_words(scores, metric.name, what="trials")
    return f"{chosen} Mean {metric.title} of {name}: {mean}."


def _so_far(found: Evidence) -> list[str]:
    """Lists the means of a few variants that cannot be compared yet."""
    rows = found.summary.to_dict("records")
    if not 0 < len(rows) <= FEW:
        return []
    write = partial(number, largest=largest_in(found.summary, "mean"))
    means = [f"{quoted(row['variant'])} {write(row['mean'])} ({count_seeds(row['seeds'])})" for row in rows]
    return [f"So far, {found.material.metric.title}: {', '.join(means)}."]


def _selected(found: Evidence) -> list[str]:
    """Returns how the selected policy of the only run does, if it is another than the final one."""
    run = found.counted.iloc[0]
    step, score = run.get("best_step"), run.get("best_return")
    if found.material.metric.name != "final_return" or pd.isna(step) or pd.isna(score) or step == run["final_step"]:
        return []
    return [f"The selected policy, of step {step:,}, has {number(score)}."]


def _describe(found: Evidence, row: dict[Any, Any]) -> str:
    """Describes the only variant."""
    metric, name = found.material.metric, quoted(row["variant"])
    if row["seeds"] == 1:
        text = f"{name} has a {metric.title} of {number(row['mean'])}, with one seed"
        if found.threshold is not None:
            text = f"{text}: {'at least' if row['successes'] else 'less than'} {plain(found.threshold)}"
        return " ".join([f"{text}.", *_selected(found)])
    write = partial(number, largest=largest_in(found.summary, "mean", "mean_low", "mean_high"))
    low, high = row["mean_low"], row["mean_high"]
    spread = "" if pd.isna(low) else f", 95 % interval {write(low)} to {write(high)}"
    text = f"{name} has a mean {metric.title} of {write(row['mean'])} ({count_seeds(row['seeds'])}{spread})"
    if found.threshold is None:
        return f"{text}."
    share = interval(row, "success_low", "success_high", percent)
    return f"{text}; {row['successes']} of {row['seeds']} runs reach {plain(found.threshold)} (95 % interval {share})."
