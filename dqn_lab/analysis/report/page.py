"""The page: one self-contained HTML file made from sections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from dqn_lab.analysis.figures.text import PART
from dqn_lab.analysis.pages import render
from dqn_lab.analysis.report.neutral import visible
from dqn_lab.analysis.report.sections import Section

TEMPLATE = Path(__file__).with_name("page.html.jinja")
NAME = re.compile(r"[=/]|^\W?--\w|\w[._]\w")  # an override, a path, an option, a key
MOST_PRINTED = 40  # rows of a table on paper
MOST_ROWS = 500  # in a table, and in the list of what was left out


@dataclass(frozen=True, kw_only=True)
class Page:
    """The sections, and what the page shows around them.

    Args:
        name: the sweep's name.
        question: the headline.
        progress: how many runs are completed.
        unfinished: whether some runs are missing.
        alone: whether there is only one run.
        cautions: the caveats on the data.
        sections: one for each environment.
        variants: each variant's overrides, or the keys that tell it apart.
        commands: the commands that made the runs.
        versions: the versions of the software that made the runs.
        shared: the configuration that all runs share.
        stopped: runs that stopped early, and why.
        skipped: runs left out, and why.
    """

    name: str
    question: str
    progress: str
    unfinished: bool
    alone: bool
    cautions: Sequence[str]
    sections: Sequence[Section]
    variants: Mapping[str, str]
    commands: Sequence[str]
    versions: Mapping[str, str]
    shared: Mapping[str, str]
    stopped: Mapping[str, str]
    skipped: Mapping[str, str]


def write_page(page: Page) -> str:
    """Renders the template."""
    return render(
        TEMPLATE, filters={"slug": slug, "wrap": _wrap, "keep": _keep}, page=page,
        most_rows=MOST_ROWS, most_printed=MOST_PRINTED,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )  # fmt: skip


def slug(text: str) -> str:
    """Returns a name that is safe in a file name, an id and a URL."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-") or "section"


def _wrap(text: str) -> Markup:
    """Lets lines break between words, and within a long name only if it does not fit on a line of its own.

    Text copied from the page contains no extra characters. A number and its % stay together.
    """
    text = visible(text).replace(" %", "\u00a0%").replace("p, Holm", "p,\u00a0Holm")
    return Markup("").join(_word(word) if NAME.search(word) else word for word in re.split(r"(\s+)", text))


def _keep(text: str) -> Markup:
    """Lets `69 of 100 (59–77 %)` break only before the bracket, if its cell is narrow."""
    count, space, share = visible(text).replace(" %", "\u00a0%").partition(" (")
    if not (space and " of " in count):
        return escape(count + space + share)
    return Markup('<span class="word">{}</span> <span class="word">({}</span>').format(count, share)


def _word(word: str) -> Markup:
    parts = PART.split(word)
    return Markup('<span class="word">{}</span>').format(Markup("<wbr>").join(parts))
