"""Weights & Biases, with or without an account."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import netrc
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlparse

from annotated_types import MaxLen, MinLen

from dqn_lab.registry import register
from dqn_lab.types import Row, Table

WAIT = 5  # seconds, for any answer of the server
MAX_ANSWER = 1_000_000  # bytes
_log = logging.getLogger(__name__)


@register("logger", "wandb")
class WandbLogger:
    """Logs the names and values of the CSV files as `<table>/<column>`, against `step`.

    If the server is unreachable, hangs or refuses, a warning is printed after a few seconds and the run continues.

    Args:
        mode: `auto` is online if credentials exist, else offline; it never prompts, and falls back to offline if the
            server does not answer. The environment variable WANDB_MODE overrides `auto`.
        project: the project's name at wandb.
        entity: the account or team; null for the default one.
        group: groups runs in the web interface; null for none.
        tags: the run's tags.
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
        self.id: str | None = None  # of a resumed run

    def open(self, directory: Path, config: Mapping[str, Any], columns: Mapping[Table, Sequence[str]]) -> None:
        """Starts a wandb run under `directory`."""
        mode = choose_mode() if self.mode == "auto" else self.mode
        try:
            if mode == "online":
                check_server()
            self.run = self._init(directory, config, mode)
        except Exception as error:
            _log.warning("wandb: %s; this run is logged offline (`wandb sync` uploads it later)", _one_line(error))
            try:
                with _environ("WANDB_BASE_URL", None):
                    self.run = self._init(directory, config, "offline")
            except Exception as again:
                _log.warning("wandb: %s; this run is not logged to wandb", _one_line(again))

    def _init(self, directory: Path, config: Mapping[str, Any], mode: Any) -> Any:
        import wandb

        asked: dict[str, Any] = {
            "silent": True, "console": "off", "x_disable_stats": True, "disable_git": True, "disable_code": True,
            "init_timeout": WAIT, "finish_timeout": WAIT, "x_graphql_timeout_seconds": WAIT, "x_graphql_retry_max": 1,
            "x_file_stream_retry_max": 1, "x_file_transfer_retry_max": 1,
        }  # fmt: skip
        known = {name: value for name, value in asked.items() if name in wandb.Settings.model_fields}
        with _environ("WANDB_MODE", None), _environ("WANDB_SILENT", "true"):  # the mode is decided here
            run = wandb.init(
                dir=str(directory), name=directory.name[:128], config=dict(config), mode=mode, reinit="create_new",
                id=self.id, resume=None if self.id is None else "allow",
                settings=wandb.Settings(**known), **self.about,  # type: ignore[arg-type]
            )  # fmt: skip
        run.define_metric("*", step_metric="step")
        return run

    def position(self) -> dict[str, Any]:
        """Returns the run's id."""
        return {"id": None if self.run is None else self.run.id}

    def resume(self, position: Mapping[str, Any]) -> None:
        """Continues the wandb run with the same id; offline, in a new directory next to the earlier one.

        What was logged after the position stays, because wandb cannot delete it.
        """
        self.id = position["id"]

    def write(self, table: Table, row: Row) -> None:
        """Logs each column that has a value."""
        if self.run is None:
            return
        named = {f"{table}/{name}": value for name, value in row.items() if name != "step" and value is not None}
        self.run.log({"step": row["step"], **named})

    def show_video(self, path: Path, step: int) -> None:
        """Logs the video of an evaluation."""
        if self.run is None:
            return
        import wandb

        self.run.log({"video": wandb.Video(str(path), format="mp4"), "step": step})

    def close(self, status: str, summary: Row) -> None:
        """Ends the wandb run, with the run's final scores in its summary; waits a few seconds for an upload."""
        if self.run is None:
            return
        self.run.summary.update({"status": status, **summary})
        ending = threading.Thread(target=self.run.finish, args=(0 if status == "completed" else 1,), daemon=True)
        ending.start()
        ending.join(2 * WAIT)
        if ending.is_alive():
            _log.warning("wandb: the server does not answer; upload later with `wandb sync %s`", self.run.dir)

    def info(self) -> dict[str, Any]:
        """Returns the run's id, mode and address."""
        if self.run is None:
            return {}
        url = None if self.run.offline else self.run.url
        return {"wandb": {"id": self.run.id, "offline": self.run.offline, "url": url}}


def check_server() -> None:
    """Asks the server for the user: wandb itself takes half a minute to notice that there is no answer.

    Raises:
        OSError: it does not answer within seconds, does not answer as wandb does, or does not accept the key.
    """
    base, key = base_url(), api_key()
    if key is None:
        raise OSError("no credentials: set WANDB_API_KEY, or run `wandb login`")
    if urlparse(base).scheme not in ("http", "https") or not urlparse(base).hostname:
        raise OSError(f"WANDB_BASE_URL={base}: must be an address such as https://api.wandb.ai")
    credentials = base64.b64encode(f"api:{key}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310  the scheme is checked above
        f"{base.rstrip('/')}/graphql",
        data=b'{"query": "query Viewer { viewer { id } }"}',
        headers={"Content-Type": "application/json", "Authorization": f"Basic {credentials}", "User-Agent": "dqn_lab"},
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT) as response:  # noqa: S310
            answer = json.loads(response.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        refused = "does not accept the API key" if error.code in (401, 403) else "cannot be used"
        raise OSError(f"{base} {refused} (HTTP {error.code})") from error
    except OSError as error:
        raise OSError(f"{base} does not answer ({_one_line(error)})") from error
    except (ValueError, HTTPException) as error:
        raise OSError(f"{base} does not answer as wandb does") from error
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, dict) or "viewer" not in data:
        raise OSError(f"{base} does not answer as wandb does")
    if not data["viewer"]:
        raise OSError(f"{base} does not accept the API key")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:199]}…"


@contextlib.contextmanager
def _environ(name: str, value: str | None) -> Iterator[None]:
    """Sets or removes an environment variable within the block."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def base_url() -> str:
    """Returns the server's address."""
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"


def choose_mode() -> str:
    """Returns `online` if there are credentials, else `offline`; WANDB_MODE takes precedence."""
    asked = os.environ.get("WANDB_MODE")
    if asked in ("online", "offline", "disabled"):
        return asked
    return "online" if api_key() else "offline"


def api_key() -> str | None:
    """Returns the API key that wandb finds without prompting."""
    if key := os.environ.get("WANDB_API_KEY"):
        return key
    homes = (Path.home() / name for name in (".netrc", "_netrc"))
    path = os.environ.get("NETRC") or next((str(path) for path in homes if path.is_file()), None)
    try:
        found = netrc.netrc(path).authenticators(urlparse(base_url()).netloc) if path else None
    except (OSError, ValueError, netrc.NetrcParseError):
        return None
    return found[2] if found else None
