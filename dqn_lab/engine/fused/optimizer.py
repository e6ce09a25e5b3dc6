"""The `optimizer` group in compiled code: turns a gradient into a step, in place on flat arrays."""

from __future__ import annotations

import math

import numpy as np

from dqn_lab._numba import inline
from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.simd import fill, lanes, load, multiply_add, total


@inline
def take_step(params, grad, first, second, learning_rate, plan, settings):
    """Takes one step, and counts it.

    Args:
        params: updated in place.
        grad: like params; clipped in place.
        first, second: like params; the optimiser's moments, initially 0.
        learning_rate: α.
    """
    plan[layout.NUM_UPDATES] += 1
    rule, number = plan[layout.OPTIMIZER], plan[layout.NUM_UPDATES]
    _clip_values(grad, settings[layout.MAX_GRAD_VALUE])
    _clip(grad, settings[layout.MAX_GRAD_NORM])
    dtype = params.dtype.type
    lr, eps, momentum = dtype(learning_rate), dtype(settings[layout.EPS]), dtype(settings[layout.MOMENTUM])
    if rule in (
        layout.ADAM,
        layout.ADAMW,
        layout.KERAS_ADAM,
    ):  # Keras adds ε before correcting the second moment, the others after
        shrink = dtype(1 - learning_rate * settings[layout.WEIGHT_DECAY]) if rule == layout.ADAMW else dtype(1)
        rest, spread = 1 - settings[layout.BETA1] ** number, math.sqrt(1 - settings[layout.BETA2] ** number)
        rate = dtype(learning_rate * spread / rest) if rule == layout.KERAS_ADAM else dtype(learning_rate / rest)
        correction = dtype(1) if rule == layout.KERAS_ADAM else dtype(1 / spread)
        _average(first, second, settings, grad)
        for i in range(len(params)):
            params[i] = params[i] * shrink - rate * first[i] / (math.sqrt(second[i]) * correction + eps)
    elif rule == layout.NADAM:
        _average(first, second, settings, grad)
        _step_nadam(params, grad, first, second, learning_rate, number, settings)
    elif rule == layout.RADAM:
        _average(first, second, settings, grad)
        _step_radam(params, first, second, learning_rate, number, settings)
    elif rule == layout.RMSPROP:
        keep, take = dtype(settings[layout.BETA2]), dtype(1 - settings[layout.BETA2])
        for i in range(len(params)):
            second[i] = keep * second[i] + take * grad[i] * grad[i]
            first[i] = momentum * first[i] + grad[i] / (math.sqrt(second[i]) + eps)
            params[i] -= lr * first[i]
    elif rule == layout.RMSPROP_CENTERED:
        _average(first, second, settings, grad)
        for i in range(len(params)):
            variance = second[i] - first[i] * first[i]
            params[i] -= lr * grad[i] / math.sqrt((dtype(0) if variance < 0 else variance) + eps)
    else:
        for i in range(len(params)):
            first[i] = momentum * first[i] + grad[i]
            params[i] -= lr * (grad[i] + momentum * first[i] if plan[layout.NESTEROV] else first[i])


@inline
def _step_nadam(params, grad, first, second, learning_rate, number, settings):
    """Moves parameters by a mean of the gradient and its first moment; like torch, keeps the product in float32."""
    dtype, decay, beta1 = params.dtype.type, settings[layout.MOMENTUM_DECAY], settings[layout.BETA1]
    share = beta1 * (1 - 0.5 * 0.96 ** (number * decay))
    next_share = beta1 * (1 - 0.5 * 0.96 ** ((number + 1) * decay))
    product = np.float64(np.float32(settings[layout.MOMENTUM_PRODUCT]) * np.float32(share))
    settings[layout.MOMENTUM_PRODUCT] = product
    of_grad = dtype(learning_rate * (1 - share) / (1 - product))
    of_first = dtype(learning_rate * next_share / (1 - product * next_share))
    correction, eps = dtype(1 / math.sqrt(1 - settings[layout.BETA2] ** number)), dtype(settings[layout.EPS])
    for i in range(len(params)):
        params[i] -= (of_grad * grad[i] + of_first * first[i]) / (math.sqrt(second[i]) * correction + eps)


@inline
def _step_radam(params, first, second, learning_rate, number, settings):
    """Moves parameters along the first moment, divided by the root of the second as soon as that is reliable."""
    dtype, beta2, most = params.dtype.type, settings[layout.BETA2], 2 / (1 - settings[layout.BETA2]) - 1
    known = most - 2 * number * beta2**number / (1 - beta2**number)
    rate, eps = learning_rate / (1 - settings[layout.BETA1] ** number), dtype(settings[layout.EPS])
    if known > 5:
        trust = math.sqrt((known - 4) * (known - 2) * most / ((most - 4) * (most - 2) * known))
        scaled = dtype(rate * trust * math.sqrt(1 - beta2**number))
        for i in range(len(params)):
            params[i] -= scaled * first[i] / (math.sqrt(second[i]) + eps)
    else:
        plain = dtype(rate)
        for i in range(len(params)):
            params[i] -= plain * first[i]


@inline
def _average(first, second, settings, grad):
    """Updates the moments: m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g²."""
    dtype = grad.dtype.type
    keep1, take1 = dtype(settings[layout.BETA1]), dtype(1 - settings[layout.BETA1])
    keep2, take2 = dtype(settings[layout.BETA2]), dtype(1 - settings[layout.BETA2])
    for i in range(len(grad)):
        first[i] = keep1 * first[i] + take1 * grad[i]
        second[i] = keep2 * second[i] + take2 * grad[i] * grad[i]


@inline
def _clip_values(grad, max_value):
    """Clips each number of a gradient to ± `max_value`; leaves NaN."""
    if max_value == math.inf:
        return
    limit = grad.dtype.type(max_value)
    for i in range(len(grad)):
        if grad[i] > limit:
            grad[i] = limit
        elif grad[i] < -limit:
            grad[i] = -limit


@inline
def _clip(grad, max_norm):
    """Shrinks a gradient whose Euclidean norm is larger than `max_norm`, as `torch.nn.utils.clip_grad_norm_` does."""
    if max_norm == math.inf:
        return
    squares, whole = fill(grad.dtype.type(0)), len(grad) - len(grad) % lanes(grad)
    for i in range(0, whole, lanes(grad)):
        squares = multiply_add(load(grad, i), load(grad, i), squares)
    norm = total(squares)
    for i in range(whole, len(grad)):
        norm += grad[i] * grad[i]
    factor = max_norm / (math.sqrt(norm) + 1e-6)
    if not factor >= 1:  # also if the norm is NaN, which then spreads to the whole gradient, as in torch
        for i in range(len(grad)):
            grad[i] *= grad.dtype.type(factor)
