"""What stands for runs: a path, a run, a frame with one row per run, or a list of these."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dqn_lab._paths import to_read
from dqn_lab.analysis._errors import AnalysisError


class Place(NamedTuple):
    """Where runs are looked for.

    Args:
        path: a run, a sweep, or a directory above them; of a frame, the directory of its runs.
        rows: of a frame, each run's directory and variant; None: every run below the path counts.
        left_out: of a frame, the directories that could not be loaded.
    """

    path: str
    rows: Sequence[tuple[str, str]] | None = None
    left_out: Collection[str] = ()

    @property
    def directories(self) -> list[str]:
        """The directories to look into."""
        return [self.path] if self.rows is None else list(dict.fromkeys(directory for directory, _ in self.rows))


ACCEPTED = "a run, the path of a run or a sweep, a frame of load_configs or sweep, or a list of these"
Source = str | os.PathLike[str] | pd.DataFrame | Place | Iterable[str | os.PathLike[str] | pd.DataFrame]


def places_of(given: Iterable[Any]) -> list[Place]:
    """Returns the places that paths, runs, frames of `load_configs` or `sweep`, or lists of these stand for.

    Raises:
        AnalysisError: something else is given, or a frame that does not name its runs.
    """
    places: list[Place] = []
    for each in given:
        if isinstance(each, Place):
            places.append(each)
        elif isinstance(each, (str, os.PathLike)):
            places.append(Place(str(to_read(each))))
        elif isinstance(each, pd.DataFrame):
            places.append(_of_frame(each))
        elif isinstance(each, pd.Series) and "directory" in each.index:
            raise AnalysisError("a Series: is one row of a frame; pass rows, as in c.iloc[[0]]")
        elif isinstance(each, Iterable) and not isinstance(each, (bytes, Mapping)):
            places += places_of(each)
        else:
            raise AnalysisError(f"{each!r}: must be {ACCEPTED}")
    return places


def _of_frame(frame: pd.DataFrame) -> Place:
    if not {"directory", "variant"} <= {*frame.columns}:
        raise AnalysisError("a frame without the columns directory and variant: must be of load_configs or sweep")
    if frame.empty:
        raise AnalysisError("a frame without rows: names no run")
    rows = list(zip(map(os.path.realpath, frame["directory"].astype(str)), frame["variant"].astype(str), strict=True))
    return Place(str(frame.attrs.get("directory") or Path(rows[0][0]).parent), rows, [*frame.attrs.get("skipped", ())])
