"""Labels in figures: their width, how they are shortened, and which installed font has their characters."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

USUAL = "DejaVu Sans"  # comes with matplotlib
INVISIBLE = ("Cc", "Cf", "Mn", "Zs")  # categories whose characters need no glyph


def width(label: str) -> int:
    """Counts the columns a label takes: two for a Hangul syllable or an ideograph, none for a combining character."""
    return sum(_columns(sign) for sign in label)


def _columns(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


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
    return f"{kept.rstrip()}…"


def wrap(label: str, columns: int, lines: int = 2) -> str:
    """Breaks a label at its spaces into at most `lines` lines, and shortens what does not fit."""
    found = [""]
    for word in label.split(" "):
        longer = f"{found[-1]} {word}".lstrip()
        if width(longer) <= columns or not found[-1] or len(found) == lines:
            found[-1] = longer
        else:
            found.append(word)
    return "\n".join(shorten(line, columns) for line in found)


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
def _usual() -> str:
    return str(findfont(FontProperties(family=USUAL)))


@lru_cache(maxsize=10_000)
def _has(path: str, sign: str) -> bool:
    if unicodedata.category(sign) == "Co":  # of private use: what a font draws for it is not what is meant
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
    except (OSError, RuntimeError):  # a damaged font, or one of a kind that matplotlib cannot read
        return False


@contextmanager
def quiet() -> Iterator[None]:
    """Ignores warnings of missing glyphs: an SVG holds text, and `set_fonts` returns what a PNG would lack."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield
