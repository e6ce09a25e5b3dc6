"""Collects problems of several jobs or variants, to report each once with the names of all that have it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from dqn_lab.errors import ConfigError


class Problems:
    """Collects problems.

    Args:
        kind: what has problems: `job` or `variant`.
        total: how many jobs or variants there are.
        others: problems that concern none of them.
    """

    def __init__(self, kind: str, total: int, others: Iterable[str] = ()) -> None:
        self.kind, self.total, self.others = kind, total, list(others)
        self.found: dict[str, list[str]] = {}

    @contextlib.contextmanager
    def of(self, *names: str) -> Iterator[None]:
        """Collects the problems of a `ConfigError` raised inside, which all these jobs or variants have."""
        try:
            yield
        except ConfigError as error:
            self.add(error.problems, *names)

    def add(self, problems: Iterable[str], *names: str) -> None:
        """Adds problems of some jobs or variants."""
        for problem in problems:
            self.found.setdefault(problem, []).extend(dict.fromkeys(names))

    def lines(self) -> list[str]:
        """Returns a line for each problem."""
        return [*self.others, *(f"{self._who(names)}: {problem}" for problem, names in self.found.items())]

    def _who(self, names: list[str]) -> str:
        if len(names) == self.total:
            return f"every {self.kind}"
        return f"{self.kind} {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"

    def refuse(self) -> None:
        """Raises the problems, if there are any.

        Raises:
            ConfigError: one line per problem.
        """
        if lines := self.lines():
            raise ConfigError(*lines)
