from __future__ import annotations

import json
import struct
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from wandb.proto import wandb_internal_pb2

from dqn_lab.logger.wandb import choose_mode

BLOCK = 32768


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    """Removes wandb's account, settings and server."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(urllib.request, "getproxies", dict)


def parse(data):
    """Reads wandb's file: after a header of 7 bytes, blocks of records in LevelDB's log format."""
    place, parts, found = 7, b"", []
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        if place + 7 + length > len(data):
            break
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(wandb_internal_pb2.Record.FromString(parts))
            parts = b""
    return found


def records(directory, kind):
    """Returns the records of one kind, after wandb's process has written the last record."""
    (path,) = directory.glob("wandb/offline-run-*/*.wandb")
    give_up, found = time.monotonic() + 20, []
    while not (found and found[-1].WhichOneof("record_type") == "exit"):
        assert time.monotonic() < give_up, f"no end of the run in {path}"
        time.sleep(0.02)
        found = parse(path.read_bytes())
    return [getattr(record, kind) for record in found if record.WhichOneof("record_type") == kind]


def values(items):
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def logged(logger, directory, columns, *rows, status="completed"):
    logger.open(directory, {"seed": 3, "env": {"name": "gymnasium"}}, columns)
    info = logger.info()["wandb"]
    for row in rows:
        logger.write("episodes", row)
    logger.close(status, {"return_mean": 12.5})
    return info


def test_a_resumed_run_keeps_its_id(make, tmp_path, columns, early_row, row):
    first, second = (make("logger", "wandb", mode="offline") for _ in range(2))
    first.open(tmp_path, {}, columns)
    first.write("episodes", early_row)
    position = first.position()
    first.close("interrupted", {})
    second.resume(position)
    second.open(tmp_path, {}, columns)
    second.write("episodes", row)
    assert second.info()["wandb"]["id"] == position["id"]
    second.close("completed", {})
    parts = [path.name for path in tmp_path.glob("wandb/offline-run-*")]
    assert len(parts) == 2
    assert all(position["id"] in name for name in parts)


def test_the_same_names_and_values_are_logged_offline(make, tmp_path, columns, early_row, row):
    logger = make("logger", "wandb", mode="offline", project="bench", group="arms", tags=["a", "b"])
    info = logged(logger, tmp_path, columns, early_row, row)
    assert info == {"id": info["id"], "offline": True, "url": None}
    about, *_ = records(tmp_path, "run")
    assert (about.run_id, about.project, about.run_group, list(about.tags)) == (info["id"], "bench", "arms", ["a", "b"])
    assert values(about.config.update)["seed"] == 3
    rows = [values(history.item) for history in records(tmp_path, "history")]
    expected = [
        {key if key == "step" else f"episodes/{key}": value for key, value in each.items() if value is not None}
        for each in (early_row, row)
    ]
    assert [{key: value for key, value in each.items() if not key.startswith("_")} for each in rows] == expected


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 1)])
def test_wandb_is_told_how_a_run_ended(make, tmp_path, columns, status, code):
    logged(make("logger", "wandb", mode="offline"), tmp_path, columns, status=status)
    summary = {}
    for record in records(tmp_path, "summary"):
        summary.update(values(record.update))
    assert (summary["status"], summary["return_mean"]) == (status, 12.5)
    assert [record.exit_code for record in records(tmp_path, "exit")] == [code]


def test_a_run_continues_offline_if_the_server_is_unreachable(make, tmp_path, monkeypatch, caplog, columns, row):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    info = logged(make("logger", "wandb", mode="online"), tmp_path, columns, row)
    assert info["offline"] is True
    assert "http://127.0.0.1:9 does not answer" in caplog.text
    assert "this run is logged offline" in caplog.text
    assert len(records(tmp_path, "history")) == 1


class Server(BaseHTTPRequestHandler):
    """Answers every request with `reply`; None: never answers."""

    reply: tuple[int, bytes] | None = None

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        if self.reply is None:
            self.server.asked.wait()
            return
        status, body = self.reply
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(monkeypatch):
    """Starts a server with the given reply, and makes it wandb's."""
    servers = []

    def start(reply):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Asked", (Server,), {"reply": reply}))
        server.daemon_threads, server.asked = True, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)

    yield start
    for server in servers:
        server.asked.set()
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("reply", "said"), [
    ((200, b"hello"), "does not answer as wandb does"),
    ((200, b"[1]"), "does not answer as wandb does"),
    ((200, b'{"data": {"viewer": null}}'), "does not accept the API key"),
    ((401, b"{}"), r"does not accept the API key (HTTP 401)"),
    ((500, b"oops"), "cannot be used (HTTP 500)"),
    (None, "does not answer (timed out)"),
])  # fmt: skip
def test_a_run_continues_offline_if_the_server_answers_badly(
    make, tmp_path, serve, monkeypatch, caplog, columns, row, reply, said
):
    monkeypatch.setattr("dqn_lab.logger.wandb.WAIT", 1)
    serve(reply)
    info = logged(make("logger", "wandb"), tmp_path, columns, row)
    assert info["offline"] is True
    (line,) = (record.getMessage() for record in caplog.records if record.name == "dqn_lab.logger.wandb")
    assert said in line
    assert "\n" not in line
    assert len(records(tmp_path, "history")) == 1


@pytest.mark.parametrize("changes", [
    {"WANDB_BASE_URL": "not an address"}, {"WANDB_MODE": "nonsense"},
    {"WANDB_BASE_URL": "ftp://a", "WANDB_API_KEY": "0" * 40},
])  # fmt: skip
def test_a_run_continues_offline_with_a_wrong_setting(make, tmp_path, monkeypatch, columns, row, changes):
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    assert logged(make("logger", "wandb"), tmp_path, columns, row)["offline"] is True


def test_a_run_continues_if_wandb_cannot_start(make, tmp_path, monkeypatch, caplog, columns, row):
    def fail(*_, **__):
        raise RuntimeError("no room\nfor wandb")

    monkeypatch.setattr("wandb.init", fail)
    logger = make("logger", "wandb", mode="offline")
    logger.open(tmp_path, {"seed": 3}, columns)
    logger.write("episodes", row)
    logger.close("completed", {"return_mean": 1.0})
    assert logger.info() == {}
    assert "wandb: no room for wandb; this run is not logged to wandb" in caplog.text


def test_the_disabled_mode_writes_nothing(make, tmp_path, columns, row):
    logged(make("logger", "wandb", mode="disabled"), tmp_path, columns, row)
    assert not (tmp_path / "wandb").exists()


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_API_KEY": "k"}, "online"),
        ({"WANDB_API_KEY": ""}, "offline"),
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "k"}, "disabled"),
        ({"WANDB_MODE": "online"}, "online"),
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": "k"}, "offline"),
        ({"WANDB_MODE": "nonsense"}, "offline"),
    ],
)
def test_the_mode_is_chosen_by_the_environment(monkeypatch, environment, mode):
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert choose_mode() == mode


def write_netrc(path, text):
    path.write_text(text + "\n")
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("netrc", "url", "mode"),
    [
        ("machine api.wandb.ai login user password k", None, "online"),
        ("machine elsewhere.org login user password k", None, "offline"),
        ("machine wandb.example.org login user password k", "https://wandb.example.org", "online"),
        ("machine wandb.example.org:8080 login user password k", "https://wandb.example.org:8080", "online"),
        ("this is no netrc file", None, "offline"),
    ],
)
def test_the_mode_is_chosen_by_saved_credentials(monkeypatch, tmp_path, netrc, url, mode):
    write_netrc(tmp_path / "home" / ".netrc", netrc)
    if url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
    assert choose_mode() == mode


def test_the_variable_netrc_names_the_credentials_file(monkeypatch, tmp_path):
    write_netrc(tmp_path / "mine", "machine api.wandb.ai login user password k")
    monkeypatch.setenv("NETRC", str(tmp_path / "mine"))
    assert choose_mode() == "online"
