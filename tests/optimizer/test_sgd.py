from __future__ import annotations

import pytest
import torch

from dqn_lab.types import ConfigError


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({}, [1 - 0.1 * 2, 1 - 0.1 * 2 - 0.1 * 1]),
        ({"momentum": 0.5}, [1 - 0.1 * 2, 1 - 0.1 * 2 - 0.1 * (0.5 * 2 + 1)]),
        ({"momentum": 0.5, "nesterov": True}, [1 - 0.1 * (2 + 0.5 * 2), 1 - 0.1 * 3 - 0.1 * (1 + 0.5 * 2)]),
    ],
)
def test_two_steps_by_hand(walk, configuration, expected):
    assert walk("sgd", [2.0, 1.0], lr=0.1, **configuration) == pytest.approx(expected)


def test_with_squared_error_a_step_moves_the_value_by_twice_the_rate(make):
    """δ = 5 − 1 = 4, so Q moves by 2 · 0.1 · 4 = 0.8."""
    q_value = torch.nn.Parameter(torch.ones(1, 1, 1))
    optimizer = make("optimizer", "sgd", lr=0.1).build([q_value])
    make("value", "expected").loss(q_value, torch.tensor([0]), torch.tensor([5.0]), None).loss.mean().backward()
    optimizer.step()
    assert q_value.item() == pytest.approx(1.8)


def test_nesterov_needs_momentum(make):
    with pytest.raises(ConfigError, match=r"^optimizer\.nesterov=true: needs momentum > 0$"):
        make("optimizer", "sgd", nesterov=True)
