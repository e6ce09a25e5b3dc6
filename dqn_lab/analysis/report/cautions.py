"""What a reader must be warned of before believing a number."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dqn_lab.analysis.intervals import unseen_rate
from dqn_lab.analysis.report.evidence import Evidence
from dqn_lab.analysis.report.material import Material
from dqn_lab.analysis.report.metrics import count_seeds, percent
from dqn_lab.analysis.report.provenance import progress
from dqn_lab.analysis.sentence import quoted

FEW = 30  # seeds; with fewer, a caveat is printed
MOST_NAMED = 10  # variants in a caveat
BUILDS = {
    "git.commit": "commits",
    "versions.dqn_lab": "versions of dqn_lab",
    "versions.torch": "versions of torch",
    "engine": "engines",
}


def of_page(material: Material) -> Iterator[str]:
    """Yields the caveats of the whole page: what is missing, left out, or mixed."""
    said, unfinished = progress(material)
    if unfinished:
        yield (
            f"{said}. Only completed runs count: means, intervals and verdicts may still change, and if runs fail for "
            "a reason, the others make their variant look better than it is."
        )
    if material.skipped:
        directories = "directory" if len(material.skipped) == 1 else "directories"
        yield f"{len(material.skipped)} {directories} left out, listed at the end with the reason."
    if len(material.tasks) > 1:
        yield (
            f"{len(material.tasks)} environments, {', '.join(material.tasks)}: returns of different tasks do not "
            "compare, so each has its own answer, figures and tables."
        )
    yield from _of_builds(material)


def _of_builds(material: Material) -> Iterator[str]:
    runs = material.runs
    for column, words in BUILDS.items():
        if column in runs and column not in material.swept and runs[column].nunique() > 1:
            found = runs.dropna(subset=column).groupby("variant", observed=True)[column]
            apart = found.agg(lambda values: ", ".join(sorted(set(values)))).nunique() > 1
            where = "not alike in every variant" if apart else "alike in every variant"
            yield f"The runs come from {runs[column].nunique()} {words}, {where}; see Versions."


def of_section(found: Evidence) -> Iterator[str]:
    """Yields the caveats of one environment: empty results, few seeds, unequal experience."""
    metric = found.material.metric
    empty = found.scores[(found.scores["status"] == "completed") & found.scores[metric.name].isna()]
    if len(empty):
        names = ", ".join(f"{quoted(row['variant'])} seed {row['seed']}" for row in empty.head(5).to_dict("records"))
        more = " …" if len(empty) > 5 else ""
        completed = "A completed run has" if len(empty) == 1 else f"{len(empty)} completed runs have"
        yield f"{completed} no finite {metric.title} and count{'s' * (len(empty) == 1)} nowhere: {names}{more}."
    counts = found.counted["variant"].astype(str).value_counts()
    few = [f"{quoted(name)} ({counts.get(name, 0)} finished)" for name in _planned(found) if counts.get(name, 0) < 2]
    if few and found.most_seeds > 1:
        more = f" and {len(few) - MOST_NAMED} more" if len(few) > MOST_NAMED else ""
        yield f"Not compared, because a comparison needs two finished runs: {', '.join(few[:MOST_NAMED])}{more}."
    yield from _of_seeds(found)
    yield from _of_comparison(found)


def _of_seeds(found: Evidence) -> Iterator[str]:
    """Yields what this many seeds may have missed, and whether the intervals allow for it."""
    if not len(found.summary):
        return
    seeds = int(found.summary["seeds"].min())
    if found.most_seeds == 1:
        yield "One seed says little: another may do much better or worse. Train several, such as seed='range(10)'."
        return
    rate = percent(unseen_rate(seeds))
    missed = f"an outcome that {rate} of all runs have is missing from {count_seeds(seeds)} with a probability of 5 %"
    known = found.bounds is not None and all(map(math.isfinite, found.bounds))
    if seeds < FEW:
        allowed = (
            "The intervals of the means allow for outcomes that were missed"
            if known
            else "The intervals of the means do not allow for outcomes that were missed"
        )
        yield f"Few seeds: {missed}. {allowed}; a verdict is given only if they could not cancel the difference."
    elif not known and found.material.metric.is_return:
        yield f"The bounds of the return are not all known: {missed}, and the intervals of the means leave it out."
    if not known and found.material.metric.is_return:
        yield (
            "Set env.return_bounds=[low,high], the least and the greatest possible return: then the intervals allow "
            "for rare failures, and verdicts need fewer seeds."
        )


def _planned(found: Evidence) -> list[str]:
    """Lists the variants that should be here, including those without a run so far."""
    material = found.material
    if material.narrowed or len(material.tasks) > 1 or len(material.sweeps) != 1:
        planned = list(found.looks)
    else:
        planned = list(dict.fromkeys([*found.looks, *material.sweeps[0].variants]))
    return planned if len(planned) > 1 else []


def _of_comparison(found: Evidence) -> Iterator[str]:
    material, metric = found.material, found.material.metric
    steps = found.counted.groupby("variant", observed=True)["final_step"].mean().dropna()
    if metric.is_return and len(steps) > 1 and steps.max() > 1.02 * steps.min():
        yield (
            f"The variants did not take the same number of steps (on average {steps.min():,.0f} to "
            f"{steps.max():,.0f}): final results are not at equal experience. The learning curves are, step by step."
        )
    if metric.name == "best_return":
        yield "The policy scored was selected by evaluations during training; the final policy is the primary result."
    if len(found.looks) > 1 and found.control is None and material.control is not None:
        yield f"{quoted(material.control)} has no runs here, and no other control was declared."
