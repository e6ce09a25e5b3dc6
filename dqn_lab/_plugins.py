"""Installed packages that provide components and options, found without importing them."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
from pathlib import Path

GROUP = "dqn_lab.plugins"


@functools.cache
def plugins() -> list[importlib.metadata.EntryPoint]:
    """Lists the entry points through which installed packages provide components."""
    return list(importlib.metadata.entry_points(group=GROUP))


@functools.cache
def plugin_places() -> list[Path]:
    """Lists the directories of the plugins' packages, and the files of plugins that are single modules.

    Those that cannot be found are left out.
    """
    found: list[Path] = []
    for name in dict.fromkeys(plugin.module.partition(".")[0] for plugin in plugins()):
        with contextlib.suppress(ImportError, ValueError):  # ValueError if a module in `sys.modules` has no spec
            spec = importlib.util.find_spec(name)
            inside = spec.submodule_search_locations if spec else None
            found += map(Path, inside or ([spec.origin] if spec and spec.has_location and spec.origin else []))
    return found
