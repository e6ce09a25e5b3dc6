"""Compiles kernels with numba and caches them on disk: per version of the source, one worker at a time."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import platformdirs

if "scipy" not in sys.modules:  # numba only checks its version, and no kernel uses it
    sys.modules["scipy"] = None  # type: ignore[assignment]  # not importing it makes a run start earlier
    try:
        import numba
    finally:
        del sys.modules["scipy"]
import numba
from numba.core import caching, runtime
from numba.core.dispatcher import Dispatcher

from dqn_lab._compiling import compiling
from dqn_lab._inline import InlineCompiler
from dqn_lab._outside import digest_with_imports

_log = logging.getLogger(__name__)
# the kernels' source files, and what those import
_SOURCES = (
    "_numba.py",
    "_outside.py",
    "errors.py",
    "_compiling.py",
    "_inline.py",
    "_function.py",
    "*/_*kernels.py",
    "engine/fused/*.py",
    "env/compiled/*.py",
)
PATIENCE = 20.0  # seconds until a wait for another process is announced
CHECK_BOUNDS = os.environ.get("DQN_LAB_CHECK_BOUNDS") == "1"  # for debugging: kernels take several times as long
# No "fastmath": it lets the compiler reorder sums in one compilation and not in another, so that a kernel just compiled
# and one read from disk could differ in the last bit. Kernels state explicitly what may be fused or reordered.
# Kernels allocate no arrays, so numba's reference counting is off: it would take a sixth of each call and of compiling.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "boundscheck": CHECK_BOUNDS}
_config: Any = numba.config
if _config.DISABLE_JIT:
    raise ImportError("NUMBA_DISABLE_JIT=1: this environment variable must not be set: the kernels have to be compiled")
_njit: Any = numba.njit
_runtime: Any = runtime
_cache_file: Any = caching.IndexDataCacheFile
_function_cache: Any = caching.FunctionCache

_inline: Callable[[Any], Any] = _njit(
    pipeline_class=InlineCompiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS
)


def inline(function: Any) -> Any:
    """Compiles a function that only kernels call."""
    return _inline(_named(function))


def _named(function: Any) -> Any:
    """Adds what a function captures to its name, because the linker takes two symbols of one name for the same code.

    numba tells functions of the same name apart by numbering them within a process. Kernels read from disk, however,
    were numbered in other processes, so one kernel might call what another one captured.
    """
    if function.__closure__ and (captured := [_name_of(cell.cell_contents) for cell in function.__closure__]):
        digest = hashlib.sha256(repr(captured).encode()).hexdigest()[:8]
        function.__qualname__ = f"{function.__qualname__}_{digest}"
    return function


def _name_of(value: Any) -> str:
    """Names what a function captures, in the same way in every process.

    Raises:
        TypeError: it is neither a compiled function, a plain value, nor a tuple of these.
    """
    if isinstance(value, Dispatcher):
        return f"{value.py_func.__module__}.{value.py_func.__qualname__}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_name_of, value))})"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    raise TypeError(f"a kernel captures {value!r}: must be a compiled function, a plain value, or a tuple of these")


@functools.cache
def cache_directory() -> Path | None:
    """Returns the directory of compiled kernels: in the user's cache, named after a digest of their source.

    numba itself checks only the file in which a kernel is defined, and would miss changes in the functions it calls.
    For kernels from outside the package, see `_Cache`.

    Returns:
        None if it is not writable; every process then compiles its own kernels.
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
    """Lists the kernels' source files."""
    return sorted(path for pattern in _SOURCES for path in package.glob(pattern))


class _Cache(_function_cache):  # type: ignore[misc]
    """Reads kernels from disk without loading numba's compiler, which takes a tenth of a run's start-up.

    A kernel from outside the package is compiled again if a file that its module imports has changed.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._digest = digest_with_imports(function.__module__)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), self._digest)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Returns a kernel for a signature; None if it is not on disk."""
        _runtime.rtsys.initialize(target_context)  # kernels call its functions to read their arguments
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
        if found is None:  # numba compiles it next
            compiling.begin()
        return found


def kernel(function: Any) -> Any:
    """Compiles a function for each type it is called with, and caches the result on disk if possible."""
    function = _named(function)
    directory, before = cache_directory(), _config.CACHE_DIR
    if directory is None:
        return _njit(**_OPTIONS)(function)
    _config.CACHE_DIR = str(directory)  # read only when a cache is created
    try:
        compiled = _njit(no_cfunc_wrapper=True, **_OPTIONS)(function)
        compiled._cache = _Cache(function)
        return compiled
    except RuntimeError:  # the directory cannot be used after all
        return _njit(**_OPTIONS)(function)
    finally:
        _config.CACHE_DIR = before


def prepare(function: Any, *arguments: Any) -> Any:
    """Compiles a kernel for arguments of these types, or reads it from disk; one worker at a time.

    Damaged files on disk are removed and written again; any other error is raised.

    Returns:
        the kernel.
    """
    signature = tuple(map(numba.typeof, arguments))
    if signature in function.overloads:
        return function
    with _cache_lock() as directory, compiling:
        if directory is None:
            compiling.begin()
        try:
            function.compile(signature)
        except Exception as error:
            if signature in function.overloads:  # it was compiled, but could not be cached
                _log.info("compiled kernels are not kept: %s", error)
                return function
            damaged = [] if directory is None else _damaged_files(directory)
            if not damaged:
                raise
            _log.info("compiling again: %s: %s", type(error).__name__, error)
            for path in damaged:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            function.compile(signature)
    return function


def _damaged_files(directory: Path) -> list[Path]:
    """Lists the cache files that numba cannot read, of indexes (`.nbi`) and of kernels (`.nbc`)."""
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
    """Yields the cache's directory while holding its lock: two writers would corrupt numba's index."""
    directory = cache_directory()
    with contextlib.ExitStack() as stack:
        if directory is not None:
            with contextlib.suppress(OSError, NotImplementedError):  # a file system without locks
                stack.enter_context(_acquired(filelock.FileLock(directory / "lock")))
        yield directory


def _acquired(lock: filelock.BaseFileLock) -> contextlib.AbstractContextManager[Any]:
    """Acquires a lock, and says so if that takes long: its owner may have been stopped."""
    try:
        return lock.acquire(timeout=PATIENCE)
    except filelock.Timeout:
        _log.warning("waiting for another process, which is compiling; it holds %s", lock.lock_file)
        return lock.acquire()
