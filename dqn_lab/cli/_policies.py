"""Finds the runs and policies named on the command line, and labels several runs."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._nearest import nearest
from dqn_lab._outside import changed_since
from dqn_lab.cli import fail, warn
from dqn_lab.cli._parser import add_trust
from dqn_lab.cli._runs import check_run
from dqn_lab.errors import ConfigError, TrainingError
from dqn_lab.records import RUN, read_record, value_text

if TYPE_CHECKING:
    from dqn_lab.cli.evaluate import Policy

SAME = ("seed", "display", "logger", "engine", "rollout", "diagnostics", "evaluation", "device", "num_threads")


def carry_out(work: Callable[[], None], out: Path | None) -> int:
    """Does a command's work and returns its exit code; prints any error on one line.

    Args:
        work: what the command does.
        out: where it writes, as typed; None if it was not typed.
    """
    try:
        work()
    except ConfigError as error:
        return fail(*error.problems)
    except (ValueError, TrainingError) as error:
        return fail(str(error))
    except OSError as error:
        return fail(_failed_file(error, out))
    return 0


def _failed_file(error: OSError, out: Path | None) -> str:
    """Names the file that an operation failed on: `out` if the error names none, or a temporary file next to `out`."""
    at = None if error.filename is None else Path(os.fsdecode(error.filename))
    if at is None or (
        out is not None and (at == out or at.parent == out.parent or at in out.parents or out in at.parents)
    ):
        return f"{out or 'the output'}: cannot be written: {error.strerror}"
    return f"{at}: {error.strerror}"


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for the policy, and for trusting its code."""
    parser.add_argument(
        "--policy", default="final", metavar="NAME",
        help="final, best, or one saved during training, step_… (default: final)",
    )  # fmt: skip
    add_trust(parser)


def open_policy(directory: Path, name: str, trust: bool, tell: Callable[[str], None] = warn) -> Policy:
    """Opens one of a run's policies.

    Args:
        directory: the run's directory.
        name: `final`, `best`, or one saved during training, `step_…`.
        trust: allow importing code outside dqn_lab that the run's configuration names.
        tell: is called with a line for each of the user's files that has changed since the run began.

    Raises:
        ConfigError: there is no such run.
        ValueError: there is no such policy, or it needs code that is not trusted.
    """
    from dqn_lab._paths import policy_names
    from dqn_lab.cli.evaluate import load_policy

    check_run(directory)
    record = read_record(directory)
    there = policy_names(directory)
    if name not in there and (name == "final" or not there):
        raise ValueError(f"{directory}: {_without_policy(directory, record['status'], there)}")
    if name not in there:
        hint = "the selected policy is saved as best; " if name == "selected" else ""
        raise ValueError(f"--policy={name}: {directory} has no such policy; {hint}{nearest(name, there)}")
    policy = load_policy(directory, name, trust)
    for module in changed_since(record):
        tell(f"{module} has changed since the run began; the policy plays with the new code")
    return policy


def _without_policy(directory: Path, status: str, there: Sequence[str]) -> str:
    """Returns why a run has no final policy, or no policy at all, and what to do."""
    what = "final policy" if there else "policy"
    reasons = {
        "interrupted": f"was interrupted and has no {what}; `python -m dqn_lab resume {shlex.quote(str(directory))}` "
        "continues it",
        "running": f"is still running and has no {what} yet",
        "failed": f"failed and has no {what}",
    }
    others = f"; policies here: {', '.join(there)}" if there else ""
    return f"{reasons.get(status, f'has no {what}')}{others}"


def find_runs(paths: Sequence[Path], at_most: int) -> list[Path]:
    """Lists the runs at or below the paths.

    Raises:
        ConfigError: there are none, or more than `at_most`.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = [path] if (path / RUN).is_file() else sorted(record.parent for record in path.glob(f"**/{RUN}"))
        if not inside:
            check_run(path)
        found.update(dict.fromkeys(inside))
    if len(found) > at_most:
        raise ConfigError(f"{len(found)} runs: at most {at_most} fit side by side; name fewer")
    return list(found)


def task(config: Mapping[str, Any]) -> str:
    """Returns a run's environment."""
    return str(config["env"].get("id", config["env"]["name"]))


def differences(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Labels runs by the keys in which they differ, and by their seeds if those differ."""
    flat = [_flat(config) for config in configs]
    keys = dict.fromkeys(key for each in flat for key in each)
    differing = [key for key in keys if len({each.get(key, "–") for each in flat}) > 1]
    named = {key.removesuffix(".name") for key in differing if key.endswith(".name")}
    shown = [key for key in differing if key.endswith(".name") or key.partition(".")[0] not in named]
    seeds = len({config["seed"] for config in configs}) > 1
    labels = []
    for config, each in zip(configs, flat, strict=True):
        words = [f"{key.removesuffix('.name')}={each[key]}" for key in shown if key in each]
        labels.append("  ".join([*words, *([f"seed={config['seed']}"] if seeds else [])]))
    return labels


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in config.items():
        if not prefix and key in SAME:
            continue
        if isinstance(value, Mapping) and not (prefix and "unit" in value):  # a schedule is one value
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value_text(value)
    return found
