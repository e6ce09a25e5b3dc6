"""The question in words, and the control."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dqn_lab._nearest import in_list, nearest
from dqn_lab.analysis import AnalysisError, Sweep
from dqn_lab.analysis._arguments import check_number
from dqn_lab.analysis.sentence import FEW, listed, quoted
from dqn_lab.records import override_key

TASKS = ("env", "env.id", "env.name")  # the keys that name a run's task
DECLARED = "the sweep's control"


@dataclass(frozen=True, kw_only=True)
class Options:
    """A report's options.

    Args:
        metric: the metric to compare; None: the sweep's own, else `final_return`.
        control: the variant that the others are compared with; None: the sweep's own, else the first.
        threshold: a run succeeds at this return or above; None: the return at which the task counts as solved.
        compare: two variants, or directories of one variant each; the second is compared with the first.
        against: a CSV or JSON file with one result per run, to compare with.

    Raises:
        AnalysisError: the threshold is not a finite number.
    """

    metric: str | None = None
    control: str | None = None
    threshold: float | None = None
    compare: tuple[str, str] | None = None
    against: Path | None = None

    def __post_init__(self) -> None:
        check_number("threshold", self.threshold)


def find_variant(scores: pd.DataFrame, word: str) -> str:
    """Finds a variant by its name, or by the name or directory of a sweep with only that variant."""
    variants = [str(name) for name in scores["variant"].cat.categories]
    if word in variants:
        return word
    same = [name for name in variants if _without_spaces(name) == _without_spaces(word)]
    if len(same) == 1:
        return same[0]
    parents = scores["directory"].map(lambda path: Path(path).resolve().parent, na_action="ignore")
    inside = scores[(scores["sweep"] == word) | (parents == Path(word).resolve())]
    names = list(dict.fromkeys(inside["variant"].astype(str)))
    if len(names) == 1:
        return names[0]
    if names:
        raise AnalysisError(f"{word}: has {len(names)} variants; name one of them: {in_list(names)}")
    raise AnalysisError(f"{word}: no such variant; {nearest(word, variants)}")


def _without_spaces(label: str) -> str:
    return re.sub(r"\s+", "", label)


def declared_here(sweeps: Sequence[Sweep], variants: Sequence[str]) -> str | None:
    """Returns the first of the variants that a sweep declares as its control."""
    declared = {sweep.control for sweep in sweeps if sweep.control is not None}
    return next((name for name in variants if name in declared or name.partition(": ")[2] in declared), None)


def choose_control(scores: pd.DataFrame, sweeps: Sequence[Sweep], options: Options) -> tuple[str | None, str]:
    """Returns the control and the reason for it."""
    variants = [str(name) for name in scores["variant"].cat.categories]
    if options.control is not None:
        return find_variant(scores, options.control), "as requested"
    if options.compare:
        return variants[0], "the first of the two"
    declared = {sweep.control for sweep in sweeps if sweep.control is not None}
    own = declared_here(sweeps, variants)
    references = list(dict.fromkeys(scores.loc[scores["is_reference"], "variant"].astype(str)))
    if references:
        return next(
            (name for name in references if name == f"{own} (reference)"), references[0]
        ), "the stored reference"
    if own is None and len(sweeps) == 1 and declared:
        own = declared.pop()  # it has no runs yet; the report says so
    if own is not None:
        return own, DECLARED
    if only_searches(sweeps):
        return None, ""
    return (variants[0], "the first; --control names another") if len(variants) > 1 else (None, "")


def only_searches(sweeps: Sequence[Sweep]) -> bool:
    """Returns whether all sweeps are searches, whose variants are trials."""
    return bool(sweeps) and all(sweep.is_search for sweep in sweeps)


def planned_variants(scores: pd.DataFrame, sweeps: Sequence[Sweep]) -> list[str]:
    """Lists the variants that the only sweep should have, including those without a run so far.

    Several sweeps, several tasks, and sweeps whose variants differ only in their task have no more than those there.
    """
    there = [str(name) for name in scores["variant"].cat.categories]
    if len(sweeps) != 1 or scores["task"].nunique() > 1:
        return there
    variants = sweeps[0].variants
    apart = {tuple(text for text in own if override_key(text) not in TASKS) for own in variants.values()}
    return list(dict.fromkeys([*variants, *there])) if len(apart) > 1 else there


def write_question(scores: pd.DataFrame, sweeps: Sequence[Sweep], swept: Sequence[str], options: Options) -> str:
    """Returns the sweep's own question, or one made from the keys that differ."""
    variants = [str(name) for name in scores["variant"].cat.categories]
    if options.compare:
        return f"Does {quoted(variants[1])} differ from {quoted(variants[0])}?"
    if options.against:
        return f"Do these runs differ from the reference {options.against.stem}?"
    asked = list(dict.fromkeys(sweep.question for sweep in sweeps if sweep.question))
    if len(asked) == 1:
        return asked[0]
    variants = planned_variants(scores, sweeps)
    if len(variants) == 1:
        return ask_about(variants)
    grids = [own for sweep in sweeps for own in sweep.variants.values()]  # as typed
    common = set.intersection(*map(set, grids)) if grids else set()  # such as the key by which rows were chosen
    typed = dict.fromkeys(override_key(text) for own in grids for text in own if text not in common)
    keys = [key for key in typed or swept if key not in TASKS]
    if scores["sweep"].nunique() == 1 and len(keys) == 1:
        return f"What does {keys[0]} change?"
    if scores["sweep"].nunique() == 1 and len(keys) == 2:
        return f"What do {keys[0]} and {keys[1]} change, alone and together?"
    if not keys and (tasks := list(dict.fromkeys(scores["task"])))[1:]:
        return f"How well does the agent do on {listed(tasks)}?"
    return ask_about(variants)


def ask_about(variants: Sequence[str]) -> str:
    """Returns a question made only from the variants' labels."""
    if len(variants) == 1:
        return f"How well does {'the default' if variants[0] == 'default' else quoted(variants[0])} do?"
    if len(variants) > FEW:
        return f"How do these {len(variants)} variants compare?"
    return f"How do {listed([quoted(name) for name in variants])} compare?"
