"""The videos of a report: one of each variant's median run."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dqn_lab.analysis._numbers import number
from dqn_lab.analysis.report.material import Material

Shoot = Callable[[Path], bytes]  # records the final policy of a run's directory; returns an mp4


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A short video of one run.

    Args:
        variant: the variant that it represents.
        caption: which run it shows, and why that one.
        source: the video as a `data:` URL.
    """

    variant: str
    caption: str
    source: str


def make_clips(material: Material, task: str, shoot: Shoot) -> Iterator[Clip]:
    """Records the median run of each variant; of two in the middle, the lower one.

    Args:
        material: the runs.
        task: the environment.
        shoot: records a run.

    Raises:
        ValueError: a run cannot be recorded.
    """
    metric = material.metric
    done = material.runs[(material.runs["task"] == task) & (material.runs["status"] == "completed")]
    done = done.dropna(subset=[metric.name])
    for variant, runs in done.groupby("variant", observed=True, sort=True):
        ordered = runs.sort_values([metric.name, "seed"], kind="stable")
        median = ordered.iloc[(len(ordered) - 1) // 2]
        film = base64.b64encode(shoot(Path(str(median["directory"])))).decode()
        which = f", the median of {len(ordered)} seeds by {metric.title}" if len(ordered) > 1 else ""
        yield Clip(
            variant=str(variant),
            caption=f"seed {median['seed']}{which} ({number(median[metric.name])})",
            source=f"data:video/mp4;base64,{film}",
        )
