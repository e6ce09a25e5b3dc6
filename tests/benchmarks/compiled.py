"""Prints what an update costs as a compiled graph against eager torch, over compositions, and what compiling costs.

CartPole's shapes, a 4-24-24-2 ReLU network and batches of 64, in single precision; the update alone, drawn batches
given. Both engines run in turn in rounds, and the figures are medians of the processor's time for this process, which
others on the machine disturb less than the clock's. Compiling is timed by the clock, its compiler being another
process: first with an empty cache, then in a new process with the cache that the first one left.

    python tests/benchmarks/compiled.py [--rounds 7] [--only NAME]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

COMPOSITIONS = {
    "double": {"bootstrap": {"name": "double"}},
    "munchausen": {"bootstrap": {"name": "munchausen"}},
    "categorical (C51)": {"value": {"name": "categorical"}},
    "quantile (QR-DQN)": {"value": {"name": "quantile"}},
    "n_step=3": {"buffer": {"name": "uniform", "n_step": 3}},
    "prioritized": {"buffer": {"name": "prioritized"}},
    "keras_adam": {"optimizer": {"name": "keras_adam"}},
    "nadam": {"optimizer": {"name": "nadam"}},
    "radam": {"optimizer": {"name": "radam"}},
    "rmsprop_centered": {"optimizer": {"name": "rmsprop_centered"}},
    "sgd, clipped": {"optimizer": {"name": "sgd", "max_grad_norm": 10.0}},
    "silu, layer_norm": {"network": {"name": "mlp", "activation": "silu", "layer_norm": True}},
    "two minibatches": {"train": {"minibatch_size": 32}},
}  # fmt: skip
BASE = {
    "env": {"name": "gymnasium"}, "network": {"name": "mlp"}, "value": {"name": "expected"},
    "bootstrap": {"name": "max"}, "buffer": {"name": "uniform"}, "optimizer": {"name": "adam"},
    "target": {"name": "periodic"}, "exploration": {"name": "constant", "epsilon": 0.05}, "logger": {},
}  # fmt: skip
ENGINES = ("torch", "compiled")


def prepare(name, engine_name):
    """Builds an agent with a filled buffer; returns a function that makes an update, without drawing the batch."""
    import numpy as np

    from dqn_lab.build import build, validate

    experiment = build(validate({**BASE, **COMPOSITIONS[name], "engine": {"name": engine_name}}))
    agent, rng = experiment.agent, np.random.default_rng(0)
    for step in range(300):
        obs, next_obs = rng.normal(size=(2, 4)).astype(np.float32)
        agent.observe(obs, int(rng.integers(2)), 1.0, next_obs, step % 50 == 49, False)
    draws = [(agent.buffer.sample(rng.random(64)), agent.draw_noise(64)) for _ in range(10)]
    return agent.engine, lambda number: agent.engine.update(*draws[number % 10], 1e-4)


def measure(name, rounds):
    """Returns seconds of compiling, and microseconds an update of each engine."""
    import torch

    torch.set_num_threads(1)
    engines = {engine: prepare(name, engine) for engine in ENGINES}
    for _, update in engines.values():
        update(0)
    started = time.perf_counter()
    engines["compiled"][1](1)
    seconds, costs = time.perf_counter() - started, {engine: [] for engine in ENGINES}
    if engines["compiled"][0].fallback:
        raise SystemExit(engines["compiled"][0].fallback)
    for _ in range(rounds):
        for engine, (_, update) in engines.items():
            started = time.process_time()
            for number in range(100):
                update(number)
            costs[engine].append((time.process_time() - started) * 1e4)
    return {"seconds": seconds, **{engine: statistics.median(cost) for engine, cost in costs.items()}}


def again(name, rounds, cache):
    """Measures in a process of its own."""
    command = [sys.executable, __file__, "--once", name, "--rounds", str(rounds)]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=COMPOSITIONS)
    parser.add_argument("--once", choices=COMPOSITIONS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        print(json.dumps(measure(args.once, args.rounds)))
        return
    head = ("torch, µs", "compiled, µs", "ratio", "compile, s", "from disk, s")
    print(f"{'composition':<20} " + " ".join(f"{word:>12}" for word in head))
    ratios = []
    for name in [args.only] if args.only else COMPOSITIONS:
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = again(name, args.rounds, cache), again(name, 1, cache)
        ratios.append(cold["torch"] / cold["compiled"])
        row = f"{cold['torch']:>12.0f} {cold['compiled']:>12.0f} {ratios[-1]:>11.1f}×"
        print(f"{name:<20} {row} {cold['seconds']:>12.1f} {warm['seconds']:>12.1f}", flush=True)
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.2f}×")


if __name__ == "__main__":
    main()
