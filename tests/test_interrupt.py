"""Signals: the first waits for a safe point, an outside handler gets it afterwards, and held work is finished."""

# ruff: noqa: PT012 (what happens between a signal and its safe point is what is tested)

import os
import signal
import subprocess
import sys
import time

import pytest

from dqn_lab import interrupt
from dqn_lab.cli import _interrupt
from dqn_lab.cli._workplace import workplace
from dqn_lab.interrupt import Interrupted


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGUSR1, 138), (signal.SIGUSR2, 140),
])  # fmt: skip
def test_a_signal_waits_for_a_safe_point(number, code):
    before = signal.getsignal(number)
    signal.signal(number, interrupt._handle)  # our handler, as the command line installs it
    try:
        with pytest.raises(Interrupted) as caught, interrupt.listening():
            send(number)
            done = True
            interrupt.check()
    finally:
        signal.signal(number, before)
    assert done
    assert (caught.value.code, caught.value.safe) == (code, True)
    interrupt.check()  # the request is cleared


def test_a_second_ctrl_c_waits_only_for_what_is_held():
    with pytest.raises(Interrupted) as caught, interrupt.listening():
        send(signal.SIGINT)
        with interrupt.held():
            send(signal.SIGINT)
            held = True
        send(signal.SIGINT)
        pytest.fail("the sweep was not interrupted")
    assert held
    assert not caught.value.safe


def test_repeated_signals_other_than_ctrl_c_change_nothing():
    with pytest.raises(Interrupted) as caught, interrupt.listening():
        for _ in range(10):
            send(signal.SIGTERM)
        interrupt.check()
    assert caught.value.code == 143


def test_a_run_stops_without_a_safe_point_if_none_comes(monkeypatch):
    monkeypatch.setattr(interrupt, "PATIENCE", 0.05)
    with pytest.raises(Interrupted) as caught, interrupt.listening():
        send(signal.SIGTERM)
        time.sleep(10)
    assert not caught.value.safe


class Interrupting:
    """Gets a signal while it is being destroyed."""

    def __del__(self):
        send(signal.SIGTERM)


def test_an_interruption_that_python_drops_is_raised_again(monkeypatch, capsys):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # restored at the end
    before = {number: signal.getsignal(number) for number in (*interrupt.heeded(), signal.SIGALRM)}
    try:
        with pytest.raises(Interrupted) as caught, _interrupt.listening():
            Interrupting()
            time.sleep(10)
        assert caught.value.code == 143
        assert not capsys.readouterr().err
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_launchers_own_handler_gets_the_signal_afterwards():
    """submitit's handler, for example, requeues the job."""
    order = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: order.append("theirs"))
    try:
        with pytest.raises(Interrupted), interrupt.listening():
            send(signal.SIGUSR2)
            order.append("saved")
            interrupt.check()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert order == ["saved", "theirs"]


def test_what_was_ignored_from_the_start_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt.listening():
            send(signal.SIGHUP)
            interrupt.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_fourth_ctrl_c_ends_the_process_immediately():
    code = """
import os, signal
from dqn_lab import interrupt
with interrupt.listening(), interrupt.held():
    for _ in range(4):
        os.kill(os.getpid(), signal.SIGINT)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 130


def test_a_cell_is_interrupted_after_work_that_must_finish():
    """For example importing PyTorch, which a process can do only once."""
    done = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), _interrupt.later():
            signal.raise_signal(signal.SIGINT)
            done.append("the import")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["the import"]


def test_a_sweep_receives_a_signal_although_an_earlier_call_was_interrupted():
    """Both in one process, as in a notebook; the first while it trained, the second while it waits for its jobs."""
    closed, hook = [], sys.unraisablehook
    with pytest.raises(Interrupted), workplace("dqn_lab.train()", None), interrupt.listening():
        send(signal.SIGINT)
        interrupt.check()
    close = lambda: closed.append("jobs")  # noqa: E731
    with pytest.raises(Interrupted), workplace("dqn_lab.sweep()", None), _interrupt.after(close):
        send(signal.SIGINT)
        pytest.fail("the sweep was not interrupted")
    assert closed == ["jobs"]
    assert sys.unraisablehook is hook
