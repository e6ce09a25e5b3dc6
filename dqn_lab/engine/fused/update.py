"""What the updates of all values share: forward passes over a batch, and gradient steps."""

from __future__ import annotations

from typing import Any

from dqn_lab._function import call
from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layers import clear
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.network import clear_gradient, collect, num_values, observe, output_place, output_width
from dqn_lab.engine.fused.noise import draw, draw_noise, spread_gradient
from dqn_lab.engine.fused.optimizer import take_step
from dqn_lab.engine.fused.simd import either, view
from dqn_lab.engine.fused.workspace import part


def make_evaluate(forward: Any, reduce: Any) -> Any:
    """Makes what evaluates a network at observations.

    Args:
        forward: the network's own function: of observations that were copied, it fills `LAST` with the outputs.
        reduce: the value's own function of the outputs in `LAST`; fills `q_values` for some samples.
    """

    @inline
    def evaluate(q_values, outputs, obs, rows, order, params, purpose, plan, settings, space):
        """q_values[b] = what the network's outputs at obs[rows[b]] stand for, [B, A].

        Args:
            q_values: [B · A].
            outputs: [B · A · K], filled with the outputs themselves; or empty.
            obs: [N, I].
            rows: [B].
            order: [B], the order in which the samples 0 … B − 1 are processed.
            params: the network's, flat.
            purpose: of the forward pass.
            plan, settings: the composition, as `layout.py` has it.
            space: the workspace.
        """
        draw(params, purpose, plan, space)
        params = either(plan[layout.NOISE_SIZE] > 0, part(space, plan, layout.DRAWN), params)
        for start in range(0, len(rows), plan[layout.CHUNK_SIZE]):
            samples = order[start : start + plan[layout.CHUNK_SIZE]]
            observe(obs, rows, samples, plan, space)
            forward(params, samples, purpose, plan, space)
            reduce(q_values, samples, purpose, plan, settings, space)
            if len(outputs):
                copy_outputs(outputs, samples, purpose, plan, settings, space)

    return evaluate


@inline
def copy_outputs(out, samples, purpose, plan, settings, space):
    """out[b] = the outputs of some samples, [B, A · K]."""
    outputs, width, values = part(space, plan, layout.LAST), output_width(purpose, plan), num_values(plan)
    size = width - values
    for j in range(len(samples)):
        at, to = output_place(j, width, values), samples[j] * size
        for i in range(size):
            out[to + i] = outputs[at + i * TILE]


def make_run_passes(evaluate: Any) -> Any:
    """Makes what runs the forward passes before the first gradient step, of what `make_evaluate` made."""

    @inline
    def run_passes(obs, next_obs, rows, order, online, target, plan, settings, space):
        """Makes those that the composition needs for its targets, and fills `PASS_Q_VALUES` [passes, B, A].

        The outputs of a value with several per action are kept as well, of `TARGET_NEXT`: `NEXT_OUTPUTS` [B, A, K].

        Args:
            obs, next_obs: [N, I] each.
            rows, order: as `evaluate` takes them.
            online, target: both networks' parameters, flat.
        """
        q_values, next_outputs = part(space, plan, layout.PASS_Q_VALUES), part(space, plan, layout.NEXT_OUTPUTS)
        size = len(rows) * plan[layout.NUM_ACTIONS]
        for which in range(layout.NUM_PASSES):  # a call in a loop is compiled only once
            if plan[layout.PASSES + which]:
                out = view(q_values, which * size, size)
                keeps = plan[layout.DISTRIBUTION] and which == layout.TARGET_NEXT
                kept = view(next_outputs, 0, size * plan[layout.COUNTS + layout.TARGET_NOISE] if keeps else 0)
                at = obs if which in (layout.ONLINE_OBS, layout.TARGET_OBS) else next_obs
                purpose = _purpose(which)
                params = target if purpose == layout.TARGET_NOISE else online
                evaluate(out, kept, at, rows, order, params, purpose, plan, settings, space)

    return run_passes


@inline
def _purpose(which):
    """Returns whose noise a forward pass has."""
    if which == layout.ONLINE_NEXT:
        return layout.SELECTOR
    return layout.ONLINE if which == layout.ONLINE_OBS else layout.TARGET_NOISE


def make_descend(forward: Any, backward: Any, judge: Any) -> Any:
    """Makes what takes a gradient step on each minibatch of a batch.

    Args:
        forward, backward: the network's own.
        judge: the value's own function: of some samples, whose outputs are in `LAST`, it fills in the priorities and
            the gradient, and returns the sums of loss and Q(s, a); its arguments are those of `expected.judge`.
    """

    @inline
    def descend(
        obs, action, rows, weights, order, minibatch_size, lr, online, state, plan, settings, space, priorities
    ):  # fmt: skip
        """Returns loss and Q(s, a), averaged over the batch; the arguments are those of a value's `update`."""
        nothing, grad = online.dtype.type(0), state[2]
        loss = q_value = nothing
        for start in range(0, len(rows), minibatch_size):
            samples, step_loss, step_q_value = order[start : start + minibatch_size], nothing, nothing
            begin_step(grad, plan, space)
            draw(online, layout.ONLINE, plan, space)
            params = either(plan[layout.NOISE_SIZE] > 0, part(space, plan, layout.DRAWN), online)
            for first in range(0, len(samples), plan[layout.CHUNK_SIZE]):
                chunk = samples[first : first + plan[layout.CHUNK_SIZE]]
                observe(obs, rows, chunk, plan, space)
                forward(params, chunk, layout.ONLINE, plan, space)
                clear_gradient(len(chunk), plan, space)
                share = online.dtype.type(1) / len(samples)
                judged = judge(action, rows, chunk, share, weights, plan, settings, space, priorities)
                step_loss, step_q_value = step_loss + judged[0], step_q_value + judged[1]
                backward(params, grad, len(chunk), plan, space)
            end_step(online, state, lr, plan, settings, space)
            loss, q_value = loss + step_loss, q_value + step_q_value
        return loss / len(rows), q_value / len(rows)

    return descend


@inline
def begin_step(grad, plan, space):
    """Sets the gradient to 0."""
    clear(grad)
    clear(part(space, plan, layout.BLOCKS))


@inline
def end_step(params, state, lr, plan, settings, space):
    """Takes a step with the gradient that `backward` has summed since `begin_step`."""
    collect(state[2], plan, space)
    spread_gradient(state[2], plan, space)
    take_step(params, state[2], state[0], state[1], lr, plan, settings)


@inline
def call_update(handed, rows, weights, order, minibatch_size, lr, epsilon, priorities):
    """Draws noise, and calls an update that `FusedEngine.update_kernel` handed over; returns what that does."""
    update, memory, held, space, noise = handed
    plan, settings = held[3], held[4]
    settings[layout.EPSILON] = epsilon
    for purpose in range(layout.ACTING):
        draw_noise(purpose, len(rows), noise, plan, space)
    return call(update, (*memory, rows, weights, order, minibatch_size, lr, *held, space, priorities))
