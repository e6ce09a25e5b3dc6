"""Makes pydantic models from the JSON schemas that pydantic writes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Union

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, create_model

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)
_TYPES: dict[str, Any] = {"integer": int, "number": float, "string": str, "boolean": bool, "null": None}
_LIMITS = {
    "minimum": Ge, "exclusiveMinimum": Gt, "maximum": Le, "exclusiveMaximum": Lt,
    "minItems": MinLen, "maxItems": MaxLen, "minLength": MinLen, "maxLength": MaxLen,
}  # fmt: skip


def model_of(schema: dict[str, Any]) -> type[BaseModel]:
    """Returns the model that a JSON schema describes; anything it does not describe may have any value."""
    return _model(schema, schema.get("$defs", {}))


def _model(schema: dict[str, Any], definitions: dict[str, Any]) -> type[BaseModel]:
    required = schema.get("required", ())
    fields: dict[str, Any] = {}
    for name, part in schema.get("properties", {}).items():
        fields[name] = (_type(part, definitions), ... if name in required else part.get("default"))
    return create_model(schema.get("title", "Model"), __config__=_CONFIG, **fields)


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _type(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return Union[tuple(_type(part, definitions) for part in schema["anyOf"])]  # noqa: UP007 (made of a list)
    if "enum" in schema or "const" in schema:
        return Literal[tuple(schema.get("enum", [schema.get("const")]))]
    if "properties" in schema:
        return _model(schema, definitions)
    return _bounded(_plain_type(schema, definitions), schema)


def _plain_type(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    if schema.get("type") == "array" and "prefixItems" in schema:
        return tuple[tuple(_type(part, definitions) for part in schema["prefixItems"])]  # type: ignore[misc]
    if schema.get("type") == "array":
        return list[_type(schema.get("items", {}), definitions)]  # type: ignore[misc]
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return dict[str, _type(values, definitions) if isinstance(values, dict) else Any]  # type: ignore[misc]
    return _TYPES.get(schema.get("type", ""), Any)


def _bounded(kind: Any, schema: dict[str, Any]) -> Any:
    if "prefixItems" in schema:
        return kind  # a tuple's length is fixed
    limits = tuple(limit(schema[key]) for key, limit in _LIMITS.items() if key in schema)
    return Annotated[(kind, *limits)] if limits else kind
