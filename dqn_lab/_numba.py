"""Compiling with numba, and keeping what was compiled: for this source only, and for one worker at a time."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import numba
import platformdirs
from numba.core import caching

_log = logging.getLogger(__name__)
_SOURCES = (
    "_numba.py",
    "_function.py",
    "*/_*kernels.py",
    "engine/fused/*.py",
    "env/compiled/*.py",
)  # what kernels are made of
CHECK_BOUNDS = os.environ.get("DQN_LAB_CHECK_BOUNDS") == "1"  # for finding mistakes: kernels take several times as long
# No "fastmath": a compiler that may reorder sums does so in one place and not in another, and what was just compiled
# would then differ by a bit from what was read from disk. What is to be fused or reordered, the kernels say themselves.
# Kernels make no arrays, so that none needs numba's counting of references: a sixth of a call, and of compiling.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "boundscheck": CHECK_BOUNDS}
_config: Any = numba.config
_njit: Any = numba.njit
_cache_file: Any = caching.IndexDataCacheFile

# for what is only called inside kernels
inline: Callable[[Any], Any] = _njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)


@functools.cache
def cache_directory() -> Path | None:
    """Finds where compiled kernels are kept: a folder of the user's own, named after the source that they are of.

    numba would look at the one file that a kernel stands in, and miss a change in what it calls.

    Returns:
        None where nothing can be written; kernels are then compiled by every process.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in source_files(here))).hexdigest()
    root = Path(_config.CACHE_DIR or platformdirs.user_cache_path("dqn_lab"))
    directory = root / f"kernels-{digest[:12]}{'-checked' if CHECK_BOUNDS else ''}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        _log.info("compiled kernels are not kept: %s: %s", directory, error.strerror)
        return None
    return directory


def source_files(package: Path) -> list[Path]:
    """Lists the files that kernels are made of."""
    return sorted(path for pattern in _SOURCES for path in package.glob(pattern))


def kernel(function: Any) -> Any:
    """Makes a function a kernel: compiled for each type it is called with, and kept on disk where that is possible."""
    directory, before = cache_directory(), _config.CACHE_DIR
    if directory is None:
        return _njit(**_OPTIONS)(function)
    _config.CACHE_DIR = str(directory)  # read by the decorator, and by it only
    try:
        return _njit(cache=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
    except RuntimeError:  # there is no place to keep it after all
        return _njit(**_OPTIONS)(function)
    finally:
        _config.CACHE_DIR = before


def prepare(function: Any, *arguments: Any) -> Any:
    """Compiles a kernel for arguments like these, or reads it from disk, while no other worker does.

    Damaged files on disk are removed and made again; whatever else goes wrong is raised.

    Returns:
        the kernel.
    """
    signature = tuple(map(numba.typeof, arguments))
    if signature in function.overloads:
        return function
    with _cache_lock() as directory:
        if directory is not None and next(directory.rglob("*.nbc"), None) is None:
            _log.warning("compiling for this machine, once: some twenty seconds")
        try:
            function.compile(signature)
        except OSError as error:  # it is compiled, but could not be kept
            _log.info("compiled kernels are not kept: %s", error)
        except Exception as error:
            damaged = [] if directory is None else _damaged_files(directory)
            if not damaged:
                raise
            _log.info("compiling anew: %s: %s", type(error).__name__, error)
            for path in damaged:
                path.unlink(missing_ok=True)
            function.compile(signature)
    return function


def _damaged_files(directory: Path) -> list[Path]:
    """Lists the files of a cache that numba cannot read: indexes, and the data that kernels are read from."""
    damaged = []
    for path in [*directory.rglob("*.nbi"), *directory.rglob("*.nbc")]:
        base = path.stem if path.suffix == ".nbi" else path.stem.rpartition(".")[0]
        file = _cache_file(str(path.parent), base, None)
        try:
            file._load_index() if path.suffix == ".nbi" else file._load_data(path.name)
        except Exception:
            damaged.append(path)
    return damaged


@contextlib.contextmanager
def _cache_lock() -> Iterator[Path | None]:
    """Holds the cache's lock, and yields its directory: two writers would spoil numba's index of it."""
    directory = cache_directory()
    with contextlib.ExitStack() as stack:
        if directory is not None:
            with contextlib.suppress(OSError, NotImplementedError):  # a file system without locks
                stack.enter_context(filelock.FileLock(directory / "lock"))
        yield directory
