"""Measures the wait for commands that do not train: CPU seconds, and seconds to the first character of output.

    python tests/benchmarks/startup.py [TRIES]

Each command runs once to fill the caches, then TRIES times (default: 5); the table shows the minimum of each.
"""

import os
import pty
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMANDS = {
    "--help": ("--help",),
    "train --help": ("train", "--help"),
    "a mistyped command": ("trian",),
    "a mistyped key": ("train", "netwrok=mlp24"),
    "a mistyped option": ("train", "network=mlp42"),
    "a wrong value": ("train", "target.interval=0"),
    "three mistakes": ("train", "netwrok=mlp24", "target.interval=0", "network=mlp42"),
    "a mistake in a grid": ("train", "-m", "target.interval=10,0", "seed=range(5)"),
    "a mistake in a sweep": ("sweep", "target_interval", "netwrok=mlp24"),
    "components optimizer": ("components", "optimizer"),
    "sweep": ("sweep",),
    "TAB: train netw": ("-sc", "query=bash"),
    "TAB: train target.int": ("-sc", "query=bash"),
    "TAB: sweep tar": ("-sc", "query=bash"),
}
TRAIN = ("train", "episodes=2", "logger=csv", "evaluation.final_num_episodes=1")


def measure(words: tuple[str, ...], environment: dict[str, str]) -> float:
    """Returns the CPU seconds of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "dqn_lab", *words], env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def first_output(words: tuple[str, ...]) -> float:
    """Returns the seconds until a command shows something on a terminal."""
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "dqn_lab", *words])
    os.read(terminal, 1)
    waited = time.perf_counter() - began
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # it has ended
        os.waitpid(pid, 0)
    return waited


def main() -> None:
    """Prints the table."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        print("| command | CPU seconds |\n|---|---|")
        for name, words in COMMANDS.items():
            environment = {**os.environ, "COMP_LINE": f"dqn-lab {name.removeprefix('TAB: ')}"}
            best = min(measure(words, environment) for _ in range(tries + 1))
            print(f"| {name} | {best:.2f} |", flush=True)
        best = min(first_output(TRAIN) for _ in range(tries + 1))
        print(f"| train: seconds to the first output | {best:.2f} |")
        os.chdir(here)


if __name__ == "__main__":
    main()
