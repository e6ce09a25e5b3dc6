"""Array bounds, which kernels check if `DQN_LAB_CHECK_BOUNDS` is set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json
import numpy as np
from dqn_lab._numba import kernel
from dqn_lab.engine.fused.simd import load, spread, store, transpose, view

@kernel
def read_vector(x, i):
    store(x, 0, load(x, i))

@kernel
def write_vector(x, i):
    store(x, i, load(x, 0))

@kernel
def read_number(x, i):
    store(x, 0, spread(x, i))

@kernel
def write_number(x, i):
    x[i] = 1

@kernel
def take_part(x, i):
    view(x, i, 8)[0] = 1

@kernel
def turn_square(x, i):
    transpose(x, i, x, 0, 8)

def caught(kernel, i):
    try:
        kernel(np.zeros(80, np.float32), i)
    except IndexError:
        return True
    return False

last = {read_vector: 72, write_vector: 72, read_number: 79, write_number: 79, take_part: 72, turn_square: 16}
print(json.dumps({kernel.__name__: [caught(kernel, i), caught(kernel, i + 1)] for kernel, i in last.items()}))
"""
COMPOSITIONS = """
import json
from itertools import product
import numpy as np, torch
from dqn_lab._numba import cache_directory
from tests.engine.fused.compositions import ARRAY, Composition

dtype, done = getattr(torch, {dtype!r}), 0
optimizers = [{{"name": "adam", "max_grad_norm": 1.0}}, {{"name": "rmsprop", "max_grad_value": 0.1}}, {{"name": "sgd"}},
              {{"name": "nadam"}}, {{"name": "radam"}}, {{"name": "rmsprop_centered"}}]
shapes = product([1, 5, 19], [1, 3, 18], [[1], [17, 8], [33, 1, 40]], [1, 16, 65, 130])
switches = list(product(["max", "double", "munchausen", "expected_sarsa"], ["relu", "tanh"], *[[False, True]] * 6))
for seed, (inputs, num_actions, hidden, batch_size) in enumerate(shapes):
    switch = switches[seed * 67 % len(switches)]
    bootstrap, activation, layer_norm, dueling, all_actions, huber, weighted, shared = switch
    value = {{"name": "expected", "loss": "huber" if huber else "squared", "all_actions": all_actions}}
    if seed % 3 == 2:
        value = [{{"name": "categorical", "v_min": -2.0, "v_max": 2.0, "num_atoms": 2 + seed % 7}},
                 {{"name": "quantile", "num_quantiles": 1 + seed % 17}},
                 {{"name": "implicit_quantile", "num_quantiles": 3, "num_cosines": 1 + seed % 17}}][seed // 3 % 3]
    composition = Composition(
        (inputs,), None, num_actions,
        {{"name": "mlp", "hidden": hidden, "activation": activation, "layer_norm": layer_norm, "dueling": dueling,
          "noisy": seed % 5 == 0}}, value,
        {{"name": bootstrap}}, shared, optimizers[seed % 6], batch_size, -(-batch_size // 3) if seed % 2 else None,
        weighted, memory=40 if seed % 4 else None, seed=seed,
    )
    engine = composition.build("fused", dtype)
    for batch, noise in composition.batches(dtype, 2):
        engine.update(batch, noise, epsilon=0.1)
        engine.q_values(batch.transition.obs)
    done += 1
print(json.dumps([done, cache_directory().name]))
"""


def run(program):
    """Runs a program with bounds checked, and returns what it printed."""
    environment = {**os.environ, "DQN_LAB_CHECK_BOUNDS": "1"}
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return json.loads(process.stdout)


def test_an_access_one_past_the_end_is_caught():
    for name, (inside, beyond) in run(PROGRAM).items():
        assert (inside, beyond) == (False, True), name


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_kernels_stay_within_their_arrays(dtype):
    """Sizes do not fill a vector, tile or chunk; each part of the workspace counts as an array."""
    done, directory = run(COMPOSITIONS.format(dtype=dtype))
    assert done == 108
    assert directory.endswith("-checked")
