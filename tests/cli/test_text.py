"""Wrapping to the terminal's width: nothing is cut, and commands can be copied."""

import io
import math
import os
import subprocess

import pytest

from dqn_lab.cli._text import clock, columns, fitting, labelled, padded, returns_text, score_text, to_copy, wrapped

PATH = "outputs/2026-11-29/09-17-57_steps=8000,episodes=null-5d03030f"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes stdout a terminal with the given number of columns."""

    def make(width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr("sys.stdout", Terminal())

    return make


@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_and_words_stay_whole(terminal, width):
    terminal(width)
    text = "error: outputs: is not a run; runs below it: " + ", ".join([PATH[:40]] * 3)
    lines = fitting(text, 2).splitlines()
    assert all(len(line) < width for line in lines)
    assert " ".join(line.strip() for line in lines) == text
    assert lines[1].startswith("  o")


def test_a_pipe_gets_one_line():
    text = "word " * 100 + "end"
    assert fitting(text, 2, io.StringIO()) == text
    assert to_copy("next", "a" * 200, "python -m dqn_lab report", io.StringIO()).count("\n") == 0


def test_spaces_between_columns_are_kept(terminal):
    terminal(80)
    assert wrapped("  label     text  more", 4) == "  label     text  more"


def test_korean_letters_take_two_columns(terminal):
    terminal(60)
    assert columns("가나 ab") == 7
    assert padded("가나", 6) == "가나  "
    assert labelled("가나", 6, "x") == "가나  x"
    assert all(columns(line) < 60 for line in wrapped("목표 신경망을 " * 20, 2).splitlines())


@pytest.mark.parametrize(("width", "lines"), [
    (120, [f"next      echo report {PATH}"]),
    (80, ["next      echo report \\", f"          {PATH}"]),
    (65, ["next      echo report \\", PATH]),
])  # fmt: skip
def test_a_command_is_copied_whole(terminal, width, lines):
    """A shell reads both lines as one command."""
    terminal(width)
    made = to_copy("next", PATH, "echo report")
    assert made.splitlines() == lines
    if os.name == "posix":
        shell = subprocess.run(["sh", "-c", made.removeprefix("next")], capture_output=True, text=True, check=True)
        assert shell.stdout == f"report {PATH}\n"


def test_a_long_path_gets_its_own_line(terminal):
    terminal(70)
    assert to_copy("files", PATH) == f"files\n{PATH}"
    terminal(80)
    assert to_copy("files", PATH) == f"files     {PATH}"


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "0:08"), (727, "12:07"), (4327, "1:12:07")])
def test_durations_have_one_format(seconds, text):
    assert clock(seconds) == text


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("words", [
    (), ("sweep",), ("components",), ("components", "buffer"), ("components", "experiment"), ("train", "--help"),
    ("train", "network=mpl24", "foo=3"), ("no_command",),
])  # fmt: skip
def test_no_line_of_help_or_of_an_error_is_wider_than_the_terminal(cli, monkeypatch, width, words):
    """Only a single longer word may exceed it."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("dqn_lab.cli.fitting", lambda text, indent, _: wrapped(text, indent))
    outcome = cli(*words)
    lines = (outcome.out + outcome.err).splitlines()
    assert [line for line in lines if columns(line) >= width and len(line.split()) > 1] == []


@pytest.mark.parametrize(("mean", "std", "text"), [
    (212.46, 9.14, "212.5 ± 9.1"), (500.0, 0.0, "500.0 ± 0.0"), (0.7123, 0.0934, "0.712 ± 0.093"),
    (-0.0, 0.0, "0.0 ± 0.0"),
    (-0.001, 1.534, "0.00 ± 1.53"), (8.9, None, "8.90"), (-0.05, None, "-0.0500"), (1e-9, None, "0.000000"),
    (math.nan, math.nan, "nan ± nan"), (-13.0, None, "-13.0"), (0.0, 12.0, "0.0 ± 12.0"),
])  # fmt: skip
def test_a_small_return_keeps_three_digits_and_zero_has_no_sign(mean, std, text):
    assert score_text(mean, std) == text


def test_the_number_after_a_plus_or_minus_is_named():
    score = {"return_mean": 138.4, "return_std": 12.5, "episodes": 100}
    assert returns_text(score) == "138.4 ± 12.5 (standard deviation over 100 episodes)"
    assert returns_text(score, "fresh episode").endswith("over 100 fresh episodes)")
