"""A report is replaced as a whole or not at all, even if its process is killed."""

import subprocess
import sys

import pytest

from dqn_lab.analysis.report import write
from dqn_lab.analysis.report.write import write_report


@pytest.fixture
def gone():
    """Returns the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_report_killed_between_its_renames_is_restored(tmp_path, gone):
    old, part = tmp_path / f".report-old-{gone}", tmp_path / f".report-new-{gone}"
    for directory in (old, part):
        directory.mkdir()
        (directory / "index.html").write_text(directory.name)
    write._clean_up(tmp_path / "report")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report" / "index.html").read_text() == old.name


def test_leftovers_of_dead_processes_are_removed_and_nothing_else(tmp_path, gone):
    kept = ["report", ".report-new-1", ".report-old-x", ".report-new", "other"]  # process 1 lives
    for name in [*kept, f".report-old-{gone}", f".report-new-{gone}"]:
        (tmp_path / name).mkdir()
    write._clean_up(tmp_path / "report")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_report_that_cannot_be_put_in_place_leaves_the_old_one(sweep, monkeypatch):
    before = write_report(sweep).index.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device", "report")

    monkeypatch.setattr(write, "_fill", fail)
    with pytest.raises(OSError, match="No space"):
        write_report(sweep)
    assert (sweep / "report" / "index.html").read_bytes() == before
    assert [path.name for path in sweep.iterdir() if path.name.startswith(".report")] == []
