"""`resume`: continues a run exactly where it stopped, or extends a completed one."""

from __future__ import annotations

import argparse
from pathlib import Path

from dqn_lab.cli import fail
from dqn_lab.cli._about import recorded_commands
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._parser import Parser
from dqn_lab.cli._trust import add_trust, check_launching, refusing
from dqn_lab.errors import ConfigError
from dqn_lab.records import SWEEP, read_sweep


@one_line_errors
def main(argv: list[str]) -> int:
    """Continues a run, or the sweep in a directory; returns the exit code."""
    args = _parser().parse_intermixed_args(argv)
    with refusing(args.trust):
        return _resume(args)


def _resume(args: argparse.Namespace) -> int:
    if (args.run / SWEEP).is_file():
        return _resume_sweep(args)
    if (args.run / "multirun.yaml").is_file():
        why = "its directory held other runs before"
        hint = "resume its runs one by one, and run the missing jobs in another directory"
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
    """Repeats a sweep's own commands in its directory; returns the exit code."""
    from dqn_lab.cli import sweep

    if args.overrides:
        return fail(f"{' '.join(args.overrides)}: {args.run} is a sweep, which can only be resumed without overrides")
    found = read_sweep(args.run) or {}
    if found.get("question") is None:
        from dqn_lab.cli import _regrid

        return _regrid.resume_grid(args.run, found, args.trust)
    sweeps = [sweep.parse(words) for words in _after_sweep(args.run, found.get("command") or "")]
    for each in sweeps:
        check_launching(each.overrides, each.config_dir, args.trust)
        each.dir = args.run  # the sweep's directory may have been moved
    return max(map(sweep.carry_out, sweeps))


def _after_sweep(directory: Path, recorded: str) -> list[list[str]]:
    """Returns the words after `sweep` of each command that made a sweep.

    Raises:
        ConfigError: the sweep was made otherwise.
    """
    try:
        commands = recorded_commands(recorded)
    except ConfigError:
        commands = []
    if not commands or not all(words[:1] == ["sweep"] and len(words) > 1 for words in commands):
        what = "does not record commands that can be repeated; run what it records again"
        raise ConfigError(f"{directory / SWEEP}: {what}: {recorded}")
    return [words[1:] for words in commands]
