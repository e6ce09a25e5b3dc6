"""Signals at the moments at which they could do most harm."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest

from dqn_lab import interrupt
from dqn_lab._paths import policy_path
from dqn_lab.build import build
from dqn_lab.cli import _interrupt
from dqn_lab.cli._quiet import Quiet
from dqn_lab.interrupt import Interrupted, asked, check, listening, shut
from dqn_lab.records import read_record, saved_states
from dqn_lab.run import Run

SHORT = ("logger=csv", "episodes=null", "steps=200", "evaluation.final_num_episodes=1")
SELDOM = ("rollout=python", "evaluation.interval=null")  # a stride is an episode
OFTEN = ("evaluation.interval=20", "evaluation.unit=steps", "evaluation.num_episodes=1")  # a stride is 20 steps


@pytest.fixture(autouse=True)
def handlers():
    """Restores the handlers that a test changes."""
    before = {number: signal.getsignal(number) for number in (*interrupt.heeded(), signal.SIGALRM)}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)
    asked.number, asked.count, asked.hold, asked.heard = None, 0, False, False


def raise_signals(*numbers):
    for number in numbers:
        signal.raise_signal(number)


def test_an_interruption_can_be_pickled():
    error = pickle.loads(pickle.dumps(Interrupted(15, safe=True, text="at step 3")))
    assert (error.number, error.safe, error.code, str(error)) == (15, True, 143, "at step 3")


def test_further_signals_do_not_disturb_the_cleanup():
    """Further signals are ignored, and a Ctrl-C that hurries the cleanup does not break it."""

    @listening()
    def work():
        raise_signals(signal.SIGTERM)
        try:
            check()
        finally:
            raise_signals(*[signal.SIGTERM] * 10, signal.SIGINT, signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        work()
    assert (caught.value.number, caught.value.safe) == (signal.SIGTERM, True)


def test_a_second_ctrl_c_does_not_wait_for_a_safe_point():
    work = listening()(lambda: raise_signals(signal.SIGINT, signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        work()
    assert not caught.value.safe


def test_a_signal_that_comes_too_late_for_one_job_stops_the_next():
    """Otherwise a Ctrl-C at the very end of a run would be lost, and the next run would begin."""
    done = []

    def work():
        with listening():
            raise_signals(signal.SIGTERM)
            done.append("first")
        done.append("second")

    with pytest.raises(Interrupted) as caught, _interrupt.listening():
        work()
    assert done == ["first"]
    assert caught.value.number == signal.SIGTERM


def test_an_earlier_handler_from_outside_gets_the_signal():
    heard = []
    signal.signal(signal.SIGUSR2, lambda number, _: heard.append(number))
    with contextlib.suppress(Interrupted), listening():
        raise_signals(signal.SIGUSR2)
        check()
    assert heard == [signal.SIGUSR2]


def test_a_command_ends_once():
    def work():
        try:
            raise_signals(signal.SIGTERM)
        finally:
            raise_signals(*[signal.SIGTERM] * 10, signal.SIGINT)

    with pytest.raises(Interrupted) as caught, _interrupt.listening():
        work()
    assert caught.value.code == 143


def test_an_interruption_wrapped_by_a_library_is_still_one():
    """Hydra and argparse raise their own errors, which would read as mistakes in the command."""

    def work():
        try:
            raise_signals(signal.SIGINT)
        except BaseException as error:
            raise ValueError("seed=1: cannot be read") from error

    with pytest.raises(Interrupted) as caught, _interrupt.listening():
        work()
    assert caught.value.code == 130
    with pytest.raises(ValueError, match="really"), _interrupt.listening():
        raise ValueError("really")


@pytest.mark.parametrize("end", [SystemExit(0), OSError("gone"), KeyboardInterrupt()])
def test_a_failure_to_close_causes_a_warning(caplog, end):
    def close():
        raise end

    shut("the environment", close)
    assert caplog.messages[0].startswith("closing the environment: ")


def test_closing_that_hangs_is_abandoned_after_a_signal(caplog, monkeypatch):
    monkeypatch.setattr(interrupt, "CLOSING", 0.05)
    with contextlib.suppress(Interrupted), listening():
        raise_signals(signal.SIGTERM)
        shut("the environment", lambda: time.sleep(60))
        check()
    assert caplog.messages == ["closing the environment: took too long"]


class Watcher(Quiet):
    """Calls `act` at the third stride."""

    def __init__(self, act):
        self.act, self.strides = act, 0

    def stride(self, stride):
        self.strides += 1
        if self.strides == 3:
            self.act()


@pytest.mark.parametrize(
    "numbers", [[signal.SIGINT] * 2, [signal.SIGINT, signal.SIGTERM], [signal.SIGTERM] * 10, [signal.SIGUSR1]]
)
@pytest.mark.parametrize("strides", [SELDOM, ("rollout=compiled", "env.implementation=compiled", *OFTEN)])
def test_a_run_interrupted_repeatedly_is_saved_and_recorded_as_interrupted(configure, tmp_path, numbers, strides):
    run = Run(build(configure(*SHORT, *strides)), tmp_path / "run", {})
    with pytest.raises(Interrupted) as caught:
        run.execute(Watcher(lambda: raise_signals(*numbers)))
    assert caught.value.number == numbers[0]
    assert read_record(tmp_path / "run")["status"] == "interrupted"
    assert policy_path(tmp_path / "run", "final").is_file()
    assert bool(saved_states(tmp_path / "run")) == caught.value.safe


def test_a_run_that_cannot_save_is_still_recorded_as_interrupted(configure, tmp_path, monkeypatch, caplog):
    run = Run(build(configure(*SHORT, *SELDOM)), tmp_path / "run", {})

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dqn_lab.statefile.save_file", full)
    with pytest.raises(Interrupted):
        run.execute(Watcher(lambda: raise_signals(signal.SIGTERM)))
    assert read_record(tmp_path / "run")["status"] == "interrupted"
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "the final policy is not saved", f"no checkpoint at step {run.progress.step}",
    ]  # fmt: skip


ORPHAN = """
import os, sys, time
from dqn_lab.cli import _worker
os.environ[_worker.PARENT] = sys.argv[1]
with _worker.at_work():
    print("worked")
"""


@pytest.mark.parametrize(
    ("parent", "worked"),
    [(os.getpid(), True), (1, os.getppid() == 1), (2**22 + 1, False)],
    ids=["here", "init", "gone"],
)
def test_a_worker_whose_parent_is_gone_does_not_begin(parent, worked):
    """The parent may have died while the worker was still importing."""
    command = [sys.executable, "-c", ORPHAN, str(parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout == "worked\n") == worked
