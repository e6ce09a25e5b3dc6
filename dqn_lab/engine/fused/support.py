"""What the kernels support: one table, from which the check, the help, the plan and the errors are derived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from dqn_lab import registry
from dqn_lab.engine.fused import layout
from dqn_lab.types import Bootstrap, Optimizer, Value
from dqn_lab.value._fractions import FractionNetwork

SUPPORTED: dict[str, dict[Any, int | None]] = {  # key of a configuration: its supported values, with their codes
    "network.name": {"mlp": None},
    "network.activation": {"relu": layout.RELU, "tanh": layout.TANH},
    "network.noisy": {False: None, True: None},
    "value.name": {"expected": None, "categorical": None, "quantile": None, "implicit_quantile": None},
    "bootstrap.name": {
        "max": layout.MAX, "double": layout.DOUBLE, "munchausen": layout.MUNCHAUSEN,
        "expected_sarsa": layout.EXPECTED_SARSA,
    },
    "optimizer.name": {
        "adam": layout.ADAM, "adamw": layout.ADAMW, "keras_adam": layout.KERAS_ADAM, "rmsprop": layout.RMSPROP,
        "sgd": layout.SGD, "nadam": layout.NADAM, "radam": layout.RADAM, "rmsprop_centered": layout.RMSPROP_CENTERED,
    },
    "device": {"cpu": None},
}  # fmt: skip


def describe() -> str:
    """Returns the table in one sentence."""
    return f"It runs {'; '.join(f'{key}={_words(SUPPORTED[key])}' for key in SUPPORTED)}."


def refusals(values: Mapping[str, Any]) -> Iterator[str]:
    """Yields why the kernels cannot run a configuration, one line per key."""
    for key, value in values.items():
        if value not in SUPPORTED[key]:
            yield f"does not run {key.removesuffix('.name')}={_words([value])}, only {_words(SUPPORTED[key])}"


def configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration's values for the table's keys; for unsupported components, only their names."""
    values = {}
    for key in SUPPORTED:
        group, _, name = key.partition(".")
        if not name or name in config[group]:
            values[key] = config[group][name] if name else config[group]
    return values


def identify(
    network: Any, value: Value, bootstrap: Bootstrap, optimizer: Optimizer, device: torch.device
) -> dict[str, Any]:
    """Returns the values of the table's keys that describe these objects.

    Raises:
        ValueError: the kernels cannot run one of them.
    """
    network = perceptron(network)
    parts = {"network": network, "value": value, "bootstrap": bootstrap, "optimizer": optimizer}
    values = {f"{group}.name": _name(group, part) for group, part in parts.items()}
    _refuse({**values, "device": str(device)})
    activations = {type(layer).__name__.lower() for layer in network.layers} - {"linear", "noisylinear", "layernorm"}
    own = {"network.noisy": bool(network.noise_size), "network.activation": ", ".join(sorted(activations))}
    _refuse(own)
    return {**values, **own}


def perceptron(network: Any) -> Any:
    """Returns the multilayer perceptron in a network that takes fractions, or the network itself."""
    return network.network if isinstance(network, FractionNetwork) else network


def _refuse(values: Mapping[str, Any]) -> None:
    for problem in refusals(values):
        raise ValueError(f"{problem}; engine=torch does")


def _name(group: str, component: Any) -> str:
    """Returns a component's name in the table, or its class's name if it has none."""
    names = {registry.lookup(group, name): name for name in SUPPORTED[f"{group}.name"]}
    return str(names.get(type(component), type(component).__name__))


def _words(values: Iterable[Any]) -> str:
    return ", ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
