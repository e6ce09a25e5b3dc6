"""Kills a sweep's parent or workers at random moments, and runs the command again until the sweep is done.

    python tests/benchmarks/sweep_torture.py --kills 100
    python tests/benchmarks/sweep_torture.py --kills 100 --fork --seconds 2
    python tests/benchmarks/sweep_torture.py --kills 4 --seeds 6 --seconds 5

The sweep has two variants and runs with joblib on two workers. In the end each job must have completed once, with the
same bytes as in an undisturbed sweep, and no process may be left. A sweep that completes before it has been
killed often enough is followed by another one in a new directory.

Workers import PyTorch first, which takes most of the time. `--fork` forks them from a process that has done so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import psutil
import torch
from attack import Commands, is_over
from joblib.externals.loky.backend.context import set_start_method

import dqn_lab
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
WORKING = 0.8  # share of the kills that wait until there are workers
KILLS = {  # target (a process, or the group that a terminal signals), signal, and its share of 8
    "a worker": (None, signal.SIGKILL, 2),
    "the parent": (os.kill, signal.SIGKILL, 2),
    "everything": (os.killpg, signal.SIGKILL, 1),
    "Ctrl-C": (os.killpg, signal.SIGINT, 1),
    "terminal closed": (os.killpg, signal.SIGHUP, 1),
    "the parent, TERM": (os.kill, signal.SIGTERM, 1),
}
WRONG = ("workers left", "tracebacks", "lost", "doubled", "tables that differ")


def workers(parent: int) -> list[psutil.Process]:
    """Returns the processes that a sweep has started, except joblib's own clean-up process."""
    with contextlib.suppress(psutil.NoSuchProcess):  # one has just ended
        children = psutil.Process(parent).children(recursive=True)
        return [each for each in children if is_there(each) and "resource_tracker" not in " ".join(each.cmdline())]
    return []


def is_there(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def goes_on(pid: int, seconds: float) -> bool:
    """Waits; returns whether the process is still alive."""
    deadline = time.monotonic() + seconds
    while not is_over(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_over(pid)


def attack(pid: int, counts: Counter[str], kills: int, rng: random.Random, longest: float) -> list[psutil.Process]:
    """Kills workers of a sweep, and then its parent unless it completes; returns what must end with the parent."""
    while counts["kills"] < kills:
        waits = rng.random() < WORKING
        while waits and not workers(pid) and goes_on(pid, 0.1):
            pass
        if not goes_on(pid, longest * rng.random()):
            break
        what = rng.choices([*KILLS], [often for _, _, often in KILLS.values()])[0]
        send, number, _ = KILLS[what]
        found = workers(pid)
        if send is None and not found:
            continue
        counts.update(("kills", what))
        counts["with workers there"] += bool(found)
        if send is not None:
            send(pid, number)
            return found
        rng.choice(found).send_signal(number)
    return []


def torture(folder: Path, steps: int, seeds: int, kills: int, rng: random.Random, longest: float) -> Counter[str]:
    """Kills a sweep the given number of times or until it completes; counts what was killed and what went wrong."""
    folder.mkdir()
    (folder / "question.yaml").write_text(QUESTION.format(seeds=seeds, steps=steps))
    commands, counts = Commands(folder), Counter[str]()
    while True:
        pid = commands.start(*SWEEP)
        found = attack(pid, counts, kills, rng, longest)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        deadline = time.monotonic() + PATIENCE
        while any(map(is_there, found)) and time.monotonic() < deadline:
            time.sleep(0.05)
        counts["workers left"] += sum(map(is_there, found))
        counts["tracebacks"] += code != 129 and "Traceback" in commands.said()  # which a closed terminal does not show
        if code == 0:
            return counts
        counts["given again"] += 1
        if code not in (-9, 129, 130, 143):
            counts["failed sweeps"] += 1
            print(f"exit code {code}: {commands.said()[-600:]}", file=sys.stderr, flush=True)
        if counts["failed sweeps"] > 20:
            raise RuntimeError("it does not come to an end")


def losses(alone: Path, killed: Path, expected: int) -> Counter[str]:
    """Compares a killed sweep with an undisturbed one."""
    ledger = read_sweep(killed)
    assert ledger is not None
    places = [job["directory"] for job in ledger["jobs"]]
    records = [read_record(killed / place) for place in places]
    return Counter({
        "jobs": len(places),
        "lost": expected - sum(record["status"] == "completed" for record in records),
        "doubled": len(places) - len({*places}),
        "resumed": sum("resumed" in record for record in records),
        "started over": sum(".attempt" in path.name for path in killed.iterdir()),
        "tables that differ": sum(
            (alone / place / f"{table}.csv").read_bytes() != (killed / place / f"{table}.csv").read_bytes()
            for place in places for table in TABLES
        ),
    })  # fmt: skip


def copy_this_process() -> None:
    """Makes joblib fork its workers from a process that has imported and compiled everything."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "`fork` start method")
    set_start_method("fork")
    with tempfile.TemporaryDirectory() as name:
        dqn_lab.train("logger=csv", steps=200, episodes=None, directory=Path(name, "run"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="in all (default: 100)")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="of each variant (default: 100)")
    parser.add_argument("--steps", type=int, default=1500, metavar="N", help="of each job (default: 1500)")
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="before a kill, at most (default: 20)")
    parser.add_argument("--fork", action="store_true", help="fork workers, so that they need not import anything")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a program in the background may ignore these
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if args.fork:
        copy_this_process()
    rng, counts, rounds = random.Random(0), Counter[str](), 0
    with tempfile.TemporaryDirectory() as name:
        alone, sizes = Path(name, "alone"), (args.steps, args.seeds)
        if torture(alone, *sizes, 0, rng, 0)["given again"]:
            sys.exit("error: the sweep that was left alone did not complete")
        while counts["kills"] < args.kills:
            killed = Path(name, f"killed{rounds}")
            counts += torture(killed, *sizes, args.kills - counts["kills"], rng, args.seconds)
            counts += losses(alone / "sweep", killed / "sweep", 2 * args.seeds)
            rounds += 1
            print(f"{time.strftime('%T')}  {counts['kills']} kills, {rounds} sweeps", file=sys.stderr, flush=True)
    counts["sweeps"] = rounds
    for what in (*counts, *(each for each in WRONG if each not in counts)):
        print(f"{what:<20}{counts[what]:>6}")
    sys.exit(any(counts[what] for what in WRONG))


if __name__ == "__main__":
    main()
