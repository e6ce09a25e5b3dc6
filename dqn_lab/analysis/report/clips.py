"""The films of a report: each variant's median run, named as such."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dqn_lab.analysis.report.material import Material
from dqn_lab.analysis.report.metrics import number

Shoot = Callable[[Path], bytes]  # films the final policy of a run's directory: an mp4


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A short film of one run.

    Args:
        variant: the variant it stands for.
        caption: which run it is, and why that one.
        source: the film as a `data:` address.
    """

    variant: str
    caption: str
    source: str


def make_clips(material: Material, task: str, shoot: Shoot) -> Iterator[Clip]:
    """Films the median run of each variant; the lower one of two in the middle.

    Args:
        material: the runs.
        task: the environment.
        shoot: films a run.

    Raises:
        ValueError: a run cannot be filmed.
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
