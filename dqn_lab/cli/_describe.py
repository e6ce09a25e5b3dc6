"""Describes components by importing them: the content of the index."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from dqn_lab import registry, types
from dqn_lab.cli._index import Component, Index
from dqn_lab.hooks import Checks, Warns
from dqn_lab.settings import RunValues

PROTOCOLS: dict[str, type] = {
    "value": types.Value, "bootstrap": types.Bootstrap, "buffer": types.Buffer, "optimizer": types.Optimizer,
    "target": types.Target, "exploration": types.Exploration, "rollout": types.Rollout, "engine": types.Engine,
    "diagnostics": types.Diagnostics, "logger": types.Logger,
}  # fmt: skip
OTHERS = {  # groups without a protocol in `types.py`
    "env": ["make(render_mode: str | None = None) -> gymnasium.Env"],
    "network": ["is a torch.nn.Module", "forward(obs: Tensor) -> Tensor  # [B, *O] to [B, A, K]"],
}
LETTERS = {"B": "batch", "A": "actions", "K": "outputs per action", "O": "an observation's shape"}


def describe_all() -> Index:
    """Imports and describes every component, including plugins'."""
    return Index(
        run=RunValues.model_json_schema(),
        groups={group: (registry.package(group).__doc__ or "").rstrip(".") for group in registry.GROUPS},
        contracts={group: list(_contract(group)) for group in registry.GROUPS},
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


def _contract(group: str) -> Iterator[str]:
    """Lists the constructor and the members that a group's components need."""
    lines = list(_members(group))
    yield from lines
    shapes = " ".join(re.findall(r"\[[^\[\]]*\]", " ".join(lines)))
    used = [f"{letter} {meaning}" for letter, meaning in LETTERS.items() if re.search(rf"\b{letter}\b", shapes)]
    if used:
        yield f"({', '.join(used)})"


def _members(group: str) -> Iterator[str]:
    longest = max((_supplied(registry.lookup(group, name)) for name in registry.names(group)), key=len)
    yield f"__init__({', '.join([*longest, '*', 'PARAMETER: TYPE = DEFAULT', '…'])})"
    yield from OTHERS.get(group, [])
    for owner in reversed(PROTOCOLS[group].__mro__ if group in PROTOCOLS else ()):
        if owner.__module__ != types.__name__:
            continue
        yield from (f"{name}: {hint}" for name, hint in inspect.get_annotations(owner).items())
        for name, member in vars(owner).items():
            if isinstance(member, property):
                yield f"{name}: {inspect.signature(member.fget).return_annotation}"  # type: ignore[arg-type]
            elif inspect.isfunction(member) and (name == "__call__" or not name.startswith("_")):
                yield f"{name}{_signature(member)}{_comment(member)}"


def _supplied(component: type) -> list[str]:
    """Lists the arguments that the run supplies to a component's constructor."""
    parameters = inspect.signature(component).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]


def _signature(method: Any) -> str:
    signature = inspect.signature(method)
    own = [parameter for name, parameter in signature.parameters.items() if name != "self"]
    return str(signature.replace(parameters=own)).replace("'", "")


def _comment(method: Any) -> str:
    first = inspect.cleandoc(method.__doc__ or "").partition("\n\n")[0]
    return f"  # {' '.join(first.split())}" if first else ""


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
