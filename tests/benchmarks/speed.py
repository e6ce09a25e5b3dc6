"""Prints what a step of the reference work costs, part by part, beside the peers' scripts it is given.

The reference work: CartPole-v1, a 4-24-24-2 ReLU network, replay of 50,000, and for every environment step one
action, one stored transition, one batch of 64 and one Adam update; a target copy every 500 steps; CSV on, evaluation
off. Everything runs in turn on one core; only the ratios within one table mean anything.

    taskset -c 1 python tests/benchmarks/speed.py --rounds 10 --peer "sb3/bin/python sb3_dqn.py"

A peer is a command that takes a number of steps and prints `… us/step` for what follows its first 1,000.
"""

import argparse
import dataclasses
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
NETWORK = ("environment", "act: network", "update")  # what any eager loop pays
REFERENCE = {
    "episodes": None, "discount": 0.99, "evaluation": {"interval": None},
    "env": {"name": "gymnasium"}, "network": {"name": "mlp"}, "value": {"name": "expected"},
    "bootstrap": {"name": "max"}, "buffer": {"name": "uniform"}, "optimizer": {"name": "adam"},
    "target": {"name": "periodic", "interval": 500, "unit": "steps"},
    "exploration": {"name": "constant", "epsilon": 0.05}, "engine": {"name": "fused"},
    "logger": {"csv": {"name": "csv"}},
}  # fmt: skip


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


class WarmUp:
    """The display that starts the clock when the warm-up is over."""

    def __init__(self, stopwatch):
        self.stopwatch = stopwatch

    def step(self, progress):
        if progress.step == WARM_UP:
            self.started = time.perf_counter()
            self.stopwatch.running = True

    def episode(self, row, progress):
        pass

    def evaluation(self, row, label):
        pass


def measure(steps, parts):
    """Trains once; returns microseconds per step, of the whole and of each part if asked."""
    from dqn_lab.build import build, validate
    from dqn_lab.run import Run
    from dqn_lab.train import train

    experiment = build(validate({**REFERENCE, "steps": steps}))
    stopwatch = Stopwatch()
    display = WarmUp(stopwatch)
    with tempfile.TemporaryDirectory() as directory:
        run = Run(experiment, Path(directory) / "run", {})
        run.display = display
        for logger in experiment.loggers:
            logger.open(run.directory, {}, run.columns)
        if parts:
            agent, env = experiment.agent, experiment.make_env()
            experiment = dataclasses.replace(experiment, make_env=lambda: env)
            for owner, method, part in [
                (env, "step", "environment"), (env, "reset", "environment"), (agent, "act", "act"),
                (agent.engine, "q_values", "act: network"), (agent.buffer, "append", "store"),
                (agent.buffer, "sample", "sample"), (agent.engine, "update", "update"), (run, "episode", "log"),
            ]:  # fmt: skip
                stopwatch.wrap(owner, method, part)
        train(experiment, run)
        whole = time.perf_counter() - display.started
        for logger in experiment.loggers:
            logger.close("completed", {})
    scale = 1e6 / (steps - WARM_UP)
    costs = {part: seconds * scale for part, seconds in stopwatch.seconds.items()}
    network = costs.pop("act: network", 0.0)
    costs = {"environment": costs.pop("environment", 0.0), "act: network": network, **costs}
    costs["act"] = costs.get("act", 0.0) - network
    costs["loop"] = whole * scale - sum(costs.values())
    return whole * scale, costs


def bare(steps):
    """Times the barest eager loop that makes the same environment, network and optimiser calls, and nothing else."""
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


def peer(command, steps):
    """Runs a peer's script; returns its microseconds per step."""
    words = [*shlex.split(command), str(steps)]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"([\d.]+) us/step", output).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--peer", action="append", default=[], metavar="COMMAND")
    parser.add_argument("--once", choices=PROGRAMS, help="print one measurement, as a peer's script does")
    args = parser.parse_args()
    if args.once:
        print(f"{PROGRAMS[args.once](args.steps):.1f} us/step")
        return
    figures = defaultdict(list)
    for _ in range(args.rounds):
        for name in PROGRAMS:
            ours = f"{sys.executable} {shlex.quote(__file__)} --once {shlex.quote(name)} --steps"
            figures[name].append(peer(ours, args.steps))
        for command in args.peer:
            figures[f"peer: {command}"].append(peer(command, args.steps))
    parts = []
    for _ in range(args.rounds):
        whole, _ = measure(args.steps, parts=False)
        parts.append(measure(args.steps, parts=True)[1])
        figures["the loop's own overhead"].append(whole - sum(parts[-1][part] for part in NETWORK))
    print_table(figures, parts)


PROGRAMS = {
    "dqn_lab": lambda steps: measure(steps, parts=False)[0],
    "bare loop": bare,  # the same environment, network and optimiser calls
    "environment": environment,
}


def print_table(figures, parts):
    print(f"\n{'what':<64} {'µs a step, median':>18} {'lowest – highest':>20}")
    for name, values in figures.items():
        spread = f"{min(values):.1f} – {max(values):.1f}"
        print(f"{name:<64} {statistics.median(values):>18.1f} {spread:>20}")
    for name, values in figures.items():
        if name.startswith("peer"):
            ratios = [theirs / ours for theirs, ours in zip(values, figures["dqn_lab"], strict=True)]
            spread = f"{min(ratios):.2f} – {max(ratios):.2f}"
            print(f"steps/s against {name}: {statistics.median(ratios):.2f} × ({spread})")
    print("\nby part, timed inside one run each (a timing costs about a microsecond), medians:")
    for part in parts[0]:
        print(f"  {part:<14} {statistics.median(costs[part] for costs in parts):8.1f}")
    print(f"the loop's own overhead is a whole step, untimed, less {', '.join(NETWORK)}")


if __name__ == "__main__":
    main()
