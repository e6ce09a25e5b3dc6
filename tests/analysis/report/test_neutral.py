"""Malicious labels do no harm in a page, a spreadsheet or Markdown."""

import io
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pandas as pd
import pytest

from dqn_lab.analysis._numbers import plain
from dqn_lab.analysis.figures import rows
from dqn_lab.analysis.figures.rows import Estimate
from dqn_lab.analysis.figures.style import looks, render
from dqn_lab.analysis.figures.text import fit, inches, shorten, width, wrap
from dqn_lab.analysis.report.neutral import csv, markdown, unquoted, visible
from dqn_lab.analysis.report.page import _wrap
from dqn_lab.analysis.report.provenance import shared, versions


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
    assert shorten("optimizer.lr=0.1", 11) == "optimizer…"
    assert wrap("one two three four", inches("three fo…", bold=True), 2) == "one two\nthree fo…"


def test_a_label_is_measured_by_its_letters():
    assert inches("mmmm") > 2 * inches("llll")
    assert inches("bold", bold=True) > inches("bold")
    assert inches("목표") == pytest.approx(inches("MM"), abs=0.01)
    assert fit("mmmmmmmm", 0.5) == shorten("mmmmmmmm", 4)
    assert fit("llll", 0.5) == "llll"


def test_a_name_breaks_only_between_its_parts_and_first_between_words():
    assert _wrap("a b") == "a b"
    assert _wrap("95 % of <b>") == "95\u00a0% of &lt;b&gt;"
    assert _wrap("target.interval=10, x") == '<span class="word">target.<wbr>interval=<wbr>10,</span> x'
    assert _wrap("(the first; --control)") == '(the first; <span class="word">--control)</span>'
    assert _wrap("lr=1\x07") == '<span class="word">lr=<wbr>1\\x07</span>'


@pytest.mark.parametrize(("seconds", "text"), [
    (0.4, "0.4 seconds"), (60, "60.0 seconds"), (150, "2.5 minutes"), (9000, "2.5 hours"),
])  # fmt: skip
def test_a_time_has_a_unit_in_which_it_is_not_zero(seconds, text):
    runs = pd.DataFrame({"directory": ["a"], "wall_seconds": [seconds]})
    assert versions(SimpleNamespace(runs=runs))["total time of the runs"] == text


def test_a_negative_threshold_has_a_minus_sign():
    assert (plain(-100.0), plain(0.5)) == ("−100", "0.5")


def draw(label):
    estimates = [Estimate(variant=label, value=1.0, low=0.5, high=2.0)]
    return render(lambda layout: rows.intervals(estimates, looks([label], None), layout, label="x"), "a")


def test_text_stays_text_in_an_svg_and_a_png_without_its_glyphs_is_not_made(recwarn):
    """No font has a glyph for a private use character."""
    odd = draw("private \ue123")
    assert odd.png is None
    assert odd.missing == "\ue123"
    assert "private \ue123" in "".join(ET.fromstring(odd.svg).itertext())
    assert draw("plain ε").png.startswith(b"\x89PNG")
    assert [str(warning.message) for warning in recwarn] == []


def test_a_key_that_some_runs_lack_is_not_shared():
    runs = pd.DataFrame({"buffer.stratified": [None, True], "buffer.n_step": [1, 1], "steps": [None, None]})
    assert shared(SimpleNamespace(runs=runs)) == {"buffer.n_step": "1", "steps": "null"}
