"""A threshold is reached between two evaluations, or not within the run."""

import numpy as np
import pandas
import pytest
from scipy import stats

from dqn_lab.analysis import AnalysisError, answer, compare, reached_curves, steps_to_threshold, summarize
from dqn_lab.analysis.survival import turnbull


def times(*intervals):
    rows = [
        {"variant": "a", "seed": seed, "after": float(after), "by": float(by), "reached": np.isfinite(by)}
        for seed, (after, by) in enumerate(intervals)
    ]
    return pandas.DataFrame(rows)


def test_the_first_evaluation_that_reaches_it_ends_the_interval(evaluations):
    table = evaluations({
        ("a", 0): {10: 480, 20: 20}, ("a", 1): {10: 20, 20: 475, 30: 20}, ("a", 2): {10: 474.9, 20: 0},
    })  # fmt: skip
    found = steps_to_threshold(table)
    assert found[["seed", "after", "by", "reached"]].to_numpy().tolist() == [
        [0, 0, 10, True], [1, 10, 20, True], [2, 20, np.inf, False],
    ]  # fmt: skip
    assert steps_to_threshold(table, 400)["by"].tolist() == [10, 20, 10]
    with pytest.raises(AnalysisError, match="threshold: must be given"):
        steps_to_threshold(table.assign(task="Mine-v0"))


def test_runs_that_never_reached_it_are_not_left_out_of_a_comparison(evaluations):
    """Otherwise the variant that solved the task once, but early, would be better than the one that always does."""
    reliable = {("reliable", seed): {10: 20, 20: 500} for seed in range(5)}
    lucky = {("lucky", seed): {10: 20 if seed else 500, 20: 20} for seed in range(5)}
    times = steps_to_threshold(evaluations({**reliable, **lucky}))
    for function in (compare, summarize):
        with pytest.raises(
            AnalysisError, match="metric=by: infinite in 4 of 10 runs, so it has no mean; use reached_c"
        ):
            function(times, "by")
    said = answer(compare(times[times["variant"] == "reliable"].assign(variant=list("aabbb")), "by", bounds=(0, 20)))
    assert "the mean number of steps to the threshold of “b” is the same as that of “a”" in said


def test_with_shared_evaluations_it_is_the_kaplan_meier_estimate():
    """Against scipy's `ecdf` of right-censored runs; only one run in 13 ends before step 40."""
    observed, censored = [10, 10, 20, 20, 20, 30, 40, 40, 40], [30, 40, 40, 40]
    table = times(*[(step - 10, step) for step in observed], *[(step, np.inf) for step in censored])
    survival = stats.ecdf(stats.CensoredData.right_censored(observed + censored, [False] * 9 + [True] * 4)).sf
    curves = reached_curves(table)
    assert curves["step"].tolist() == [0, 10, 20, 30, 40]
    assert curves["fraction"].tolist() == pytest.approx([0, *(1 - survival.evaluate([10, 20, 30, 40]))], abs=1e-6)
    assert curves["at_risk"].tolist() == [13, 13, 11, 8, 6]


def test_runs_that_have_all_reached_it_are_exactly_all():
    """The share is a sum of rounded parts."""
    for number in range(1, 60):
        table = times(*[(10 * (i % 7), 10 * (i % 7) + 10) for i in range(number)])
        assert reached_curves(table)["fraction"].iloc[-1] == 1


def test_with_all_runs_observed_to_the_end_the_band_is_jeffreys():
    table = times(*[(0, 10)] * 6, *[(10, np.inf)] * 24)
    row = reached_curves(table).iloc[-1]
    assert row["fraction"] == pytest.approx(0.2)
    expected = stats.beta.ppf([0.025, 0.975], 6.5, 24.5)
    assert (row["low"], row["high"]) == pytest.approx(expected, abs=0.03)


def test_overlapping_intervals_share_what_is_not_known():
    """(0, 20], (10, 30] and (0, 10]: with nothing after 20 the likelihood is p₁p₂, greatest at ½ each."""
    may = np.array([[True, True, False], [False, True, True], [True, False, False]])
    assert turnbull(np.full((1, 3), 1 / 3), may)[0].tolist() == pytest.approx([0, 1 / 2, 1], abs=1e-6)


def test_steps_that_few_runs_get_to_are_left_out():
    """Nine runs end at step 20 without reaching it; a tenth that does by 30 says little about all ten."""
    table = times(*[(20, np.inf)] * 9, (20, 30))
    assert reached_curves(table)["step"].tolist() == [0, 20]


def test_a_run_that_reaches_it_at_step_0_counts(evaluations):
    """Four of eight runs are there at once, and the others by step 100."""
    table = evaluations({("a", seed): {0: 500 * (seed < 4), 100: 500, 200: 500} for seed in range(8)})
    curves = reached_curves(steps_to_threshold(table))
    assert curves["step"].tolist() == [0, 100]
    assert curves["fraction"].tolist() == pytest.approx([0.5, 1])
    assert (curves["low"] < curves["fraction"]).all()
    assert curves["high"].iloc[0] < 1


def test_fractions_zero_and_one_have_a_band_too():
    never = reached_curves(times(*[(10, np.inf)] * 10)).iloc[-1]
    assert never["fraction"] == 0
    assert 0 == never["low"] < never["high"] < 0.4
    always = reached_curves(times(*[(0, 10)] * 10)).iloc[-1]
    assert always["fraction"] == pytest.approx(1)
    assert 0.6 < always["low"] < always["high"] == pytest.approx(1)
