"""A page's directory is replaced as a whole or not at all, even if its process is killed."""

import subprocess
import sys

import pytest

from dqn_lab.analysis import pages


@pytest.fixture
def gone():
    """Returns the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_page_killed_between_its_renames_is_restored(tmp_path, gone):
    old, part = tmp_path / f".report-old-{gone}", tmp_path / f".report-new-{gone}"
    for directory in (old, part):
        directory.mkdir()
        (directory / "index.html").write_text(directory.name)
    pages._clean_up(tmp_path / "report")
    assert [path.name for path in tmp_path.iterdir()] == ["report"]
    assert (tmp_path / "report" / "index.html").read_text() == old.name


def test_leftovers_of_dead_processes_are_removed_and_nothing_else(tmp_path, gone):
    kept = ["report", ".report-new-1", ".report-old-x", ".report-new", "other"]  # process 1 lives
    for name in [*kept, f".report-old-{gone}", f".report-new-{gone}"]:
        (tmp_path / name).mkdir()
    pages._clean_up(tmp_path / "report")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
