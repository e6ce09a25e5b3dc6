"""Decides which of two variants has the greater mean, if the runs suffice to decide.

A verdict needs three small p-values, and Holm's procedure corrects the largest of the three for the number of
comparisons (Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure",
https://www.jstor.org/stable/4615733). `README.md` in this directory has the measured error rates and power.

1. *Chance*: the permutation test of `permutation.py`.
2. *Observed scores*: the Bayesian bootstrap of `intervals.py`, within the range of the scores of all compared
   variants, extended by a quarter at each end, because a failure seen in one variant may also occur in another.
3. *Unseen scores*: all n runs miss failures of rate r with probability (1 − r)ⁿ. Failures that cost d each cancel a
   difference g only if their rate is at least g / d, so the probability that all runs of the better variant missed
   them is at most (1 − g / d)ⁿ. The same holds for successes that the worse variant has not shown. How much a failure
   costs is an assumption: see `Pair.cost`.

The interval of the difference is based on the first two, and so covers only observed scores. If these do not show a
difference, it is also at least as wide as a bootstrap within the known bounds, as for the intervals of the means: else
variants that are all but perfect would differ by far less than their means are uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dqn_lab.analysis._errors import AnalysisError
from dqn_lab.analysis.intervals import CONTROL, ENOUGH, NUM_DRAWS, VARIANT, Bounds, Floats, draw, interval, p_value
from dqn_lab.analysis.permutation import Permutation, permute

STRETCH = 0.25  # how far scores may lie beyond the observed range, as a share of that range
REACH = 12.0  # standard deviations that an unseen failure may cost, with ENOUGH seeds or more
FAR = 20.0  # the same with fewer seeds, if no bound is known
RANK = 5  # draws beyond each end of the narrowest corrected interval, if that needs no more than MOST_DRAWS
MOST_DRAWS = 99_999
POWER = 0.8  # the power of a comparison with the estimated number of seeds
UNBOUNDED: Bounds = (-np.inf, np.inf)
Reason = Literal["", "spread", "rare failures"]


class Judgement(NamedTuple):
    """The result of a comparison with the control; the numbers are the variant's minus the control's."""

    difference: float
    low: float
    high: float
    level: float  # the interval's confidence level, corrected
    p_seen: float  # the larger of the first two p-values
    p_unseen: float
    p_value: float  # the larger of p_seen and p_unseen
    decided: bool
    reason: Reason  # why it is not decided
    seeds_needed: float  # per variant, estimated; NaN if decided, or if a single seed shows no spread


def judge(
    control: Floats,
    others: Sequence[Floats],
    bounds: Bounds | None = None,
    level: float = 0.95,
    num_draws: int | None = None,
) -> list[Judgement]:
    """Compares variants with their control.

    Args:
        control: the control's scores, [n], n > 0, finite.
        others: each variant's scores, likewise.
        bounds: the smallest and the largest possible score, infinite if unknown; None if both are unknown.
        level: the confidence level of all verdicts together.
        num_draws: the number of bootstrap draws, and of shuffles of the labels; None: as `draws_needed`.

    Raises:
        AnalysisError: the level is too high for so many comparisons.
    """
    pairs = pair_up(control, others, bounds, num_draws or draws_needed(len(others), level))
    p_seen = np.array([pair.p_seen for pair in pairs])
    p_unseen = np.array([pair.p_unseen for pair in pairs])
    p_values = np.maximum(p_seen, p_unseen)
    levels = holm_levels(p_values, level)
    decided = _rejected(p_values, levels)
    by_what_was_seen = _rejected(p_seen, holm_levels(p_seen, level))
    reasons: list[Reason] = [
        "" if yes else "rare failures" if seemed else "spread"
        for yes, seemed in zip(decided, by_what_was_seen, strict=True)
    ]
    return [
        Judgement(
            pair.difference, *pair.interval(own, unseen=reason == "spread"), own,
            pair.p_seen, pair.p_unseen, max(pair.p_seen, pair.p_unseen),
            not reason, reason, pair.seeds_needed(own) if reason else np.nan,
        )
        for pair, own, reason in zip(pairs, map(float, levels), reasons, strict=True)
    ]  # fmt: skip


def draws_needed(number: int, level: float) -> int:
    """Computes how many draws can decide so many comparisons.

    Raises:
        AnalysisError: even the largest number of draws cannot.
    """
    ends = 2 * number / (1 - level)  # Holm's first level leaves one draw in so many beyond either end
    if ends > (MOST_DRAWS + 1) * (1 + 1e-9):
        most = 1 - 2 * number / (MOST_DRAWS + 1)
        raise AnalysisError(f"level={level:g}: too high for {number:,} comparisons; it can be at most {most:g}")
    return min(max(NUM_DRAWS, math.ceil(RANK * ends)), MOST_DRAWS)


def pair_up(
    control: Floats, others: Sequence[Floats], bounds: Bounds | None = None, num_draws: int = NUM_DRAWS
) -> list[Pair]:
    """Pairs each variant with the control; the arguments are those of `judge`."""
    limits, together = bounds or UNBOUNDED, np.concatenate([control, *others])
    beyond = STRETCH * float(np.ptp(together))
    seen = max(float(together.min()) - beyond, limits[0]), min(float(together.max()) + beyond, limits[1])
    low, high = (end if math.isfinite(end) else guess for end, guess in zip(limits, seen, strict=True))
    base = Sample(control, seen, (low, high), CONTROL, num_draws)
    return [Pair(Sample(other, seen, (low, high), VARIANT, num_draws), base, limits) for other in others]


def holm_levels(p_values: Floats, level: float) -> Floats:
    """Computes each comparison's level in Holm's order; all after the first undecided comparison share its level."""
    order = np.argsort(p_values, kind="stable")
    alphas = (1 - level) / np.arange(len(p_values), 0, -1)
    undecided = np.flatnonzero(p_values[order] > alphas * (1 + 1e-9))
    if len(undecided):
        alphas[undecided[0] :] = alphas[undecided[0]]
    levels = np.empty(len(p_values))
    levels[order] = 1 - alphas
    return levels


def holm(p_values: Floats) -> Floats:
    """Computes Holm's corrected p-values: each times the number of p-values at least as large, made monotone."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    corrected[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(corrected, 1.0)


def _rejected(p_values: Floats, levels: Floats) -> NDArray[np.bool_]:
    rejected: NDArray[np.bool_] = p_values <= (1 - levels) * (1 + 1e-9)
    return rejected


class Sample:
    """A variant's scores.

    Args:
        values: [n], in any order.
        seen: the range within which the bootstrap draws.
        possible: a wider range, which reaches to the known bounds.
        stream: the name of its random stream.
        num_draws: the number of draws, and of shuffles of the labels.
    """

    def __init__(self, values: Floats, seen: Bounds, possible: Bounds, stream: str, num_draws: int) -> None:
        self.values, self.seen, self.possible = np.sort(values), seen, possible
        self.stream, self.num_draws = stream, num_draws
        self.number, self.mean = len(values), float(self.values.mean())
        self.spread = float(np.std(self.values, ddof=1)) if len(values) > 1 else 0.0

    @cached_property
    def draws(self) -> Floats:
        """Bayesian bootstrap draws of the mean."""
        return draw(self.values, self.seen, self.stream, self.num_draws).mean()

    @cached_property
    def possible_draws(self) -> Floats:
        """The same within the wider range."""
        return draw(self.values, self.possible, self.stream, self.num_draws).mean()


class Pair:
    """Two variants' scores.

    Args:
        first: the variant's scores.
        second: the control's scores.
        bounds: the smallest and the largest possible score, infinite if unknown.
    """

    def __init__(self, first: Sample, second: Sample, bounds: Bounds) -> None:
        self.first, self.second, self.bounds = first, second, bounds
        self.difference = first.mean - second.mean
        self.better, self.worse = (first, second) if self.difference > 0 else (second, first)

    @cached_property
    def permutation(self) -> Permutation:
        """The studentised difference and its distribution under shuffled labels."""
        return permute(self.first.values, self.second.values, self.first.num_draws)

    @cached_property
    def draws(self) -> Floats:
        """Bootstrap draws of the difference."""
        return self.first.draws - self.second.draws

    @property
    def p_seen(self) -> float:
        """The larger p-value of the permutation test and of the bootstrap."""
        return max(self.permutation.p_value(), p_value(self.draws))

    @property
    def p_unseen(self) -> float:
        """The probability that all runs missed failures, or successes, that would cancel the difference."""
        gap = abs(self.difference)
        return max(_all_missed(gap, self.cost(side, side.number), side.number) for side in (self.better, self.worse))

    def cost(self, side: Sample, number: int) -> float:
        """Computes the largest distance of an unseen score from one side's mean, in the other side's direction.

        With `ENOUGH` seeds or more, which show what one run in ten does, it is `REACH` times the larger of the two
        standard deviations, limited by a known bound. Fewer seeds may have missed failures of any size, down to the
        bound, or `FAR` standard deviations if the bound is unknown.

        Args:
            side: the better variant, which may fail, or the worse one, which may succeed.
            number: its number of seeds.
        """
        to_bound = self.better.mean - self.bounds[0] if side is self.better else self.bounds[1] - self.worse.mean
        spread = max(self.first.spread, self.second.spread) or abs(self.difference) / 2
        if number >= ENOUGH:
            return min(REACH * spread, to_bound)
        return to_bound if math.isfinite(to_bound) else FAR * spread

    def interval(self, level: float, unseen: bool) -> Bounds:
        """Computes the difference's interval: the wider of both methods at each end.

        Args:
            level: its confidence level.
            unseen: whether to allow for scores between those observed and the known bounds.

        Returns:
            NaN if the interval cannot be computed, as for one score, or equal scores, without known bounds.
        """
        if self.first.possible[0] == self.first.possible[1]:
            return np.nan, np.nan
        half = self.permutation.half_width(level)
        ends = [interval(self.draws, level), (self.difference - half, self.difference + half)]
        if unseen:
            ends.append(interval(self.first.possible_draws - self.second.possible_draws, level))
        lows, highs = np.transpose(ends)
        widest = self.bounds[1] - self.bounds[0]
        low, high = max(float(lows.min()), -widest), min(float(highs.max()), widest)
        return (low, high) if math.isfinite(low) and math.isfinite(high) else (np.nan, np.nan)

    def seeds_needed(self, level: float) -> float:
        """Estimates how many seeds per variant would decide a difference of this size with 80 % power.

        Returns NaN if a variant has a single seed, which shows no spread.
        """
        gap, here = abs(self.difference), min(self.first.number, self.second.number)
        if here < 2:
            return np.nan
        if not gap:
            return np.inf
        quantiles = NormalDist().inv_cdf(1 - (1 - level) / 2) + NormalDist().inv_cdf(POWER)
        by_chance = (quantiles / gap) ** 2 * (self.first.spread**2 + self.second.spread**2)
        few, many = (
            max(_until_seen(gap, self.cost(side, number), 1 - level) for side in (self.better, self.worse))
            for number in (2, ENOUGH)
        )
        return max(by_chance, min(few, max(many, ENOUGH)), _to_shuffle(1 - level), here + 1)


def _all_missed(gap: float, cost: float, number: int) -> float:
    """Computes (1 − g / d)ⁿ."""
    if not gap:
        return 1.0
    return float((1 - gap / cost) ** number) if gap < cost else 0.0


def _to_shuffle(alpha: float) -> int:
    """Computes the smallest number of seeds per sample with enough arrangements for a p-value of alpha."""
    return next(number for number in range(2, 100) if 2 / math.comb(2 * number, number) <= alpha)


def _until_seen(gap: float, cost: float, alpha: float) -> float:
    """Computes the smallest n for which (1 − g / d)ⁿ is at most alpha."""
    return math.log(alpha) / math.log1p(-gap / cost) if gap < cost else 1.0
