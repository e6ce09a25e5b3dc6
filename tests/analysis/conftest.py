"""Writes runs without training: a directory, its record and its tables."""

import copy
import json
import time
from pathlib import Path

import pandas
import pytest

DATA = Path(__file__).parent / "data"
CONFIG = {
    "logger": {"csv": {"name": "csv"}},
    "seed": 0,
    "episodes": 500,
    "steps": None,
    "display": "none",
    "env": {"name": "gymnasium", "id": "CartPole-v1", "max_episode_steps": None, "truncation_terminates": False},
    "network": {"name": "mlp", "hidden": [24, 24]},
    "target": {"name": "periodic", "interval": 10, "unit": "episodes"},
}
EVALUATIONS = "step,episode,return_mean,return_std,return_min,return_max,episodes\n"
EPISODES = "episode,step,return,length,epsilon,updates,loss,q_value\n"


@pytest.fixture
def make_run(tmp_path):
    """Writes a run: `make_run("sweep/run", seed=1, **{"target.interval": 1})`."""

    def make(name, *, seed=0, status="completed", final=500.0, returns=(20.0, 500.0), without=(), **changes):
        directory = tmp_path / name
        directory.mkdir(parents=True)
        config = copy.deepcopy(CONFIG)
        config["seed"] = seed
        for key, value in changes.items():
            *path, last = key.split(".")
            place = config
            for part in path:
                place = place[part]
            place[last] = value
        for key in without:
            del config["target"][key]
        record = {"status": status, "seed": seed, "engine": {"name": "fused"}, "config": config, "git": None}
        record |= {"versions": {"torch": "2"}, "wall_seconds": 2.5, "progress": {"step": 2000, "episode": 2}}
        if status == "completed":
            record["scores"] = {"final": {"return_mean": final}, "last_100": 300.0, "selected": {"return_mean": 450.0}}
        (directory / "run.json").write_text(json.dumps(record))
        rows = [f"{1000 * (i + 1)},{i},{value},0.0,1.0,500.0,10\n" for i, value in enumerate(returns)]
        (directory / "evaluations.csv").write_text(EVALUATIONS + "".join(rows))
        rows = [f"{i},{20 * (i + 1)},20.0,20,1.0,0,{'' if not i else 0.5},\n" for i in range(3)]
        (directory / "episodes.csv").write_text(EPISODES + "".join(rows))
        return directory

    return make


@pytest.fixture
def later(monkeypatch):
    """Sets the cache's clock an hour ahead, so that files just written can be cached."""
    monkeypatch.setattr("dqn_lab.analysis.cache.time.time_ns", lambda: int((time.time() + 3600) * 1e9))


@pytest.fixture(scope="session")
def final_returns():
    """Returns the final returns of 100 seeds of three recipes, in the form of `load_configs`."""
    returns = json.loads((DATA / "final_returns.json").read_text())
    rows = [
        {"run": f"{name} {seed}", "variant": name, "seed": seed, "task": "CartPole-v1", "final_return": value}
        for name, values in returns.items()
        for seed, value in enumerate(values, start=1000)
    ]
    return pandas.DataFrame(rows)


@pytest.fixture
def evaluations():
    """Makes a table of evaluations from {(variant, seed): {step: value}}."""

    def make(curves):
        rows = [
            {"run": f"{variant}-{seed}", "variant": variant, "seed": seed, "task": "CartPole-v1", "step": step,
             "episode": 0, "return_mean": value}
            for (variant, seed), curve in curves.items()
            for step, value in curve.items()
        ]  # fmt: skip
        return pandas.DataFrame(rows)

    return make
