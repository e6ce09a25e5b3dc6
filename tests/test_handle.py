"""`Run`: equal if the directories are, and shown whatever becomes of its files."""

import shutil
from pathlib import Path

import pytest

import dqn_lab

QUICK = {"logger": "csv", "display": "none", "episodes": 2, "evaluation.final_num_episodes": 1}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return dqn_lab.train(**QUICK, directory="run")


def test_two_runs_are_equal_if_their_directories_are(run):
    assert run == dqn_lab.load("run")
    assert len({run, dqn_lab.load(run)}) == 1
    assert run != "run"


def test_a_run_that_was_turned_into_text_is_named(run):
    with pytest.raises(dqn_lab.ConfigError, match=r"^directory: is a run that was turned into text; .*run\.directory$"):
        dqn_lab.load(str(run))


@pytest.mark.parametrize("damage", [shutil.rmtree, lambda path: (path / "run.json").write_text("{}")])
def test_a_run_that_cannot_be_read_is_shown_and_its_properties_say_why(run, damage):
    damage(Path("run"))
    assert repr(run) == "Run('run': cannot be read)"
    assert run._repr_html_().startswith("<div><code>Run(")
    for name in ("record", "status", "scores", "config"):
        with pytest.raises(dqn_lab.ConfigError, match="run"):
            getattr(run, name)
