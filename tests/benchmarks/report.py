"""Prints what a report costs: time, memory and size, for sweeps of made-up runs.

    python tests/benchmarks/report.py                 # 2 × 100, 10 × 100 and 100 × 100 runs: two minutes
    python tests/benchmarks/report.py 2x100 --profile # where the time goes

Each run has ten evaluations, like those of `sweeps/`. Each report is written by a separate process; the first row of a
size reads the CSV files, the second one the cache that the first one wrote.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dqn_lab.records import table_columns, write_record, write_sweep

SIZES = ("2x100", "10x100", "100x100")
COLUMNS = ("variants × seeds", "seconds", "CPU seconds", "peak MB", "HTML MB", "whole report MB", "files")


def make_sweep(directory, variants, seeds, num_evaluations=10):
    """Writes the directories of a sweep's runs as `sweep` leaves them."""
    rng = np.random.default_rng(0)
    labels = [f"every {number + 1:,} steps" for number in range(variants)]
    jobs = []
    for number, label in enumerate(labels):
        for seed in range(seeds):
            name = f"target.interval={number + 1},seed={seed}-{number:04x}{seed:04x}"
            jobs.append({"variant": label, "seed": seed, "hash": name[-8:], "directory": name})
            final = 500.0 if rng.random() < 0.4 else float(rng.uniform(60, 480))
            write_run(directory / name, number + 1, seed, final, num_evaluations)
    about = {"name": directory.name, "question": "How often should the target network be copied?", "command": "sweep"}
    overrides = {label: [f"target.interval={number + 1}"] for number, label in enumerate(labels)}
    plan = {"control": labels[0], "metric": "final_return", "seeds": list(range(seeds)), "variants": overrides}
    write_sweep(directory, {**about, **plan, "base": [], "jobs": jobs})


def write_run(directory, number, seed, final, num_evaluations):
    """Writes one run's record and evaluations."""
    directory.mkdir(parents=True)
    config = {
        "seed": seed, "steps": 50_000, "episodes": None, "discount": 0.99,
        "env": {"name": "gymnasium", "id": "CartPole-v1"},
        "network": {"name": "mlp", "hidden": [24, 24], "activation": "relu"},
        "target": {"name": "periodic", "interval": number, "unit": "steps"},
        "buffer": {"name": "uniform", "capacity": 50_000, "n_step": 1},
        "optimizer": {"name": "adam", "lr": 0.001}, "logger": {"csv": {"name": "csv"}},
    }  # fmt: skip
    record = {
        "status": "completed", "config": config, "engine": {"name": "fused"}, "seed": seed,
        "versions": {"dqn_lab": "0.1.0", "torch": "2.9.0"}, "git": {"commit": "abc"}, "command": "train",
        "started": "2026-11-28T10:00:00+00:00", "host": "bench", "wall_seconds": 10.0,
        "progress": {"step": 50_000, "episode": 400, "updates": 49_937},
        "scores": {"final": {"return_mean": final}, "last_100": 0.8 * final, "selected": {"return_mean": final}},
    }  # fmt: skip
    write_record(directory, record)
    with (directory / "evaluations.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        columns = table_columns()["evaluations"]
        writer.writerow(columns)
        for step in range(50_000 // num_evaluations, 50_001, 50_000 // num_evaluations):
            mean = final * (1 - np.exp(-4 * step / 50_000)) * (0.9 + 0.1 * ((step * 7919 + seed) % 97) / 97)
            writer.writerow([step, step // 100, round(float(mean), 2), 1.0, 0.0, 500.0, 10][: len(columns)])


def measure(sweep, profile):
    """Writes a report of the sweep in a separate process, and returns its cost."""
    out = sweep / "report"
    command = [sys.executable, *(["-m", "cProfile", "-s", "cumtime"] if profile else []), "-m", "dqn_lab"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "report", str(sweep)], stdout=None if profile else subprocess.DEVNULL, env=os.environ
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"report failed with exit code {os.waitstatus_to_exitcode(status)}")
    files = [path for path in out.rglob("*") if path.is_file()]
    sizes = (out / "index.html").stat().st_size, sum(path.stat().st_size for path in files)
    cpu = usage.ru_utime + usage.ru_stime
    return (
        f"{seconds:.1f}",
        f"{cpu:.1f}",
        f"{usage.ru_maxrss / 1024:,.0f}",
        *(f"{s / 1e6:.2f}" for s in sizes),
        len(files),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="VARIANTSxSEEDS")
    parser.add_argument("--profile", action="store_true", help="print cProfile's table instead of silence")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the runs here and keep them")
    args = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    with tempfile.TemporaryDirectory() as scratch:
        for size in args.sizes:
            variants, seeds = map(int, size.split("x"))
            sweep = (args.keep or Path(scratch)) / size
            if not sweep.exists():
                make_sweep(sweep, variants, seeds)
                time.sleep(2.1)  # files this recent are not cached
            for _ in range(2):
                print(f"| {variants} × {seeds} | {' | '.join(map(str, measure(sweep, args.profile)))} |", flush=True)


if __name__ == "__main__":
    main()
