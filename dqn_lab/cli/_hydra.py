"""Hydra's flags, the jobs of its grids, and the context of its launchers and sweepers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.types import HydraContext
from hydra.version import setbase
from omegaconf import DictConfig, open_dict, read_write

from dqn_lab._paths import config_directory
from dqn_lab.cli import _index, _overrides
from dqn_lab.cli._compose import ERRORS, CheckedFiles, plain
from dqn_lab.cli._explain import together
from dqn_lab.cli._parser import Parser
from dqn_lab.errors import ConfigError
from dqn_lab.records import identity, override_key, slug


def parse_flags(argv: list[str]) -> argparse.Namespace:
    """Parses Hydra's flags, which may stand anywhere among the overrides."""
    parser = get_args_parser()
    parser.__class__, parser.allow_abbrev = Parser, False
    parser.prog = "python -m dqn_lab train"
    args = parser.parse_intermixed_args(argv)
    if args.experimental_rerun is not None:
        parser.error("--experimental-rerun: not supported, because it reads a pickle")
    if args.config_path is not None or args.config_name is not None:
        parser.error("--config-path, --config-name: not supported; use --config-dir, experiment=…")
    if args.multirun and args.cfg:
        parser.error("--multirun, --cfg: a grid has several configurations; leave out -m and choose one")
    # no yaml lists an environment's own keyword arguments, so each is added
    args.overrides = [_overrides.adding(text) for text in together(args.overrides)]
    args.multirun = args.multirun or any(text.lstrip("+") == "hydra.mode=MULTIRUN" for text in args.overrides)
    return args


def show(args: argparse.Namespace) -> None:
    """Carries out `--hydra-help`, `--info` or `--cfg`; some of them exit."""
    setbase("1.3")
    _run_hydra(
        args=args, args_parser=get_args_parser(), task_function=_nothing,
        config_path=str(config_directory()), config_name="config",
    )  # fmt: skip


def _nothing(config: Any) -> None:
    """Does nothing: Hydra is asked to print, not to run."""


def name_directory(config: DictConfig, known_by: str) -> None:
    """Sets a run's overrides and identity, which `hydra.run.dir` and `hydra.sweep.subdir` refer to."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.override_dirname = slug(config.hydra.overrides.task, known_by)


class Loader(ConfigLoaderImpl):
    """Hydra's own loader, which also checks each trial of a search, and names its directory."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository: Any = CheckedFiles(self.repository)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Composes a trial."""
        config = super().load_sweep_config(master_config, sweep_overrides)
        name_directory(config, identity(_index.validate(plain(config))))
        return config


def context(config: DictConfig, loader: ConfigLoaderImpl | None = None) -> HydraContext:
    """Returns the context in which Hydra's launchers, sweepers and jobs run."""
    search_path = GlobalHydra.instance().config_loader().get_search_path()
    return HydraContext(config_loader=loader or Loader(search_path), callbacks=Callbacks(config))


def expand(overrides: list[str], config: DictConfig) -> list[list[str]]:
    """Lists the overrides of each job of a grid.

    Args:
        overrides: as typed.
        config: Hydra's part of the configuration.

    Raises:
        ConfigError: an override cannot be swept, or another sweeper than Hydra's own was chosen.
    """
    if not config.hydra.sweeper._target_.endswith("BasicSweeper"):
        _refuse_search(f"hydra/sweeper={config.hydra.runtime.choices['hydra/sweeper']}")
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    try:
        parsed = OverridesParser.create().parse_overrides([*params, *overrides])
        (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    except ERRORS as error:
        raise ConfigError(str(error)) from error
    if not jobs:
        raise ConfigError("no jobs: an override lists no values")
    as_typed = {before: text for override in parsed for before, text in _values_as_typed(override)}
    return [[as_typed.get(text, text) for text in job] for job in jobs]


def _values_as_typed(override: Override) -> Iterator[tuple[str, str]]:
    """Yields each value of `lr=3e-4,1e-3` as Hydra writes it, `lr=0.0003`, and as it was typed."""
    key, _, text = (override.input_line or "").partition("=")
    typed = [each.strip() for each in text.split(",")]
    if not all(re.fullmatch(r"[-+\w.]+", each) for each in typed):  # with quotes, brackets or functions
        return
    is_sweep = override.value_type is ValueType.SIMPLE_CHOICE_SWEEP
    values = [*override.sweep_string_iterator()] if is_sweep else [override.get_value_element_as_str()]
    for value, as_typed in zip(values, typed, strict=True):
        yield f"{key}={value}", f"{key}={as_typed}"


def about_hydra(overrides: list[str]) -> list[str]:
    """Returns the overrides that decide how jobs are launched: Hydra's own, and the recipe, which may contain some.

    Raises:
        ConfigError: an override cannot be read, or chooses a sweeper that searches.
    """
    for text in overrides:
        if override_key(text) == "hydra/sweeper" and text.partition("=")[2] != "basic":
            _refuse_search(text)  # before the extra is asked for that it needs
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except ERRORS as error:
        raise ConfigError(str(error)) from error
    single = [text for text, override in zip(overrides, parsed, strict=True) if not override.is_sweep_override()]
    keys = map(override_key, single)
    return [text for text, key in zip(single, keys, strict=True) if _overrides.is_hydras(key) or key == "experiment"]


def _refuse_search(override: str) -> NoReturn:
    hint = "to search, write a question with `search:`, as in sweeps/search.yaml, and run it with `sweep`"
    raise ConfigError(f"{override}: a grid runs every combination of its values; {hint}")


def about_jobs(overrides: Iterable[str]) -> tuple[str, ...]:
    """Returns the overrides that decide what jobs do."""
    return tuple(text for text in overrides if not _overrides.is_hydras(override_key(text)))
