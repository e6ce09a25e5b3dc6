"""Checks yaml files before Hydra reads them, so that an unreadable file is refused in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dqn_lab.errors import ConfigError

_compose: Any = yaml.compose
_load: Any = yaml.load
LARGEST = 1_000_000  # bytes of a file
MOST = 100_000  # values in a file, counting what aliases repeat
DEEPEST = 50  # levels of nesting
_BASE: Any = vars(yaml).get("CSafeLoader", yaml.SafeLoader)  # the fast one, if it is available


class _Loader(_BASE):  # type: ignore[misc]
    """Reads `1e-3` and `1.5e3` as numbers too, as Hydra does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
_TAGS = tuple(
    f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads the keys and values of a file.

    Raises:
        ConfigError: it cannot be read, or is not a mapping of plain values.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: larger than {LARGEST:,} bytes")
        text = path.read_bytes().decode("utf-8")
        node = _compose(text, Loader=_Loader)
        _measure(node, [], {})
        values = _load(text, Loader=_Loader)
    except ConfigError as error:
        raise ConfigError(f"{path}: not valid yaml: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid yaml: not UTF-8, at byte {error.start}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid yaml: nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid yaml: {_reason(error)}{_hint(text)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no keys")
    return values


def _hint(text: str) -> str:
    """Says which override with a list or a mapping must be in quotes, if there is one."""
    found = re.search(r"[\[,-]\s*([\w.]+=[\[{][^\]}]*[\]}])", text)
    return f"; put an override with brackets in quotes: '{found[1]}'" if found else ""


def _measure(node: yaml.Node | None, above: list[int], sizes: dict[int, int]) -> int:
    """Counts the values below a node, including what aliases repeat, without expanding them.

    Raises:
        ConfigError: there are too many, or the node is not plain data.
    """
    if node is None:
        return 0
    if id(node) in sizes:
        return sizes[id(node)]
    line = f"line {node.start_mark.line + 1}: "
    if id(node) in above:
        raise ConfigError(f"{line}an anchor that contains itself")
    if len(above) >= DEEPEST:
        raise ConfigError(f"{line}nested more than {DEEPEST} levels deep")
    if node.tag not in _TAGS and not node.tag.endswith((":merge", ":value")):
        raise ConfigError(f"{line}the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed")
    size = 1 + sum(_measure(child, [*above, id(node)], sizes) for child in _children(node, line))
    if size > MOST:
        raise ConfigError(f"{line}more than {MOST:,} values, counting what aliases repeat")
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node, line: str) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ConfigError(f"{line}the key {twice} occurs twice")
        for key, value in node.value:
            yield key
            yield value


def _reason(error: Exception) -> str:
    mark, problem = (error.problem_mark, error.problem) if isinstance(error, yaml.MarkedYAMLError) else (None, None)
    text = str(problem or error)
    if "cannot start any token" in text and r"\t" in text:
        text = "a tab; indent with spaces"
    return f"line {mark.line + 1}: {text}" if mark is not None else text
