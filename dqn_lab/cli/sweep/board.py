"""What a running sweep shows: a table that redraws itself, or plain lines in a pipe."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from dqn_lab.cli._display import LINES
from dqn_lab.cli._plain import say
from dqn_lab.cli._text import labelled, number_of
from dqn_lab.cli.sweep.plan import Job
from dqn_lab.records import RUN, final_return, read_record, score_text
from dqn_lab.tasks import task_of

EVERY = 1.0  # seconds between two checks of the directories


class Board:
    """Follows a sweep's jobs through their `run.json`, whatever runs them.

    Args:
        title: the question.
        jobs: all of the sweep's jobs, including completed ones.
        directory: the sweep's.
    """

    def __init__(self, title: str, jobs: Sequence[Job], directory: Path) -> None:
        self.title, self.jobs, self.directory = title, jobs, directory
        self.status = {job.directory: "waiting" for job in jobs}
        self.scores: dict[str, float] = {}
        self.thresholds: dict[str, float] = {}
        self.seen: dict[str, int] = {}
        self.first: tuple[float, int] | None = None  # when the first run ended, and how many had by then
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
                task = task_of(record["config"]["env"])
                if task is not None and task.threshold is not None:
                    self.thresholds[name] = task.threshold
        if self.first is None and self.done() > self.before:
            self.first = time.perf_counter(), self.done()

    def count(self, status: str) -> int:
        """Counts the runs with a status."""
        return sum(each == status for each in self.status.values())

    def done(self) -> int:
        """Counts the runs that have ended, for any reason."""
        return len(self.status) - self.count("waiting") - self.count("running")

    def so_far(self) -> str:
        """Says how many jobs have ended, and estimates the time left without the first of them, which compiles."""
        words, total = f"{self.done()} of {len(self.status)} jobs", len(self.status)
        if self.first is None or self.done() in (self.first[1], total):
            return words
        seconds, ended = time.perf_counter() - self.first[0], self.done() - self.first[1]
        minutes, seconds = divmod(int(seconds / ended * (total - self.done())), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{words}, {f'{hours}:{minutes:02d}' if hours else minutes}:{seconds:02d} left"

    def variants(self) -> dict[str, list[str]]:
        """Returns the runs of each variant."""
        variants: dict[str, list[str]] = {}
        for job in self.jobs:
            variants.setdefault(job.variant, []).append(job.directory)
        return variants

    def mean(self, names: Iterable[str]) -> str:
        """Returns the mean final return of the completed runs."""
        scores = [self.scores[name] for name in names if name in self.scores]
        return score_text(fmean(scores)) if scores else "–"

    def words(self) -> str:
        """Describes the sweep's progress in a line."""
        counts = ", ".join(f"{self.count(status)} {status}" for status in ("running", "failed", "interrupted")
                           if self.count(status))  # fmt: skip
        means = "  ".join(f"{label}: {self.mean(names)}" for label, names in self.variants().items())
        return f"{self.so_far()}{f' ({counts})' if counts else ''}  {means}"

    def table(self) -> Table:
        """Draws each variant's progress in few columns, so that labels have room on a narrow terminal."""
        table = Table(title=escape(self.title), caption=self.so_far(), box=box.SIMPLE_HEAD)
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

    def problems(self, errors: Mapping[str, str]) -> list[str]:
        """Returns a line for each run that did not complete.

        Args:
            errors: why a run failed, if its record does not say so.
        """
        lines = []
        for name, status in self.status.items():
            if status in ("failed", "interrupted") or name in errors:
                reason = errors.get(name) or read_record(self.directory / name).get("error", "")
                lines.append(f"  {'failed' if name in errors else status}: {name}{f': {reason}' if reason else ''}")
        return lines


def summary(board: Board) -> list[str]:
    """Returns a line for each variant: its mean final return and how many of its runs succeeded."""
    variants = board.variants()
    width = max(map(len, variants)) + 2
    lines = [f"{board.count('completed')} of {len(board.status)} jobs completed"]
    for label, names in variants.items():
        done = [name for name in names if name in board.scores]
        wins = [board.scores[name] >= board.thresholds[name] for name in done if name in board.thresholds]
        success = f"  {sum(wins)} of {len(wins)} at {board.thresholds[done[0]]:g} or more" if wins else ""
        text = f"mean final return {board.mean(names)} over {number_of(len(done), 'run')}{success}"
        lines.append(labelled(label, width, text))
    return lines


class Watch:
    """Shows a board from its own thread while a launcher is busy."""

    def __init__(self, board: Board, console: Console) -> None:
        self.board, self.console = board, console
        self.live = Live(board.table(), console=console, auto_refresh=False) if console.is_terminal else None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.printed = board.done()

    def __enter__(self) -> Watch:
        if self.live:
            self.live.start()
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
            self.live.update(self.board.table(), refresh=True)
        elif (self.board.done() - self.printed) * LINES >= len(self.board.status):
            self.printed = self.board.done()
            say(f"{self.printed / len(self.board.status):4.0%}  {self.board.words()}")
