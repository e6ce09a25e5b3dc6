"""The forward and backward pass of a multilayer perceptron in compiled code.

The network's shape is in the plan, so everything is compiled only once for float32 and once for float64. `layers.py`
describes how activations are stored, `layout.layer_rows` how parameters are.
"""

from __future__ import annotations

import numpy as np

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.dueling import join_streams, part_streams
from dqn_lab.engine.fused.layers import activate, clear, denormalise, derive, normalise, product, sum_samples, turn
from dqn_lab.engine.fused.layout import TILE
from dqn_lab.engine.fused.simd import lanes, load, store, view
from dqn_lab.engine.fused.workspace import part


@inline
def observe(obs, rows, samples, plan, space):
    """Copies observations to where `forward` reads them, states as one-hot; zeros pad the last tile.

    Args:
        obs: [N, I]; for states [N, numbers].
        rows: [B], the batch's rows in `obs`.
        samples: the batch's samples to copy, at most `CHUNK` tiles.

    Returns:
        the number of tiles.
    """
    x, states = part(space, plan, layout.HIDDEN), plan[layout.STATES]
    width, tiles = plan[layout.LAYERS + layout.INPUTS], (len(samples) + TILE - 1) // TILE
    if states:
        clear(view(x, 0, tiles * width * TILE))
        for j in range(len(samples)):
            for number in range(obs.shape[1]):
                row = states + number * layout.STATE_FIELDS
                value = int(obs[rows[samples[j]], number]) - plan[row + layout.LEAST]
                if 0 <= value < plan[row + layout.NUM_VALUES]:
                    x[(j // TILE * width + plan[row + layout.FIRST_INPUT] + value) * TILE + j % TILE] = 1
        return tiles
    for j in range(len(samples)):
        row, to = rows[samples[j]], j // TILE * width * TILE + j % TILE
        for i in range(width):
            x[to + i * TILE] = obs[row, i]
    for j in range(len(samples), tiles * TILE):
        for i in range(width):
            x[(j // TILE * width + i) * TILE + j % TILE] = 0
    return tiles


@inline
def forward(params, samples, purpose, plan, space):
    """Computes the outputs of the observations that `observe` copied: `LAST`, [tiles, A · K, TILE].

    With dueling, K rows of values precede them, [tiles, (1 + A) · K, TILE]. Activations stay in `HIDDEN`.

    Args:
        params: the network's parameters, flat.
        samples: the samples whose observations were copied.
        purpose: the purpose of the pass, unused here.
    """
    tiles = (len(samples) + TILE - 1) // TILE
    propagate(params, plan[layout.NUM_LAYERS], plan, space, tiles)
    if plan[layout.DUELING]:
        join_streams(part(space, plan, layout.LAST), plan[layout.NUM_ACTIONS], plan[layout.NUM_OUTPUTS], tiles)


@inline
def propagate(params, num_layers, plan, space, tiles):
    """Applies the first layers; the network's last layer writes to `LAST`, all others write to `HIDDEN`."""
    x, normal = part(space, plan, layout.HIDDEN), part(space, plan, layout.NORMAL)
    scale, result = part(space, plan, layout.NORM_SCALE), part(space, plan, layout.LAST)
    last, samples, one = plan[layout.NUM_LAYERS] - 1, tiles * TILE, np.int64(1)
    for layer in range(num_layers):
        row, inputs, outputs, begin, end = places(plan, layer, samples)
        weight = view(params, plan[row + layout.WEIGHT], inputs * outputs)
        bias, size = view(params, plan[row + layout.BIAS], outputs), samples * outputs
        y = view(x, end, size) if layer < last else view(result, 0, size)
        product(y, bias, weight, inputs, one, one, view(x, begin, samples * inputs), outputs, one, inputs, tiles)
        if layer < last:
            if plan[layout.LAYER_NORM]:
                kept, inverse = view(normal, end, size), view(scale, layer * samples, samples)
                gain, shift = plan[row + layout.GAIN], plan[row + layout.SHIFT]
                normalise(y, kept, inverse, view(params, gain, outputs), view(params, shift, outputs), outputs, tiles)
            activate(y, plan[layout.ACTIVATION])


@inline
def places(plan, layer, samples):
    """Returns a layer's row in the plan, its features, and where in `HIDDEN` its inputs and its outputs begin."""
    row = layout.LAYERS + layer * layout.FIELDS
    inputs, begin = plan[row + layout.INPUTS], samples * plan[row + layout.FEATURES]
    return row, inputs, plan[row + layout.OUTPUTS], begin, begin + samples * inputs


@inline
def num_values(plan):
    """Returns how many rows of values precede a tile's outputs: K with dueling, but none with fractions."""
    return 0 if plan[layout.NUM_COSINES] else plan[layout.DUELING] * plan[layout.NUM_OUTPUTS]


@inline
def output_width(purpose, plan):
    """Returns how many rows a tile of `LAST` has, including the values."""
    return num_values(plan) + plan[layout.NUM_ACTIONS] * plan[layout.COUNTS + purpose]


@inline
def output_place(j, width, values):
    """Returns where in `LAST` the first output of a sample's first action is; others are TILE apart."""
    return (j // TILE * width + values) * TILE + j % TILE


@inline
def clear_gradient(num_samples, plan, space):
    """Sets the gradient at the outputs to 0."""
    tiles = (num_samples + TILE - 1) // TILE
    clear(view(part(space, plan, layout.GRADIENT), 0, tiles * TILE * output_width(layout.ONLINE, plan)))


@inline
def backward(params, grad, num_samples, plan, space):
    """Adds to the gradient of every parameter; that of linear layers' weights stays in `BLOCKS` until `collect`.

    Args:
        params: the parameters that `forward` used.
        grad: like params.
        num_samples: the number of samples in `GRADIENT`, the gradient at the outputs in `LAST`.
    """
    tiles = (num_samples + TILE - 1) // TILE
    if plan[layout.DUELING]:
        part_streams(part(space, plan, layout.GRADIENT), plan[layout.NUM_ACTIONS], plan[layout.NUM_OUTPUTS], tiles)
    propagate_back(params, grad, plan[layout.NUM_LAYERS], plan, space, tiles)


@inline
def propagate_back(params, grad, num_layers, plan, space, tiles):
    """Goes back through the first layers, starting from `GRADIENT` at the outputs of the last one of these."""
    x, normal = part(space, plan, layout.HIDDEN), part(space, plan, layout.NORMAL)
    scale, zeros = part(space, plan, layout.NORM_SCALE), part(space, plan, layout.ZEROS)
    dy, dx = part(space, plan, layout.GRADIENT), part(space, plan, layout.NEXT_GRADIENT)
    last, samples, one = plan[layout.NUM_LAYERS] - 1, tiles * TILE, np.int64(1)
    for layer in range(num_layers - 1, -1, -1):
        row, inputs, outputs, begin, end = places(plan, layer, samples)
        size = samples * outputs
        if layer < last:
            derive(dy, view(x, end, size), plan[layout.ACTIVATION])
            if plan[layout.LAYER_NORM]:
                kept, inverse = view(normal, end, size), view(scale, layer * samples, samples)
                gain, shift = plan[row + layout.GAIN], plan[row + layout.SHIFT]
                gain_grad, shift_grad = view(grad, gain, outputs), view(grad, shift, outputs)
                denormalise(dy, kept, inverse, view(params, gain, outputs), gain_grad, shift_grad, outputs, tiles)
        differentiate(grad, layer, dy, view(x, begin, samples * inputs + TILE * TILE), plan, space, tiles)
        if layer:
            weight = view(params, plan[row + layout.WEIGHT], inputs * outputs)
            product(dx, zeros, weight, one, one, inputs, dy, inputs, one, outputs, tiles)
            dy, dx = dx, dy


@inline
def differentiate(grad, layer, dy, x, plan, space, tiles):
    """Adds to the gradient of a linear layer's parameters.

    Args:
        dy: the gradient at the layer's outputs, [tiles, outputs, TILE].
        x: the layer's inputs, [tiles, inputs, TILE], and one more tile.
    """
    blocks, turned = part(space, plan, layout.BLOCKS), part(space, plan, layout.TURNED)
    row, inputs, outputs, _, _ = places(plan, layer, 0)
    across, one, tile = (inputs + TILE - 1) // TILE, np.int64(1), np.int64(TILE)
    sum_samples(view(grad, plan[row + layout.BIAS], outputs), dy, outputs, tiles)
    turn(turned, x, inputs, tiles)
    block = view(blocks, plan[row + layout.BLOCK], across * TILE * outputs)
    product(block, view(blocks, 0, 0), dy, tile, outputs * TILE, one, turned, outputs, tiles, tile, across)


@inline
def collect(grad, plan, space):
    """Copies the gradient of the linear layers' weights from `BLOCKS` to its place in grad."""
    blocks = part(space, plan, layout.BLOCKS)
    for layer in range(plan[layout.NUM_LAYERS] + (plan[layout.NUM_COSINES] > 0)):
        place, inputs, outputs, _, _ = places(plan, layer, 0)
        weight, block = plan[place + layout.WEIGHT], plan[place + layout.BLOCK]
        whole = inputs - inputs % lanes(grad)
        for row in range(outputs):
            to = weight + row * inputs
            for i in range(0, whole, lanes(grad)):
                store(grad, to + i, load(blocks, block + (i // TILE * outputs + row) * TILE + i % TILE))
            for i in range(whole, inputs):
                grad[to + i] = blocks[block + (i // TILE * outputs + row) * TILE + i % TILE]
