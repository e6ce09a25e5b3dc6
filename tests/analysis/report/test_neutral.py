"""Malicious labels do no harm in a page, a spreadsheet or Markdown."""

import io
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pandas as pd
import pytest

from dqn_lab.analysis.figures import rows
from dqn_lab.analysis.figures.rows import Estimate
from dqn_lab.analysis.figures.style import looks, render
from dqn_lab.analysis.figures.text import shorten, width, wrap
from dqn_lab.analysis.report.neutral import csv, markdown, unquoted, visible
from dqn_lab.analysis.report.provenance import shared


@pytest.mark.parametrize(("text", "shown"), [
    ("a\tb\nc", "a\\tb\\nc"), ("\x07\x1b[31m", "\\x07\\x1b[31m"), ("\u202ereversed", "\\u202ereversed"),
    ("\ud800", "\\ud800"), ("목표 ε é −", "목표 ε é −"),
])  # fmt: skip
def test_control_characters_are_shown_as_their_codes(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize("label", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\tx", "'x", "plain", "a=b", ""])
def test_no_cell_is_a_formula_and_labels_are_read_back(label):
    text = csv(pd.DataFrame({"variant": pd.Categorical([label]), "value": [-1.5]}))
    (row,) = pd.read_csv(io.StringIO(text), keep_default_na=False).to_dict("records")
    assert not str(row["variant"]).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unquoted(row["variant"]) == label
    assert row["value"] == -1.5


@pytest.mark.parametrize(("cell", "written"), [
    ("a|b", r"a\|b"), ("<b>x</b>", r"\<b\>x\</b\>"), ("[x](http://y.z)", r"\[x\](http\://y.z)"),
    ("two\nlines", r"two\\nlines"),
    ("`code` *x* ~~y~~", r"\`code\` \*x\* \~\~y\~\~"), ("www.evil.com &amp;", r"www\.evil.com \&amp;"),
    ("target.interval=10", "target.interval=10"), ("double_dqn", "double_dqn"), ("167.9–428.1", "167.9–428.1"),
])  # fmt: skip
def test_markdown_shows_text_as_it_is(cell, written):
    assert markdown(cell) == written


def test_labels_are_cut_and_broken_by_the_columns_they_take():
    assert (width("목표"), width("abc"), width("e\u0301")) == (4, 3, 1)
    assert shorten("목표 신경망", 6) == "목표…"
    assert shorten("short", 5) == "short"
    assert wrap("one two three four", 9) == "one two\nthree fo…"


def draw(label):
    estimates = [Estimate(variant=label, value=1.0, low=0.5, high=2.0)]
    return render(lambda layout: rows.intervals(estimates, looks([label], None), layout, label="x"), "a")


def test_text_stays_text_in_an_svg_and_a_png_without_its_glyphs_is_not_made(recwarn):
    """No font has a character of a private use area."""
    odd = draw("private \ue123")
    assert odd.png is None
    assert odd.missing == "\ue123"
    assert "private \ue123" in "".join(ET.fromstring(odd.svg).itertext())
    assert draw("plain ε").png.startswith(b"\x89PNG")
    assert [str(warning.message) for warning in recwarn] == []


def test_a_key_that_some_runs_lack_is_not_shared():
    runs = pd.DataFrame({"buffer.stratified": [None, True], "buffer.n_step": [1, 1], "steps": [None, None]})
    assert shared(SimpleNamespace(runs=runs)) == {"buffer.n_step": "1", "steps": "null"}
