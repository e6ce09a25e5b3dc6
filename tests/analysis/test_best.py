"""Which variants may be the best, after the results were seen."""

import numpy as np
import pandas
import pytest

from dqn_lab.analysis import AnalysisError, compare
from dqn_lab.analysis.best import best_in_words, best_variants


def frame(levels, seeds=30, spread=5.0):
    rng = np.random.default_rng(0)
    rows = [
        {"variant": name, "seed": seed, "task": "CartPole-v1", "final_return": level + rng.normal(0, spread)}
        for name, level in levels.items()
        for seed in range(seeds)
    ]
    return pandas.DataFrame(rows)


def test_only_variants_that_are_shown_to_be_worse_are_excluded():
    scores = frame({"a": 100.0, "b": 250.0, "c": 251.0})
    assert best_variants(scores) in (["b", "c"], ["c", "b"])
    first, other = best_variants(scores)
    assert best_in_words(scores, "final_return") == (
        f"Of the 3 variants, “{first}” has the highest mean; “{other}” cannot be told apart from it. With 95 % "
        "confidence the best is one of these (allowing for the choice after seeing the results)."
    )


def test_a_best_variant_or_none_is_named():
    clear = best_in_words(frame({"a": 100.0, "b": 250.0, "c": 130.0}), "final_return")
    assert "“b” has the highest mean, and with 95 % confidence it is the best" in clear
    open_ = best_in_words(frame({"a": 250.0, "b": 250.0, "c": 250.0}), "final_return")
    assert open_.endswith("has the highest mean, but no other can be told apart from it.")
    assert best_in_words(frame({"a": 100.0, "b": 250.0}), "final_return") == ""


def test_less_may_be_better():
    scores = frame({"a": 100.0, "b": 250.0, "c": 130.0})
    assert best_variants(scores, higher_is_better=False) == ["a"]
    seconds = scores.rename(columns={"final_return": "wall_seconds"})
    assert best_variants(seconds, "wall_seconds") == ["a"]
    assert best_variants(seconds, "wall_seconds", higher_is_better=True) == ["b"]
    assert "“a” has the lowest mean" in best_in_words(seconds, "wall_seconds")


def test_every_exclusion_is_corrected_for_all_variants():
    """Bonferroni's levels are stricter than Holm's, which do not allow for choosing the best after the fact."""
    scores = pandas.concat([frame({"best": 250.0}), frame({"near": 246.5}), frame({"far": 100.0, "farther": 90.0})])
    table = compare(scores, control="best").set_index("variant")
    excluded = set(table.index) - set(best_variants(scores))
    assert excluded == {name for name in table.index if 3 * table["p_value"][name] <= 0.05}


@pytest.mark.parametrize("variants", [3, 6])
def test_the_best_of_equal_variants_is_rarely_excluded(variants):
    """Each of the equal variants is the best, so that more than one in twenty excluded firsts would be an error."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(40):
        scores = pandas.DataFrame([
            {"variant": str(name), "seed": seed, "task": "CartPole-v1", "final_return": rng.normal(250, 60)}
            for name in range(variants) for seed in range(10)
        ])  # fmt: skip
        wrong += "0" not in best_variants(scores)
    assert wrong <= 4


def test_variants_are_told_apart_by_any_column():
    scores = frame({"a": 100.0, "b": 250.0, "c": 130.0})
    scores["interval"] = scores.pop("variant").map({"a": 1, "b": 10, "c": 100})
    assert best_variants(scores, by="interval") == [10]


def test_a_wrong_argument_is_named():
    scores = frame({"a": 100.0, "b": 250.0})
    for wrong, options in {
        "metric=score": {"metric": "score"},
        "by=arm": {"by": "arm"},
        "level=95": {"level": 95},
    }.items():
        with pytest.raises(AnalysisError, match=wrong):
            best_variants(scores, **options)
    with pytest.raises(AnalysisError, match="no other variant"):
        best_variants(scores[scores["variant"] == "a"])
