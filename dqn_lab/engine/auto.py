"""The fastest engine that supports the composition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dqn_lab import registry
from dqn_lab.engine._graph import obstacle
from dqn_lab.engine.fused import FusedEngine
from dqn_lab.registry import register

PAYS = 10_000  # gradient steps that save the time of compiling, some 15 s; where it is on disk, a quarter of them do
EPISODE = 50  # steps that an episode is taken for: what it will be nobody knows
TANH = 40_000  # hidden units times transitions: beyond it torch computes tanh faster, as speed.py --engines measured
MEASURED = ("mlp",)  # networks small enough that running Python is what takes the time


@register("engine", "auto")
class Auto:
    """Chooses the fastest engine that supports the composition: `fused` where it can, otherwise `compiled` or `torch`.

    Where layers of tanh are wide and batches large, it is `torch`, which computes many of them at once.

    `compiled` is for multilayer perceptrons on the CPU, of the package's own components, in runs of at least 10,000
    gradient steps by their declared length, where there is a C++ compiler. The choice is a function of the
    configuration and of what is installed, and stands in `run.json` with its reason.
    """

    @staticmethod
    def choose(config: Mapping[str, Any]) -> tuple[str, str]:
        """Gives the engine's name for a validated configuration, and why."""
        unsupported = next(FusedEngine.check(config), None)
        if unsupported is None and not _has_much_tanh(config):
            return "fused", "the fastest that supports the composition"
        if unsupported is None:
            return "torch", f"network.activation=tanh: torch is faster beyond {TANH:,} hidden units times transitions"
        if not _is_small(config) or gradient_steps(config) < PAYS or obstacle(torch.device("cpu")):
            return "torch", unsupported
        return "compiled", f"{unsupported}; {gradient_steps(config):,} gradient steps are declared, {PAYS:,} pay"


def gradient_steps(config: Mapping[str, Any]) -> int:
    """Counts the gradient steps that a run declares to take."""
    train = config["train"]
    limits = config["steps"], config["episodes"] and config["episodes"] * EPISODE
    steps = min(limit for limit in limits if limit is not None)
    minibatches = -(-train["batch_size"] // (train["minibatch_size"] or train["batch_size"]))
    updates: int = max(0, steps - train["learning_starts"]) // train["interval"] * train["num_updates"] * minibatches
    return updates


def _has_much_tanh(config: Mapping[str, Any]) -> bool:
    network, train = config["network"], config["train"]
    size: int = sum(network["hidden"]) * (train["minibatch_size"] or train["batch_size"])
    return bool(network["activation"] == "tanh" and size > TANH)


def _is_small(config: Mapping[str, Any]) -> bool:
    """Tells whether everything is known to become a graph whose arithmetic takes little time."""
    names = {group: config[group]["name"] for group in ("network", "value", "bootstrap", "optimizer")}
    own = all(registry.lookup(group, name).__module__.startswith("dqn_lab.") for group, name in names.items())
    return own and names["network"] in MEASURED and config["device"] == "cpu"
