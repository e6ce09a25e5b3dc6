"""Intervals have their nominal coverage: by hand, against known intervals, and by counting."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from dqn_lab.analysis.intervals import (
    MANY,
    Draws,
    draw,
    extent,
    interval,
    mean_interval,
    p_value,
    unseen_rate,
    weight_blocks,
    weights,
    wilson,
)

DATA = Path(__file__).parent / "data"
RLIABLE = json.loads((DATA / "rliable.json").read_text())
RETURNS = json.loads((DATA / "final_returns.json").read_text())
SEEDS = 30
BOUNDS = (0.0, 500.0)
scores_of_seeds = st.lists(st.floats(0, 500), min_size=1, max_size=10).map(np.array)


def bimodal(rate, perfect):
    """Returns a fine grid of quantiles: a share `rate` near 500, or at 500, the rest at 50 to 400."""
    number = 20_000
    good = round(rate * number)
    high = np.full(good, 500.0) if perfect else np.linspace(480, 500, good)
    return np.concatenate([np.linspace(50, 400, number - good), high])


POPULATIONS = {
    "near": bimodal(0.85, False),
    "exact": bimodal(0.85, True),
    "70 %": bimodal(0.7, True),
    "halves": bimodal(0.5, False),
    **{name: np.array(values) for name, values in RETURNS.items()},
}


def samples(population, rng):
    return rng.choice(POPULATIONS[population], SEEDS)


def draws_of(scores, rng, bounds=BOUNDS, num_draws=999):
    """Draws as `intervals.draw` does, but with new random numbers, so that repetitions are independent."""
    shape = np.array([0.5, *[1.0] * len(scores), 0.5])
    gamma = rng.standard_gamma(shape, (num_draws, len(scores) + 2))
    ends = np.array([bounds[0], *np.sort(scores), bounds[1]])
    return Draws(ends, lambda: [gamma / gamma.sum(axis=1, keepdims=True)])


def coverage(truth, estimate, repetitions, seed=0):
    """Computes how often the interval of `estimate(rng)`'s draws contains the truth."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(repetitions):
        low, high = interval(estimate(rng), 0.95)
        held += low - 1e-9 <= truth <= high + 1e-9
    return held / repetitions


def iqm_of(population):
    """Computes the mean of the middle half of a population."""
    ordered = np.sort(population)
    edges = np.linspace(0, 1, len(ordered) + 1)
    share = np.clip(edges[1:], 0.25, 0.75) - np.clip(edges[:-1], 0.25, 0.75)
    return float(2 * share @ ordered)


def improvement_of(first, second):
    """Computes the probability that a value of `first` is greater, ties counted half."""
    ordered = np.sort(second)
    below, upto = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    return float((below + upto).mean() / 2 / len(ordered))


@pytest.mark.parametrize(("successes", "number"), [(0, 30), (3, 30), (15, 30), (30, 30)])
def test_the_interval_of_the_mean_of_zeros_and_ones_is_jeffreys(successes, number):
    """Beta(k + ½, n − k + ½), within the error of 9,999 draws."""
    scores = np.array([1.0] * successes + [0.0] * (number - successes))
    expected = stats.beta.ppf([0.025, 0.975], successes + 0.5, number - successes + 0.5)
    assert interval(draw(scores, (0, 1)).mean(), 0.95) == pytest.approx(expected, abs=0.006)


def test_weighted_statistics_by_hand():
    """Weights ⅛, ¼, ½, ⅛ on 0, 4, 8, 16: the middle half has ⅛ of 4 and ⅜ of 8, so its mean is 2(½ + 3)."""
    first = draw(np.array([8.0, 4.0]), (0.0, 16.0))._replace(weights=lambda: [np.array([[0.125, 0.25, 0.5, 0.125]])])
    assert first.scores.tolist() == [0, 4, 8, 16]
    assert first.mean().tolist() == [0 + 1 + 4 + 2]
    assert first.iqm().tolist() == [7.0]
    other = Draws(np.array([0.0, 0.0, 8.0, 8.0]), lambda: [np.array([[0.25, 0.25, 0.25, 0.25]])])
    # 0 ties with half of the others; 4 beats half; 8 beats half, ties with half; 16 beats all
    assert first.improvement(other).tolist() == [0.125 * 0.25 + 0.25 * 0.5 + 0.5 * 0.75 + 0.125]


def test_draws_in_blocks_equal_the_draws_in_one_call():
    number = MANY + 100
    blocks = list(weight_blocks(number, "control", 999))
    assert len(blocks) > 1
    assert np.array_equal(np.concatenate(blocks), weights(number, "control", 999))


@pytest.mark.parametrize(("successes", "number"), [(0, 1), (1, 1), (3, 30), (97, 100)])
def test_a_proportion_has_wilsons_interval(successes, number):
    expected = proportion_confint(successes, number, method="wilson")
    assert wilson(successes, number, 0.95) == pytest.approx(expected, abs=1e-12)


def test_ends_are_order_statistics_and_agree_with_the_p_value():
    """Of 99 draws a 90 % interval spans the 5th to the 95th."""
    draws = np.arange(1.0, 100.0)
    assert interval(draws, 0.9) == (5.0, 95.0)
    assert p_value(draws - 4.5) == 2 * 5 / 100  # four are below zero
    assert interval(draws - 4.5, 0.9)[0] > 0
    assert p_value(draws - 5.5) == 2 * 6 / 100 * 1.0
    assert interval(draws - 5.5, 0.9)[0] < 0
    assert p_value(np.zeros(99)) == 1.0


@given(st.lists(st.integers(-50, 50), min_size=99, max_size=99), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.98]))
def test_an_interval_excludes_zero_exactly_if_the_p_value_is_significant(draws, level):
    low, high = interval(np.array(draws, float), level)
    assert (low > 0 or high < 0) == (p_value(np.array(draws, float)) <= 1 - level + 1e-12)


@given(scores_of_seeds, st.randoms())
def test_the_order_of_the_scores_does_not_matter(scores, random):
    shuffled = np.array(random.sample(list(scores), len(scores)))
    for bounds in ((0.0, 500.0), None):
        np.testing.assert_array_equal(draw(shuffled, bounds).mean(), draw(scores, bounds).mean())


@given(scores_of_seeds)
def test_intervals_stay_within_the_bounds_and_widen_with_the_level(scores):
    draws = draw(scores, (0.0, 500.0)).mean()
    narrow, wide = interval(draws, 0.9), interval(draws, 0.99)
    assert -1e-9 <= wide[0] <= narrow[0] <= narrow[1] <= wide[1] <= 500 + 1e-9


def test_one_score_without_known_bounds_has_no_interval():
    assert all(np.isnan(interval(draw(np.array([7.0]), None).mean(), 0.95)))
    assert all(np.isnan(extent(np.array([7.0]))))
    assert np.isnan(p_value(draw(np.array([7.0]), None).mean()))


def test_a_few_equal_scores_without_known_bounds_have_no_interval():
    assert all(np.isnan(interval(draw(np.full(9, 7.0), None).mean(), 0.95)))
    np.testing.assert_allclose(interval(draw(np.full(10, 7.0), None).mean(), 0.95), 7)
    low, high = interval(draw(np.full(9, 7.0), (0.0, 10.0)).mean(), 0.95)
    assert low < 7 < high


@given(scores_of_seeds, st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_of_a_mean_holds_the_mean_within_the_bounds(scores, level):
    low, high = mean_interval(draw(scores, BOUNDS), BOUNDS, level)
    assert 0 <= low <= scores.mean() + 1e-9
    assert scores.mean() - 1e-9 <= high <= 500


def test_thirty_perfect_runs_have_a_perfect_mean_and_may_yet_fail():
    """Half a failure in 31 runs is added: by Beta(½, 30½), up to 8 % of runs may fail."""
    low, high = mean_interval(draw(np.full(30, 500.0), BOUNDS), BOUNDS, 0.95)
    assert high == 500
    assert low == pytest.approx(500 * stats.beta.ppf(0.025, 30.5, 0.5), abs=5)


def test_far_from_bounds_the_interval_of_a_mean_is_at_least_students():
    scores = np.random.default_rng(0).normal(250, 5, 30)
    expected = stats.t.interval(0.95, 29, scores.mean(), stats.sem(scores))
    low, high = mean_interval(draw(scores, None), None, 0.95)
    assert low <= expected[0] + 1e-9
    assert high >= expected[1] - 1e-9


def test_one_known_bound_is_used_and_the_other_is_estimated():
    scores = np.array([1.0, 2.0, 6.0])
    assert draw(scores, (0.0, np.inf)).scores.tolist() == [0.0, 1.0, 2.0, 6.0, 16.0]  # 6 + twice the range
    many = np.linspace(0, 1, 29)
    assert extent(many) == pytest.approx((-1.5 * many.std(ddof=1), 1 + 1.5 * many.std(ddof=1)))


@pytest.mark.parametrize(("number", "rate"), [(1, 0.95), (10, 0.2589), (29, 0.0981), (100, 0.0295)])
def test_the_rate_of_failures_that_n_seeds_may_have_missed(number, rate):
    assert unseen_rate(number) == pytest.approx(rate, abs=1e-4)


def test_variants_have_independent_draws_that_are_always_the_same():
    assert not np.array_equal(weights(5, "variant"), weights(5, "control"))
    np.testing.assert_array_equal(weights(5, "variant"), weights(5, "variant"))


@pytest.mark.parametrize("name", ["default", "tutorial"])
@pytest.mark.parametrize("statistic", ["mean", "iqm"])
def test_at_a_hundred_seeds_the_intervals_are_close_to_rliable(final_returns, name, statistic):
    """rliable's percentile bootstrap is reliable there; the ends agree to an eighth of its width."""
    scores = final_returns.query("variant == @name")["final_return"].to_numpy()
    ours = interval(getattr(draw(scores, (0, 500)), statistic)(), 0.95)
    theirs = RLIABLE[f"{statistic}_interval"][name]
    assert ours == pytest.approx(theirs, abs=(theirs[1] - theirs[0]) / 8)


@pytest.mark.parametrize("name", list(POPULATIONS))
def test_the_interval_of_the_mean_holds_at_thirty_seeds(name):
    """Nominal 95 %; 300 repetitions have a standard error of 1.3 %. The slow test has 2,000."""
    truth = POPULATIONS[name].mean()
    held = coverage(truth, lambda rng: draws_of(samples(name, rng), rng).mean(), 300)
    assert 0.92 <= held <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", list(POPULATIONS))
def test_coverage_of_the_mean_is_between_93_and_97_percent(name):
    truth = POPULATIONS[name].mean()
    held = coverage(truth, lambda rng: draws_of(samples(name, rng), rng).mean(), 2000)
    assert 0.93 <= held <= 0.97 + 0.005  # the standard error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["near", "70 %", "halves", "default", "tutorial"])
def test_coverage_of_the_interquartile_mean_is_between_93_and_97_percent(name):
    """If nearly all of the middle half is 500, coverage is 100 %: see `test_…_equals_the_bound_…`."""
    truth = iqm_of(POPULATIONS[name])
    held = coverage(truth, lambda rng: draws_of(samples(name, rng), rng).iqm(), 2000)
    assert 0.93 - 0.006 <= held <= 0.97 + 0.005


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [("near", "near"), ("near", "70 %"), ("cartpole", "default"), ("default", "tutorial"), ("halves", "default")],
)
@pytest.mark.parametrize("what", ["difference", "improvement"])
def test_coverage_of_a_comparison_is_between_93_and_97_percent(names, what):
    first, second = (POPULATIONS[name] for name in names)

    def difference(rng):
        one, other = (draws_of(samples(name, rng), rng) for name in names)
        return one.mean() - other.mean() if what == "difference" else one.improvement(other)

    truth = first.mean() - second.mean() if what == "difference" else improvement_of(first, second)
    assert 0.93 <= coverage(truth, difference, 2000) <= 0.97 + 0.005


def test_an_interquartile_mean_that_equals_the_bound_is_always_covered():
    truth = iqm_of(POPULATIONS["cartpole"])
    assert truth == 500.0
    assert coverage(truth, lambda rng: draws_of(samples("cartpole", rng), rng).iqm(), 100) == 1.0


def test_two_variants_that_rarely_fail_are_not_told_apart_by_chance():
    """Conservative: at most 5 wrong verdicts in 200, where 10 would be allowed."""

    def difference(rng):
        one, other = (draws_of(samples("cartpole", rng), rng).mean() for _ in range(2))
        return one - other

    assert coverage(0.0, difference, 200) > 0.97


def test_with_unknown_bounds_a_rare_failure_is_missed():
    """Intervals without bounds do not allow for outcomes that no run has shown."""

    def unknown(rng):
        scores = samples("cartpole", rng)
        return draws_of(scores, rng, extent(scores)).mean()

    assert coverage(POPULATIONS["cartpole"].mean(), unknown, 200) < 0.8
