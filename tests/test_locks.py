"""Which process owns a directory."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from dqn_lab.locks import LOCK, SILENCE, Claim, is_claimed
from dqn_lab.records import read_record, write_record
from dqn_lab.types import ConfigError

HERE = {"host": socket.gethostname(), "status": "running", "config": {"seed": 0}}


@pytest.fixture
def claim(tmp_path):
    (tmp_path / "run").mkdir()
    claim = Claim(tmp_path / "run", "is taken")
    yield claim
    claim.release()


def test_a_directory_has_one_user(claim, tmp_path):
    with pytest.raises(ConfigError, match="run: is taken"):
        Claim(tmp_path / "run", "is taken")
    assert is_claimed(tmp_path / "run", HERE)
    claim.release()
    assert not is_claimed(tmp_path / "run", HERE)
    Claim(tmp_path / "run", "is taken").release()


HOLD = """
import sys, time
from pathlib import Path
from dqn_lab.locks import Claim
Claim(Path(sys.argv[1]), "is taken")
print("held", flush=True)
time.sleep(600)
"""


def test_a_killed_process_releases_its_claim_and_its_run_reads_as_interrupted(tmp_path):
    """Also if another process has its id by then."""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        write_record(tmp_path, {**HERE, "pid": os.getpid()})
        assert read_record(tmp_path)["status"] == "running"
        with pytest.raises(ConfigError, match="is taken"):
            Claim(tmp_path, "is taken")
        process.send_signal(signal.SIGKILL)
    assert read_record(tmp_path)["status"] == "interrupted"
    Claim(tmp_path, "is taken").release()


def test_a_child_that_outlives_its_parent_does_not_hold_its_directory(tmp_path):
    """An environment may have forked the child."""
    child = HOLD.replace('print("held"', "import os\nif os.fork(): os._exit(0)\nprint(os.getpid()")
    with subprocess.Popen([sys.executable, "-c", child, tmp_path], stdout=subprocess.PIPE) as process:
        number = int(process.stdout.readline())
        process.wait()
        assert not is_claimed(tmp_path, HERE)
        os.kill(number, signal.SIGKILL)


@pytest.mark.parametrize("ago", [0, SILENCE * 2, -SILENCE * 2])
def test_from_another_machine_only_a_recent_heartbeat_counts(claim, tmp_path, ago):
    os.utime(tmp_path / "run" / LOCK, (time.time() - ago,) * 2)
    assert is_claimed(tmp_path / "run", {**HERE, "host": "elsewhere"}) == (ago == 0)


@pytest.mark.filterwarnings("ignore:flock not supported")
def test_without_locks_in_the_file_system_the_heartbeat_counts(tmp_path, monkeypatch):
    """As on some network file systems; the claim then depends on a file of its own."""

    def flock(file, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    claim = Claim(tmp_path, "is taken")
    with pytest.raises(ConfigError, match="is taken"):
        Claim(tmp_path, "is taken")
    assert is_claimed(tmp_path, HERE)
    os.utime(tmp_path / LOCK, (time.time() - 2 * SILENCE,) * 2)
    assert not is_claimed(tmp_path, HERE)
    claim.release()
    assert not is_claimed(tmp_path, HERE)


def test_another_directory_of_the_same_name_is_not_the_one_that_was_claimed(claim, tmp_path):
    assert claim.holds()
    shutil.rmtree(tmp_path / "run")
    assert not claim.holds()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).touch()
    assert not claim.holds()


def test_a_directory_that_was_renamed_is_not_where_it_was(claim, tmp_path):
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    assert not claim.holds()
