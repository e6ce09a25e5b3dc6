"""The command line: one file per command, imported when it is used."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import re
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

from dqn_lab import __version__
from dqn_lab._compiling import compiling
from dqn_lab.cli._text import fitting, wrapped

LONGEST = 2_000  # characters of an error message
GC_THRESHOLD = 1_000_000  # new objects between garbage collections: scanning imported modules often would waste time
WARNED = "DQN_LAB_WARNED"  # checksums of the warnings already printed, for workers to inherit
COMMANDS = {
    "train": "train a DQN: `train network=mlp24`, `train -m seed='range(10)'`",
    "sweep": "answer a question by training variants × seeds; without a name, list the questions",
    "resume": "continue an interrupted run, or extend a completed one",
    "verify": "repeat a run and compare its results byte for byte",
    "evaluate": "play greedy episodes with a run's policy; print the mean return",
    "play": "watch a run's policy play in a window",
    "record": "record a policy as an mp4 or a GIF; with --grid, several side by side",
    "inspect": "write a page that shows what a policy learned: values, actions, distributions",
    "explain": "explain the algorithm of a run or a configuration, with papers",
    "report": "answer a sweep's question on one page, with figures and tables",
    "warm": "compile all kernels in advance, for container images and clusters",
    "components": "list all options, with their parameters, defaults and ranges",
}

COMPILING = "compiling for this machine, once (10 to 60 s)"
_status = ""


def main(argv: list[str] | None = None) -> None:
    """Runs one command and exits with its code: 0 done, 1 failed, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:] if argv is None else argv
    _open_closed_streams()
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])
    warnings.showwarning = _show
    compiling.tell = lambda begins: status(COMPILING if begins else "")
    atexit.register(gc.freeze)  # otherwise Python scans all objects several times before it exits
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ε still shows a run
    try:
        try:
            code = _dispatch(arguments)
        finally:
            sys.stdout.flush()  # otherwise Python flushes as it exits, and complains if the pipe's reader has gone
        sys.exit(code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of a pipe went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _open_closed_streams() -> None:
    """Opens standard streams that the caller closed on the null device, so that no other file takes their place."""
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        if vars(sys)[name] is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 (for the whole process)
            setattr(sys, name, stream)


def status(text: str = "") -> None:
    """Shows a status on the terminal's last line until the next output; an empty text clears it."""
    global _status  # what this process's terminal shows
    if text != _status and sys.stderr.isatty():
        print(f"\r\033[K{text and f'{text} …'}", end="", file=sys.stderr, flush=True)
        _status = text


def say(text: str) -> None:
    """Prints a line; if its reader has gone, discards this and all further output."""
    status()
    try:
        print(text, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open until the process ends)


def fail(*problems: str, code: int = 2) -> int:
    """Prints each problem on one line of stderr and returns the exit code."""
    status()
    for problem in problems:
        print(fitting(f"error: {_printable(problem)}", 2, sys.stderr), file=sys.stderr)
    return code


def _printable(text: str) -> str:
    """Puts a text on one line, of bounded length, without control characters."""
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in " ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 4]} … {line[-LONGEST // 4 :]}"


def warn(*lines: str) -> None:
    """Prints each line on stderr, unless this command has printed it already."""
    status()
    told = os.environ.get(WARNED, "").split()
    for line in map(_printable, lines):
        known_by = f"{zlib.crc32(line.encode()):08x}"
        if known_by not in told:
            print(fitting(f"warning: {line}", 2, sys.stderr), file=sys.stderr)
            told.append(known_by)
    os.environ[WARNED] = " ".join(told)


def _show(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Shows a Python warning as one of ours: once, without colours; with its place unless it is Gymnasium's."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(message)).removeprefix("WARN: ")
    place = f" ({category.__name__}, {Path(filename).name}, line {lineno})"
    warn(text if "gymnasium" in Path(filename).parts else f"{text}{place}")


def _overview() -> str:
    """Returns an overview of the program and its commands, wrapped to the terminal's width."""
    return "\n".join([
        wrapped("usage: python -m dqn_lab COMMAND …        (or: dqn-lab COMMAND …)", 7),
        "",
        wrapped("A bench for deep Q-networks: change one piece, hold the rest fixed, see what happens.", 0),
        "",
        "commands:",
        *(wrapped(f"  {name:<12}{about}", 14) for name, about in COMMANDS.items()),
        "",
        "options:",
        wrapped("  --help      this text; `COMMAND --help` explains a command", 14),
        "  --version   the version",
        wrapped("  -sc install=SHELL   completion, for bash, zsh or fish:", 22),
        '                      eval "$(dqn-lab -sc install=bash)"',
        "",
        "first run:  python -m dqn_lab train",
    ])  # fmt: skip


def _dispatch(arguments: list[str]) -> int:
    command, *rest = arguments or [""]
    if unreadable := [text for text in arguments if any("\ud800" <= letter <= "\udfff" for letter in text)]:
        return fail(*(f"{text}: has letters that this locale cannot read; set PYTHONUTF8=1" for text in unreadable))
    if command == "help" and rest and rest[0] in COMMANDS:
        command, rest = rest[0], ["--help"]
    if command in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if command == "--version":
        print(f"dqn_lab {__version__}")
        return 0
    if command in ("-sc", "--shell-completion"):
        return int(importlib.import_module("dqn_lab.cli._completion").main(arguments))
    if command == "train" and {"-h", "--help"} & set(rest):
        return int(importlib.import_module("dqn_lab.cli._help").main(rest))
    if command == "train" or (command == "sweep" and rest):
        status("starting")
    if command in COMMANDS:
        return int(importlib.import_module(f"dqn_lab.cli.{command}").main(rest))
    if not command:
        print(_overview(), file=sys.stderr)
        return 2
    from dqn_lab._nearest import nearest

    return fail(f"{command}: no such command; {nearest(command, COMMANDS)}")
