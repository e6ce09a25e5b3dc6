"""Prints how long it takes to save and load a whole state, for replay buffers of several sizes.

python tests/benchmarks/checkpoint.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dqn_lab.build import build, validate
from dqn_lab.checkpoint import Checkpoints
from dqn_lab.cli import _compose
from dqn_lab.train import Experiment


def filled(number: int, overrides: list[str]) -> Experiment:
    """Builds a run whose replay buffer holds the given number of random transitions."""
    with _compose.composer():
        composed = _compose.compose_config([*overrides, f"buffer.capacity={number}", "logger=csv"])
        experiment = build(validate(_compose.plain(composed)))
    buffer: Any = experiment.agent.buffer
    rng = np.random.default_rng(0)
    for array in buffer.ring.arrays:
        array[:] = rng.integers(0, 255, array.shape).astype(array.dtype)
    buffer.ring.written = number
    return experiment


def seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def measure(experiment: Experiment, number: int) -> tuple[float, float, float]:
    """Returns the seconds of a first checkpoint, of one when a twentieth of the transitions are new, and of loading."""
    buffer: Any = experiment.agent.buffer
    with tempfile.TemporaryDirectory() as place:
        checkpoints = Checkpoints(Path(place), 2)

        def save(step: int) -> None:
            checkpoints.save(step, {"rollout": experiment.rollout.state_dict()})

        first = seconds(lambda: save(1))
        buffer.ring.written += number // 20
        following = seconds(lambda: save(2))
        fresh, rollout = Checkpoints(Path(place), 2), experiment.rollout
        return first, following, seconds(lambda: fresh.restore(lambda state: rollout.load_state_dict(state["rollout"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    print(f"{'replay':<24}{'transitions':>12}{'MB':>8}{'first':>9}{'next':>9}{'load':>9}")
    for name, number in [("uniform", 50_000), ("uniform", 1_000_000), ("prioritized", 1_000_000)]:
        experiment = filled(number, [f"buffer={name}"])
        size = experiment.agent.buffer.nbytes / 1e6  # type: ignore[attr-defined]
        times = "".join(f"{time:>8.2f}s" for time in measure(experiment, number))
        print(f"{name:<24}{number:>12,}{size:>8.1f}{times}", flush=True)


if __name__ == "__main__":
    main()
