"""Prints what a step of the reference work costs, part by part, next to the times of the given peers' scripts.

The reference work: CartPole-v1, a 4-24-24-2 ReLU network, replay of 50,000, and for every environment step one
action, one stored transition, one batch of 64 and one Adam update; a target copy every 500 steps; CSV on, evaluation
off. The programs take turns on one core; only the ratios within one table are meaningful.

    taskset -c 1 python tests/benchmarks/speed.py --floor tests/benchmarks/update_floor.c

A peer is a command that takes a number of steps and prints `… us/step` for those after the first 1,000. The floor is
a C program that prints `… us/update`, compiled here. `--engines` prints another table instead: the update alone, fused
against torch, over kinds of networks and values, widths and batch sizes (`--kinds`, `--widths`, `--batches`);
`--startup` prints the time from the command to a run's first steps and to its end, compared with `import torch` alone,
and the same with no kernel compiled yet.
"""

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

WARM_UP = 1_000
REFERENCE = {
    "episodes": None, "discount": 0.99, "evaluation": {"interval": None},
    "env": {"name": "gymnasium"}, "network": {"name": "mlp"}, "value": {"name": "expected"},
    "bootstrap": {"name": "max"}, "buffer": {"name": "uniform"}, "optimizer": {"name": "adam"},
    "target": {"name": "periodic", "interval": 500, "unit": "steps"},
    "exploration": {"name": "constant", "epsilon": 0.05},
    "logger": {"csv": {"name": "csv"}},
}  # fmt: skip
MORE = {
    "network": {"name": "mlp", "dueling": True}, "bootstrap": {"name": "double"},
    "buffer": {"name": "prioritized", "n_step": 3},
}  # fmt: skip
WANDB = {"logger": {"csv": {"name": "csv"}, "wandb": {"name": "wandb", "mode": "offline"}}}


class Stopwatch:
    """Adds up the time spent in calls, once the warm-up is over."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self.running = False

    def wrap(self, owner, method, part):
        call = getattr(owner, method)

        def timed(*args, **kwargs):
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                if self.running:
                    self.seconds[part] += time.perf_counter() - started

        setattr(owner, method, timed)


def measure(engine, steps, parts=False, **others):
    """Trains once; returns microseconds per step after the warm-up, in total and, if asked, of each part."""
    import torch

    from dqn_lab.build import build, validate
    from dqn_lab.cli._quiet import Quiet
    from dqn_lab.run import Run
    from dqn_lab.schedule import NEVER
    from dqn_lab.train import train

    torch.set_num_threads(1)
    others = {**others, **({"rollout": {"name": "python"}} if parts else {})}
    experiment = build(validate({**REFERENCE, **others, "engine": {"name": engine}, "steps": steps}))
    stopwatch, agent, rollout = Stopwatch(), experiment.agent, experiment.rollout
    with tempfile.TemporaryDirectory() as directory:
        run = Run(experiment, Path(directory) / "run", {})
        run.display = Quiet()
        for logger in experiment.loggers:
            logger.open(run.directory, {}, experiment.columns)
        if parts:  # of the Python rollout: compiled code cannot be timed part by part
            env = experiment.make_env()
            rollout.make_env = lambda: env
            for owner, method, part in [
                (env, "step", "environment"), (env, "reset", "environment"), (agent, "act", "act"),
                (agent.buffer, "append", "store"), (agent.buffer, "sample", "sample"),
                (agent.engine, "update", "update"), (run, "stride", "log"),
            ]:  # fmt: skip
                stopwatch.wrap(owner, method, part)
        while rollout.progress.step < WARM_UP:
            run.stride(rollout.advance(NEVER._replace(step=WARM_UP)))
        started, stopwatch.running = time.perf_counter(), True
        train(rollout, experiment.due, run)
        whole = time.perf_counter() - started
        for logger in experiment.loggers:
            logger.close("completed", {})
    scale = 1e6 / (steps - WARM_UP)
    costs = {part: seconds * scale for part, seconds in stopwatch.seconds.items()}
    costs = {"environment": costs.pop("environment", 0.0), **costs}
    costs["loop"] = whole * scale - sum(costs.values())
    return whole * scale, costs


def bare(steps):
    """Times a minimal eager loop that makes the same environment, network and optimiser calls and nothing else."""
    import gymnasium
    import torch
    from torch import nn

    torch.set_num_threads(1)
    env = gymnasium.make("CartPole-v1", disable_env_checker=True)
    online, target = (nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))
                      for _ in range(2))  # fmt: skip
    optimizer = torch.optim.Adam(online.parameters(), 1e-3, fused=True)
    obs, next_obs = torch.randn(64, 4), torch.randn(64, 4)
    action, reward, discount = torch.randint(2, (64, 1)), torch.ones(64), torch.full((64,), 0.99)
    seen, _ = env.reset(seed=0)
    for step in range(steps):
        if step == WARM_UP:
            started = time.perf_counter()
        with torch.inference_mode():
            chosen = int(online(torch.from_numpy(seen).unsqueeze(0)).argmax())
        seen, _, terminated, truncated, _ = env.step(chosen)
        if terminated or truncated:
            seen, _ = env.reset()
        with torch.no_grad():
            goal = reward + discount * target(next_obs).max(1).values
        loss = nn.functional.mse_loss(online(obs).gather(1, action).squeeze(1), goal)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - started) / (steps - WARM_UP) * 1e6


def environment(steps):
    """Times the environment alone."""
    import gymnasium

    env = gymnasium.make("CartPole-v1", disable_env_checker=True)
    env.reset(seed=0)
    started = time.perf_counter()
    for _ in range(steps):
        if env.step(1)[2]:
            env.reset()
    return (time.perf_counter() - started) / steps * 1e6


def compiled_environment(steps):
    """Times the compiled environment alone, called from compiled code."""
    import numba

    from dqn_lab.env.compiled.cartpole import CartPoleEnv, reset, step

    @numba.njit
    def run(state, draws, obs, count):
        for _ in range(count):
            if step(state, 1, draws, obs)[1]:
                reset(state, draws, obs)

    env = CartPoleEnv()
    env.reset(seed=0)
    run(env.state, env.draws, env.obs, 1)
    started = time.perf_counter()
    run(env.state, env.draws, env.obs, 100 * steps)
    return (time.perf_counter() - started) / (100 * steps) * 1e6


def peer(command, steps):
    """Runs a peer's script; returns its microseconds per step."""
    words = [*shlex.split(command), str(steps)]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"([\d.]+) us/(?:step|update)", output).group(1))


def compiled(source, directory):
    """Compiles the floor for this processor; returns the command that runs it."""
    program = Path(directory) / "floor"
    words = ["cc", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-o", program, source, "-lm"]
    subprocess.run(words, check=True)
    return shlex.quote(str(program))


def update_costs(kind, width, batch_sizes, rounds):
    """Times both engines' update alone, in turn; yields a batch size and microseconds of CPU time of each engine."""
    import numpy as np
    import torch

    from dqn_lab.build import build, validate
    from dqn_lab.types import Batch, Transition

    torch.set_num_threads(1)
    network = {"name": "mlp", "hidden": [width, width], **KINDS[kind].get("network", {})}
    value = KINDS[kind].get("value", REFERENCE["value"])
    composition = {**REFERENCE, "network": network, "value": value, "steps": 1}
    agents = [build(validate({**composition, "engine": {"name": name}})).agent for name in ENGINES]
    rng = np.random.default_rng(0)
    numbers = [rng.normal(size=(50_000, *shape)).astype(np.float32) for shape in ((4,), (), (4,), ())]
    memory = Transition(numbers[0], rng.integers(2, size=50_000), numbers[1], numbers[2], numbers[3])

    def cost(agent, batch_size, seconds):
        noise, started, count = agent.draw_noise(batch_size), time.process_time(), 0
        while (taken := time.process_time() - started) < seconds:
            rows = rng.integers(50_000, size=batch_size)
            agent.engine.update(Batch(memory, None, rows, rows), noise, 1e-5)
            count += 1
        return taken / count * 1e6

    for batch_size in batch_sizes:
        for agent in agents:
            cost(agent, batch_size, 0.05)
        yield batch_size, [[cost(agent, batch_size, 0.1) for agent in agents] for _ in range(rounds)]


def compare_engines(kinds, widths, batch_sizes, rounds):
    """Prints the update's cost in both engines over kinds of networks and values, widths and batch sizes."""
    print(f"{'hidden layers':<32} {'batch':>6} {'torch, µs':>10} {'fused, µs':>10} {'ratio':>7}")
    for kind in kinds:
        for width in widths:
            for batch_size, costs in update_costs(kind, width, batch_sizes, rounds):
                theirs, ours = map(statistics.median, zip(*costs, strict=True))
                ratio = statistics.median(one / other for one, other in costs)
                name = f"2 × {width} {kind}"
                print(f"{name:<32} {batch_size:>6} {theirs:>10.0f} {ours:>10.1f} {ratio:>6.2f}×", flush=True)


BARE = "import os, torch; os._exit(0)"
UNTIL = """
import os
from dqn_lab import cli
from dqn_lab.cli import _display
_display.Quiet.stride = lambda self, stride: os._exit(0)
cli.main()
"""  # a run's command that ends, without leaving tidily, with its first stride: here 65 steps and an update


def startup(rounds):
    """Prints seconds from the command on, in turn: of `import torch`, to a run's first stride, and to its end."""
    short = (
        "train steps=65 episodes=null train.learning_starts=65 evaluation.interval=null "
        "evaluation.final_num_episodes=1 logger=csv display=none"
    )
    figures = defaultdict(list)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            cold = {"NUMBA_CACHE_DIR": directory}
            for number, (name, program, variables) in enumerate([
                ("import torch", ["-c", BARE], {}),
                ("the first environment steps and update", ["-c", UNTIL], {}),
                ("the end of a run of 65 steps", ["-m", "dqn_lab"], {}),
                ("the first update, nothing compiled", ["-c", UNTIL], cold),
            ]):  # fmt: skip
                words = [] if name == "import torch" else [*short.split(), f"hydra.run.dir={directory}/{number}"]
                figures[name].append(seconds_of([sys.executable, *program, *words], {**os.environ, **variables}))
    print(f"{'from the command to':<40} {'CPU s, median':>14} {'beyond torch':>13} {'seconds':>8}")
    bare = [cpu for cpu, _ in figures["import torch"]]
    for name, values in figures.items():
        cpu, waited = zip(*values, strict=True)
        beyond = statistics.median(one - other for one, other in zip(cpu, bare, strict=True))
        print(f"{name:<40} {statistics.median(cpu):>14.2f} {beyond:>13.2f} {statistics.median(waited):>8.2f}")


def seconds_of(words, environment):
    """Runs a command; returns its CPU seconds and its wall-clock seconds."""
    started = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return used.ru_utime + used.ru_stime, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--peer", action="append", default=[], metavar="COMMAND")
    parser.add_argument("--floor", metavar="SOURCE")
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=[*KINDS], help="rows of --engines")
    parser.add_argument("--widths", nargs="+", type=int, default=[24, 64, 128, 256, 512], help="rows of --engines")
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 64, 128, 256], help="rows of --engines")
    parser.add_argument("--startup", action="store_true")
    parser.add_argument("--once", choices=PROGRAMS, help="print one measurement, as a peer's script does")
    args = parser.parse_args()
    if args.once:
        print(f"{PROGRAMS[args.once](args.steps):.1f} us/step")
        return
    if args.engines:
        compare_engines(args.kinds, args.widths, args.batches, args.rounds)
        return
    if args.startup:
        startup(args.rounds)
        return
    figures, parts = defaultdict(list), {name: [] for name in ENGINES}
    with tempfile.TemporaryDirectory() as directory:
        floor = compiled(args.floor, directory) if args.floor else None
        for _ in range(args.rounds):
            for name in PROGRAMS:
                ours = f"{sys.executable} {shlex.quote(__file__)} --once {shlex.quote(name)} --steps"
                figures[name].append(peer(ours, args.steps))
            if floor:
                figures["update floor"].append(peer(floor, 0))
            for command in args.peer:
                figures[f"peer: {command}"].append(peer(command, args.steps))
            for name, measured in parts.items():
                measured.append(measure(name, args.steps, parts=True)[1])
    print_table(figures, parts)


ENGINES = ("torch", "fused")
KINDS = {  # of two hidden layers and what is on them, for `--engines`
    "relu": {},
    "tanh": {"network": {"activation": "tanh"}},
    "relu, layer norm": {"network": {"layer_norm": True}},
    "relu, dueling": {"network": {"dueling": True}},
    "relu, noisy": {"network": {"noisy": True}},
    "relu, 51 atoms": {"value": {"name": "categorical", "v_min": 0.0, "v_max": 100.0}},
    "relu, 200 quantiles": {"value": {"name": "quantile", "num_quantiles": 200}},
    "relu, implicit quantiles": {"value": {"name": "implicit_quantile"}},
}
MORE_OF_IT = "the same, double, dueling, prioritized, n_step=3"
ORIGINAL = {"env": {"name": "gymnasium", "implementation": "gymnasium"}}
PROGRAMS = {
    "dqn_lab": lambda steps: measure("fused", 20 * steps)[0],
    "the same, logged to wandb too": lambda steps: measure("fused", 20 * steps, **WANDB)[0],
    MORE_OF_IT: lambda steps: measure("fused", 20 * steps, **MORE)[0],
    "dqn_lab, rollout=python": lambda steps: measure("fused", 5 * steps, rollout={"name": "python"}, **ORIGINAL)[0],
    "dqn_lab, engine=torch": lambda steps: measure("torch", steps)[0],
    "bare eager loop": bare,  # the same environment, network and optimiser calls
    "environment": lambda steps: environment(5 * steps),
    "compiled environment": compiled_environment,
}


def print_table(figures, parts):
    fused = figures["dqn_lab"]
    print(f"\n{'what':<64} {'µs a step, median':>18} {'lowest – highest':>20}")
    for name, values in figures.items():
        print(f"{name:<64} {statistics.median(values):>18.1f} {min(values):>12.1f} – {max(values):.1f}")
    print()
    if "update floor" in figures:
        floors = [sum(pair) for pair in zip(figures["compiled environment"], figures["update floor"], strict=True)]
        print_ratio("a step against compiled environment + update floor", fused, floors)
    print_ratio("a step of double, dueling, prioritized, n_step=3", figures[MORE_OF_IT], fused)
    for name, values in figures.items():
        if name.startswith(("peer", "bare", "dqn_lab, ")):
            print_ratio(f"steps/s against {name}", values, fused)
        if name.startswith("peer"):
            more = figures[MORE_OF_IT]
            print_ratio("  of double, dueling, prioritized, n_step=3", values, more)
    print("\nby part of the Python rollout, timed inside one run each (a timing costs about a microsecond), medians:")
    print(f"  {'':<14} " + " ".join(f"{name:>8}" for name in parts))
    for part in parts["fused"][0]:
        medians = [statistics.median(costs.get(part, 0.0) for costs in measured) for measured in parts.values()]
        print(f"  {part:<14} " + " ".join(f"{median:8.1f}" for median in medians))


def print_ratio(name, slower, faster):
    """Prints the median of the ratios of each round, and their spread."""
    ratios = [one / other for one, other in zip(slower, faster, strict=True)]
    print(f"{name}: {statistics.median(ratios):.2f} × ({min(ratios):.2f} – {max(ratios):.2f})")


if __name__ == "__main__":
    main()
