"""Collects problems of several jobs or variants, to report each once with the names of all that have it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dqn_lab.errors import ConfigError


class Problems:
    """Collects problems.

    Args:
        kind: what has problems: `job` or `variant`.
        total: how many jobs or variants there are.
    """

    def __init__(self, kind: str, total: int) -> None:
        self.kind, self.total = kind, total
        self.found: dict[str, list[str]] = {}

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Collects the problems of a `ConfigError` raised inside."""
        try:
            yield
        except ConfigError as error:
            self.add(name, error.problems)

    def add(self, name: str, problems: tuple[str, ...] | list[str]) -> None:
        """Adds problems of one job or variant."""
        for problem in problems:
            self.found.setdefault(problem, []).append(name)

    def lines(self) -> list[str]:
        """Returns a line for each problem."""
        return [f"{self._who(names)}: {problem}" for problem, names in self.found.items()]

    def _who(self, names: list[str]) -> str:
        if len(names) == self.total:
            return f"every {self.kind}"
        return f"{self.kind} {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"

    def refuse(self) -> None:
        """Raises the problems, if there are any.

        Raises:
            ConfigError: one line per problem.
        """
        if self.found:
            raise ConfigError(*self.lines())
