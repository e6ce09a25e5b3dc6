"""Measures what diagnostics cost: a whole training step with and without them, taking turns.

Each timing covers a thousand steps, so that by default it includes one measured batch.

python tests/benchmarks/diagnostics.py
python tests/benchmarks/diagnostics.py experiment=cartpole experiment=rainbow --rounds 30
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from dqn_lab.build import build, validate
from dqn_lab.cli import _compose
from dqn_lab.schedule import NEVER
from dqn_lab.train import rare_collection
from dqn_lab.types import Rollout

OPTIONS = ("none", "basic", "probe")
WARM_UP, STEPS = 4_000, 1_000
DEFAULT = ("network=mlp24", "experiment=cartpole", "engine=torch")


def rollout(overrides: list[str], option: str) -> Rollout:
    with _compose.composer():
        words = [*overrides, f"diagnostics={option}", "logger=csv", "steps=10_000_000", "episodes=null"]
        return build(validate(_compose.plain(_compose.compose_config(words)))).rollout


def microseconds(of: Rollout, steps: int) -> float:
    """Takes the given number of steps; returns the CPU time of one step, because others may use the machine too."""
    end = of.progress.step + steps
    began = time.process_time()
    while of.progress.step < end:
        of.advance(NEVER._replace(step=end))
    return (time.process_time() - began) / steps * 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("overrides", nargs="*", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<24}" + "".join(f"{option:>10}" for option in OPTIONS) + "   µs per step, and the increase over none")
    for override in args.overrides:
        rollouts = {option: rollout([override], option) for option in OPTIONS}
        times: dict[str, list[float]] = {option: [] for option in OPTIONS}
        with rare_collection():
            for option in OPTIONS:
                microseconds(rollouts[option], WARM_UP)
            for _ in range(args.rounds):
                for option in OPTIONS:
                    times[option].append(microseconds(rollouts[option], STEPS))
        ratios = {
            option: statistics.median(one / none for one, none in zip(times[option], times["none"], strict=True))
            for option in OPTIONS
        }
        cells = "".join(f"{statistics.median(each):>10.1f}" for each in times.values())
        print(f"{override:<24}{cells}   " + "  ".join(f"{option} {ratios[option] - 1:+.1%}" for option in OPTIONS[1:]))


if __name__ == "__main__":
    main()
