"""`resume`: continues a run exactly where it stopped, or extends a completed one."""

from __future__ import annotations

import argparse
import copy
import dataclasses
import logging
import math
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._outside import changed_since
from dqn_lab.cli import fail, status, warn
from dqn_lab.cli._about import COMMAND
from dqn_lab.cli._parser import Parser, add_trust
from dqn_lab.cli._runs import check_run
from dqn_lab.errors import ConfigError, StateError, budget_exceeded
from dqn_lab.records import MAY_CHANGE, SWEEP, override_key, read_record, read_sweep, saved_states, set_aside

if TYPE_CHECKING:
    from dqn_lab.train import Experiment


def main(argv: list[str]) -> int:
    """Continues a run, or the sweep in a directory; returns the exit code."""
    args = _parser().parse_intermixed_args(argv)
    if (args.run / SWEEP).is_file():
        return _resume_sweep(args)
    if (args.run / "multirun.yaml").is_file():
        why = "it has only one variant, or shares its directory with another grid"
        hint = "resume its runs one by one, and run the missing jobs again"
        return fail(f"{args.run}: is a grid without a record of its jobs, because {why}; {hint}")
    from dqn_lab.cli import _interrupt
    from dqn_lab.cli._about import command
    from dqn_lab.cli._workplace import as_config_error, log_file, workplace
    from dqn_lab.cli.train import carry_out

    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is silent
    try:
        with _interrupt.listening(), as_config_error(), workplace(command(), imports_of(args.run, args.trust)):
            with _interrupt.before("the run continued"):
                experiment = prepare(args.run, args.overrides, args.trust)
            warn(*experiment.warnings, *begin_again(args.run))
            with log_file(args.run / "train.log", terminal=True):
                return int(math.isnan(carry_out(experiment, args.run)))
    except ConfigError as error:
        return fail(*error.problems)
    except StateError as error:
        return fail(str(error))
    except BrokenPipeError:  # the reader of a pipe went away
        raise
    except OSError as error:
        return fail(f"{error.filename or 'output'}: {error.strerror or error}", code=1)
    except KeyboardInterrupt as error:
        _interrupt.ignore()
        return _interrupt.interrupted(error)


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


def imports_of(directory: Path, trust: bool) -> str | None:
    """Returns the `--config-dir` that a run was started with, if it still exists and is trusted.

    Raises:
        ValueError: there is no run here.
    """
    if not trust:
        return None
    return next((path for path in read_record(directory).get("import_path") or [] if Path(path).is_dir()), None)


def prepare(directory: Path, overrides: Sequence[str], trust: bool) -> Experiment:
    """Rebuilds a run as it was started, with the overrides applied.

    Args:
        directory: the run's directory.
        overrides: as for `train`, of keys that may change.
        trust: allow importing code outside dqn_lab that the run's configuration names.

    Raises:
        ValueError: there is no run, nothing to continue from, or an override is invalid.
    """
    from dqn_lab.cli.evaluate import check_trust

    check_run(directory)
    record = read_record(directory)
    check_trust(record["config"], record, trust)
    changed = _with_overrides(record["config"], overrides)
    status("importing PyTorch")
    from dqn_lab.build import build, validate

    status()
    config = validate(changed)
    if record["status"] == "completed" and all(config[key] == record["config"][key] for key in ("steps", "episodes")):
        raise ConfigError(f"{directory}: is completed; a larger steps=… or episodes=… extends it")
    if record["status"] == "completed" and not saved_states(directory):
        raise ConfigError(f"{directory}: has no checkpoint to continue from; train again with the new budget")
    _refuse_smaller_budget(directory, record, config)
    engine = (record.get("engine") or {}).get("name", config["engine"]["name"])  # what `auto` chose then
    experiment = build(
        {
            **config,
            "engine": config["engine"] if engine == config["engine"]["name"] else {"name": engine},
            "env": _with_saved_implementation(config["env"], record["config"]["env"]),
        }
    )
    sources = changed_since(record)
    new = [f"{name} has changed since the run began; the run continues with the new code" for name in sources]
    return dataclasses.replace(experiment, config=config, warnings=[*experiment.warnings, *new])


def begin_again(directory: Path) -> list[str]:
    """Sets aside a run without a checkpoint, so that it can start over in its directory; returns a line that says so.

    Raises:
        ConfigError: the run's process is still running.
    """
    if saved_states(directory):
        return []
    record = read_record(directory)
    if record["status"] == "running":
        raise ConfigError(f"{directory}: another process is training there")
    os.environ[COMMAND] = str(record.get("command"))
    aside = set_aside(directory)
    directory.mkdir()
    if (aside / ".hydra").is_dir():
        shutil.copytree(aside / ".hydra", directory / ".hydra")
    return [f"{directory}: stopped before its first checkpoint, so it starts over; {aside.name} holds its old files"]


def _with_saved_implementation(env: dict[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an environment's configuration, with Gymnasium's implementation if the record predates the choice."""
    older = "implementation" in env and "implementation" not in recorded
    return {**env, "implementation": "gymnasium"} if older else env


def _with_overrides(recorded: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Applies overrides to a recorded configuration.

    Raises:
        ConfigError: an override would change what the run has already done.
    """
    from dqn_lab.cli import _compose

    allowed = (*MAY_CHANGE, "checkpoint", "display", "rollout")
    config = copy.deepcopy(recorded)
    refused = [text for text in overrides if override_key(text).split(".")[0] not in allowed]
    if unknown := [text for text in refused if not _has(recorded, override_key(text))]:
        _compose.compose_config(unknown)  # says what is wrong with a key that no option has
    if refused:
        reason = f"would change what the run has already done; these may change: {', '.join(allowed)}"
        raise ConfigError(*(f"{text}: {reason}" for text in refused))
    if overrides:
        composed = _compose.plain(_compose.compose_config([*overrides]))
        for path in (override_key(text).split(".") for text in overrides):
            *groups, name = path
            new, old = composed, config
            for group in groups:
                new, old = new[group], old.setdefault(group, {})
            old[name] = new[name]
    return config


def _has(config: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return False
        config = config[part]
    return True


def _refuse_smaller_budget(directory: Path, record: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses a budget that a run has exceeded already, as far as its record shows.

    Raises:
        ConfigError: it has.
    """
    done = record.get("progress") or {}
    is_saved = any(path.stem == f"{done.get('step'):012d}" for path in saved_states(directory)) if done else False
    if is_saved and any((config[f"{unit}s"] or math.inf) < done[unit] for unit in ("step", "episode")):
        raise ConfigError(budget_exceeded(directory, done["episode"], done["step"]))


def _resume_sweep(args: argparse.Namespace) -> int:
    """Repeats a sweep's own command in its directory; returns the exit code."""
    from dqn_lab.cli import sweep

    if args.overrides:
        return fail(f"{' '.join(args.overrides)}: {args.run} is a sweep, which can only be resumed without overrides")
    try:
        found = read_sweep(args.run)
    except (ValueError, OSError) as error:
        return fail(str(error))
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
