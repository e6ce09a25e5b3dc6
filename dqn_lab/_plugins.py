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
def plugin_directories() -> list[Path]:
    """Lists the directories of the plugins' packages, except those that cannot be found."""
    found = []
    for plugin in plugins():
        spec = None
        with contextlib.suppress(Exception, SystemExit):  # importing the parent package may fail in any way
            spec = importlib.util.find_spec(plugin.module)
        found += [Path(root) for root in (spec.submodule_search_locations if spec else None) or []]
    return found
