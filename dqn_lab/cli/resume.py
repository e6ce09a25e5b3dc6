"""`resume`: continues a run exactly where it stopped, or extends a completed one."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from dqn_lab.cli import fail
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser
from dqn_lab.cli._trust import add_trust
from dqn_lab.records import SWEEP, read_sweep


@one_line_errors
def main(argv: list[str]) -> int:
    """Continues a run, or the sweep in a directory; returns the exit code."""
    args = _parser().parse_intermixed_args(argv)
    if (args.run / SWEEP).is_file():
        return _resume_sweep(args)
    if (args.run / "multirun.yaml").is_file():
        why = "it has only one variant, or shares its directory with another grid"
        hint = "resume its runs one by one, and run the missing jobs again"
        return fail(f"{args.run}: is a grid without a record of its jobs, because {why}; {hint}")
    from dqn_lab.cli._continue import continue_run

    return continue_run(args.run, args.overrides, args.trust)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab resume",
        description="Continues a run where it stopped: the results are the same, byte for byte, as without the "
        "interruption. A run without a checkpoint starts over. To extend a completed run, raise its budget: "
        "steps=200_000. For a sweep or a grid, runs the missing jobs.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="the directory of a run, a sweep or a grid")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE",
        help="steps, episodes, evaluation.…, checkpoint.…, logger, display, rollout; no other key may change",
    )  # fmt: skip
    add_trust(parser)
    return parser


def _resume_sweep(args: argparse.Namespace) -> int:
    """Repeats a sweep's own command in its directory; returns the exit code."""
    from dqn_lab.cli import sweep

    if args.overrides:
        return fail(f"{' '.join(args.overrides)}: {args.run} is a sweep, which can only be resumed without overrides")
    found = read_sweep(args.run)
    if found and found["question"] is None:
        from dqn_lab.cli import _regrid

        return _regrid.resume_grid(args.run, found, args.trust)
    code = 0
    for command in str((found or {}).get("command")).split(" && "):
        _, called, words = command.partition(" sweep ")
        typed = shlex.split(words) if called else []
        if not typed:
            return fail(f"{args.run / SWEEP}: does not record the sweep's command; run that command again")
        if "--config-dir" in words and not args.trust:
            return fail(f"this sweep imports code from its own --config-dir ({command}); if you trust it, add --trust")
        code = max(code, sweep.main([*_without_directory(typed), "--dir", os.fspath(args.run)]))
    return code


def _without_directory(words: list[str]) -> list[str]:
    """Drops `--dir`, because the sweep's directory may have been moved."""
    kept = [word for word in words if not word.startswith("--dir=")]
    while "--dir" in kept:
        at = kept.index("--dir")
        del kept[at : at + 2]
    return kept
