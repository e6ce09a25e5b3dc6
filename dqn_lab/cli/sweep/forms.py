"""Explains values of a question that probably mean something else, in a form that both yaml and Python can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from dqn_lab.records import value_text


def wrong_forms(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns a line per problem in the forms of a question's seeds, variants and overrides, by the question's key."""
    short = found.get("quick") if isinstance(found.get("quick"), Mapping) else {}
    problems = []
    for where, seeds in (("seeds", found.get("seeds")), ("quick.seeds", (short or {}).get("seeds"))):
        if isinstance(seeds, int) or (isinstance(seeds, str) and seeds.strip().isdigit()):
            problems.append(f"{where}={seeds}: write range({seeds}) for {seeds} seeds, or [{seeds}] for this one")
    variants = found.get("variants")
    if isinstance(variants, (list, tuple)) and variants:
        problems.append(f"variants: each needs a label; write {json.dumps(_labelled(variants), ensure_ascii=False)}")
    parts = {key: part["base"] for key, part in (("base", found), ("quick.base", short or {})) if "base" in part}
    parts |= {f"variants.{label}": own for label, own in (variants if isinstance(variants, Mapping) else {}).items()}
    for where, own in parts.items():
        problems += _overrides(where, own)
    by_key: dict[str, list[str]] = {}
    for line in problems:
        by_key.setdefault(re.split("[.=:]", line, maxsplit=1)[0], []).append(line)
    return by_key


def _overrides(where: str, own: Any) -> Iterator[str]:
    """Explains what should be a list of overrides, and which of its items are none."""
    if isinstance(own, Iterable) and not isinstance(own, (list, tuple, Mapping, str, Set)):
        yield f"{where}: must be a list of overrides, not a {type(own).__name__}"
    if own is None or isinstance(own, (Mapping, str, Set)):
        shown = "" if own is None else value_text(own)
        yield f"{where}={shown}: must be a list of overrides: {json.dumps(_as_list(own), ensure_ascii=False)}"
    for item in own if isinstance(own, (list, tuple)) else ():
        if isinstance(item, Mapping):
            yield f"{where}: an override is written with an equals sign: {', '.join(_as_list(item))}"


def _labelled(variants: Sequence[Any]) -> dict[str, list[str]]:
    """Names variants that are listed without labels by their values, or by their overrides if that is ambiguous."""
    pairs = []
    for each in variants:
        own = _as_list(each)
        if (
            isinstance(each, Mapping)
            and len(each) == 1
            and isinstance(inner := next(iter(each.values())), (list, tuple))
        ):
            pairs.append((str(next(iter(each))), _as_list(inner)))
        else:
            pairs.append((", ".join(text.partition("=")[2] for text in own) or "default", own))
    if len(dict(pairs)) < len(pairs):
        pairs = [(", ".join(own), own) for _, own in pairs]
    return dict(pairs)


def _as_list(own: Any) -> list[str]:
    """Writes overrides given in any form as a list."""
    if isinstance(own, Mapping):
        return [text for key, value in own.items() for text in _assigned(str(key), value)]
    if isinstance(own, (list, tuple)):
        return [text for item in own for text in _as_list(item)]
    if isinstance(own, Set):
        return sorted(map(str, own))
    return [] if own is None else [str(own)]


def _assigned(key: str, value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for name, inner in value.items() for text in _assigned(f"{key}.{name}", inner)]
    return [f"{key}={value_text(value)}"]
