"""Tells the display that code is being compiled."""

from __future__ import annotations

import time
from collections.abc import Callable


class Compiling:
    """A context in which code may have to be compiled: `begin` reports that it has to be, leaving that it is done."""

    def __init__(self) -> None:
        self.is_news = False  # whether compiling has begun since a display last reset this
        self.tell: Callable[[bool], None] = lambda begins: None  # called when compiling begins, and when it ends
        self.seconds = 0.0  # spent compiling so far
        self._depth = 0
        self._begun: float | None = None  # when compiling began

    def __enter__(self) -> Compiling:
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth and self._begun is not None:
            self.seconds += time.perf_counter() - self._begun
            self._begun = None
            self.tell(False)

    def begin(self) -> None:
        """Reports that compiling begins, unless that was reported already or the context was not entered."""
        if self._depth and self._begun is None:
            self._begun, self.is_news = time.perf_counter(), True
            self.tell(True)


compiling = Compiling()
