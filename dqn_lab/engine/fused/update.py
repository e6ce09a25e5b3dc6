"""The two kernels of a value, `q_values` and `update`: forward passes over a batch, and gradient steps."""

from __future__ import annotations

import functools
from importlib import import_module
from types import FunctionType
from typing import Any, NamedTuple

from dqn_lab._function import call
from dqn_lab._numba import inline, kernel
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layers import clear
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.network import clear_gradient, collect, num_values, observe, output_place, output_width
from dqn_lab.engine.fused.noise import draw, draw_nothing, spread_gradient, spread_nothing
from dqn_lab.engine.fused.optimizer import take_step
from dqn_lab.engine.fused.simd import either, view
from dqn_lab.engine.fused.workspace import part


class Parts(NamedTuple):
    """A value's own functions, from which its kernels are built.

    Args:
        forward: fills `LAST` with the network's outputs for the observations that were copied.
        backward: backpropagates from the gradient at these outputs.
        reduce: computes the Q-values of some samples from the outputs in `LAST`.
        target: fills `TARGET`; its arguments are those of `expected.target`.
        judge: fills in the priorities and the gradient of the samples whose outputs are in `LAST`, and returns the sums
            of loss and Q(s, a); its arguments are those of `expected.judge`.
    """

    forward: Any
    backward: Any
    reduce: Any
    target: Any
    judge: Any


@functools.cache
def make_kernels(value: str, noisy: bool) -> tuple[Any, Any]:
    """Makes the kernels `q_values` and `update` of a value.

    Args:
        value: the name of its file, which defines its `PARTS`.
        noisy: whether some of the network's layers are noisy.
    """
    parts: Parts = import_module(f"dqn_lab.engine.fused.{value}").PARTS
    noise = (draw, spread_gradient) if noisy else (draw_nothing, spread_nothing)
    evaluate = make_evaluate(parts, noise[0])
    own = {"evaluate": evaluate, "run_passes": make_run_passes(evaluate), "target": parts.target}
    own["descend"] = make_descend(parts, *noise)
    place = f"{value}{'.noisy' if noisy else ''}"
    return _make_kernel(_q_values, "q_values", place, own), _make_kernel(_update, "update", place, own)


def _make_kernel(function: Any, name: str, place: str, own: dict[str, Any]) -> Any:
    """Compiles a copy of a function in which some global names are a value's own.

    On disk, numba identifies kernels by their qualified names, so it would not find a closure again.
    """
    copy = FunctionType(function.__code__, {**globals(), **own}, name)
    copy.__qualname__, copy.__doc__ = f"{place}.{name}", function.__doc__
    return kernel(copy)


evaluate: Any = None  # the value's own, in copies of the two functions that follow
run_passes: Any = None
target: Any = None
descend: Any = None


def _q_values(out, obs, rows, order, params, plan, settings, space):
    """out[b] = Q-values at obs[rows[b]], [B, A]; see `evaluate` for the rest."""
    to, kept = out.reshape(-1), view(space, 0, 0)
    evaluate(to, kept, obs, rows, order, params, layout.ACTING, plan, settings, space)


def _update(
    obs, action, reward, next_obs, discount, rows, weights, order, minibatch_size, lr,
    online, target_network, state, plan, settings, space, priorities,
):  # fmt: skip
    """Computes the targets of a whole batch, then takes a gradient step on each minibatch of it.

    Args:
        obs, action, reward, next_obs, discount: all stored transitions, observations as [N, I].
        rows: [B], the rows of the batch's transitions.
        weights: [B], or empty if all are 1.
        order: [B], the samples in the order in which minibatches of `minibatch_size` take them.
        lr: the learning rate.
        online, target_network: their parameters, flat; the same array if there is no target network.
        state: [3, parameters]: the optimiser's two moments, and the last gradient.
        plan, settings, space: see `layout.py`.
        priorities: [B], filled.

    Returns:
        loss and Q(s, a), averaged over the batch.

    Raises:
        IndexError: a row is not in the memory.
    """
    for row in rows:
        if not 0 <= row < len(action):
            raise IndexError("a row of the batch is not in its memory")
    run_passes(obs, next_obs, rows, order, online, target_network, plan, settings, space)
    target(action, reward, discount, rows, plan, settings, space)
    return descend(
        obs, action, rows, weights, order, minibatch_size, lr, online, state, plan, settings, space, priorities
    )


def make_evaluate(parts: Parts, draw: Any) -> Any:
    """Makes `evaluate`, which evaluates a network at observations.

    Args:
        parts: the value's own functions.
        draw: `draw` of `noise.py`, or `draw_nothing`.
    """
    forward, _, reduce, _, _ = parts

    @inline
    def evaluate(q_values, outputs, obs, rows, order, params, purpose, plan, settings, space):
        """q_values[b] = the Q-values of the network's outputs at obs[rows[b]], [B, A].

        Args:
            q_values: [B · A].
            outputs: [B · A · K], filled with the outputs themselves; or empty.
            obs: [N, I].
            rows: [B].
            order: [B], the order in which the samples 0 … B − 1 are processed.
            params: the network's parameters, flat.
            purpose: the purpose of the forward pass.
            plan, settings: the composition, as `layout.py` has it.
            space: the workspace.
        """
        draw(params, purpose, plan, space)
        used = either(plan[layout.NOISE_SIZE] > 0, part(space, plan, layout.DRAWN), params)
        for start in range(0, len(rows), plan[layout.CHUNK_SIZE]):
            samples = order[start : start + plan[layout.CHUNK_SIZE]]
            observe(obs, rows, samples, plan, space)
            forward(used, samples, purpose, plan, space)
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
    """Makes `run_passes`, which runs the forward passes before the first gradient step with the given `evaluate`."""

    @inline
    def run_passes(obs, next_obs, rows, order, online, target, plan, settings, space):
        """Runs the passes that the composition needs for its targets, and fills `PASS_Q_VALUES` [passes, B, A].

        If a value has several outputs per action, those of `TARGET_NEXT` are kept as well: `NEXT_OUTPUTS` [B, A, K].

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
    """Returns the purpose of a forward pass, which determines its noise."""
    if which == layout.ONLINE_NEXT:
        return layout.SELECTOR
    return layout.ONLINE if which == layout.ONLINE_OBS else layout.TARGET_NOISE


def make_descend(parts: Parts, draw: Any, spread_gradient: Any) -> Any:
    """Makes `descend`, which takes a gradient step on each minibatch of a batch.

    Args:
        parts: the value's own functions.
        draw, spread_gradient: those in `noise.py`, or `draw_nothing` and `spread_nothing`.
    """
    forward, backward, _, _, judge = parts

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
            used = either(plan[layout.NOISE_SIZE] > 0, part(space, plan, layout.DRAWN), online)
            for first in range(0, len(samples), plan[layout.CHUNK_SIZE]):
                chunk = samples[first : first + plan[layout.CHUNK_SIZE]]
                observe(obs, rows, chunk, plan, space)
                forward(used, chunk, layout.ONLINE, plan, space)
                clear_gradient(len(chunk), plan, space)
                share = online.dtype.type(1) / len(samples)
                judged = judge(action, rows, chunk, share, weights, plan, settings, space, priorities)
                step_loss, step_q_value = step_loss + judged[0], step_q_value + judged[1]
                backward(used, grad, len(chunk), plan, space)
            collect(grad, plan, space)
            spread_gradient(grad, plan, space)
            take_step(online, grad, state[0], state[1], lr, plan, settings)
            loss, q_value = loss + step_loss, q_value + step_q_value
        return loss / len(rows), q_value / len(rows)

    return descend


@inline
def begin_step(grad, plan, space):
    """Sets the gradient to 0."""
    clear(grad)
    clear(part(space, plan, layout.BLOCKS))


@inline
def call_update(handed, rows, weights, order, minibatch_size, lr, epsilon, priorities):
    """Calls an update that `FusedEngine.update_kernel` returned; returns its result."""
    update, memory, held, space, noise = handed
    held[4][layout.EPSILON] = epsilon
    return call(update, (*memory, rows, weights, order, minibatch_size, lr, *held, space, priorities, *noise))
