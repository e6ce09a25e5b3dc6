"""A permutation test of two means, and its interval.

The statistic is the difference of the means over its standard error. The test is exact if both samples have the same
distribution, even with ties and rare failures, and asymptotically valid if they share only the mean (Chung and
Romano 2013, "Exact and Asymptotically Robust Permutation Tests", https://doi.org/10.1214/13-AOS1090).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from dqn_lab.analysis.intervals import MANY, Floats
from dqn_lab.seeding import seed_sequence


class Permutation(NamedTuple):
    """A studentised difference of means, and its values when labels are shuffled."""

    statistic: float  # its absolute value
    error: float  # the difference's standard error
    shuffled: Floats  # [shuffles], ascending

    def p_value(self) -> float:
        """Computes the share of shuffles that are at least as extreme."""
        beyond = len(self.shuffled) - int(np.searchsorted(self.shuffled, self.statistic * (1 - 1e-9)))
        return (beyond + 1) / (len(self.shuffled) + 1)

    def half_width(self, level: float) -> float:
        """Computes half the interval's width; the interval excludes zero if the p-value is small enough."""
        rank = int((1 - level) * (len(self.shuffled) + 1) + 1e-9)
        if rank < 1 or not math.isfinite(self.error):
            return np.inf
        largest = float(self.shuffled[-rank])
        if not self.error:  # no spread at all: shuffling does not change the difference, or may always do so
            return np.inf if self.statistic == largest == np.inf else 0.0
        return largest * self.error * (1 + 1e-9)


def permute(first: Floats, second: Floats, num_shuffles: int) -> Permutation:
    """Shuffles the labels of two samples.

    Args:
        first: [n].
        second: [m].
        num_shuffles: the number of random shuffles, which are the same each time.
    """
    numbers = len(first), len(second)
    if min(numbers) < 2:
        return Permutation(0.0, np.inf, np.zeros(num_shuffles))
    together = np.concatenate([first, second])
    together = (together - together.mean()) / (float(np.ptp(together)) or 1.0)  # gives rounding errors a known scale
    moments = np.stack([together, together**2], axis=1)  # [n + m, 2]
    own = np.concatenate([labels @ moments for labels in _label_blocks(*numbers, num_shuffles)])
    sizes = _studentised(own, moments.sum(axis=0) - own, *numbers)
    parts = moments[: numbers[0]].sum(axis=0), moments[numbers[0] :].sum(axis=0)
    statistic = _studentised(parts[0][None], parts[1][None], *numbers)
    error = math.sqrt(np.var(first, ddof=1) / numbers[0] + np.var(second, ddof=1) / numbers[1])
    return Permutation(float(statistic[0]), error, np.sort(sizes))


def _studentised(one: Floats, other: Floats, n: int, m: int) -> Floats:
    """Computes |difference of means| / its standard error, from sums and sums of squares [B, 2]."""
    means = one[:, 0] / n, other[:, 0] / m
    squares = [
        np.maximum(sums[:, 1] - k * mean**2, 0) / (k - 1) / k
        for sums, mean, k in zip((one, other), means, (n, m), strict=True)
    ]
    difference, variance = np.abs(means[0] - means[1]), squares[0] + squares[1]
    tiny = variance < 1e-14  # no spread except for rounding: any difference is infinitely many standard errors
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes: Floats = np.where(tiny, np.where(difference > 1e-7, np.inf, 0.0), difference / np.sqrt(variance))
    return sizes


def _label_blocks(n: int, m: int, num_shuffles: int) -> Iterator[Floats]:
    """Draws which of n + m runs are assigned to the first sample, in blocks that fit into memory."""
    if n + m <= MANY:
        yield _labels(n, m, num_shuffles)
        return
    rng, block = _generator(n, m), -(-num_shuffles * MANY // (n + m))
    for start in range(0, num_shuffles, block):
        yield _shuffle(rng, n, m, min(block, num_shuffles - start))


@lru_cache(maxsize=4)
def _labels(n: int, m: int, num_shuffles: int) -> Floats:
    """Draws all labels at once, [num_shuffles, n + m], the same ones each time."""
    return _shuffle(_generator(n, m), n, m, num_shuffles)


def _generator(n: int, m: int) -> np.random.Generator:
    return np.random.default_rng(seed_sequence(n, f"shuffles {m}"))


def _shuffle(rng: np.random.Generator, n: int, m: int, num_shuffles: int) -> Floats:
    ordered = np.zeros((num_shuffles, n + m))
    ordered[:, :n] = 1.0
    return rng.permuted(ordered, axis=1)
