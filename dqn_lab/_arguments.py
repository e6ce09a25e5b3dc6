"""Checks the arguments of calls from Python."""

from __future__ import annotations

import operator
import os
from pathlib import Path

from dqn_lab.errors import ConfigError


def whole(name: str, value: object, least: int) -> int:
    """Returns a whole number, of Python's or numpy's types.

    Raises:
        ConfigError: it is something else, or less than `least`.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{name}={value!r}: must be a whole number, at least {least}")
    return number


def flag(name: str, value: object) -> bool:
    """Returns a truth value, of Python's or numpy's type; a text such as "no" would otherwise count as true.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, bool) and type(value).__name__ != "bool":  # numpy's, without importing it
        raise ConfigError(f"{name}={value!r}: must be True or False")
    return bool(value)


def to_write(name: str, value: str | os.PathLike[str]) -> Path:
    """Returns the path of a directory to write to; a `~` at its beginning stands for the user's own directory.

    Raises:
        ConfigError: it is no path, is empty, or contains `${`, which a configuration would take for a key.
    """
    text = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "${" in text:
        problem = "must not contain ${" if text else "must name a directory, as text or a path"
        raise ConfigError(f"{name}={value!r}: {problem}")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{name}={text}: {error}") from error
