from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import tensor

from dqn_lab.bootstrap.max import Max
from dqn_lab.value.expected import q_learning_target

Q_VALUES = SimpleNamespace(target_next=tensor([[1.0, 3.0, 2.0], [-1.0, -4.0, -2.0]]))  # without online_next


def test_the_target_networks_greedy_action_gets_all_probability():
    answer = Max()(Q_VALUES, tensor([0, 0]))
    assert answer.probabilities.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert not answer.shift.any()
    assert not answer.bonus.any()


def test_the_target_is_watkins_q_learning():
    """1 + ½ · 3 = 2.5 and 1 + ½ · (−1) = 0.5."""
    answer = Max()(Q_VALUES, tensor([0, 0]))
    target = q_learning_target(torch.ones(2), torch.full((2,), 0.5), Q_VALUES.target_next, answer)
    assert target.tolist() == [2.5, 0.5]
