"""Noisy layers in compiled code: the network treats them as plain ones, whose parameters are drawn for each pass.

`NOISE` [purposes, D] holds the noise of an update and of acting, or 0 for no noise. `FRACTIONS` [B, …] holds the
fractions of an implicit quantile network; in each row, those of one purpose follow those of the other.
"""

from __future__ import annotations

import math

from dqn_lab._function import call, draw_normals, draw_single
from dqn_lab._numba import inline, kernel
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.simd import fill, lanes, load, multiply_add, store
from dqn_lab.engine.fused.workspace import part


@inline
def draw(params, purpose, plan, space):
    """Fills `DRAWN` with a network's noisy parameters, μ + σ ⊙ ε."""
    noise, out = part(space, plan, layout.NOISE), part(space, plan, layout.DRAWN)
    start, end = purpose * plan[layout.NOISE_SIZE], _places(plan, plan[layout.FIRST_NOISY])[2]
    for i in range(end):  # of the layers before the noisy ones
        out[i] = params[i]
    for layer in range(plan[layout.FIRST_NOISY], plan[layout.NUM_LAYERS]):
        inputs, outputs, weight, bias, sigma = _places(plan, layer)
        for row in range(outputs):
            into, of = _noise_places(plan, layer, row, start)
            to, by, factor = weight + row * inputs, sigma + row * inputs, noise[of]
            for i in range(0, inputs - inputs % lanes(out), lanes(out)):
                scaled = load(params, by + i) * load(noise, into + i)
                store(out, to + i, multiply_add(fill(factor), scaled, load(params, to + i)))
            for i in range(inputs - inputs % lanes(out), inputs):
                out[to + i] = params[to + i] + params[by + i] * noise[into + i] * factor
            out[bias + row] = params[bias + row] + params[sigma + outputs * inputs + row] * factor
        for i in range(bias + outputs, sigma):  # of a norm
            out[i] = params[i]
        start, end = _noise_places(plan, layer, outputs, start)[1], sigma + (inputs + 1) * outputs
    for i in range(end, len(params)):  # of an embedding
        out[i] = params[i]


@inline
def spread_gradient(grad, plan, space):
    """Computes the gradient of every σ from that of its μ, with the noise of the `ONLINE` pass."""
    noise, start = part(space, plan, layout.NOISE), layout.ONLINE * plan[layout.NOISE_SIZE]
    for layer in range(plan[layout.FIRST_NOISY], plan[layout.NUM_LAYERS]):
        inputs, outputs, weight, bias, sigma = _places(plan, layer)
        for row in range(outputs):
            into, of = _noise_places(plan, layer, row, start)
            at, to, factor = weight + row * inputs, sigma + row * inputs, noise[of]
            for i in range(0, inputs - inputs % lanes(grad), lanes(grad)):
                store(grad, to + i, load(grad, at + i) * (fill(factor) * load(noise, into + i)))
            for i in range(inputs - inputs % lanes(grad), inputs):
                grad[to + i] = grad[at + i] * (factor * noise[into + i])
            grad[sigma + outputs * inputs + row] = grad[bias + row] * factor
        start = _noise_places(plan, layer, outputs, start)[1]


@inline
def draw_nothing(params, purpose, plan, space):
    """Replaces `draw` if no layer is noisy."""


@inline
def spread_nothing(grad, plan, space):
    """Replaces `spread_gradient` if no layer is noisy."""


@inline
def _places(plan, layer):
    """Returns a layer's numbers of inputs and outputs, and where its weight, its bias and its σ begin."""
    row = layout.LAYERS + layer * layout.FIELDS
    parameters = plan[row + layout.WEIGHT], plan[row + layout.BIAS], plan[row + layout.SIGMA]
    return plan[row + layout.INPUTS], plan[row + layout.OUTPUTS], *parameters


@inline
def _noise_places(plan, layer, row, start):
    """Returns where the noise of a row's inputs begins, and where that of its output is.

    A dueling network's last layer consists of two, each with separate noise for the same inputs.
    """
    inputs, outputs, _, _, _ = _places(plan, layer)
    first = plan[layout.NUM_OUTPUTS] if plan[layout.DUELING] and layer == plan[layout.NUM_LAYERS] - 1 else outputs
    second = row >= first and first < outputs
    return start + second * (inputs + first), start + (1 + second) * inputs + row


@inline
def fraction_places(purpose, plan):
    """Returns where in a row of `FRACTIONS` those of a purpose begin, and how many numbers such a row has."""
    first = width = 0
    for other in range(len(layout.PURPOSES)):
        first += plan[layout.COUNTS + other] if other < purpose else 0
        width += plan[layout.COUNTS + other]
    return first, width


@inline
def draw_noise(purpose, num_rows, noise, plan, space):
    """Draws a forward pass's noise as its network does in Python.

    Args:
        num_rows: the number of rows of the forward pass.
        noise: the source of each purpose's noise, [purposes, 5] (see `source_of_noise`), and room for the noise, [D].
    """
    sources, room = noise
    kept, start = part(space, plan, layout.NOISE), purpose * plan[layout.NOISE_SIZE]
    if plan[layout.NOISE_SIZE]:
        draw_normals(sources[purpose], room)
        for i in range(plan[layout.NOISE_SIZE]):
            kept[start + i] = math.copysign(math.sqrt(abs(room[i])), room[i])
    if plan[layout.NUM_COSINES]:
        fractions, (first, width) = part(space, plan, layout.FRACTIONS), fraction_places(purpose, plan)
        for row in range(num_rows):
            for i in range(plan[layout.COUNTS + purpose]):
                fractions[row * width + first + i] = draw_single(sources[purpose])


@kernel
def act(out, obs, rows, order, params, plan, settings, space, q_values, noise):
    """Draws noise, then calls a value's `q_values`."""
    draw_noise(layout.ACTING, len(rows), noise, plan, space)
    call(q_values, (out, obs, rows, order, params, plan, settings, space))


@kernel
def learn(
    obs, action, reward, next_obs, discount, rows, weights, order, minibatch_size, lr,
    online, target_network, state, plan, settings, space, priorities, update, noise,
):  # fmt: skip
    """Draws noise, then calls a value's `update`, and returns its result."""
    for purpose in range(layout.ACTING):
        draw_noise(purpose, len(rows), noise, plan, space)
    batch = obs, action, reward, next_obs, discount, rows, weights, order, minibatch_size, lr
    return call(update, (*batch, online, target_network, state, plan, settings, space, priorities))
