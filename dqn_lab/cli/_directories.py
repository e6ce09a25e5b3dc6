"""Where options are looked for: the lab's own, the plugins', and a directory of the person's."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from dqn_lab import registry
from dqn_lab._paths import config_directory
from dqn_lab.cli._about import CONFIG_DIR
from dqn_lab.types import ConfigError


class _SearchPath(SearchPathPlugin):
    """Adds `--config-dir` and the plugins' `conf/` folders behind the package's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for directory in directories()[1:]:
            search_path.append(provider="dqn_lab", path=directory.as_uri())


def directories() -> list[Path]:
    """Lists every directory that holds options, the package's own first."""
    found = [config_directory()]
    if CONFIG_DIR in os.environ:
        found.append(Path(os.environ[CONFIG_DIR]))
    for plugin in registry.plugins():
        spec = importlib.util.find_spec(plugin.module)
        roots = spec.submodule_search_locations if spec else None
        found += [Path(root) / "conf" for root in roots or [] if (Path(root) / "conf").is_dir()]
    return found


def add_directories(config_dir: str | None) -> list[Path]:
    """Has Hydra find a user's directory and the plugins' configuration, and Python the user's modules.

    Returns:
        every directory that holds options, the package's own first.

    Raises:
        ConfigError: there is no such directory.
    """
    os.environ.pop(CONFIG_DIR, None)
    if config_dir is not None:
        directory = Path(config_dir).resolve()
        if not directory.is_dir():
            raise ConfigError(f"--config-dir={config_dir}: no such directory")
        sys.path.insert(0, str(directory))
        os.environ[CONFIG_DIR] = str(directory)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
    Plugins.instance().register(_SearchPath)
    return directories()
