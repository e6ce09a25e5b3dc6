"""Kills runs with `kill -9` at random moments, again and again, and compares the results with an uninterrupted run.

    python tests/benchmarks/torture.py --kills 1000
    python tests/benchmarks/torture.py --kills 1000 --rollout compiled
    python tests/benchmarks/torture.py --kills 1000 --rollout either

Each composition is trained once without interruption, by the Python rollout. Then it is trained in a process that is
killed at a random moment, resumed in another one, killed again, and so on until it completes; with `--rollout either`,
each process picks its rollout at random. A checkpoint is written every few steps, so many kills fall into the writing
of one. Every byte of `episodes.csv` and `evaluations.csv` must be the same. The table counts the kills; the kills that
left a half-written file; the kills that came before a process had saved anything; the runs that started over because
there was no checkpoint yet; and the runs that came out different.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dqn_lab.build import build, validate
from dqn_lab.cli import _compose
from dqn_lab.cli._quiet import Quiet
from dqn_lab.records import RUN, read_record, saved_states
from dqn_lab.run import Run
from dqn_lab.types import ConfigError

SMALL = ("logger=csv", "episodes=null", "train.learning_starts=64", "train.batch_size=32", "evaluation.interval=300",
         "evaluation.unit=steps", "evaluation.num_episodes=2", "evaluation.final_num_episodes=3",
         "checkpoint.interval=37", "checkpoint.unit=steps")  # fmt: skip
COMPILED = ("rollout=compiled", "env.implementation=compiled")
ROLLOUTS = {  # each process picks one at random
    "python": [("rollout=python",)], "compiled": [COMPILED], "either": [COMPILED, ("rollout=python", COMPILED[1])],
}  # fmt: skip
COMPOSITIONS: dict[str, tuple[str, ...]] = {
    "default": ("steps=700",),
    "tutorial": ("experiment=tutorial", "steps=800"),
    "acrobot": ("env=acrobot", "steps=700", "exploration=linear", "target=polyak"),
    "mountain_car": ("env=mountain_car", "steps=700", "exploration=piecewise", "target.unit=updates"),
    "frozen_lake": ("env=frozen_lake", "network=table", "engine=torch", "steps=500"),
    "taxi": ("env=taxi", "network=table", "engine=torch", "steps=500", "exploration=boltzmann"),
    "cliff_walking": ("env=cliff_walking", "network=table", "engine=torch", "steps=500"),
    "states": ("env=frozen_lake", "steps=700"),
    "prioritized, n-step": ("experiment=prioritized", "buffer.n_step=3", "buffer.capacity=400", "steps=700"),
    "prioritized, whole": ("experiment=prioritized", "buffer.normalize=buffer", "engine=torch", "steps=400"),
    "small ring": ("buffer.capacity=200", "buffer.n_step=5", "steps=700", "exploration=ez_greedy"),
    "no buffer": ("buffer=none", "target=none", "optimizer=sgd", "optimizer.lr=1e-4", "steps=800"),
    "munchausen": ("bootstrap=munchausen", "optimizer=rmsprop", "steps=700"),
    "rainbow": ("experiment=rainbow", "steps=700"),
    "iqn": ("experiment=iqn", "steps=600"),
    "qr_dqn": ("experiment=qr_dqn", "steps=700"),
    "rainbow, torch": ("experiment=rainbow", "engine=torch", "train.interval=20", "steps=600"),
    "tensorboard": ("logger=[csv,tensorboard]", "steps=600"),
    "minatar": ("env=minatar/seaquest", "network=minatar_cnn", "engine=torch", "train.interval=20", "steps=800"),
    "lunar_lander": ("env=lunar_lander", "steps=700"),
    "atari": ("env=atari/breakout", "env.noop_max=30", "env.screen_size=36", "network=nature_cnn", "engine=torch",
              "buffer.capacity=1000", "train.interval=50", "steps=400", "env.max_frames=240"),
}  # fmt: skip
COLUMNS = ("kills", "in a write", "saved nothing", "started over", "runs", "not equal")
EXTRAS = {"minatar": "minatar", "lunar_lander": "Box2D", "atari": "ale_py"}  # composition: the package that it needs


def configured(overrides: Sequence[str]) -> dict[str, object]:
    """Composes and validates a configuration."""
    atari = any(text.startswith("env=atari/") for text in overrides)
    env = () if atari else ("env.max_episode_steps=60", "env.implementation=gymnasium")
    with _compose.composer():
        return validate(_compose.plain(_compose.compose_config([*SMALL, *env, *overrides])))


def carry_on(config: dict[str, object], directory: Path) -> None:
    """Starts or continues a run; a run that was killed before its first checkpoint starts over."""
    experiment = build(config)
    if not (directory / RUN).exists():
        Run(experiment, directory, {"host": os.uname().nodename}).execute(Quiet())
    elif read_record(directory)["status"] != "completed":
        Run.resume(experiment, directory, {"host": os.uname().nodename}).execute(Quiet())


def tables(directory: Path) -> dict[str, bytes]:
    """Returns the content of the files that must be the same."""
    return {name: (directory / f"{name}.csv").read_bytes() for name in ("episodes", "evaluations")}


@contextlib.contextmanager
def child(config: dict[str, object], directory: Path) -> Iterator[multiprocessing.Process]:
    """Trains in a forked process, which shares what is already imported and compiled."""
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


def torture(
    configs: Sequence[dict[str, object]], folder: Path, longest: float, rng: random.Random, kills: int
) -> Counter[str]:
    """Kills one run until it completes or the given number of kills is used up; then lets it complete.

    Args:
        configs: of the run; each process picks one at random.
        folder: where its directory is made.
        longest: seconds that an undisturbed run takes.
        rng: draws the moments.
        kills: at most.

    Returns:
        how often and when it was killed, and how often it started over.
    """
    directory, counts = folder / "run", Counter[str]()
    while True:
        before = saved_states(directory)
        with child(rng.choice(configs), directory) as process:
            process.join(longest * rng.random() ** 2 if counts["kills"] < kills else 60)
            if process.exitcode is None:
                os.kill(process.pid or 0, signal.SIGKILL)
                counts["kills"] += 1
            elif process.exitcode != 0:
                raise RuntimeError(f"a run failed: {directory}")
        if process.exitcode == 0:
            return counts
        counts["in a write"] += any(directory.rglob(".*.part")) or any(directory.rglob(".tmp*"))
        counts["saved nothing"] += saved_states(directory) == before
        if not saved_states(directory) and directory.exists():
            directory.rename(folder / f"attempt{counts['kills']}")
            counts["started over"] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, metavar="N", help="in all (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments (default: 0)")
    parser.add_argument("--only", default="", metavar="WORD", help="only compositions whose name contains it")
    parser.add_argument("--rollout", choices=ROLLOUTS, default="python", help="(default: python)")
    args = parser.parse_args()
    chosen = {}
    for name, overrides in COMPOSITIONS.items():
        if name in EXTRAS and importlib.util.find_spec(EXTRAS[name]) is None:
            print(f"{name}: left out, because {EXTRAS[name]} is not installed")
        elif args.only in name:
            with contextlib.suppress(ConfigError):  # which only Python runs
                chosen[name] = [configured((*overrides, *rollout)) for rollout in ROLLOUTS[args.rollout]]
    print(f"{'composition':<22}" + "".join(f"{column:>15}" for column in COLUMNS), flush=True)
    rng, total = random.Random(args.seed), Counter[str]()
    for number, (name, configs) in enumerate(chosen.items()):
        wanted = args.kills * (number + 1) // len(chosen) - args.kills * number // len(chosen)
        counts = torture_runs(name, configs, wanted, rng)
        total += counts
        print(f"{name:<22}" + "".join(f"{counts[column]:>15}" for column in COLUMNS), flush=True)
    print(f"{'all':<22}" + "".join(f"{total[column]:>15}" for column in COLUMNS), flush=True)


def torture_runs(name: str, configs: Sequence[dict[str, object]], kills: int, rng: random.Random) -> Counter[str]:
    """Kills runs of one composition the given number of times in all; counts the outcomes."""
    counts = Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        reference, longest = Path(place) / "reference", 0.0
        carry_on(configured((*COMPOSITIONS[name], "rollout=python")), reference)
        expected = tables(reference)
        for number, config in enumerate(configs):
            carry_on(config, Path(place) / f"compiled{number}")  # what the others share
            began = time.monotonic()
            with child(config, Path(place) / f"timed{number}") as process:
                process.join()
            longest = max(longest, time.monotonic() - began)
        while counts["kills"] < kills:
            folder = Path(place) / f"run{counts['runs']}"
            folder.mkdir()
            counts += torture(configs, folder, longest, rng, kills - counts["kills"])
            counts["runs"] += 1
            if tables(folder / "run") != expected:
                counts["not equal"] += 1
                print(f"not equal: {name}, run {counts['runs']}", file=sys.stderr, flush=True)
                shutil.copytree(folder, tempfile.mkdtemp(prefix="torture"), dirs_exist_ok=True)
    return counts


if __name__ == "__main__":
    main()
