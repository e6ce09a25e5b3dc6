"""`train`: one run, or one per combination of a grid's values."""

from __future__ import annotations

import logging
import math
import os
from argparse import Namespace
from pathlib import Path

from dqn_lab.cli import WARNED, _directories, _hydra, _index, _interrupt, _jobs, say, status, warn
from dqn_lab.cli._about import COMMAND, command
from dqn_lab.cli._compose import as_config_error, as_yaml, compose_config, composer
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._runs import make_directory, names_a_directory


@one_line_errors
def main(argv: list[str]) -> int:
    """Trains, with Hydra's own flags and overrides; returns the exit code."""
    os.environ[COMMAND] = command()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them and exiting
    os.environ.pop(WARNED, None)
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is silent
    with _interrupt.listening(), as_config_error():
        args = _hydra.parse_flags(argv)
        _directories.add_directories(args.config_dir)
        return _run(args)


def _run(args: Namespace) -> int:
    """Carries out what the flags request; returns the exit code."""
    if args.hydra_help or args.info or args.shell_completion or args.cfg:
        if args.cfg:
            with composer():
                config = compose_config(args.overrides)  # for its error messages, which are clearer than Hydra's
                if args.cfg == "job" and not args.package:
                    say(as_yaml(config, args.resolve).rstrip("\n"))
                    return 0
        status()
        _hydra.show(args)
        return 0
    with _interrupt.before("a run began"):
        warn(*_index.read().problems)
    with composer():
        if not args.multirun:
            return _run_one(args.overrides)
        from dqn_lab.cli import _grid  # its table takes a moment to import

        return _grid.run_grid(args.overrides)


def _run_one(overrides: list[str]) -> int:
    with _interrupt.before("the run began"):
        config = compose_config(overrides)
        experiment = _jobs.prepare(config)
    warn(*experiment.warnings)
    directory = make_directory(Path(config.hydra.run.dir), bump=not names_a_directory(overrides))
    return int(
        math.isnan(_jobs.as_hydras_job(config, directory, lambda: _jobs.carry_out_visibly(experiment, directory)))
    )
