"""Finds components by name, and derives the schema of their configuration from their constructor.

A component is a class in `dqn_lab/<group>/<name>.py`, registered under that name. Its positional parameters are
what the run supplies; its keyword-only parameters, with their type hints, are its configuration.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel

from dqn_lab._constructors import construct, inherited, is_positional
from dqn_lab._constructors import schema as schema
from dqn_lab._nearest import nearest
from dqn_lab._outside import import_outside, located, no_module, place, with_colon
from dqn_lab._paths import GROUPS as GROUPS
from dqn_lab._plugins import plugins
from dqn_lab._validation import check
from dqn_lab.errors import ConfigError
from dqn_lab.records import value_text

Component = TypeVar("Component", bound=type)
Model = Callable[[str, str], type[BaseModel]]  # the schema of a group's component, by name
OLDER = {"rollout": {"name": "auto"}, "diagnostics": {"name": "none"}}  # groups that older records lack
_components: dict[tuple[str, str], type] = {}


def register(group: str, name: str) -> Callable[[Component], Component]:
    """Registers the decorated class as component `name` of `group`.

    Raises:
        ValueError: the group does not exist, or another class is registered under the name.
    """
    if group not in GROUPS:
        raise ValueError(f"register({group!r}, {name!r}): no such group; choices: {', '.join(GROUPS)}")

    def decorate(component: Component) -> Component:
        known = _components.setdefault((group, name), component)
        if (known.__module__, known.__qualname__) != (component.__module__, component.__qualname__):
            raise ValueError(f"{group}={name} is registered twice: {known!r} and {component!r}")
        return component

    return decorate


def package(group: str) -> ModuleType:
    """Returns a group's own package, whose docstring says what the group decides."""
    return importlib.import_module(f"dqn_lab.{group}")


def names(group: str) -> list[str]:
    """Lists the registered names of a group, including plugins'."""
    for module in pkgutil.iter_modules(package(group).__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"dqn_lab.{group}.{module.name}")
    load_plugins()
    return sorted(name for of_group, name in _components if of_group == group)


def lookup(group: str, name: str) -> type:
    """Finds a component: the package's own, a plugin's, or one named `module:Class`.

    Raises:
        ConfigError: there is no such component.
    """
    if ":" in name:
        return _external(group, name)
    if (group, name) not in _components and name.isidentifier() and importlib.util.find_spec(f"dqn_lab.{group}.{name}"):
        importlib.import_module(f"dqn_lab.{group}.{name}")
    if (group, name) not in _components:
        load_plugins()
    if (group, name) not in _components:
        raise unknown(group, name, names(group))
    return _components[group, name]


def unknown(group: str, name: str, known: Iterable[str]) -> ConfigError:
    """Returns the error for a name that a group does not have."""
    meant = with_colon(name)
    hint = f"did you mean {meant}? " if meant != name else ""
    choices = f"{nearest(name, known)}; a custom one is MODULE:CLASS"
    return ConfigError(f"{group}.name={name}: no such component; {hint}{choices}")


def _external(group: str, name: str) -> type:
    module_name, _, attribute = name.partition(":")
    if module_name == "__main__":
        reason = "a component is a class in a file, because other processes cannot import what exists only in this one"
        raise ConfigError(f"{group}.name={name}: {reason}; see “A custom component” in dqn_lab/README.md")
    try:
        module = import_outside(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigError(f"{group}.name={name}: {error}{place(error)}") from error
        raise ConfigError(f"{group}.name={name}: {no_module(module_name)}") from error
    except Exception as error:
        raise ConfigError(f"{group}.name={name}: importing it raised {located(error)}") from error
    component = getattr(module, attribute, None)
    if not isinstance(component, type):
        classes = [key for key, item in vars(module).items() if inspect.isclass(item)]
        where = f"in {module_name}"
        raise ConfigError(f"{group}.name={name}: no class {attribute!r} {where}; {nearest(attribute, classes)}")
    if group == "env" and "make" not in dir(component):
        register_it = f"register an environment in its file, gymnasium.register('{attribute}-v0', {attribute})"
        how = f"{register_it}, and write name: gymnasium and id: {module_name}:{attribute}-v0"
        raise ConfigError(f"env.name={name}: has no method make, so it is no component; {how}")
    return component


@functools.cache
def load_plugins() -> list[str]:
    """Imports every installed plugin once, so that its components register themselves.

    Returns:
        one line for each plugin that could not be loaded.
    """
    problems = []
    for plugin in plugins():
        try:
            plugin.load()
        except (Exception, SystemExit) as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            problems.append(f"plugin {plugin.name} ({plugin.value}) could not be loaded: {said}")
    return problems


def model(group: str, name: str) -> type[BaseModel]:
    """Finds the schema of a component's configuration.

    Raises:
        ConfigError: there is no such component, or its constructor cannot be read.
    """
    component = lookup(group, name)
    try:
        return schema(component)
    except (TypeError, ValueError, NameError, AttributeError) as error:
        raise ConfigError(f"{group}.name={name}: its constructor cannot be read: {error}") from error


def validate(
    group: str, config: Mapping[str, Any], prefix: str | None = None, model_of: Model = model
) -> dict[str, Any]:
    """Checks one component's configuration against its constructor.

    Args:
        group: the group it belongs to.
        config: `name` and the keyword arguments.
        prefix: what error messages call the component; None for the group's name.
        model_of: finds the schema of a component.

    Returns:
        The same with all defaults filled in and all numbers converted to their declared type.

    Raises:
        ConfigError: one line for each value that is not allowed.
    """
    prefix = prefix or group
    values = dict(config)
    name = values.pop("name", None)
    if name is None and isinstance(target := values.get("_target_"), str):
        raise ConfigError(
            f"{prefix}._target_={target}: a component's yaml names it by its name; write name: {with_colon(target)}"
        )
    if not isinstance(name, str):
        raise ConfigError(f"{prefix}.name={name}: must be a component's name; choices: {', '.join(names(group))}")
    try:
        return {"name": name, **check(prefix, model_of(group, name), values)}
    except ConfigError as error:
        raise ConfigError(*(_with_hint(group, name, prefix, problem) for problem in error.problems)) from error


def _with_hint(group: str, name: str, prefix: str, problem: str) -> str:
    key, is_unknown, _ = problem.partition(": no such key; ")
    hint = unaccepted(group, name, key.partition("=")[0].removeprefix(f"{prefix}.")) if is_unknown else None
    return f"{key}: {hint}" if hint else problem


def unaccepted(group: str, name: str, key: str) -> str | None:
    """Says why a component from outside the package does not accept a key, if the key is a parameter somewhere."""
    with contextlib.suppress(ConfigError, TypeError, ValueError):
        component = lookup(group, name) if ":" in name else object
        if is_positional(component, key):
            return f"{key} is positional in {name}, as what the run supplies; a key's parameter stands after `*,`"
        if owner := inherited(component).get(key):
            cure = "add `**shared` to its constructor and to its call of `super().__init__`"
            return f"a parameter of {owner.owner}, but not of {name}; {cure}"
    return None


def is_outside(group: str, name: str) -> bool:
    """Returns whether a component is from outside the package."""
    return not lookup(group, name).__module__.startswith("dqn_lab.")


def for_hooks(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a configuration for a component's hooks, which may read keys that a derived constructor does not have.

    Those of components from outside the package are added, with the base constructors' defaults; so no component can be
    built from the result.
    """
    found = dict(config)
    for group in GROUPS:
        if group != "logger" and is_outside(group, name := config[group]["name"]):
            found[group] = {key: each.default for key, each in inherited(lookup(group, name)).items()} | config[group]
    return found


def validate_all(plain: Mapping[str, Any], run: type[BaseModel], model_of: Model = model) -> dict[str, Any]:
    """Checks every name and value of a whole configuration without building anything.

    Args:
        plain: numbers, strings, booleans, None, lists and dictionaries, as the yaml files hold them.
        run: the schema of the run's own values.
        model_of: finds the schema of a component.

    Returns:
        The same with all defaults filled in and all numbers converted to their declared type.

    Raises:
        ConfigError: one line per problem, all together.
    """
    config: dict[str, Any] = {"logger": {}}
    problems: list[str] = []
    own = {key: value for key, value in plain.items() if key not in GROUPS}
    parts = [(group, group, plain.get(group)) for group in GROUPS if group != "logger"]
    loggers = plain.get("logger") or {}
    if not isinstance(loggers, Mapping) or not all(isinstance(part, Mapping) for part in loggers.values()):
        problems.append(_not_loggers(loggers))
        loggers = {}
    parts += [("logger", f"logger.{name}", part) for name, part in loggers.items()]
    try:
        config.update(check("", run, own))
    except ConfigError as error:
        problems.extend(error.problems)
    for group, prefix, part in parts:
        try:
            if not isinstance(part, Mapping):
                raise ConfigError(f"{prefix}: must be chosen; choices: {', '.join(names(group))}")
            checked = validate(group, part, prefix, model_of)
            (config["logger"] if group == "logger" else config)[prefix.split(".")[-1]] = checked
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(*problems)
    return config


def _not_loggers(found: Any) -> str:
    """Returns what is wrong with a `logger` that does not map names to loggers."""
    if isinstance(found, Mapping) and isinstance(name := found.get("name"), str):
        return f"logger.name={name}: its yaml begins with the line `# @package logger.NAME`, NAME being the file's"
    key = f"logger={value_text(found)}"
    if isinstance(found, Mapping):
        key = next(f"logger.{name}={value_text(part)}" for name, part in found.items() if not isinstance(part, Mapping))
    return f"{key}: must be a logger; list loggers as in logger=[csv]; choices: {', '.join(names('logger'))}"


def create(group: str, config: Mapping[str, Any], *supplied: Any) -> Any:
    """Builds a component from a validated configuration and what the run supplies.

    Raises:
        ConfigError: the constructor raised an error.
    """
    arguments = {key: value for key, value in config.items() if key != "name"}
    component = lookup(group, config["name"])
    with blame(group, config):
        return construct(component, supplied, arguments, (lookup(group, name) for name in names(group)))


@contextlib.contextmanager
def blame(group: str, config: Mapping[str, Any]) -> Iterator[None]:
    """Adds the component's name to any error that its code raises while a run is built.

    A message of the form `key=value: why` with one of the component's own keys is prefixed with the group.
    """
    try:
        yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        problem = " ".join(str(error.args[0] if error.args else type(error).__name__).split())
        if problem.partition("=")[0] in config:
            raise ConfigError(f"{group}.{problem}") from error
        is_plain = isinstance(error, (ValueError, LookupError)) and not isinstance(error, KeyError)
        kind = "" if is_plain else f"{type(error).__name__}: "
        raise ConfigError(f"{group}={config['name']}: {kind}{problem}{place(error)}") from error
