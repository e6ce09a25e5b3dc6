"""Populations of final returns to measure coverage on, and the measuring."""

import json
from pathlib import Path

import numpy as np

from dqn_lab.analysis.intervals import Draws, interval

RETURNS = json.loads((Path(__file__).parent / "data" / "final_returns.json").read_text())
SEEDS = 30
BOUNDS = (0.0, 500.0)


def bimodal(rate, perfect):
    """A part of the seeds near 500, or at it, the others at 50 to 400: a fine grid of its quantiles."""
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
    """Draws as `intervals.draw` does, but fresh ones each time, so that repetitions are independent."""
    shape = np.array([0.5, *[1.0] * len(scores), 0.5])
    gamma = rng.standard_gamma(shape, (num_draws, len(scores) + 2))
    ends = np.array([bounds[0], *np.sort(scores), bounds[1]])
    return Draws(ends, gamma / gamma.sum(axis=1, keepdims=True))


def coverage(truth, estimate, repetitions, seed=0):
    """Counts how often the interval of `estimate(rng)`'s draws holds the truth."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(repetitions):
        low, high = interval(estimate(rng), 0.95)
        held += low - 1e-9 <= truth <= high + 1e-9
    return held / repetitions


def iqm_of(population):
    """The mean of the middle half of a population."""
    ordered = np.sort(population)
    edges = np.linspace(0, 1, len(ordered) + 1)
    share = np.clip(edges[1:], 0.25, 0.75) - np.clip(edges[:-1], 0.25, 0.75)
    return float(2 * share @ ordered)


def improvement_of(first, second):
    """The probability that one of the first is greater, ties at ½."""
    ordered = np.sort(second)
    below, upto = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    return float((below + upto).mean() / 2 / len(ordered))
