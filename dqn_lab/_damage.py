"""Reads files that may be damaged: endless, not regular files, or with unexpected content."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from typing import Any

MAX_RECORD = 64 * 2**20  # bytes: the largest `run.json` or `sweep.json`; 100,000 jobs take a third of it
MAX_DEPTH = 32  # levels of nested objects and lists
MAX_STEP = 2**53  # up to here a float holds every whole number exactly
DECLARED = ("metric", "control")  # what a question fixes before its first run


def read_regular(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """Reads a file, up to the size that it had when it was opened.

    Args:
        path: the file.
        limit: its largest size in bytes; None for no limit.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is a pipe, a device or a directory, or is larger than the limit.
    """
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):  # opening a pipe would wait for its writer
        raise ValueError("not a regular file")
    if limit is not None and about.st_size > limit:
        raise ValueError(f"larger than {limit / 2**20:,.0f} MiB")
    with open(path, "rb") as file:
        return file.read(about.st_size)


def read_json(text: bytes) -> Any:
    """Reads JSON that could also be written: valid text, nested at most `MAX_DEPTH` levels deep.

    Raises:
        ValueError: it is empty or damaged.
    """
    try:
        value = json.loads(text)
        if b"\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair cannot be encoded
    except (ValueError, RecursionError) as error:
        raise ValueError(f"damaged: {error}" if text.strip(b"\0 \r\n\t") else "empty") from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for part in level for item in _items(part)]
        if not level:
            return value
    raise ValueError("damaged: nested too deep")


def _items(part: Any) -> list[Any]:
    if isinstance(part, dict):
        return list(part.values())
    return part if isinstance(part, list) else []


def is_record(record: Any) -> bool:
    """Returns whether every entry of a `run.json` that readers use has the expected type."""
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        return False
    scores, progress = record.get("scores") or {}, record.get("progress") or {}
    parts = [scores, progress, *(record.get(key) or {} for key in ("engine", "versions", "git", "sources"))]
    if not isinstance(record.get("status"), str) or not all(isinstance(part, dict) for part in parts):
        return False
    resumed = record.get("resumed") or []
    if not (isinstance(resumed, list) and all(isinstance(each, dict) for each in resumed)):
        return False
    if not all(isinstance(each.get("sources") or {}, dict) for each in resumed):
        return False
    policies = [scores.get(name) or {} for name in ("final", "selected")]
    if not all(isinstance(policy, dict) for policy in policies):
        return False
    commit = (record.get("git") or {}).get("commit")
    numbers = [*(policy.get("return_mean") for policy in policies), scores.get("last_100"), record.get("wall_seconds")]
    return (
        (commit is None or isinstance(commit, str))
        and _is_count(record["config"].get("seed"))
        and all(number is None or _is_number(number) for number in numbers)
        and all(_is_step(step) for step in (progress.get("step"), progress.get("episode"), policies[1].get("step")))
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_step(value: Any) -> bool:
    return value is None or (_is_count(value) and value <= MAX_STEP)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < MAX_STEP


def check_sweep(sweep: Any) -> None:
    """Checks that every entry of a `sweep.json` that readers use has the expected type.

    Raises:
        ValueError: an entry has another type.
    """
    if not isinstance(sweep, dict):
        raise ValueError("not an object")
    for key in ("name", "question", "command", "control", "metric"):
        if not isinstance(sweep.get(key), str | None):
            raise ValueError(f"{key} must be text")
    if not isinstance(sweep.get("is_search", False), bool):
        raise ValueError("is_search must be true or false")
    if not isinstance(earlier := sweep.get("earlier", []), list) or not all(map(_is_declaration, earlier)):
        raise ValueError("earlier must be a list of objects with a metric, a control and a number of completed runs")
    variants, seeds, jobs = (sweep.get(key) for key in ("variants", "seeds", "jobs"))
    if not isinstance(variants, dict) or not all(map(_is_list_of_text, variants.values())):
        raise ValueError("variants must map each label to its overrides")
    if not isinstance(seeds, list) or not all(map(_is_count, seeds)):
        raise ValueError("seeds must be a list of whole numbers")
    if not isinstance(jobs, list) or not all(map(_is_job, jobs)):
        raise ValueError("jobs must be a list of objects with a variant and a directory")


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_declaration(value: Any) -> bool:
    if not isinstance(value, Mapping) or not _is_count(value.get("completed")):
        return False
    return all(isinstance(value.get(key), str | None) for key in DECLARED)


def _is_job(job: Any) -> bool:
    return isinstance(job, Mapping) and all(isinstance(job.get(key), str) for key in ("variant", "directory"))
