"""Overrides as text: their keys and values, and how they are merged."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep
from hydra.errors import HydraException
from omegaconf import OmegaConf

from dqn_lab._paths import GROUPS
from dqn_lab.errors import ConfigError
from dqn_lab.records import override_key, value_text

QUOTES = "'\""
SEED = re.compile(r"seed=[0-9]+")
BACKSLASHES = re.compile(r"(\\*)('|\Z)")
FROM_A_FILE = (
    "a component must be a class in a file, so that other processes can import it, and is chosen by a yaml that names "
    "it module:Class; see “A custom component” in dqn_lab/README.md"
)

SCHEDULE = (
    "a function cannot be recorded; a schedule is written "
    "{'start': 1e-3, 'end': 1e-4, 'duration': 10_000, 'unit': 'steps'}"
)


def adding(override: str) -> str:
    """Makes an override of `env.kwargs` add its key, because no yaml lists an environment's arguments."""
    return f"++{override}" if override.startswith(("env.kwargs.", "env.kwargs=")) else override


def merge(*groups: list[str]) -> list[str]:
    """Merges overrides; the last one for a key wins."""
    return list({override_key(override): override for override in itertools.chain.from_iterable(groups)}.values())


def repeated(overrides: Sequence[str]) -> list[str]:
    """Returns a line for each override that a later one of the same key replaces."""
    last = {override_key(override): override for override in overrides}
    return [f"{override}: has no effect, because {last[override_key(override)]} follows"
            for number, override in enumerate(overrides)
            if override_key(override) in map(override_key, overrides[number + 1 :])]  # fmt: skip


def is_hydras(key: str) -> bool:
    """Returns whether a key sets how jobs are launched, not what they do."""
    return key.startswith(("hydra.", "hydra/"))


def quote(value: str) -> str:
    """Quotes a string for Hydra's override grammar, in which backslashes are doubled before a quote, and only there."""
    escaped = BACKSLASHES.sub(lambda found: 2 * found[1] + (r"\'" if found[2] else ""), value)
    return f"'{escaped}'"


def split_seed(overrides: Iterable[str]) -> tuple[tuple[str, ...], int | None]:
    """Returns a job's overrides without the seed, and the seed; None if none is written in plain digits.

    Jobs whose other overrides are equal differ only in their seeds.
    """
    others, seeds = list[str](), list[str]()
    for text in overrides:
        (seeds if SEED.fullmatch(text) else others).append(text)
    return tuple(others), int(seeds[-1].partition("=")[2]) if seeds else None


def unquoted(override: str) -> str:
    """Drops the quotes around an override's value, which Python and some shells leave there."""
    key, equals, value = override.partition("=")
    return f"{key}{equals}{value.strip(QUOTES)}"


def is_sweep(override: str) -> bool:
    """Returns whether an override gives several values.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return bool(OverridesParser.create().parse_override(override).is_sweep_override())
    except HydraException as error:
        raise ConfigError(f"{override}: {error}") from error


def tried_values(key: str, text: str) -> list[Any]:
    """Lists the values that a search may try; for an interval, its bounds.

    Raises:
        ConfigError: the text is not a choice, range or interval.
    """
    try:
        override = OverridesParser.create().parse_override(f"{key}={text}")
    except HydraException as error:
        raise ConfigError(f"search.params.{key}={text}: {error}") from error
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [value.start, value.end]
    if not override.is_sweep_override():
        raise ConfigError(f"search.params.{key}={text}: must be a choice(…), range(…) or interval(…)")
    values = list(override.sweep_string_iterator())
    if not values:
        raise ConfigError(f"search.params.{key}={text}: has no values")
    return values


def parse_seeds(text: str | list[int]) -> list[int]:
    """Reads seeds as Hydra writes them: `range(1000,1100)`, `0,1,2`, or a list; in quotes or not.

    Raises:
        ConfigError: they are not seeds, or one occurs twice.
    """
    seeds = text if isinstance(text, list) else list(_swept(text))
    wrong = [seed for seed in seeds if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0]
    if wrong or not seeds:
        raise ConfigError(f"seeds={text}: must be whole numbers of at least 0, as in range(1000,1030) or 0,1,2")
    twice = sorted(seed for seed, count in Counter(seeds).items() if count > 1)
    if twice:
        raise ConfigError(f"seeds={text}: {twice[0]} occurs twice")
    return list(seeds)


def _swept(text: str) -> Iterator[Any]:
    try:
        override = OverridesParser.create().parse_override(unquoted(f"seed={text.replace(' ', '')}"))
        if override.is_sweep_override():
            return iter(list(override.sweep_iterator()))
        value = override.value()
    except (HydraException, ValueError):
        return iter(())
    return iter(value if isinstance(value, list) else [value])


def refuse_environment(values: Any, key: str = "") -> None:
    """Refuses a value from an environment variable, which may be a secret that `run.json` would hold.

    Args:
        values: a configuration whose interpolations are not resolved, or a part of it.
        key: the part's key.

    Raises:
        ConfigError: there is such a value.
    """
    if isinstance(values, dict | list):
        for name, value in values.items() if isinstance(values, dict) else enumerate(values):
            refuse_environment(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, str) and "oc.env" in values and "${" in values:
        raise ConfigError(
            f"{key}={values}: run.json would hold the variable's value; let the component read os.environ"
        )


def spell(overrides: Sequence[Any], keys: Mapping[str, Any]) -> list[str]:
    """Returns overrides as text, including those that were passed as Python keywords.

    Raises:
        ConfigError: an override is not text, or occurs twice.
    """
    if any(each in ("-h", "--help") for each in overrides):
        raise ConfigError(
            "--help: is the command line's; write help(dqn_lab.train), or run python -m dqn_lab train --help"
        )
    if flags := [each for each in overrides if str(each) in ("-m", "--multirun")]:
        call = "dqn_lab.sweep(name, variants={…}, seed=range(5))"
        raise ConfigError(f"{flags[0]}: for several runs in one call, use {call}")
    if found := [each for each in overrides if str(each).startswith("--config-dir")]:
        where = found[0].removeprefix("--config-dir").strip("= ") or "DIR"
        raise ConfigError(f"{found[0]}: in Python it is a keyword: config_dir={where!r}")
    if wrong := [each for each in overrides if not isinstance(each, str)]:
        raise ConfigError(f"{wrong[0]!r}: an override must be text, as in 'network=mlp64', or a keyword: steps=1_000")
    if twice := [key for key in keys if key in map(override_key, overrides)]:
        raise ConfigError(f"{twice[0]}: is given twice")
    return [*overrides, *(f"{key}={spell_value(key, value)}" for key, value in keys.items())]


def spell_value(key: str, value: Any) -> str:
    """Formats a keyword's value as an override's.

    Raises:
        ConfigError: a configuration cannot contain this value.
    """
    value = value.tolist() if hasattr(value, "tolist") else value  # numpy's and pandas' numbers and arrays
    value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    if isinstance(value, str):
        return value if value.isidentifier() else quote(value)
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{name}:{spell_value(key, each)}' for name, each in value.items())}}}"
    if isinstance(value, (list, tuple, range)):
        return f"[{','.join(spell_value(key, each) for each in value)}]"
    if isinstance(value, os.PathLike):
        return quote(os.fspath(value))
    name = str(getattr(value, "__name__", value))
    if key in ("env", "env.id") and (callable(value) or hasattr(value, "action_space")):
        registered = getattr(getattr(value, "spec", None), "id", None)
        hint = f"'env.id={registered or 'MODULE:NAME'}'{'' if registered else ', after MODULE has registered NAME'}"
        raise ConfigError(f"{key}={name}: an environment is named by its id: {hint}")
    if callable(value) and not isinstance(value, type) and "." in key:
        raise ConfigError(f"{key}={name}: {SCHEDULE}")
    if callable(value) and key.partition(".")[0] in GROUPS:
        raise ConfigError(f"{key}={name}: {FROM_A_FILE}")
    if callable(value):
        return quote(name)  # no key takes a function; the error says what this key takes
    if value is not None and not isinstance(value, (bool, Number)):
        raise ConfigError(f"{key}={value!r}: must be a number, text, True, False, None, or a list or dict of these")
    return value_text(value)
