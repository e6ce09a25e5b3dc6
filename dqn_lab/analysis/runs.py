"""Finds runs on disk, with their records, variants and sweeps."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dqn_lab import records as disk
from dqn_lab._damage import MAX_RECORD, read_regular
from dqn_lab.analysis._errors import AnalysisError, unknown
from dqn_lab.analysis.labels import Config, flatten, make_labels, short_names, swept_keys, with_later_keys
from dqn_lab.analysis.places import ACCEPTED, Source, places_of

KEPT = ("status", "error", "scores", "progress", "wall_seconds", "engine", "versions", "sources", "resumed", "git",
        "started", "command", "host")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The content of a sweep's `sweep.json`: the question, its variants, and which of them is the control."""

    directory: Path
    name: str
    question: str | None
    command: str | None
    control: str | None
    metric: str | None
    variants: Mapping[str, Sequence[str]]  # each label's overrides
    seeds: Sequence[int]
    jobs: Sequence[Mapping[str, Any]]  # variant, seed, hash, directory
    is_search: bool = False  # whether its variants are trials, the best first
    earlier: Sequence[Mapping[str, Any]] = ()  # the metric and control before each change, and the runs completed then


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run's directory and record, as a member of one variant; a run that belongs to two variants occurs twice."""

    directory: Path
    name: str  # unique among the runs loaded
    sweep: str
    variant: str
    seed: int
    record: Mapping[str, Any]  # without its configuration
    config: Config
    return_bounds: str | None  # as given in the configuration, in JSON


@dataclass(frozen=True, slots=True)
class Found:
    """The runs under some paths, the configuration keys that differ among them, and what was left out.

    If the rows of a frame leave out some runs of their sweeps, `selected_from` counts the runs of these sweeps.
    """

    runs: Sequence[Run]
    swept: Sequence[str]
    skipped: Mapping[str, str]  # directory: why
    sweeps: Sequence[Sweep]
    selected_from: int | None = None


def read_sweep(directory: str | os.PathLike[str]) -> Sweep | None:
    """Reads a sweep's `sweep.json`.

    Returns:
        the sweep; None if the directory has no `sweep.json`, as for single runs.

    Raises:
        AnalysisError: there is no such directory, or the file is damaged.
    """
    _check_directory(directory)
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
            is_search=content.get("is_search", False),
            earlier=list(content.get("earlier") or []),
            **{key: content.get(key) for key in ("question", "command", "control", "metric")},
        )
    except (ValueError, OSError) as error:
        raise AnalysisError(str(error)) from error


def _check_directory(path: Any) -> None:
    if not isinstance(path, (str, os.PathLike)) or not os.path.isdir(path):
        what = "is a file; name the directory that holds it" if os.path.isfile(str(path)) else "no such directory"
        raise AnalysisError(f"{path}: {what}")


def find_runs(paths: Iterable[Source]) -> Found:
    """Finds every run under the paths and its variant; of a frame, the runs and variants that it names.

    A run's `variant` is its label in the directory's `sweep.json`. Without that file, the label consists of the
    overrides in the runs' directory names, or of the keys that differ (`target.interval=10`); if no directory holds
    more than one configuration, it is that directory's name.

    Raises:
        AnalysisError: there is no run, or none can be read.
    """
    places = places_of(paths)
    given = [directory for place in places for directory in place.directories]
    skipped: dict[str, str] = {}
    records, identities = {}, {}
    known: dict[str, str] = {}
    for path, record in _records(given, skipped):
        identity = disk.text_without(with_later_keys(record["config"]), disk.UNINTERESTING)
        identities[path] = known.setdefault(identity, identity)
        records[path] = _keep_needed(record)
    sweeps = {parent: _sweep_of(parent, skipped) for parent in dict.fromkeys(map(os.path.dirname, records))}
    _drop_unlisted(records, sweeps, skipped)
    named = {row for place in places for row in place.rows or ()}
    present = {*records, *skipped, *(directory for place in places for directory in place.left_out)}
    narrowed = {parent: sweep and _narrow(sweep, present, named) for parent, sweep in sweeps.items()}
    selected_from = _selected_from(sweeps, narrowed, present, named)
    _drop_repeated(records, identities, skipped)
    if not records:
        reasons = [f"; {path}: {reason}" for path, reason in skipped.items()][:1]
        if not places:
            raise AnalysisError(f"no path is given; name {ACCEPTED}")
        raise AnalysisError(f"{', '.join(place.path for place in places)}: no runs here{''.join(reasons)}")
    distinct = {text: dict(flatten(json.loads(text))) for text in {identities[path]: None for path in records}}
    configs = {path: distinct[identities[path]] for path in records}
    names, sweep_names = short_names(records), short_names(narrowed)
    runs = [
        Run(
            directory=Path(path), name=names[path], sweep=sweep_names[os.path.dirname(path)], variant=variant,
            seed=records[path]["seed"], return_bounds=records[path]["return_bounds"], record=records[path],
            config=configs[path],
        )
        for path, variant in _labels(configs, narrowed)
    ]  # fmt: skip
    return Found(
        runs, swept_keys(distinct.values()), skipped, [sweep for sweep in narrowed.values() if sweep], selected_from
    )


def _keep_needed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps only the necessary part of a record, because thousands of configurations would fill the memory."""
    config = record["config"]
    env, watch = (part if isinstance(part := config.get(name), dict) else {} for name in ("env", "diagnostics"))
    kept = {key: record[key] for key in KEPT if key in record}
    bounds = None if (stated := env.get("return_bounds")) is None else json.dumps(stated)
    measured = watch.get("name", "none") != "none"
    return {**kept, "seed": config["seed"], "return_bounds": bounds, "measured": measured}


def _sweep_of(parent: str, skipped: dict[str, str]) -> Sweep | None:
    """Reads a sweep; if its `sweep.json` is damaged, its runs are read without it."""
    try:
        return read_sweep(parent)
    except AnalysisError as error:
        skipped[os.path.join(parent, disk.SWEEP)] = f"{str(error).partition(': ')[2]}; its runs are read without it"
        return None


def _records(paths: Iterable[str], skipped: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each run once, ordered by name."""
    seen = set()
    for path in paths:
        _check_directory(path)
        for directory, found in _walk(os.path.realpath(path)):
            if directory not in seen:
                seen.add(directory)
                if isinstance(found, str):
                    skipped[directory] = found
                else:
                    yield directory, found


def _walk(directory: str) -> Iterator[tuple[str, dict[str, Any] | str]]:
    """Yields each directory with a `run.json`, and its record or why it cannot be read; a run contains no runs."""
    try:
        record = disk.parse_record(read_regular(f"{directory}/{disk.RUN}", MAX_RECORD))
        yield directory, disk.settled(Path(directory), record)
    except FileNotFoundError:
        with contextlib.suppress(OSError):  # not readable, or deleted meanwhile
            with os.scandir(directory) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(entry.path)
    except OSError:
        yield directory, f"{disk.RUN} cannot be read"
    except ValueError as error:
        yield directory, f"{disk.RUN} is {str(error).partition(':')[0]}"


def _drop_unlisted(
    records: dict[str, dict[str, Any]], sweeps: Mapping[str, Sweep | None], skipped: dict[str, str]
) -> None:
    """Leaves out runs in a sweep's directory that are not its jobs, such as earlier attempts."""
    jobs = {parent: {job["directory"] for job in sweep.jobs} for parent, sweep in sweeps.items() if sweep}
    for path in list(records):
        parent, name = os.path.split(path)
        if name not in jobs.get(parent, {name}):
            if not disk.is_attempt(name):
                skipped[path] = "is not a job in its sweep.json"
            del records[path]


def _narrow(sweep: Sweep, found: Collection[str], named: Collection[tuple[str, str]]) -> Sweep:
    """Leaves out a sweep's jobs that were not asked for: runs that are not among the paths or the rows of a frame.

    Args:
        sweep: the sweep.
        found: the directories of the runs found.
        named: the directory and variant of each row of a frame.

    Returns:
        the sweep, with the jobs that did not begin unless some were left out.

    Raises:
        AnalysisError: a frame names a variant that the sweep does not have.
    """
    in_frame = {directory for directory, _ in named}

    def is_wanted(job: Mapping[str, Any]) -> bool:
        path = str(sweep.directory / job["directory"])
        return path in found and (path not in in_frame or (path, job["variant"]) in named)

    for directory, variant in named:
        if os.path.dirname(directory) == str(sweep.directory) and variant not in sweep.variants:
            raise unknown("variant", variant, sweep.variants, "variant of this sweep")
    begun = [job for job in sweep.jobs if (sweep.directory / job["directory"] / disk.RUN).is_file()]
    wanted = [job for job in begun if is_wanted(job)]
    if len(wanted) == len(begun):
        return sweep
    labels = {job["variant"] for job in wanted}
    variants = {label: overrides for label, overrides in sweep.variants.items() if label in labels}
    whole = len(variants) == len(sweep.variants)
    control, question = sweep.control if sweep.control in labels else None, sweep.question if whole else None
    return replace(sweep, jobs=wanted, variants=variants, control=control, question=question)


def _selected_from(
    sweeps: Mapping[str, Sweep | None],
    narrowed: Mapping[str, Sweep | None],
    found: Collection[str],
    named: Collection[tuple[str, str]],
) -> int | None:
    """Counts the runs of all sweeps if the rows of a frame leave out some; returns None if they do not."""
    if not named:
        return None
    whole = {
        parent: {f"{parent}/{job['directory']}" for job in sweep.jobs} if sweep else _siblings(parent)
        for parent, sweep in sweeps.items()
    }
    parents = {os.path.dirname(directory) for directory, _ in named} & {*whole}
    chosen = any(
        narrowed[parent] is not sweeps[parent] if sweeps[parent] else not whole[parent] <= {*found}
        for parent in parents
    )
    return sum(map(len, whole.values())) if chosen else None


def _siblings(parent: str) -> set[str]:
    return {str(path.parent) for path in Path(parent).glob(f"*/{disk.RUN}") if not disk.is_attempt(path.parent.name)}


def _drop_repeated(records: dict[str, dict[str, Any]], identities: Mapping[str, str], skipped: dict[str, str]) -> None:
    """Keeps one run per job and directory: a completed run if there is one, else the one that got furthest."""
    jobs: dict[Any, list[str]] = {}
    for path, record in records.items():
        code = (record.get("git") or {}).get("commit")
        jobs.setdefault((os.path.dirname(path), code, record["seed"], identities[path]), []).append(path)
    for same in jobs.values():
        best = max(same, key=lambda path: _how_far(records[path]))
        for path in same:
            if path != best:
                skipped[path] = f"the same run as {os.path.basename(best)}: same configuration, same seed"
                del records[path]


def _how_far(record: Mapping[str, Any]) -> tuple[bool, int, bool]:
    return record["status"] == "completed", (record.get("progress") or {}).get("step", 0), record["measured"]


def _labels(configs: Mapping[str, Config], sweeps: Mapping[str, Sweep | None]) -> list[tuple[str, str]]:
    """Returns runs with their variants: those of a sweep in the order of its jobs, the others by name."""
    plain = {path: config for path, config in configs.items() if sweeps[os.path.dirname(path)] is None}
    labels = list(make_labels(plain).items())
    for parent, sweep in sweeps.items():
        jobs = dict.fromkeys((f"{parent}/{job['directory']}", job["variant"]) for job in sweep.jobs) if sweep else ()
        labels += [(path, variant) for path, variant in jobs if path in configs]
    return labels
