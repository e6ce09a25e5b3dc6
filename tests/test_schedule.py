from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dqn_lab.schedule import NEVER, Constant, Every, Exponential, Linear, Progress, rate

UNITS = st.sampled_from(["steps", "episodes", "updates"])
EPSILONS = st.floats(0, 1)
FIELDS = {"steps": "step", "episodes": "episode", "updates": "updates"}


def progress(unit: str, count: int, others: int = 0) -> Progress:
    """Returns a progress with `count` of the unit and `others` of the two others."""
    counts = {"steps": others, "episodes": others, "updates": others, unit: count}
    return Progress(counts["steps"], counts["episodes"], counts["updates"])


def test_progress_counts_each_unit():
    done = Progress(step=3, episode=2, updates=1)
    assert [done.count("steps"), done.count("episodes"), done.count("updates")] == [3, 2, 1]


@given(
    interval=st.integers(1, 12),
    first=st.none() | st.integers(0, 30),
    start=st.integers(0, 60),
    stride=st.integers(0, 40),
    unit=UNITS,
    others=st.integers(0, 9),
)
def test_every_is_due_where_enumeration_finds_an_occasion(interval, first, start, stride, unit, others):
    occasions = range(interval if first is None else first, 200, interval)
    expected = any(start < occasion <= start + stride for occasion in occasions)
    assert Every(interval, unit, first).due(progress(unit, start), progress(unit, start + stride, others)) is expected


@given(
    interval=st.integers(1, 12),
    first=st.none() | st.integers(0, 30),
    start=st.integers(0, 60),
    stride=st.integers(0, 40),
    unit=UNITS,
)
def test_every_counts_the_occasions_of_a_stride_and_names_the_next(interval, first, start, stride, unit):
    every = Every(interval, unit, first)
    occasions = range(interval if first is None else first, 200, interval)
    before, after = progress(unit, start), progress(unit, start + stride)
    assert every.count(before, after) == sum(start < occasion <= start + stride for occasion in occasions)
    following = next(occasion for occasion in occasions if occasion > start)
    assert every.next(before).count(unit) == following
    assert every.next(before)._replace(**{FIELDS[unit]: 0}) == NEVER._replace(**{FIELDS[unit]: 0})


def test_every_counts_from_its_first_occasion():
    every = Every(4, "steps", first=10)
    assert [n for n in range(1, 20) if every.due(Progress(n - 1), Progress(n))] == [10, 14, 18]


def test_a_constant_stays():
    assert [Constant(0.3)(Progress(step)) for step in (0, 1, 10**9)] == [0.3, 0.3, 0.3]


def test_a_line_goes_down_by_equal_parts_and_stays():
    line = Linear(1.0, 0.2, 4, "episodes")  # 0.8 in four parts of 0.2
    assert [line(Progress(episode=n)) for n in range(6)] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2])


def test_a_clamped_product_stops_at_its_end_exactly():
    halving = Exponential(1.0, 0.2, 0.5, "steps")  # 1, ½, ¼, then ⅛ < 0.2
    assert [halving(Progress(n)) for n in range(5)] == [1.0, 0.5, 0.25, 0.2, 0.2]


def test_an_unclamped_product_goes_once_below_its_end():
    halving = Exponential(1.0, 0.2, 0.5, "steps", clamp=False)  # ¼ > 0.2 is halved once more, ⅛ is not
    assert [halving(Progress(n)) for n in range(6)] == [1.0, 0.5, 0.25, 0.125, 0.125, 0.125]


def test_an_unclamped_product_follows_the_notebooks_loop():
    schedule, epsilon = Exponential(1.0, 0.01, 0.995, "episodes", clamp=False), 1.0
    for episode in range(1200):
        assert schedule(Progress(episode=episode)) == pytest.approx(epsilon, rel=1e-9)
        if epsilon > 0.01:
            epsilon *= 0.995


@given(start=st.floats(0.1, 1), decay=st.floats(0.3, 0.99), products=st.integers(0, 60), beyond=st.integers(0, 50))
def test_an_unclamped_product_that_meets_its_end_is_not_multiplied_again(start, decay, products, beyond):
    end = start * decay**products
    schedule = Exponential(start, end, decay, "steps", clamp=False)
    assert schedule(Progress(products + beyond)) == pytest.approx(end, rel=1e-9)


@given(start=EPSILONS, end=EPSILONS, duration=st.integers(1, 50), unit=UNITS)
def test_a_line_is_monotone_with_exact_ends(start, end, duration, unit):
    values = [Linear(start, end, duration, unit)(progress(unit, n)) for n in range(duration + 3)]
    assert values[0] == start
    assert values[duration:] == [end] * 3
    assert values == sorted(values, reverse=start > end)


@given(start=EPSILONS, end=st.floats(0.001, 1), decay=st.floats(0.01, 0.99), unit=UNITS, clamp=st.booleans())
def test_a_falling_product_is_monotone_with_exact_ends(start, end, decay, unit, clamp):
    assume(start > end)
    schedule = Exponential(start, end, decay, unit, clamp)
    values = [schedule(progress(unit, n)) for n in range(100)]
    assert values[0] == start
    assert values == sorted(values, reverse=True)
    last = schedule(progress(unit, 10**6))
    assert last == end if clamp else decay * end * (1 - 1e-9) <= last <= end


def test_a_line_ends_exactly_at_its_end():
    """1 + (0.05 − 1) · 10/10 is 0.05000000000000004 in floating point."""
    assert Linear(1.0, 0.05, 10, "steps")(Progress(10)) == 0.05


def test_an_unclamped_product_at_its_end_stays_there():
    """Also if it underflows to an end of 0, or if it starts at its end."""
    assert Exponential(1.0, 0.0, 0.5, "steps", clamp=False)(Progress(10**6)) == 0.0
    assert Exponential(0.5, 0.5, 1.0, "steps", clamp=False)(Progress(3)) == 0.5


def test_a_rate_is_a_number_or_a_line():
    assert rate(0.25) == Constant(0.25)
    ramp = {"start": 0.5, "end": 0.1, "duration": 4, "unit": "updates"}
    assert rate(ramp) == Linear(0.5, 0.1, 4, "updates")


@pytest.mark.parametrize("schedule", [Linear(1.0, 0.0, 10, "updates"), Exponential(1.0, 0.01, 0.9, "updates")])
def test_a_schedule_reads_its_own_unit_only(schedule):
    assert schedule(Progress(step=99, episode=99, updates=5)) == schedule(Progress(updates=5)) < 1.0
    assert schedule(Progress(step=99, episode=99)) == 1.0
