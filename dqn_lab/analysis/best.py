"""Names the variant with the best mean, and the others that may be the best.

Subset selection (Gupta 1965, "On Some Multiple Decision (Selection and Ranking) Rules", Technometrics 7) with the
tests of `verdicts.py`: a variant is excluded if the one with the best observed mean is better at the level
5 % / (k − 1), where k is the number of variants. The truly best variant is excluded only if one of the k − 1 others
wrongly seems better than it at that level, so by Bonferroni's inequality this has a probability of at most 5 %,
whichever variant happens to have the best observed mean. Holm's less strict levels would not allow for that choice.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from dqn_lab.analysis.intervals import Bounds
from dqn_lab.analysis.scores import check_scores, is_higher_better, one_column
from dqn_lab.analysis.sentence import FEW, listed, quoted
from dqn_lab.analysis.statistics import compare

LEAST = 3  # variants; of two, the comparison with the control says all


def best_variants(
    scores: pd.DataFrame,
    metric: str = "final_return",
    *,
    by: str = "variant",
    higher_is_better: bool | None = None,
    bounds: Bounds | None = None,
    level: float = 0.95,
) -> list[Any]:
    """Lists the variant with the best mean, then those that these runs do not show to be worse, in order of the means.

    Args:
        scores: one row per run, as `load_configs` and `area_under_curve` return them.
        metric: the column to compare.
        by: the column that tells the variants apart.
        higher_is_better: whether a higher score is better; None: it is, except for `wall_seconds`, `by` and `after`.
        bounds: as for `summarize`.
        level: the probability that the truly best variant is in the list.

    Raises:
        AnalysisError: as for `compare`.
    """
    by = one_column(by)
    check_scores(scores, metric, [by], lists=False)
    higher_is_better = is_higher_better(metric, higher_is_better)
    means = scores.groupby(by, observed=True, sort=False, dropna=False)[metric].mean()
    order = list(means.sort_values(ascending=not higher_is_better, kind="stable").index)
    table = compare(
        scores, metric, control=order[0], by=by, higher_is_better=higher_is_better, bounds=bounds, level=level
    )
    p_values = dict(zip(table[by], table["p_value"] * len(table), strict=True))
    return [order[0], *(name for name in order[1:] if not p_values[name] <= 1 - level + 1e-9)]


def best_in_words(scores: pd.DataFrame, metric: str, what: str = "variants") -> str:
    """Returns a sentence on which variant is the best; empty for fewer than three variants."""
    count = scores["variant"].astype(str).nunique()
    if count < LEAST:
        return ""
    first, *others = map(str, best_variants(scores, metric))
    extreme = "highest" if is_higher_better(metric, None) else "lowest"
    text = f"Of the {count} {what}, {quoted(first)} has the {extreme} mean"
    if len(others) == count - 1:
        return f"{text}, but no other can be told apart from it."
    chosen = "allowing for the choice after seeing the results"
    if not others:
        return f"{text}, and with 95 % confidence it is the best ({chosen})."
    names = listed([quoted(name) for name in others]) if len(others) <= FEW else f"{len(others)} others"
    return f"{text}; {names} cannot be told apart from it. With 95 % confidence the best is one of these ({chosen})."
