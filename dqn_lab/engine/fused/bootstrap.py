"""The `bootstrap` group in compiled code: how the next state's value is estimated.

The arguments are always the same: `q_values` [passes, B, A], filled for the passes that are needed; the `action` of all
stored transitions; `rows` [B], the batch's rows among them; the plan, the settings and the workspace.
"""

from __future__ import annotations

import math

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layers import clear
from dqn_lab.engine.fused.workspace import part


@inline
def fill_mixture(q_values, action, rows, plan, settings, space):
    """Fills `PROBABILITIES` [B, A], `NEXT_SHIFT` [B, A] and `BONUS` [B]."""
    probabilities, shift = part(space, plan, layout.PROBABILITIES), part(space, plan, layout.NEXT_SHIFT)
    num_actions, temperature = plan[layout.NUM_ACTIONS], q_values.dtype.type(settings[layout.TEMPERATURE])
    soft, selector = plan[layout.BOOTSTRAP] == layout.MUNCHAUSEN, _selector(plan)
    epsilon = settings[layout.EPSILON] if plan[layout.BOOTSTRAP] == layout.EXPECTED_SARSA else 0.0
    each, more = q_values.dtype.type(epsilon / num_actions), q_values.dtype.type(1 - epsilon)
    for sample in range(len(rows)):
        to = sample * num_actions
        if soft:
            first = layout.TARGET_NEXT * len(rows) * num_actions + to
            top = _soft_max(q_values, first, num_actions, temperature)
            for a in range(num_actions):
                shift[to + a] = top - q_values[first + a]  # −τ log π
                probabilities[to + a] = math.exp(-shift[to + a] / temperature)
        else:
            greedy = _greedy(q_values, selector * len(rows) * num_actions + to, num_actions)
            for a in range(num_actions):
                shift[to + a], probabilities[to + a] = 0, each + more if a == greedy else each
    _fill_bonus(q_values, action, rows, plan, settings, space)


@inline
def fill_soft_mean(q_values, action, rows, plan, settings, space):
    """Fills `MEAN` [B] with munchausen's Σ π (Q + shift), as τ log Σ exp(Q / τ), which rounds less, and `BONUS` [B]."""
    mean, num_actions, number = part(space, plan, layout.MEAN), plan[layout.NUM_ACTIONS], q_values.dtype.type
    for sample in range(len(rows)):
        first = (layout.TARGET_NEXT * len(rows) + sample) * num_actions
        mean[sample] = _soft_max(q_values, first, num_actions, number(settings[layout.TEMPERATURE]))
    _fill_bonus(q_values, action, rows, plan, settings, space)


@inline
def _fill_bonus(q_values, action, rows, plan, settings, space):
    """BONUS[b] = α clip(τ log π(a|s), clip, 0) with munchausen, otherwise 0."""
    bonus, num_actions, number = part(space, plan, layout.BONUS), plan[layout.NUM_ACTIONS], q_values.dtype.type
    if plan[layout.BOOTSTRAP] != layout.MUNCHAUSEN:
        clear(bonus)
        return
    for sample in range(len(rows)):
        first = (layout.TARGET_OBS * len(rows) + sample) * num_actions
        top = _soft_max(q_values, first, num_actions, number(settings[layout.TEMPERATURE]))
        policy, low = q_values[first + action[rows[sample]]] - top, number(settings[layout.CLIP])  # τ log π
        kept = low if policy < low else number(0) if policy > 0 else policy
        bonus[sample] = number(settings[layout.SCALE]) * kept


@inline
def _selector(plan):
    """Returns the pass whose Q-values select the next action: the online network's for double, else the target's."""
    return layout.ONLINE_NEXT if plan[layout.BOOTSTRAP] == layout.DOUBLE else layout.TARGET_NEXT


@inline
def _greedy(q, first, number):
    """Returns the index of the largest of some of q, the first if several tie; NaN counts as largest, as in torch."""
    best = first
    for a in range(first + 1, first + number):
        best = a if not q[a] <= q[best] and q[best] == q[best] else best
    return best - first


@inline
def _soft_max(q, first, number, temperature):
    """τ log Σ exp(q / τ) over some of q, finite however small τ is."""
    best = q[first]
    for a in range(first + 1, first + number):
        best = max(best, q[a])
    total = q.dtype.type(0)
    for a in range(first, first + number):
        total += math.exp((q[a] - best) / temperature)
    return best + temperature * math.log(total)
