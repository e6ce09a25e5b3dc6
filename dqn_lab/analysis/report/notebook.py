"""What a notebook shows of a run and of a report, as HTML."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Sequence
from html import escape
from pathlib import Path

from dqn_lab.analysis._errors import AnalysisError, SkippedRuns

MOST_FIGURES = 6  # learning curves of a report on more tasks are left to its page


def run_html(directory: Path, text: str) -> str:
    """Returns a run's line and its learning curve, if it has two evaluations.

    Args:
        directory: the run's.
        text: the line.
    """
    curve = _learning_curve(directory)
    return f"<div><code>{escape(text)}</code></div>{'' if curve is None else _picture(curve, 'Learning curve')}"


def _learning_curve(directory: Path) -> str | None:
    """Draws a run's learning curve as its report does; returns the SVG."""
    from dqn_lab.analysis.figures.style import draw_wide
    from dqn_lab.analysis.report.evidence import examine
    from dqn_lab.analysis.report.material import gather
    from dqn_lab.analysis.report.pictures import learning_curve_plans
    from dqn_lab.analysis.report.question import Options

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkippedRuns)
            material = gather([directory], Options())
        plans = [plan for task in material.tasks for plan in learning_curve_plans(examine(material, task))]
    except AnalysisError:  # it has just begun, or logs no csv
        return None
    return draw_wide(plans[0].draw, plans[0].name) if plans else None


def report_html(lines: Sequence[tuple[str, str]], page: Path) -> str:
    """Returns what a report says, its learning curves, and where its page is.

    Args:
        lines: labels and texts.
        page: the report's `index.html`.
    """
    rows = "".join(
        f'<tr><th style="text-align:left;vertical-align:top">{escape(label)}</th>'
        f'<td style="text-align:left;white-space:normal">{escape(text)}</td></tr>'
        for label, text in [*lines, ("report", str(page))]
    )
    figures = sorted((page.parent / "figures").glob("*learning_curves.svg"))[:MOST_FIGURES]
    pictures = [_picture(path.read_text(encoding="utf-8"), "Learning curves") for path in figures]
    return f'<table style="max-width:100ch">{rows}</table>{"".join(pictures)}'


def _picture(svg: str, alt: str) -> str:
    """Embeds an SVG as an image, so that a page's styles cannot change it."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{escape(alt)}" style="max-width:100%;width:760px" src="data:image/svg+xml;base64,{data}">'
