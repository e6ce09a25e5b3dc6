"""How a composition is encoded for the kernels: the meaning of each entry of their arrays.

In addition to the letters of `types.py`, I is the number of a network's inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

# what an entry of the plan may be
RELU, TANH = range(2)  # activations
MAX, DOUBLE, MUNCHAUSEN, EXPECTED_SARSA = range(4)  # bootstraps
MIXTURES = (MUNCHAUSEN, EXPECTED_SARSA)  # the bootstraps in which several next actions have a probability
ADAM, ADAMW, KERAS_ADAM, RMSPROP, SGD, NADAM, RADAM, RMSPROP_CENTERED = range(8)  # optimizers
TARGET_NEXT, ONLINE_NEXT, ONLINE_OBS, TARGET_OBS, NUM_PASSES = range(5)  # forward passes before the first step
PURPOSES = "online", "selector", "target", "acting"  # of forward passes, each with its own noise
ONLINE, SELECTOR, TARGET_NOISE, ACTING = range(4)
LOSS, Q_VALUE, PRIORITY, JUDGEMENTS = range(4)  # of a sample

# the plan (int64): the composition, in which `NUM_MIXED` is the number of next actions whose distributions a target can
# mix, all or one; the gradient steps taken so far; how many samples go forward and backward together; how many layers
# precede the first noisy one; for each purpose of a forward pass, an action's number of outputs, K or the number of
# fractions; which passes are needed; where each part of the workspace begins, and where the last one ends; from
# `LAYERS` on, a row of `FIELDS` for each linear layer, an embedding's last; and, if states become one-hot, from
# `plan[STATES]` on, a row of `STATE_FIELDS` for each number of an observation
(
    ACTIVATION, LAYER_NORM, DUELING, BOOTSTRAP, OPTIMIZER, NESTEROV, DISTRIBUTION, HUBER, ALL_ACTIONS,
    NUM_ACTIONS, NUM_OUTPUTS, NUM_MIXED, TARGET_SIZE, NUM_UPDATES, NUM_LAYERS, NOISE_SIZE, NUM_COSINES, CHUNK_SIZE,
    STATES, FIRST_NOISY, COUNTS,
) = range(21)  # fmt: skip
PASSES = COUNTS + len(PURPOSES)
PARTS = PASSES + NUM_PASSES
(
    PASS_Q_VALUES, NEXT_OUTPUTS, PROBABILITIES, NEXT_SHIFT, MEAN, BONUS, TARGET, TAKEN, GOAL, JUDGED, NOISE, DRAWN,
    FRACTIONS, TAUS, PAIR_TAUS, COSINES, EMBEDDED, PAIRS, PAIR_OUTPUTS, PAIR_GRADIENT,
    BLOCKS, ZEROS, HIDDEN, NORMAL, NORM_SCALE, LAST, GRADIENT, NEXT_GRADIENT, TURNED, PARTS_END,
) = range(PARTS, PARTS + 30)  # fmt: skip
LAYERS = PARTS_END + 1
# a layer: its numbers of features, where its parameters begin (σ: the weight's, then the bias's), where the gradient
# of its weight is summed up, and how many features all earlier layers have
INPUTS, OUTPUTS, WEIGHT, BIAS, GAIN, SHIFT, SIGMA, BLOCK, FEATURES, FIELDS = range(10)
# a number of a state: its first input, its smallest value, and the number of its possible values
FIRST_INPUT, LEAST, NUM_VALUES, STATE_FIELDS = range(4)

# the settings (float64); the last two change: the policy's ε, and the product of nadam's shares of momentum so far
SETTINGS = (
    "beta1", "beta2", "eps", "weight_decay", "momentum", "momentum_decay", "max_grad_value", "max_grad_norm",
    "kappa", "v_min", "v_max", "scale", "temperature", "clip", "epsilon", "momentum_product",
)  # fmt: skip
(
    BETA1, BETA2, EPS, WEIGHT_DECAY, MOMENTUM, MOMENTUM_DECAY, MAX_GRAD_VALUE, MAX_GRAD_NORM,
    KAPPA, V_MIN, V_MAX, SCALE, TEMPERATURE, CLIP, EPSILON, MOMENTUM_PRODUCT,
) = range(16)  # fmt: skip

TILE = 16  # samples that the kernels work on together; two vectors of float32, four of float64
CHUNK = 4  # tiles that go forward and backward together: few enough to stay in the nearest cache


def layer_rows(widths: Sequence[int], layer_norm: bool, first_noisy: int, num_cosines: int = 0) -> list[list[int]]:
    """Returns a row of the plan for each linear layer: this defines the order of parameters in a flat array.

    They have the order of `torch.nn.Module.parameters`. A dueling network's streams are one last layer, the value's
    rows before the advantages'.

    Args:
        widths: features from the observation to the outputs.
        layer_norm: whether hidden layers are normalised, by a gain and a shift for each feature.
        first_noisy: the first layer whose weights and biases have a σ each.
        num_cosines: inputs of the embedding by which features are multiplied; 0 for none.
    """
    rows, place, block, features = [], 0, 0, 0
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        bias = place + inputs * outputs
        gain = bias + outputs
        normalised = layer_norm and layer < len(widths) - 2
        shift = gain + outputs * normalised
        sigma = shift + outputs * normalised
        rows.append([inputs, outputs, place, bias, gain, shift, sigma, block, features])
        place = sigma + (inputs + 1) * outputs * (layer >= first_noisy)
        block += round_up(inputs) * outputs
        features += inputs
    if num_cosines:
        bias = place + num_cosines * widths[-2]
        rows.append([num_cosines, widths[-2], place, bias, *3 * [bias + widths[-2]], block, 0])
    return rows


def num_linear(plan: Any) -> int:
    """Returns the number of linear layers, including the embedding."""
    return int(plan[NUM_LAYERS] + (plan[NUM_COSINES] > 0))


def linear_layers(plan: Any) -> Any:
    """Returns the plan's rows of linear layers, [layers, FIELDS]."""
    return plan[LAYERS : LAYERS + num_linear(plan) * FIELDS].reshape(-1, FIELDS)


def num_parameters(plan: Any) -> int:
    """Returns how many parameters a network has."""
    last = linear_layers(plan)[-1]
    noisy = plan[NOISE_SIZE] > 0 and not plan[NUM_COSINES]
    return int(last[SIGMA] + (last[INPUTS] + 1) * last[OUTPUTS] * noisy)


def num_observed(plan: Any) -> int:
    """Returns how many numbers an observation has: as many as the inputs, unless they become one-hot."""
    return int((len(plan) - plan[STATES]) // STATE_FIELDS if plan[STATES] else plan[LAYERS + INPUTS])


def round_up(number: Any) -> Any:
    """Rounds an integer, or an array of them, up to a multiple of `TILE`."""
    return -(-number // TILE) * TILE
