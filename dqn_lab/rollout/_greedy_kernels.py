"""Greedy episodes side by side in one call, as `evaluate.py` plays them."""

from __future__ import annotations

import numpy as np

from dqn_lab._function import call
from dqn_lab._numba import inline, kernel
from dqn_lab.rollout._kernels import LARGEST, is_fit, observe

RUNNING, LENGTH, ACTION, DECIDED, CUT_OFF = range(5)  # of an episode's counts
FINISHED, TIED, PAUSED, REWARD_UNFIT, OBSERVATION_UNFIT = range(5)  # why it stopped
LONGEST = 10_000  # steps of a call, so that Ctrl-C is heard where episodes have no limit


@kernel
def play(counts, scores, q_values, states, draws, raw, step, limit, factors, summands, bounds):
    """Goes on until all episodes are over, or some cannot decide between actions: whoever calls does it then.

    Args:
        counts: [episodes, 5], see above; what is `DECIDED` takes its `ACTION` first.
        scores: [episodes], returns so far.
        q_values: a function and its arguments, of which the first are [B, A] and the observations [B, I].
        states, draws, raw: [episodes, …] each, of the environments.
        step: of an environment.
        limit: steps of an episode.
        factors, summands, bounds: as in `_kernels.py`.

    Returns:
        why it stopped, in which episode if something of it is unfit, and its reward.
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
    """Chooses the best action of every episode; returns whether there is just one for each."""
    function, arguments = q_values
    values, decided = arguments[0], True
    call(function, arguments)
    for i in range(len(counts)):
        if counts[i, RUNNING] and not counts[i, DECIDED]:
            best, equals = 0, 0
            for action in range(1, values.shape[1]):
                best = action if values[i, action] > values[i, best] else best
            for action in range(values.shape[1]):  # one that is no number leaves none or makes two
                equals += not values[i, action] < values[i, best]
            counts[i, ACTION], counts[i, DECIDED] = best, equals == 1
            decided = decided and equals == 1
    return decided
