"""Curves are compared at equal environment steps, and areas follow the trapezoidal rule."""

import warnings

import numpy as np
import pandas
import pytest
from scipy import stats

from dqn_lab.analysis import (
    AnalysisError,
    NoCurve,
    area_under_curve,
    distribution,
    learning_curves,
    load_runs,
    steps_to_threshold,
    summarize,
)
from dqn_lab.analysis.intervals import draw, mean_interval


def test_curves_are_averaged_at_the_steps_that_runs_share(evaluations):
    table = evaluations({("a", 0): {10: 0, 20: 100}, ("a", 1): {10: 50, 20: 200}, ("b", 0): {10: 1, 20: 2}})
    curves = learning_curves(table)
    assert curves[["variant", "step", "seeds", "mean"]].to_numpy().tolist() == [
        ["a", 10, 2, 25], ["a", 20, 2, 150], ["b", 10, 1, 1], ["b", 20, 1, 2],
    ]  # fmt: skip
    assert ((curves["low"] < curves["mean"]) & (curves["mean"] < curves["high"])).tolist() == [True, True, False, False]
    assert curves["low"].isna().tolist() == [False, False, True, True]  # a single run has no band


def test_between_evaluations_a_value_lies_on_the_straight_line(evaluations):
    table = evaluations({("a", 0): {10: 0, 30: 100}, ("a", 1): {20: 10, 40: 30}})
    curves = learning_curves(table, grid=[10, 20, 25, 40])
    assert curves["step"].tolist() == [20, 25]  # at 10 and 40 one of two runs has no value
    assert curves["mean"].tolist() == [(50 + 10) / 2, (75 + 15) / 2]


def test_evaluations_at_different_steps_are_interpolated_at_101_steps(evaluations):
    table = evaluations({("a", 0): {0: 0, 100: 100}, ("a", 1): {1: 10, 100: 30}})
    assert learning_curves(table)["step"].tolist() == list(range(1, 101))


def test_one_known_bound_limits_the_band_on_one_side_and_steps_without_values_do_no_harm(evaluations):
    table = evaluations({("a", seed): {10: seed, 20: 100 * seed} for seed in range(3)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        band = learning_curves(table, grid=[0, 10, 20, 30], bounds=(0, np.inf))
    assert band["step"].tolist() == [10, 20]
    assert (band["low"] >= 0).all()
    assert (band["high"] > [2, 200]).all()


def test_a_variant_whose_runs_are_short_has_a_curve_too(evaluations):
    """With only the common steps 0, 100, … it would have one point."""
    runs = {("long", seed): {0: 0, 10_000 + seed: 100} for seed in range(2)}
    runs |= {("short", seed): {5: 0, 95 + seed: 90} for seed in range(2)}
    curves = learning_curves(evaluations(runs))
    assert curves["variant"].value_counts().to_dict() == {"long": 101 + 101 - 1, "short": 101}
    assert curves.query("variant == 'short'")["step"].agg(["min", "max"]).tolist() == [5, 95]


def test_a_variant_whose_runs_share_no_steps_is_named(evaluations):
    runs = {("a", 0): {0: 0, 10: 1}, ("b", 0): {0: 0, 3: 1}, ("b", 1): {7: 0, 9: 1}}
    with pytest.warns(NoCurve, match="variant=b: no curve; at no step have nine in ten of its 2 runs a value"):
        assert set(learning_curves(evaluations(runs))["variant"]) == {"a"}


def test_a_run_that_stopped_early_does_not_cut_the_others_short(evaluations):
    """A step needs nine in ten of the runs: ten of eleven are enough, nine are not."""
    curves = {("a", seed): {10: seed, 20: seed, 30: seed} for seed in range(10)}
    curves["a", 10] = {10: 10.0}
    assert learning_curves(evaluations(curves))[["step", "seeds"]].to_numpy().tolist() == [[10, 11], [20, 10], [30, 10]]
    curves["a", 9] = {10: 9.0}
    assert learning_curves(evaluations(curves), grid=[10, 20])["step"].tolist() == [10]


def test_the_band_is_the_interval_of_the_mean(evaluations, final_returns):
    """The same method with other draws: the ends agree to a twentieth of the width."""
    scores = final_returns.query("variant == 'default'")["final_return"].to_numpy()[:30]
    table = evaluations({("a", seed): {10: score, 20: score} for seed, score in enumerate(scores)})
    row = learning_curves(table).iloc[0]
    low, high = mean_interval(draw(scores, (0, 500)), (0, 500), 0.95)
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=(high - low) / 20)


@pytest.mark.parametrize("number", [3, 10, 30])
def test_the_band_of_equal_values_is_these_values(evaluations, number):
    """Three times 0.1, divided by three, is more than 0.1."""
    curve = learning_curves(
        evaluations({("a", seed): {10: 0.1, 20: 0.7} for seed in range(number)}).drop(columns="task")
    )
    assert curve["mean"].tolist() == [0.1, 0.7]
    assert curve[["low", "high"]].to_numpy().tolist() == [[0.1, 0.1], [0.7, 0.7]]


def test_the_order_of_the_runs_changes_nothing(evaluations):
    curves = {("a", seed): {10: seed * 7 % 5, 20: seed} for seed in range(6)}
    backwards = dict(reversed(curves.items()))
    pandas.testing.assert_frame_equal(learning_curves(evaluations(curves)), learning_curves(evaluations(backwards)))


def test_an_area_follows_the_trapezoidal_rule(evaluations):
    """0 to 100 over 10 steps and 100 to 50 over 20: 500 + 1,500."""
    table = evaluations({("a", 0): {10: 0, 20: 100, 40: 50}, ("a", 1): {10: 10, 40: 10}})
    areas = area_under_curve(table)
    assert areas["area"].tolist() == [2000, 300]
    assert areas["mean_value"].tolist() == [2000 / 30, 10]
    assert areas["seed"].tolist() == [0, 1]
    assert area_under_curve(table, start=15, stop=20)["area"].tolist() == [(50 + 100) / 2 * 5, 50]
    assert summarize(areas, "mean_value")["seeds"].tolist() == [2]


def test_a_run_that_ends_before_the_stop_has_no_area(evaluations):
    table = evaluations({("a", 0): {10: 0, 20: 100}, ("a", 1): {10: 10, 40: 10}})
    assert np.isnan(area_under_curve(table, stop=40)["area"].tolist()[0])
    with pytest.raises(AnalysisError, match="start=30, stop=20: the runs share no steps"):
        area_under_curve(evaluations({("a", 0): {10: 0, 20: 1}, ("b", 0): {30: 0, 40: 1}}))


def test_areas_take_training_episodes_too(make_run, tmp_path):
    make_run("grid/a")
    areas = area_under_curve(load_runs(tmp_path), "return")
    assert areas[["run", "seed", "area"]].to_numpy().tolist() == [["a", 0, 20.0 * 40]]


def test_a_distribution_counts_scores_at_least_as_good_within_kolmogorovs_band():
    scores = pandas.DataFrame({"variant": "a", "seed": range(4), "final_return": [10.0, 20.0, 20.0, np.nan]})
    table = distribution(scores)
    assert table[["score", "fraction"]].to_numpy().tolist() == [[10, 1], [20, pytest.approx(2 / 3)]]
    half = stats.kstwo.ppf(0.95, 3)
    assert table["low"].tolist() == pytest.approx([1 - half, max(2 / 3 - half, 0)])
    assert table["high"].tolist() == [1, 1]


def test_what_is_missing_is_named(evaluations):
    table = evaluations({("a", 0): {10: 0, 20: 100}})
    with pytest.raises(AnalysisError, match=r"value=return: no such column of numbers; did you mean return_mean\?"):
        learning_curves(table, "return")
    with pytest.raises(AnalysisError, match="run: no such column; each row must name its run, or its variant and seed"):
        learning_curves(table.drop(columns=["run", "seed"]))
    with pytest.raises(AnalysisError, match="step: no such column of numbers; this function needs one row"):
        area_under_curve(table.drop(columns="step"))
    twice = pandas.concat([table, table.assign(run="copy")])
    with pytest.raises(AnalysisError, match="variant=a: seed 0 occurs more than once"):
        learning_curves(twice)


def test_without_a_run_column_a_variant_and_a_seed_are_a_run(evaluations):
    table = evaluations({("a", 0): {10: 0, 20: 100}, ("a", 1): {10: 50, 20: 200}, ("b", 0): {10: 1, 20: 2}})
    plain = table[["step", "return_mean", "seed", "task", "variant"]]
    pandas.testing.assert_frame_equal(learning_curves(plain), learning_curves(table))
    own = plain.rename(columns={"variant": "algorithm"})
    assert learning_curves(own, by="algorithm")["mean"].tolist() == [25, 150, 1, 2]
    assert area_under_curve(plain)["area"].tolist() == [500, 1250, 15]
    assert steps_to_threshold(plain, 60)[["variant", "seed", "by"]].to_numpy().tolist() == [
        ["a", 0, 20], ["a", 1, 20], ["b", 0, np.inf],
    ]  # fmt: skip


def test_rows_that_could_be_of_several_runs_are_refused(evaluations):
    """Without a variant, seed 0 of two variants would be one run."""
    table = evaluations({("a", 0): {10: 0, 20: 100}, ("b", 0): {10: 1, 20: 2}}).drop(columns=["run", "variant"])
    with pytest.raises(AnalysisError, match=r"seed=0, .*step=10: occurs more than once; name each row's variant, or"):
        area_under_curve(table)
