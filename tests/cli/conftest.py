"""Fixtures that run commands in the test's process, in an empty directory."""

import os
import signal
import sys

import pytest

from dqn_lab.cli import main
from dqn_lab.interrupt import SIGNALS


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.problems = [line for line in err.splitlines() if line.startswith("error: ")]


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Returns a function that runs `python -m dqn_lab WORDS…` and returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["dqn-lab"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    ours = (f"DQN_LAB_{name}" for name in ("COMMAND", "CONFIG_DIR", "PARENT", "REFUSED", "WARNED"))
    for name in ("PYTHONPATH", "HYDRA_FULL_ERROR", *ours):
        monkeypatch.setenv(name, os.environ.get(name, ""))
        monkeypatch.delenv(name)

    def call(*words):
        capsys.readouterr()
        sys.argv = ["dqn-lab", *map(str, words)]
        with pytest.raises(SystemExit) as exit_:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(exit_.value.code or 0, captured.out, captured.err)

    handlers = {number: signal.getsignal(number) for name in SIGNALS if (number := vars(signal).get(name)) is not None}
    dropped = sys.unraisablehook
    yield call
    sys.unraisablehook = dropped
    for number, handler in handlers.items():  # an interrupted command ignores these signals
        signal.signal(number, handler)


QUICK = ("episodes=6", "evaluation.num_episodes=2", "evaluation.final_num_episodes=2", "logger=csv", "display=none")


@pytest.fixture
def quick():
    """Returns overrides that make a run short."""
    return QUICK


@pytest.fixture
def finished(cli, tmp_path):
    """Returns a finished run's directory."""
    cli("train", *QUICK, f"hydra.run.dir='{tmp_path}/finished'")
    return tmp_path / "finished"
