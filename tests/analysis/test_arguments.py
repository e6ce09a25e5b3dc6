"""A mistake in what a function is given is answered in one line."""

import re

import numpy as np
import pandas
import pytest

from dqn_lab.analysis import (
    AnalysisError,
    answer,
    area_under_curve,
    compare,
    distribution,
    learning_curves,
    reached_curves,
    steps_to_threshold,
    summarize,
)

SCORES = pandas.DataFrame([
    {"variant": name, "seed": seed, "task": "CartPole-v1", "size": number, "final_return": 100.0 * number + seed}
    for number, name in enumerate("ab")
    for seed in range(4)
])  # fmt: skip
CURVES = pandas.DataFrame([
    {"variant": name, "seed": seed, "task": "CartPole-v1", "step": step, "return_mean": 475.0}
    for name in "ab"
    for seed in range(4)
    for step in (10, 20, 30)
])  # fmt: skip
TIMES = steps_to_threshold(CURVES)
TWICE = pandas.concat([SCORES, SCORES["size"]], axis=1)
OF_SCORES, OF_CURVES = (summarize, compare, distribution), (learning_curves, area_under_curve, steps_to_threshold)


def refused(call, said):
    with pytest.raises(AnalysisError, match=re.escape(said)) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("function", OF_SCORES)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("outputs", "scores: must be a data frame, as load_configs returns it, not 'outputs'"),
        (SCORES.to_dict("records"), "as load_configs returns it, not an object of type list"),
        (SCORES["final_return"], "not an object of type Series"),
        (np.ones((3, 2)), "not an object of type ndarray"),
        (TWICE, "size: several columns have this name; drop or rename all but one"),
    ],
)
def test_scores_are_a_frame(function, given, said):
    refused(lambda: function(given), said)


@pytest.mark.parametrize("function", OF_CURVES)
def test_evaluations_are_a_frame(function):
    refused(lambda: function("outputs"), 'evaluations: must be a data frame, as load_runs(…, table="evaluations")')
    refused(lambda: function(CURVES.assign(step="ten")), "step: no such column of numbers; this function needs one row")
    refused(lambda: function(CURVES.assign(step=np.nan)), "step: missing in 24 of 24 rows; drop these")


def test_reached_curves_need_the_frame_of_steps_to_threshold():
    refused(lambda: reached_curves(CURVES), "after: no such column of numbers; reached_curves needs the frame of st")
    refused(lambda: reached_curves([1]), "times: must be a data frame, as steps_to_threshold returns it, not an object")


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (95, "level=95: must be a number between 0 and 1; did you mean 0.95?"),
        (0, "level=0: must be a number between 0 and 1"),
        (1.0, "level=1.0: must be a number between 0 and 1"),
        (float("nan"), "level=nan: must be"),
        ("0.95", "level='0.95': must be"),
    ],
)
def test_a_level_lies_between_0_and_1(level, said):
    for function, frame in [
        *((each, SCORES) for each in OF_SCORES),
        (learning_curves, CURVES),
        (reached_curves, TIMES),
    ]:
        refused(lambda function=function, frame=frame: function(frame, level=level), said)


def test_a_level_is_not_too_high_for_the_number_of_draws():
    for function in (summarize, compare):
        said = "level=0.99995: too high for intervals of 9,999 draws; it can be at most 0.9998"
        refused(lambda function=function: function(SCORES, level=0.99995), said)
        assert np.isfinite(function(SCORES, level=0.9998).filter(like="_low").to_numpy(float)).any()
    refused(lambda: learning_curves(CURVES, level=0.9995), "of 1,999 draws; it can be at most 0.999")
    refused(lambda: reached_curves(TIMES, level=0.999), "of 599 draws; it can be at most 0.996667")
    assert len(distribution(SCORES, level=0.99995)) == 8


@pytest.mark.parametrize("wrong", ["475", float("nan"), float("inf"), [475], True])
def test_a_threshold_is_a_finite_number(wrong):
    said = f"threshold={wrong!r}: must be a finite number"
    refused(lambda: summarize(SCORES, threshold=wrong), said)
    refused(lambda: steps_to_threshold(CURVES, wrong), said)
    assert len(steps_to_threshold(CURVES, np.float32(475))) == 8


@pytest.mark.parametrize("bounds", [500, (None, 500), (500, 0), (0,), "ab", (0, float("nan")), (), {0: 0, 500: 0}])
def test_bounds_are_two_numbers_the_lower_first(bounds):
    for function in (summarize, compare):
        refused(
            lambda function=function: function(SCORES, bounds=bounds), f"bounds={bounds}: must be two numbers, (low"
        )
    refused(lambda: learning_curves(CURVES, bounds=bounds), f"bounds={bounds}: must be two numbers, (low")
    assert len(summarize(SCORES, bounds=[-np.inf, np.int64(500)])) == 2


@pytest.mark.parametrize("grid", [10, "all", "123", [], ["a"], [np.nan], [[1, 2]]])
def test_a_grid_lists_steps(grid):
    refused(
        lambda: learning_curves(CURVES, grid=grid), f"grid={grid!r}: must be a list of environment steps, such as r"
    )
    assert learning_curves(CURVES, grid=(step for step in (10, 15)))["step"].tolist() == [10, 15, 10, 15]


def test_by_names_columns_and_of_a_comparison_one():
    for by in (None, [], [["variant"]], 5):
        refused(lambda by=by: summarize(SCORES, by=by), f"by={by!r}: must be the name of a column, or a list of names")
    refused(lambda: compare(SCORES, by=["variant", "size"]), "by=['variant', 'size']: must be one column; use")
    assert compare(SCORES, by=["variant"])["variant"].tolist() == ["b"]


def test_a_control_may_be_written_as_text():
    assert compare(SCORES, by="size", control="1")["control"].tolist() == [1]
    assert compare(SCORES, by="size", control=1)["control"].tolist() == [1]
    refused(lambda: compare(SCORES, by="size", control="2"), "control=2: no such size; choices: 0, 1")


def test_an_answer_needs_all_that_a_comparison_has():
    said = "answer: needs a frame that compare returned, with all its columns"
    table = compare(SCORES)
    for given in (table[["variant", "verdict"]], table.drop(columns="variant"), SCORES, "text"):
        refused(lambda given=given: answer(given), said)
    refused(lambda: answer(table[:0]), "answer: the comparison has no rows")


def test_every_run_has_a_seed_of_its_own():
    refused(lambda: summarize(SCORES.assign(seed=["0", 0, 1, 2] * 2)), "variant=a: seed 0 occurs more than once")
    refused(lambda: summarize(SCORES.assign(seed=[np.nan, 1, 2, 3] * 2)), "seed: missing in 2 of 8 runs; number them")


def test_an_area_has_ends_that_a_run_spans():
    refused(lambda: area_under_curve(CURVES, stop=1e9), "start=10, stop=1e+09: no run has values from start to stop; ")
    refused(lambda: area_under_curve(CURVES, start=0), "they have values from 10 to 30")
    refused(lambda: area_under_curve(CURVES, start="0"), "start='0': must be a finite number")
