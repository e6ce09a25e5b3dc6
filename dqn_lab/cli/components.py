"""`components`: the options, their parameters, and what a custom component needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dqn_lab._nearest import nearest
from dqn_lab._paths import GROUPS
from dqn_lab.cli import _index, _options, fail, warn
from dqn_lab.cli._catalogue import Component
from dqn_lab.cli._directories import add_directories
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser
from dqn_lab.cli._text import wrapped
from dqn_lab.cli._yaml import read_yaml
from dqn_lab.errors import ConfigError
from dqn_lab.records import value_text


@one_line_errors
def main(argv: list[str]) -> int:
    """Prints the groups, or a group's options and components; returns the exit code."""
    parser = Parser(
        prog="python -m dqn_lab components",
        description="Lists every group's options. With GROUP, lists its components, with papers, parameters and what "
        "a custom component needs; with `experiment`, the recipes; with `sweep`, the questions.",
    )
    parser.add_argument("group", nargs="?", metavar="GROUP", help=f"{', '.join(GROUPS)}, experiment or sweep")
    parser.add_argument("--config-dir", metavar="DIR", help="a directory with your own options and components")
    args = parser.parse_args(argv)
    if args.group not in (None, *GROUPS, "experiment", "sweep"):
        groups = (*GROUPS, "experiment", "sweep")
        holders = [f"components {group}" for group in GROUPS if args.group in _options.options(group)]
        meant = f"did you mean {' or '.join(holders)}? " if holders else ""
        return fail(f"{args.group}: no such group; {meant}{nearest(args.group, groups)}")
    add_directories(args.config_dir)
    if args.group == "sweep":
        from dqn_lab.cli.sweep import list_questions

        return list_questions()
    warn(*_index.read().problems)
    _show(args.group)
    return 0


def _show(group: str | None) -> None:
    if group == "experiment":
        _list_recipes()
    elif group is None:
        defaults = _options.chosen_by([])
        for each in GROUPS:
            print(wrapped(f"{each:<12} {_index.read().groups[each]}", 13))
            options = (f"{option}{'*' if option in defaults[each] else ''}" for option in _options.options(each))
            print(wrapped(" " * 13 + "  ".join(options), 13))
        more = "python -m dqn_lab components GROUP explains a group; `experiment` lists recipes, `sweep` questions"
        print(f"\n* the default; `train GROUP=OPTION` chooses another\n{wrapped(more, 2)}")
    else:
        _describe_group(group)


def _list_recipes() -> None:
    """Prints each recipe with its file's first comment."""
    recipes = _options.options("experiment")
    width = max(map(len, recipes), default=0) + 2
    for name, path in recipes.items():
        comments = [line.lstrip("# ") for line in path.read_text("utf-8", errors="replace").splitlines()
                    if line.startswith("#") and "@package" not in line]  # fmt: skip
        print(wrapped(f"{name:<{width}}{(comments or [''])[0].partition(': python -m')[0]}", width))
    print(f"\n{wrapped('python -m dqn_lab train experiment=NAME runs one; see conf/README.md for more', 2)}")


def _describe_group(group: str) -> None:
    names = {option: _name(path) for option, path in _options.options(group).items()}
    components = {
        **_index.read().components[group],
        **_outside(group, {name for name in names.values() if ":" in name}),
    }
    for name, component in components.items():
        presets = [option for option, of in names.items() if of == name]
        _describe(group, name, component, presets, _package(group, presets))
    where = f"Write `name: module:Class` in DIR/{group}/NAME.yaml, put the module in DIR, and pass --config-dir DIR"
    first = ". The yaml file must begin with the line `# @package logger.NAME`" if group == "logger" else ""
    print(
        wrapped(
            f"A custom {group} is a class with these members. {where}{first}. dqn_lab/README.md shows how to add a "
            "component; dqn_lab/types.py defines the types.",
            2,
        )
    )
    for line in _index.read().contracts[group]:
        print(wrapped(f"  {line}", 8 if line.startswith(" ") else 6))


def _name(path: Path) -> str:
    """Reads the name of an option's component; warns about a file that cannot be read, and leaves it out."""
    try:
        return str(read_yaml(path).get("name", "?"))
    except ConfigError as error:
        warn(*error.problems)
        return "?"


def _outside(group: str, names: set[str]) -> dict[str, Component]:
    if not names:
        return {}
    from dqn_lab import registry
    from dqn_lab.cli._describe import describe

    found = {}
    for name in sorted(names):
        try:
            found[name] = describe(registry.lookup(group, name))
        except ConfigError as error:
            warn(*error.problems)
    return found


def _package(group: str, presets: list[str]) -> str:
    """Returns the prefix of a component's keys: its group, or for a logger the `@package` that its file names."""
    if group != "logger" or not presets:
        return group
    text = _options.options(group)[presets[0]].read_text("utf-8", errors="replace")
    return text.partition("@package")[2].partition("\n")[0].strip() or group


def _describe(group: str, name: str, component: Component, presets: list[str], package: str) -> None:
    summary, *paragraphs = component.doc.partition("Args:\n")[0].partition("Raises:\n")[0].strip().split("\n\n")
    print(wrapped(f"{name}: {' '.join(summary.split())}", 2))
    for paragraph in paragraphs:
        print(wrapped(f"  {' '.join(paragraph.split())}", 2))
    print(f"  class: {component.path}")
    print(wrapped(f"  options: {'  '.join(f'{group}={preset}' for preset in presets) or '(none; needs a yaml)'}", 4))
    for key, parameter in (component.fields or {}).get("properties", {}).items():
        default = "required" if "default" not in parameter else f"default {value_text(parameter['default'])}"
        print(wrapped(f"  {package}.{key}: {_type(parameter)}; {default}", 4))
        if key in component.arguments:
            print(wrapped(f"      {component.arguments[key]}", 6))
    for label, text in (("constraints", component.constraints), ("warnings", component.warnings)):
        if text:
            print(wrapped(f"  {label}: {text}", 4))
    print()


def _type(schema: dict[str, Any]) -> str:
    """Describes a JSON schema's type and range in words."""
    if "$ref" in schema:
        return "{start, end, duration, unit}"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return _list_type(schema)
    words = {"integer": "integer", "number": "number", "null": "null", "string": "text", "boolean": "true | false",
             "object": "mapping"}  # fmt: skip
    limits = [("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤")]
    bounds = [f"{sign} {schema[key]}" for key, sign in limits if key in schema]
    return " ".join([words.get(schema.get("type", ""), "any"), " and ".join(bounds)]).strip()


def _list_type(schema: dict[str, Any]) -> str:
    """Describes a list by its items if their number is fixed: `[number, number]`, else `list of numbers`."""
    inner, least = schema.get("items", {}), schema.get("minItems")
    items = schema.get("prefixItems") or [inner] * (least if least and least == schema.get("maxItems") else 0)
    if items:
        return f"[{', '.join(map(_type, items))}]"
    many = " or ".join(re.sub(r"^(integer|number)", r"\1s", part) for part in _type(inner).split(" or "))
    return f"list of ({many})" if " or " in many else f"list of {many}"
