from __future__ import annotations

import sys
from typing import Annotated

import pytest
from annotated_types import Gt

from dqn_lab import registry
from dqn_lab.types import ConfigError

EVERY_COMPONENT = [(group, name) for group in registry.GROUPS for name in registry.names(group)]


class Toy:
    """A component with every kind of parameter."""

    def __init__(
        self, space: str, num_envs: int = 1, *, width: Annotated[int, Gt(0)], rate: float = 0.5, deep: bool = False
    ) -> None:
        if rate > width:
            raise ValueError(f"rate={rate}: must be at most width={width}")
        if deep:
            raise ValueError("deep things are not built here")
        self.supplied, self.configured = (space, num_envs), (width, rate, deep)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(registry, "_components", dict(registry._components))
    return registry.register("network", "toy")(Toy)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes an importable module, and unloads it afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refused(group: str, **config: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        registry.validate(group, config)
    return caught.value.problems


def test_a_name_is_registered_once(toy):
    with pytest.raises(ValueError, match=r"network=toy is registered twice.*Toy.*Other"):

        @registry.register("network", "toy")
        class Other: ...

    assert registry.lookup("network", "toy") is toy


def test_the_same_class_may_be_imported_again(toy):
    again = type("Toy", (), {"__module__": toy.__module__, "__qualname__": toy.__qualname__})
    assert registry.register("network", "toy")(again) is again


def test_a_component_needs_a_group_that_exists():
    with pytest.raises(ValueError, match=r"no such group; choices: env, network"):
        registry.register("netwrok", "toy")


def test_names_are_sorted_and_leave_out_private_modules():
    assert registry.names("exploration") == sorted({*registry.names("exploration"), "constant", "linear"})
    assert not any(name.startswith("_") for _, name in EVERY_COMPONENT)


def test_the_same_name_in_another_group_is_another_component():
    assert registry.lookup("buffer", "none") is not registry.lookup("target", "none")


@pytest.mark.parametrize(("group", "name"), EVERY_COMPONENT)
def test_defaults_are_valid_and_validating_them_again_changes_nothing(group, name):
    config = registry.validate(group, {"name": name})
    assert registry.validate(group, config) == config


def test_an_unknown_name_gets_the_nearest_one_and_all_choices():
    (problem,) = refused("exploration", name="exponental")
    assert problem.startswith("exploration.name=exponental: no such component; did you mean exponential? choices: ")
    assert all(name in problem for name in registry.names("exploration"))


@pytest.mark.parametrize("name", ["", "_epsilon_greedy", "no.dots", "linear.inside", "..", "a b"])
def test_anything_that_is_not_a_name_is_refused_in_one_line(name):
    (problem,) = refused("exploration", name=name)
    assert problem.startswith(f"exploration.name={name}: no such component; ")


def test_a_positional_parameter_is_named_as_such(module):
    module("plain_", "class Mine:\n    def __init__(self, num_actions, bins=3, *, width=1): ...\n")
    (problem,) = refused("value", name="plain_:Mine", bins=4)
    assert problem.startswith("value.bins=4: bins is positional in plain_:Mine, ")
    (problem,) = refused("value", name="plain_:Mine", bin=4)
    assert problem == "value.bin=4: no such key; choices: width"


def test_hydras_way_of_naming_a_class_is_answered_with_ours():
    (problem,) = refused("value", _target_="parts.Mine")
    assert problem.endswith("write name: parts:Mine")


@pytest.mark.parametrize("name", [None, 3])
def test_a_name_must_be_given(name):
    (problem,) = refused("value", name=name)
    assert f"must be a component's name; choices: {', '.join(registry.names('value'))}" in problem


def test_keyword_only_parameters_are_the_configuration(toy):
    assert list(registry.schema(toy).model_fields) == ["width", "rate", "deep"]
    (problem,) = refused("network", name="toy", width=3, num_envs=2)
    assert problem == "network.num_envs=2: no such key; choices: width, rate, deep"


def test_positional_parameters_are_supplied_by_the_run(toy):
    built = registry.create("network", registry.validate("network", {"name": "toy", "width": 3}), "box", 2)
    assert (built.supplied, built.configured) == (("box", 2), (3, 0.5, False))


def test_a_parameter_without_a_default_must_be_given(toy):
    assert refused("network", name="toy") == ("network.width: must be given",)


def test_an_unknown_key_gets_the_nearest_one():
    (problem,) = refused("network", name="mlp", activaton="relu")
    assert problem.startswith("network.activaton=relu: no such key; did you mean activation? choices: hidden, ")


def test_an_unknown_choice_gets_the_nearest_one():
    (problem,) = refused("network", name="mlp", activation="rellu")
    assert problem == "network.activation=rellu: no such choice; did you mean relu? choices: relu, tanh, silu, gelu"


@pytest.mark.parametrize("written", [1_000_000, 1e6])
def test_an_integer_may_be_written_as_a_whole_float(written):
    capacity = registry.validate("buffer", {"name": "uniform", "capacity": written})["capacity"]
    assert capacity == 1_000_000
    assert type(capacity) is int


def test_a_number_in_quotes_is_shown_without_them():
    wanted = "buffer.capacity='7': is text, in quotes; without them: buffer.capacity=7"
    assert refused("buffer", name="uniform", capacity="7") == (wanted,)


@pytest.mark.parametrize(("value", "shown"), [(True, "true"), (1.5, "1.5"), ("seven", "seven"), (None, "null")])
def test_a_value_that_is_not_an_integer_is_refused(value, shown):
    assert refused("buffer", name="uniform", capacity=value) == (f"buffer.capacity={shown}: must be a whole number",)


@pytest.mark.parametrize("value", [1, 0, "true"])
def test_a_value_that_is_not_a_boolean_is_refused(value):
    assert refused("buffer", name="uniform", replacement=value) == (
        f"buffer.replacement={value}: must be true or false",
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("group", "key", "config"),
    [
        ("optimizer", "lr", lambda value: {"name": "adam", "lr": value}),
        ("optimizer", "betas[1]", lambda value: {"name": "adam", "betas": [0.9, value]}),
        ("env", "kwargs", lambda value: {"name": "gymnasium", "kwargs": {"gravity": value}}),
    ],
)
def test_numbers_must_be_finite(group, key, config, value):
    (problem,) = refused(group, **config(value))
    assert problem.startswith(f"{group}.{key}")


def test_free_keyword_arguments_keep_their_types():
    kwargs = {"gravity": 10.0, "steps": 3, "easy": True, "map": None}
    checked = registry.validate("env", {"name": "gymnasium", "kwargs": kwargs})["kwargs"]
    assert [(type(item), item) for item in checked.values()] == [(type(item), item) for item in kwargs.values()]


def test_all_problems_are_reported_together():
    problems = refused("network", name="mlp", hidden=[24, 0], activation="rely", layer_norm=1, depth=3)
    assert sorted(problem.split(":")[0] for problem in problems) == [
        "network.activation=rely",
        "network.depth=3",
        "network.hidden[1]=0",
        "network.layer_norm=1",
    ]


def test_problems_begin_with_the_prefix_given():
    with pytest.raises(ConfigError, match=r"^logger\.web\.mode=on: "):
        registry.validate("logger", {"name": "wandb", "mode": "on"}, prefix="logger.web")


def test_a_constructors_error_is_prefixed_with_the_group(toy):
    config = registry.validate("network", {"name": "toy", "width": 1, "rate": 2.5})
    with pytest.raises(ConfigError, match=r"^network\.rate=2\.5: must be at most width=1$"):
        registry.create("network", config, "box")


def test_an_error_that_names_no_key_is_prefixed_with_the_component(toy):
    config = registry.validate("network", {"name": "toy", "width": 1, "deep": True})
    with pytest.raises(
        ConfigError, match=r"^network=toy: deep things are not built here \(raised in test_registry.py, line \d+\)$"
    ):
        registry.create("network", config, "box")


def test_a_module_and_class_name_a_custom_component(module):
    module(
        "my_values_", "class Mine:\n    num_outputs = 1\n    def __init__(self, *, bins: int = 3): self.bins = bins\n"
    )
    config = registry.validate("value", {"name": "my_values_:Mine", "bins": 1e1})
    assert registry.create("value", config).bins == 10


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_:Mine", r"no module 'no_such_module_' on .*--config-dir"),
        ("no_such_module_.py:Mine", r"a module is named without \.py and slashes: no_such_module_"),
        ("lab/outside_.py:Mine", r"a module is named without \.py and slashes: outside_"),
        ("outside_.Mine", r"no such component; did you mean outside_:Mine\?"),
        ("outside_:Mien", r"no class 'Mien' in outside_; did you mean Mine\?"),
        ("outside_:number", r"no class 'number' in outside_"),
        ("outside_:", r"no class '' in outside_"),
        ("needy_:Mine", r"No module named 'absent_dependency_'"),
        ("broken_:Mine", r"importing it raised ZeroDivisionError"),
        (":Mine", r"importing it raised ValueError"),
        ("builtins:int", r""),
    ],
)
def test_a_problem_with_a_custom_component_is_reported_in_one_line(module, name, message):
    module("outside_", "class Mine: ...\nnumber = 3\n")
    module("needy_", "import absent_dependency_\n")
    module("broken_", "1 / 0\n")
    with pytest.raises(ConfigError, match=rf"^value\.name={name}: .*{message}"):
        registry.validate("value", {"name": name})
