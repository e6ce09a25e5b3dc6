"""Tells whoever shows a run that code is being compiled."""

from __future__ import annotations

from collections.abc import Callable


class Compiling:
    """Entered where code may have to be compiled; `begin` says that it has to be, and leaving ends it."""

    def __init__(self) -> None:
        self.is_news = False  # whether some of it was not told to anyone
        self.tell: Callable[[bool], None] = lambda begins: None  # called as compiling begins, and as it ends
        self._depth = 0
        self._begun = False

    def __enter__(self) -> Compiling:
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth and self._begun:
            self._begun = False
            self.tell(False)

    def begin(self) -> None:
        """Says that something is compiled from now on, unless it is said already or nobody has entered."""
        if self._depth and not self._begun:
            self._begun = self.is_news = True
            self.tell(True)


compiling = Compiling()
