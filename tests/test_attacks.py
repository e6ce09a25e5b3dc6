"""Short forms of the attacks in tests/benchmarks: faults of the disk, signals, damaged files."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"


def passes(program: str, *words: object) -> bool:
    command = [sys.executable, BENCHMARKS / program, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done.returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="needs a C compiler")
def test_a_run_survives_faults_of_its_disk():
    """File operations throughout a run fail in different ways; the run still ends with the same bytes."""
    assert passes("faults.py", "--stride", 61, "--start", 3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork")
def test_a_command_survives_signals_and_damaged_files():
    assert passes("attack.py", "--tries", 5, "--seed", 3)
