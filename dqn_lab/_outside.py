"""Modules from outside the package: imported by name, and loaded anew once their files have changed.

A run records a digest of each file that it used, so that a later command can say that one has changed since.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from dqn_lab.errors import ConfigError, one_line

Stamp = tuple[int, int] | None  # a file's time of change and size; None if it is gone
UNSAVED = "not in its `state_dict`"  # in a warning about an attribute of a component of the user's
INSTALLED = ("site-packages", "dist-packages")
_stamps: dict[str, tuple[Path, Stamp]] = {}  # the file of each module that was imported, as it was then
_digests: dict[str, str] = {}  # of these files, as they were then
_places: dict[str, Path] = {}  # the same of modules that were loaded before and are to be loaded anew
_registered: dict[str, str] = {}  # the environments that these modules registered


class _Finder:
    """Finds these modules when `--config-dir` is no longer on the path, for `importlib.reload` and for loading anew."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        place = _places.get(name) or (_stamps[name][0] if target is not None and name in _stamps else None)
        if place is None or not place.is_file():
            return None
        inside = [str(place.parent)] if place.stem == "__init__" else None
        return importlib.util.spec_from_file_location(name, place, submodule_search_locations=inside)


def import_outside(name: str) -> ModuleType:
    """Imports a module, and remembers its file and those of the modules beside it that it imports.

    Raises:
        Exception: whatever importing it raises.
    """
    if name in _stamps and name in sys.modules:
        return sys.modules[name]
    importlib.import_module("gymnasium")  # or what it registers would be taken for the module's
    before, known = set(sys.modules), set(_environments())
    module = importlib.import_module(name)
    root = _root(sys.modules[name.partition(".")[0]])
    for new in {name, *(set(sys.modules) - before)}:
        path = Path(getattr(sys.modules[new], "__file__", None) or "")
        if root is not None and path.is_file() and path.is_relative_to(root) and _is_own(new, path):
            _stamps[new] = path, _stamp(path)
            _digests[new] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            _places.pop(new, None)
    _registered.update(dict.fromkeys(set(_environments()) - known, name))
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)
    return module


def outside_names(config: Mapping[str, Any]) -> set[str]:
    """Returns the names in a configuration that import code from outside the package: `module:Name`."""
    # loggers are one level deeper, and change no result
    parts = [part for part in config.values() if isinstance(part, Mapping)]
    names = [str(part[key]) for part in parts for key in ("name", "id") if key in part]
    return {name for name in names if ":" in name}


def sources(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns a digest of each of the user's own files that a configuration uses, by module, as they were imported."""
    found: dict[str, str] = {}
    left = [name.partition(":")[0] for name in outside_names(config)]
    while left:
        name = left.pop()
        if name in _digests and name in sys.modules and name not in found:
            found[name] = _digests[name]
            left += _used_by(sys.modules[name])
    return dict(sorted(found.items()))


def changed_since(record: Mapping[str, Any]) -> list[str]:
    """Lists the modules whose files have changed since a run began; its code must have been imported."""
    now, recorded = sources(record["config"]), record.get("sources") or {}
    return [name for name, digest in recorded.items() if now.get(name, digest) != digest]


def located(error: BaseException) -> str:
    """Writes an error on one line, with the place in the user's own files where it was raised, if it was in one."""
    own = {str(path): path.name for path, _ in _stamps.values()}
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    place = next((f" (raised in {own[file]}, line {line})" for file, line in reversed(frames) if file in own), "")
    return f"{one_line(error)}{place}"


def _used_by(module: ModuleType) -> Iterator[str]:
    """Yields the names of the modules from which a module has its names."""
    for value in vars(module).values():
        yield value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))


def forget_changed() -> None:
    """Removes modules whose files have changed, and those imported with them, so that they are loaded anew when used.

    Raises:
        ConfigError: one of them is compiled, and so cannot be loaded a second time.
    """
    changed = {name: path for name, (path, stamp) in _stamps.items() if _stamp(path) != stamp}
    for name, path in changed.items():
        if path.suffix not in SOURCE_SUFFIXES:
            raise ConfigError(f"{name}: {path} has changed, and a compiled module is loaded once; start Python again")
    roots = {_root(sys.modules[name.partition(".")[0]]) for name in changed if name.partition(".")[0] in sys.modules}
    gone = {name for name, (path, _) in _stamps.items() if any(root and path.is_relative_to(root) for root in roots)}
    for name in gone | set(changed):
        _places[name], _ = _stamps.pop(name)
        sys.modules.pop(name, None)
        with contextlib.suppress(OSError, NotImplementedError):  # it may be taken for the new file's: to the second
            Path(importlib.util.cache_from_source(str(_places[name]))).unlink(missing_ok=True)
    for env_id in [env_id for env_id, name in _registered.items() if name in gone | set(changed)]:
        _environments().pop(env_id, None)  # it will be registered again
        del _registered[env_id]
    importlib.invalidate_caches()


def _environments() -> MutableMapping[str, Any]:
    """Returns Gymnasium's register of environments, if it was imported."""
    found: MutableMapping[str, Any] = getattr(sys.modules.get("gymnasium"), "registry", {})
    return found


def _root(top: ModuleType) -> Path | None:
    """Returns the directory in which a module or a package lies; None if it has no file, as in a notebook."""
    place = getattr(top, "__file__", None) or next(iter(getattr(top, "__path__", ())), None)
    if place is None:
        return None
    path = Path(place)
    return path.parent.parent if path.stem == "__init__" else path.parent


def _is_own(name: str, path: Path) -> bool:
    """Returns whether a module is the user's: neither installed nor the package's own."""
    return name.partition(".")[0] != __package__ and not set(INSTALLED) & set(path.parts)


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
