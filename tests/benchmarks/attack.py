"""Attacks commands with signals at random moments and with damaged files.

    python tests/benchmarks/attack.py --tries 200
    python tests/benchmarks/attack.py --tries 12 --seed 1

A signal hits `train` at any point from its first line to its last; then `resume` must produce the same bytes as an
undisturbed run. A damaged file is given to the command that reads it, which may print one line and no more. Each
command runs in a forked process that shares the modules imported already.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from dqn_lab.cli import main as command
from dqn_lab.cli import resume, train, verify  # noqa: F401 (imported once for all)
from dqn_lab.records import RUN, read_record, saved_states

SHORT = ("logger=csv", "episodes=null", "steps=2500", "train.learning_starts=64", "evaluation.interval=500",
         "evaluation.unit=steps", "evaluation.num_episodes=2", "evaluation.final_num_episodes=4",
         "hydra.run.dir=run")  # fmt: skip
TABLES = ("episodes", "evaluations")
INT, TERM = signal.SIGINT, signal.SIGTERM
SIGNALS: dict[str, Sequence[int]] = {
    "INT": (INT,), "TERM": (TERM,), "HUP": (signal.SIGHUP,), "USR1": (signal.SIGUSR1,), "USR2": (signal.SIGUSR2,),
    "INT, INT": (INT, INT), "INT, TERM": (INT, TERM), "TERM, INT": (TERM, INT), "10 × TERM": (TERM,) * 10,
    "KILL": (signal.SIGKILL,), "QUIT": (signal.SIGQUIT,), "XCPU": (signal.SIGXCPU,), "ALRM": (signal.SIGALRM,),
}  # fmt: skip
DEADLY = ("KILL", "QUIT", "XCPU", "ALRM")


class Commands:
    """Commands in a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, *words: str) -> int:
        """Starts a command; returns its process."""
        pid = os.fork()
        if not pid:
            os.setpgid(0, 0)
            os.chdir(self.folder)
            with (self.folder / "said").open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.argv = ["dqn-lab", *words]
            try:
                command([*words])
            except SystemExit as error:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(int(error.code or 0))
            except BaseException:
                traceback.print_exc()
            os._exit(97)
        return pid

    def said(self) -> str:
        return (self.folder / "said").read_text(errors="replace")

    def call(self, *words: str) -> int:
        """Runs a command to its end; returns its exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self.start(*words), 0)[1])


def is_over(pid: int) -> bool:
    return bool(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))


class Attack:
    """Signals and damage, from a seed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng, self.folder = random.Random(seed), folder
        self.whole = folder / "whole"
        self.whole.mkdir()
        for _ in range(2):  # the first compiles
            shutil.rmtree(self.whole / "run", ignore_errors=True)
            began = time.monotonic()
            if Commands(self.whole).call("train", *SHORT):
                raise RuntimeError(Commands(self.whole).said())
            self.longest = time.monotonic() - began
        self.expected = self.tables(self.whole / "run")
        self.slowest = 0.0

    def tables(self, directory: Path) -> dict[str, bytes]:
        return {name: (directory / f"{name}.csv").read_bytes() for name in TABLES}

    def signals(self, name: str) -> Iterator[str]:
        """Sends signals to a run and resumes it; yields what is wrong."""
        folder = self.folder / "attacked"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        commands, numbers = Commands(folder), SIGNALS[name]
        pid = commands.start("train", *SHORT)
        time.sleep(self.longest * self.rng.random())
        began, sent = time.monotonic(), 0
        for number in numbers:
            if not is_over(pid):
                os.kill(pid, number)
                sent += 1
            time.sleep(self.rng.choice((0, 0.001, 0.01, 0.1)))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.slowest = max(self.slowest, time.monotonic() - began)
        said, directory = commands.said(), folder / "run"
        if "Traceback" in said or "Exception ignored" in said:
            yield f"a traceback: {said[-400:]}"
        if code not in (0, *(-number for number in numbers), *(128 + number for number in numbers)):
            yield f"exit code {code}: {said[-400:]}"
        if code > 0 and len([line for line in said.splitlines() if line.startswith("error: ")]) != 1:
            yield f"not one line: {said[-300:]}"
        if not (directory / RUN).exists():
            return
        record = read_record(directory)
        if record["status"] not in ("interrupted", "completed"):
            yield f"status {record['status']}: {record.get('error')}"
        if record["status"] == "completed":
            return
        if not saved_states(directory):
            if name not in DEADLY and (record.get("progress") or {}).get("step"):
                yield "no checkpoint"
            return
        if commands.call("resume", "run"):
            yield f"cannot be resumed: {commands.said()[-300:]}"
        elif self.tables(directory) != self.expected:
            yield "not equal in the end"

    def damage(self, name: str) -> Iterator[str]:
        """Damages a file of a completed run and lets commands read it; yields what is wrong."""
        folder, rng = self.folder / "attacked", self.rng
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.whole, folder)
        path = folder / "run" / RUN
        if name != RUN:
            path = rng.choice(sorted((folder / "run" / "checkpoint").glob("*")))
        content = path.read_bytes()
        at, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
        other = rng.choice((b"null", b"[]", b"{}", b"-1", b"1e999", b'"words"', b"true"))
        path.write_bytes(
            rng.choice(
                (
                    content[:at],
                    content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :],
                    content[:at] + other + content[at:],
                    b"".join(rng.choice((line, line, line, other)) for line in content.splitlines(keepends=True)),
                    replace_a_value(content, other, rng),
                )
            )
        )
        words = rng.choice((("resume", "run", "steps=2600"), ("evaluate", "run", "--episodes", "2")))
        if name == RUN:
            words = rng.choice((words, ("verify", "run", "--evaluate"), ("report", "run")))
        commands = Commands(folder)
        code, said = commands.call(*words), commands.said()
        if "Traceback" in said or code not in (0, 1, 2):
            yield f"{' '.join(words)}: exit code {code}: {said[-400:]}"
        said_why = any(line.startswith(("error: ", "warning: ")) for line in said.splitlines())
        if code and not said_why and words[0] != "verify":  # which tells a difference
            yield f"{' '.join(words)}: exit code {code}, and not one line: {said[-300:]}"


def replace_a_value(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Replaces one value of a JSON file, or some bytes of any other file, with something else."""
    lines = content.split(b"\n")
    number = rng.randrange(len(lines))
    key, colon, value = lines[number].partition(b": ")
    if colon:
        lines[number] = key + colon + other + (b"," if value.endswith(b",") else b"")
    return b"\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=200, metavar="N", help="in all (default: 200)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything that is random (default: 0)")
    args = parser.parse_args()
    tried, failed = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        attack = Attack(Path(name), args.seed)
        kinds = [*SIGNALS, RUN, "checkpoint files"]
        for number in range(args.tries):
            kind = kinds[number % len(kinds)]
            wrong = [*(attack.signals(kind) if kind in SIGNALS else attack.damage(kind))]
            tried[kind] += 1
            failed[kind] += bool(wrong)
            for problem in wrong:
                print(f"{kind}, try {number}: {problem}", file=sys.stderr, flush=True)
        print(f"{'attack':<18}{'tried':>7}{'failed':>8}")
        for kind in kinds:
            print(f"{kind:<18}{tried[kind]:>7}{failed[kind]:>8}")
        print(f"{'all':<18}{tried.total():>7}{failed.total():>8}")
        print(f"the slowest end after a signal took {attack.slowest:.1f} s")
    sys.exit(failed.total() > 0)


if __name__ == "__main__":
    main()
