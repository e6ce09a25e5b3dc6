"""All loggers of a run, combined into one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dqn_lab._outside import located
from dqn_lab.errors import TRACEBACK
from dqn_lab.hooks import Continues, ShowsVideo
from dqn_lab.types import ConfigError, Logger, Row, Table, TrainingError

_log = logging.getLogger(__name__)


class Logs:
    """Passes every row to every logger.

    Args:
        loggers: the loggers by name.
        columns: each table's columns; a row may have no others.
    """

    def __init__(self, loggers: Mapping[str, Logger], columns: Mapping[Table, Sequence[str]]) -> None:
        self.loggers, self.columns = loggers, columns
        self.opened: list[str] = []

    def open(self, directory: Path, config: Mapping[str, Any], positions: Mapping[str, Any]) -> dict[str, Any]:
        """Opens every logger in a run's directory; those with a position continue from there.

        Returns:
            what `run.json` should say about them.
        """
        about: dict[str, Any] = {}
        for name, logger in self.loggers.items():
            if name in positions and isinstance(logger, Continues):
                with _blamed(name, logger, "resume"):
                    logger.resume(positions[name])
            with _blamed(name, logger, "open"):
                logger.open(directory, config, self.columns)
            self.opened.append(name)
            with _blamed(name, logger, "info"):
                about.update(logger.info())
        return about

    def write(self, table: Table, row: Row) -> None:
        """Adds a row to a table.

        Raises:
            ValueError: the row has a column that was not declared.
        """
        unknown = row.keys() - set(self.columns[table])
        if unknown:
            raise ValueError(f"{table}: no column {', '.join(sorted(unknown))}; declared: {self.columns[table]}")
        for name, logger in self.loggers.items():
            with _blamed(name, logger, "write"):
                logger.write(table, row)

    def show_video(self, path: Path, step: int) -> None:
        """Passes the video of an evaluation to the loggers that accept videos."""
        for logger in self.loggers.values():
            if isinstance(logger, ShowsVideo):
                logger.show_video(path, step)

    def positions(self) -> dict[str, Any]:
        """Returns each logger's position, once everything before that is safely on disk."""
        return {name: logger.position() for name, logger in self.loggers.items() if isinstance(logger, Continues)}

    def close(self, status: str, summary: Row) -> None:
        """Closes every logger that was opened; warns about one that fails."""
        for name in self.opened:
            try:
                self.loggers[name].close(status, summary)
            except Exception as error:
                _log.warning("logger=%s: close raised %s", name, located(error))
                _log.info("its traceback", exc_info=error)  # for train.log alone


@contextlib.contextmanager
def _blamed(name: str, logger: Logger, method: str) -> Iterator[None]:
    """Adds the logger and its method to an error that does not say where it comes from.

    Raises:
        TrainingError: the logger raised.
    """
    try:
        yield
    except (ConfigError, TrainingError):
        raise
    except Exception as error:
        is_own = type(logger).__module__.startswith("dqn_lab.")
        if is_own and isinstance(error, OSError) and error.errno is not None:  # the system's, such as a full disk
            raise
        said = f"logger={name}: {method} raised {located(error)}"
        raise TrainingError(f"{said}{TRACEBACK}")  # noqa: B904 (`from` a StopIteration, contextlib would raise that)
