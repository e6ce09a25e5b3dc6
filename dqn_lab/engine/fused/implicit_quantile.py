"""Quantiles at drawn fractions in compiled code: features times an embedding of the fraction, then the last layer.

Pairs of a fraction and a sample pass through the last layer, as samples do elsewhere: the pair of the i-th fraction and
the j-th of S samples is number i · S + j, where S is at most `TILE`. The results are stored in `LAST` as if an action
had one output per fraction, so that the rest of the code sees a network of quantiles.
"""

from __future__ import annotations

import math

import numpy as np

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.dueling import join_streams, part_streams
from dqn_lab.engine.fused.elementary import cosine, sine
from dqn_lab.engine.fused.layers import activate, clear, product
from dqn_lab.engine.fused.layout import RELU, TILE
from dqn_lab.engine.fused.network import differentiate, places, propagate, propagate_back
from dqn_lab.engine.fused.noise import fraction_places
from dqn_lab.engine.fused.quantile import make_judge, mean, target
from dqn_lab.engine.fused.simd import fill, lanes, load, positive, store, view
from dqn_lab.engine.fused.update import Parts
from dqn_lab.engine.fused.workspace import part


@inline
def tau(i, j, plan, space):
    """Returns the i-th fraction of each of some samples, from j on."""
    return load(part(space, plan, layout.TAUS), i * TILE + j)


@inline
def forward(params, samples, purpose, plan, space):
    """Computes the quantiles of the observations that were copied: `LAST`, [1, A · M, TILE] for M fractions."""
    last, one, count = plan[layout.NUM_LAYERS] - 1, np.int64(1), plan[layout.COUNTS + purpose]
    pairs, outputs = part(space, plan, layout.PAIRS), part(space, plan, layout.PAIR_OUTPUTS)
    embedded, num_cosines = part(space, plan, layout.EMBEDDED), plan[layout.NUM_COSINES]
    tiles = (count * len(samples) + TILE - 1) // TILE
    row, features, width, _, _ = places(plan, last, 0)
    propagate(params, last, plan, space, one)
    fill_cosines(samples, purpose, plan, space)
    weight = view(params, plan[row + layout.FIELDS + layout.WEIGHT], num_cosines * features)
    bias = view(params, plan[row + layout.FIELDS + layout.BIAS], features)
    cosines = part(space, plan, layout.COSINES)
    product(embedded, bias, weight, num_cosines, one, one, cosines, features, one, num_cosines, tiles)
    activate(view(embedded, 0, tiles * TILE * features), RELU)
    multiply(pairs, embedded, count, len(samples), plan, space)
    weight = view(params, plan[row + layout.WEIGHT], features * width)
    bias = view(params, plan[row + layout.BIAS], width)
    product(outputs, bias, weight, features, one, one, pairs, width, one, features, tiles)
    if plan[layout.DUELING]:
        join_streams(outputs, plan[layout.NUM_ACTIONS], one, tiles)
    result, values = part(space, plan, layout.LAST), plan[layout.DUELING]
    for i in range(count):
        for a in range(plan[layout.NUM_ACTIONS]):
            for j in range(len(samples)):
                at = pair_place(i * len(samples) + j, values + a, width)
                result[(a * count + i) * TILE + j] = outputs[at]


@inline
def backward(params, grad, num_samples, plan, space):
    """Adds to the gradient of every parameter from `GRADIENT`, as `network.backward` does."""
    last, one, count = plan[layout.NUM_LAYERS] - 1, np.int64(1), plan[layout.COUNTS + layout.ONLINE]
    pairs, dy = part(space, plan, layout.PAIRS), part(space, plan, layout.PAIR_OUTPUTS)
    dx, at_outputs = part(space, plan, layout.PAIR_GRADIENT), part(space, plan, layout.GRADIENT)
    tiles = (count * num_samples + TILE - 1) // TILE
    row, features, width, _, _ = places(plan, last, 0)
    values = plan[layout.DUELING]
    clear(view(dy, 0, tiles * TILE * width))
    for i in range(count):
        for a in range(plan[layout.NUM_ACTIONS]):
            for j in range(num_samples):
                dy[pair_place(i * num_samples + j, values + a, width)] = at_outputs[(a * count + i) * TILE + j]
    if plan[layout.DUELING]:
        part_streams(dy, plan[layout.NUM_ACTIONS], one, tiles)
    differentiate(grad, last, dy, pairs, plan, space, tiles)
    weight = view(params, plan[row + layout.WEIGHT], features * width)
    product(dx, part(space, plan, layout.ZEROS), weight, one, one, features, dy, features, one, width, tiles)
    divide(dx, count, num_samples, plan, space)
    differentiate(grad, last + 1, dx, part(space, plan, layout.COSINES), plan, space, tiles)
    propagate_back(params, grad, last, plan, space, one)


@inline
def pair_place(pair, feature, width):
    """Returns where one of a pair's features is, in [tiles, width, TILE]."""
    return (pair // TILE * width + feature) * TILE + pair % TILE


@inline
def fill_cosines(samples, purpose, plan, space):
    """Fills `COSINES` [tiles, n, TILE] with cos(π i τ), and copies τ to `TAUS`, by sample, and `PAIR_TAUS`, by pair."""
    fractions, cosines = part(space, plan, layout.FRACTIONS), part(space, plan, layout.COSINES)
    taus, paired = part(space, plan, layout.TAUS), part(space, plan, layout.PAIR_TAUS)
    (first, row_size), count, number = fraction_places(purpose, plan), plan[layout.COUNTS + purpose], space.dtype.type
    tiles, size = (count * len(samples) + TILE - 1) // TILE, plan[layout.NUM_COSINES]
    clear(view(paired, 0, tiles * TILE))
    for i in range(count):
        for j in range(TILE):
            taus[i * TILE + j] = fractions[samples[j] * row_size + first + i] if j < len(samples) else 0
            if j < len(samples):
                paired[i * len(samples) + j] = taus[i * TILE + j]
    half, pi, zero = fill(number(0.5)), fill(number(math.pi)), fill(number(0))
    for pair in range(0, tiles * TILE, lanes(paired)):
        angle = (load(paired, pair) - half) * pi  # cos(π τ) = −sin of it, sin(π τ) = cos of it
        turn_cosine, turn_sine = zero - sine(angle), cosine(angle)
        own_cosine, own_sine = fill(number(1)), zero
        for i in range(size):
            store(cosines, pair_place(pair, i, size), own_cosine)
            own_cosine, own_sine = (
                own_cosine * turn_cosine - own_sine * turn_sine, own_sine * turn_cosine + own_cosine * turn_sine
            )  # fmt: skip


@inline
def multiply(pairs, embedded, count, num_samples, plan, space):
    """pairs[i, j] = features[j] ⊙ embedded[i, j]; zeros pad the last tile."""
    _, features, _, begin, _ = places(plan, plan[layout.NUM_LAYERS] - 1, TILE)
    x = view(part(space, plan, layout.HIDDEN), begin, TILE * features)
    if num_samples == TILE:
        for i in range(0, count * TILE * features, TILE * features):
            for at in range(0, TILE * features, lanes(x)):
                store(pairs, i + at, load(x, at) * load(embedded, i + at))
        return
    tiles = (count * num_samples + TILE - 1) // TILE
    for pair in range(tiles * TILE):
        for feature in range(features):
            at = pair_place(pair, feature, features)
            used = pair < count * num_samples
            pairs[at] = x[feature * TILE + pair % num_samples] * embedded[at] if used else 0


@inline
def divide(dx, count, num_samples, plan, space):
    """Turns the gradient at pairs into that at the embedding before its relu; fills `GRADIENT` with the features'."""
    _, features, _, begin, _ = places(plan, plan[layout.NUM_LAYERS] - 1, TILE)
    x, embedded = view(part(space, plan, layout.HIDDEN), begin, TILE * features), part(space, plan, layout.EMBEDDED)
    dy = part(space, plan, layout.GRADIENT)
    clear(view(dy, 0, TILE * features))
    if num_samples == TILE:
        for i in range(0, count * TILE * features, TILE * features):
            for at in range(0, TILE * features, lanes(x)):
                slope, other = load(dx, i + at), load(embedded, i + at)
                store(dy, at, load(dy, at) + slope * other)
                store(dx, i + at, slope * load(x, at) * positive(other))
        return
    for pair in range(count * num_samples):
        for feature in range(features):
            at, to = pair_place(pair, feature, features), feature * TILE + pair % num_samples
            dy[to] += dx[at] * embedded[at]
            dx[at] = dx[at] * x[to] if embedded[at] > 0 else 0


PARTS = Parts(forward, backward, mean, target, make_judge(tau))
