"""The sentence says what the table says, and no more."""

import pandas
import pytest

from dqn_lab.analysis import answer, compare


def comparison(*rows):
    plain = {"control": "slow", "metric": "final_return", "seeds": 30, "control_seeds": 30, "missing": 0, "level": 0.95}
    return pandas.DataFrame([{"variant": name, **plain, **row} for name, row in rows])


BETTER = ("fast", {"difference": 45.2, "low": 12.1, "high": 80.4, "verdict": "better"})
WORSE = ("none", {"difference": -45.2, "low": -80.4, "high": -12.1, "verdict": "worse"})
OPEN = ("other", {"difference": -5.84, "low": -42.0, "high": 30.6, "verdict": "undecided"})


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([BETTER], "“fast” beats “slow” by 45 in mean final_return (95 % interval 12 to 80; 30 seeds each)."),
        ([WORSE], "“none” loses to “slow” by 45 in mean final_return (95 % interval 12 to 80; 30 seeds each)."),
        (
            [OPEN],
            "Undecided at 30 seeds: “other” against “slow”, −6 in mean final_return "
            "(95 % interval −42 to 31; 30 seeds each).",
        ),
        (
            [OPEN, BETTER, WORSE],
            "Against “slow” in mean final_return (30 seeds each; intervals corrected for 3 comparisons): "
            "“fast” is better by 45 (12 to 80); “none” is worse by 45 (12 to 80); "
            "“other” is undecided, −6 (−42 to 31).",
        ),
        (
            [OPEN, OPEN],
            "Undecided at 30 seeds against “slow” in mean final_return (30 seeds each; intervals corrected for 2 "
            "comparisons): “other”, −6 (−42 to 31); “other”, −6 (−42 to 31).",
        ),
        (
            [OPEN, BETTER, ("third", OPEN[1]), ("fourth", OPEN[1]), WORSE],
            "Against “slow” in mean final_return (30 seeds each; intervals corrected for 5 comparisons): "
            "“fast” is better by 45 (12 to 80); “none” is worse by 45 (12 to 80); "
            "“other”, “third” and “fourth” are undecided.",
        ),
    ],
)
def test_what_was_decided_and_what_was_not(rows, sentence):
    assert answer(comparison(*rows)) == sentence


@pytest.mark.parametrize(("needed", "said"), [
    (442.3, "an estimated 450 seeds"), (29, "an estimated 29 seeds"), (7156.6, "an estimated 7,200 seeds"),
    (44_727.0, "an estimated 10,000 or more seeds"),
])  # fmt: skip
def test_the_seeds_that_would_decide_are_an_estimate_to_two_digits(needed, said):
    row = {**OPEN[1], "reason": "spread", "seeds_needed": needed}
    assert answer(comparison(("other", row))).endswith(f"31; 30 seeds each); {said} would decide.")
    assert f"“other” is undecided, −6 (−42 to 31; {said} would decide)" in answer(comparison(("other", row), BETTER))


@pytest.mark.parametrize(("needed", "said"), [
    ((110, 442.3, 110), "an estimated 110 to 450 seeds"), ((110, 44_727, 200), "an estimated 110 or more seeds"),
    ((33, 33, 33), "an estimated 33 seeds"), ((float("inf"), 50, 60), "an estimated 50 to 60 seeds"),
])  # fmt: skip
def test_many_undecided_variants_share_an_estimate(needed, said):
    rows = [(name, {**OPEN[1], "seeds_needed": number}) for name, number in zip("abc", needed, strict=True)]
    sentence = answer(comparison(*rows, BETTER, WORSE))
    assert sentence.endswith(f"; “a”, “b” and “c” are undecided ({said} would decide).")
    five = answer(comparison(*rows, *rows))
    assert five.endswith(f"comparisons): “a”, “b”, “c”, “a”, “b” and “c” ({said} would decide).")


def test_no_estimate_is_given_if_no_number_of_seeds_would_decide():
    row = {**OPEN[1], "reason": "spread", "seeds_needed": float("inf")}
    assert "estimated" not in answer(comparison(("other", row)))


def test_rare_failures_are_given_as_the_reason():
    row = {"difference": 30.0, "low": 22.0, "high": 38.0, "verdict": "undecided", "reason": "rare failures"}
    few = {"seeds": 10, "control_seeds": 10, "seeds_needed": 38.2}
    assert answer(comparison(("a", {**row, **few}))) == (
        "Undecided at 10 seeds: “a” against “slow”, +30 in mean final_return (95 % interval 22 to 38; 10 seeds each): "
        "too few seeds to rule out rare failures; an estimated 39 seeds would decide."
    )
    rows = [(name, row) for name in "ab"] + [(name, OPEN[1]) for name in ("c", "d")] + [BETTER]
    assert answer(comparison(*rows)).endswith(
        "“a” and “b” are undecided: too few seeds to rule out rare failures; “c” and “d” are undecided."
    )


def test_seeds_and_runs_left_out_are_said():
    row = ("fast", {**BETTER[1], "seeds": 28, "missing": 2})
    assert "(95 % interval 12 to 80; 28 to 30 seeds, 2 runs without a score left out)" in answer(comparison(row))
    row = ("other", {**OPEN[1], "control_seeds": 3, "missing": 1})
    assert answer(comparison(row)).startswith("Undecided at 3 seeds: ")
    assert "1 run without a score left out" in answer(comparison(row))


def test_a_corrected_interval_has_its_own_level():
    assert "(97.5 % interval" in answer(comparison(("fast", {**BETTER[1], "level": 0.975})))


@pytest.mark.parametrize(
    ("low", "high", "number"), [(0.030, 0.060, "0.045"), (1.1, 7.9, "4.5"), (30_000, 60_000, "45,000")]
)
def test_numbers_have_the_digits_that_their_interval_leaves(low, high, number):
    row = {"difference": (low + high) / 2, "low": low, "high": high, "verdict": "better"}
    assert f"by {number} in" in answer(comparison(("fast", row)))


def test_a_sentence_comes_out_of_real_scores(final_returns):
    table = compare(final_returns.query("variant != 'cartpole'"), control="default")
    assert answer(table).startswith(
        "Undecided at 100 seeds: “tutorial” against “default”, +6 in mean final_return (95 % "
    )
    lower = compare(final_returns, control="cartpole", higher_is_better=False)
    assert "“default” is better by 314" in answer(lower)


def test_a_width_due_to_rounding_is_ignored_and_zero_has_no_sign():
    row = ("a", {"difference": -1e-14, "low": -1e-14, "high": 2e-14, "verdict": "undecided"})
    assert "“a” against “slow”, +0.0 in mean" in answer(comparison(row))
    row = ("a", {"difference": 123.4, "low": 123.4, "high": 123.4 + 1e-12, "verdict": "better"})
    assert "by 123.4 in mean" in answer(comparison(row))
