"""What is shown of a run: at every width its progress, its return and its speed."""

import io

import pytest
from rich.console import Console

from dqn_lab.build import build
from dqn_lab.cli._display import Bar
from dqn_lab.schedule import NEVER, Progress
from dqn_lab.types import Stride


@pytest.mark.parametrize(("width", "needed"), [
    (40, ["23%", "return 187"]), (60, ["23%", "step 11,500", "return 187", "/s"]),
    (80, ["23%", "ep 250", "step 11,500", "return 187", "/s", "left"]),
    (120, ["23%", "episode 250", "step 11,500", "return 187 (last 1: 187)", "ε", "steps/s", "left"]),
])  # fmt: skip
def test_a_bar_fits_its_terminal_and_keeps_what_matters_most(configure, width, needed):
    screen = io.StringIO()
    console = Console(file=screen, width=width, height=5, force_terminal=True, color_system=None)
    bar = Bar(build(configure("experiment=cartpole", "logger=csv")), console)
    with bar:
        bar.start()
        bar.drawn -= 10  # seconds ago
        row = {"episode": 249, "step": 11_500, "return": 187.0}
        bar.stride(Stride(Progress(), Progress(11_500, 250, 11_000), (row,)))
    last = screen.getvalue().replace("\x1b[2K", "\n").replace("\r", "\n").split("\n")
    line = next(text for text in reversed(last) if "%" in text)
    assert len(line.rstrip()) <= width
    for text in needed:
        assert text in line


def test_a_bar_shows_no_time_left_once_only_evaluations_remain(configure):
    screen = io.StringIO()
    bar = Bar(
        build(configure("logger=csv", "steps=100", "episodes=null")),
        Console(file=screen, width=120, force_terminal=True),
    )
    with bar:
        bar.stride(Stride(Progress(), Progress(50, 2, 0), ()))
        bar._draw(bar.drawn + 1)
        assert "left" in screen.getvalue()
        bar.stride(Stride(Progress(50, 2, 0), Progress(100, 4, 0), ()))
        bar._draw(bar.drawn + 1)
        screen.truncate(0)
        bar._draw(bar.drawn + 1)
        assert "100%" in screen.getvalue()
        assert "left" not in screen.getvalue()


def test_words_without_a_limit_are_whole(configure):
    bar = Bar(build(configure("logger=csv")), Console(file=io.StringIO(), width=120))
    bar.stride(Stride(Progress(), NEVER._replace(step=5, episode=1, updates=0), ()))
    assert bar.words(12.0) == "episode 1  step 5  ε 0.99  12 steps/s"
    assert bar.words(12.0, 12) == "step 5  12/s"


def test_a_bar_counts_the_episodes_of_an_evaluation(configure, monkeypatch):
    """Their time does not count as training: the speed beside the bar does not change."""
    text, clock = io.StringIO(), iter(range(1000))
    bar = Bar(build(configure("logger=csv")), Console(file=text, width=120, force_terminal=True))
    monkeypatch.setattr("dqn_lab.cli._display.time.perf_counter", lambda: float(next(clock)))
    with bar:
        drawn = bar.drawn
        for played in range(4):
            bar.playing(played, 3)
        assert bar.drawn == drawn + 3
    assert "evaluating: episode 2 of 3" in text.getvalue()
