"""Labels several runs by what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dqn_lab.errors import ConfigError
from dqn_lab.records import value_text

SAME = ("seed", "display", "logger", "engine", "rollout", "diagnostics", "evaluation", "device", "num_threads")


def task(config: Mapping[str, Any]) -> str:
    """Returns a run's environment."""
    return str(config["env"].get("id", config["env"]["name"]))


def one_task(configs: Sequence[Mapping[str, Any]]) -> str:
    """Returns the runs' environment.

    Raises:
        ConfigError: they have different ones.
    """
    tasks = list(dict.fromkeys(map(task, configs)))
    if len(tasks) > 1:
        raise ConfigError(f"different tasks: {', '.join(tasks)}; name runs of one task")
    return tasks[0]


def labels(configs: Sequence[Mapping[str, Any]], runs: Sequence[Path]) -> list[str]:
    """Labels runs by their differences, and by their directories' names if these do not tell all of them apart."""
    found = differences(configs)
    if len(set(found)) == len(found):
        return found
    return [f"{label}  {run.name}".strip() for label, run in zip(found, runs, strict=True)]


def differences(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Labels runs by the keys in which they differ, and by their seeds if those differ."""
    flat = [_flat(config) for config in configs]
    keys = dict.fromkeys(key for each in flat for key in each)
    differing = [key for key in keys if len({each.get(key, "–") for each in flat}) > 1]
    named = {key.removesuffix(".name") for key in differing if key.endswith(".name")}
    shown = [key for key in differing if key.endswith(".name") or key.partition(".")[0] not in named]
    seeds = len({config["seed"] for config in configs}) > 1
    labels = []
    for config, each in zip(configs, flat, strict=True):
        words = [f"{key.removesuffix('.name')}={each[key]}" for key in shown if key in each]
        labels.append("  ".join([*words, *([f"seed={config['seed']}"] if seeds else [])]))
    return labels


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if not prefix and key in SAME:
            continue
        if isinstance(value, Mapping) and not (prefix and "unit" in value):  # a schedule is one value
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value_text(value)
    return found
