from __future__ import annotations

import torch

from dqn_lab.schedule import Progress
from dqn_lab.target.none import NoTarget


def test_there_is_no_target_network():
    assert NoTarget().has_network is False


def test_follow_does_nothing():
    online, other = [torch.ones(2)], [torch.zeros(2)]
    NoTarget().follow(online, other, Progress(), Progress(100, 100, 100))
    assert not other[0].any()
