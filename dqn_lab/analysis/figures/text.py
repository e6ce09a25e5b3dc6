"""Labels in figures: measures, shortens and separates them, and finds installed fonts that have their characters."""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

USUAL = "DejaVu Sans"  # comes with matplotlib; wider than most fonts, so that a text that fits also fits in a browser
SIZE = 9  # points
PART = re.compile(r"(?<=[=/])(?=[^\s=/])|(?<=,)(?=[A-Za-z])|(?<=[a-z][._])(?=[a-z])")  # where a name may break
INVISIBLE = ("Cc", "Cf", "Mn", "Zs")  # categories whose characters need no glyph


def width(label: str) -> int:
    """Returns a label's width in columns: two for a Hangul syllable or an ideograph, none for a combining character."""
    return sum(_columns(sign) for sign in label)


def _columns(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def inches(label: str, bold: bool = False) -> float:
    """Measures a label at a figure's usual size; a character that the usual font lacks is as wide as an M."""
    font = get_font(_usual(bold))
    font.set_size(SIZE, 72)
    font.set_text("".join(sign if _has(_usual(), sign) else "M" * (_columns(sign) > 0) for sign in label))
    return float(font.get_width_height()[0]) / 64 / 72


def fit(label: str, room: float) -> str:
    """Shortens a bold label to at most `room` inches."""
    columns = width(label)
    while columns > 1 and inches(shorten(label, columns), bold=True) > room:
        columns -= 1
    return shorten(label, columns)


def shorten(label: str, columns: int) -> str:
    """Shortens a label to at most `columns` columns."""
    if width(label) <= columns:
        return label
    kept, taken = "", 1
    for sign in label:
        taken += _columns(sign)
        if taken > columns:
            break
        kept += sign
    return f"{kept.rstrip(' .,=')}…"


def wrap(label: str, room: float, lines: int) -> str:
    """Breaks a bold label into at most `lines` lines of at most `room` inches, and shortens the rest.

    It breaks between words, and within a name that is too long for a line.
    """
    found = [""]
    for word in label.split(" "):
        parts = [word] if inches(word, bold=True) <= room else PART.split(word)
        for number, part in enumerate(parts):
            longer = f"{found[-1]}{'' if number else ' '}{part}".lstrip()
            if inches(longer, bold=True) <= room or not found[-1] or len(found) == lines:
                found[-1] = longer
            else:
                found.append(part)
    return "\n".join(fit(line, room) for line in found)


def tell_apart(labels: Iterable[str], cut: Callable[[str], str]) -> dict[str, str]:
    """Shortens labels so that no two become the same text.

    Args:
        labels: the labels, all different.
        cut: shortens a label at its end.

    Returns:
        the text to write for each label. If two would look alike, their common beginning is left out; if they still
        do, each is numbered.
    """
    labels = list(dict.fromkeys(labels))
    same = next((place for place, signs in enumerate(zip(*labels, strict=False)) if len(set(signs)) > 1), 0)
    start = max((end.end() for end in re.finditer(r"[\s=,.]", labels[0][:same])), default=0)
    attempts = (labels, [f"…{label[start:]}" for label in labels], [f"{i}: {text}" for i, text in enumerate(labels, 1)])
    for written in attempts:
        found = dict(zip(labels, map(cut, written), strict=True))
        if len(set(found.values())) == len(found):
            break
    return found


def spread(places: Mapping[str, float], gap: float, low: float, high: float) -> dict[str, float]:
    """Moves points on a line apart as little as possible, to at least `gap` between neighbours, keeping their order.

    Args:
        places: the position that each point should have.
        gap: the smallest distance between neighbours.
        low: the lower limit.
        high: the upper limit, if there is room.

    Returns:
        the new position of each point.
    """
    names = sorted(places, key=lambda name: places[name])
    found = np.array([places[name] for name in names])
    offsets = gap * np.arange(len(names))
    blocks: list[list[float]] = []  # isotonic regression of the positions minus the gaps: [mean, size]
    for value in found - offsets:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, size), (other, number) = blocks[-2:]
            blocks[-2:] = [[(mean * size + other * number) / (size + number), size + number]]
    moved = np.concatenate([np.full(int(size), mean) for mean, size in blocks])
    return dict(zip(names, (np.maximum(np.minimum(moved, high - offsets[-1]), low) + offsets).tolist(), strict=True))


def lacking(text: str) -> frozenset[str]:
    """Returns the characters of a text that the usual font lacks."""
    signs = {sign for sign in set(text) if unicodedata.category(sign) not in INVISIBLE}
    return frozenset(sign for sign in signs if not _has(_usual(), sign))


def set_fonts(figure: Figure, signs: frozenset[str]) -> str:
    """Chooses installed fonts for the characters that the usual one lacks.

    Returns:
        the characters that no installed font has.
    """
    families, left = _families(signs)
    for text in figure.findobj(Text):
        if isinstance(text, Text):
            text.set_fontfamily([USUAL, *families, "sans-serif"])
    return "".join(sorted(left))


@lru_cache
def _usual(bold: bool = False) -> str:
    return str(findfont(FontProperties(family=USUAL, weight="bold" if bold else "normal")))


@lru_cache(maxsize=10_000)
def _has(path: str, sign: str) -> bool:
    if unicodedata.category(sign) == "Co":  # private use: a font may draw anything for it
        return False
    return get_font(path).get_char_index(ord(sign)) != 0


@lru_cache
def _families(signs: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Picks fonts one by one, each with most of the characters still missing; also returns those that none has."""
    families: list[str] = []
    fonts = {
        font.name: font.fname
        for font in reversed(fontManager.ttflist)
        if font.style == "normal" and not font.name.startswith("Last Resort")  # a box for every character
    }
    while signs:
        having = {name: {sign for sign in signs if _readable(path, sign)} for name, path in fonts.items()}
        best = max(sorted(having), key=lambda name: len(having[name]))
        if not having[best]:
            break
        families.append(best)
        signs -= having[best]
    return tuple(families), signs


def _readable(path: str, sign: str) -> bool:
    try:
        return _has(path, sign)
    except (OSError, RuntimeError):  # a damaged font, or a format that matplotlib cannot read
        return False


@contextmanager
def quiet() -> Iterator[None]:
    """Ignores warnings about missing glyphs: an SVG contains text, and `set_fonts` returns what a PNG would lack.

    Also ignores warnings about fonts without a bold face, for which matplotlib takes the next face.
    """
    log = logging.getLogger("matplotlib.font_manager")
    level = log.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
