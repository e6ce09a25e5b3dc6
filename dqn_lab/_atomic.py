"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Replaces `path` with what `write` writes, or leaves it unchanged if that fails.

    Args:
        path: the file to create or replace; its directory is created if missing.
        write: called with an open binary file.
    """
    with replacing(path) as part, part.open("wb") as file:
        write(file)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields the path of a file to write; then flushes it to the disk and renames it to `path`.

    Args:
        path: the file to create or replace; unchanged if writing fails. Its directory is created if missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        _flush(part)
        part.replace(path)
        with contextlib.suppress(OSError):  # systems that cannot open a directory write the name a moment later
            _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def overwrite(path: Path, text: bytes) -> None:
    """Overwrites an existing file in one write; restores its content if that fails."""
    before = path.read_bytes()
    padded = text.ljust(len(before))  # with spaces, so that the file is valid even before it is truncated
    number = os.open(path, os.O_WRONLY)
    try:
        if os.write(number, padded) < len(padded):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.truncate(number, len(text))
        os.fsync(number)
    except OSError:
        os.pwrite(number, before, 0)
        os.truncate(number, len(before))
        raise
    finally:
        os.close(number)


def remove_parts(directory: Path) -> None:
    """Removes partial files left behind by a process that died."""
    for part in (*directory.glob(".*.part"), *directory.glob(".tmp*")):  # `.tmp…` are safetensors' own
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
