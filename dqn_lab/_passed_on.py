"""Finds the keys that a custom constructor takes as `**shared` but does not pass on to its base class."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from types import CodeType, FrameType
from typing import Any

from dqn_lab import registry
from dqn_lab._constructors import constructors


class PassedOn:
    """A context, while components are built, that records which values base constructors receive.

    Only values that differ from the base's default are looked for: no other can be lost.

    Args:
        config: a validated configuration.
        outside: the components from outside the package, as `group=name`.
    """

    def __init__(self, config: Mapping[str, Any], outside: Iterable[str]) -> None:
        self._wanted: dict[CodeType, dict[str, tuple[str, Any]]] = {}  # by code and key: the component, the default
        self._lost: dict[tuple[str, str], None] = {}
        for part in outside:
            group, _, name = part.partition("=")
            own, *bases = constructors(registry.lookup(group, name)) if group != "logger" else [None]
            for base in bases:
                self._want(part, config[group], own, base)

    def _want(self, part: str, values: Mapping[str, Any], own: Any, base: Any) -> None:
        for key, parameter in inspect.signature(base).parameters.items():
            is_key = parameter.kind is inspect.Parameter.KEYWORD_ONLY and key not in inspect.signature(own).parameters
            if is_key and key in values and values[key] != parameter.default:
                self._wanted.setdefault(base.__code__, {})[key] = part, parameter.default
                self._lost[part, key] = None

    def __enter__(self) -> PassedOn:
        self._before = sys.getprofile()
        if self._wanted:
            sys.setprofile(self._watch)
        return self

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            sys.setprofile(self._before)

    def _watch(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            for key, (part, default) in self._wanted.get(frame.f_code, {}).items():
                if frame.f_locals[key] != default:
                    self._lost.pop((part, key), None)

    def warnings(self) -> list[str]:
        """Returns a line for each component that did not pass keys on."""
        lines = []
        for part in dict.fromkeys(part for part, _ in self._lost):
            keys = ", ".join(key for of_part, key in self._lost if of_part == part)
            reason = f"{keys} did not arrive in the base class's constructor, so it has no effect"
            lines.append(f"{part}: {reason}; pass `**` on in its call of `super().__init__`")
        return lines
