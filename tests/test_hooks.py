"""Optional behaviour is declared: every hook has a protocol, is documented, and is used by a component."""

import ast
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

from dqn_lab import hooks, insight, registry
from dqn_lab.env import names, state

PACKAGE = Path(hooks.__file__).parent
HOOKS = [item for name, item in vars(hooks).items() if inspect.isclass(item) and item.__module__ == hooks.__name__]
LIBRARIES = {"_fields", "tolist"}
FOREIGN = LIBRARIES | {"register_envs", "registry", "entry_point", "spec", "id", "action_space"}  # Gymnasium's


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_a_hook_is_documented_where_components_are_explained(hook):
    assert inspect.getdoc(hook)
    assert f"`{hook.__name__}`" in (PACKAGE / "README.md").read_text(encoding="utf-8")


def test_no_hook_is_looked_up_by_an_undeclared_name():
    """A `getattr` or `hasattr` for a fixed name would be an undocumented hook."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if is_call and node.func.id in ("getattr", "hasattr") and isinstance(node.args[1], ast.Constant):
                looked_for = node.args[1].value
                is_pythons = looked_for.startswith("__")
                assert is_pythons or looked_for in FOREIGN, f"{path.name}:{node.lineno} looks for {looked_for!r}"


def components(group):
    return [registry.lookup(group, name) for name in registry.names(group)]


@pytest.mark.parametrize("hook", [hooks.Checks, hooks.Warns, hooks.Chooses])
def test_a_hook_of_classes_is_offered_by_some_and_not_by_all(hook):
    offered = {isinstance(each, hook) for group in registry.GROUPS for each in components(group)}
    assert offered == {True, False}


def test_the_purposes_of_explanations_are_listed(configure):
    """An author of a component learns them from the hook's docstring alone."""
    listed = dict(re.findall(r"(\w+):\s+([^.]+)", inspect.getdoc(hooks.Explains.explain)))
    for group in registry.GROUPS:
        for name in registry.names(group):
            component = registry.lookup(group, name)
            if isinstance(component, hooks.Explains):
                said = component.explain(configure(f"{group}={name}"))
                assert said.keys() <= set(re.findall(r"`(\w+)`", listed[group.title()])), f"{group}={name}"


def test_networks_with_features_are_those_that_take_fractions():
    names = registry.names("network")
    names = {name for name in names if isinstance(registry.lookup("network", name), hooks.HasFeatures)}
    assert names == {"mlp", "nature_cnn", "minatar_cnn"}


def test_epsilon_greedy_explorations_are_known_by_their_epsilon():
    names = registry.names("exploration")
    greedy = {name for name in names if isinstance(registry.lookup("exploration", name), hooks.EpsilonGreedy)}
    assert greedy == {"constant", "exponential", "linear", "none", "piecewise"}


def test_an_environment_that_is_listed_exists():
    """Otherwise a renamed Gymnasium class would silently stop being saved exactly, named or drawn."""
    for path in {*state.FIELDS, *insight.CHARTS, *names.NAMES}:
        if ".box2d." in path and not importlib.util.find_spec("Box2D"):
            continue
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path
