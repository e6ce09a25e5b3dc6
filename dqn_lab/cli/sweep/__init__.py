"""`sweep`: trains a question's variants × seeds; completed jobs are not run again."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dqn_lab._paths import sweeps_directory
from dqn_lab.cli import warn
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser, directory
from dqn_lab.cli._text import wrapped
from dqn_lab.errors import ConfigError

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)


@one_line_errors
def main(argv: list[str]) -> int:
    """Runs a sweep; returns the exit code: 0 all done, 1 a job failed, 2 bad input, 130 interrupted."""
    args = parse(argv)
    return list_questions() if args.name is None else carry_out(args)


def carry_out(args: argparse.Namespace) -> int:
    """Runs the sweep that parsed words request; returns the exit code."""
    os.environ.update(ONE_THREAD)  # libraries read it when they are first imported, here and in workers
    from dqn_lab.cli import _directories, _index, _interrupt
    from dqn_lab.cli._about import COMMAND, command
    from dqn_lab.cli._compose import composer
    from dqn_lab.cli.sweep.run import sweep

    os.environ[COMMAND] = command()
    with _interrupt.listening():
        with _interrupt.before("a job began"):
            _directories.add_directories(args.config_dir)
            warn(*_index.read().problems)
        with composer():
            return sweep(find_question(args.name), args)


def parse(argv: list[str]) -> argparse.Namespace:
    """Parses the words after `sweep`; exits if they are wrong."""
    return _parser().parse_intermixed_args(argv)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab sweep",
        description="Runs every variant of a question with every seed, and continues where an earlier sweep stopped. "
        "Without a name, lists the questions.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="a question's name, or the path of a yaml file")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE",
        help="overrides of every run, as in `train`; seed='range(1000,1100)' sets seeds, hydra/launcher=… the launcher",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="use the question's short form: fewer seeds, shorter runs")
    parser.add_argument("--dry-run", action="store_true", help="list the jobs and what would be skipped; run nothing")
    parser.add_argument("--report", action="store_true", help="write the report afterwards, and print the answer")
    parser.add_argument("--dir", type=directory, metavar="DIR", help="where to write (default: outputs/sweeps/<name>)")
    parser.add_argument("--config-dir", metavar="DIR", help="a directory with your own options and components")
    return parser


def _questions() -> dict[str, Path]:
    return {path.stem: path for path in sorted(sweeps_directory().glob("*.yaml"))}


def list_questions() -> int:
    """Prints every question; returns the exit code."""
    found = _questions()
    width = max(map(len, found), default=0) + 2
    for name, path in found.items():
        with path.open(encoding="utf-8") as file:
            print(wrapped(f"{name:<{width}}{file.readline().lstrip('# ').strip()}", width))
    print(f"\n{wrapped('python -m dqn_lab sweep NAME [--quick] runs one; see --help', 2)}")
    return 0


def find_question(name: str) -> Path:
    """Finds a question's file by its name or its path.

    Raises:
        ConfigError: there is none.
    """
    from dqn_lab._nearest import did_you_mean, nearest

    found = _questions()
    if name in found:
        return found[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    if path.suffix:
        there = [str(each) for each in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        what = "is not a yaml file" if path.is_file() else "no such file"
        raise ConfigError(f"{name}: {what}; {did_you_mean(name, there)}".rstrip("; "))
    if beside := [file for file in (Path(f"{name}.yaml"), Path(f"{name}.yml")) if file.is_file()]:
        raise ConfigError(f"{name}: no such question; did you mean {beside[0]}?")
    raise ConfigError(f"{name}: no such question; {nearest(name, found)}")
