"""Describes components by importing them: the content of the index."""

from __future__ import annotations

import inspect
import re
from typing import Any

from dqn_lab import registry
from dqn_lab.cli._catalogue import Component, Index
from dqn_lab.cli._contracts import contract
from dqn_lab.hooks import Checks, Warns
from dqn_lab.settings import RunValues


def describe_all() -> Index:
    """Imports and describes every component, including plugins'."""
    return Index(
        run=RunValues.model_json_schema(),
        groups={group: (registry.package(group).__doc__ or "").rstrip(".") for group in registry.GROUPS},
        contracts={group: list(contract(group)) for group in registry.GROUPS},
        components={
            group: {name: describe(registry.lookup(group, name)) for name in registry.names(group)}
            for group in registry.GROUPS
        },
        problems=registry.load_plugins(),
    )


def describe(component: type) -> Component:
    """Describes a component's class."""
    return Component(
        path=f"{component.__module__}:{component.__qualname__}",
        doc=inspect.getdoc(component) or "",
        arguments=_arguments(component),
        fields=_fields(component),
        constraints=_paragraph(component.check) if isinstance(component, Checks) else "",
        warnings=_paragraph(component.warn) if isinstance(component, Warns) else "",
    )


def _fields(component: type) -> dict[str, Any] | None:
    try:
        return registry.schema(component).model_json_schema()
    except Exception:  # a type without a JSON schema, or a constructor that cannot be read
        return None


def _paragraph(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").split())


def _arguments(component: type) -> dict[str, str]:
    """Reads each parameter's description from the `Args:` of a class's docstring and its bases'."""
    described: dict[str, str] = {}
    for owner in reversed(component.__mro__):
        section = inspect.cleandoc(vars(owner).get("__doc__") or "").partition("Args:\n")[2].partition("\n\n")[0]
        found = re.findall(r"^ {4}(\w+): ((?:.+\n?(?: {8}.*\n?)*))", section, flags=re.MULTILINE)
        described |= {name: " ".join(text.split()) for name, text in found}
    return described
