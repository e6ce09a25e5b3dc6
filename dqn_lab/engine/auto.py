"""The fastest engine that supports the composition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from dqn_lab import registry
from dqn_lab.engine._graph import obstacle
from dqn_lab.engine.fused import support
from dqn_lab.records import value_text
from dqn_lab.registry import register
from dqn_lab.schedule import updates_in
from dqn_lab.types import Choice

MIN_COMPILED_STEPS = 10_000  # gradient steps for which compiling (about 15 s, a quarter of that if cached) pays off
EPISODE = 50  # assumed steps per episode, which are unknown beforehand
MAX_WEIGHTS = 2_500_000  # between hidden layers; with more, torch's matrix products are faster (speed.py --engines)
SMALL_NETWORKS = ("mlp",)  # networks for which Python takes most of the time


@register("engine", "auto")
class Auto:
    """Chooses the fastest engine that supports the composition: `fused`, `compiled` or `torch`, in this order.

    `fused` is not chosen for networks with more than 2,500,000 weights between hidden layers, which torch computes as
    fast. `compiled` is chosen for perceptrons that `fused` does not support, on the CPU, with the package's own
    components, in runs with a declared length of at least 10,000 gradient steps, if there is a C++ compiler. The choice
    depends only on the configuration and on what is installed. `run.json` records it with the reason, and why faster
    engines were rejected.
    """

    @staticmethod
    def choose(config: Mapping[str, Any]) -> Choice:
        """Returns the engine for a validated configuration, the reason, and why each other engine was rejected."""
        rejected: dict[str, str] = {}
        for name, find_obstacle in CANDIDATES.items():
            reason = find_obstacle(config)
            if reason is None:
                slower = [other for other in ENGINES if other not in (name, *rejected)]
                rejected |= dict.fromkeys(slower, f"slower than {name}")
                return Choice(name, "the fastest that supports the composition", rejected)
            rejected[name] = reason
        return Choice("torch", "no faster engine supports the composition", rejected)


def _fused_obstacle(config: Mapping[str, Any]) -> str | None:
    """Returns why `fused` does not run the composition; None if it does."""
    problems = list(support.refusals(support.configured(config)))
    if problems:
        return "; ".join(problems)
    if _is_wide(config):
        hidden = value_text(config["network"]["hidden"])
        return f"network.hidden={hidden}: torch is faster beyond {MAX_WEIGHTS:,} weights between hidden layers"
    return None


def _compiled_obstacle(config: Mapping[str, Any]) -> str | None:
    """Returns why `compiled` does not run the composition or does not pay off; None if it does."""
    if not list(support.refusals(support.configured(config))) and _is_wide(config):
        return "torch is as fast for wide layers"
    if config["device"] != "cpu":
        return f"device={config['device']}: chosen for the CPU only"
    names = {group: config[group]["name"] for group in ("network", "value", "bootstrap", "optimizer")}
    for group, name in names.items():
        if registry.is_outside(group, name):
            return f"{group}={name}: it may not compile; engine=compiled tries it"
    if names["network"] not in SMALL_NETWORKS:
        return f"network={names['network']}: compiling gains little for it"
    if (steps := gradient_steps(config)) < MIN_COMPILED_STEPS:
        return f"compiling pays off from {MIN_COMPILED_STEPS:,} gradient steps; this run declares {steps:,}"
    return obstacle(torch.device("cpu"))


CANDIDATES = {"fused": _fused_obstacle, "compiled": _compiled_obstacle}  # the fastest first
ENGINES = (*CANDIDATES, "torch")


def gradient_steps(config: Mapping[str, Any]) -> int:
    """Returns the number of gradient steps in a run of the declared length."""
    limits = config["steps"], config["episodes"] and config["episodes"] * EPISODE
    return updates_in(config, min(limit for limit in limits if limit is not None))


def _is_wide(config: Mapping[str, Any]) -> bool:
    return sum(map(math.prod, pairwise(config["network"]["hidden"]))) > MAX_WEIGHTS
