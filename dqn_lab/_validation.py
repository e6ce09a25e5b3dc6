"""Checks plain values against a pydantic model, with one line per problem."""

from __future__ import annotations

import ast
import copy
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dqn_lab._nearest import nearest
from dqn_lab.errors import ConfigError
from dqn_lab.records import value_text

PLAIN = {  # pydantic's phrases, and plainer words for the command line
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    " after validation": "",
}


def check(prefix: str, model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Validates `values` strictly, except that integers may be written `1e6`.

    Args:
        prefix: the dotted key that the values belong to; may be empty.
        model: the schema.
        values: plain values: numbers, strings, booleans, None, lists and dictionaries.

    Returns:
        The validated values with defaults filled in.

    Raises:
        ConfigError: one line per problem.
    """
    infinite = list(_not_finite(values, []))
    problems = [f"{_join(prefix, path)}={value}: must be a finite number" for path, value in infinite]
    try:
        checked = _validated(model, values)
    except ValidationError as error:
        said = [path for path, _ in infinite]
        details = [detail for detail in error.errors() if _path(values, detail)[0] not in said]
        problems += [_line(prefix, model, values, detail) for detail in _one_per_key(values, details)]
    if problems:
        raise ConfigError(*problems)
    dumped: dict[str, Any] = checked.model_dump(mode="json")
    return dumped


def _validated(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """Validates strictly, but accepts an integer that is written as a float, such as `1e6`."""
    try:
        # strict JSON accepts a list for a tuple, which strict Python does not
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        whole = [detail for detail in error.errors() if detail["type"] == "int_type" and _is_whole(detail["input"])]
        if not whole:
            raise
    values = copy.deepcopy(dict(values))
    for detail in whole:
        *path, last = _path(values, detail)[0]
        place: Any = values
        for part in path:
            place = place[part]
        place[last] = int(detail["input"])
    return model.model_validate_json(json.dumps(values))


def _one_per_key(values: Mapping[str, Any], details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Keeps one error per key, and the most deeply nested ones if a value may be of several types."""
    kept: dict[tuple[int | str, ...], ErrorDetails] = {}
    for detail in details:
        kept.setdefault(tuple(_path(values, detail)[0]), detail)
    return [kept[path] for path in kept if not any(other[: len(path)] == path != other for other in kept)]


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _not_finite(value: Any, path: list[int | str]) -> Iterator[tuple[list[int | str], float]]:
    """Finds infinities and NaN, also in parts that no schema describes."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _not_finite(item, [*path, key])


def _join(prefix: str, path: list[int | str]) -> str:
    key = prefix + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return key.removeprefix(".")


def _line(prefix: str, model: type[BaseModel], values: Mapping[str, Any], detail: ErrorDetails) -> str:
    path, value = _path(values, detail)
    key = _join(prefix, path)
    if detail["type"] == "missing":
        return f"{key}: must be given"
    shown = value_text(value)
    if detail["type"] == "extra_forbidden":
        return f"{key}={shown}: no such key; {nearest(str(path[-1]), _fields(model, path[:-1]))}"
    is_list = detail["type"] in ("list_type", "tuple_type")
    if isinstance(value, str) and (value.startswith("[") or not is_list) and (spelt := _spelt(value)):
        return f"{key}='{value}': is text, in quotes; without them: {key}={spelt}"
    if is_list:
        return f"{key}={shown}: must be a list" + ("" if value is None else f", as in {key}=[{shown}]")
    if detail["type"] == "dict_type":
        return f"{key}={shown}: must be a mapping, as in {key}={{name: 1}}"
    if detail["type"] in ("model_type", "model_attributes_type") and (names := _fields(model, path)):
        keys = ", ".join(f"{key}.{name}" for name in names)
        return f"{key}={shown}: {key} is a section, whose keys are set one by one: {keys}"
    message = detail["msg"].partition(" should ")[2] or detail["msg"]
    message = f"must {message}" if message != detail["msg"] else message
    for pydantic, plain in PLAIN.items():
        message = message.replace(pydantic, plain)
    if detail["type"] == "literal_error":
        choices = detail["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        message = f"no such choice; {nearest(str(detail['input']), choices)}"
    if message == "must be a whole number" and re.fullmatch(r"[\d.]+ *[kKmM]", shown):
        message += ", as in 10_000 or 1e4"
    if message == "must be a whole number" and path[-1] == "duration" and isinstance(value, float) and value < 1:
        message += ", not a fraction of the run"
    if message == "must be a number" and (schedule := as_schedule(model, key, path)):
        message += f", or a schedule: {schedule}"
    if message.startswith("must be a") and str(value).lower() in ("none", "null") and _may_be_null(model, path):
        message += ", or null"
    return f"{key}={shown}: {message}"


def as_schedule(model: type[BaseModel], key: str, path: list[int | str]) -> str:
    """Returns how to write a schedule, `'lr={start: …, end: …}'`; nothing if the field at the path cannot be one."""
    names = _fields(model, path)
    return f"'{key}={{{', '.join(f'{name}: …' for name in names)}}}'" if names else ""


def _spelt(text: str) -> str | None:
    """Returns a text that spells a list, a mapping or a number without spaces; otherwise None."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return text.replace(" ", "")


def _may_be_null(model: type[BaseModel], path: list[int | str]) -> bool:
    """Returns whether a field at the top of a model accepts null."""
    field = model.model_fields.get(str(path[0])) if len(path) == 1 else None
    return field is not None and type(None) in get_args(field.annotation)


def _fields(model: type[BaseModel], path: list[int | str]) -> list[str]:
    """Lists the names of the fields at a path in a model."""
    schema = model.model_json_schema()
    places = [schema]
    for part in path:
        inner = [place.get("properties", {}).get(part) or place.get("items") or {} for place in places]
        options = [option for place in inner for option in place.get("anyOf", [place])]
        places = [schema["$defs"][option["$ref"].rpartition("/")[2]] if "$ref" in option else option
                  for option in options]  # fmt: skip
    return [name for place in places for name in place.get("properties", {})]


def _path(values: Any, detail: ErrorDetails) -> tuple[list[int | str], Any]:
    """Returns a value and its path, without the parts that pydantic adds."""
    path: list[int | str] = []
    for position, part in enumerate(detail["loc"], start=1):
        inside = range(len(values)) if isinstance(values, list) else values if isinstance(values, Mapping) else ()
        if part in inside:
            values = values[part]
        elif detail["type"] != "missing" or position < len(detail["loc"]):
            continue  # pydantic's name of one of the types that the value may have
        path.append(part)
    return path, values
