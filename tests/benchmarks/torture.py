"""Kills runs with `kill -9` at random moments, again and again, and compares what comes out with an uninterrupted run.

    python tests/benchmarks/torture.py --kills 1000

Each composition is trained once without interruption. Then it is trained in a process that is killed at a random
moment, resumed in another one, killed again, and so on until it completes; a checkpoint is written every few steps, so
that many kills fall into one. Every byte of `episodes.csv` and `evaluations.csv` must be the same. The table counts the
kills, the runs that had to begin again (there was no checkpoint yet), and the runs that did not come out equal.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from dqn_lab.build import build, validate
from dqn_lab.cli import _hydra
from dqn_lab.cli._display import Quiet
from dqn_lab.records import RUN, read_record, saved_states
from dqn_lab.run import Run

SMALL = ("logger=csv", "episodes=null", "train.learning_starts=64", "train.batch_size=32", "evaluation.interval=300",
         "evaluation.unit=steps", "evaluation.num_episodes=2", "evaluation.final_num_episodes=3",
         "env.max_episode_steps=60", "checkpoint.interval=37", "checkpoint.unit=steps")  # fmt: skip
COMPOSITIONS: dict[str, tuple[str, ...]] = {
    "default": ("steps=1500",),
    "tutorial": ("experiment=tutorial", "steps=800"),
    "acrobot": ("env=acrobot", "steps=1200", "exploration=linear", "target=polyak"),
    "mountain_car": ("env=mountain_car", "steps=1200", "exploration=piecewise", "target.unit=updates"),
    "frozen_lake": ("env=frozen_lake", "network=table", "engine=torch", "steps=500"),
    "taxi": ("env=taxi", "network=table", "engine=torch", "steps=500", "exploration=boltzmann"),
    "cliff_walking": ("env=cliff_walking", "network=table", "engine=torch", "steps=500"),
    "prioritized, n-step": ("experiment=prioritized", "buffer.n_step=3", "buffer.capacity=400", "steps=1200"),
    "prioritized, whole": ("experiment=prioritized", "buffer.normalize=buffer", "engine=torch", "steps=400"),
    "small ring": ("buffer.capacity=200", "buffer.n_step=5", "steps=1500", "exploration=ez_greedy"),
    "no buffer": ("buffer=none", "target=none", "optimizer=sgd", "optimizer.lr=1e-4", "steps=800"),
    "munchausen": ("bootstrap=munchausen", "optimizer=rmsprop", "steps=1200"),
    "rainbow": ("experiment=rainbow", "engine=torch", "train.interval=20", "steps=600"),
    "iqn": ("experiment=iqn", "engine=torch", "train.interval=20", "steps=600"),
    "qr_dqn": ("experiment=qr_dqn", "engine=torch", "train.interval=20", "steps=600"),
    "tensorboard": ("logger=[csv,tensorboard]", "steps=600"),
}


def configured(overrides: Sequence[str]) -> dict[str, object]:
    """Composes and validates a configuration."""
    with _hydra.composer():
        return validate(_hydra.plain(_hydra.compose_config([*SMALL, *overrides])))


def carry_on(config: dict[str, object], directory: Path) -> None:
    """Begins a run, or goes on with it; one that was killed before its first checkpoint begins again."""
    experiment = build(config)
    if not (directory / RUN).exists():
        Run(experiment, directory, {"host": os.uname().nodename}).execute(Quiet())
    elif read_record(directory)["status"] != "completed":
        Run.resume(experiment, directory, {"host": os.uname().nodename}).execute(Quiet())


def tables(directory: Path) -> dict[str, bytes]:
    """Returns the content of what must be the same."""
    return {name: (directory / f"{name}.csv").read_bytes() for name in ("episodes", "evaluations")}


@contextlib.contextmanager
def child(config: dict[str, object], directory: Path) -> Iterator[multiprocessing.Process]:
    """Trains in a process of its own, which shares what is imported and compiled already."""
    process = multiprocessing.get_context("fork").Process(target=_child, args=(config, directory))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _child(config: dict[str, object], directory: Path) -> None:
    try:
        carry_on(config, directory)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def torture(config: dict[str, object], folder: Path, longest: float, rng: random.Random, kills: int) -> tuple[int, int]:
    """Kills one run until it has completed, or so many kills are spent; then lets it complete.

    Args:
        config: of the run.
        folder: where its directory is made.
        longest: seconds that it takes when it is left alone.
        rng: draws the moments.
        kills: at most.

    Returns:
        how often it was killed, and how often it had to begin again.
    """
    directory, killed, again = folder / "run", 0, 0
    while True:
        with child(config, directory) as process:
            process.join(longest * rng.random() ** 2 if killed < kills else 60)
            if process.exitcode is None:
                os.kill(process.pid or 0, signal.SIGKILL)
                killed += 1
            elif process.exitcode != 0:
                raise RuntimeError(f"a run failed: {directory}")
        if process.exitcode == 0:
            return killed, again
        if not saved_states(directory) and directory.exists():
            directory.rename(folder / f"attempt{killed}")
            again += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, metavar="N", help="in all (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)")
    parser.add_argument("--only", default="", metavar="WORD", help="compositions whose name holds it")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    chosen = {name: overrides for name, overrides in COMPOSITIONS.items() if args.only in name}
    print(f"{'composition':<22}{'kills':>7}{'begun again':>13}{'runs':>6}{'not equal':>11}")
    total = [0, 0, 0, 0]
    for number, (name, overrides) in enumerate(chosen.items()):
        wanted = args.kills * (number + 1) // len(chosen) - args.kills * number // len(chosen)
        counts = [0, 0, 0, 0]
        config = configured(overrides)
        with tempfile.TemporaryDirectory() as place:
            reference = Path(place) / "reference"
            carry_on(configured(overrides), reference)  # compiles what the others share
            expected = tables(reference)
            began = time.monotonic()
            with child(config, Path(place) / "timed") as process:
                process.join()
            longest = time.monotonic() - began
            while counts[0] < wanted:
                folder = Path(place) / f"run{counts[2]}"
                folder.mkdir()
                killed, again = torture(config, folder, longest, rng, wanted - counts[0])
                equal = tables(folder / "run") == expected
                counts = [counts[0] + killed, counts[1] + again, counts[2] + 1, counts[3] + (not equal)]
        total = [old + new for old, new in zip(total, counts, strict=True)]
        print(f"{name:<22}{counts[0]:>7}{counts[1]:>13}{counts[2]:>6}{counts[3]:>11}", flush=True)
    print(f"{'all':<22}{total[0]:>7}{total[1]:>13}{total[2]:>6}{total[3]:>11}")


if __name__ == "__main__":
    main()
