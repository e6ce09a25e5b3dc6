"""The expected return in compiled code: one output per action, with squared error or the Huber loss."""

from __future__ import annotations

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.bootstrap import fill_mixture, fill_soft_mean
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.network import backward, forward, num_values, output_place, output_width
from dqn_lab.engine.fused.update import Parts, copy_outputs
from dqn_lab.engine.fused.workspace import part


@inline
def target(action, reward, discount, rows, plan, settings, space):
    """TARGET[b] = reward + bonus + discount · Σ π (Q + shift), [B].

    With `ALL_ACTIONS` it is [B, A], and the target of an action not taken is its output before the update.

    Args:
        action, reward, discount: of all stored transitions.
        rows: [B], the rows of the batch's transitions.
    """
    q, goals = part(space, plan, layout.PASS_Q_VALUES), part(space, plan, layout.TARGET)
    probabilities, shift = part(space, plan, layout.PROBABILITIES), part(space, plan, layout.NEXT_SHIFT)
    mean, bonus, number = part(space, plan, layout.MEAN), part(space, plan, layout.BONUS), space.dtype.type
    num_actions, everything = plan[layout.NUM_ACTIONS], plan[layout.ALL_ACTIONS]
    soft, size = plan[layout.BOOTSTRAP] == layout.MUNCHAUSEN, len(rows) * num_actions
    if soft:
        fill_soft_mean(q, action, rows, plan, settings, space)
    else:
        fill_mixture(q, action, rows, plan, settings, space)
    for sample in range(len(rows)):
        row, first = rows[sample], sample * num_actions
        if soft:
            goal = number(reward[row] + bonus[sample] + discount[row] * mean[sample])
        else:
            exact = 0.0  # in double precision; NaN if a Q-value is not finite
            for a in range(first, first + num_actions):
                exact += probabilities[a] * (q[layout.TARGET_NEXT * size + a] + shift[a])
            goal = number(reward[row] + bonus[sample] + discount[row] * exact)
        if everything:
            for a in range(first, first + num_actions):
                goals[a] = q[layout.ONLINE_OBS * size + a]
        goals[first + action[row] if everything else sample] = goal


@inline
def judge(action, rows, samples, share, weights, plan, settings, space, priorities):
    """Sums loss and Q(s, a), stores |δ|, and fills `GRADIENT` with that of `share` times the loss, at the outputs.

    The loss is δ² or Huber's, for the action taken; with `ALL_ACTIONS`, the mean over all actions.

    Args:
        action, rows: see `target`.
        samples: the batch's samples whose outputs are in `LAST`.
        share: the weight of each loss in the mean whose gradient is taken.
        weights: [B], or empty if all are 1.
        priorities: [B], filled.
    """
    dy, outputs = part(space, plan, layout.GRADIENT), part(space, plan, layout.LAST)
    goals, kappa = part(space, plan, layout.TARGET), space.dtype.type(settings[layout.KAPPA])
    everything, num_actions, number = plan[layout.ALL_ACTIONS], plan[layout.NUM_ACTIONS], space.dtype.type
    sum_loss = sum_q_value = number(0)
    huber, width, values = plan[layout.HUBER], output_width(layout.ONLINE, plan), num_values(plan)
    if everything:
        share /= num_actions
    for j in range(len(samples)):
        sample, at = samples[j], output_place(j, width, values)
        taken, weight, loss = action[rows[sample]], weights[sample] if len(weights) else number(1), number(0)
        goal = sample * num_actions if everything else sample - taken  # goals[goal + a] is action a's
        for a in range(0 if everything else taken, num_actions if everything else taken + 1):
            error = goals[goal + a] - outputs[at + a * TILE]
            if huber:
                inside = error if abs(error) <= kappa else (kappa if error > 0 else -kappa)
                loss += inside * error - inside * inside / 2
            else:
                inside = 2 * error
                loss += error * error
            dy[at + a * TILE] = -inside * weight * share
        sum_loss += weight * (loss / num_actions if everything else loss)
        sum_q_value += outputs[at + taken * TILE]
        priorities[sample] = abs(goals[goal + taken] - outputs[at + taken * TILE])
    return sum_loss, sum_q_value


PARTS = Parts(forward, backward, copy_outputs, target, judge)
