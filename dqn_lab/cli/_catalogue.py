"""What can be configured: the content of the index."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class Component(BaseModel):
    """A component's description, available without importing it.

    Args:
        path: `module:Class`.
        doc: its docstring.
        arguments: what the docstring says about each parameter.
        fields: the JSON schema of its configuration; None if its types have none.
        constraints: which configurations it refuses, in words; may be empty.
        warnings: what it warns about, in words; may be empty.
    """

    path: str
    doc: str
    arguments: dict[str, str]
    fields: dict[str, Any] | None
    constraints: str
    warnings: str


class Index(BaseModel):
    """Every registered component.

    Args:
        run: the JSON schema of the run's own values.
        groups: what each group decides, in words.
        contracts: the members that each group's components need, with their signatures.
        components: the components, by group and name.
        problems: a line for each plugin that cannot be loaded.
    """

    run: dict[str, Any]
    groups: dict[str, str]
    contracts: dict[str, list[str]]
    components: dict[str, dict[str, Component]]
    problems: list[str]
