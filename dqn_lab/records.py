"""The formats on disk, shared by writers and readers: tables, `run.json`, `sweep.json`, names and values."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dqn_lab._atomic import overwrite, write_atomically
from dqn_lab._damage import MAX_RECORD, check_sweep, is_record, read_json, read_regular
from dqn_lab.locks import is_claimed

if TYPE_CHECKING:  # importing it would import numpy
    from dqn_lab.types import Table

RUN, SWEEP, CHECKPOINT = "run.json", "sweep.json", "checkpoint"
# these keys change no result, so they are not part of a job's identity
NOT_THE_RUN = ("display", "rollout", "checkpoint", "env.return_bounds", "env.implementation")
# when a run is resumed; so may `display`, `rollout` and `checkpoint`, but nothing of `env`, whose state is restored
MAY_CHANGE = ("episodes", "steps", "evaluation", "logger")
LATER_KEYS: Mapping[str, Any] = {  # keys added later, with the values for which an older run keeps its identity
    "diagnostics": {"name": "none"},
    "evaluation.max_steps": 100_000,
    "evaluation.video": False,
    "evaluation.keep_policies": False,
}
UNINTERESTING = ("seed", "logger", *NOT_THE_RUN, *(LATER_KEYS.keys() - {"evaluation.max_steps"}))  # to tell runs apart
DEAD = "its process died"
REQUIRED_COLUMNS: Mapping[Table, tuple[str, ...]] = {  # that readers need; the others may be missing
    "episodes": ("episode", "step", "return", "length"),
    "evaluations": ("step", "episode", "return_mean"),
    "timing": ("episode", "step", "seconds"),
}
SLUG = 80  # most characters of overrides in a run's directory name
COMMON = ("steps", "episodes", "evaluation", "num_threads", "device")  # keys that a shortened name leaves out first
UNNAMED = ("display", "logger", "checkpoint", "hydra")  # keys that the name leaves out


def table_columns(exploration: Iterable[str] = (), others: Iterable[str] = ()) -> dict[Table, tuple[str, ...]]:
    """Returns the columns of each CSV file, fixed for a whole run.

    Args:
        exploration: columns that the exploration adds to an episode's row.
        others: columns that other components add.
    """
    returns = ("return_mean", "return_std", "return_min", "return_max")
    return {
        "episodes": ("episode", "step", "return", "length", *exploration, "updates", "loss", "q_value", *others),
        "evaluations": ("step", "episode", *returns, "episodes"),
        "timing": ("episode", "step", "seconds", "steps_per_second", "resumed"),
    }


def value_text(value: Any) -> str:
    """Writes a configuration's value as a user types it: `null`, `true`, `[24, 24]`, `0.001`, `relu`."""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def override_key(override: str) -> str:
    """Returns an override's key."""
    return override.lstrip("+~").partition("=")[0]


def may_matter(override: str) -> bool:
    """Returns whether an override may change a run's results, for labels that tell variants apart."""
    key = override_key(override)
    return key not in UNINTERESTING and not key.startswith(("evaluation.", "checkpoint."))


def identity(config: Mapping[str, Any]) -> str:
    """Hashes a validated configuration: the identity of a job."""
    unchanged = [key for key, value in LATER_KEYS.items() if _value(config, key) == value]
    return hashlib.sha256(text_without(config, [*NOT_THE_RUN, *unchanged]).encode()).hexdigest()[:8]


def _value(config: Mapping[str, Any], key: str) -> Any:
    group, _, name = key.partition(".")
    return config.get(group) if not name else (config.get(group) or {}).get(name)


def text_without(config: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Writes a configuration as JSON, leaving out keys such as `display` or `env.return_bounds`."""
    kept = dict(config)
    for key in keys:
        group, _, name = key.partition(".")
        if not name:
            kept.pop(group, None)
        elif isinstance(kept.get(group), dict):
            kept[group] = {own: value for own, value in kept[group].items() if own != name}
    return json.dumps(kept, sort_keys=True)


def unchangeable(config: Mapping[str, Any]) -> str:
    """Writes the part of a configuration that may not change when a run is resumed."""
    return text_without(config, (*NOT_THE_RUN, *MAY_CHANGE))


def slug(overrides: Iterable[str], known_by: str) -> str:
    """Returns the name of a run's directory: its overrides, as `legible` writes them, and its identity."""
    return f"{legible(overrides) or 'default'}-{known_by}"


def legible(overrides: Iterable[str]) -> str:
    """Writes overrides for a directory's name: as many as fit, without characters that are unsafe in a file name.

    Overrides that only say where output goes are left out.
    """
    named = [text for text in overrides if override_key(text).replace("/", ".").partition(".")[0] not in UNNAMED]
    if len(",".join(named)) > SLUG:  # what tells runs apart comes first
        named.sort(key=lambda text: override_key(text).partition(".")[0] in COMMON)
    name = ""
    for text in named:
        own = safe_name(re.sub(r"[][{}()'\"]|(?<=,) ", "", text.lstrip("+")))
        if len(name) + 1 + len(own) <= SLUG:
            name = f"{name},{own}" if name else own
        elif not name:
            name = own[:SLUG]
    return name


def safe_name(name: str) -> str:
    """Replaces characters that some file systems do not accept in a name."""
    return re.sub(r"[^\w.=,+-]+", "-", name, flags=re.ASCII).strip("-.")


def _json_bytes(value: Any) -> bytes:
    return json.dumps(_finite(value), indent=2, ensure_ascii=False).encode() + b"\n"


def _finite(value: Any) -> Any:
    """Replaces infinities and NaN, which JSON lacks, with None."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_record(directory: Path, record: Mapping[str, Any]) -> None:
    """Writes a run's `run.json`, whole or not at all.

    Raises:
        OSError: it could not be written; an existing file is unchanged.
    """
    path, text = directory / RUN, _json_bytes(record)
    try:
        write_atomically(path, lambda file: file.write(text))
    except OSError:
        if not path.is_file():
            raise
        overwrite(path, text)  # a full disk has no room for a second file, but the existing file can be overwritten


def read_record(directory: Path) -> dict[str, Any]:
    """Reads a run's `run.json`; a status `running` becomes `interrupted` if the process has died.

    Raises:
        ValueError: the directory contains no run, or the run's record is damaged.
    """
    path = directory / RUN
    try:
        return settled(directory, parse_record(read_regular(path, MAX_RECORD)))
    except OSError as error:
        raise ValueError(f"{directory}: no run here (there is no readable {RUN})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def settled(directory: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Returns the record, with status `interrupted` if it says `running` but the process has died."""
    if record["status"] != "running" or is_claimed(directory, record):
        return record
    return {**record, "status": "interrupted", "error": DEAD}


def parse_record(text: bytes) -> dict[str, Any]:
    """Reads the text of a `run.json`.

    Raises:
        ValueError: it is empty, damaged, or not a run's record.
    """
    record = read_json(text)
    if not is_record(record):
        raise ValueError("not the record of a dqn_lab run")
    assert isinstance(record, dict)
    return record


def final_return(record: Mapping[str, Any]) -> float:
    """Returns a run's primary result, the final policy's mean return; NaN unless the run completed and it is finite."""
    score = ((record.get("scores") or {}).get("final") or {}).get("return_mean")
    return float(score) if score is not None and record["status"] == "completed" and math.isfinite(score) else math.nan


def saved_states(directory: Path) -> list[Path]:
    """Lists the files of a run's saved states, damaged ones included, the newest last."""
    files = (directory / CHECKPOINT).glob("*.safetensors")
    return sorted(path for path in files if re.fullmatch(r"\d{12,}", path.stem))


def is_attempt(name: str) -> bool:
    """Returns whether a directory's name is that of an earlier attempt, which `set_aside` renamed."""
    return re.search(r"\.attempt\d+$", name) is not None


def set_aside(path: Path) -> Path:
    """Renames an attempt's directory, so that the job can be run again without losing any records."""
    number = 1
    while (aside := path.with_name(f"{path.name}.attempt{number}")).exists():
        number += 1
    return path.rename(aside)


def read_sweep(directory: Path) -> dict[str, Any] | None:
    """Reads a sweep's `sweep.json`; returns None if there is none.

    Raises:
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    path = directory / SWEEP
    try:
        sweep = read_json(read_regular(path, MAX_RECORD))
        check_sweep(sweep)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise ValueError(f"{path}: damaged: {str(error).removeprefix('damaged: ')}") from error
    assert isinstance(sweep, dict)
    return sweep


def write_sweep(directory: Path, sweep: Mapping[str, Any]) -> None:
    """Writes a sweep's `sweep.json`, whole or not at all."""
    text = _json_bytes(sweep)
    write_atomically(directory / SWEEP, lambda file: file.write(text))
