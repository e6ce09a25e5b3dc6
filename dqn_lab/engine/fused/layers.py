"""The operations of a multilayer perceptron's layers in compiled code.

The batch is cut into tiles of `TILE` samples, and a layer's m features are stored as [tiles, m, TILE]: samples lie
side by side, a vector operation does the same for each, and a sample's result does not depend on the rest of the
batch. The padding of the last tile is finite, and its gradient is 0. Arrays have one dimension; comments and docstrings
say which shape they stand for.
"""

from __future__ import annotations

from dqn_lab._numba import inline
from dqn_lab.engine.fused.elementary import hyperbolic_tangent
from dqn_lab.engine.fused.layout import RELU, TILE
from dqn_lab.engine.fused.simd import fill, lanes, load, multiply_add, positive, root, spread, store, total, transpose

NORM_EPS = 1e-5  # as in torch.nn.LayerNorm


# Twelve sums at a time are enough to hide the latency of multiply_add. If fewer than six rows are left, the last one is
# computed several times, with the same result.
@inline
def product(out, bias, left, step, outer_step, inner_step, right, rows, outer, inner, tiles):
    """out[t, r, :] = bias[r] + Σ_o Σ_i left[r · step + o · outer_step + i · inner_step] · right[t, o · inner + i, :].

    Args:
        out: [tiles, rows, TILE].
        bias: [rows], or empty to add to what `out` already contains.
        left: a matrix of `rows` rows, its columns numbered by o and i, laid out by the three steps.
        right: [tiles, outer · inner, TILE].
    """
    for part in range(0, tiles * TILE, 2 * lanes(left)):
        tile, lane = part // TILE, part % TILE
        begin, to = tile * outer * inner * TILE + lane, tile * rows * TILE + lane
        for first in range(0, rows, 6):
            r, r2, r3 = first, min(first + 1, rows - 1), min(first + 2, rows - 1)
            r4, r5, r6 = min(first + 3, rows - 1), min(first + 4, rows - 1), min(first + 5, rows - 1)
            if len(bias):
                a, b, c = spread(bias, r), spread(bias, r2), spread(bias, r3)
                d, e, f = spread(bias, r4), spread(bias, r5), spread(bias, r6)
                a2, b2, c2, d2, e2, f2 = a, b, c, d, e, f
            else:
                a, a2 = _pair(out, to + r * TILE)
                b, b2 = _pair(out, to + r2 * TILE)
                c, c2 = _pair(out, to + r3 * TILE)
                d, d2 = _pair(out, to + r4 * TILE)
                e, e2 = _pair(out, to + r5 * TILE)
                f, f2 = _pair(out, to + r6 * TILE)
            x = begin
            for o in range(outer):
                w = o * outer_step
                for _ in range(inner):
                    v, v2 = _pair(right, x)
                    factor = spread(left, w + r * step)
                    a, a2 = multiply_add(factor, v, a), multiply_add(factor, v2, a2)
                    factor = spread(left, w + r2 * step)
                    b, b2 = multiply_add(factor, v, b), multiply_add(factor, v2, b2)
                    factor = spread(left, w + r3 * step)
                    c, c2 = multiply_add(factor, v, c), multiply_add(factor, v2, c2)
                    factor = spread(left, w + r4 * step)
                    d, d2 = multiply_add(factor, v, d), multiply_add(factor, v2, d2)
                    factor = spread(left, w + r5 * step)
                    e, e2 = multiply_add(factor, v, e), multiply_add(factor, v2, e2)
                    factor = spread(left, w + r6 * step)
                    f, f2 = multiply_add(factor, v, f), multiply_add(factor, v2, f2)
                    w, x = w + inner_step, x + TILE
            _put(out, to + r * TILE, a, a2)
            _put(out, to + r2 * TILE, b, b2)
            _put(out, to + r3 * TILE, c, c2)
            _put(out, to + r4 * TILE, d, d2)
            _put(out, to + r5 * TILE, e, e2)
            _put(out, to + r6 * TILE, f, f2)


@inline
def _pair(array, at):
    """Returns two adjacent vectors."""
    return load(array, at), load(array, at + lanes(array))


@inline
def _put(array, at, a, b):
    """Writes two adjacent vectors."""
    store(array, at, a)
    store(array, at + lanes(array), b)


@inline
def clear(array):
    """Fills an array with 0."""
    for i in range(len(array)):
        array[i] = 0


@inline
def activate(x, activation):
    """X ← max(x, 0) or tanh x."""
    if activation == RELU:
        for i in range(0, len(x), lanes(x)):
            store(x, i, load(x, i) * positive(load(x, i)))
    else:
        for i in range(0, len(x), lanes(x)):
            store(x, i, hyperbolic_tangent(load(x, i)))


@inline
def derive(dy, y, activation):
    """Multiplies dy by f′, where y = f(…)."""
    if activation == RELU:
        for i in range(0, len(y), lanes(y)):
            store(dy, i, load(dy, i) * positive(load(y, i)))
    else:
        one = fill(y.dtype.type(1))
        for i in range(0, len(y), lanes(y)):
            store(dy, i, load(dy, i) * (one - load(y, i) * load(y, i)))


@inline
def normalise(x, normal, scale, weight, bias, width, tiles):
    """Sets x to weight · (x − mean) / √(variance + ε) + bias, over each sample's features.

    Stores the normalised x [tiles, width, TILE] and 1/√… [tiles, TILE] for `denormalise`.
    """
    number = x.dtype.type
    share, eps, one = fill(number(1) / number(width)), fill(number(NORM_EPS)), fill(number(1))
    for sample in range(0, tiles * TILE, lanes(x)):
        begin = sample // TILE * width * TILE + sample % TILE
        mean = variance = fill(number(0))
        for i in range(begin, begin + width * TILE, TILE):
            mean += load(x, i)
        mean *= share
        for i in range(begin, begin + width * TILE, TILE):
            away = load(x, i) - mean
            variance = multiply_add(away, away, variance)
        inverse = one / root(variance * share + eps)
        store(scale, sample, inverse)
        for feature in range(width):
            i = begin + feature * TILE
            away = (load(x, i) - mean) * inverse
            store(normal, i, away)
            store(x, i, multiply_add(spread(weight, feature), away, spread(bias, feature)))


@inline
def denormalise(dy, normal, scale, weight, weight_grad, bias_grad, width, tiles):
    """Turns the gradient at `normalise`'s result into that at its argument, in place; adds to the parameters' one."""
    number, wide = dy.dtype.type, lanes(dy)
    share = fill(number(1) / number(width))
    for feature in range(width):
        weight_sum = bias_sum = fill(number(0))
        for tile in range(tiles):
            begin = (tile * width + feature) * TILE
            for i in range(begin, begin + TILE, wide):
                weight_sum = multiply_add(load(dy, i), load(normal, i), weight_sum)
                bias_sum += load(dy, i)
                store(dy, i, load(dy, i) * spread(weight, feature))
        weight_grad[feature] += total(weight_sum)
        bias_grad[feature] += total(bias_sum)
    for sample in range(0, tiles * TILE, wide):
        begin = sample // TILE * width * TILE + sample % TILE
        mean = slope = fill(number(0))
        for i in range(begin, begin + width * TILE, TILE):
            mean += load(dy, i)
            slope = multiply_add(load(dy, i), load(normal, i), slope)
        mean, slope = mean * share, slope * share
        for i in range(begin, begin + width * TILE, TILE):
            store(dy, i, load(scale, sample) * (load(dy, i) - mean - load(normal, i) * slope))


@inline
def sum_samples(bias_grad, dy, outputs, tiles):
    """bias_grad[r] += Σ dy[:, r, :]."""
    for row in range(outputs):
        bias = fill(dy.dtype.type(0))
        for tile in range(tiles):
            for i in range((tile * outputs + row) * TILE, (tile * outputs + row + 1) * TILE, lanes(dy)):
                bias += load(dy, i)
        bias_grad[row] += total(bias)


@inline
def turn(turned, x, features, tiles):
    """turned[f // TILE, sample, f % TILE] = x[sample // TILE, f, sample % TILE]; the features' padding is arbitrary."""
    for tile in range(tiles):
        for feature in range(0, features, lanes(x)):
            to = (feature // TILE * tiles + tile) * TILE * TILE + feature % TILE
            at = (tile * features + feature) * TILE
            for lane in range(0, TILE, lanes(x)):
                transpose(turned, to + lane * TILE, x, at + lane, TILE)
