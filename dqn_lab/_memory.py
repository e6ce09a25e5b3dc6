"""How much memory a run may use, for checks before anything is allocated."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path, PurePosixPath

_workers: ContextVar[int] = ContextVar("workers", default=1)
CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def check_memory(needed: int) -> str | None:
    """Returns an error message if a run needs more memory than there is.

    Args:
        needed: the bytes that one run needs.

    Returns:
        None if there is enough, or if the amount is unknown.
    """
    memory, workers = available(), num_workers()
    if memory is None or needed * workers <= memory:
        return None
    together = f" per run, {needed * workers / 1e9:,.1f} GB for {workers} at a time" if workers > 1 else ""
    return f"needs {needed / 1e9:,.1f} GB{together}, this machine has {memory / 1e9:,.1f} GB"


def available() -> int | None:
    """Returns the machine's memory, or the limit that its container or job sets if that is less, in bytes."""
    found = list(_cgroup_limits())
    with contextlib.suppress(OSError, ValueError):  # some systems do not know
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(found, default=None)


def num_workers() -> int:
    """Returns how many runs share this machine's memory."""
    return _workers.get()


@contextlib.contextmanager
def shared_by(workers: int) -> Iterator[None]:
    """Makes memory checks within the block assume this many runs at a time."""
    token = _workers.set(max(1, workers))
    try:
        yield
    finally:
        _workers.reset(token)


def _cgroup_limits() -> Iterator[int]:
    """Yields the memory limit of each control group that this process is in, in bytes; cgroups v1 and v2."""
    try:
        lines = MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and "memory" not in controllers.split(","):
            continue
        root, name = (CGROUPS / "memory", "memory.limit_in_bytes") if controllers else (CGROUPS, "memory.max")
        group = PurePosixPath(path.lstrip("/"))
        for place in (group, *group.parents):
            try:
                text = (root / place / name).read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if text.isdecimal():  # `max` means no limit
                yield int(text)
