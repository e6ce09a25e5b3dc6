"""Many steps of a run in one call: act, step, store, learn, follow, as `python.py` and `agent.py` do.

The parts are tuples of functions and their arguments, which the `_kernels.py` of each group describes.
"""

from __future__ import annotations

import math

import numpy as np

from dqn_lab._function import bounded, call, draw, is_due, value_at
from dqn_lab._numba import inline, kernel
from dqn_lab.engine.fused.update import call_update

STEP, EPISODE, UPDATES = range(3)  # of progress
ELAPSED, AWAITS_RESET, NUM_DRAWN = range(3)  # of the clock: steps of the episode, and batches of the block of draws
SCORE, LENGTH, LOSS, Q_VALUE, NUM_BATCHES, TALLY = range(6)  # of a tally
FINISHED, LOSS_NOT_FINITE, PRIORITY_UNFIT, REWARD_UNFIT, OBSERVATION_UNFIT = range(5)  # why it stopped
LARGEST = 3.4028234663852886e38  # reward: the largest float32


@kernel
def play(progress, until, clock, tally, ended, heard, obs, env, exploration, buffer, target, engine, learning):
    """Continues to a point of a run, or for as many steps as `ended` has rows, but for at least one step.

    Args:
        progress: step, episode, updates; advanced in place.
        until: the same three; no step follows one that reaches any of them.
        clock, tally: see above; the tally is that of the current episode.
        ended: [episodes, 7], filled with each ended episode's tally, its last step and its last update.
        heard: filled in for diagnostics: the reward of each step, and max Q at the first observation of each episode
            that begins here, counted from the current one; empty arrays are left empty.
        obs: the current observation, the next one, and the current one as the engine sees it, [1, I].
        env: reset, step, state, draws, the raw observation, the time limit, whether reaching it terminates, the factors
            and summands that rescale observations, or none, and the bounds of states, or none.
        exploration: select, end_episode, draws, state.
        buffer: append, ready, sample, update_priorities, state.
        target: follow, both networks' flat parameters, state.
        engine: Q-values and update, each a function and its arguments.
        learning: see `learn`.

    Returns:
        why it stopped, and the last loss or, if the environment is the reason, the last reward.
    """
    rewards, q_starts = heard
    num_ended, first_step, last_step = 0, progress[STEP], min(until[STEP], progress[STEP] + len(ended))
    while True:
        before = (progress[STEP], progress[EPISODE], progress[UPDATES])
        if clock[AWAITS_RESET]:
            if not reset(clock, obs, env):
                return OBSERVATION_UNFIT, 0.0
            if len(q_starts):
                q_starts[num_ended] = look(obs, engine[0])
        why, over, reward = act(before, clock, obs, env, exploration, buffer, engine[0], learning[0])
        if why != FINISHED:
            return why, reward
        after = (before[STEP] + 1, before[EPISODE] + over, before[UPDATES])
        why, loss, updates = learn(before, after, clock, tally, buffer, target, engine[1], learning)
        if why != FINISHED:
            return why, loss
        progress[STEP], progress[EPISODE], progress[UPDATES] = after[STEP], after[EPISODE], updates
        rewards[before[STEP] - first_step] = reward
        tally[SCORE] += reward
        tally[LENGTH] += 1
        if over:
            clock[AWAITS_RESET] = 1
            for i in range(TALLY):
                ended[num_ended, i], tally[i] = tally[i], 0
            ended[num_ended, TALLY], ended[num_ended, TALLY + 1] = progress[STEP], updates
            num_ended += 1
        if progress[STEP] >= last_step or progress[EPISODE] >= until[EPISODE] or updates >= until[UPDATES]:
            return FINISHED, loss


@inline
def reset(clock, observations, env):
    """Begins an episode; returns whether its first observation is valid."""
    reset_env, _, env_state, env_draws, raw, _, _, factors, summands, bounds = env
    call(reset_env, (env_state, env_draws, raw))
    observe(observations[0], raw, factors, summands)
    clock[ELAPSED] = clock[AWAITS_RESET] = 0
    return is_fit(observations[0], bounds)


@inline
def look(observations, q_values):
    """Returns max Q at the current observation."""
    obs, _, seen = observations
    for i in range(len(obs)):
        seen[0, i] = obs[i]
    function, arguments = q_values
    call(function, arguments)
    best = arguments[0][0, 0]
    for action in range(1, arguments[0].shape[1]):
        best = max(best, arguments[0][0, action])
    return np.float64(best)


@inline
def act(progress, clock, observations, env, exploration, buffer, q_values, max_reward):
    """Chooses an action, takes it, and stores the result.

    Returns:
        why it stopped, whether the episode is over, as a number, and the reward.
    """
    _, step_env, env_state, env_draws, raw, limit, limit_terminates, factors, summands, bounds = env
    select, end_episode, draws, exploration_state = exploration
    obs, next_obs, seen = observations
    for i in range(len(obs)):
        seen[0, i] = obs[i]
    action = call(select, (q_values, draws, progress, exploration_state))
    reward, terminated = call(step_env, (env_state, action, env_draws, raw))
    if not abs(reward) <= LARGEST:
        return REWARD_UNFIT, 0, np.float64(reward)
    observe(next_obs, raw, factors, summands)
    clock[ELAPSED] += 1
    if not is_fit(next_obs, bounds):
        return OBSERVATION_UNFIT, 0, 0.0
    truncated = clock[ELAPSED] >= limit
    terminated = terminated or (truncated and limit_terminates)
    learned = max_reward if reward > max_reward else max(reward, -max_reward)
    call(buffer[0], (obs, action, learned, next_obs, terminated, truncated, buffer[4]))
    if terminated or truncated:
        call(end_episode, (exploration_state,))
    for i in range(len(obs)):
        obs[i] = next_obs[i]
    return FINISHED, np.int64(terminated or truncated), np.float64(reward)


@inline
def observe(obs, raw, factors, summands):
    """Copies an observation, rescaled if `factors` is not empty."""
    for i in range(len(obs)):
        obs[i] = raw[i] * factors[i] + summands[i] if len(factors) else raw[i]


@inline
def is_fit(obs, bounds):
    """Returns whether an observation consists of finite numbers and of existing states."""
    fit = True
    for i in range(len(obs)):
        fit = fit and math.isfinite(obs[i])
    for i in range(bounds.shape[1]):
        fit = fit and bounds[0, i] <= obs[i] <= bounds[1, i]
    return fit


@inline
def learn(before, after, clock, tally, buffer, target, update, learning):
    """Performs the updates due between two points of a run, and moves the target network after each.

    Args:
        learning: the largest reward; when updates are due; their number; the batch size and the minibatch size, 0 for
            none; the learning rate and the ε that the bootstrap uses, `Tabulated`; a block of draws, [batches, B],
            and their source; the source for minibatches; room for rows, weights, order and priorities, [B].

    Returns:
        why it stopped, the last loss, and the number of updates so far.
    """
    _, every, num_updates, batch_size, minibatch_size, lr, epsilon, block, source, minibatch_source, room = learning
    rows, weights, order, priorities = room
    follow, online, target_network, target_state = target
    now, count, loss, made = before, before[UPDATES], 0.0, 0
    if is_due(every, before, after):
        while made < num_updates and call(buffer[1], (batch_size, buffer[4])):
            if made:
                previous, now = now, (before[STEP], before[EPISODE], count)
                call(follow, (online, target_network, previous, now, target_state))
            advance_draws(block, clock, source)
            size, weighted = call(buffer[2], (block[clock[NUM_DRAWN] - 1], rows, weights, buffer[4]))
            minibatch = size
            if 0 < minibatch_size < size:
                shuffle(order[:size], minibatch_source)
                minibatch = minibatch_size
            rate, explored = value_at(lr[0], lr[1], before), value_at(epsilon[0], epsilon[1], before)
            done = call_update(
                update, rows[:size], weights[:weighted], order[:size], minibatch, rate, explored, priorities[:size]
            )
            loss = np.float64(done[0])
            if not math.isfinite(loss):
                return LOSS_NOT_FINITE, loss, count
            if not call(buffer[3], (rows[:size], priorities[:size], buffer[4])):
                return PRIORITY_UNFIT, loss, count
            tally[LOSS] += loss
            tally[Q_VALUE] += np.float64(done[1])
            tally[NUM_BATCHES] += 1
            made += 1
            count += (size + minibatch - 1) // minibatch
    call(follow, (online, target_network, now, (after[STEP], after[EPISODE], count), target_state))
    return FINISHED, loss, count


@inline
def advance_draws(block, clock, source):
    """Advances to the next row of a block of uniform numbers, which is redrawn when it is used up."""
    if clock[NUM_DRAWN] == len(block):
        for i in range(block.shape[0]):
            for j in range(block.shape[1]):
                block[i, j] = draw(source)
        clock[NUM_DRAWN] = 0
    clock[NUM_DRAWN] += 1


@inline
def shuffle(order, source):
    """Fills in a permutation, as `numpy.random.Generator.permutation` draws it."""
    for i in range(len(order)):
        order[i] = i
    for i in range(len(order) - 1, 0, -1):
        other = bounded(source, i)
        order[i], order[other] = order[other], order[i]
