"""Runs on disk: where they are, what their records say, and which arm of which sweep they belong to."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dqn_lab import records as disk
from dqn_lab.analysis._errors import AnalysisError

UNINTERESTING = ("seed", "logger", *disk.NOT_THE_RUN, *disk.LATER_KEYS)  # keys that make no other experiment
MISSING = object()  # the value of a key that a configuration lacks
Config = Mapping[str, Any]  # dotted keys; lists as text; without the uninteresting ones


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
    seed: int
    record: Mapping[str, Any]
    config: Config


@dataclass(frozen=True, slots=True)
class Found:
    """The runs under some paths, the configuration keys that differ among them, and what was left out."""

    runs: Sequence[Run]
    swept: Sequence[str]
    skipped: Mapping[str, str]  # directory: why


def read_sweep(directory: str | os.PathLike[str]) -> Sweep | None:
    """Reads a sweep's `sweep.json`.

    Returns:
        None if the directory has none: a plain multirun, or single runs.

    Raises:
        AnalysisError: it is damaged.
    """
    directory = Path(directory)
    try:
        content = disk.read_sweep(directory)
        if content is None:
            return None
        return Sweep(
            directory=directory,
            name=content.get("name") or directory.resolve().name,
            variants=dict(content["variants"]),
            seeds=list(content["seeds"]),
            jobs=[{**job, "directory": Path(job["directory"]).name} for job in content["jobs"]],
            **{key: content.get(key) for key in ("question", "command", "control", "metric")},
        )
    except (ValueError, OSError) as error:
        raise AnalysisError(str(error)) from error


def find_runs(paths: Iterable[str | os.PathLike[str]]) -> Found:
    """Finds every run under the paths, and names its arm.

    A run's `variant` is the label that `sweep.json` beside it gives. Without one it is made from the swept keys
    (`target.interval=10`), or, where no directory holds more than one configuration, it is that directory's name.

    Raises:
        AnalysisError: there is no run, or none can be read.
    """
    given = [os.fspath(path) for path in paths]
    skipped: dict[str, str] = {}
    records = {path: record for path, record in _records(given, skipped) if record is not None}
    sweeps = {parent: read_sweep(parent) for parent in dict.fromkeys(map(os.path.dirname, records))}
    _drop_strangers(records, sweeps, skipped)
    identities = {path: _experiment(record["config"]) for path, record in records.items()}
    _drop_repeated(records, identities, skipped)
    if not records:
        reasons = [f"; {path}: {reason}" for path, reason in skipped.items()][:1]
        raise AnalysisError(f"{', '.join(given) or 'no path'}: no runs here{''.join(reasons)}")
    distinct = {text: dict(flatten(json.loads(text))) for text in {identities[path]: None for path in records}}
    configs = {path: distinct[identities[path]] for path in records}
    names, sweep_names = _names(records), _names(sweeps)
    runs = [
        Run(
            directory=Path(path), name=names[path], sweep=sweep_names[os.path.dirname(path)], variant=variant,
            seed=records[path]["config"]["seed"], record=records[path], config=configs[path],
        )
        for path, variant in _labels(configs, sweeps)
    ]  # fmt: skip
    return Found(runs, swept_keys(distinct.values()), skipped)


def _records(paths: Iterable[str], skipped: dict[str, str]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Finds each run once, in the order of their names."""
    seen = set()
    for path in paths:
        if not os.path.isdir(path):
            raise AnalysisError(f"{path}: no such directory")
        for directory, text in _walk(os.path.realpath(path)):
            if directory not in seen:
                seen.add(directory)
                yield directory, _parse(directory, text, skipped)


def _walk(directory: str) -> Iterator[tuple[str, bytes | None]]:
    """Returns the directories that hold a `run.json`, and what it holds; a run holds no runs."""
    try:
        with open(f"{directory}/{disk.RUN}", "rb") as file:
            yield directory, file.read()
    except FileNotFoundError:
        with contextlib.suppress(PermissionError):
            for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path)
    except OSError:
        yield directory, None


def _parse(directory: str, text: bytes | None, skipped: dict[str, str]) -> dict[str, Any] | None:
    try:
        if text is None:
            raise ValueError("cannot be read")
        return disk.settled(Path(directory), disk.parse_record(text))
    except ValueError as error:
        reason = str(error).partition(":")[0]
        skipped[directory] = f"{disk.RUN} is {reason}" if text is not None else f"{disk.RUN} {reason}"
        return None


def _experiment(config: Mapping[str, Any]) -> str:
    return disk.text_without(config, UNINTERESTING)


def _drop_strangers(
    records: dict[str, dict[str, Any]], sweeps: Mapping[str, Sweep | None], skipped: dict[str, str]
) -> None:
    """Leaves out what lies in a sweep's directory and is none of its jobs, such as earlier attempts."""
    jobs = {parent: {job["directory"] for job in sweep.jobs} for parent, sweep in sweeps.items() if sweep}
    for path in list(records):
        parent, name = os.path.split(path)
        if name not in jobs.get(parent, {name}):
            skipped[path] = "is no job of the sweep, by its sweep.json"
            del records[path]


def _drop_repeated(records: dict[str, dict[str, Any]], identities: Mapping[str, str], skipped: dict[str, str]) -> None:
    """Keeps one of a directory's runs that are the same job: a completed one, else the one that came furthest."""
    jobs: dict[Any, list[str]] = {}
    for path, record in records.items():
        code = (record.get("git") or {}).get("commit")
        jobs.setdefault((os.path.dirname(path), code, record["config"]["seed"], identities[path]), []).append(path)
    for same in jobs.values():
        best = max(same, key=lambda path: _standing(records[path]))
        for path in same:
            if path != best:
                skipped[path] = f"the same run as {os.path.basename(best)}: same configuration, same seed"
                del records[path]


def _standing(record: Mapping[str, Any]) -> tuple[bool, int]:
    return record["status"] == "completed", (record.get("progress") or {}).get("step", 0)


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Returns a configuration's dotted keys and values, lists as text, so that values can be told apart."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, list) else value


def swept_keys(configs: Iterable[Config]) -> list[str]:
    """Lists the keys whose values differ."""
    distinct = list({id(config): config for config in configs}.values())
    keys = dict.fromkeys(key for config in distinct for key in config)
    return [key for key in keys if len({_exact(config.get(key, MISSING)) for config in distinct}) > 1]


def _exact(value: Any) -> tuple[type, Any]:
    return type(value), value  # true is not 1


def _labels(configs: Mapping[str, Config], sweeps: Mapping[str, Sweep | None]) -> list[tuple[str, str]]:
    """Returns runs with their variants: a sweep's in the order of its jobs, the others in that of their names."""
    plain = {path: config for path, config in configs.items() if sweeps[os.path.dirname(path)] is None}
    labels = list(_made_labels(plain).items())
    for parent, sweep in sweeps.items():
        jobs = dict.fromkeys((f"{parent}/{job['directory']}", job["variant"]) for job in sweep.jobs) if sweep else ()
        labels += [(path, variant) for path, variant in jobs if path in configs]
    return labels


def _made_labels(configs: Mapping[str, Config]) -> dict[str, str]:
    """Names arms that nobody named."""
    parents: dict[str, set[int]] = {}
    for path, config in configs.items():
        parents.setdefault(os.path.dirname(path), set()).add(id(config))
    if all(len(distinct) == 1 for distinct in parents.values()):
        names = _names(parents)
        return {path: names[os.path.dirname(path)] for path in configs}
    distinct = {id(config): config for config in configs.values()}
    labels = dict(zip(distinct, _tell_apart(list(distinct.values())), strict=True))
    return {path: labels[id(config)] for path, config in configs.items()}


def _tell_apart(configs: Sequence[Config]) -> list[str]:
    """Writes the keys that differ, without those that the choice of a component settles (`target.name=none`)."""
    swept = swept_keys(configs)
    free = set()
    for key in swept:
        values: dict[Any, set[Any]] = {}
        for config in configs:
            values.setdefault(_component(config, key), set()).add(_exact(config.get(key, MISSING)))
        free |= {(key, component) for component, seen in values.items() if len(seen) > 1}
    return [
        ", ".join(
            f"{key}={disk.value_text(config[key])}"
            for key in swept
            if key in config and (key.endswith(".name") or (key, _component(config, key)) in free)
        )
        for config in configs
    ]


def _component(config: Config, key: str) -> Any:
    return config.get(f"{key.split('.')[0]}.name")


def _names(paths: Iterable[str]) -> dict[str, str]:
    """Names runs and sweeps by their directories, with the parent's name before it where that is not enough."""
    parts = {path: path.split(os.sep) for path in paths}
    short = Counter(part[-1] for part in parts.values())
    long = Counter(tuple(part[-2:]) for part in parts.values())
    return {
        path: part[-1] if short[part[-1]] == 1 else "/".join(part[-2:]) if long[tuple(part[-2:])] == 1 else path
        for path, part in parts.items()
    }
