"""The benchmark programs still run: short forms of those that nothing else calls."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import equivalence

BENCHMARKS = Path(__file__).parent / "benchmarks"
PROGRAMS = sorted(path.stem for path in BENCHMARKS.glob("[a-z]*.py"))
# packages that only they need
OTHERS = {"jax_dqn": "jax", "peers_resume": "stable_baselines3", "sb3_dqn": "stable_baselines3"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_can_be_imported_and_documents_its_command(name, monkeypatch):
    if needed := OTHERS.get(name):
        pytest.importorskip(needed, reason=f"{name}.py needs {needed}")
    monkeypatch.syspath_prepend(BENCHMARKS)  # as for a script: two of them import a third
    program = importlib.import_module(f"tests.benchmarks.{name}")
    assert f"tests/benchmarks/{name}.py" in program.__doc__, "the command is part of its docstring"


def test_both_rollouts_have_the_same_figure_in_the_test_of_equivalence(monkeypatch):
    monkeypatch.setattr(equivalence, "STEPS", 300)
    figures = [equivalence.run(("default, rollouts", side, 0))[1] for side in ("compiled", "python")]
    assert figures[0] == figures[1] > 0


def test_a_program_lists_its_comparisons():
    words = [sys.executable, "-m", "tests.benchmarks.equivalence", "--help"]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]).stdout
    assert "default, rollouts" in shown
