"""Encodes a composition's objects for the kernels: see `layout.py`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dqn_lab.engine.fused import layout
from dqn_lab.engine.fused.layout import BIAS, CHUNK, FIELDS, GAIN, INPUTS, LAYERS, OUTPUTS, SHIFT, SIGMA, TILE, WEIGHT
from dqn_lab.engine.fused.support import SUPPORTED, perceptron
from dqn_lab.network._linear import NoisyLinear
from dqn_lab.types import Array, Bootstrap, Optimizer, Value
from dqn_lab.value._fractions import FractionNetwork


def make_plan(names: dict[str, Any], network: Any, value: Any, optimizer: Optimizer) -> Array:
    """Encodes a composition, except for where the workspace's parts begin.

    Args:
        names: its parts' names from `support.identify`.
    """
    codes = {key: SUPPORTED[key][name] for key, name in names.items()}
    num_cosines, counts = vars(value).get("num_cosines", 0), vars(value).get("counts", {})
    network = perceptron(network)
    layer_norm, (num_actions, num_outputs) = nn.LayerNorm in map(type, network.layers), network.head.shape
    first_noisy = _first_noisy(network)
    rows = layout.layer_rows(_widths(network), layer_norm, first_noisy, num_cosines)
    fractions = [counts.get(purpose, num_outputs) for purpose in layout.PURPOSES]
    bootstrap, states = codes["bootstrap.name"], _states(network)
    num_mixed, everything = num_actions if bootstrap in layout.MIXTURES else 1, vars(value).get("all_actions", False)
    plan = np.concatenate([np.zeros(LAYERS, np.int64), np.ravel(rows), states.ravel()])
    entries = {
        layout.ACTIVATION: codes["network.activation"],
        layout.LAYER_NORM: layer_norm,
        layout.DUELING: network.head.value is not None,
        layout.BOOTSTRAP: bootstrap,
        layout.OPTIMIZER: codes["optimizer.name"],
        layout.NESTEROV: vars(optimizer).get("nesterov", False),
        layout.DISTRIBUTION: names["value.name"] != "expected",
        layout.HUBER: vars(value).get("kappa") is not None,
        layout.ALL_ACTIONS: everything,
        layout.NUM_ACTIONS: num_actions,
        layout.NUM_OUTPUTS: num_outputs,
        layout.NUM_MIXED: num_mixed,
        layout.TARGET_SIZE: _target_size(
            names["value.name"], num_actions if everything else 1, fractions[2], num_mixed
        ),
        layout.NUM_LAYERS: len(rows) - (num_cosines > 0),
        layout.NUM_COSINES: num_cosines,
        layout.CHUNK_SIZE: TILE if num_cosines else CHUNK * TILE,
        layout.NOISE_SIZE: network.noise_size,
        layout.FIRST_NOISY: first_noisy,
        layout.STATES: LAYERS + len(rows) * FIELDS if len(states) else 0,
        layout.PASSES + layout.TARGET_NEXT: True,
        layout.PASSES + layout.ONLINE_NEXT: bootstrap == layout.DOUBLE,
        layout.PASSES + layout.ONLINE_OBS: everything,
        layout.PASSES + layout.TARGET_OBS: bootstrap == layout.MUNCHAUSEN,
    }
    plan[list(entries)] = list(entries.values())
    plan[layout.COUNTS : layout.COUNTS + len(layout.PURPOSES)] = fractions
    return plan


def _target_size(value: str, num_judged: int, num_outputs: int, num_mixed: int) -> int:
    """Returns how many numbers a target has."""
    samples = num_mixed * (num_outputs + 1)
    sizes = {"expected": num_judged, "categorical": num_outputs, "quantile": samples, "implicit_quantile": samples}
    return sizes[value]


def make_settings(value: Value, bootstrap: Bootstrap, optimizer: Optimizer) -> Array:
    """Returns a composition's settings, 0 for those that it lacks."""
    parts = {name: number for part in (value, bootstrap, optimizer) for name, number in vars(part).items()}
    parts["beta1"], parts["beta2"] = parts.get("betas") or 2 * (parts.get("decay", parts.get("alpha", 0.0)),)
    parts["momentum_product"] = 1.0
    limits = {name: math.inf for name in ("max_grad_value", "max_grad_norm") if parts[name] is None}
    return np.array([{**parts, **limits}.get(name) or 0.0 for name in layout.SETTINGS])


def flatten(network: Any, plan: Array) -> Tensor:
    """Makes a network's parameters views of one flat array in the plan's layout, and returns the array."""
    flat = torch.empty(sum(parameter.numel() for parameter in network.parameters()), dtype=perceptron(network).dtype)
    for parameter, place in _places(network, plan):
        view = flat[place : place + parameter.numel()].view_as(parameter)
        parameter.data = view.copy_(parameter.data)
    return flat


def _states(network: Any) -> Array:
    """Returns a row of the plan for each number of an observation that becomes one-hot inputs."""
    if network.states is None:
        return np.empty((0, layout.STATE_FIELDS), np.int64)
    numbers, values = network.states.cpu().numpy()
    _, first, sizes = np.unique(numbers, return_index=True, return_counts=True)
    return np.stack([first, values[first], sizes], 1)


def _first_noisy(network: Any) -> int:
    """Returns how many layers precede the first noisy one; all of them if none is noisy."""
    linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    return next((i for i, layer in enumerate(linear) if isinstance(layer, NoisyLinear)), len(linear))


def _widths(network: Any) -> list[int]:
    """Returns the features of each layer; a dueling network's two last layers count as one."""
    linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    widths = [linear[0].in_features, *(layer.out_features for layer in linear)]
    return widths if network.head.value is None else [*widths[:-2], sum(widths[-2:])]


def _places(network: Any, plan: Array) -> Iterator[tuple[Tensor, int]]:
    """Yields each parameter and where it begins; if two linear layers share a row, the second follows the first."""
    rows = iter(layout.linear_layers(plan))
    row, filled = next(rows), 0
    if isinstance(network, FractionNetwork):
        *_, last = layout.linear_layers(plan)
        yield network.embedding.weight, last[WEIGHT]
        yield network.embedding.bias, last[BIAS]
    for layer in perceptron(network).layers:
        if isinstance(layer, nn.Linear):
            row, filled = (next(rows), 0) if filled == row[OUTPUTS] else (row, filled)
            yield layer.weight, row[WEIGHT] + filled * row[INPUTS]
            yield layer.bias, row[BIAS] + filled
            if isinstance(layer, NoisyLinear):
                yield layer.weight_sigma, row[SIGMA] + filled * row[INPUTS]
                yield layer.bias_sigma, row[SIGMA] + row[INPUTS] * row[OUTPUTS] + filled
            filled += layer.out_features
        elif isinstance(layer, nn.LayerNorm):
            yield layer.weight, row[GAIN]
            yield layer.bias, row[SHIFT]
