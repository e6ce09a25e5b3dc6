"""The door at which Hydra stops: flags in, plain dictionaries out, errors in one line each."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import _run_hydra, get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from hydra.types import HydraContext
from hydra.version import setbase
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from dqn_lab import registry
from dqn_lab._nearest import nearest
from dqn_lab._paths import config_directory
from dqn_lab.build import validate
from dqn_lab.cli import _overrides
from dqn_lab.cli._directories import directories
from dqn_lab.cli._parser import Parser
from dqn_lab.records import identity, slug
from dqn_lab.types import ConfigError

SYNONYMS = {  # what other libraries call a key: ours, the first that the composition has
    "learning_rate": ("lr",), "alpha": ("lr",), "gamma": ("discount",), "buffer_size": ("capacity",),
    "memory_size": ("capacity",), "replay_size": ("capacity",), "epsilon": ("epsilon", "start", "end"),
    "eps": ("epsilon", "start", "end"), "n_steps": ("n_step",), "num_episodes": ("episodes",),
    "total_timesteps": ("steps",), "num_steps": ("steps",), "target_update_interval": ("target.interval",),
    "train_freq": ("train.interval",), "gradient_steps": ("num_updates",), "hidden_size": ("hidden",),
    "net_arch": ("hidden",), "env_id": ("env.id",), "model": ("network",), "algo": ("experiment",),
    "recipe": ("experiment",),
}  # fmt: skip
ERRORS = (HydraException, OmegaConfBaseException, ValueError)  # Hydra raises the last for `network=null`


def parse_flags(argv: list[str]) -> argparse.Namespace:
    """Reads Hydra's flags, wherever they stand among the overrides."""
    parser = get_args_parser()
    parser.__class__ = Parser
    parser.prog = "python -m dqn_lab train"
    args = parser.parse_intermixed_args(argv)
    if args.experimental_rerun is not None:
        parser.error("--experimental-rerun: not supported, because it reads a pickle")
    if args.config_path is not None or args.config_name is not None:
        parser.error("--config-path, --config-name: not supported; use --config-dir, experiment=…")
    # an environment's own keyword arguments are in no yaml, so that each is one more
    args.overrides = [_overrides.adding(text) for text in args.overrides]
    args.multirun = args.multirun or any(text.lstrip("+") == "hydra.mode=MULTIRUN" for text in args.overrides)
    return args


def show(args: argparse.Namespace) -> None:
    """Does what `--help`, `--hydra-help`, `--info`, `--cfg` and a shell's query ask for; exits after some of them."""
    setbase("1.3")
    _run_hydra(
        args=args, args_parser=get_args_parser(), task_function=_nothing,
        config_path=str(config_directory()), config_name="config",
    )  # fmt: skip


def _nothing(config: Any) -> None:
    """Is what Hydra would run, if it were asked to run anything."""


def plain(config: DictConfig, hydra: Any = None) -> dict[str, Any]:
    """Returns a composed configuration as plain values, interpolations resolved, without Hydra's own part.

    Args:
        config: the configuration; Hydra's own part, where it is in it, is left out.
        hydra: Hydra's own part, where it is not in it.

    Raises:
        ConfigError: a value is read from an environment variable, which may be a secret: `run.json` would hold it.
    """
    values = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    _overrides.refuse_environment(OmegaConf.to_container(values, resolve=False))
    container = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    found = {str(key): value for key, value in container.items()}
    _drop_what_the_recipe_set_for_another_option(found, hydra or config.hydra)
    return found


def _drop_what_the_recipe_set_for_another_option(config: dict[str, Any], hydra: DictConfig) -> None:
    """Lets `experiment=cartpole target=periodic` be: the recipe's `target.tau` goes with the recipe's target."""
    recipe = _recipe(hydra.runtime.choices.get("experiment"))
    for group in registry.GROUPS:
        part, set_by_recipe = config.get(group), recipe.get(group)
        if not isinstance(part, dict) or not isinstance(set_by_recipe, DictConfig) or ":" in str(part.get("name")):
            continue
        known = registry.schema(registry.lookup(group, str(part.get("name")))).model_fields
        typed = [_overrides.key(override) for override in hydra.overrides.task]
        for key in map(str, set_by_recipe):
            if key not in known and f"{group}.{key}" not in typed:
                part.pop(key, None)


def _recipe(name: str | None) -> Any:
    """Reads what a recipe sets, and what the recipes set that it begins with."""
    files = [directory / "experiment" / f"{name}.yaml" for directory in directories()]
    recipe: Any = next((OmegaConf.load(file) for file in files if file.is_file()), OmegaConf.create())
    first = [entry for entry in recipe.get("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    return OmegaConf.merge(*(_recipe(entry.removeprefix("/experiment/")) for entry in first), recipe)


def name_directory(config: DictConfig, validated: Mapping[str, Any]) -> None:
    """Puts a run's overrides and identity where `hydra.run.dir` and `hydra.sweep.subdir` look for them."""
    name = slug(config.hydra.overrides.task, identity(validated))
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.job.override_dirname = name


class Loader(ConfigLoaderImpl):
    """Hydra's own loader, which also names the directory of each job of a grid or a search."""

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Composes a job."""
        config = super().load_sweep_config(master_config, sweep_overrides)
        name_directory(config, validate(plain(config)))
        return config


def context(config: DictConfig, loader: ConfigLoaderImpl | None = None) -> HydraContext:
    """Returns what Hydra's launchers, sweepers and jobs work in."""
    search_path = GlobalHydra.instance().config_loader().get_search_path()
    return HydraContext(config_loader=loader or Loader(search_path), callbacks=Callbacks(config))


@contextlib.contextmanager
def composer() -> Iterator[None]:
    """Lets `compose_config` be called inside."""
    with initialize_config_dir(str(config_directory()), job_name="train", version_base="1.3"):
        yield


def compose_config(overrides: list[str], number: int = 0) -> DictConfig:
    """Composes one job, Hydra's own part included.

    Args:
        overrides: as a person types them.
        number: of the job in a multirun, from 0.

    Raises:
        ConfigError: one line for each override that does not fit, all together.
    """
    remaining, problems = list(overrides), []
    while True:
        try:
            config = compose("config", remaining, return_hydra_config=True)
            break
        except ERRORS as error:
            culprit = _culprit(remaining, str(error))
            problems.append(_explain(error, culprit, [item for item in remaining if item != culprit]))
            if culprit is None:
                raise ConfigError(*problems) from error
            remaining.remove(culprit)
    if not problems:
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.num, config.hydra.job.id = number, str(number)
        return config
    try:
        validate(plain(config))
    except ConfigError as error:
        problems.extend(error.problems)
    raise ConfigError(*problems)


def _culprit(overrides: list[str], message: str) -> str | None:
    """Finds the override without which the error goes away or becomes another."""
    named = [item for item in overrides if f"'{_overrides.key(item)}'" in message]
    for override in [*named, *(item for item in overrides if item not in named)]:
        try:
            compose("config", [item for item in overrides if item != override], return_hydra_config=True)
        except ERRORS as error:
            if str(error) == message:
                continue
        return override
    return None


def _explain(error: Exception, culprit: str | None, others: list[str]) -> str:
    text = " ".join(str(error).split())
    if culprit is None:
        return text
    key, value = _overrides.key(culprit), culprit.partition("=")[2]
    if isinstance(error, MissingConfigException) and error.options is not None:
        missing = str(error.missing_cfg_file).removeprefix(f"{key}/")
        return f"{key}={value}: no such option; {nearest(missing, [*error.options, *_in_folders(key)])}"
    if "Could not override" in text or "not in struct" in text or "Could not append" in text:
        wrong, siblings = _siblings(key, others)
        if elsewhere := _elsewhere(key, others):
            return f"{culprit}: no such key; did you mean {' or '.join(elsewhere)}?"
        if siblings is not None:
            return f"{culprit}: no such key; {nearest(wrong, siblings)}"
        if (whole := _set_whole(key, others)) is not None:
            return f"{culprit}: {whole} has no keys; set it as a whole: '{key.rpartition('.')[0]}={{…}}'"
    return f"{culprit}: {text}"


def _elsewhere(key: str, overrides: list[str]) -> list[str]:
    """Finds the keys that go by a name, or by what other libraries call it: `lr` is `optimizer.lr`."""
    config = _nearly(overrides)
    own = [str(group) for group in config if group != "hydra" and isinstance(config[group], DictConfig)]
    leaves = [f"{group}.{leaf}" for group in own for leaf in config[group]] + [str(name) for name in config]
    words = SYNONYMS.get(key, (key,))
    return [leaf for word in words for leaf in leaves if word in (leaf, leaf.partition(".")[2]) and leaf != key]


def _in_folders(group: str) -> list[str]:
    """Lists the options that lie in folders of their group: Hydra names those beside it only."""
    roots = [directory / group for directory in directories()]
    return sorted(
        {path.relative_to(root).with_suffix("").as_posix() for root in roots for path in root.glob("*/*.yaml")}
    )


def _set_whole(key: str, overrides: list[str]) -> str | None:
    """Returns what stands where `key` looks for a key of its own, if that is a single value: `optimizer.lr=0.001`."""
    parent = key.rpartition(".")[0]
    value = OmegaConf.select(_nearly(overrides), parent) if parent else None
    return f"{parent}={value}" if isinstance(value, (bool, int, float, str)) else None


def _nearly(overrides: list[str]) -> DictConfig:
    """Composes what was asked for, or the default where that is wrong too."""
    try:
        return compose("config", overrides, return_hydra_config=True)
    except ERRORS:
        return compose("config", [], return_hydra_config=True)


def _siblings(key: str, overrides: list[str]) -> tuple[str, list[str] | None]:
    """Returns the first part of `key` that does not exist, and the keys that stand where it was looked for."""
    config: Any = _nearly(overrides)
    *path, last = key.replace("/", ".").split(".")
    for part in path:
        if not isinstance(config, DictConfig) or part not in config:
            last = part
            break
        config = config[part]
    if not isinstance(config, DictConfig) or last in config:
        return last, None
    names = [str(name) for name in config]
    at_top = config._get_parent() is None
    return last, [*(name for name in names if name != "hydra"), "experiment"] if at_top else names


def expand(overrides: list[str], config: DictConfig) -> list[list[str]] | None:
    """Lists the overrides of each job of a grid, or None where the sweeper decides as it goes (a search).

    Raises:
        ConfigError: an override cannot be swept.
    """
    if not config.hydra.sweeper._target_.endswith("BasicSweeper"):
        return None
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    try:
        parsed = OverridesParser.create().parse_overrides([*params, *overrides])
        (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    except ERRORS as error:
        raise ConfigError(str(error)) from error
    if not jobs:
        raise ConfigError("no jobs: a sweep over nothing")
    return jobs


def about_hydra(overrides: list[str]) -> list[str]:
    """Picks the overrides that say how jobs are launched, not what they are, and the recipe, which may say so too.

    Raises:
        ConfigError: an override cannot be read.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except ERRORS as error:
        raise ConfigError(str(error)) from error
    single = [text for text, override in zip(overrides, parsed, strict=True) if not override.is_sweep_override()]
    return [text for text in single if _is_hydras(text) or text.lstrip("+~").startswith("experiment=")]


def about_jobs(overrides: list[str]) -> list[str]:
    """Picks the overrides that say what jobs are."""
    return [text for text in overrides if not _is_hydras(text)]


def _is_hydras(override: str) -> bool:
    return override.lstrip("+~").startswith(("hydra.", "hydra/"))
