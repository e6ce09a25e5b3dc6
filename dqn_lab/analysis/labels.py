"""Labels variants that have no label in a `sweep.json`, and finds the keys that tell configurations apart."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dqn_lab import records as disk

LATER = {"evaluation.max_steps": disk.LATER_KEYS["evaluation.max_steps"]}
MANY_KEYS = 3  # the most keys in a label
TYPED = re.compile(r"(?:\d\d-\d\d-\d\d_)?(?P<overrides>.+)-[0-9a-f]{8}")  # the directory of a run that `train` names
DATE = re.compile(r"/\d{4}-\d\d-\d\d(_\d\d-\d\d-\d\d)?$")  # a directory named after a date
MISSING = object()  # the value of a key that a configuration lacks
Config = Mapping[str, Any]  # dotted keys, without the uninteresting ones; lists as text


def with_later_keys(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a configuration with the keys that it may lack because they were added later, at their defaults."""
    for key, value in LATER.items():
        group, _, name = key.partition(".")
        if isinstance(config.get(group), dict) and name not in config[group]:
            config = {**config, group: {**config[group], name: value}}
    return config


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yields a configuration's dotted keys and values, with lists as text, so that values can be compared."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, list) else value


def swept_keys(configs: Iterable[Config]) -> list[str]:
    """Lists the keys whose values differ."""
    distinct = list({id(config): config for config in configs}.values())
    keys = dict.fromkeys(key for config in distinct for key in config)
    return [key for key in keys if len({_exact(config.get(key, MISSING)) for config in distinct}) > 1]


def _exact(value: Any) -> tuple[type, Any]:
    return type(value), value  # true is not 1


def make_labels(configs: Mapping[str, Config]) -> dict[str, str]:
    """Returns a label for each run's variant, by the run's path."""
    parents: dict[str, set[int]] = {}
    for path, config in configs.items():
        parents.setdefault(os.path.dirname(path), set()).add(id(config))
    alone = all(len(distinct) == 1 for distinct in parents.values())
    if alone and not any(DATE.search(parent) for parent in parents):
        if len(configs) == 1 and not TYPED.fullmatch(os.path.basename(*configs)):  # the user named the directory
            return {path: os.path.basename(path) for path in configs}
        if len(parents) == 1 and (found := _typed_labels(configs)) is not None:  # seeds of one configuration
            return found
        names = short_names(parents)
        return {path: names[os.path.dirname(path)] for path in configs}
    distinct = {id(config): config for config in configs.values()}
    keys = _free_keys(list(distinct.values()))
    typed = _typed_labels(configs) if alone or max(map(len, keys), default=0) > MANY_KEYS else None
    if typed is not None:
        return typed
    labels = dict(zip(distinct, _write_labels(list(distinct.values()), keys), strict=True))
    return {path: labels[id(config)] or os.path.basename(path) for path, config in configs.items()}


def _typed_labels(configs: Mapping[str, Config]) -> dict[str, str] | None:
    """Labels runs by the overrides in their directories' names; None if these do not tell the configurations apart."""
    parts = {}
    for path in configs:
        name = TYPED.fullmatch(os.path.basename(path))
        if name is None or len(name["overrides"]) >= disk.SLUG:  # a directory of another kind, or a shortened name
            return None
        words = name["overrides"].split(",")
        parts[path] = [word for word in words if word.partition("=")[0] not in (*disk.UNINTERESTING, "default")]
    common = set.intersection(*map(set, parts.values())) if len({*map(id, configs.values())}) > 1 else set()
    labels: dict[int, set[str]] = {}
    for path, words in parts.items():
        label = ", ".join(word for word in words if word not in common) or "default"
        labels.setdefault(id(configs[path]), set()).add(label)
    shortest = {config: min(texts, key=lambda text: (len(text), text)) for config, texts in labels.items()}
    if len(set(shortest.values())) < len(shortest):
        return None
    return {path: shortest[id(config)] for path, config in configs.items()}


def _free_keys(configs: Sequence[Config]) -> list[list[str]]:
    """Lists each configuration's differing keys, except those that follow from the choice of a component."""
    swept = swept_keys(configs)
    free = set()
    for key in swept:
        values: dict[Any, set[Any]] = {}
        for config in configs:
            values.setdefault(_component(config, key), set()).add(_exact(config.get(key, MISSING)))
        free |= {(key, component) for component, seen in values.items() if len(seen) > 1}
    return [
        [key for key in swept if key in config and (key.endswith(".name") or (key, _component(config, key)) in free)]
        for config in configs
    ]


def _write_labels(configs: Sequence[Config], keys: Sequence[Sequence[str]]) -> list[str]:
    """Formats keys and values; if there are many, only the few that tell the configurations apart."""
    if max(map(len, keys), default=0) > MANY_KEYS:
        few = _telling_keys(configs, list(dict.fromkeys(key for own in keys for key in own)))
        keys = [[key for key in few if key in config] for config in configs]
    return [
        ", ".join(f"{key}={disk.value_text(config[key])}" for key in own)
        for config, own in zip(configs, keys, strict=True)
    ]


def _telling_keys(configs: Sequence[Config], keys: Sequence[str]) -> list[str]:
    """Chooses keys one by one, each time the one that tells the most configurations apart, preferring names."""
    found: list[str] = []
    groups: list[tuple[Any, ...]] = [()] * len(configs)
    while len(set(groups)) < len(configs):
        split = {
            key: [(*group, _exact(config.get(key, MISSING))) for group, config in zip(groups, configs, strict=True)]
            for key in keys
            if key not in found
        }
        best = max(split, key=lambda key: (len(set(split[key])), key.endswith((".name", ".id"))))
        found, groups = [*found, best], split[best]
    return found


def _component(config: Config, key: str) -> Any:
    return config.get(f"{key.split('.')[0]}.name")


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Names runs and sweeps by their directories, with the parent's name in front if that is not unique."""
    parts = {path: path.split(os.sep) for path in paths}
    short = Counter(part[-1] for part in parts.values())
    long = Counter(tuple(part[-2:]) for part in parts.values())
    return {
        path: part[-1] if short[part[-1]] == 1 else "/".join(part[-2:]) if long[tuple(part[-2:])] == 1 else path
        for path, part in parts.items()
    }
