"""The display of a run shows its progress, return and speed at every width."""

import io

import pytest
from rich.console import Console

from dqn_lab._compiling import Compiling
from dqn_lab.build import build
from dqn_lab.cli import _display
from dqn_lab.cli._display import Bar, Lines
from dqn_lab.cli._summary import show_summary
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
        bar.drawn -= 10  # seconds ago, so that the next stride is drawn
        row = {"episode": 249, "step": 11_500, "return": 187.0, "epsilon": 0.99}
        bar.stride(Stride(Progress(), Progress(11_500, 250, 11_000), (row,)))
        line = last(screen)
    assert len(line.rstrip()) <= width
    for text in needed:
        assert text in line
    assert "left" not in last(screen)  # the bar has stopped


def last(screen):
    """Returns the last line with a percentage that a terminal showed."""
    lines = screen.getvalue().replace("\x1b[2K", "\n").replace("\r", "\n").split("\n")
    return next(text for text in reversed(lines) if "%" in text)


@pytest.mark.parametrize("width", [80, 110, 120, 200])
def test_the_percentage_does_not_move(configure, width):
    """However long the numbers are, the percentage stays in its column."""
    screen = io.StringIO()
    console = Console(file=screen, width=width, height=5, force_terminal=True, color_system=None)
    bar = Bar(build(configure("logger=csv", "steps=100_000", "episodes=null")), console)
    places = set()
    with bar:
        for step, episode, score in ((50, 2, 9.0), (9_999, 99, 123.456), (90_000, 1_000, -1234.5)):
            row = {"episode": episode, "step": step, "return": score, "epsilon": 0.99}
            bar.stride(Stride(Progress(), Progress(step, episode, step), (row,)))
            bar._draw(bar.drawn + 1)
            line = last(screen)
            places.add(line.index("%"))
            assert len(line.rstrip()) <= width
    assert len(places) == 1


def test_the_lines_of_a_narrow_terminal_fit(configure, capsys):
    display = Lines(build(configure("experiment=cartpole", "logger=csv")), width=80)
    row = {"episode": 249, "step": 11_500, "return": 187.0, "epsilon": 0.99}
    display.stride(Stride(Progress(), Progress(11_500, 250, 11_000), (row,)))
    (line,) = capsys.readouterr().out.splitlines()
    assert len(line) < 80
    assert "return 187" in line
    assert line.endswith(" left")


def test_an_evaluation_beside_a_bar_is_in_one_colour(configure):
    """By default Rich would colour the numbers, without a meaning."""
    screen = io.StringIO()
    bar = Bar(build(configure("logger=csv")), Console(file=screen, width=80, force_terminal=True))
    row = {"step": 500, "return_mean": 12.5, "return_std": 1.5, "episodes": 10}
    bar.evaluation(row, "greedy")
    assert screen.getvalue() == "step 500, greedy: 12.5 ± 1.5 (standard deviation over 10 episodes)\n"


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


def test_words_are_shortened_only_to_fit_a_limit(configure):
    bar = Bar(build(configure("logger=csv")), Console(file=io.StringIO(), width=120))
    bar.stride(Stride(Progress(), NEVER._replace(step=5, episode=1, updates=0), ()))
    assert bar.words(12.0) == "episode 1  step 5  12 steps/s"  # no episode has ended
    assert bar.words(12.0, 12) == "step 5  12/s"
    bar.stride(ended(6))
    assert bar.words(12.0) == "episode 1  step 6  return 1 (last 1: 1)  ε 0.99  12 steps/s"


def test_a_bar_counts_the_episodes_of_an_evaluation(configure, monkeypatch):
    """Their time does not count as training, so the displayed speed does not change."""
    text, clock = io.StringIO(), iter(range(1000))
    bar = Bar(build(configure("logger=csv")), Console(file=text, width=120, force_terminal=True))
    monkeypatch.setattr("dqn_lab.cli._display.time.perf_counter", lambda: float(next(clock)))
    with bar:
        for played in range(4):
            bar.playing(played, 3)
        assert bar.pace.paused == 6  # two readings of the clock for each of three episodes
    assert "evaluating: episode 2 of 3" in text.getvalue()


@pytest.fixture
def clock(monkeypatch):
    """Returns a clock that only the test advances; compilation is timed by it."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr("time.perf_counter", lambda: Clock.now)
    monkeypatch.setattr(_display, "compiling", Compiling())
    return Clock


def ended(step):
    return Stride(Progress(), Progress(step, 1, 0), ({"episode": 0, "step": step, "return": 1.0, "epsilon": 0.99},))


def test_the_speed_and_the_time_left_exclude_compilation(configure, clock, capsys):
    """Without compilation, 300 steps take three seconds: 100 steps/s, and 7 s for the other 700."""
    with Lines(build(configure("logger=csv", "steps=1000", "episodes=null"))) as lines:
        lines.start()
        clock.now += 1
        lines.stride(Stride(Progress(), Progress(100, 0, 0), ()))
        with _display.compiling:
            _display.compiling.begin()
            clock.now += 50
        with _display.compiling:
            _display.compiling.begin()
        assert _display.compiling.seconds == 50
        clock.now += 2
        lines.stride(ended(300))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "compiling for this machine, once (10 to 60 s) …"
    assert "100 steps/s  0:07 left" in second


def test_a_bar_reports_compilation_and_excludes_its_time(configure, clock):
    screen = io.StringIO()
    bar = Bar(build(configure("logger=csv", "steps=1000", "episodes=null")), Console(file=screen, width=120,
              force_terminal=True))  # fmt: skip
    with bar:
        bar.start()
        with _display.compiling:
            _display.compiling.begin()
            clock.now += 50
        assert "compiling for this machine, once (10 to 60 s) …" in screen.getvalue()
        clock.now += 2
        bar.stride(ended(200))
        assert (bar.smooth_rate, bar.pace.seconds_left(0.2)) == (100, 8)
    assert not _display.compiling.is_news


def test_a_resumed_runs_speed_is_that_of_its_new_steps(configure, clock, capsys):
    experiment = build(configure("logger=csv", "steps=1000", "episodes=null"))
    experiment.rollout.progress = Progress(600, 10, 0)
    with Lines(experiment) as lines:
        lines.start()
        clock.now += 2
        lines.stride(ended(800))
    assert "100 steps/s  0:02 left" in capsys.readouterr().out


def test_compilation_is_reported_once_and_ends_with_the_outermost_context(clock):
    told = []
    one = Compiling()
    began = clock.now
    one.tell = lambda begins: told.append((begins, clock.now - began))
    one.begin()  # outside the context, so not reported
    with one:
        with one:
            one.begin()
            clock.now += 1
            one.begin()
        clock.now += 1
    assert told == [(True, 0), (False, 2)]
    assert one.is_news


@pytest.mark.parametrize("kind", ["lines", "bar"])
def test_the_speed_excludes_evaluations_and_the_time_left_includes_them(configure, clock, capsys, kind):
    """300 steps in three seconds and an evaluation of seven: 100 steps/s, and ten seconds per 300 steps."""
    experiment = build(configure("logger=csv", "steps=900", "episodes=null"))
    shown = Lines(experiment) if kind == "lines" else Bar(experiment, Console(file=io.StringIO(), width=120))
    with shown:
        shown.start()
        clock.now += 1
        shown.playing(0, 2)
        clock.now += 4
        shown.playing(1, 2)
        clock.now += 3
        shown.playing(2, 2)
        clock.now += 2
        shown.stride(ended(300))
        assert (shown.pace.rate(300), shown.pace.seconds_left(1 / 3)) == (100, pytest.approx(20))
        if kind == "bar":
            assert shown.smooth_rate == 100
    if kind == "lines":
        assert "100 steps/s  0:20 left" in capsys.readouterr().out


def test_a_summary_says_what_was_compiled_and_which_limit_ended_the_run(capsys):
    record = {
        "progress": {"episode": 500, "step": 63_590, "updates": 63_527},
        "scores": {"final": {"return_mean": 9.0, "return_std": 1.0, "episodes": 2}},
        "config": {"steps": 100_000, "episodes": 500},
    }
    show_summary(record, "run", 26.0, 17.0)
    first, second, *_ = capsys.readouterr().out.strip().splitlines()
    assert first == "trained   500 episodes, 63,590 steps, 63,527 updates in 26 s, 17 s of them compiling"
    assert second.strip() == "episodes=500 ended the run before steps=100,000; episodes=null removes that limit"
    record["config"]["episodes"] = None
    show_summary(record, "run", 9.0)
    first, second, *_ = capsys.readouterr().out.strip().splitlines()
    assert first.endswith("updates in 9 s")
    assert second.startswith("greedy")
