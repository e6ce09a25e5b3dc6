"""What every logger must do."""

from __future__ import annotations

import json

import pytest

from dqn_lab import registry

pytestmark = pytest.mark.parametrize("name", registry.names("logger"))
CONFIG = {"seed": 0, "env": {"name": "gymnasium", "kwargs": {}}, "train": {"minibatch_size": None}}
SUMMARY = {"step": 52, "return_mean": 12.5, "episodes": 100}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Changes to an empty working directory, and keeps wandb offline."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "run").mkdir()


def test_a_whole_run_is_logged_into_its_directory_only(
    make, name, tmp_path, columns, early_row, row, check_global_randomness
):
    with check_global_randomness():
        logger = make("logger", name)
        logger.open(tmp_path / "run", CONFIG, columns)
        logger.write("episodes", early_row)
        logger.write("episodes", row)
        logger.write("timing", {"episode": 1, "step": 52, "seconds": 0.5, "steps_per_second": 104.0})
        info = logger.info()
        logger.close("completed", SUMMARY)
    assert isinstance(json.loads(json.dumps(info)), dict)
    assert any((tmp_path / "run").rglob("*"))
    assert not any((tmp_path / "elsewhere").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "run"]


def test_info_and_close_work_without_open(make, name, tmp_path):
    logger = make("logger", name)
    assert isinstance(logger.info(), dict)
    logger.close("failed", {})
    assert not any((tmp_path / "run").iterdir())


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_ends_without_scores_is_closed_too(make, name, tmp_path, columns, status):
    logger = make("logger", name)
    logger.open(tmp_path / "run", CONFIG, columns)
    logger.close(status, {})
    assert any((tmp_path / "run").rglob("*"))
