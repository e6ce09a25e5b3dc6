"""A read-only disk and a full disk."""

import contextlib
import logging
import os
import subprocess
import sys

import pytest


@pytest.fixture
def disk(tmp_path):
    """Mounts a small file system with the given options."""
    if not sys.platform.startswith("linux") or os.getuid() != 0:
        pytest.skip("needs the right to mount")
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False).returncode:
            pytest.skip("needs the right to mount")
        return place

    yield mount
    for handler in [each for each in logging.getLogger().handlers if isinstance(each, logging.FileHandler)]:
        logging.getLogger().removeHandler(handler)  # Hydra's log file, which is on that disk
        with contextlib.suppress(OSError):
            handler.close()
    if os.path.ismount(place):
        subprocess.run(["umount", "-l", place], check=True)


def test_a_directory_that_cannot_be_written_is_reported_in_one_line(cli, quick, disk):
    place = disk("size=1m,ro")
    outcome = cli("train", *quick, f"hydra.run.dir={place}/run")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert outcome.problems[0].endswith("run: cannot be written: Read-only file system")


@pytest.mark.parametrize("size", [4, 8])
def test_a_full_disk_is_reported_in_one_line(cli, quick, disk, size):
    place = disk(f"size={size}k")
    words = ("train", *quick, f"hydra.run.dir={place}/run")
    outcome = cli(*words)
    assert outcome.code in (1, 2)
    assert len(outcome.problems) == 1
    assert "No space left on device" in outcome.problems[0]
    assert "Traceback" not in outcome.err
