"""States on disk: plain values and arrays in one safetensors file, with a digest.

Such a file contains no code, and reading it allocates no more than its size. The values are JSON in the file's
metadata, in which an array is a reference to one of the file's tensors.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dqn_lab._atomic import replacing
from dqn_lab.types import Array, StateError

ARRAY, TENSOR, ROWS, PAIRS = "$array", "$tensor", "$rows", "$pairs"
DTYPES = {  # safetensors' names, and numpy's
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8", "U16": "uint16",
    "U32": "uint32", "U64": "uint64", "F16": "float16", "F32": "float32", "F64": "float64",
}  # fmt: skip


class Rows:
    """The rows of a ring buffer, numbered in the order of writing: row i is at index i modulo the capacity.

    The numbers let a checkpoint save only the rows written since the previous one. The object refers to the ring
    itself, so it is valid until the next row is written.

    Args:
        array: [capacity, …].
        written: how many rows were ever written, including overwritten ones.
        oldest: the number of the oldest row that is needed, if those before it are not; it never falls.
    """

    def __init__(self, array: Array, written: int, oldest: int = 0) -> None:
        self.array, self.written, self.oldest = array, written, oldest

    @property
    def first(self) -> int:
        """The number of the oldest row still stored and needed."""
        return max(self.oldest, self.written - len(self.array))

    def pieces(self, since: int = 0) -> Iterator[tuple[int, Array]]:
        """Yields contiguous pieces, oldest first: the number of the first row, and the rows."""
        at, capacity = max(since, self.first), len(self.array)
        while at < self.written:
            start = at % capacity
            rows = self.array[start : start + self.written - at]
            yield at, rows
            at += len(rows)

    def copy_to(self, array: Array) -> None:
        """Copies every row to its place in a ring of the same capacity."""
        put(array, self.pieces())

    def __deepcopy__(self, memo: dict[int, Any]) -> SavedRows:
        """Returns what a file would hold: only the rows that were written."""
        saved = SavedRows(self.written, self.oldest)
        saved.pieces = [(at, rows.copy()) for at, rows in self.pieces()]
        return saved


class SavedRows:
    """Rows read from files, to be copied into a ring.

    Args:
        written: how many rows were ever written.
        oldest: the number of the oldest row that is needed.
    """

    def __init__(self, written: int, oldest: int = 0) -> None:
        self.written, self.oldest = written, oldest
        self.pieces: list[tuple[int, Array]] = []  # the number of the first row, and the rows

    def copy_to(self, array: Array) -> None:
        """Copies every row to its place in a ring of the original capacity.

        Raises:
            StateError: rows are missing, or have another shape or type.
        """
        first = there = max(self.oldest, self.written - len(array))
        for at, rows in self.pieces:
            if at > there or rows.shape[1:] != array.shape[1:] or rows.dtype != array.dtype:
                raise StateError("rows of the replay are missing, or of another shape")
            there = max(there, at + len(rows))
        if there != self.written:
            raise StateError("rows of the replay are missing")
        put(array, ((max(at, first), rows[max(0, first - at) :]) for at, rows in self.pieces))


def rows_of(state: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Finds the `Rows` or `SavedRows` in a state, each with its path."""
    if isinstance(state, Rows | SavedRows):
        yield path, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from rows_of(value, f"{path}/{key}")
    elif isinstance(state, list | tuple):
        for number, value in enumerate(state):
            yield from rows_of(value, f"{path}/{number}")


def put(ring: Array, pieces: Iterable[tuple[int, Array]]) -> None:
    """Copies contiguous pieces of rows into a ring, by their numbers."""
    for at, rows in pieces:
        start, room = at % len(ring), len(ring) - at % len(ring)
        ring[start : start + len(rows)] = rows[:room]
        if len(rows) > room:
            ring[: len(rows) - room] = rows[room:]


def save(path: Path, kind: str, state: Any) -> str:
    """Writes a state, whole or not at all, and flushes it to the disk.

    Args:
        path: the file; its directory is made if missing.
        kind: the kind of file, and its version.
        state: dictionaries, lists, arrays, tensors and plain values; for `Rows`, only their number is saved.

    Returns:
        the file's digest.

    Raises:
        StateError: the state contains something else.
        OSError: it could not be written.
    """
    arrays: dict[str, Array] = {}
    text = json.dumps(_encode(state, arrays))
    digest = _digest(kind, text, arrays)
    with replacing(path) as part:
        part.touch()
        mode = part.stat().st_mode  # safetensors creates files that only their owner can read
        try:
            save_file(arrays, part, metadata={"kind": kind, "state": text, "digest": digest})
        except SafetensorError as error:
            raise _os_error(error, path) from error
        part.chmod(mode)
    return digest


def _os_error(error: Exception, path: Path) -> OSError:
    """Returns the operating system's error, which safetensors reports as text."""
    number = re.search(r"os error (\d+)", str(error))
    if number is None:
        return OSError(errno.EIO, f"cannot be written: {error}", str(path))
    return OSError(int(number[1]), os.strerror(int(number[1])), str(path))


def load(path: Path, kind: str, copy: bool = True) -> tuple[Any, str]:
    """Reads what `save` wrote.

    Args:
        path: the file.
        kind: the kind of file that is expected.
        copy: whether to copy the arrays into memory; if not, they are read-only and the system reads them as needed.

    Returns:
        the state, with empty `SavedRows` in place of `Rows`, and its digest.

    Raises:
        ValueError: the file is missing, damaged, or of another kind.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if not os.access(path, os.R_OK):
        raise ValueError(f"{path}: cannot be read: permission denied")
    try:
        about, arrays = _map(path)
    except Exception as error:  # a damaged file may raise nearly anything
        raise ValueError(f"{path}: damaged, or not a file of dqn_lab") from error
    if about.get("kind") != kind or not about.keys() >= {"state", "digest"}:
        raise ValueError(f"{path}: not a {kind} of dqn_lab")
    if _digest(kind, about["state"], arrays) != about["digest"]:
        raise ValueError(f"{path}: damaged: its content does not match its digest")
    try:
        found = _decode(json.loads(about["state"]), lambda name: arrays[name].copy() if copy else arrays[name])
        return found, about["digest"]
    except Exception as error:
        raise ValueError(f"{path}: damaged: {type(error).__name__}") from error


def _map(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """Returns a file's metadata, and its arrays without reading them."""
    with safe_open(path, framework="np"):  # checks the header
        content = np.asarray(np.memmap(path, mode="r"))
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    header = json.loads(content[8:start].tobytes())
    about, arrays = header.pop("__metadata__", {}), {}
    for name, array in header.items():
        first, last = array["data_offsets"]
        arrays[name] = content[start + first : start + last].view(DTYPES[array["dtype"]]).reshape(array["shape"])
    return about, arrays


def _digest(kind: str, text: str, arrays: Mapping[str, Array]) -> str:
    """Hashes the whole content of a file."""
    found = hashlib.sha256(f"{kind}\n{len(text)}\n{text}".encode())
    for name, array in sorted(arrays.items()):
        found.update(f"\n{name}:{array.dtype.name}:{array.shape}\n".encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _encode(value: Any, arrays: dict[str, Array]) -> Any:
    """Replaces arrays, tensors and rows with references, and dictionaries whose keys are not plain words with pairs."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _encode(item, arrays) for key, item in value.items()}
        return {PAIRS: [[_encode(key, arrays), _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_encode(item, arrays) for item in value]
    if isinstance(value, Rows):
        return {ROWS: value.written} if not value.oldest else {ROWS: value.written, "oldest": value.oldest}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {ARRAY: _keep(value, arrays)}
    import torch

    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu()
        if plain.dtype == torch.bfloat16:
            return {TENSOR: _keep(plain.view(torch.int16).numpy(), arrays), "dtype": "bfloat16"}
        return {TENSOR: _keep(plain.numpy(), arrays)}
    raise StateError(f"{type(value).__name__}: cannot be saved; a state holds arrays, tensors and plain values")


def _keep(array: Array, arrays: dict[str, Array]) -> str:
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    if plain.dtype.name not in DTYPES.values():
        raise StateError(f"an array of {plain.dtype.name}: cannot be saved; must be of booleans or numbers")
    name = str(len(arrays))
    arrays[name] = plain
    return name


def _decode(value: Any, read: Callable[[str], Array]) -> Any:
    if isinstance(value, list):
        return [_decode(item, read) for item in value]
    if not isinstance(value, dict):
        return value
    if ARRAY in value:
        return read(value[ARRAY])
    if TENSOR in value:
        import torch

        tensor = torch.from_numpy(read(value[TENSOR]))
        return tensor.view(torch.bfloat16) if value.get("dtype") == "bfloat16" else tensor
    if ROWS in value:
        return SavedRows(int(value[ROWS]), int(value.get("oldest", 0)))
    if PAIRS in value:
        return {_decode(key, read): _decode(item, read) for key, item in value[PAIRS]}
    return {key: _decode(item, read) for key, item in value.items()}
