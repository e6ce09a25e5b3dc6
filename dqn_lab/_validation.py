"""Checks plain values against a pydantic model, and says what is wrong in one line each."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dqn_lab.types import ConfigError

SHOWN = 24  # choices that an error lists


def nearest(word: str, choices: Iterable[str]) -> str:
    """Says which choices there are, the nearest match first where one is near."""
    known = list(choices)
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    more = f", … ({len(known)} in all)" if len(known) > SHOWN else ""
    return f"{hint}choices: {', '.join(known[:SHOWN]) or 'none'}{more}"


def check(prefix: str, model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Validates `values` strictly, but for integers, which may be written `1e6`.

    Args:
        prefix: the dotted key under which the values stand; may be empty.
        model: the schema.
        values: plain values: numbers, strings, booleans, None, lists and dictionaries.

    Returns:
        The validated values with defaults filled in.

    Raises:
        ConfigError: one line a problem.
    """
    try:
        # strict JSON takes a list where a tuple is meant, and nothing else that is not what it seems
        checked = model.model_validate_json(json.dumps(_whole(values)))
    except ValidationError as error:
        raise ConfigError(*(_line(prefix, model, values, detail) for detail in error.errors())) from error
    dumped: dict[str, Any] = checked.model_dump(mode="json")
    return dumped


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(item) for item in value]
    return value


def _line(prefix: str, model: type[BaseModel], values: Mapping[str, Any], detail: ErrorDetails) -> str:
    path, value = _path(values, detail)
    key = prefix + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    key = key.removeprefix(".")
    if detail["type"] == "missing":
        return f"{key}: must be given"
    shown = _show(value)
    if detail["type"] == "extra_forbidden":
        return f"{key}={shown}: no such key; {nearest(str(path[-1]), model.model_fields)}"
    message = detail["msg"].replace("Input should be", "must be").replace("List should have", "must have")
    message = message.replace(" after validation", "")
    if detail["type"] == "literal_error":
        choices = detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        message = nearest(str(detail["input"]), choices)
    return f"{key}={shown}: {message}"


def _path(values: Any, detail: ErrorDetails) -> tuple[list[int | str], Any]:
    """Gives where a value stands, without what pydantic adds of its own, and the value."""
    path: list[int | str] = []
    for part in detail["loc"]:
        known = range(len(values)) if isinstance(values, (list, tuple)) else values if isinstance(values, Mapping) else ()
        if part in known:
            values = values[part]
        elif detail["type"] != "missing":
            continue
        path.append(part)
    return path, values


def _show(value: Any) -> str:
    return "null" if value is None else json.dumps(value) if isinstance(value, (list, dict, bool)) else str(value)
