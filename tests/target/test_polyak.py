from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.schedule import Progress
from dqn_lab.target.periodic import Periodic
from dqn_lab.target.polyak import Polyak
from dqn_lab.types import ConfigError


def test_two_steps_by_hand():
    """0 + ¼ (8 − 0) = 2, then 2 + ¼ (8 − 2) = 3.5."""
    target, online, followed = Polyak(tau=0.25), [torch.tensor([8.0])], [torch.tensor([0.0])]
    path = []
    for n in range(2):
        target.follow(online, followed, Progress(updates=n), Progress(updates=n + 1))
        path.append(followed[0].item())
    assert path == [2.0, 3.5]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4))
def test_tau_of_one_is_a_copy(numbers):
    online, followed = [torch.tensor(numbers[:2])], [torch.tensor(numbers[2:])]
    Polyak(tau=1.0).follow(online, followed, Progress(), Progress(updates=1))
    assert torch.equal(*online, *followed)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8), st.sampled_from(["steps", "updates"]))
def test_tau_of_one_is_a_periodic_copy_at_every_step(numbers, unit):
    """Bit for bit, along a whole path of the online network."""
    polyak, periodic = Polyak(tau=1.0, interval=1, unit=unit), Periodic(interval=1, unit=unit)
    online, one, other = [torch.zeros(1)], [torch.ones(1)], [torch.ones(1)]
    for n, number in enumerate(numbers):
        online[0].fill_(number)
        polyak.follow(online, one, Progress(n, 0, n), Progress(n + 1, 0, n + 1))
        periodic.follow(online, other, Progress(n, 0, n), Progress(n + 1, 0, n + 1))
        assert torch.equal(*one, *other)


def test_a_step_is_taken_after_the_first_unit_and_every_interval_from_there():
    target, online, followed, moved = Polyak(tau=0.5, interval=3, unit="steps"), [torch.ones(1)], [torch.zeros(1)], []
    for step in range(1, 10):
        before = followed[0].item()
        target.follow(online, followed, Progress(step - 1), Progress(step - 1, 5, 5))
        assert followed[0].item() == before
        target.follow(online, followed, Progress(step - 1, 5, 5), Progress(step, 5, 5))
        moved += [step] if followed[0].item() != before else []
    assert moved == [1, 4, 7]


@pytest.mark.parametrize("tau", [0, 1.01, -0.5])
def test_a_tau_outside_zero_to_one_is_refused(make, tau):
    with pytest.raises(ConfigError, match=r"^target\.tau="):
        make("target", "polyak", tau=tau)
