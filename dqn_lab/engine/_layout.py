"""How a composition is written down for the kernels: where each entry stands, and what its values mean."""

from __future__ import annotations

from itertools import pairwise

# a plan (int64): choices, the gradient steps taken so far, and from `WIDTHS` on the features of each layer: a
# dueling network's last has a value, then the advantages
ACTIVATION, LAYER_NORM, DUELING, BOOTSTRAP, HUBER, ALL_ACTIONS, RULE, NUMBER, WIDEST, WIDTHS = range(10)
RELU, TANH = range(2)  # activations
MAX, DOUBLE, MUNCHAUSEN = range(3)  # bootstraps
ADAM, ADAMW, KERAS_ADAM, RMSPROP, SGD, NESTEROV = range(6)  # rules

# the settings (float64)
BETA1, BETA2, EPS, WEIGHT_DECAY, MOMENTUM, MAX_GRAD_VALUE, MAX_GRAD_NORM = range(7)
KAPPA, SCALE, TEMPERATURE, CLIP, NUM_SETTINGS = range(7, 12)

TILE = 16  # samples that the kernels work on together; two vectors of float32, four of float64
CHUNK = 4  # tiles that go forward and backward before the next do: few enough to stay in the nearest cache


def space_needed(widths: list[int], batch_size: int) -> int:
    """Gives how many numbers of room an update of so many samples takes."""
    across = -(-max(widths) // TILE) * TILE
    blocks = sum(-(-inputs // TILE) * TILE * outputs for inputs, outputs in pairwise(widths))
    chunk = CHUNK * TILE * (2 * sum(widths) + len(widths) + 2 * max(widths) + across)
    return batch_size * (1 + 4 * widths[-1]) + max(widths) + blocks + chunk
