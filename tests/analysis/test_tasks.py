"""The bounds of returns: known for every environment that the lab names, or configured by the runs."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from dqn_lab import records
from dqn_lab.analysis import NoBounds, compare, learning_curves, load_configs, load_runs, summarize
from dqn_lab.analysis.runs import flatten
from dqn_lab.analysis.scores import find_bounds
from dqn_lab.tasks import apart, find_task, task_name, telling_keys

CONF = Path(__file__).parents[2] / "conf" / "env"
NAMES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.rglob("*.yaml"))
NONE_ABOVE = ("minatar/asterix", "minatar/breakout", "minatar/seaquest", "minatar/space_invaders", "atari/qbert",
              "atari/seaquest", "atari/space_invaders")  # fmt: skip
OWN = {"env.id": "Mine-v0"}


@pytest.mark.parametrize("name", NAMES)
def test_bounds_are_known_for_every_environment_that_the_lab_names(name):
    config = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    task = find_task(task_name(dict(flatten({"env": config}))))
    low, high = task.bounds
    assert math.isfinite(low)
    assert math.isfinite(high) == (name not in NONE_ABOVE)
    assert low < high
    assert task.practical == (name == "lunar_lander")


@pytest.mark.parametrize(("name", "known"), [
    ("CartPole-v1", True), ("CartPole-v1 (max_episode_steps=200)", False), ("Mine-v0", False),
    ("FrozenLake-v1 (kwargs.map_name=8x8, kwargs.is_slippery=False)", True),
    ("FrozenLake-v1 (kwargs.reward_schedule=[10, -1, 0])", False),
    ("CliffWalking-v1", False), ("CliffWalking-v1 (max_episode_steps=300)", False),
    ("ALE/Pong-v5 (frame_skip=4, repeat_action_probability=0.0)", True),
])  # fmt: skip
def test_settings_that_change_the_bounds_leave_them_unknown(name, known):
    assert (find_task(name) is not None) is known


@pytest.mark.parametrize(("configs", "keys", "expected"), [
    ([{"env.id": "A-v0"}, {"env.id": "A-v0", "env.rescale": True}], [], "their environment"),
    ([{"env.id": "A-v0"}, {"env.id": "B-v0", "env.kwargs.g": 1}], ["env.id", "env.kwargs.g"], "their environment"),
    ([{"env.id": "A-v0", "env.kwargs.g": 1}, {"env.id": "A-v0"}], ["env.kwargs.g"], "env.kwargs.g"),
    ([{"env.id": "A-v0", "env.kwargs.g": 1, "env.kwargs.h": 1}, {"env.id": "A-v0"}],
     ["env.kwargs.g", "env.kwargs.h"], "env.kwargs.g or env.kwargs.h"),
    ([{"env.id": "A-v0", "env.name": "x"}, {"env.id": "A-v0", "env.name": "y"}], [], "their environment"),
])  # fmt: skip
def test_the_settings_that_make_different_tasks_are_named(configs, keys, expected):
    assert telling_keys(configs) == keys
    assert (len(set(map(task_name, configs))) > 1) == bool(keys)
    assert apart(keys).startswith(f"Runs that differ in {expected} are different tasks: ")


def play(make, action):
    """Computes the return of repeating one action until the end of the episode."""
    with make() as env:
        env.reset(seed=0)
        total, over = 0.0, False
        while not over:
            _, reward, terminated, truncated, _ = env.step(action)
            total, over = total + float(reward), terminated or truncated
    return total


@pytest.mark.parametrize(("name", "action", "end"), [
    ("cliff_walking", 1, 0), ("taxi", 5, 0), ("mountain_car", 1, 0), ("acrobot", 1, 0),
])  # fmt: skip
def test_the_worst_returns_are_reached(configure, name, action, end):
    """Every step falls off the cliff, drops the passenger wrongly, or does nothing."""
    from dqn_lab import registry

    config = configure(f"env={name}", *(["network=table"] if name in ("cliff_walking", "taxi") else []))["env"]
    task = find_task(task_name(dict(flatten({"env": config}))))
    assert play(registry.create("env", config).make, action) == task.bounds[end]


def test_runs_state_the_bounds_of_their_returns(make_run, tmp_path):
    for seed in range(6):
        make_run(f"s/{seed}", seed=seed, final=9.0, **OWN, **{"env.return_bounds": [-3.0, 10.0]})
    configs, runs = load_configs(tmp_path), load_runs(tmp_path, table="evaluations")
    assert find_bounds(configs, "final_return", None) == (-3.0, 10.0)
    assert configs["task"].unique().tolist() == ["Mine-v0"]
    assert summarize(configs)["mean_low"].item() < 8 < 9 < summarize(configs)["mean_high"].item() <= 10
    assert "env.return_bounds" not in configs.attrs["swept"]
    with pytest.warns(NoBounds):  # the values, 20 and 500, contradict them
        assert find_bounds(runs, "return_mean", None) is None
    with pytest.warns(NoBounds):
        assert len(learning_curves(runs)) == 2
    assert find_bounds(configs, "wall_seconds", None) == (0.0, float("inf"))
    assert find_bounds(configs, "final_step", None) is None


def test_configured_bounds_take_precedence_and_do_not_change_the_variant(make_run, tmp_path):
    make_run("s/a", seed=0)
    make_run("s/b", seed=1, **{"env.return_bounds": None})
    make_run("s/c", seed=2, **{"env.return_bounds": [0, 600]})
    configs = load_configs(tmp_path)
    assert configs["variant"].nunique() == 1
    assert find_bounds(configs, "final_return", None) == (0.0, 500.0)  # the runs state different bounds
    assert find_bounds(configs[configs["seed"] == 2], "final_return", None) == (0.0, 600.0)
    assert find_bounds(configs, "final_return", (0, 700)) == (0, 700)


def test_rounding_does_not_take_a_score_out_of_its_bounds(make_run, tmp_path):
    for seed, final in enumerate([-2.000000000000001, -1.0, 0.5]):
        make_run(f"s/{seed}", seed=seed, final=final, **OWN, **{"env.return_bounds": [-2.0, 1.0]})
    configs = load_configs(tmp_path)
    row = summarize(configs).iloc[0]
    assert row["mean_low"] >= -2.0001
    pd.testing.assert_frame_equal(summarize(configs, bounds=(-2, 1)), summarize(configs))


def test_bounds_in_the_configuration_that_a_score_contradicts_are_dropped_with_a_warning(make_run, tmp_path):
    for seed, final in enumerate([-2.1, -1.0, 0.5]):
        make_run(f"s/{seed}", seed=seed, final=final, **OWN, **{"env.return_bounds": [-2.0, 1.0]})
    with pytest.warns(NoBounds, match=r"^env.return_bounds=\[-2,1\]: a final_return lies outside, so no bounds are"):
        row = summarize(load_configs(tmp_path)).iloc[0]
    assert row["mean_low"] < -2.1


def test_return_bounds_are_not_part_of_a_jobs_identity(configure):
    plain, stated = configure(), configure("env.return_bounds=[0,500]")
    assert stated["env"]["return_bounds"] == [0.0, 500.0]
    before = {**plain, "env": {key: value for key, value in plain["env"].items() if key != "return_bounds"}}
    assert records.identity(plain) == records.identity(stated) == records.identity(before)


def test_one_known_bound_is_used_if_the_other_is_unknown(final_returns):
    scores = final_returns.assign(task="MinAtar/Breakout-v1")
    assert find_bounds(scores, "final_return", None) == (0.0, math.inf)
    few = scores[scores["seed"] < 1005]
    assert (summarize(few)["mean_low"] >= 0).all()
    assert np.isfinite(summarize(few)[["mean_low", "mean_high", "iqm_high"]].to_numpy(float)).all()
    assert np.isfinite(compare(few, control="default")[["low", "high", "improvement_low"]].to_numpy(float)).all()
