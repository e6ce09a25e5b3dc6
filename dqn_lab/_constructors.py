"""Reads the constructors of a component and of its base classes: which keys its configuration has."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model


@dataclass(frozen=True)
class Inherited:
    """A parameter of a base class that the derived constructor does not accept.

    Args:
        owner: the base class's name.
        default: the parameter's default.
    """

    owner: str
    default: Any


def constructors(component: type) -> list[Callable[..., None]]:
    """Returns a class's constructor, followed by its bases' for as long as each one accepts `**` parameters."""
    inspect.signature(component)  # raises for classes that are not written in Python
    found: list[Callable[..., None]] = []
    for owner in component.__mro__:
        if "__init__" in vars(owner):
            found.append(vars(owner)["__init__"])
            kinds = {parameter.kind for parameter in inspect.signature(found[-1]).parameters.values()}
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                break
    return found


@functools.cache
def schema(component: type) -> type[BaseModel]:
    """Makes the pydantic model of a constructor's keyword-only parameters; `**shared` adds those of its base class."""
    fields: dict[str, Any] = {}
    for constructor in constructors(component):
        hints = get_type_hints(constructor, include_extras=True)  # resolves hints that are strings
        own = {}
        for parameter in inspect.signature(constructor).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                default = ... if parameter.default is inspect.Parameter.empty else parameter.default
                own[parameter.name] = (hints.get(parameter.name, Any), default)
        fields = own | fields
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, validate_default=False)
    return create_model(component.__name__, __config__=config, **fields)


def is_positional(component: type, key: str) -> bool:
    """Returns whether a name is a positional parameter, which the run supplies."""
    owners = [inspect.signature(constructor).parameters for constructor in constructors(component)]
    kinds = [parameters[key].kind for parameters in owners if key in parameters]
    return kinds[:1] == [inspect.Parameter.POSITIONAL_OR_KEYWORD]


@functools.cache
def inherited(component: type) -> dict[str, Inherited]:
    """Returns the base constructors' keyword-only parameters with defaults that a component does not accept."""
    found: dict[str, Inherited] = {}
    known = [vars(owner)["__init__"] for owner in component.__mro__ if "__init__" in vars(owner)]
    accepted = {key for each in constructors(component) for key in inspect.signature(each).parameters}
    for constructor in known:
        for key, parameter in inspect.signature(constructor).parameters.items():
            is_key = parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
            if is_key and key not in accepted:
                owner = constructor.__qualname__.rpartition(".")[0]
                found.setdefault(key, Inherited(owner, parameter.default))
    return found


def construct(component: type, supplied: Sequence[Any], arguments: Mapping[str, Any], others: Iterable[type]) -> Any:
    """Calls a constructor; if it does not accept its arguments, the error says what it must take.

    Args:
        component: the class.
        supplied: what the run supplies.
        arguments: the configuration.
        others: the package's own components of the group, from which the names of what is supplied are taken.

    Raises:
        TypeError: it does not accept them.
        Exception: any other error that it raises.
    """
    try:
        return component(*supplied, **arguments)
    except TypeError as error:
        if _accepts(component, supplied, arguments):  # it was raised for another reason
            raise
        known: list[str] = []
        for other in others:
            parameters = inspect.signature(other).parameters.values()
            own = [each.name for each in parameters if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
            known = max(known, own, key=len)
        raise TypeError(f"its constructor must take ({', '.join([*known, '*, …'])}): {error}") from None


def _accepts(component: type, supplied: Sequence[Any], arguments: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(component).bind(*supplied, **arguments)
    except TypeError:
        return False
    return True
