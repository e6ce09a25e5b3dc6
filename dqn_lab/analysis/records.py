"""Runs on disk: where they are, what their records say, and which arm of which sweep they belong to."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dqn_lab.analysis._errors import AnalysisError, SkippedRuns

UNINTERESTING = ("seed", "display", "logger")  # keys that make no other experiment
MISSING = object()  # the value of a key that a configuration lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep's `sweep.json` says: the question, its arms, and which of them is the control."""

    directory: Path
    name: str
    question: str | None
    command: str | None
    control: str | None
    metric: str | None
    variants: Mapping[str, Sequence[str]]  # each label's overrides
    seeds: Sequence[int]
    jobs: Sequence[Mapping[str, Any]]  # variant, seed, hash, directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run's directory and record, in one arm; a run of two arms is there twice."""

    directory: Path
    name: str  # unique among the runs loaded
    sweep: str
    variant: str
    record: Mapping[str, Any]
    config: Mapping[str, Any]  # dotted keys; lists as text


@dataclass(frozen=True, slots=True)
class Found:
    """The runs under some paths, the configuration keys that differ among them, and what was left out."""

    runs: Sequence[Run]
    swept: Sequence[str]
    skipped: Mapping[str, str]  # directory: why


def read_sweep(directory: str | os.PathLike[str]) -> Sweep | None:
    """Reads a sweep's `sweep.json`.

    Returns:
        None where the directory has none: a plain multirun, or single runs.

    Raises:
        AnalysisError: it is damaged.
    """
    path = Path(directory) / "sweep.json"
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        said = json.loads(text)
        fields = {key: said.get(key) for key in ("question", "command", "control", "metric")}
        return Sweep(
            directory=path.parent,
            name=said.get("name") or path.parent.resolve().name,
            variants=dict(said["variants"]),
            seeds=list(said["seeds"]),
            jobs=[{**job, "directory": Path(job["directory"]).name} for job in said["jobs"]],
            **fields,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnalysisError(f"{path}: damaged: {type(error).__name__}: {error}") from error


def find_runs(paths: Iterable[str | os.PathLike[str]]) -> Found:
    """Finds every run under the paths, and names its arm.

    A run's `variant` is the label that `sweep.json` beside it gives; without one, the name of its directory's parent
    where each parent holds a single configuration, else the swept keys (`target.interval=10`).

    Raises:
        AnalysisError: there is no run, or none can be read.
    """
    given = [Path(path) for path in paths]
    directories = _locate(given)
    skipped: dict[str, str] = {}
    records = {directory: record for directory in directories if (record := _read(directory, skipped)) is not None}
    _drop_repeated(records, skipped)
    if not records:
        reasons = "".join(f"; {directory}: {reason}" for directory, reason in list(skipped.items())[:1])
        raise AnalysisError(f"{', '.join(map(str, given)) or 'no path'}: no runs here{reasons}")
    configs = {directory: dict(flatten(record["config"])) for directory, record in records.items()}
    labels, sweeps = _labels(configs, skipped)
    names = _names(list(records))
    runs = [
        Run(
            directory=directory, name=names[directory], sweep=sweeps[directory], variant=variant,
            record=records[directory], config=configs[directory],
        )
        for directory, variant in labels
    ]  # fmt: skip
    if not runs:
        raise AnalysisError(f"{', '.join(map(str, given))}: no runs here; {next(iter(skipped.values()))}")
    return Found(runs, swept_keys([run.config for run in runs]), skipped)


def warn_skipped(skipped: Mapping[str, str], stacklevel: int = 3) -> None:
    """Says which runs are left out, in one line."""
    if skipped:
        shown = "; ".join(f"{directory}: {reason}" for directory, reason in list(skipped.items())[:3])
        more = f"; … ({len(skipped)} in all, see .attrs['skipped'])" if len(skipped) > 3 else ""
        runs = "a run" if len(skipped) == 1 else f"{len(skipped)} runs"
        warnings.warn(f"left out {runs}: {shown}{more}", SkippedRuns, stacklevel=stacklevel + 1)


def _locate(paths: Sequence[Path]) -> list[Path]:
    """Lists the directories that hold a `run.json`, each once however often it is named, in the order of their names."""
    found: dict[str, Path] = {}
    for path in paths:
        if not path.is_dir():
            raise AnalysisError(f"{path}: no such directory")
        for directory, below, files in os.walk(path):
            if "run.json" in files:
                below.clear()  # a run holds no runs
                found.setdefault(os.path.realpath(directory), Path(directory))
            below.sort()
    return list(found.values())


def _read(directory: Path, skipped: dict[str, str]) -> dict[str, Any] | None:
    try:
        record = json.loads((directory / "run.json").read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        skipped[str(directory)] = f"run.json cannot be read: {' '.join(str(error).split())}"
        return None
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict) or "status" not in record:
        skipped[str(directory)] = "run.json is not the record of a dqn_lab run"
        return None
    return record


def _drop_repeated(records: dict[Path, dict[str, Any]], skipped: dict[str, str]) -> None:
    """Keeps one of the runs of a sweep that are the same job: the completed one, else the one that came furthest."""
    jobs: dict[tuple[Path, str], list[Path]] = {}
    for directory, record in records.items():
        config = {key: value for key, value in record["config"].items() if key not in ("display", "logger")}
        jobs.setdefault((directory.parent, json.dumps([config, record.get("git")], sort_keys=True)), []).append(
            directory
        )
    for same in jobs.values():
        best = max(same, key=lambda directory: _standing(records[directory]))
        for directory in same:
            if directory != best:
                skipped[str(directory)] = f"the same run as {best.name}: same configuration, same seed"
                del records[directory]


def _standing(record: Mapping[str, Any]) -> tuple[bool, int]:
    return record["status"] == "completed", (record.get("progress") or {}).get("step", 0)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Gives a configuration's dotted keys and their values, lists as text: a column wants values that can be compared."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, list) else value


def swept_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lists the keys whose values differ, but for the seed, the display and the loggers."""
    keys = dict.fromkeys(key for config in configs for key in config)
    return [
        key
        for key in keys
        if key.split(".")[0] not in UNINTERESTING and len({config.get(key, MISSING) for config in configs}) > 1
    ]


def _labels(
    configs: Mapping[Path, Mapping[str, Any]], skipped: dict[str, str]
) -> tuple[list[tuple[Path, str]], dict[Path, str]]:
    """Gives each run with its variants, and each run's sweep."""
    sweeps = {parent: read_sweep(parent) for parent in dict.fromkeys(directory.parent for directory in configs)}
    names = {parent: sweep.name if sweep else parent.resolve().name for parent, sweep in sweeps.items()}
    plain = {directory: configs[directory] for directory in configs if sweeps[directory.parent] is None}
    made = _made_labels(plain)
    labels: list[tuple[Path, str]] = [(directory, made[directory]) for directory in plain]
    for parent, sweep in sweeps.items():
        if sweep is None:
            continue
        here = {directory.name: directory for directory in configs if directory.parent == parent}
        jobs = [(job["directory"], job["variant"]) for job in sweep.jobs]
        labels += [(here[name], variant) for name, variant in dict.fromkeys(jobs) if name in here]
        for name in here.keys() - {name for name, _ in jobs}:
            skipped[str(here[name])] = f"is no job of the sweep {sweep.name}"
    return labels, {directory: names[directory.parent] for directory in configs}


def _made_labels(configs: Mapping[Path, Mapping[str, Any]]) -> dict[Path, str]:
    """Names arms that nobody named."""
    parents: dict[Path, list[Mapping[str, Any]]] = {}
    for directory, config in configs.items():
        parents.setdefault(directory.parent, []).append(config)
    if not any(swept_keys(group) for group in parents.values()):
        return {directory: directory.parent.resolve().name for directory in configs}
    swept = _telling_keys(list(configs.values()))
    return {directory: _label(config, swept[_names_of(config)]) for directory, config in configs.items()}


def _names_of(config: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in config.items() if key.endswith(".name"))


def _telling_keys(configs: Sequence[Mapping[str, Any]]) -> dict[tuple[tuple[str, Any], ...], list[str]]:
    """Lists, for each choice of components, the swept keys that the choice alone does not settle."""
    swept = swept_keys(configs)
    free = set()
    for key in swept:
        name = f"{key.split('.')[0]}.name"
        values: dict[Any, set[Any]] = {}
        for config in configs:
            values.setdefault(config.get(name), set()).add(config.get(key, MISSING))
        free |= {(key, choice) for choice, seen in values.items() if len(seen) > 1}
    return {
        _names_of(config): [
            key for key in swept if key.endswith(".name") or (key, config.get(f"{key.split('.')[0]}.name")) in free
        ]
        for config in configs
    }


def _label(config: Mapping[str, Any], keys: Sequence[str]) -> str:
    shown = {key: "null" if config[key] is None else config[key] for key in keys if key in config}
    return ", ".join(
        f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in shown.items()
    )


def _names(directories: Sequence[Path]) -> dict[Path, str]:
    """Names runs by their directories, with the parent's name before it where that is not enough."""
    count = Counter(directory.name for directory in directories)
    longer = Counter("/".join(directory.resolve().parts[-2:]) for directory in directories)
    names = {}
    for directory in directories:
        long = "/".join(directory.resolve().parts[-2:]) if count[directory.name] > 1 else directory.name
        names[directory] = str(directory.resolve()) if longer[long] > 1 else long
    return names
