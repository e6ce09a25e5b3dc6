"""Text as wide as the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap
from pathlib import Path

WIDEST, NARROWEST = 110, 40  # columns
INDENT = 10  # of a result's later lines, at most


def number_of(count: int, what: str) -> str:
    """Returns `1 run` or `30 runs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def shown(path: Path) -> str:
    """Returns a path as a person would type it here: relative, if it is below the current directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def wrapped(text: str, indent: int) -> str:
    """Wraps a paragraph, later lines indented, to the terminal's width, or in a pipe to the greatest width."""
    width = min(WIDEST, shutil.get_terminal_size((WIDEST + 1, 0)).columns - 1)
    return textwrap.fill(
        text, max(width, NARROWEST), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def fitting(text: str, indent: int) -> str:
    """Wraps a paragraph on a terminal; leaves it one line in a pipe, for programs that read it."""
    return wrapped(text, indent) if sys.stdout.isatty() else text


def labelled(label: str, width: int, text: str) -> str:
    """Returns a table's line: a label in a column of some width, and what is said of it, as `fitting` wraps it."""
    return fitting(f"{label:<{width}}{text}", min(width, INDENT))
