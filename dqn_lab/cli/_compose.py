"""Composes overrides into a configuration and checks its names and values, without importing torch."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from dqn_lab import registry
from dqn_lab._paths import config_directory
from dqn_lab.cli import _explain, _index, _options, _overrides
from dqn_lab.cli._directories import directories
from dqn_lab.cli._trust import check_composed
from dqn_lab.cli._yaml import read_yaml
from dqn_lab.errors import ConfigError
from dqn_lab.records import override_key

ERRORS = (HydraException, OmegaConfBaseException, ValueError)  # Hydra raises the last for `network=null`
PLUGINS = ("hydra_plugins.", "hydra._internal.core_plugins.")  # only these may provide launchers and sweepers
PLAIN = (bool, int, float, str, type(None))
# what else Hydra raises for malformed files and overrides
ALL_ERRORS = (*ERRORS, AssertionError, AttributeError, KeyError, OSError, RecursionError, TypeError)


class _SearchPath(SearchPathPlugin):
    """Adds `--config-dir` and the plugins' `conf/` folders after the package's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for directory in directories()[1:]:
            search_path.append(provider="dqn_lab", path=directory.as_uri())


class CheckedFiles(CachingConfigRepository):
    """Hydra's configuration files; those from outside the package are checked before Hydra reads them."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Reads a file, and adds the keys of a custom component's constructor that it leaves out.

        Raises:
            ConfigError: it is not valid yaml, or not in a directory with options.
        """
        if ".." in config_path.split("/"):
            group, _, option = config_path.partition("/")
            raise ConfigError(f"{group}={option}: an option is a file in a directory with options; see --config-dir")
        name = f"{config_path.removesuffix('.yaml')}.yaml"
        path = next((path for each in directories() if (path := each / name).is_file()), None)
        if path is not None and not path.is_relative_to(config_directory()):
            read_yaml(path)
        found = super().load_config(config_path)
        if path is not None and found is not None and len(found.defaults_list or ()) <= 1:
            is_shipped = path.is_relative_to(config_directory())
            _add_defaults(config_path.partition("/")[0], found.config, is_shipped)
        return found


def _add_defaults(group: str, part: Any, is_shipped: bool) -> None:
    """Adds the defaults of a component's constructor, so that Hydra knows its keys; a wrong one is reported later."""
    name = part.get("name") if isinstance(part, DictConfig) and group in registry.GROUPS else None
    if not isinstance(name, str) or (is_shipped and ":" not in name):  # a shipped file lists all keys
        return
    with contextlib.suppress(ConfigError):
        for key, field in _index.model(group, name).model_fields.items():
            if key not in part and isinstance(field.default, (*PLAIN, list, tuple, dict)):
                with contextlib.suppress(OmegaConfBaseException):  # no yaml can hold it
                    part[key] = copy.deepcopy(field.default)


@contextlib.contextmanager
def composer() -> Iterator[None]:
    """Prepares Hydra, so that `compose_config` can be called inside."""
    _attempt.cache_clear()
    Plugins.instance().register(_SearchPath)
    with initialize_config_dir(str(config_directory()), job_name="train", version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        loader.repository = CheckedFiles(ConfigRepository(loader.get_search_path()))
        yield


@contextlib.contextmanager
def as_config_error() -> Iterator[None]:
    """Converts errors that the user can fix to a `ConfigError` with the command line's text."""
    try:
        yield
    except ConfigError:
        raise
    except ERRORS as error:
        raise ConfigError(" ".join(str(error).split())) from error


def compose_config(overrides: list[str], number: int = 0) -> DictConfig:
    """Composes one job, Hydra's own part included, and checks its names and values.

    Args:
        overrides: as typed.
        number: the job's number in a multirun, from 0.

    Raises:
        ConfigError: one line for each invalid override.
    """
    problems, remaining = _explain.unreadable(overrides)
    misspelt, remaining = _explain.misspelt(remaining, lambda others: _compose_or_default(tuple(others)))
    problems += misspelt
    while isinstance(found := _attempt(tuple(remaining)), Exception):
        culprit = _culprit(remaining, found)
        others = [item for item in remaining if item != culprit]
        problems.append(_explain.explain(found, culprit, functools.partial(_compose_or_default, tuple(others))))
        if culprit is None:
            raise ConfigError(*_as_typed(problems, overrides)) from found
        part = override_key(culprit).replace("/", ".")  # an option, perhaps, whose own keys cannot be checked
        remaining = [item for item in others if not override_key(item).startswith(f"{part}.")]
    try:
        _check_launching(found)
        _index.validate(plain(found))
    except ConfigError as error:
        problems.extend(_explain.of_another_component(error.problems, overrides))
    except OmegaConfBaseException as error:
        problems.append(_explain.interpolation(error))
    if problems:
        raise ConfigError(*_as_typed(problems, overrides))
    with read_write(found.hydra), open_dict(found.hydra):
        found.hydra.job.num, found.hydra.job.id = number, str(number)
    _attempt.cache_clear()  # the caller may change the result, which is cached
    return found


def with_seed(config: DictConfig, seed: int | None, subdir: str | None = None, number: int | None = None) -> DictConfig:
    """Copies a configuration with another seed: the same result as composing it again, but ten times as fast.

    Args:
        config: a configuration composed from overrides that include the seed, in plain digits.
        seed: the new seed; None to keep it.
        subdir: the override that names the job's directory, if that changes.
        number: the job's number, if that changes.
    """
    found = copy.deepcopy(config)
    with read_write(found.hydra), open_dict(found.hydra):
        task = OmegaConf.to_container(found.hydra.overrides.task, resolve=False)
        assert isinstance(task, list)
        if seed is not None:
            found.seed = seed
            task = [f"seed={seed}" if override_key(text) == "seed" else text for text in task]
        found.hydra.overrides.task = task
        found.hydra.job.override_dirname = ",".join(sorted(task))
        if subdir is not None:
            found.hydra.sweep.subdir = OverridesParser.create().parse_override(subdir).value()
            found.hydra.overrides.hydra.append(subdir)
        if number is not None:
            found.hydra.job.num, found.hydra.job.id = number, str(number)
    return found


def _as_typed(problems: list[str], overrides: list[str]) -> list[str]:
    """Sorts lines by the override that each begins with; the others come last."""

    def place(line: str) -> int:
        return next((i for i, text in enumerate(overrides) if line.startswith(f"{text}:")), len(overrides))

    return sorted(problems, key=place)


def _check_launching(config: DictConfig) -> None:
    """Checks that Hydra's own part of a configuration can launch jobs.

    Raises:
        ConfigError: one line per problem.
    """
    problems = []
    for part in ("launcher", "sweeper"):
        chosen = config.hydra[part]
        target = chosen.get("_target_") if isinstance(chosen, DictConfig) else None
        if not str(target).startswith(PLUGINS):
            problems.append(
                f"hydra.{part}={target or chosen}: choose a {part} with hydra/{part}=…, with a slash, not a dot"
            )
    if not problems and (n_jobs := config.hydra.launcher.get("n_jobs", 1)) in (0, None):
        problems.append(f"hydra.launcher.n_jobs={n_jobs}: must be at least 1, or -1 for all cores")
    if config.hydra.callbacks:
        problems.append("hydra.callbacks: not supported")
    if problems:
        raise ConfigError(*problems)


@functools.lru_cache(maxsize=8)
def _attempt(overrides: tuple[str, ...]) -> DictConfig | Exception:
    """Composes, or returns the error."""
    try:
        return compose("config", list(overrides), return_hydra_config=True)
    except ALL_ERRORS as error:
        return error


def _compose_or_default(overrides: tuple[str, ...]) -> DictConfig:
    """Composes the overrides, or the default if they are wrong."""
    found = _attempt(overrides)
    found = _attempt(()) if isinstance(found, Exception) else found
    if isinstance(found, Exception):
        raise found
    return found


def _culprit(overrides: list[str], error: Exception) -> str | None:
    """Finds the override without which the error disappears or changes."""
    named = [item for item in overrides if override_key(item) and f"'{override_key(item)}'" in str(error)]
    for override in [*named, *(item for item in overrides if item not in named)]:
        found = _attempt(tuple(item for item in overrides if item != override))
        if not isinstance(found, Exception) or str(found) != str(error):
            return override
    return None


def plain(config: DictConfig, hydra: Any = None) -> dict[str, Any]:
    """Returns a composed configuration as plain values, interpolations resolved, without Hydra's own part.

    Args:
        config: the configuration, with or without Hydra's own part.
        hydra: Hydra's own part, if it is not in `config`.

    Raises:
        ConfigError: a value comes from an environment variable, and may be a secret, which `run.json` would store; or
            the configuration imports code from outside the package, which is refused.
    """
    values = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    _overrides.refuse_environment(OmegaConf.to_container(values, resolve=False))
    container = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    found = {str(key): value for key, value in container.items()}
    hydra = hydra or config.hydra
    check_composed(found, hydra.overrides.task)  # first, because what follows may import components
    _drop_what_the_recipe_set_for_another_option(found, hydra)
    return found


def as_yaml(config: DictConfig, resolve: bool) -> str:
    """Writes a composed configuration without Hydra's own part, as `--cfg job` prints it.

    Args:
        config: the configuration.
        resolve: whether to replace interpolations by their values.
    """
    values = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    found: Any = OmegaConf.to_container(values, resolve=resolve)
    _drop_what_the_recipe_set_for_another_option(found, config.hydra)
    return OmegaConf.to_yaml(OmegaConf.create(found))


def _drop_what_the_recipe_set_for_another_option(config: dict[str, Any], hydra: DictConfig) -> None:
    """Makes `experiment=cartpole target=periodic` work, by dropping the recipe's `target.tau`.

    If the recipe chose the option itself, a key that the option lacks is a mistake, and stays, to be reported.
    """
    typed = {override_key(override): override.partition("=")[2] for override in hydra.overrides.task}
    recipes = [*_options.recipes(hydra.runtime.choices.get("experiment"))]
    for number, recipe in enumerate(recipes):
        for group in registry.GROUPS:
            part, set_by_recipe = config.get(group), recipe.get(group)
            if not isinstance(part, dict) or not isinstance(set_by_recipe, dict):
                continue
            for key in map(str, set_by_recipe):
                is_typed = any(f"{name}.".startswith(f"{group}.{key}.") for name in typed)
                if key not in part or is_typed or _belongs(group, part, key):
                    continue
                chosen = typed.get(f"{group}.name", typed.get(group))
                options = _options.chosen_by(recipes)[group] if chosen is None else chosen.strip("[]").split(",")
                if options != _options.chosen_by(recipes[number:])[group]:
                    del part[key]


def _belongs(group: str, part: dict[str, Any], key: str) -> bool:
    """Returns whether the chosen option has this key, or, for loggers, whether this one is chosen."""
    if group == "logger":
        return not isinstance(part[key], dict) or "name" in part[key]
    try:
        return key in _index.model(group, str(part.get("name"))).model_fields
    except ConfigError:  # reported later
        return True
