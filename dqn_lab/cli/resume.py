"""`resume`: goes on with a run exactly where it was stopped, or further than it was to go."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import logging
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab.cli import fail, status, warn
from dqn_lab.cli._parser import Parser, add_trust
from dqn_lab.cli._runs import check_run
from dqn_lab.errors import ConfigError, StateError
from dqn_lab.records import MAY_CHANGE, SWEEP, read_record, read_sweep, saved_states

if TYPE_CHECKING:
    from dqn_lab.train import Experiment


def main(argv: list[str]) -> int:
    """Continues a run, or the sweep in a directory; returns the exit code."""
    args = _parser().parse_intermixed_args(argv)
    if (args.run / SWEEP).is_file():
        return _resume_sweep(args)
    from dqn_lab.cli import _interrupt
    from dqn_lab.cli._about import command
    from dqn_lab.cli._workplace import as_config_error, log_file, workplace
    from dqn_lab.cli.train import carry_out

    _interrupt.listen()
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, says nothing more
    try:
        with as_config_error(), workplace(command(), imports_of(args.run) if args.trust else None):
            experiment = prepare(args.run, args.overrides, args.trust)
            warn(*experiment.warnings)
            with log_file(args.run / "train.log", terminal=True):
                return int(math.isnan(carry_out(experiment, args.run)))
    except ConfigError as error:
        return fail(*error.problems)
    except StateError as error:
        return fail(str(error))
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {error.strerror or error}", code=1)
    except KeyboardInterrupt as error:
        _interrupt.ignore()
        return _interrupt.interrupted(error)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dqn_lab resume",
        description="Continues a run where it was stopped: the results are those of a run without interruption, byte "
        "for byte. A completed run continues if its budget is raised: steps=200_000. In a sweep's directory, the sweep "
        "continues.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's directory, or a sweep's")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE",
        help="steps, episodes, evaluation.…, checkpoint.…, logger, display, rollout: what changes no past",
    )  # fmt: skip
    add_trust(parser)
    return parser


def imports_of(directory: Path) -> str | None:
    """Returns the directory of options and components that a run was begun with, if there was one.

    Raises:
        ValueError: there is no run here.
    """
    return next((path for path in read_record(directory).get("import_path") or [] if Path(path).is_dir()), None)


def prepare(directory: Path, overrides: Sequence[str], trust: bool) -> Experiment:
    """Builds a run again, as it was begun, but for what overrides say.

    Args:
        directory: the run's.
        overrides: of what may change; as for `train`.
        trust: import the code outside of dqn_lab that the run's configuration names.

    Raises:
        ValueError: there is no run, it has no checkpoint, or the overrides do not fit.
    """
    from dqn_lab.cli.evaluate import check_trust

    check_run(directory)
    record = read_record(directory)
    check_trust(record["config"], record, trust)
    changed = _with(record["config"], overrides)
    status("importing PyTorch")
    from dqn_lab.build import build, validate

    status()
    config = validate(changed)
    if record["status"] == "completed" and all(config[key] == record["config"][key] for key in ("steps", "episodes")):
        raise ConfigError(f"{directory}: is completed; steps=… or episodes=… makes it longer")
    if not saved_states(directory):
        raise ConfigError(f"{directory}: has no checkpoint to go on from; run it again")
    engine = (record.get("engine") or {}).get("name", config["engine"]["name"])  # what `auto` chose then
    experiment = build(
        {
            **config,
            "engine": config["engine"] if engine == config["engine"]["name"] else {"name": engine},
            "env": _as_it_was(config["env"], record["config"]["env"]),
        }
    )
    return dataclasses.replace(experiment, config=config)


def _as_it_was(env: dict[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an environment's configuration for the implementation whose state was saved: the only one there was."""
    older = "implementation" in env and "implementation" not in recorded
    return {**env, "implementation": "gymnasium"} if older else env


def _with(recorded: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Puts what overrides say into a recorded configuration.

    Raises:
        ConfigError: one would change what has happened already.
    """
    from dqn_lab.cli import _compose, _overrides

    allowed = (*MAY_CHANGE, "checkpoint", "display", "rollout")
    config = copy.deepcopy(recorded)
    refused = [text for text in overrides if _overrides.key(text).split(".")[0] not in allowed]
    if refused:
        reason = f"would change what the run has done already; may change: {', '.join(allowed)}"
        raise ConfigError(*(f"{text}: {reason}" for text in refused))
    if overrides:
        composed = _compose.plain(_compose.compose_config([*overrides]))
        for path in (_overrides.key(text).split(".") for text in overrides):
            *groups, name = path
            new, old = composed, config
            for group in groups:
                new, old = new[group], old.setdefault(group, {})
            old[name] = new[name]
    return config


def _resume_sweep(args: argparse.Namespace) -> int:
    """Carries out the command that a sweep was begun with, in its directory; returns the exit code."""
    from dqn_lab.cli import sweep

    if args.overrides:
        return fail(f"{' '.join(args.overrides)}: {args.run} is a sweep, which goes on as it was asked")
    try:
        found = read_sweep(args.run)
    except (ValueError, OSError) as error:
        return fail(str(error))
    code = 0
    for command in str((found or {}).get("command")).split(" && "):
        _, called, words = command.partition(" sweep ")
        typed = shlex.split(words) if called else []
        if not typed:
            return fail(f"{args.run / SWEEP}: does not say which command it is of; give the sweep's command again")
        if "--config-dir" in words and not args.trust:
            return fail(
                f"this sweep imports code from a directory of its own ({command}); if you trust it, add --trust"
            )
        code = max(code, sweep.main([*_without_directory(typed), "--dir", os.fspath(args.run)]))
    return code


def _without_directory(words: list[str]) -> list[str]:
    """Leaves out where a sweep was to be, which may have been moved."""
    kept = [word for word in words if not word.startswith("--dir=")]
    while "--dir" in kept:
        at = kept.index("--dir")
        del kept[at : at + 2]
    return kept
