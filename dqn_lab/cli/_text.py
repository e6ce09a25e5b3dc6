"""Fits text to the terminal's width, and formats numbers in it."""

from __future__ import annotations

import math
import re
import shutil
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

WIDEST, NARROWEST = 110, 40  # columns
INDENT = 10  # the largest indent of a result's later lines


def score_text(mean: float, std: float | None = None) -> str:
    """Formats a mean return, and a standard deviation if given: `212.5 ± 9.1`; below 10, with three digits: `0.712`."""
    size = max(abs(mean), std or 0.0)
    small = 0 < size < 10
    places = min(2 - math.floor(math.log10(size)), 6) if small else 1
    return f"{mean:z.{places}f}" + ("" if std is None else f" ± {std:.{places}f}")


def returns_text(score: Mapping[str, Any], episode: str = "episode") -> str:
    """Formats a policy's returns: `212.5 ± 9.1 (standard deviation over 100 episodes)`.

    Args:
        score: its `return_mean`, `return_std` and number of `episodes`.
        episode: what to call an episode.
    """
    text = score_text(float(score["return_mean"] or 0.0), float(score["return_std"] or 0.0))
    return f"{text} (standard deviation over {number_of(int(score['episodes']), episode)})"


def number_of(count: int, what: str) -> str:
    """Returns `1 run` or `30 runs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def clock(seconds: float) -> str:
    """Returns a duration as `0:07`, `12:07` or `1:12:07`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def shown(path: Path) -> str:
    """Returns a path as a person would type it here: relative, if it is below the current directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def columns(text: str) -> int:
    """Returns how many columns of a terminal a text takes: two for each Korean, Chinese or Japanese letter."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text
    )


def padded(text: str, width: int) -> str:
    """Pads a text with spaces to a width in columns."""
    return text + " " * (width - columns(text))


def wrapped(text: str, indent: int) -> str:
    """Wraps a paragraph, with later lines indented, to the terminal's width, or in a pipe to the largest width.

    Words are never cut, so that paths and links can be copied.
    """
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST + 1, 0)).columns - 1))
    lines, line, gap = [], "", ""
    for piece in re.findall(r"\s+|\S+", text):
        if piece.isspace():
            gap = " " * len(piece)
            continue
        if line and columns(line + gap + piece) > width:
            lines.append(line)
            line, gap = "", " " * indent
        line, gap = line + gap + piece, ""
    return "\n".join([*lines, line])


def fitting(text: str, indent: int, stream: TextIO | None = None) -> str:
    """Wraps a paragraph on a terminal; leaves it one line in a pipe, for programs that read it.

    Args:
        text: the paragraph.
        indent: the indent of later lines.
        stream: where it is printed; None for stdout.
    """
    return wrapped(text, indent) if (stream or sys.stdout).isatty() else text


def labelled(label: str, width: int, text: str) -> str:
    """Returns a table's line: a label, padded to a width, and a text, wrapped as by `fitting`."""
    return fitting(f"{padded(label, width)}{text}", min(width, INDENT))


def to_copy(label: str, path: str, command: str = "", stream: TextIO | None = None) -> str:
    r"""Returns a line with a path, or with a command on it, that can be copied.

    On a terminal that is too narrow, the path gets its own line, after a backslash that makes a shell read both lines
    as one command. A path that is still too long starts at the left edge, and the terminal breaks it.

    Args:
        label: what the line shows.
        path: the path, quoted for a shell, with the words that follow it.
        command: the words before the path.
        stream: where it is printed; None for stdout.
    """
    start, width = f"{label:<{INDENT}}{command}".rstrip(), shutil.get_terminal_size().columns
    line = f"{start} {path}" if command else f"{label:<{INDENT}}{path}"
    if not (stream or sys.stdout).isatty() or columns(line) <= width:
        return line
    indent = INDENT if INDENT + columns(path) <= width else 0
    return f"{start}{' ' + chr(92) if command else ''}\n{' ' * indent}{path}"
