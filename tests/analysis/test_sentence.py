"""The answer states what the table shows, and no more."""

import pandas
import pytest

from dqn_lab.analysis import answer, compare
from dqn_lab.analysis.report.metrics import METRICS


def comparison(*rows):
    seeds = {"seeds": 30, "control_seeds": 30, "missing": 0, "control_missing": 0}
    plain = {"control": "slow", "metric": "final_return", **seeds, "level": 0.95}
    return pandas.DataFrame([{"variant": name, **plain, **row} for name, row in rows])


BETTER = ("fast", {"difference": 45.2, "low": 12.1, "high": 80.4, "verdict": "better"})
WORSE = ("none", {"difference": -45.2, "low": -80.4, "high": -12.1, "verdict": "worse"})
OPEN = ("other", {"difference": -5.84, "low": -42.0, "high": 30.6, "verdict": "undecided"})


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [BETTER],
            "“fast” is better than “slow”: its mean final return is 45 higher (95 % interval 12 to 80; 30 seeds each).",
        ),
        (
            [WORSE],
            "“none” is worse than “slow”: its mean final return is 45 lower (95 % interval 12 to 80; 30 seeds each).",
        ),
        (
            [OPEN],
            "Undecided: in these runs, the mean final return of “other” is 6 lower than that of “slow”, but the true "
            "difference may be anything from −42 to +31 (95 % interval; 30 seeds each).",
        ),
        (
            [OPEN, BETTER, WORSE],
            "Compared with “slow” in mean final return (30 seeds each; corrected for 3 comparisons): "
            "“fast” is better by 45 (12 to 80); “none” is worse by 45 (12 to 80). "
            "Undecided: “other”, difference −6 (−42 to +31).",
        ),
        (
            [OPEN, ("third", OPEN[1])],
            "Undecided: no variant is shown to be better or worse than “slow” in mean final return (30 seeds each; "
            "corrected for 2 comparisons): “other”, difference −6 (−42 to +31); "
            "“third”, difference −6 (−42 to +31).",
        ),
        (
            [OPEN, BETTER, ("third", OPEN[1]), ("fourth", OPEN[1]), WORSE],
            "Compared with “slow” in mean final return (30 seeds each; corrected for 5 comparisons): "
            "“fast” is better by 45 (12 to 80); “none” is worse by 45 (12 to 80). "
            "Undecided: “other”, “third” and “fourth”.",
        ),
        (
            [OPEN] * 5,
            "Undecided: no variant is shown to be better or worse than “slow” in mean final return (30 seeds each; "
            "corrected for 5 comparisons).",
        ),
    ],
)
def test_what_was_decided_and_what_was_not(rows, sentence):
    assert answer(comparison(*rows)) == sentence


def verb(expected):
    return "be needed to" if expected.startswith("At least") else "probably"


@pytest.mark.parametrize(("needed", "expected"), [
    (442.3, "About 450 fresh seeds"), (29, "About 29 fresh seeds"), (7156.6, "About 7,200 fresh seeds"),
    (44_727.0, "At least about 10,000 fresh seeds"),
])  # fmt: skip
def test_the_seeds_that_would_decide_are_an_estimate_to_two_digits(needed, expected):
    row = {**OPEN[1], "reason": "spread", "seeds_needed": needed}
    for rows in ([("other", row)], [("other", row), BETTER]):
        assert answer(comparison(*rows)).endswith(f". {expected} per variant would {verb(expected)} decide.")


@pytest.mark.parametrize(("needed", "expected"), [
    ((110, 442.3, 110), "About 110 to 450 fresh seeds"), ((110, 44_727, 200), "At least about 110 fresh seeds"),
    ((33, 33, 33), "About 33 fresh seeds"), ((float("inf"), 50, 60), "About 50 to 60 fresh seeds"),
])  # fmt: skip
def test_several_undecided_variants_share_an_estimate(needed, expected):
    rows = [(name, {**OPEN[1], "seeds_needed": number}) for name, number in zip("abc", needed, strict=True)]
    for many in (rows, [*rows, BETTER, WORSE], [*rows, *rows]):
        depending = ", depending on the variant," if " to " in expected else ""
        assert answer(comparison(*many)).endswith(f". {expected} per variant{depending} would {verb(expected)} decide.")


def test_no_estimate_is_given_if_no_number_of_seeds_would_decide():
    row = {**OPEN[1], "reason": "spread", "seeds_needed": float("inf")}
    assert "About" not in answer(comparison(("other", row)))


def test_rare_failures_are_given_as_the_reason():
    row = {"difference": 30.0, "low": 22.0, "high": 38.0, "verdict": "undecided", "reason": "rare failures"}
    few = {"seeds": 10, "control_seeds": 10, "seeds_needed": 38.2}
    assert answer(comparison(("a", {**row, **few}))) == (
        "Undecided: in these runs, the mean final return of “a” is 30 higher than that of “slow” (95 % interval +22 to "
        "+38; 10 seeds each). 10 seeds are too few for a verdict: failures too rare to have shown up so far could "
        "cancel the difference. About 39 fresh seeds per variant would probably decide."
    )
    rows = [(name, row) for name in "ab"] + [(name, OPEN[1]) for name in ("c", "d")] + [BETTER]
    assert answer(comparison(*rows)).endswith(
        "Undecided: “a”, “b”, “c” and “d”. 30 seeds are too few for a verdict on “a” and “b”: failures too rare to "
        "have shown up so far could cancel the difference."
    )


def test_seeds_and_runs_left_out_are_stated():
    row = ("fast", {**BETTER[1], "seeds": 28, "missing": 2})
    assert "(95 % interval 12 to 80; 28 to 30 seeds, 2 runs without a score left out)" in answer(comparison(row))
    row = ("other", {**OPEN[1], "control_seeds": 3, "missing": 1})
    assert "(95 % interval; 3 to 30 seeds, " in answer(comparison(row))
    assert "1 run without a score left out" in answer(comparison(row))
    rows = [
        (name, {**OPEN[1], "missing": number, "control_missing": 1})
        for name, number in zip("abc", (1, 0, 2), strict=True)
    ]
    assert "4 runs without a score left out" in answer(comparison(*rows))  # the control's counts once


def test_only_equal_means_are_the_same():
    row = {**OPEN[1], "difference": -0.3}
    assert "of “b” is about the same as that of “slow”, but" in answer(comparison(("b", row)))
    assert "of “b” is the same as that of “slow”, but" in answer(comparison(("b", {**row, "difference": 0.0})))


def test_one_seed_has_no_spread_and_so_no_estimate_of_the_seeds_that_would_decide():
    scores = pandas.DataFrame({"variant": ["a", "b"], "seed": 0, "final_return": [100.0, 300.0]})
    assert answer(compare(scores, bounds=(0, 500))) == (
        "Undecided: in these runs, the mean final return of “b” is 200 higher than that of “a”, but the true "
        "difference may be anything from −500 to +500 (95 % interval; 1 seed each)."
    )
    more = pandas.concat([scores, scores[:1].assign(seed=1)])
    assert "1 to 2 seeds)." in answer(compare(more, bounds=(0, 500)))


def test_a_corrected_interval_has_its_own_level():
    assert "(97.5 % interval" in answer(comparison(("fast", {**BETTER[1], "level": 0.975})))


@pytest.mark.parametrize(
    ("low", "high", "number"), [(0.030, 0.060, "0.045"), (1.1, 7.9, "4.5"), (30_000, 60_000, "45,000")]
)
def test_numbers_have_the_digits_that_their_interval_leaves(low, high, number):
    row = {"difference": (low + high) / 2, "low": low, "high": high, "verdict": "better"}
    assert f"is {number} higher (" in answer(comparison(("fast", row)))


def test_the_answer_for_real_scores(final_returns):
    table = compare(final_returns.query("variant != 'cartpole'"), control="default")
    assert answer(table).startswith(
        "Undecided: in these runs, the mean final return of “tutorial” is 6 higher than that of “default”, but the "
    )
    lower = compare(final_returns, control="cartpole", higher_is_better=False)
    assert "“default” is better by 314" in answer(lower)


def test_variants_without_spread_may_differ_as_far_as_their_means_are_uncertain():
    runs = pandas.DataFrame({"variant": ["a"] * 30 + ["b"] * 30, "final_return": 500.0, "task": "CartPole-v1"})
    assert answer(compare(runs)) == (
        "Undecided: in these runs, the mean final return of “b” is the same as that of “a”, but the true difference "
        "may be anything from −34 to +35 (95 % interval; 30 seeds each)."
    )
    assert "“a” (95 % interval unknown; 30 seeds each)." in answer(compare(runs.assign(task="Mine-v0")))


def test_a_width_due_to_rounding_is_ignored_and_zero_has_no_sign():
    row = ("a", {"difference": -1e-14, "low": -1e-14, "high": 2e-14, "verdict": "undecided"})
    assert "of “a” is about the same as that of “slow”, but" in answer(comparison(row))
    assert "from 0.0 to 0.0 (95" in answer(comparison(row))
    row = ("a", {"difference": 123.4, "low": 123.4, "high": 123.4 + 1e-12, "verdict": "better"})
    assert "is 123.4 higher (" in answer(comparison(row))


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_has_one_name_in_sentences_and_figures(metric):
    said = answer(comparison(("fast", {**BETTER[1], "metric": metric})))
    assert f": its mean {METRICS[metric].title} is 45 higher" in said


@pytest.mark.parametrize(("metric", "expected"), [
    ("final_return", "final return"), ("mean_return", "return over the whole run"), ("return_mean", "return"),
    ("last_100", "training return"), ("my_score", "my score"),
])  # fmt: skip
def test_a_metric_is_named_in_words(metric, expected):
    assert f": its mean {expected} is 45 higher" in answer(comparison(("fast", {**BETTER[1], "metric": metric})))
