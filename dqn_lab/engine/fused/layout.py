"""How a composition is written down for the kernels: what each entry of their arrays means.

Beside the legend of `types.py`, I stands for a network's inputs: an observation's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

# what an entry of the plan may be
RELU, TANH = range(2)  # activations
MAX, DOUBLE, MUNCHAUSEN = range(3)  # bootstraps
ADAM, ADAMW, KERAS_ADAM, RMSPROP, SGD = range(5)  # optimizers
TARGET_NEXT, ONLINE_NEXT, ONLINE_OBS, TARGET_OBS, NUM_PASSES = range(5)  # forward passes before the first step

# the plan (int64): the composition; the gradient steps taken so far; which forward passes are needed; where each part
# of the workspace begins, and the last one ends; from `LAYERS` on a row of `FIELDS` for each linear layer; and, if
# states are read as one-hot, from `plan[STATES]` on a row of `STATE_FIELDS` for each number of an observation
(
    ACTIVATION, LAYER_NORM, DUELING, BOOTSTRAP, OPTIMIZER, NESTEROV, HUBER, ALL_ACTIONS,
    NUM_ACTIONS, NUM_OUTPUTS, TARGET_SIZE, NUM_UPDATES, NUM_LAYERS, STATES, PASSES,
) = range(15)  # fmt: skip
PARTS = PASSES + NUM_PASSES
(
    PASS_OUTPUTS, PASS_Q_VALUES, PROBABILITIES, NEXT_SHIFT, MEAN, BONUS, TARGET,
    BLOCKS, ZEROS, HIDDEN, NORMAL, NORM_SCALE, LAST, GRADIENT, NEXT_GRADIENT, TURNED, PARTS_END,
) = range(PARTS, PARTS + 17)  # fmt: skip
LAYERS = PARTS_END + 1
# a layer: its features, where its parameters begin, where the gradient of its weight is summed up, and how many
# features the layers before it have
INPUTS, OUTPUTS, WEIGHT, BIAS, GAIN, SHIFT, BLOCK, FEATURES, FIELDS = range(9)
# a number that is a state: the first of its inputs, its least value, and how many values it can have
FIRST_INPUT, LEAST, NUM_VALUES, STATE_FIELDS = range(4)

# the settings (float64)
SETTINGS = (
    "beta1", "beta2", "eps", "weight_decay", "momentum", "max_grad_value", "max_grad_norm",
    "kappa", "scale", "temperature", "clip",
)  # fmt: skip
BETA1, BETA2, EPS, WEIGHT_DECAY, MOMENTUM, MAX_GRAD_VALUE, MAX_GRAD_NORM, KAPPA, SCALE, TEMPERATURE, CLIP = range(11)

TILE = 16  # samples that the kernels work on together; two vectors of float32, four of float64
CHUNK = 4  # tiles that go forward and backward before the next do: few enough to stay in the nearest cache


def layer_rows(widths: Sequence[int], layer_norm: bool) -> list[list[int]]:
    """Returns a row of the plan for each linear layer: the one description of how parameters lie in a flat array.

    They have the order of `torch.nn.Module.parameters`. A dueling network's streams are one last layer, the value's
    rows before the advantages'.

    Args:
        widths: features from the observation to the outputs.
        layer_norm: whether hidden layers are normalised, by a gain and a shift for each feature.
    """
    rows, place, block, features = [], 0, 0, 0
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        bias = place + inputs * outputs
        gain = bias + outputs
        normalised = layer_norm and layer < len(widths) - 2
        shift = gain + outputs * normalised
        rows.append([inputs, outputs, place, bias, gain, shift, block, features])
        place = shift + outputs * normalised
        block += round_up(inputs) * outputs
        features += inputs
    return rows


def linear_layers(plan: Any) -> Any:
    """Returns the plan's rows of linear layers, [layers, FIELDS]."""
    return plan[LAYERS : LAYERS + plan[NUM_LAYERS] * FIELDS].reshape(-1, FIELDS)


def num_observed(plan: Any) -> int:
    """Returns how many numbers an observation has: as many as there are inputs, unless they are read as one-hot."""
    return int((len(plan) - plan[STATES]) // STATE_FIELDS if plan[STATES] else plan[LAYERS + INPUTS])


def round_up(number: Any) -> Any:
    """Returns the smallest multiple of `TILE` that is not below an integer, or an array of them."""
    return -(-number // TILE) * TILE
