"""A sweep's directory: its `sweep.json`, and the state of each job."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dqn_lab._damage import DECLARED
from dqn_lab._outside import changed_since
from dqn_lab.cli._about import PYTHON, recorded_commands
from dqn_lab.cli._text import number_of
from dqn_lab.cli.sweep.jobs import Job
from dqn_lab.errors import ConfigError
from dqn_lab.records import RUN, SWEEP, identity, read_record, read_sweep, saved_states

SETTLED = ("completed", "running")  # states of jobs that are not run again
KEPT = (*SETTLED, "resumed")
CIRCUMSTANCES = ("started", "versions", "git")  # of the process that runs the sweep; each run's record has its own


def read_ledger(directory: Path) -> dict[str, Any] | None:
    """Reads `sweep.json`; returns None if there is none.

    Raises:
        ConfigError: it is damaged, or cannot be read.
    """
    try:
        return read_sweep(directory)
    except OSError as error:
        raise ConfigError(f"{directory / SWEEP}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{error}; move it away and the sweep will write a new one") from error


def add_to(old: Mapping[str, Any] | None, new: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Adds new seeds and variants to an existing `sweep.json`; returns the old content if there are none.

    Raises:
        ConfigError: it holds another sweep, or this one with other overrides.
    """
    if old is None:
        return new
    elsewhere = "choose another directory with --dir"
    if old["base"] != new["base"]:
        raise ConfigError(f"{directory}: holds a sweep over [{' '.join(old['base'])}]; {elsewhere}")
    for label, overrides in new["variants"].items():
        if old["variants"].get(label, overrides) != overrides:
            there = " ".join(old["variants"][label])
            what = "give the changed variant another label, or choose another directory with --dir"
            raise ConfigError(f"{directory}: variant {label!r} is [{there}] there; {what}")
    rows = {(row["variant"], row["seed"]): row for row in [*old["jobs"], *new["jobs"]]}
    order = [*new["variants"], *(label for label in old["variants"] if label not in new["variants"])]
    was, now = str(old.get("command")), str(new["command"])
    added = len(rows) > len(old["jobs"]) and now not in was.split(" && ") and not _is_resume(now)
    merged = {
        **new,
        "command": f"{was} && {now}" if added else old.get("command"),
        "variants": {label: {**old["variants"], **new["variants"]}[label] for label in order},
        **({"earlier": earlier} if (earlier := _declared_earlier(old, new, directory)) else {}),
        "seeds": sorted({*old["seeds"], *new["seeds"]}),
        "jobs": [rows[key] for key in sorted(rows, key=lambda key: (order.index(key[0]), key[1]))],
    }
    return dict(old) if all(merged[key] == old.get(key) for key in merged if key not in CIRCUMSTANCES) else merged


def _declared_earlier(old: Mapping[str, Any], new: Mapping[str, Any], directory: Path) -> list[dict[str, Any]]:
    """Returns each earlier metric and control, and how many runs had completed when they were changed; if any had."""
    earlier = list(old.get("earlier") or [])
    declared = {key: old.get(key) for key in DECLARED}
    searches = old.get("is_search") or new["is_search"]  # which have no control
    changed = declared != {key: new.get(key) for key in DECLARED} and not searches
    if changed and (completed := _completed(old, directory)):
        earlier.append({**declared, "completed": completed})
    return earlier


def _completed(ledger: Mapping[str, Any], directory: Path) -> int:
    count = 0
    for name in {Path(row["directory"]).name for row in ledger["jobs"]}:
        with contextlib.suppress(ValueError):
            count += read_record(directory / name)["status"] == "completed"
    return count


def redeclared(old: Mapping[str, Any] | None, new: Mapping[str, Any], ledger: Mapping[str, Any]) -> list[str]:
    """Returns a line if the metric or the control has changed since runs completed."""
    if old is None or len(ledger.get("earlier") or []) == len(old.get("earlier") or []):
        return []
    before = ledger["earlier"][-1]
    changes = [f"{key} was {before[key]}, is now {new[key]}" for key in DECLARED if before[key] != new[key]]
    count = number_of(before["completed"], "run")
    return [f"{', '.join(changes)}: changed after {count} had completed; the report of this sweep says so"]


def dropped_variants(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """Returns a line if an existing `sweep.json` has variants that the question no longer has."""
    labels = [label for label in (old or {}).get("variants", {}) if label not in new["variants"]]
    if not labels or new["is_search"]:
        return []
    named = f"variant{'' if len(labels) == 1 else 's'} {', '.join(map(repr, labels))}"
    return [f"{named}: no longer in the question, but runs are here, which the report includes"]


def _is_resume(command: str) -> bool:
    """Returns whether a command resumes the sweep: it repeats the recorded commands, so it is not recorded itself."""
    return not command.startswith(PYTHON) and recorded_commands(command)[-1][:1] == ["resume"]


def state(job: Job, directory: Path) -> str:
    """Returns a job's state: `new`, `completed`, `running`, `resumed` if it continues, or why it must be run again."""
    path = directory / job.directory
    if not (path / RUN).exists():
        return "new"
    try:
        record = read_record(path)
    except ValueError:
        return "damaged"
    if identity(record["config"]) != job.hash or record["config"]["seed"] != job.seed:
        return "other settings"
    continues = record["status"] == "interrupted" and saved_states(path)
    return "resumed" if continues else str(record["status"])


def changed_code(jobs: Iterable[Job], directory: Path) -> list[str]:
    """Returns a line for each of the user's files that has changed since runs that are kept were made with it."""
    counts: Counter[str] = Counter()
    for job in jobs:
        if state(job, directory) in KEPT:
            counts.update(changed_since(read_record(directory / job.directory)))
    return [
        f"{name} has changed since {number_of(count, 'run')} here began, which {'is' if count == 1 else 'are'} kept; "
        "to run everything with the new code, name another directory"
        for name, count in counts.items()
    ]
