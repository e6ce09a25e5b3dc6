"""Work divided among processes."""

import os
from functools import partial

import pytest

from dqn_lab.analysis import _processes


def fail(text):
    raise ValueError(text)


@pytest.mark.parametrize("cores", [1, 3])
def test_results_come_in_the_order_of_the_jobs(monkeypatch, cores):
    monkeypatch.setattr(_processes, "_num_cores", lambda: cores)
    assert _processes.do_all([partial(pow, 2, number) for number in range(9)]) == [2**number for number in range(9)]
    assert _processes.do_all([]) == []
    others = set(_processes.do_all([os.getpid] * 4)) - {os.getpid()}
    assert bool(others) == (cores > 1)


@pytest.mark.parametrize("cores", [1, 3])
def test_what_a_job_raises_is_raised(monkeypatch, cores):
    monkeypatch.setattr(_processes, "_num_cores", lambda: cores)
    with pytest.raises(ValueError, match="no figure"):
        _processes.do_all([os.getpid, partial(fail, "no figure")])
