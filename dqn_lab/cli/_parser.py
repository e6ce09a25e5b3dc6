"""An argument parser whose errors are one line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from dqn_lab._nearest import did_you_mean
from dqn_lab.cli import fail


class Parser(argparse.ArgumentParser):
    """Reports a bad argument on one line of stderr, with the nearest option, and exits with code 2."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(fail(f"{message}{self._hint(message)} (see --help)"))

    def _hint(self, message: str) -> str:
        if not message.startswith("unrecognized arguments: "):
            return ""
        flags = [flag for action in self._actions for flag in action.option_strings]
        words = message.split()[2:]
        flag, _, value = words[0].partition("=")
        name = flag.lstrip("-")
        if name == "resume":
            return "; `python -m dqn_lab resume RUN` continues a run"
        if self.prog.endswith((" train", " sweep")) and name.replace("-", "_").isidentifier() and words[0] not in flags:
            value = value or next(iter(words[1:]), "…")
            meant = did_you_mean(flag, flags, likeness=0.8) or f"a key is set without dashes: {name}={value}"
        else:
            meant = did_you_mean(words[0], flags)
        return f"; {meant.rstrip()}" if meant else ""


def directory(text: str) -> Path:
    """Reads the name of a directory to write to, which must not be the current one."""
    path = Path(text)
    if not path.name or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r}: must name a directory")
    return path


def natural(text: str) -> int:
    """Reads a whole number of at least 0, such as `1000`, `1e3` or `1_000`."""
    value = float(text)
    if not 0 <= value <= 2**53 or not value.is_integer():
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, at least 0")
    return int(value)


def positive(text: str) -> int:
    """Reads a whole number of at least 1."""
    value = natural(text)
    if not 1 <= value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text}: must be at least 1, at most 1,000,000")
    return value


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Adds the flag that allows importing a run's own code."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the Python code outside of dqn_lab that the run's configuration names",
    )
