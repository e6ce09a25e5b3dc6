"""TensorBoard event files."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dqn_lab.registry import register
from dqn_lab.types import Row, Table


@register("logger", "tensorboard")
class TensorBoardLogger:
    """Writes scalars `<table>/<column>` against the environment step into `tensorboard/`.

    Needs the extra: `pip install "dqn-lab[tensorboard]"`.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ValueError('needs an extra: pip install "dqn-lab[tensorboard]"') from error
        self._event, self._summary, self._open_writer = event_pb2.Event, summary_pb2.Summary, EventFileWriter  # type: ignore[attr-defined]
        self.writer: Any = None
        self.folder = Path()
        self.sizes: Mapping[str, int] | None = None  # to which a resumed run cuts the event files

    def open(self, directory: Path, config: Mapping[str, Any], columns: Mapping[Table, Sequence[str]]) -> None:
        """Opens an event file; a resumed run does so at its first row, because another logger may fail to open."""
        self.folder = directory / "tensorboard"
        if self.sizes is None:
            self._start()

    def _start(self) -> Any:
        """Returns the event file's writer, after removing what a resumed run wrote after its checkpoint."""
        if self.writer is None:
            if self.sizes is not None:
                _cut(self.folder, self.sizes)
            self.writer = self._open_writer(str(self.folder), flush_secs=10)  # type: ignore[no-untyped-call]
        return self.writer

    def position(self) -> dict[str, Any]:
        """Returns the size of each event file, after flushing its content."""
        self._start().flush()
        return {path.name: path.stat().st_size for path in self.folder.iterdir()}

    def resume(self, position: Mapping[str, Any]) -> None:
        """Sets the sizes to which the event files are cut before rows are added; later files are removed."""
        self.sizes = position

    def write(self, table: Table, row: Row) -> None:
        """Adds each column that has a value."""
        values = [
            self._summary.Value(tag=f"{table}/{name}", simple_value=value)
            for name, value in row.items()
            if value is not None and name != "step"
        ]
        event = self._event(wall_time=time.time(), step=row["step"], summary=self._summary(value=values))
        self._start().add_event(event)

    def close(self, status: str, summary: Row) -> None:
        """Flushes and closes the event file."""
        if self.writer is not None:
            self.writer.close()

    def info(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}


def _cut(folder: Path, sizes: Mapping[str, int]) -> None:
    for path in folder.glob("events.out.tfevents.*"):
        if path.name in sizes:
            os.truncate(path, min(path.stat().st_size, sizes[path.name]))
        else:
            path.unlink()
