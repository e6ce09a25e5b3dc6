"""An index of everything that can be configured, cached on disk, so that errors and help need not import torch.

The cache is a file in the user's cache directory, named after the sources that it was made from. It is optional and may
be deleted at any time: if it is missing, damaged or out of date, the components are imported; if it cannot be written,
they are imported every time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import VERSION, BaseModel

from dqn_lab import __version__, registry
from dqn_lab._atomic import write_atomically
from dqn_lab._paths import PACKAGE
from dqn_lab._plugins import plugin_places, plugins
from dqn_lab.cli import status
from dqn_lab.cli._catalogue import Index
from dqn_lab.cli._models import model_of

LARGEST = 10_000_000  # bytes that the cache file may have
KEPT = 16  # cache files: several installations share the directory


def validate(plain: dict[str, Any]) -> dict[str, Any]:
    """Checks every name and value of a configuration, as `build.validate` does, without importing components.

    Raises:
        ConfigError: one line per problem.
    """
    return registry.validate_all({**registry.OLDER, **plain}, _run_model(), model)


def model(group: str, name: str) -> type[BaseModel]:
    """Returns the schema of a component's configuration, as `registry.model` does.

    Raises:
        ConfigError: there is no such component.
    """
    known = read().components[group]
    if ":" in name:
        return registry.model(group, name)
    if name not in known:
        raise registry.unknown(group, name, known)
    fields = known[name].fields
    return registry.model(group, name) if fields is None else model_of(fields)


def _run_model() -> type[BaseModel]:
    return model_of(read().run)


@functools.cache
def read() -> Index:
    """Reads the cache, or imports every component and writes it."""
    path = Path(platformdirs.user_cache_path("dqn_lab"), f"components-{_digest()}.json")
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if path.is_file() and path.stat().st_size < LARGEST:
            found = Index.model_validate_json(path.read_bytes())
            if set(found.components) == set(registry.GROUPS):
                return found
    status("importing every component, once")
    from dqn_lab.cli._describe import describe_all

    index = describe_all()
    status()
    _write(path, index.model_dump_json())
    return index


def _write(path: Path, text: str) -> None:
    """Replaces the cache and removes all but the newest `KEPT` files; changes nothing if it cannot write."""
    with contextlib.suppress(OSError):
        write_atomically(path, lambda file: file.write(text.encode()))
        written = sorted(path.parent.glob("components-*.json"), key=lambda known: known.stat().st_mtime)
        for old in written[:-KEPT]:
            old.unlink(missing_ok=True)


def _digest() -> str:
    """Identifies the sources of all components: those of the package and of the plugins."""
    places = [PACKAGE, *plugin_places()]
    files = [(str(path), stat.st_mtime_ns, stat.st_size) for place in places for path, stat in _sources(place)]
    names = [(plugin.name, plugin.value) for plugin in plugins()]
    about = [__version__, sys.version, VERSION, names, sorted(files)]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]


def _sources(place: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in [place] if place.is_file() else place.rglob("*.py"):
        with contextlib.suppress(OSError):
            yield path, path.stat()
