"""Makes each file operation of a run fail in turn, and checks what is left and whether the run recovers.

    python tests/benchmarks/faults.py              every operation, in every way
    python tests/benchmarks/faults.py --stride 25  every 25th of them

A library between the process and the C library (faults.c) counts the run's operations in its directory: opening for
writing, writing, flushing, renaming, truncating, removing. Each operation in turn is made to fail: with a full disk,
once or from then on; with an I/O error; half done; or because the process ends before, during or after it. Then the run
is resumed without faults, or started over if it had no checkpoint, and must end as if nothing had happened. `--disk`
does the same on small file systems that are really full, which needs permission to mount them.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

SHORT = ("logger=csv", "episodes=null", "steps=240", "display=none", "train.learning_starts=64", "train.batch_size=32",
         "evaluation.interval=100", "evaluation.unit=steps", "evaluation.num_episodes=1", "hydra.output_subdir=null",
         "evaluation.final_num_episodes=1", "checkpoint.interval=60", "checkpoint.unit=steps")  # fmt: skip
COUNT, FAIL, FAIL_FROM_HERE, HALF, CRASH_BEFORE, CRASH_HALF, CRASH_AFTER = range(7)  # as in faults.c
WAYS = {
    "disk full": (FAIL_FROM_HERE, errno.ENOSPC),
    "no room once": (FAIL, errno.ENOSPC),
    "I/O error": (FAIL, errno.EIO),
    "half, then full": (HALF, errno.ENOSPC),
    "crash before": (CRASH_BEFORE, 0),
    "crash in it": (CRASH_HALF, 0),
    "crash after": (CRASH_AFTER, 0),
}
CRASHED = 99
TABLES = ("episodes", "evaluations")


def build_library(folder: Path) -> Path:
    """Compiles the library."""
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class Faults:
    """Runs of one experiment, each in a forked process that shares what is already imported and built."""

    def __init__(self, folder: Path) -> None:
        from dqn_lab.build import build, validate
        from dqn_lab.cli import _compose

        self.folder = folder
        with _compose.composer():
            config = validate(_compose.plain(_compose.compose_config([*SHORT])))
        self.experiment = build(config)
        self._child(folder / "first", ())  # imports and compiles what the later ones share
        self.experiment = build(config)
        self.begin(folder / "reference")
        self.expected = {name: (folder / "reference" / f"{name}.csv").read_bytes() for name in TABLES}

    def begin(self, directory: Path, *fault: int) -> tuple[int, list[str]]:
        """Starts or continues a run, with a fault if one is given; returns its exit code and its output."""
        said = self.folder / "said"
        pid = os.fork()
        if not pid:
            try:
                with said.open("w") as file:
                    os.dup2(file.fileno(), 1)
                    os.dup2(file.fileno(), 2)
                os._exit(self._child(directory, fault))
            finally:  # it is not the one that cleans up
                os._exit(97)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, said.read_text().splitlines()

    def _child(self, directory: Path, fault: tuple[int, ...]) -> int:
        from dqn_lab.cli import fail
        from dqn_lab.cli._jobs import carry_out_visibly
        from dqn_lab.cli._workplace import log_file
        from dqn_lab.types import ConfigError, StateError

        logging.raiseExceptions = False  # as in the command
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if fault:
                number, how, error = fault
                library = ctypes.CDLL(None)
                library.faults_arm(f"{directory}/".encode(), ctypes.c_long(number), how, error, -1)
            with log_file(directory / "train.log"):
                carried = carry_out_visibly(self.experiment, directory)
            return int(carried != carried)
        except (ConfigError, StateError) as error:
            return fail(str(error))
        except OSError as error:
            return fail(f"{error.filename or 'output'}: {error.strerror or error}", code=1)
        except BaseException:
            traceback.print_exc()
            return 98

    def count(self) -> list[str]:
        """Returns the operations of a run, in their order."""
        pid = os.fork()
        if not pid:
            log = os.open(self.folder / "operations", os.O_WRONLY | os.O_CREAT)
            directory = self.folder / "counted"
            directory.mkdir()
            ctypes.CDLL(None).faults_arm(f"{directory}/".encode(), ctypes.c_long(-1), COUNT, 0, log)
            os._exit(self._child(directory, ()))
        os.waitpid(pid, 0)
        return (self.folder / "operations").read_text().split("\n")[:-1]

    def problems(self, directory: Path, code: int, said: list[str]) -> Iterator[str]:
        """Yields what is wrong with the state in which a fault has left a run."""
        from dqn_lab.records import RUN, parse_record

        text = "\n".join(said)
        if "Traceback" in text:
            yield f"a traceback: {said[-1]}"
        errors = [line for line in said if line.startswith("error: ")]
        if code not in (0, CRASHED) and len(errors) != 1:
            yield f"exit code {code} with {len(errors)} lines of error"
        if code not in (0, 1, 2, CRASHED):
            yield f"exit code {code}"
        if (directory / RUN).exists():
            try:
                parse_record((directory / RUN).read_bytes())
            except ValueError as error:
                yield f"run.json: {error}"
        for name, expected in self.expected.items():
            path = directory / f"{name}.csv"
            whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
            if not expected.startswith(whole):
                yield f"{name}.csv holds rows that never were"
            if code == 0 and path.read_bytes() != expected:
                yield f"{name}.csv of a run that completed is not equal"

    def recover(self, directory: Path) -> Iterator[str]:
        """Resumes a run or starts it over; yields what is wrong."""
        from dqn_lab.records import RUN, read_record, saved_states

        if not (directory / RUN).exists() or not saved_states(directory):
            shutil.rmtree(directory)
        elif read_record(directory)["status"] == "completed":
            return
        code, said = self.begin(directory)
        if code:
            yield f"cannot go on: {said[-1] if said else code}"
            return
        for name, expected in self.expected.items():
            if (directory / f"{name}.csv").read_bytes() != expected:
                yield f"{name}.csv is not equal in the end"
        left = [path.name for path in directory.rglob(".*") if path.name != ".lock"]
        if left:
            yield f"leftovers: {left}"


def try_all(faults: Faults, stride: int, start: int = 0) -> int:
    """Tries every operation in every way; prints the table and returns the number of failures."""
    operations = faults.count()
    found: list[str] = []
    tried, failed, ended = Counter[str](), Counter[str](), Counter[str]()
    cases = [(way, number) for number in range(len(operations)) for way in WAYS]
    for way, number in cases[start::stride]:
        directory = faults.folder / "run"
        shutil.rmtree(directory, ignore_errors=True)
        code, said = faults.begin(directory, number, *WAYS[way])
        wrong = [*faults.problems(directory, code, said), *faults.recover(directory)]
        tried[way] += 1
        failed[way] += bool(wrong)
        ended[way] += code == 0
        found += [f"{way}, operation {number} ({operations[number]}): {each}" for each in wrong]
        if wrong:
            print(found[-1], said[-3:], file=sys.stderr, flush=True)
    kinds = ", ".join(f"{count} × {name}" for name, count in Counter(operations).most_common())
    print(
        f"{len(operations)} operations: {kinds}\n\n{'fault':<18}{'tried':>7}{'completed all the same':>24}{'failed':>8}"
    )
    for way in WAYS:
        print(f"{way:<18}{tried[way]:>7}{ended[way]:>24}{failed[way]:>8}")
    print(f"{'all':<18}{tried.total():>7}{ended.total():>24}{failed.total():>8}")
    return failed.total()


def try_disks(faults: Faults, sizes: range) -> int:
    """Runs on file systems of the given sizes (KiB), then enlarges them; prints a line, returns the failures."""
    place, failed, ended = faults.folder / "disk", 0, 0
    place.mkdir()
    for size in sizes:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", place], check=True)
        try:
            code, said = faults.begin(place / "run")
            problems = [*faults.problems(place / "run", code, said)]
            subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
            problems += faults.recover(place / "run")
            ended, failed = ended + (code == 0), failed + bool(problems)
            for problem in problems:
                print(f"{size} KiB: {problem}", said, file=sys.stderr, flush=True)
        finally:
            subprocess.run(["umount", "-l", place], check=True)
    print(f"{len(sizes)} disks of {sizes[0]} to {sizes[-1]} KiB: {ended} runs completed all the same, {failed} failed")
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="try every Nth fault only (default: 1)")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="the first fault to try (default: 0)")
    parser.add_argument("--disk", type=int, default=0, metavar="N", help="KiB from one small disk to the next")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if "faults.so" not in os.environ.get("LD_PRELOAD", ""):
            environment = {**os.environ, "LD_PRELOAD": str(build_library(Path(name)))}
            sys.exit(subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment).returncode)
        faults = Faults(Path(name))
        search: Callable[[], int] = lambda: try_all(faults, args.stride, args.start)  # noqa: E731
        if args.disk:
            search = lambda: try_disks(faults, range(4, 100, args.disk))  # noqa: E731
        sys.exit(search() > 0)


if __name__ == "__main__":
    main()
