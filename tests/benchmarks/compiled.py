"""Prints what an update costs in eager torch, as a compiled graph and in fused kernels, and what compiling costs.

This covers the recipes for CartPole, and the default run with one choice changed. Only the update is timed, on batches
drawn beforehand. The engines take turns in rounds, and the results are medians of CPU time, which other programs on the
machine disturb less than wall-clock time. Compilation is timed in the same way, including the compiler's processes:
first with an empty cache, then in a new process with the cache that the first one left. The first graph of a process
takes longer than the others, because inductor is imported and headers are compiled; so a trivial graph comes first.

    python tests/benchmarks/compiled.py [--rounds 7] [--only NAME …]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

RECIPES = {
    name: (f"experiment={name}",)
    for name in ("dqn", "double_dqn", "dueling", "prioritized", "n_step", "noisy", "munchausen",
                 "c51", "qr_dqn", "iqn", "rainbow")
}  # fmt: skip
COMPOSITIONS = {
    **RECIPES,
    "optimizer=keras_adam": ("optimizer=keras_adam",),
    "optimizer=nadam": ("optimizer=nadam",),
    "optimizer=radam": ("optimizer=radam",),
    "optimizer=rmsprop_centered": ("optimizer=rmsprop_centered",),
    "optimizer=sgd, clipped": ("optimizer=sgd", "optimizer.max_grad_norm=10"),
    "activation=silu": ("network.activation=silu",),
    "train.minibatch_size=32": ("train.minibatch_size=32",),
}
ENGINES = ("torch", "compiled", "fused")
PAIRS = ("torch", "compiled"), ("compiled", "fused")


def processor_seconds():
    """Returns the CPU time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def prepare(name, engine_name):
    """Builds an agent with a filled buffer; returns a function that makes an update, without drawing the batch."""
    import numpy as np

    from dqn_lab.build import build, validate
    from dqn_lab.cli import _compose

    with _compose.composer():
        overrides = [*COMPOSITIONS[name], f"engine={engine_name}", "logger=csv"]
        config = validate(_compose.plain(_compose.compose_config(overrides)))
    agent, rng = build(config).agent, np.random.default_rng(0)
    batch_size = config["train"]["batch_size"]
    for step in range(300):
        obs, next_obs = rng.normal(size=(2, 4)).astype(np.float32)
        agent.observe(obs, int(rng.integers(2)), 1.0, next_obs, step % 50 == 49, False)
    draws = [(agent.buffer.sample(rng.random(batch_size)), agent.draw_noise(batch_size)) for _ in range(10)]
    return agent.engine, lambda number: agent.engine.update(*draws[number % 10], 1e-4)


def measure(name, rounds):
    """Returns seconds of compilation, and microseconds per update of each engine in each round."""
    engines = {engine: prepare(name, engine) for engine in ENGINES if engine != "fused" or "silu" not in name}
    for _, update in engines.values():
        update(0)
    started = processor_seconds()
    engines["compiled"][1](1)
    seconds, costs = processor_seconds() - started, {engine: [] for engine in engines}
    if engines["compiled"][0].fallback:
        raise SystemExit(engines["compiled"][0].fallback)
    for _ in range(rounds):
        for engine, (_, update) in engines.items():
            started = time.process_time()
            for number in range(100):
                update(number)
            costs[engine].append((time.process_time() - started) * 1e4)
    return {"seconds": seconds, **costs}


def in_one_process(names, rounds):
    """Prints each measurement as a line of JSON, the first for a trivial graph."""
    import torch

    from dqn_lab.engine._graph import graph

    torch.set_num_threads(1)
    started = processor_seconds()
    graph(lambda tensor: tensor + 1, [torch.zeros(8)])
    print(json.dumps({"seconds": processor_seconds() - started}), flush=True)
    for name in names:
        print(json.dumps(measure(name, rounds)), flush=True)


def another_process(names, rounds, cache):
    """Yields what a separate process measures."""
    command = [sys.executable, __file__, "--only", *names, "--rounds", str(rounds), "--once"]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as it:
        yield from map(json.loads, it.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=COMPOSITIONS, default=[*COMPOSITIONS])
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        in_one_process(args.only, args.rounds)
        return
    ratios, seconds = {}, {}
    with tempfile.TemporaryDirectory() as cache:
        for name, costs in zip(("nothing", *args.only), another_process(args.only, args.rounds, cache), strict=True):
            seconds[name] = [costs["seconds"]]
            if "torch" in costs:
                row = [f"{engine} {statistics.median(costs[engine]):5.0f} µs" for engine in ENGINES if engine in costs]
                for slow, fast in PAIRS:
                    if fast in costs:
                        each = [one / other for one, other in zip(costs[slow], costs[fast], strict=True)]
                        ratios[slow, fast, name] = statistics.median(each)
                        row.append(
                            f"{slow} / {fast} {statistics.median(each):5.2f} ({min(each):.1f} – {max(each):.1f})"
                        )
                print(f"{name:<27} {', '.join(row)}", flush=True)
        for name, costs in zip(seconds, another_process(args.only, 0, cache), strict=True):
            seconds[name].append(costs["seconds"])
    for pair in PAIRS:
        for what, names in (("the recipes", RECIPES), ("all", COMPOSITIONS)):
            group = [ratio for (*of, name), ratio in ratios.items() if (*of,) == pair and name in names]
            if group:
                mean = statistics.geometric_mean(group)
                print(f"geometric mean of {' / '.join(pair)}, {what}: {mean:.2f}")
    print()
    print(f"{'seconds to compile':<27} {'empty cache':>12} {'from disk':>12}")
    for name, (cold, warm) in seconds.items():
        print(f"{name:<27} {cold:>12.1f} {warm:>12.1f}")


if __name__ == "__main__":
    main()
