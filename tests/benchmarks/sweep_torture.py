"""Kills a sweep at random moments, its parent or one of its workers, and gives the command again until it is done.

    python tests/benchmarks/sweep_torture.py --kills 100
    python tests/benchmarks/sweep_torture.py --kills 4 --seeds 6

The sweep has two variants and runs with joblib on two workers. In the end each job must have completed once, with the
bytes that it has when it runs alone, and no process may be left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from attack import Commands, is_over

from dqn_lab.cli import sweep  # noqa: F401 (imported once for all)
from dqn_lab.cli.sweep import run  # noqa: F401
from dqn_lab.records import read_record, read_sweep

QUESTION = """
question: Does a smaller step do better?
metric: final_return
seeds: range({seeds})
control: plain
variants:
  plain: []
  small: [optimizer.lr=1e-4]
base: [logger=csv, episodes=null, steps={steps}, evaluation.num_episodes=1, evaluation.final_num_episodes=1,
       checkpoint.interval=200, checkpoint.unit=steps]
"""
SWEEP = ("sweep", "question.yaml", "--dir", "sweep", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
TABLES = ("episodes", "evaluations")
PATIENCE = 120.0  # seconds that workers have to end after their parent; they may still be importing


def workers(parent: int) -> list[psutil.Process]:
    """Returns the processes that a sweep has begun, those included that have lost it."""
    try:
        return psutil.Process(parent).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def kill(pid: int, what: str) -> list[psutil.Process]:
    """Kills a sweep's parent or one of its workers; returns the workers that there were."""
    found = workers(pid)
    if what == "parent" or not found:
        os.kill(pid, signal.SIGKILL)
    elif what == "terminal":  # what closing it does
        os.kill(pid, signal.SIGHUP)
    elif what == "parent, TERM":
        os.kill(pid, signal.SIGTERM)
    elif what == "parent, INT":
        os.kill(pid, signal.SIGINT)
    else:
        random.choice(found).send_signal(signal.SIGKILL)
    return found


def is_there(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def torture(folder: Path, kills: int, rng: random.Random, longest: float) -> Counter[str]:
    """Kills a sweep so many times, then lets it end; counts what was killed and what went wrong."""
    commands, counts = Commands(folder), Counter[str]()
    while True:
        pid = commands.start(*SWEEP)
        deadline = time.monotonic() + longest * rng.random()
        while counts["kills"] < kills and not is_over(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if counts["kills"] < kills and not is_over(pid):
            what = rng.choice(("parent", "parent", "worker", "worker", "terminal", "parent, TERM", "parent, INT"))
            found = kill(pid, what)
            counts.update(("kills", what))
            if what != "worker":
                os.waitpid(pid, 0)
                deadline = time.monotonic() + PATIENCE
                while any(map(is_there, found)) and time.monotonic() < deadline:
                    time.sleep(0.1)
                counts["workers left"] += sum(map(is_there, found))
                counts["tracebacks"] += "Traceback" in commands.said()
                continue
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        counts["tracebacks"] += "Traceback" in commands.said()
        if code == 0:
            return counts
        counts["failed sweeps"] += 1
        print(f"exit code {code}: {commands.said()[-600:]}", file=sys.stderr, flush=True)
        if counts["failed sweeps"] > 20:
            raise RuntimeError("it does not come to an end")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="in all (default: 100)")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="of each variant (default: 100)")
    parser.add_argument("--steps", type=int, default=1500, metavar="N", help="of each job (default: 1500)")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="until a kill, at most (default: 20)")
    args = parser.parse_args()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / each for each in ("alone", "killed")]
        for folder in folders:
            folder.mkdir()
            (folder / "question.yaml").write_text(QUESTION.format(seeds=args.seeds, steps=args.steps))
        counts = torture(folders[1], args.kills, rng, args.seconds)
        if torture(folders[0], 0, rng, 0)["failed sweeps"]:
            print("the sweep that was left alone did not complete", file=sys.stderr)
        ledger = read_sweep(folders[1] / "sweep")
        assert ledger is not None
        jobs = ledger["jobs"]
        records = [read_record(folders[1] / "sweep" / job["directory"]) for job in jobs]
        different = sum(
            (folders[0] / "sweep" / job["directory"] / f"{table}.csv").read_bytes()
            != (folders[1] / "sweep" / job["directory"] / f"{table}.csv").read_bytes()
            for job in jobs for table in TABLES
        )  # fmt: skip
        counts["jobs"] = len(jobs)
        counts["lost"] = 2 * args.seeds - sum(record["status"] == "completed" for record in records)
        counts["doubled"] = len(jobs) - len({job["directory"] for job in jobs})
        counts["resumed"] = sum("resumed" in record for record in records)
        counts["begun again"] = sum(".attempt" in path.name for path in (folders[1] / "sweep").iterdir())
        counts["tables that differ"] = different
        for what, count in counts.items():
            print(f"{what:<20}{count:>6}")
    bad = ("lost", "doubled", "tables that differ", "workers left", "tracebacks")
    sys.exit(any(counts[what] for what in bad))


if __name__ == "__main__":
    main()
