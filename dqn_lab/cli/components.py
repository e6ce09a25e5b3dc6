"""`components`: what can be chosen, and with which parameters."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from dqn_lab import registry
from dqn_lab._nearest import nearest
from dqn_lab.cli import fail
from dqn_lab.cli._parser import Parser
from dqn_lab.hooks import Checks, Warns
from dqn_lab.records import value_text
from dqn_lab.types import ConfigError


def main(argv: list[str]) -> int:
    """Prints groups, or a group's options and components; returns the exit code."""
    parser = Parser(
        prog="python -m dqn_lab components",
        description="Lists every group's options, or one group's with each parameter's type, default and range.",
    )
    parser.add_argument("group", nargs="?", metavar="GROUP", help=f"one of {', '.join(registry.GROUPS)}")
    parser.add_argument("--config-dir", metavar="DIR", help="a directory of your own options and components")
    args = parser.parse_args(argv)
    if args.group is not None and args.group not in registry.GROUPS:
        return fail(f"{args.group}: no such group; {nearest(args.group, registry.GROUPS)}")
    from dqn_lab.cli import _directories

    try:
        directories = _directories.add_directories(args.config_dir)
        if args.group is None:
            for group in registry.GROUPS:
                about = (registry.package(group).__doc__ or "").rstrip(".")
                print(f"{group:<12} {about}\n{'':<12} {'  '.join(_options(group, directories))}")
            print("\npython -m dqn_lab components GROUP explains a group's parameters.")
        else:
            _describe_group(args.group, _options(args.group, directories))
    except ConfigError as error:
        return fail(*error.problems)
    return 0


def _options(group: str, directories: list[Path]) -> dict[str, str]:
    """Maps each option of a group to the name of its component."""
    options: dict[str, str] = {}
    for directory in directories:
        for path in sorted((directory / group).rglob("*.yaml")):
            option = path.relative_to(directory / group).with_suffix("").as_posix()
            options.setdefault(option, str(OmegaConf.select(OmegaConf.load(path), "name", default="?")))
    return options


def _describe_group(group: str, options: dict[str, str]) -> None:
    external = {name for name in options.values() if ":" in name}
    for name in [*registry.names(group), *sorted(external)]:
        component = registry.lookup(group, name)
        presets = [option for option, of in options.items() if of == name]
        summary = (inspect.getdoc(component) or "").partition("\n\n")[0]
        print(f"{name}: {' '.join(summary.split())}")
        print(f"  options: {'  '.join(f'{group}={preset}' for preset in presets) or '(none; needs a yaml)'}")
        described = _arguments(component)
        for key, parameter in registry.schema(component).model_json_schema().get("properties", {}).items():
            default = "required" if "default" not in parameter else f"default {value_text(parameter['default'])}"
            print(f"  {group}.{key}: {_type(parameter)}; {default}\n      {described.get(key, '')}")
        if isinstance(component, Checks):
            print(f"  constraints: {_paragraph(component.check)}")
        if isinstance(component, Warns):
            print(f"  warnings: {_paragraph(component.warn)}")
        print()


def _paragraph(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").split())


def _arguments(component: type) -> dict[str, str]:
    """Reads what the `Args:` of a class's docstring, and of its bases', say about each parameter."""
    described: dict[str, str] = {}
    for owner in reversed(component.__mro__):
        section = inspect.cleandoc(vars(owner).get("__doc__") or "").partition("Args:\n")[2].partition("\n\n")[0]
        found = re.findall(r"^ {4}(\w+): ((?:.+\n?(?: {8}.*\n?)*))", section, flags=re.MULTILINE)
        described |= {name: " ".join(text.split()) for name, text in found}
    return described


def _type(schema: dict[str, Any]) -> str:
    """Puts a JSON schema's type and range into words."""
    if "$ref" in schema:
        return "{start, end, duration, unit}"
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        inner = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"list of {_type(inner)}"
    words = {"integer": "integer", "number": "number", "null": "null", "string": "text", "boolean": "true | false",
             "object": "mapping"}  # fmt: skip
    limits = [("exclusiveMinimum", ">"), ("minimum", "≥"), ("exclusiveMaximum", "<"), ("maximum", "≤")]
    bounds = [f"{sign} {schema[key]}" for key, sign in limits if key in schema]
    return " ".join([words.get(schema.get("type", ""), "any"), ", ".join(bounds)]).strip()
