"""Explains a key that does not exist: where it does, what it is called here, and which keys there are."""

from __future__ import annotations

import contextlib
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from dqn_lab._nearest import nearest
from dqn_lab._paths import GROUPS
from dqn_lab._validation import as_schedule
from dqn_lab.cli import _index
from dqn_lab.cli._options import keys, options
from dqn_lab.cli._translations import HINTS, SYNONYMS, written
from dqn_lab.errors import ConfigError
from dqn_lab.registry import unaccepted

MOST_HOLDERS = 3


def exists(key: str, config: DictConfig) -> bool:
    """Returns whether a composition has a key that its option's yaml leaves out."""
    group, _, leaf = key.rpartition(".")
    part = OmegaConf.select(config, group) if group else None
    if not isinstance(part, DictConfig) or leaf not in part:
        return False
    name = str(part.get("name"))
    with contextlib.suppress(ConfigError):  # there is no such component, which is reported elsewhere
        return ":" in name or leaf in _index.model(group, name).model_fields
    return False


def explain_part(group: str, culprit: str, config: DictConfig) -> str | None:
    """Explains a list, a mapping or a number that is given to a group in place of an option's name.

    Args:
        group: the group.
        culprit: the override.
        config: the composition without it.
    """
    value: Any = OverridesParser.create().parse_override(culprit).value()
    part = config[group]
    if isinstance(value, str) or value is None or group == "logger":
        return None
    if isinstance(value, dict):
        if ":" in str(value.get("name")):
            return in_a_yaml(group)
        unknown = [str(name) for name in value if str(name) not in part]
        names = [str(name) for name in part if name != "name"]
        return f"{unknown[0]}: no such key; {nearest(unknown[0], names)}" if unknown else None
    lists = [name for name in part if isinstance(part[name], ListConfig)] if isinstance(value, list) else []
    hint = f"did you mean {group}.{lists[0]}={culprit.partition('=')[2]}? " if lists else ""
    return f"must be one of the group's options; {hint}{nearest('', options(group))}"


def in_a_yaml(group: str) -> str:
    """Says where a custom component is named."""
    return f"name a custom component in a new yaml file, DIR/{group}/NAME.yaml (--config-dir DIR)"


def explain_key(key: str, culprit: str, config: DictConfig) -> str | None:
    """Explains a key that does not exist, or returns None if it is not clear what is wrong.

    Args:
        key: the key.
        culprit: the override.
        config: the composition without it.
    """
    if culprit.startswith("+") and OmegaConf.select(config, key.replace("/", ".")) is not None:
        return f"exists already; write it without +: {culprit.lstrip('+')}"
    if key in HINTS:
        return f"no such key; {HINTS[key].format(value=culprit.partition('=')[2])}"
    group, _, leaf = key.partition(".")
    if leaf and group in GROUPS and (hint := unaccepted(group, str(OmegaConf.select(config, f"{group}.name")), leaf)):
        return hint
    if "__" in key:
        return f"no such key; write a dot: {key.replace('__', '.')}={culprit.partition('=')[2]}"
    if "-" in key:
        ours = written(key.replace("-", "_"), culprit.partition("=")[2])
        return f"no such key; write underscores or dots, not dashes: {ours}"
    holders = _options_with(key)
    if not (leaf and holders) and (elsewhere := _elsewhere(key, config)):
        return f"no such key; did you mean {' or '.join(elsewhere)}?"
    wrong, siblings = _siblings(key, config)
    if holders:
        others = f" choices here: {', '.join(siblings)}" if siblings and key.partition(".")[0] in config else ""
        return f"no such key here; did you mean {' or '.join(holders)}?{others}"
    if siblings is not None:
        is_argument = key == f"env.{wrong}" and "kwargs" in siblings
        hint = f"; set an environment's own argument with env.kwargs.{wrong}=…" if is_argument else ""
        return f"no such key; {nearest(wrong, siblings)}{hint}"
    if (whole := _single_value(key, config)) is not None:
        parent = key.rpartition(".")[0]
        model = _index.model(group, str(config[group].get("name"))) if group in GROUPS else None
        schedule = model and as_schedule(model, parent, [*parent.split(".")[1:]])
        return f"{whole} has no keys" + (f"; set it as a whole: {schedule}" if schedule else "")
    return None


def _elsewhere(key: str, config: DictConfig) -> list[str]:
    """Finds the full keys for a short name or another library's name: `lr` is `optimizer.lr`."""
    own = [str(group) for group in config if group != "hydra" and isinstance(config[group], DictConfig)]
    leaves = [f"{group}.{leaf}" for group in own for leaf in config[group] if leaf != "name"]
    leaves += [f"logger.{name}.{leaf}" for name, part in (config.get("logger") or {}).items() for leaf in part or ()]
    leaves += [*map(str, config), "experiment"]
    last = key.partition(".")[2] or key  # `optimizer.learning_rate` is looked up by its last part
    words = SYNONYMS.get(key) or SYNONYMS.get(last) or dict.fromkeys((last, key))
    names = {leaf: (leaf, leaf.partition(".")[2], leaf.replace(".", "_")) for leaf in leaves}  # `train_batch_size` too
    return [leaf for word in words for leaf, meant in names.items() if word in meant and leaf != key]


def _options_with(key: str) -> list[str]:
    """Finds options, not chosen so far, that have the key (`tau`, `target.tau`) or have its name."""
    group, dot, leaf = key.rpartition(".")
    found = []
    for each in [group] if dot else GROUPS:
        others = options(each)
        having = [name for name in others if each != "logger" and "/" not in name and leaf in keys(each, name)]
        found += [f"{each}={name} {each}.{leaf}=…" for name in having]
        if not dot and leaf in others:
            found.append(f"{each}={leaf}")
    name, _, leaf = key.removeprefix("logger.").partition(".")
    if leaf in keys("logger", name).get(name, {}):
        found.append(f"logger=[csv,{name}] logger.{name}.{leaf}=…")
    return found[:MOST_HOLDERS]


def _single_value(key: str, config: DictConfig) -> str | None:
    """Returns `optimizer.lr=0.001` if `key` names a part of `optimizer.lr`, which is a single value."""
    parent = key.rpartition(".")[0]
    value = OmegaConf.select(config, parent) if parent else None
    return f"{parent}={value}" if isinstance(value, (bool, int, float, str)) else None


def _siblings(key: str, config: Any) -> tuple[str, list[str] | None]:
    """Returns the first part of `key` that does not exist, and the keys that exist in its place."""
    *path, last = key.replace("/", ".").split(".")
    for part in path:
        if not isinstance(config, DictConfig) or part not in config:
            last = part
            break
        config = config[part]
    if not isinstance(config, DictConfig) or last in config:
        return last, None
    names = [str(name) for name in config if name != "name"]
    at_top = config._get_parent() is None
    return last, [*(name for name in names if name != "hydra"), "experiment"] if at_top else names
