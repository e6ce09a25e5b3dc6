"""Every yaml composes, builds, and has exactly the keys of its component's constructor."""

import importlib.util
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dqn_lab import registry
from dqn_lab.build import RunValues, build

CONF = Path(__file__).parents[1] / "conf"
OPTIONS = [
    (group, path.relative_to(CONF / group).with_suffix("").as_posix())
    for group in registry.GROUPS
    for path in sorted((CONF / group).rglob("[!_]*.yaml"))
]
EXPERIMENTS = sorted(
    path.relative_to(CONF / "experiment").with_suffix("").as_posix()
    for path in (CONF / "experiment").rglob("[!_]*.yaml")  # those with `_` are shared by recipes
)
NEEDS = {  # overrides that an option needs
    ("network", "nature_cnn"): ("env.id=Pictures-v0",),
    ("network", "minatar_cnn"): ("env.id=Pictures-v0", "++env.kwargs.shape=[10,10,4]", "++env.kwargs.dtype=bool"),
    ("network", "table"): ("env=frozen_lake",),
    ("rollout", "compiled"): ("env.implementation=compiled",),
}
NETWORKS = {"atari": "nature_cnn", "minatar": "minatar_cnn"}  # of a folder's environments
SMALL = {"capacity": 100}  # instead of the memory that a paper's settings need
EXTRAS = {
    "atari": ["ale_py", "cv2"],
    "minatar": ["minatar"],
    "lunar_lander": ["Box2D", "pygame"],
}  # by folder or by option


def option(group: str, name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_option_composes_and_builds(configure, group, name):
    for package in EXTRAS.get(name.partition("/")[0], []):
        pytest.importorskip(package)
    folder = name.partition("/")[0]
    needs = (f"network={NETWORKS[folder]}",) if folder in NETWORKS else NEEDS.get((group, name), ())
    config = configure(f"{group}={name}", *needs)
    assert build(config).config == config


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_an_option_has_exactly_the_parameters_of_its_constructor(group, name):
    values = option(group, name)
    fields = registry.schema(registry.lookup(group, values.pop("name"))).model_fields
    assert set(values) == set(fields)


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_a_base_option_has_its_components_defaults(group, name):
    """A base option has its component's name, or is `mlp24`, `cartpole` or `atari/breakout`."""
    values = option(group, name)
    if name in (values["name"], "mlp24", "cartpole", "atari/breakout"):
        assert registry.validate(group, values) == registry.validate(group, {"name": values["name"]})


def test_every_component_has_an_option():
    chosen = {(group, option(group, name)["name"]) for group, name in OPTIONS}
    assert chosen == {(group, name) for group in registry.GROUPS for name in registry.names(group)}


def test_the_default_run_has_the_schemas_defaults(configure):
    config = configure()
    assert {key: config[key] for key in RunValues.model_fields} == RunValues().model_dump()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_builds_and_opens_with_its_command(configure, name):
    config = configure(f"experiment={name}")
    extras = [package for part in name.split("/") for package in EXTRAS.get(part, [])]
    if not any(importlib.util.find_spec(package) is None for package in extras):
        build(config | {"buffer": config["buffer"] | SMALL} if name.startswith("atari/") else config)
    lines = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_"
    assert f"python -m dqn_lab train experiment={name}" in lines[1]


@pytest.mark.parametrize(("folder", "task", "steps"), [
    ("acrobot", "Acrobot-v1", 100_000), ("mountain_car", "MountainCar-v0", 120_000),
    ("lunar_lander", "LunarLander-v3", 300_000),
    ("atari", "ALE/Breakout-v5", 50_000_000),
])  # fmt: skip
def test_a_folders_experiments_are_of_its_task(configure, folder, task, steps):
    """A recipe must not be confused with the one of the same name outside the folder."""
    for name in [name for name in EXPERIMENTS if name.startswith(f"{folder}/")]:
        config = configure(f"experiment={name}")
        assert (config["env"]["id"], config["steps"]) == (task, steps), name


def test_the_default_is_the_tutorials_settings(configure):
    config = configure()
    assert config["env"]["id"] == "CartPole-v1"
    assert config["network"]["hidden"] == [24, 24]
    assert (config["optimizer"]["name"], config["optimizer"]["lr"]) == ("adam", 1e-3)
    assert (config["buffer"]["capacity"], config["train"]["batch_size"]) == (50_000, 64)
    assert (config["discount"], config["episodes"], config["train"]["learning_starts"]) == (0.99, 500, 64)
    assert (config["target"]["interval"], config["target"]["unit"]) == (10, "episodes")


@pytest.mark.parametrize("unit", ["1e6", "1_000_000", "1000000"])
def test_integers_may_be_written_as_people_write_them(configure, unit):
    assert configure(f"buffer.capacity={unit}")["buffer"]["capacity"] == 1_000_000
