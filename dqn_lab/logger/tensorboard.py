"""TensorBoard event files."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dqn_lab.registry import register
from dqn_lab.types import Row, Table


@register("logger", "tensorboard")
class TensorBoardLogger:
    """Writes scalars `<table>/<column>` against the environment step into `tensorboard/`.

    Needs the extra: `pip install dqn-lab[tensorboard]`.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ValueError("TensorBoard is not installed; pip install tensorboard") from error
        self._event, self._summary, self._open_writer = event_pb2.Event, summary_pb2.Summary, EventFileWriter  # type: ignore[attr-defined]
        self.writer: Any = None

    def open(self, directory: Path, config: Mapping[str, Any], columns: Mapping[Table, Sequence[str]]) -> None:
        """Opens the event file."""
        self.writer = self._open_writer(str(directory / "tensorboard"), flush_secs=10)  # type: ignore[no-untyped-call]

    def write(self, table: Table, row: Row) -> None:
        """Adds each column that has a value."""
        values = [
            self._summary.Value(tag=f"{table}/{name}", simple_value=value)
            for name, value in row.items()
            if value is not None and name != "step"
        ]
        event = self._event(wall_time=time.time(), step=row["step"], summary=self._summary(value=values))
        self.writer.add_event(event)

    def close(self, status: str, summary: Row) -> None:
        """Flushes and closes the event file."""
        if self.writer is not None:
            self.writer.close()

    def info(self) -> dict[str, Any]:
        """Has nothing to tell."""
        return {}
