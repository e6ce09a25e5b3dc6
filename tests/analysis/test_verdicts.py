"""Verdicts are given only if warranted: by hand, against enumeration, and by counting."""

import importlib.util
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dqn_lab.analysis import AnalysisError
from dqn_lab.analysis.intervals import NUM_DRAWS, draw, mean_interval
from dqn_lab.analysis.permutation import permute
from dqn_lab.analysis.verdicts import ENOUGH, FAR, MOST_DRAWS, REACH, draws_needed, judge, pair_up

BOUNDS = (0.0, 500.0)
samples = st.lists(st.sampled_from([0.0, 100.0, 480.0, 490.0, 495.5, 500.0]), min_size=2, max_size=12).map(np.array)


def load_benchmark():
    path = Path(__file__).parents[1] / "benchmarks" / "verdicts.py"
    spec = importlib.util.spec_from_file_location("verdicts_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = load_benchmark()


def test_the_permutation_test_agrees_with_full_enumeration():
    """Four against five: 126 arrangements, each sampled about eighty times."""
    first, second = np.array([1.0, 2.0, 4.0, 9.0]), np.array([3.0, 8.0, 11.0, 12.0, 20.0])
    together = np.concatenate([first, second])

    def studentised(chosen):
        one, other = together[list(chosen)], np.delete(together, list(chosen))
        return abs(one.mean() - other.mean()) / math.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))

    observed = studentised(range(4))
    sizes = [studentised(chosen) for chosen in itertools.combinations(range(9), 4)]
    found = permute(first, second, 9_999)
    assert found.statistic == pytest.approx(observed)
    assert found.p_value() == pytest.approx(np.mean([size >= observed - 1e-9 for size in sizes]), abs=0.015)


@settings(max_examples=100)
@given(samples, samples, st.sampled_from([0.5, 0.9, 0.95, 0.9875]))
def test_the_permutation_interval_excludes_zero_exactly_if_its_p_value_is_significant(first, second, level):
    found = permute(first, second, 199)
    assert (found.half_width(level) < abs(first.mean() - second.mean())) == (found.p_value() <= 1 - level + 1e-12)


def test_the_chance_of_missing_failures_by_hand():
    """Ten runs at 480 miss failures of rate 30 / 480, each of which costs 480, with probability (1 − 1/16)¹⁰."""
    better, worse = np.array([478.0, 482.0] * 5), np.array([448.0, 452.0] * 5)
    (pair,) = pair_up(worse, [better], BOUNDS)
    assert pair.p_unseen == pytest.approx((1 - 30 / 480) ** 10)
    assert pair_up(better, [worse], BOUNDS)[0].p_unseen == pair.p_unseen
    (far,) = pair_up(worse, [better], None)
    assert far.p_unseen == pytest.approx(max(0.0, 1 - 30 / (FAR * better.std(ddof=1))) ** 10)


def test_unseen_successes_of_the_worse_variant_count_too():
    better, worse = np.array([48.0, 52.0] * 5), np.array([18.0, 22.0] * 5)
    (pair,) = pair_up(worse, [better], BOUNDS)
    assert pair.p_unseen == pytest.approx((1 - 30 / 480) ** 10)


@pytest.mark.parametrize(("number", "cost"), [(ENOUGH - 1, 480.0), (ENOUGH, REACH * 2)])
def test_with_enough_seeds_a_failure_costs_at_most_its_reach(number, cost):
    spread = np.linspace(-1, 1, number) * 2 / np.linspace(-1, 1, number).std(ddof=1)
    (pair,) = pair_up(450 + spread, [480 + spread], BOUNDS)
    assert pair.cost(pair.better, number) == pytest.approx(cost)
    (pair,) = pair_up(np.zeros(number), [np.full(number, 10.0)], (0.0, 12.0))
    assert (pair.cost(pair.better, number), pair.cost(pair.worse, number)) == (10.0, 12.0)


@settings(max_examples=100)
@given(st.lists(samples, min_size=2, max_size=4), st.sampled_from([BOUNDS, (0.0, math.inf), None]))
def test_an_interval_contains_its_difference_and_excludes_zero_if_decided(variants, bounds):
    for found in judge(variants[0], variants[1:], bounds, num_draws=199):
        assert math.isnan(found.low) or found.low - 1e-9 <= found.difference <= found.high + 1e-9
        assert not found.decided or found.low > 0 or found.high < 0
        assert found.decided == (found.reason == "") == math.isnan(found.seeds_needed)
        assert found.p_value == max(found.p_seen, found.p_unseen)


@settings(max_examples=50)
@given(samples, samples)
def test_swapping_the_variants_negates_the_difference_and_keeps_the_p_values(first, second):
    """The two calls draw differently, so p_seen agrees only within its error; p_unseen is equal."""
    (one,), (other,) = judge(first, [second], BOUNDS, num_draws=999), judge(second, [first], BOUNDS, num_draws=999)
    assert one.difference == -other.difference
    assert one.p_unseen == other.p_unseen
    assert one.p_seen == pytest.approx(other.p_seen, abs=0.1)


def test_a_clear_difference_of_few_seeds_waits_for_rare_failures():
    rng = np.random.default_rng(0)
    better, worse = rng.normal(480, 8, 10), rng.normal(450, 8, 10)
    (found,) = judge(worse, [better], BOUNDS)
    assert (found.decided, found.reason) == (False, "rare failures")
    assert found.low > 0  # the interval covers only what was seen
    assert ENOUGH <= found.seeds_needed < 100
    (found,) = judge(np.tile(worse, 3), [np.tile(better, 3)], BOUNDS)
    assert found.decided


def test_three_seeds_have_too_few_arrangements():
    (found,) = judge(np.zeros(3), [np.full(3, 500.0)], BOUNDS)
    assert not found.decided
    assert judge(np.zeros(5), [np.full(5, 500.0)], BOUNDS)[0].decided


def test_clear_differences_are_decided_however_many_there_are():
    """Of 300, Holm's first level is 1 in 6,000; with 9,999 draws no p-value is below 1 in 5,000."""
    spread = np.linspace(-1, 1, 30)
    found = judge(spread, [100 + spread] * 300, (-1000.0, 1000.0))
    assert all(one.decided and 0 < one.low < one.high for one in found)
    assert judge(spread, [spread] * 300, (-1000.0, 1000.0))[0].high < 1000


def test_a_level_that_no_number_of_draws_can_decide_is_refused():
    assert [draws_needed(number, 0.95) for number in (1, 49, 300, 2500)] == [NUM_DRAWS, NUM_DRAWS, 60_000, MOST_DRAWS]
    with pytest.raises(
        AnalysisError, match=r"^level=0\.95: too high for 2,501 comparisons; it can be at most 0\.94998"
    ):
        draws_needed(2501, 0.95)


def test_few_identical_runs_decide_nothing_if_bounds_are_unknown():
    for number, decided in ((10, False), (30, True)):
        (found,) = judge(np.full(number, 400.0), [np.full(number, 500.0)])
        assert found.decided is decided
    assert judge(np.full(30, 500.0), [np.full(30, 500.0)])[0].p_value == 1.0


@pytest.mark.parametrize("number", [3, 10, 30, 100])
def test_an_interval_of_a_difference_without_spread_is_about_as_wide_as_those_of_the_means(number):
    """Thirty runs at 500 have a mean of 461 to 500; two such means are independent. A run at 499 changes little."""
    perfect, other = np.full(number, 500.0), np.array([499.0] + [500.0] * (number - 1))
    mean_low, _ = mean_interval(draw(perfect, BOUNDS), BOUNDS, 0.95)
    (found,) = judge(perfect, [perfect], BOUNDS)
    assert (found.decided, found.p_value, found.reason) == (False, 1.0, "spread")
    for end in (-found.low, found.high):
        assert 0.8 * (500 - mean_low) < end <= 500 - mean_low
    for control, variant in ((perfect, other), (other, perfect)):
        (near,) = judge(control, [variant], BOUNDS)
        assert (near.low, near.high) == pytest.approx((found.low, found.high), abs=1)


@pytest.mark.parametrize("bounds", [None, (-math.inf, 500.0)])
def test_equal_scores_say_nothing_about_unknown_bounds(bounds):
    (found,) = judge(np.full(30, 500.0), [np.full(30, 500.0)], bounds)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_one_score_is_undecided():
    (found,) = judge(np.array([1.0]), [np.array([2.0])])
    assert (found.decided, math.isnan(found.low), math.isnan(found.high)) == (False, True, True)
    (found,) = judge(np.array([1.0]), [np.array([2.0])], BOUNDS)
    assert (found.decided, found.low, found.high) == (False, -500.0, 500.0)
    assert math.isnan(found.seeds_needed)


def test_the_seeds_needed_are_those_of_the_normal_formula():
    """(1.960 + 0.842)² · 2 · 60² / 20² = 141.3."""
    values = np.linspace(-1, 1, 30)
    spread = 60 * values / values.std(ddof=1)
    (found,) = judge(200 + spread, [220 + spread], BOUNDS)
    assert found.reason == "spread"
    assert found.seeds_needed == pytest.approx(141.3, abs=0.1)


EASY = ["95 % at 480–500, 5 % at 50–400", "`default`, resampled", "0 or 500", "exponential (60)"]


@pytest.mark.parametrize("name", EASY)
def test_five_equal_variants_are_rarely_told_apart(name):
    """At most 5 % of verdicts are wrong, 3 of 60 simulations; 7 or more have probability 1/30."""
    population = BENCHMARK.POPULATIONS[name]
    for bounds in (BOUNDS, None):
        assert BENCHMARK.error(population, population, 4, 30, bounds, 60) <= 100 * 6 / 60


@pytest.mark.parametrize("number", [5, 10, 30])
def test_unseen_failures_do_not_lead_to_a_verdict(number):
    """Four variants with the control's mean fail in 15 % of runs; an earlier rule erred in 60 % at ten seeds."""
    control, other = BENCHMARK.UNEQUAL["normal (sd 15) against 85 % at 480–500, 15 % at 50–400"]
    for bounds in (BOUNDS, None):
        assert BENCHMARK.error(control, other, 4, number, bounds, 60) <= 100 * 6 / 60


@pytest.mark.parametrize("name", ["uniform, 490–500", "normal (490, 3)", "95 % at 480–500, 5 % at 50–400"])
@pytest.mark.parametrize("number", [10, 30])
def test_intervals_of_means_hold_near_a_bound(name, number):
    assert BENCHMARK.coverage(BENCHMARK.POPULATIONS[name], number, BOUNDS, 200) >= 91  # 93 less a standard error


@pytest.mark.parametrize("name", BENCHMARK.PAIRS)
def test_obvious_differences_are_decided_at_thirty_seeds(name):
    better, worse, deviation, bounds = BENCHMARK.PAIRS[name]
    draws = [lambda rng, size, mean=mean: rng.normal(mean, deviation, size) for mean in (better, worse)]
    assert BENCHMARK.power(*draws, 30, bounds, 40) >= 100 * 36 / 40
