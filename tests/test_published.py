"""The recipes in `experiment/published/` have the settings of their sources, which are transcribed here."""

import importlib.util
from pathlib import Path

import pytest

from dqn_lab.build import build
from dqn_lab.schedule import Progress

FOLDER = Path(__file__).parents[1] / "conf" / "experiment" / "published"
RECIPES = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("[!_]*.yaml"))
EVERYWHERE = {"episodes": None, "bootstrap.name": "max", "buffer.name": "uniform", "buffer.n_step": 1,
              "train.minibatch_size": None, "train.max_reward": None, "target.name": "periodic", "target.unit": "steps",
              "network.activation": "relu", "network.init": "fan_in_uniform", "network.layer_norm": False,
              "network.dueling": False, "network.noisy": False, "env.truncation_terminates": False,
              "env.rescale": False, "optimizer.betas": [0.9, 0.999], "optimizer.max_grad_value": None,
              "evaluation.final_num_episodes": 100}  # fmt: skip
CLEANRL = {"steps": 500_000, "discount": 0.99, "network.hidden": [120, 84], "optimizer.name": "adam",
           "optimizer.lr": 2.5e-4, "optimizer.max_grad_norm": None, "buffer.capacity": 10_000, "train.batch_size": 128,
           "train.num_updates": 1, "train.interval": 10, "target.interval": 500}  # fmt: skip
DQN = {"value.name": "expected", "value.loss": "squared", "optimizer.eps": 1e-8}
C51 = {"value.name": "categorical", "value.num_atoms": 101, "value.v_min": -100.0, "value.v_max": 100.0,
       "optimizer.eps": 0.01 / 128}  # fmt: skip
ZOO = {"network.hidden": [256, 256], "optimizer.name": "adam"}
HUBER = {"value.name": "expected", "value.loss": "huber", "value.kappa": 1.0, "optimizer.eps": 1e-8,
         "optimizer.max_grad_norm": 10.0}  # fmt: skip
QUANTILES = {"value.name": "quantile", "value.kappa": 1.0, "optimizer.max_grad_norm": None}
CARTPOLE = {"steps": 50_176, "discount": 0.99, "optimizer.lr": 2.3e-3, "buffer.capacity": 100_000,
            "train.batch_size": 64, "train.interval": 256, "train.num_updates": 128,
            "target.interval": 10}  # fmt: skip
ACROBOT = {"steps": 100_000, "discount": 0.99, "optimizer.lr": 6.3e-4, "buffer.capacity": 50_000,
           "train.batch_size": 128, "train.interval": 4, "train.num_updates": 4, "target.interval": 250}  # fmt: skip
MOUNTAIN_CAR = {"steps": 120_000, "discount": 0.98, "optimizer.lr": 4e-3, "buffer.capacity": 10_000,
                "train.batch_size": 128, "train.interval": 16, "train.num_updates": 8,
                "target.interval": 600}  # fmt: skip
SLM = {"steps": 300_000, "network.hidden": [256, 128], "value.name": "expected", "value.loss": "huber",
       "value.kappa": 1.0, "optimizer.name": "adamw", "optimizer.eps": 1e-8, "optimizer.weight_decay": 0.01,
       "optimizer.max_grad_norm": 10.0, "buffer.capacity": 50_000, "train.batch_size": 32, "train.interval": 8,
       "train.num_updates": 4, "train.learning_starts": 40, "target.interval": 100,
       "exploration.duration": 50_000}  # fmt: skip
SETTINGS = {
    **{f"cleanrl_dqn/{task}": CLEANRL | DQN for task in ("cartpole", "acrobot", "mountain_car")},
    **{f"cleanrl_c51/{task}": CLEANRL | C51 for task in ("cartpole", "acrobot", "mountain_car")},
    "zoo_dqn/cartpole": ZOO | HUBER | CARTPOLE,
    "zoo_dqn/acrobot": ZOO | HUBER | ACROBOT,
    "zoo_dqn/mountain_car": ZOO | HUBER | MOUNTAIN_CAR,
    "zoo_dqn_2021/mountain_car": ZOO | HUBER | MOUNTAIN_CAR | {"env.truncation_terminates": True},
    "zoo_qrdqn/cartpole": ZOO | QUANTILES | CARTPOLE | {"value.num_quantiles": 10, "optimizer.eps": 0.01 / 64},
    "zoo_qrdqn/acrobot": ZOO | QUANTILES | ACROBOT | {"value.num_quantiles": 25, "optimizer.eps": 0.01 / 128},
    "zoo_qrdqn/mountain_car": ZOO | QUANTILES | MOUNTAIN_CAR | {"value.num_quantiles": 25, "optimizer.eps": 0.01 / 128},
    "slm_dqn/lunar_lander": SLM | {"discount": 0.982, "optimizer.lr": 7.24e-4, "exploration.end": 0.039},
    "slm_ddqn_per/lunar_lander": SLM | {
        "discount": 0.99, "optimizer.lr": 2.5e-4, "exploration.end": 0.01, "bootstrap.name": "double",
        "buffer.name": "prioritized", "buffer.priority_exponent": 0.6, "buffer.importance_exponent": 0.0,
        "buffer.priority_epsilon": 1e-4, "buffer.stratified": False,
    },
}  # fmt: skip
TASKS = {"cartpole": "CartPole-v1", "acrobot": "Acrobot-v1", "mountain_car": "MountainCar-v0",
         "lunar_lander": "LunarLander-v3"}  # fmt: skip
ZOO_EPSILON = {
    "cartpole": (50_000, 0.16, 0.04, 1_000),
    "acrobot": (100_000, 0.12, 0.1, 0),
    "mountain_car": (120_000, 0.2, 0.07, 1_000),
}  # steps, fraction, end, learning starts; fmt: skip


def setting(config, key):
    for part in key.split("."):
        config = config[part]
    return config


def at(step):
    return Progress(step)


def test_every_recipe_is_transcribed():
    assert set(SETTINGS) == set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_its_sources_settings(configure, recipe):
    config = configure(f"experiment=published/{recipe}")
    expected = EVERYWHERE | SETTINGS[recipe] | {"env.id": TASKS[recipe.partition("/")[2]]}
    found = {key: setting(config, key) for key in expected}
    assert found == {
        key: pytest.approx(value) if isinstance(value, float) else value for key, value in expected.items()
    }


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "cleanrl" in name])
def test_cleanrls_steps_are_the_same(configure, recipe):
    """CleanRL numbers steps from 0, and checks `step > 10_000 and step % 10 == 0` after each."""
    agent = build(configure(f"experiment=published/{recipe}")).agent
    steps = range(12_000)
    updates = [step for step in steps if agent.learning.due(at(step), at(step + 1))]
    copies = [step for step in steps if agent.target.every.due(at(step), at(step + 1)) and step > 10_000]
    assert updates == [step for step in steps if step > 10_000 and step % 10 == 0]
    assert copies == [step for step in steps if step > 10_000 and step % 500 == 0]
    for step in (0, 1, 125_000, 249_999, 250_000, 400_000):
        assert agent.exploration.epsilon(at(step)) == pytest.approx(max(1 - 0.95 / 250_000 * step, 0.05))


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "zoo" in name])
def test_the_zoos_exploration_is_the_same(configure, recipe):
    """Stable-Baselines3 acts at random before it learns, then lowers ε linearly over a share of the nominal steps."""
    num_steps, fraction, end, starts = ZOO_EPSILON[recipe.partition("/")[2]]
    exploration = build(configure(f"experiment=published/{recipe}")).agent.exploration
    for step in (0, 1, 999, 1_000, 1_001, 5_000, 7_999, 8_000, 23_999, 24_000, 50_000):
        share = step / num_steps
        line = end if share > fraction else 1 + share * (end - 1) / fraction
        assert exploration.epsilon(at(step)) == pytest.approx(1.0 if step < starts else line)


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "zoo" in name])
def test_the_zoos_phases_are_the_same_and_its_copies_at_most_one_phase_later(configure, recipe):
    """Stable-Baselines3 copies after a step and before the learning phase at its end; the lab copies after both.

    On CartPole each phase uses the same copy as there. Elsewhere a copy may come one phase later.
    """
    config = configure(f"experiment=published/{recipe}")
    agent, interval, copy = build(config).agent, config["train"]["interval"], config["target"]["interval"]
    starts = ZOO_EPSILON[recipe.partition("/")[2]][3]
    phases, ours, theirs, late = 0, 0, 0, {}  # phases at the latest copies
    for step in range(1, config["steps"] + 1):
        theirs = phases if step % copy == 0 else theirs
        due = agent.learning.due(at(step - 1), at(step))
        assert due == (step % interval == 0 and step > starts)
        if due:
            late[step] = ours - theirs
            phases += 1
        ours = phases if agent.target.every.due(at(step - 1), at(step)) else ours
    assert config["steps"] % interval == 0
    if recipe.endswith("cartpole"):
        assert set(late.values()) == {0}
    else:
        assert {phases for step, phases in late.items() if step % copy} == {0, 1}


@pytest.mark.parametrize("recipe", [name for name in RECIPES if "slm" in name])
def test_slm_labs_steps_are_the_same(configure, recipe):
    """In steps of eight frames: `seen > 32` for updates, `frame % 100 < 8` for copies, which are as many here."""
    if any(importlib.util.find_spec(package) is None for package in ("Box2D", "pygame")):
        pytest.skip("LunarLander needs Box2D")
    agent = build(configure(f"experiment=published/{recipe}")).agent
    frames = range(8, 20_001, 8)
    updates = [step for step in range(1, 20_001) if agent.learning.due(at(step - 1), at(step))]
    copies = [step for step in range(1, 20_001) if agent.target.every.due(at(step - 1), at(step))]
    assert updates == [frame for frame in frames if frame > 32]
    assert len(copies) == len([frame for frame in frames if frame % 100 < 8]) == 200
