"""`warm` leaves nothing to compile."""

import json
import os
import subprocess
import sys

import pytest

COUNT = """
import json, sys
from numba.core import dispatcher
made, compile_core = [], dispatcher._FunctionCompiler._compile_core

def watch(self, *rest):
    made.append(self.py_func.__name__)
    return compile_core(self, *rest)

dispatcher._FunctionCompiler._compile_core = watch
from dqn_lab.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    print(json.dumps([done.code, sorted(set(made))]))
"""
RUN = (
    "train",
    "logger=csv",
    "steps=300",
    "episodes=null",
    "evaluation.final_num_episodes=3",
    "display=none",
    "hydra.run.dir=run",
)


def dqn_lab(tmp_path, *words):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_after_warm_no_run_compiles_anything(tmp_path):
    shown, (code, made) = dqn_lab(tmp_path, "warm")
    assert code == 0
    assert {"play", "update", "step", "select_boltzmann", "sample_prioritized"} <= set(made)
    assert "16/16  toy text" in shown
    for number, overrides in enumerate(
        [
            (),
            ("buffer=prioritized", "exploration=ez_greedy"),
            ("env=acrobot", "target=polyak", "steps=200"),
            ("env=taxi", "rollout=compiled", "env.implementation=compiled"),
            ("experiment=rainbow", "steps=1100", "rollout=compiled", "env.implementation=compiled"),
        ]
    ):
        _, (code, made) = dqn_lab(tmp_path, *RUN, *overrides, f"hydra.run.dir={number}")
        assert (code, made) == (0, [])
