from __future__ import annotations

import sys

import pytest

from dqn_lab.types import ConfigError

accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(directory):
    """Returns the steps and values of every scalar."""
    events = accumulators.EventAccumulator(str(directory / "tensorboard"))
    events.Reload()
    return {tag: [(item.step, item.value) for item in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_scalars_are_logged_by_environment_step(make, tmp_path, columns, early_row, row):
    logger = make("logger", "tensorboard")
    logger.open(tmp_path, {}, columns)
    logger.write("episodes", early_row)
    logger.write("episodes", row)
    logger.write("evaluations", {"step": 52, "return_mean": 12.5, "return_std": None})
    logger.close("completed", {})
    scalars = read(tmp_path)
    assert scalars["episodes/return"] == [(20, 20.0), (52, 32.0)]
    assert scalars["episodes/episode"] == [(20, 0.0), (52, 1.0)]
    assert scalars["episodes/loss"] == [(52, pytest.approx(0.3))]
    assert scalars["evaluations/return_mean"] == [(52, 12.5)]
    assert scalars.keys() == {f"episodes/{key}" for key in row if key != "step"} | {"evaluations/return_mean"}


def test_without_the_package_the_logger_is_refused_in_one_line(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(ConfigError, match=r"^logger=tensorboard: needs an extra: pip install "):
        make("logger", "tensorboard")
