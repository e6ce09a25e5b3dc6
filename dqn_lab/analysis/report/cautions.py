"""Caveats: what readers must know before they trust a number."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise

import pandas as pd

from dqn_lab._damage import DECLARED
from dqn_lab.analysis._numbers import percent
from dqn_lab.analysis.intervals import ENOUGH, unseen_rate
from dqn_lab.analysis.load import THEN
from dqn_lab.analysis.report.evidence import Evidence
from dqn_lab.analysis.report.material import Material
from dqn_lab.analysis.report.metrics import count_seeds
from dqn_lab.analysis.report.provenance import progress
from dqn_lab.analysis.report.question import only_searches
from dqn_lab.analysis.runs import Sweep
from dqn_lab.analysis.scores import outside_stated
from dqn_lab.analysis.sentence import listed, quoted
from dqn_lab.analysis.tasks import stated_bounds
from dqn_lab.tasks import apart

MOST_NAMED = 10  # variants in a caveat
BUILDS = {
    "git.commit": "commits",
    "versions.dqn_lab": "versions of dqn_lab",
    "versions.torch": "versions of torch",
    "engine": "engines",
}


def of_page(material: Material) -> Iterator[str]:
    """Yields the caveats of the whole page: what is missing, left out, or mixed."""
    status, unfinished = progress(material)
    if unfinished:
        yield (
            f"{status}. Only completed runs count, so means, intervals and verdicts may still change. If runs fail "
            "because they learn badly, their variant looks better than it is."
        )
    if material.selected_from:
        yield (
            "The runs were chosen by hand, and the table of runs lists them. If they were chosen by their results, "
            "means, intervals and verdicts are misleading."
        )
    if searches := [sweep for sweep in material.sweeps if sweep.is_search]:
        whose = "The variants" if only_searches(material.sweeps) else f"The variants of {searches[0].name}"
        yield (
            f"{whose} are the trials of a search, and the best one was chosen by its final returns on these seeds, "
            "which are therefore optimistic: test it on other seeds (`sweep` prints a command)."
        )
    if any(re.search(r"--quick\b|\bquick=True\b", sweep.command or "") for sweep in material.sweeps):
        yield "These are runs of the question's short form (--quick); its full form may have another answer."
    for sweep in material.sweeps:
        yield from _of_changes(sweep, len(material.sweeps) > 1)
    if material.skipped:
        directories = "directory was" if len(material.skipped) == 1 else "directories were"
        yield f"{len(material.skipped)} {directories} left out, entirely or in part; the end of the page says why."
    if len(material.tasks) > 1:
        yield f"{apart(material.telling_keys)} Each task has its own answer, figures and tables."
    yield from _of_builds(material)


def _of_changes(sweep: Sweep, several: bool) -> Iterator[str]:
    """Yields a caveat for each change of the metric or the control after runs had completed."""
    declared = [*sweep.earlier, {key: getattr(sweep, key) for key in DECLARED}]
    for before, after in pairwise(declared):
        changes = [
            f"the {key} from {quoted(before.get(key))} to {quoted(after.get(key))}"
            for key in DECLARED
            if before.get(key) != after.get(key)
        ]
        if changes:
            whose = f"The question of {sweep.name}" if several else "The question"
            number = f"{before.get('completed')} {'run' if before.get('completed') == 1 else 'runs'}"
            yield (
                f"{whose} was changed after {number} had completed: {listed(changes)}. If the change was made because "
                "of their results, verdicts are misleading."
            )


def _of_builds(material: Material) -> Iterator[str]:
    runs = material.runs
    for column, words in BUILDS.items():
        if column in runs and column not in material.swept and runs[column].nunique() > 1:
            found = runs.dropna(subset=column).groupby("variant", observed=True)[column]
            differ = found.agg(lambda values: ", ".join(sorted(set(values)))).nunique() > 1
            where = "which differ between variants" if differ else "the same ones in every variant"
            yield f"The runs come from {runs[column].nunique()} {words}, {where}; see “Versions and times”."
    yield from of_code(runs)


def of_code(runs: pd.DataFrame) -> Iterator[str]:
    """Yields which of the user's own modules have changed between the runs, or while a run was stopped."""
    for name in (str(column) for column in runs if str(column).startswith("sources.")):
        digests = runs[name].dropna().astype(str)
        between, within = digests.nunique() > 1, digests.str.contains(THEN, regex=False).any()
        if between or within:
            when = "between these runs, which mix" if between else "while a run was stopped, which mixes"
            yield f"{name.removeprefix('sources.')} has changed {when} old and new code; see “Versions and times”."


def of_section(found: Evidence) -> Iterator[str]:
    """Yields the caveats of one environment: empty results, few seeds, unequal experience."""
    metric = found.material.metric
    empty = found.scores[(found.scores["status"] == "completed") & found.scores[metric.name].isna()]
    if len(empty):
        names = ", ".join(f"{quoted(row['variant'])} seed {row['seed']}" for row in empty.head(5).to_dict("records"))
        more = " …" if len(empty) > 5 else ""
        have, are = ("A completed run has", "is") if len(empty) == 1 else (f"{len(empty)} completed runs have", "are")
        yield f"{have} no finite {metric.title} and {are} left out: {names}{more}."
    counts = found.counted["variant"].astype(str).value_counts()
    few = [f"{quoted(name)} ({counts.get(name, 0)} finished)" for name in _planned(found) if counts.get(name, 0) < 2]
    if few and found.most_seeds > 1 and not found.material.is_search:
        more = f" and {len(few) - MOST_NAMED} more" if len(few) > MOST_NAMED else ""
        yield f"Not compared, because a comparison needs two finished runs: {', '.join(few[:MOST_NAMED])}{more}."
    yield from of_curves(found)
    yield from of_reach(found)
    yield from _of_seeds(found)
    yield from _of_comparison(found)


def of_curves(found: Evidence) -> Iterator[str]:
    """Yields why variants have no learning curve, and how to get one."""
    evaluations = found.finished
    if not len(evaluations):
        if found.material.evaluations is None and "learning curves" not in found.material.skipped and found.most_seeds:
            yield "There is no learning curve, because no run has an evaluations.csv: set logger=csv."
        return
    per_run = evaluations.groupby(["variant", "run"], observed=True)["step"].nunique()
    without = [name for name in map(str, per_run.index.unique("variant")) if name not in set(found.curves["variant"])]
    if not without:
        return
    advice = f"set for example {_more_often(int(evaluations['step'].max()))}"
    if per_run.max() < 2:
        runs = "the run was" if len(per_run) == 1 else "the runs were each"
        yield f"There is no learning curve, because {runs} evaluated only once, at the end: {advice}."
        return
    whose = listed([quoted(name) for name in without[:MOST_NAMED]])
    more = f" (and {len(without) - MOST_NAMED} more)" if len(without) > MOST_NAMED else ""
    yield (
        f"There is no learning curve of {whose}{more}, because more than one in ten of the runs were evaluated only "
        f"once, or their evaluations share no steps: {advice}."
    )


def of_reach(found: Evidence) -> Iterator[str]:
    """Yields why the answer's intervals reach far beyond the runs, if they do."""
    values = found.counted.loc[~found.counted["is_reference"].astype(bool), found.material.metric.name].astype(float)
    if found.most_seeds < 2 or not found.material.metric.is_return or not len(values):
        return
    beyond = 2 * float(values.max() - values.min())  # farther than Student's interval of three scores
    if found.compared is not None:
        ends = found.compared[["low", "high"]].abs().to_numpy(float)
        what = "intervals of differences are"
    else:
        ends = found.summary[["mean_low", "mean_high"]].to_numpy(float) - (values.max() + values.min()) / 2
        what = "intervals of means are"
    if not (abs(ends) > beyond + 1e-9 * max(1.0, abs(values).max())).any():
        return
    fewest = int(found.summary["seeds"].min())
    yield (
        f"Where {what} far wider than the spread of these runs, they allow for rare successes or failures that "
        f"{count_seeds(fewest)} may {'' if fewest == 1 else 'all '}have missed (dqn_lab/analysis/README.md, “What the "
        "intervals are”)."
    )


def _more_often(steps: int) -> str:
    """Returns the overrides for about six to twelve evaluations of a run."""
    sizes = sorted(digits * 10**power // 10 for power in range(1, 11) for digits in (10, 20, 25, 50))
    interval = max((size for size in sizes if size <= steps / 6), default=1)
    return f"evaluation.interval={interval} evaluation.unit=steps"


def _of_seeds(found: Evidence) -> Iterator[str]:
    """Yields which outcomes this many seeds may have missed, and whether the intervals allow for them."""
    if not len(found.summary):
        return
    seeds = int(found.summary["seeds"].min())
    if found.most_seeds == 1:
        yield "One seed says little: another may do much better or worse. Train several, such as seed='range(10)'."
        return
    rate = percent(unseen_rate(seeds))
    miss = "would miss it" if seeds == 1 else "would all miss it"
    missed = f"if {rate} of runs had some outcome, {count_seeds(seeds)} {miss} 5 % of the time"
    known = found.bounds is not None and all(map(math.isfinite, found.bounds))
    if seeds < ENOUGH:
        allowed = (
            "The intervals of the means allow for such unseen outcomes"
            if known
            else "The intervals of the means do not allow for such unseen outcomes"
        )
        yield f"Few seeds: {missed}. {allowed}; a verdict requires that they could not cancel the difference."
    elif not known and found.material.metric.is_return:
        yield (
            "The bounds of the return are not all known, so the intervals of the means do not allow for unseen "
            f"outcomes: {missed}."
        )
    stated = stated_bounds(found.scores, found.material.metric.name)
    if stated and found.bounds is None:
        yield f"{outside_stated(stated, found.material.metric.title)}."
    elif not known and found.material.metric.is_return:
        yield (
            "Set env.return_bounds=[low,high], the smallest and the largest possible return: then the intervals allow "
            "for rare failures, and verdicts need fewer seeds."
        )


def _planned(found: Evidence) -> list[str]:
    """Lists the variants that this section should have, including those without a run so far."""
    material = found.material
    planned = list(found.looks) if len(material.tasks) > 1 else material.planned
    return planned if len(planned) > 1 else []


def of_experience(found: Evidence) -> Iterator[str]:
    """Yields how the variants' steps differ, if they do."""
    steps = found.counted.groupby("variant", observed=True)["final_step"].mean().dropna()
    if found.material.metric.is_return and len(steps) > 1 and steps.max() > 1.02 * steps.min():
        yield (
            f"The variants did not take the same number of steps (on average {steps.min():,.0f} to "
            f"{steps.max():,.0f}), so their final results rest on unequal experience. The learning curves compare "
            "them at equal steps."
        )


def _of_comparison(found: Evidence) -> Iterator[str]:
    material, metric = found.material, found.material.metric
    yield from of_experience(found)
    if metric.name == "best_return":
        yield (
            "This is the return of the policy that did best in evaluations during training. The primary result is the "
            "final policy's."
        )
    if len(found.looks) > 1 and found.control is None and material.control is not None:
        yield f"{quoted(material.control)} has no runs here, and no other control was declared."
