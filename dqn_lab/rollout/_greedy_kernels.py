"""Plays greedy episodes side by side in one call, as `evaluate.py` does."""

from __future__ import annotations

import numpy as np

from dqn_lab._function import call
from dqn_lab._numba import inline, kernel
from dqn_lab.rollout._kernels import LARGEST, is_fit, observe

RUNNING, LENGTH, ACTION, DECIDED, CUT_OFF = range(5)  # of an episode's counts
FINISHED, TIED, PAUSED, REWARD_UNFIT, OBSERVATION_UNFIT = range(5)  # why it stopped
LONGEST = 10_000  # steps of a call, so that Ctrl-C works even if episodes have no limit


@kernel
def play(counts, scores, q_values, states, draws, raw, step, limit, factors, summands, bounds):
    """Continues until all episodes are over, or some have tied actions, among which the caller must choose.

    Args:
        counts: [episodes, 5], see above; an episode that is `DECIDED` first takes its `ACTION`.
        scores: [episodes], returns so far.
        q_values: a function and its arguments, of which the first are the Q-values [B, A] and observations [B, I].
        states, draws, raw: [episodes, …] each, of the environments.
        step: the environments' step.
        limit: the largest number of steps of an episode.
        factors, summands, bounds: as in `_kernels.py`.

    Returns:
        why it stopped and, if an episode's reward or observation is invalid, its number and its reward.
    """
    for _ in range(LONGEST):
        if not decide(counts, q_values):
            return TIED, 0, 0.0
        left = 0
        for i in range(len(counts)):
            if counts[i, RUNNING]:
                reward, terminated = call(step, (states[i], counts[i, ACTION], draws[i], raw[i]))
                observe(q_values[1][1][i], raw[i], factors, summands)
                if not abs(reward) <= LARGEST:
                    return REWARD_UNFIT, i, np.float64(reward)
                if not is_fit(q_values[1][1][i], bounds):
                    return OBSERVATION_UNFIT, i, 0.0
                scores[i] += reward
                counts[i, LENGTH] += 1
                counts[i, DECIDED] = 0
                counts[i, CUT_OFF] = not terminated and counts[i, LENGTH] >= limit
                counts[i, RUNNING] = not (terminated or counts[i, CUT_OFF])
                left += counts[i, RUNNING]
        if not left:
            return FINISHED, 0, 0.0
    return PAUSED, 0, 0.0


@inline
def decide(counts, q_values):
    """Chooses the best action in every episode; returns whether none has a tie."""
    function, arguments = q_values
    values, decided = arguments[0], True
    call(function, arguments)
    for i in range(len(counts)):
        if counts[i, RUNNING] and not counts[i, DECIDED]:
            best, equals = 0, 0
            for action in range(1, values.shape[1]):
                best = action if values[i, action] > values[i, best] else best
            for action in range(values.shape[1]):  # a NaN leads to none or two
                equals += not values[i, action] < values[i, best]
            counts[i, ACTION], counts[i, DECIDED] = best, equals == 1
            decided = decided and equals == 1
    return decided
