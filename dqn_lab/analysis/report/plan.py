"""A figure of the page, before and after it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from dqn_lab.analysis.figures.style import Draw, Rendered


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with its heading, its caption, a description in words, and the numbers behind it."""

    name: str
    title: str
    caption: str
    alt: str
    rendered: Rendered
    data: pd.DataFrame | None = None

    @property
    def files(self) -> dict[str, str]:
        """The kinds of files that the figure has, and their suffixes."""
        kinds = {"SVG": "svg", "PNG": "png", "CSV": "csv"}
        absent = {"png"} if self.rendered.png is None else set()
        absent |= {"csv"} if self.data is None else set()
        return {kind: suffix for kind, suffix in kinds.items() if suffix not in absent}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A picture before it is drawn."""

    name: str
    title: str
    caption: str
    alt: str
    draw: Draw
    data: pd.DataFrame | None = None
