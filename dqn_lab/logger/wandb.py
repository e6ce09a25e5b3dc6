"""Weights & Biases, with an account or without."""

from __future__ import annotations

import logging
import netrc
import os
import socket
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlparse

from annotated_types import MaxLen, MinLen

from dqn_lab.registry import register
from dqn_lab.types import Row, Table

_log = logging.getLogger(__name__)


@register("logger", "wandb")
class WandbLogger:
    """Logs the same names and values as the CSV files, against `step`.

    Args:
        mode: `auto` is online where credentials exist, else offline; it never asks, and goes on offline where the
            server cannot be reached. The environment variable WANDB_MODE overrides `auto`.
        project: the project's name at wandb.
        entity: the account or team; null for the default one.
        group: puts runs together in the web interface; null for none.
        tags: of the run.
    """

    def __init__(
        self,
        *,
        mode: Literal["auto", "online", "offline", "disabled"] = "auto",
        project: str = "dqn_lab",
        entity: str | None = None,
        group: str | None = None,
        tags: list[Annotated[str, MinLen(1), MaxLen(64)]] = [],  # noqa: B006 (never changed)
    ) -> None:
        if not project or set(project) & set("/\\#?%:"):
            raise ValueError(f"project={project}: must be a name without / \\ # ? % :")
        self.mode = mode
        self.about = {"project": project, "entity": entity, "group": group, "tags": tags}
        self.run: Any = None

    def open(self, directory: Path, config: Mapping[str, Any], columns: Mapping[Table, Sequence[str]]) -> None:
        """Starts a wandb run under `directory`."""
        mode = choose_mode() if self.mode == "auto" else self.mode
        try:
            if mode == "online":
                _knock()
            self.run = self._init(directory, config, mode)
        except Exception as error:  # a server that is away costs a warning, never the run
            if mode != "online":
                raise
            _log.warning(
                "wandb could not go online (%s); this run is logged offline", " ".join(str(error).split())[:200]
            )
            self.run = self._init(directory, config, "offline")
        self.run.define_metric("*", step_metric="step")

    def _init(self, directory: Path, config: Mapping[str, Any], mode: Any) -> Any:
        import wandb

        settings = wandb.Settings(
            silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True, init_timeout=30
        )
        return wandb.init(
            dir=str(directory),
            name=directory.name[:128],
            config=dict(config),
            mode=mode,
            settings=settings,
            reinit="create_new",
            **self.about,  # type: ignore[arg-type]
        )

    def write(self, table: Table, row: Row) -> None:
        """Logs each column that has a value."""
        self.run.log({name: value for name, value in row.items() if value is not None})

    def show_video(self, path: Path, step: int) -> None:
        """Logs the film of an evaluation."""
        import wandb

        self.run.log({"video": wandb.Video(str(path), format="mp4"), "step": step})

    def close(self, status: str, summary: Row) -> None:
        """Ends the wandb run, with the run's final scores in its summary."""
        if self.run is not None:
            self.run.summary.update({"status": status, **summary})
            self.run.finish(exit_code=0 if status == "completed" else 1)

    def info(self) -> dict[str, Any]:
        """Returns the run's id, mode and address."""
        if self.run is None:
            return {}
        url = None if self.run.offline else self.run.url
        return {"wandb": {"id": self.run.id, "offline": self.run.offline, "url": url}}


def _knock() -> None:
    """Finds out in a moment what wandb itself takes half a minute to find out: that no server answers.

    Raises:
        OSError: nobody there, or nobody to be there as.
    """
    if not has_credentials():
        raise OSError("no credentials: set WANDB_API_KEY, or run `wandb login`")
    if urllib.request.getproxies():
        return  # the proxy would answer, not the server
    url = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    port = url.port or (80 if url.scheme == "http" else 443)
    socket.create_connection((url.hostname or "", port), timeout=5).close()


def choose_mode() -> str:
    """Returns `online` where wandb finds credentials without asking, `offline` elsewhere; WANDB_MODE goes first."""
    asked = os.environ.get("WANDB_MODE")
    if asked in ("online", "offline", "disabled"):
        return asked
    return "online" if has_credentials() else "offline"


def has_credentials() -> bool:
    """Returns whether wandb would find an API key without asking a person for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    homes = (Path.home() / name for name in (".netrc", "_netrc"))
    path = os.environ.get("NETRC") or next((str(path) for path in homes if path.is_file()), None)
    try:
        return bool(path and netrc.netrc(path).authenticators(host))
    except (OSError, netrc.NetrcParseError):
        return False
