"""Greedy episodes side by side in one call, as `evaluate.py` plays them."""

from __future__ import annotations

from dqn_lab._function import call
from dqn_lab._numba import inline, kernel
from dqn_lab.rollout._kernels import observe

RUNNING, LENGTH, ACTION, DECIDED = range(4)  # of an episode's counts
FINISHED, TIED, PAUSED = range(3)  # why it stopped
LONGEST = 10_000  # steps of a call, so that Ctrl-C is heard where episodes have no limit


@kernel
def play(counts, scores, q_values, states, draws, raw, step, limit, factors, summands):
    """Goes on until all episodes are over, or some cannot decide between actions: whoever calls does it then.

    Args:
        counts: [episodes, 4], see above; what is `DECIDED` takes its `ACTION` first.
        scores: [episodes], returns so far.
        q_values: a function and its arguments, of which the first are [B, A] and the observations [B, I].
        states, draws, raw: [episodes, …] each, of the environments.
        step: of an environment.
        limit: steps of an episode.
        factors, summands: as in `_kernels.py`.
    """
    for _ in range(LONGEST):
        if not decide(counts, q_values):
            return TIED
        left = 0
        for i in range(len(counts)):
            if counts[i, RUNNING]:
                reward, terminated = call(step, (states[i], counts[i, ACTION], draws[i], raw[i]))
                observe(q_values[1][1][i], raw[i], factors, summands)
                scores[i] += reward
                counts[i, LENGTH] += 1
                counts[i, DECIDED] = 0
                counts[i, RUNNING] = not (terminated or counts[i, LENGTH] >= limit)
                left += counts[i, RUNNING]
        if not left:
            return FINISHED
    return PAUSED


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
