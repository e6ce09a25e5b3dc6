from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.schedule import Progress
from dqn_lab.target.periodic import Periodic


def copies(target, num_units, unit="episodes"):
    """Returns the completed units after which the target equals the online network, which changes at each."""
    online, followed, found = [torch.zeros(2)], [torch.zeros(2)], []
    for n in range(1, num_units + 1):
        online[0].fill_(n)
        before, after = ({"episodes": Progress(episode=k), "steps": Progress(k)}[unit] for k in (n - 1, n))
        target.follow(online, followed, before, after)
        if torch.equal(*online, *followed):
            found.append(n)
    return found


def test_the_network_is_copied_after_episodes_0_10_20_by_default():
    """Episode 0 is over when one episode is completed."""
    assert copies(Periodic(), 35) == [1, 11, 21, 31]


@pytest.mark.parametrize(("interval", "expected"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [1, 4, 7]), (100, [1])])
def test_the_network_is_copied_at_its_interval(interval, expected):
    assert copies(Periodic(interval=interval, unit="steps"), 7, "steps") == expected


@given(interval=st.integers(1, 9), unit=st.sampled_from(["episodes", "steps"]))
def test_copies_are_an_interval_apart(interval, unit):
    assert copies(Periodic(interval=interval, unit=unit), 30, unit) == list(range(1, 31, interval))


def test_other_units_do_not_count():
    online, followed = [torch.ones(2)], [torch.zeros(2)]
    Periodic(interval=1, unit="episodes").follow(online, followed, Progress(3, 1, 5), Progress(4, 1, 9))
    assert not followed[0].any()


def test_the_copy_is_not_the_network_itself():
    online, followed = [torch.ones(2)], [torch.zeros(2)]
    Periodic(interval=1).follow(online, followed, Progress(), Progress(episode=1))
    online[0].fill_(7)
    assert followed[0].tolist() == [1.0, 1.0]
