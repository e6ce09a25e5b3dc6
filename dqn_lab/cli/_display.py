"""Displays of a run's progress: a bar, plain lines, or the notebook's line."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from dqn_lab._compiling import compiling
from dqn_lab.cli import COMPILING, say, status
from dqn_lab.cli._quiet import Notebook, Quiet
from dqn_lab.cli._text import clock, returns_text
from dqn_lab.schedule import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from dqn_lab.train import Experiment
    from dqn_lab.types import Row, Stride

REFRESH = 0.1  # seconds
WHOLE = 114  # columns in which a line about a run fits without being shortened
LINES = 20  # per run, if the output is not a terminal


class Pace:
    """The speed since the clock was started: at a run's beginning, when it was resumed, or after compiling.

    Args:
        step: the run's environment steps so far.
        share: the share of the budget that is spent, in [0, 1].
    """

    def __init__(self, step: int = 0, share: float = 0.0) -> None:
        self.began, self.step, self.share = time.perf_counter(), step, share
        self.paused = 0.0  # seconds of evaluations, which do not count towards the speed

    def rate(self, step: int) -> float:
        """Returns the steps per second, without evaluations."""
        return (step - self.step) / max(time.perf_counter() - self.began - self.paused, 1e-9)

    def seconds_left(self, share: float) -> float | None:
        """Estimates the seconds left in training, with evaluations; None if nothing is known yet."""
        done = share - self.share
        return (time.perf_counter() - self.began) * (1 - share) / done if done > 0 else None


class _Live(Quiet):
    """Base class of the bar and the lines: follows a run and describes its progress."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.returns: deque[float] = deque(maxlen=20)
        self.explored: dict[str, float] = {}  # what the exploration reported for the last episode
        self.progress = Progress()
        self.pace = Pace()
        self.evaluated = self.pace.began  # when the latest evaluation began

    def __enter__(self) -> _Live:
        self._tell, compiling.tell = compiling.tell, self.compile
        return self

    def __exit__(self, *_: object) -> None:
        compiling.tell = self._tell

    def start(self) -> None:
        """Starts the clock; a resumed run starts from the progress it has."""
        self.progress = self.experiment.rollout.progress
        self.restart()

    def restart(self) -> None:
        """Restarts the measurement of the speed and the time left."""
        self.pace = Pace(self.progress.step, self.share())
        self.evaluated = self.pace.began  # of an evaluation in progress, the rest counts

    def playing(self, played: int, total: int) -> None:
        """Follows an evaluation, whose time does not count towards the run's speed."""
        now = time.perf_counter()
        if not played:
            self.evaluated = now
        elif played == total:
            self.pace.paused += now - self.evaluated

    def compile(self, begins: bool) -> None:
        """Called when compiling begins, whose time does not count towards a run's speed, and when it ends."""
        compiling.is_news = False
        if not begins:
            self.restart()

    def stride(self, stride: Stride) -> None:
        """Follows the run."""
        self.progress = stride.after
        self.returns.extend(float(row["return"] or 0.0) for row in stride.episodes)
        for row in stride.episodes[-1:]:
            self.explored = {name: float(row[name] or 0.0) for name in self.experiment.agent.exploration.columns}

    def share(self) -> float:
        """Returns the share of the budget that is spent, in [0, 1]."""
        return self.experiment.due.share(self.progress)

    def words(self, rate: float, width: int | None = None) -> str:
        """Describes progress, returns and speed; with a width, in short form and at most that many columns."""
        at, short = self.progress, width is not None
        parts = [(f"ep {at.episode:,}" if short else f"episode {at.episode:,}", 2), (f"step {at.step:,}", 4)]
        if self.returns:
            last, count = f"return {_four_digits(self.returns[-1])}", len(self.returns)
            mean = f"last {count}: {_four_digits(sum(self.returns) / count)}"
            parts.append(((mean if count > 1 else last) if short else f"{last} ({mean})", 5))
        for name, value in self.explored.items():
            parts.append((f"{'ε' if name == 'epsilon' else name} {value:.2f}", 1))
        parts.append((f"{rate:,.0f}/s" if short else f"{rate:,.0f} steps/s", 3))
        while width is not None and len(parts) > 1 and len("  ".join(text for text, _ in parts)) > width:
            parts.remove(min(parts, key=lambda part: part[1]))  # the least important is left out first
        return "  ".join(text for text, _ in parts)


class Bar(_Live):
    """A progress bar that redraws itself in place."""

    def __init__(self, experiment: Experiment, console: Console) -> None:
        from rich import progress as rich_progress  # imported once there is a run to show

        super().__init__(experiment)
        narrow = console.width < WHOLE
        # the columns left next to a short bar, the percentage and the time left
        self.room = max(0, console.width - 26) if narrow else None
        self.bar = rich_progress.Progress(
            # a fixed width; otherwise the bar would jump whenever a number next to it grows
            rich_progress.BarColumn(bar_width=8 if narrow else min(30, 8 + console.width - WHOLE)),
            rich_progress.TaskProgressColumn(text_format="{task.percentage:>3.0f}%"),
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.TextColumn("{task.fields[left]}"),
            console=console,
            auto_refresh=False,
        )
        self.task = self.bar.add_task("starting", total=1.0, left="")
        self.drawn, self.drawn_step, self.smooth_rate = self.pace.began, 0, 0.0
        self.shown, self.drawn_paused = self.drawn, 0.0

    def __enter__(self) -> Bar:
        super().__enter__()
        status()
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._draw(time.perf_counter())
        self.bar.update(self.task, left="")  # the run has ended, even if by an interruption
        self.bar.stop()
        super().__exit__()

    def restart(self) -> None:
        """Restarts the measurement of the speed and the time left."""
        super().restart()
        self.drawn, self.drawn_paused = self.pace.began, 0.0
        self.drawn_step, self.smooth_rate = self.progress.step, 0.0

    def compile(self, begins: bool) -> None:
        """Shows that code is being compiled."""
        super().compile(begins)
        if begins:
            self.bar.update(self.task, description=f"{COMPILING} …", refresh=True)

    def stride(self, stride: Stride) -> None:
        """Redraws at most once every `REFRESH` seconds."""
        super().stride(stride)
        now = time.perf_counter()
        if now - self.drawn >= REFRESH:
            self._draw(now)

    def _draw(self, now: float) -> None:
        seconds = now - self.drawn - (self.pace.paused - self.drawn_paused)
        rate = (self.progress.step - self.drawn_step) / max(seconds, 1e-9)
        self.smooth_rate = 0.9 * self.smooth_rate + 0.1 * rate if self.smooth_rate else rate
        self.drawn, self.drawn_step, self.drawn_paused = now, self.progress.step, self.pace.paused
        words = self.words(self.smooth_rate, self.room)
        self.bar.update(self.task, completed=self.share(), description=words)
        self.bar.update(self.task, left=self._left(), refresh=True)

    def _left(self) -> str:
        """Estimates the training time left; empty once training has ended and only evaluations remain."""
        seconds = self.pace.seconds_left(self.share())
        if self.share() >= 1:
            return ""
        return f"{'-:--' if seconds is None else clock(seconds)} left"

    def playing(self, played: int, total: int) -> None:
        """Shows an evaluation's progress."""
        super().playing(played, total)
        now = time.perf_counter()
        if not played:
            self.shown = now
        elif played < total and now - self.shown >= REFRESH:
            self.shown = now
            self.bar.update(self.task, description=f"evaluating: episode {played} of {total}", refresh=True)

    def evaluation(self, row: Row, label: str) -> None:
        """Prints a line above the bar."""
        self.bar.console.print(_evaluation_line(row, label), highlight=False, markup=False)


class Lines(_Live):
    """About twenty plain lines per run, for logs and pipes."""

    def __init__(self, experiment: Experiment, width: int | None = None) -> None:
        super().__init__(experiment)
        self.printed = 0.0
        self.room = width - 20 if width is not None and width < WHOLE else None  # next to the share and the time left
        self.told = False  # whether it has said that code is being compiled

    def __enter__(self) -> Lines:
        super().__enter__()
        if compiling.is_news:  # code was compiled while the run was built; more will follow
            self.compile(True)
        return self

    def start(self) -> None:
        """Starts the clock; a resumed run starts from the progress it has."""
        super().start()
        self.printed = self.share()

    def compile(self, begins: bool) -> None:
        """Says once that code is being compiled."""
        super().compile(begins)
        if begins and not self.told:
            self.told = True
            say(f"{COMPILING} …")

    def stride(self, stride: Stride) -> None:
        """Prints a line after every twentieth of the budget, at the end of an episode."""
        super().stride(stride)
        if stride.episodes and self.share() - self.printed >= 1 / LINES - 1e-9:
            self.printed = self.share()
            left = f"{clock(self.pace.seconds_left(self.printed) or 0)} left"
            say(f"{self.printed:4.0%}  {self.words(self.pace.rate(self.progress.step), self.room)}  {left}")

    def evaluation(self, row: Row, label: str) -> None:
        """Prints the evaluation."""
        say(_evaluation_line(row, label))


def _four_digits(value: float) -> str:
    """Formats a number with four digits, or without decimals if it is large; a residue of rounding becomes 0."""
    return f"{value:,.0f}" if abs(value) >= 9_999.5 else f"{round(value, 9):z.4g}"


def _evaluation_line(row: Row, label: str) -> str:
    return f"step {row['step']:,}, {label}: {returns_text(row)}"


def make_display(kind: str, experiment: Experiment) -> Any:
    """Returns the display called `kind`; `auto` is a bar on a terminal and lines elsewhere."""
    if kind == "notebook":
        return Notebook(experiment.agent.exploration.report)
    if kind == "none":
        return Quiet()
    from rich.console import Console  # imported once there is a run to show

    console = Console()
    if kind == "bar" or (kind == "auto" and console.is_terminal):
        return Bar(experiment, console)
    return Lines(experiment, console.width if console.is_terminal else None)
