"""The parts of an update that every value shares: forward passes over a batch, and gradient steps."""

from __future__ import annotations

from dqn_lab._function import call
from dqn_lab._numba import inline, kernel
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layers import clear
from dqn_lab.engine.fused.layout import CHUNK, TILE
from dqn_lab.engine.fused.network import collect, forward, num_values, observe, output_place, output_width
from dqn_lab.engine.fused.optimizer import descend
from dqn_lab.engine.fused.simd import view
from dqn_lab.engine.fused.workspace import part


@kernel
def evaluate(out, obs, rows, order, params, plan, space):
    """out[b] = the network's outputs at obs[rows[b]].

    Args:
        out: [B, A · K].
        obs: [N, I].
        rows: [B].
        order: [B], the order in which 0 … B − 1 are taken.
        params: the network's, flat.
        plan: the composition, as `layout.py` has it.
        space: the workspace.
    """
    outputs, width, values = part(space, plan, layout.LAST), output_width(plan), num_values(plan)
    for start in range(0, len(rows), CHUNK * TILE):
        samples = order[start : start + CHUNK * TILE]
        forward(params, plan, space, observe(obs, rows, samples, plan, space))
        for j in range(len(samples)):
            at = output_place(j, width, values)
            for i in range(out.shape[1]):
                out[samples[j], i] = outputs[at + i * TILE]


@inline
def run_passes(obs, next_obs, rows, order, online, target, plan, space):
    """Fills `PASS_OUTPUTS` [passes, B, A, K] with the forward passes that the composition needs for its targets.

    Args:
        obs, next_obs: [N, I] each.
        rows, order: as `evaluate` takes them.
        online, target: both networks' parameters, flat.
    """
    outputs = part(space, plan, layout.PASS_OUTPUTS)
    size = len(rows) * plan[layout.NUM_ACTIONS] * plan[layout.NUM_OUTPUTS]
    for which in range(layout.NUM_PASSES):  # one call in a loop is one to compile
        if plan[layout.PASSES + which]:
            out = view(outputs, which * size, size)
            at = obs if which in (layout.ONLINE_OBS, layout.TARGET_OBS) else next_obs
            network = online if which in (layout.ONLINE_NEXT, layout.ONLINE_OBS) else target
            evaluate(out.reshape(len(rows), -1), at, rows, order, network, plan, space)


@inline
def begin_step(grad, plan, space):
    """Sets the gradient to 0."""
    clear(grad)
    clear(part(space, plan, layout.BLOCKS))


@inline
def end_step(params, state, lr, plan, settings, space):
    """Takes a step along the gradient that `backward` has summed up since `begin_step`."""
    collect(state[2], plan, space)
    descend(params, state[2], state[0], state[1], lr, plan, settings)


@inline
def call_update(handed, rows, weights, order, minibatch_size, lr, priorities):
    """Calls an update that `FusedEngine.kernels` handed over; returns loss and Q(s, a), averaged over the batch."""
    update, memory, held, space = handed
    return call(update, (*memory, rows, weights, order, minibatch_size, lr, *held, space, priorities))
