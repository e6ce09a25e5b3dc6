"""Shows a running sweep or grid, as a table that redraws itself or as plain lines in a pipe, and its results."""

from __future__ import annotations

import json
import math
import shlex
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dqn_lab.cli import say
from dqn_lab.cli._display import LINES, WHOLE
from dqn_lab.cli._text import clock, columns, fitting, labelled, number_of, score_text, shown, to_copy
from dqn_lab.cli.sweep.jobs import Job
from dqn_lab.cli.sweep.question import DEFAULT_METRIC
from dqn_lab.records import RUN, final_return, read_record
from dqn_lab.tasks import apart, dotted, task_name, task_of, telling_keys

EVERY = 1.0  # seconds between two checks of the directories
SHOWN = 10  # failed jobs listed at the end
AROUND = 7  # lines of a terminal that a table needs in addition to its rows


class Board:
    """Follows the jobs of a sweep or a grid through their `run.json`, whichever launcher runs them.

    Args:
        title: the question; empty if there is none.
        jobs: all jobs, including completed ones.
        directory: the parent of the jobs' directories.
        metric: what the results at the end are about.
    """

    def __init__(self, title: str, jobs: Sequence[Job], directory: Path, metric: str = DEFAULT_METRIC) -> None:
        self.title, self.jobs, self.directory, self.metric = title, jobs, directory, metric
        self.status = {job.directory: "waiting" for job in jobs}
        self.scores: dict[str, float] = {}
        self.thresholds: dict[str, float] = {}
        self.envs: dict[str, dict[str, Any]] = {}  # configurations of the completed runs' environments
        self.seen: dict[str, int] = {}
        self.first: tuple[float, int] | None = None  # when the first run ended, and how many had ended by then
        self.before = len(jobs)
        self.look()
        self.before = self.done()

    def look(self) -> None:
        """Reads what has changed since the last check."""
        for name, status in self.status.items():
            if status == "completed":
                continue
            try:
                changed = (self.directory / name / RUN).stat().st_mtime_ns
                if self.seen.get(name) == changed and status != "running":  # the process of a running job may have died
                    continue
                record = read_record(self.directory / name)
            except (OSError, ValueError):
                continue  # not begun, or in the middle of being written
            self.seen[name] = changed
            self.status[name] = record["status"]
            if record["status"] == "completed":
                if not math.isnan(score := final_return(record)):
                    self.scores[name] = score
                self.envs[name] = dotted(record["config"]["env"])
                task = task_of(record["config"]["env"])
                if task is not None and task.threshold is not None:
                    self.thresholds[name] = task.threshold
        if self.first is None and self.done() > self.before:
            self.first = time.perf_counter(), self.done()

    def expect(self, names: Iterable[str]) -> None:
        """Marks runs as waiting that are about to start, or to continue after an interruption."""
        self.status.update(dict.fromkeys(names, "waiting"))
        self.before = self.done()

    def count(self, status: str) -> int:
        """Counts the runs with a status."""
        return sum(each == status for each in self.status.values())

    def done(self) -> int:
        """Counts the runs that have ended, for any reason."""
        return len(self.status) - self.count("waiting") - self.count("running")

    def so_far(self) -> str:
        """Returns how many jobs have ended, and the estimated time left, which ignores the first job: it compiles."""
        words, total = f"{self.done()} of {len(self.status)} jobs", len(self.status)
        if self.first is None or self.done() in (self.first[1], total):
            return words
        seconds, ended = time.perf_counter() - self.first[0], self.done() - self.first[1]
        return f"{words}, {clock(seconds / ended * (total - self.done()))} left"

    def variants(self) -> dict[str, list[str]]:
        """Returns the runs of each variant."""
        variants: dict[str, list[str]] = {}
        for job in self.jobs:
            variants.setdefault(job.variant, []).append(job.directory)
        return variants

    def mean(self, names: Iterable[str]) -> str:
        """Returns the mean final return of the completed runs."""
        return _mean([self.scores[name] for name in names if name in self.scores])

    def counts(self) -> str:
        """Describes the progress in a line, without results."""
        counts = ", ".join(f"{self.count(status)} {status}" for status in ("running", "failed", "interrupted")
                           if self.count(status))  # fmt: skip
        return f"{self.so_far()}{f' ({counts})' if counts else ''}"

    def words(self) -> str:
        """Describes the progress in a line, with each variant's mean."""
        means = "  ".join(f"{label}: {self.mean(names)}" for label, names in self.variants().items())
        return f"{self.counts()}  {means}"

    def drawn(self, height: int) -> Group:
        """Draws the progress for a terminal's height: as a table, or as one line if there are too many variants."""
        title = [Text(self.title)] if self.title else []
        if len(self.variants()) + AROUND > height:
            return Group(*title, Text(self.counts()))
        return Group(*title, self.table(), Text(self.so_far()))

    def table(self) -> Table:
        """Draws each variant's progress in few columns, so that labels have room on a narrow terminal."""
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("variant", overflow="fold")
        failed = {status for status in ("failed", "interrupted") if self.count(status)}
        for name in ("done", "running", *sorted(failed), "return"):
            table.add_column(name, justify="right", no_wrap=True)
        for label, names in self.variants().items():
            statuses = [self.status[name] for name in names]
            done = f"{statuses.count('completed')}/{len(statuses)}"
            counts = [str(statuses.count(status)) for status in ("running", *sorted(failed))]
            table.add_row(escape(label), done, *counts, self.mean(names))
        return table

    def code(self) -> int:
        """Returns the exit code: 1 if a job has not completed."""
        return int(self.count("completed") < len(self.status))

    def problems(self, errors: Mapping[str, str]) -> list[str]:
        """Returns a line for each run that did not complete.

        Args:
            errors: why a run failed, if its record does not say so.
        """
        lines = []
        for name, status in self.status.items():
            if status in ("failed", "interrupted") or name in errors:
                reason = errors.get(name) or read_record(self.directory / name).get("error", "")
                what = "failed" if name in errors else status
                lines.append(fitting(f"  {what}: {name}{f': {reason}' if reason else ''}", 4))
        return lines


def show_results(board: Board, errors: Mapping[str, str], hint: bool = True, brief: bool = False) -> list[str]:
    """Prints the results by variant and the jobs that did not complete; returns a line for each of these.

    Args:
        board: the jobs.
        errors: why jobs failed, by directory, if their run.json does not say so.
        hint: print what to type next, if there are results.
        brief: print no results, only how many jobs completed, and which did not.
    """
    board.look()
    bad, place = board.problems(errors), shown(board.directory)
    lines = [] if brief else summary(board)
    lines = [f"{board.count('completed')} of {len(board.status)} jobs completed", *lines, *bad[:SHOWN]]
    lines += [f"  … and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else []
    lines += [] if brief else [to_copy("files", place)]
    if hint and not brief and board.count("completed"):
        lines.append(to_copy("next", shlex.quote(place), "python -m dqn_lab report"))
    say("\n" + "\n".join(lines))
    return [" ".join(line.split()) for line in bad]


def summary(board: Board) -> list[str]:
    """Returns one line per variant with its mean and success count, then notes: on a missing metric, on other tasks."""
    variants, notes = board.variants(), []
    width = max(map(columns, variants), default=0) + 2
    metric, title, scores = DEFAULT_METRIC, "final return", board.scores
    if board.metric != DEFAULT_METRIC and board.scores:
        wanted, found, why = _scores_of(board)
        if found:
            metric, title, scores = board.metric, wanted, found
        else:
            notes.append(f"{why}; these are final returns")
    lines = []
    for label, names in variants.items():
        done = [name for name in names if name in scores]
        there = done if metric == DEFAULT_METRIC else []  # for other metrics there is no threshold
        wins = [scores[name] >= board.thresholds[name] for name in there if name in board.thresholds]
        success = f"  {sum(wins)} of {len(wins)} at {board.thresholds[done[0]]:g} or more" if wins else ""
        runs = "" if len(wins) == len(done) else f" over {number_of(len(done), 'run')}"
        mean = _mean([scores[name] for name in done])
        text = f"mean {title} {mean}{_interval(board, done, scores, metric)}{runs}{success}"
        lines.append(labelled(label, width, text if done else "no results"))
    keys = telling_keys(board.envs.values())
    notes += [apart(keys)] if keys else []
    return [*lines, *(fitting(f"note      {note}", 10) for note in notes)]


def _mean(scores: Sequence[float]) -> str:
    return score_text(fmean(scores)) if scores else "–"


def _scores_of(board: Board) -> tuple[str, dict[str, float], str]:
    """Returns another metric's title, its value in each of the jobs that has a final return, and why there is none."""
    from dqn_lab.analysis import AnalysisError  # slow to import
    from dqn_lab.analysis.report.material import gather
    from dqn_lab.analysis.report.metrics import METRICS
    from dqn_lab.analysis.report.question import Options

    title = METRICS[board.metric].title
    try:
        frame = gather([board.directory], Options(metric=board.metric)).scores
    except AnalysisError as error:
        return title, {}, str(error)
    values = zip(map(Path, frame["directory"]), frame[board.metric], strict=True)
    done = {path.name: float(value) for path, value in values if path.name in board.scores}
    return title, {name: value for name, value in done.items() if not math.isnan(value)}, f"no run has a {title}"


def _interval(board: Board, names: Sequence[str], scores: Mapping[str, float], metric: str) -> str:
    """Returns the 95 % interval of a variant's mean, in parentheses; empty for one run, or runs of several tasks."""
    if len(names) < 2 or telling_keys(board.envs[name] for name in names):
        return ""
    import pandas as pd  # slow to import

    from dqn_lab.analysis import summarize
    from dqn_lab.analysis.tasks import RETURN_BOUNDS

    env = board.envs[names[0]]
    frame = pd.DataFrame({"variant": "", metric: [scores[name] for name in names]})
    bounds = env.get(RETURN_BOUNDS)
    frame = frame.assign(task=task_name(env), **{RETURN_BOUNDS: bounds and json.dumps(bounds)})
    row = summarize(frame, metric).iloc[0]
    if math.isnan(row["mean_low"]):
        return ""
    return f" (95 %: {score_text(row['mean_low'])} to {score_text(row['mean_high'])})"


class Watch:
    """Shows a board from its own thread while a launcher is busy."""

    def __init__(self, board: Board, console: Console) -> None:
        self.board, self.console = board, console
        # the drawing is erased at the end, when the results are printed
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.printed = board.done()

    def __enter__(self) -> Watch:
        if self.live:
            self.live.start()
            self._show()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self._show()
        if self.live:
            self.live.stop()

    def _follow(self) -> None:
        while not self.stop.wait(EVERY):
            self._show()

    def _show(self) -> None:
        self.board.look()
        if self.live:
            self.live.update(self.board.drawn(self.console.height), refresh=True)
        elif (self.board.done() - self.printed) * LINES >= len(self.board.status):
            self.printed = self.board.done()
            say(f"{self.printed / len(self.board.status):4.0%}  {self._line()}")

    def _line(self) -> str:
        """Describes the progress, without the means if they make the line too long to read."""
        words = self.board.words()
        return words if columns(words) <= WHOLE else self.board.counts()
