"""Decides how the lab's runs compare with a published number, by an interval that depends on what was published.

- Mean and standard deviation over a few seeds: the 95 % interval of the difference (Welch), which is wide because three
  seeds leave few degrees of freedom. If it excludes zero, ours is better or worse. If it lies within a twentieth of the
  task's range of returns, a margin fixed beforehand, they are equal. Otherwise the difference is undecided. Three seeds
  hardly ever decide, so a second question uses only their mean: could it be the mean of three of our runs?
- One run: could it be one of ours?
- A mean without a spread: could it be the mean of as many of our runs?

A prediction interval answers these questions. For a mean it is Student's (Hahn and Meeker 1991, "Statistical
Intervals"). For one run it goes from our k-th worst to our k-th best run: whatever the distribution, a further run from
it lies outside in 2k / (n + 1) of cases. k is the largest number for which this is at most 5 %, but at least 1.
"""

import math

import numpy as np
from scipy import stats

LEVEL = 0.95


def welch(ours, mean, std, num_seeds):
    """Returns the difference, ours minus theirs, and its interval.

    Args:
        ours: [n], a score for each run.
        mean: theirs.
        std: theirs, of `num_seeds` seeds as numpy computes it: divided by their number, not by one less.
        num_seeds: theirs.
    """
    own, other = np.var(ours, ddof=1) / len(ours), std**2 / (num_seeds - 1)  # variances of the means
    difference = float(np.mean(ours)) - mean
    if own + other == 0:
        return difference, difference, difference
    freedom = (own + other) ** 2 / (own**2 / (len(ours) - 1) + other**2 / (num_seeds - 1))
    margin = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(own + other)
    return difference, difference - margin, difference + margin


def predicted_mean(ours, number):
    """Returns the interval in which the mean of `number` further runs lies."""
    error = float(np.std(ours, ddof=1)) * math.sqrt(1 / number + 1 / len(ours))
    margin = float(stats.t.ppf((1 + LEVEL) / 2, len(ours) - 1)) * error
    return float(np.mean(ours)) - margin, float(np.mean(ours)) + margin


def predicted_run(ours):
    """Returns the interval in which one further run lies, and its probability."""
    ordered, number = np.sort(ours), len(ours)
    place = max(1, math.floor((1 - LEVEL) * (number + 1) / 2 + 1e-9))
    return float(ordered[place - 1]), float(ordered[-place]), 1 - 2 * place / (number + 1)


def of_seeds(ours, mean, std, num_seeds, margin):
    """Returns the verdict against a mean and a standard deviation over seeds."""
    difference, low, high = welch(ours, mean, std, num_seeds)
    shown = f"{signed(difference)} ({signed(low)} to {signed(high)})"
    if low > 0 or high < 0:
        said = f"{'better' if low > 0 else 'worse'}, {shown}"
    elif max(-low, high) <= margin:
        said = f"equivalent within ±{margin:g}, {shown}"
    else:
        said = f"undecided, {shown}"
    return f"{said}; {_of_mean(ours, mean, num_seeds)}"


def of_sessions(ours, mean, num_sessions):
    """Returns the verdict against a mean without a spread."""
    return _of_mean(ours, mean, num_sessions)


def of_one_run(ours, score):
    """Returns the verdict against one run."""
    low, high, level = predicted_run(ours)
    could = "could" if low <= score <= high else "could not"
    reached = int((np.asarray(ours) >= score - 0.005).sum())  # scores are stored with two decimals
    return (
        f"{could} be one of ours, of which {100 * level:.0f} % lie in {plain(low)} to {plain(high)}; "
        f"{reached} of {len(ours)} are as good"
    )


def _of_mean(ours, mean, number):
    low, high = predicted_mean(ours, number)
    could = "could" if low <= mean <= high else "could not"
    return f"theirs {could} be a mean of {number} of ours, {plain(low)} to {plain(high)}"


def plain(value, digits=1):
    """Writes a number with a minus sign instead of a hyphen."""
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value):
    """Writes a number with its sign."""
    return f"{value:+.1f}".replace("-", "−")
