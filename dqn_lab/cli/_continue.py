"""Continues a run exactly where it stopped, or extends a completed one."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._outside import changed_since
from dqn_lab.cli import _compose, _interrupt, status, warn
from dqn_lab.cli._about import COMMAND, command
from dqn_lab.cli._jobs import carry_out_visibly, start_over
from dqn_lab.cli._outcome import one_line_errors
from dqn_lab.cli._runs import check_run, engine_of
from dqn_lab.cli._trust import check_trust
from dqn_lab.cli._workplace import log_file, workplace
from dqn_lab.errors import ConfigError, budget_exceeded
from dqn_lab.records import MAY_CHANGE, override_key, read_record, saved_states

if TYPE_CHECKING:
    from dqn_lab.train import Experiment


@one_line_errors
def continue_run(directory: Path, overrides: Sequence[str], trust: bool) -> int:
    """Continues a run; returns the exit code.

    Args:
        directory: the run's directory.
        overrides: as for `train`, of keys that may change.
        trust: allow importing code outside dqn_lab that the run's configuration names.
    """
    if not any(override_key(text) == "display" for text in overrides):
        overrides = [*overrides, "display=auto"]  # what was hidden then need not be hidden now
    logging.raiseExceptions = False  # a log that cannot be written, on a full disk, is silent
    with _interrupt.listening(), _compose.as_config_error(), workplace(command(), imports_of(directory, trust)):
        with _interrupt.before("the run continued"):
            experiment = prepare(directory, overrides, trust)
        warn(*experiment.warnings, *begin_again(directory))
        with log_file(directory / "train.log"):
            return int(math.isnan(carry_out_visibly(experiment, directory)))


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
    check_run(directory)
    record = read_record(directory)
    changed = _with_overrides(record["config"], overrides)
    check_trust(changed, record, trust)
    status("importing PyTorch")
    from dqn_lab.build import build, validate

    status()
    config = validate(changed)
    if record["status"] == "completed" and all(config[key] == record["config"][key] for key in ("steps", "episodes")):
        raise ConfigError(f"{directory}: is completed; a larger steps=… or episodes=… extends it")
    if record["status"] == "completed" and not saved_states(directory):
        raise ConfigError(f"{directory}: has no checkpoint to continue from; train again with the new budget")
    _refuse_spent_budget(directory, record, config)
    env = _with_saved_implementation(config["env"], record["config"]["env"])
    experiment = build({**config, "engine": engine_of(record, config), "env": env})
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
    aside = start_over(directory).name
    ended = "failed" if record["status"] == "failed" else "stopped"
    return [f"{directory}: {ended} before its first checkpoint, so it starts over; {aside} holds its old files"]


def _with_saved_implementation(env: dict[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an environment's configuration, with Gymnasium's implementation if the record predates the choice."""
    older = "implementation" in env and "implementation" not in recorded
    return {**env, "implementation": "gymnasium"} if older else env


def _with_overrides(recorded: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Applies overrides to a recorded configuration.

    Raises:
        ConfigError: an override would change what the run has already done.
    """
    allowed = (*MAY_CHANGE, "checkpoint", "display", "rollout")
    config = copy.deepcopy(recorded)
    refused = [text for text in overrides if override_key(text).split(".")[0] not in allowed]
    if unknown := [text for text in refused if not _has(recorded, override_key(text))]:
        _compose.compose_config(unknown)  # says what is wrong with a key that no option has
    for key, value in (text.split("=", 1) for text in overrides if "=+" in text):
        if key in ("steps", "episodes"):
            raise ConfigError(f"{key}={value}: is the whole budget, not an addition; write it without +")
    if refused:
        reason = f"would change what the run has already done; these may change: {', '.join(allowed)}"
        raise ConfigError(*(f"{text}: {reason}" for text in refused))
    _refuse_missing_loggers(recorded.get("logger") or {}, overrides)
    if overrides:
        composed = _compose.plain(_compose.compose_config([*overrides]))
        for path in (override_key(text).split(".") for text in overrides):
            *groups, name = path
            new, old = composed, config
            for group in groups:
                new, old = new[group], old.setdefault(group, {})
            old[name] = new.get(name, {})  # `logger=[]` leaves nothing
    return config


def _refuse_missing_loggers(loggers: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuses keys of loggers that a run does not have, unless the overrides choose loggers too.

    Raises:
        ConfigError: there are such keys.
    """
    parts = [(text, override_key(text).split(".")) for text in overrides]
    missing = [(text, key[1]) for text, key in parts if key[0] == "logger" and key[2:] and key[1] not in loggers]
    if missing and not any(key == ["logger"] for _, key in parts):
        names = ",".join(dict.fromkeys([*loggers, *(name for _, name in missing)]))
        raise ConfigError(*(f"{text}: the run has no such logger; write logger=[{names}] too" for text, _ in missing))


def _has(config: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(config, Mapping) or part not in config:
            return False
        config = config[part]
    return True


def _refuse_spent_budget(directory: Path, record: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuses a budget that a run has exceeded already, or that a completed run has reached, as far as it is recorded.

    Raises:
        ConfigError: it has.
    """
    done = record.get("progress") or {}
    reached = [f"{unit}s" for unit in ("step", "episode") if done and config[f"{unit}s"] == done[unit]]
    if record["status"] == "completed" and reached:
        limit, hint = f"{reached[0]}={config[reached[0]]}", f"raise this limit too, or add {reached[0]}=null"
        raise ConfigError(f"{directory}: has reached {limit}, which ends it; {hint}")
    is_saved = any(path.stem == f"{done.get('step'):012d}" for path in saved_states(directory)) if done else False
    if is_saved and any((config[f"{unit}s"] or math.inf) < done[unit] for unit in ("step", "episode")):
        raise ConfigError(budget_exceeded(directory, done["episode"], done["step"]))
