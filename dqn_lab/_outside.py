"""Modules from outside the package: imported by name, and imported again when their files have changed.

A run records a digest of each file that it used, so that a later command can detect a change.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import itertools
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from dqn_lab.errors import ConfigError, TrainingError, one_line

Stamp = tuple[int, int] | None  # a file's time of change and size; None if it is gone
REFUSED = "DQN_LAB_REFUSED"  # set while code from outside is refused; workers inherit it
UNSAVED = "not in its `state_dict`"  # in a warning about an attribute of a custom component
STEP = r"after step \d+ of the run"  # a note on when an error was raised
INSTALLED = ("site-packages", "dist-packages")
_stamps: dict[str, tuple[Path, Stamp]] = {}  # the file of each imported module, and its stamp at that time
_digests: dict[str, str] = {}  # the digest of each of these files at that time
_places: dict[str, Path] = {}  # the file of each module that is to be imported again
_registered: dict[str, str] = {}  # the environments that these modules registered, and by which module
importing: list[str] = []  # the modules that are being imported now


class _Finder:
    """Finds these modules when they are reloaded or imported again and `--config-dir` is no longer on the path."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        place = _places.get(name) or (_stamps[name][0] if target is not None and name in _stamps else None)
        if place is None or not place.is_file():
            return None
        inside = [str(place.parent)] if place.stem == "__init__" else None
        return importlib.util.spec_from_file_location(name, place, submodule_search_locations=inside)


def import_outside(name: str) -> ModuleType:
    """Imports a module, and remembers its file and those of the modules from the same directory that it imports.

    Raises:
        ConfigError: code from outside the package is refused.
        Exception: any error that the module raises.
    """
    if REFUSED in os.environ:
        raise ConfigError(f"{name}: is code from outside the package; if you trust it, add --trust")
    if name in _stamps and name in sys.modules:
        return sys.modules[name]
    importlib.import_module("gymnasium")  # first, so that its environments are not taken for the module's
    before, known = set(sys.modules), set(_environments())
    importing.append(name)
    try:
        module = importlib.import_module(name)
    finally:
        importing.remove(name)
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


def with_colon(name: str) -> str:
    """Writes a path of dots, as other libraries name a class, as `module:Class`."""
    parts = name.split(".")
    is_path = len(parts) > 1 and all(part.isidentifier() for part in parts)
    return f"{'.'.join(parts[:-1])}:{parts[-1]}" if is_path else name


def no_module(name: str) -> str:
    """Says that there is no such module, and how a file is named."""
    parts = [part for part in name.removesuffix(".py").split("/") if part.strip(".")]
    if parts and parts != [name]:
        tails = [".".join(parts[start:]) for start in range(len(parts))]
        return f"a module is named without .py and slashes: {next(filter(_is_module, tails), tails[-1])}"
    where = "name its directory with --config-dir DIR (train and sweep) or PYTHONPATH=DIR (every command)"
    return f"no module {name!r} on Python's path; {where}"


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def outside_names(config: Mapping[str, Any]) -> set[str]:
    """Returns the names in a configuration that import code from outside the package: `module:Name`."""
    loggers = config.get("logger")
    parts = [*config.values(), *(loggers.values() if isinstance(loggers, Mapping) else ())]
    names = [str(part[key]) for part in parts if isinstance(part, Mapping) for key in ("name", "id") if key in part]
    return {name for name in names if ":" in name}


def sources(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns a digest of each of the user's own files that a configuration uses, by module, as of its import.

    Those of loggers are left out, because they change no result.
    """
    found: dict[str, str] = {}
    left = [name.partition(":")[0] for name in outside_names({**config, "logger": {}})]
    while left:
        name = left.pop()
        if name in _digests and name in sys.modules and name not in found:
            found[name] = _digests[name]
            left += _used_by(sys.modules[name])
    return dict(sorted(found.items()))


def digest_with_imports(name: str) -> str:
    """Returns a digest of a module's file and of those that it imports from its own package or the user's own files.

    For the package's own modules it is empty.
    """
    top, left, found = name.partition(".")[0], [name], dict[str, bytes]()
    while left and top != __package__:
        name = left.pop()
        path = Path(getattr(sys.modules.get(name), "__file__", None) or "")
        if name not in found and path.is_file() and (_is_users(path) or name.partition(".")[0] == top):
            found[name] = path.read_bytes()
            left += _imports(sys.modules[name], path) if path.suffix in SOURCE_SUFFIXES else []
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest() if found else ""


def _imports(module: ModuleType, path: Path) -> Iterator[str]:
    """Yields what a module's source imports: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)
            yield from (name, *(f"{name}.{alias.name}" for alias in node.names))


def changed_since(record: Mapping[str, Any]) -> list[str]:
    """Lists the modules whose files have changed since a run began; its code must have been imported."""
    now, recorded = sources(record["config"]), record.get("sources") or {}
    return [name for name, digest in recorded.items() if now.get(name, digest) != digest]


def entry_module(env_id: str) -> str:
    """Returns the module of a registered environment's class; nothing if it is not known."""
    entry = getattr(_environments().get(env_id), "entry_point", None)
    return entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", ""))


def in_a_file(env_id: str) -> str:
    """Says how an environment that was registered elsewhere is registered in a file."""
    return f"register it in a module's file, and write env.id=MODULE:{env_id}"


def untracked(config: Mapping[str, Any]) -> list[str]:
    """Returns a line if changes to an environment's code will not be noticed, because `id` names no file of it."""
    env_id = str(config["env"].get("id"))
    module = entry_module(env_id)
    what = f"its class is in {module}, so later changes to it will not be noticed"
    if module == "__main__":
        return [f"env.id={env_id}: {what}; {in_a_file(env_id)}"]
    path = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    is_unknown = _is_users(path) and module not in sources(config)
    return [f"env.id={env_id}: {what}; write env.id={module}:{env_id}"] if is_unknown else []


def located(error: BaseException) -> str:
    """Writes an error on one line, with the line of the user's own files that raised it, if one did."""
    return f"{one_line(error)}{place(error)}"


@contextlib.contextmanager
def noted(step: Callable[[], int]) -> Iterator[None]:
    """Notes in an error of a component after which step of the run it was raised.

    Args:
        step: returns the number of the last whole step.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, TrainingError):  # the environment's says so itself
            notes = [note for note in getattr(error, "__notes__", ()) if not re.fullmatch(STEP, note)]  # of another run
            error.__notes__ = [*notes, f"after step {step()} of the run"]
        raise


def place(error: BaseException) -> str:
    """Returns in brackets the innermost place in the user's own files where an error was raised, and its notes."""
    frames = [(Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(error.__traceback__)]
    users = (f"raised in {path.name}, line {line}" for path, line in reversed(frames) if _is_users(path))
    notes = (note for note in getattr(error, "__notes__", ()) if re.fullmatch(STEP, note))
    parts = [*itertools.islice(users, 1), *notes]
    return f" ({'; '.join(parts)})" if parts else ""


def _is_users(path: Path) -> bool:
    """Returns whether a file is neither the package's own, nor installed, nor Python's."""
    others = (Path(__file__).parent, Path(sysconfig.get_path("stdlib")))
    return path.is_file() and not any(map(path.is_relative_to, others)) and not set(INSTALLED) & set(path.parts)


def _used_by(module: ModuleType) -> Iterator[str]:
    """Yields the names of the modules that a module imports or imports names from."""
    for value in vars(module).values():
        yield value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))


def forget_changed() -> None:
    """Removes modules whose files have changed, and those imported with them, so that the next use imports them again.

    Raises:
        ConfigError: one of them is compiled, so it cannot be loaded twice.
    """
    changed = {name: path for name, (path, stamp) in _stamps.items() if _stamp(path) != stamp}
    for name, path in changed.items():
        if path.suffix not in SOURCE_SUFFIXES:
            raise ConfigError(f"{name}: {path} has changed, but a compiled module is loaded only once; restart Python")
    roots = {_root(sys.modules[name.partition(".")[0]]) for name in changed if name.partition(".")[0] in sys.modules}
    gone = {name for name, (path, _) in _stamps.items() if any(root and path.is_relative_to(root) for root in roots)}
    for name in gone | set(changed):
        _places[name], _ = _stamps.pop(name)
        sys.modules.pop(name, None)
        with contextlib.suppress(OSError, NotImplementedError):  # it may match the new file: its time is in seconds
            Path(importlib.util.cache_from_source(str(_places[name]))).unlink(missing_ok=True)
    for env_id in [env_id for env_id, name in _registered.items() if name in gone | set(changed)]:
        _environments().pop(env_id, None)  # it will be registered again
        del _registered[env_id]
    importlib.invalidate_caches()


def _environments() -> MutableMapping[str, Any]:
    """Returns Gymnasium's registry of environments; empty if it was not imported."""
    found: MutableMapping[str, Any] = getattr(sys.modules.get("gymnasium"), "registry", {})
    return found


def _root(top: ModuleType) -> Path | None:
    """Returns the directory that contains a module or package; None if it has no file, as in a notebook."""
    place = getattr(top, "__file__", None) or next(iter(getattr(top, "__path__", ())), None)
    if place is None:
        return None
    path = Path(place)
    return path.parent.parent if path.stem == "__init__" else path.parent


def _is_own(name: str, path: Path) -> bool:
    """Returns whether a module is the user's own: neither installed nor part of dqn_lab."""
    return name.partition(".")[0] != __package__ and not set(INSTALLED) & set(path.parts)


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size
