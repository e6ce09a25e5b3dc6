from __future__ import annotations

import math

import pytest
import torch

from dqn_lab.types import ConfigError

SETTINGS = {"lr": 0.1, "decay": 0.75, "eps": 0.25}


def test_two_steps_by_hand(walk):
    """With decay ¾ and gradients 2 and 1: g = ½, then ⅜ + ¼ = ⅝; s = 1, then ¾ + ¼ = 1.

    Under the root: 1 − ¼ + ¼ = 1, then 1 − 25/64 + 16/64 = 55/64.
    """
    first = 1 - 0.1 * 2
    second = first - 0.1 / math.sqrt(55 / 64)
    assert walk("rmsprop_centered", [2.0, 1.0], **SETTINGS) == pytest.approx([first, second])


def test_torchs_rmsprop_adds_epsilon_outside_the_root(walk):
    """Torch also subtracts g² = ¼, but its first step is 0.1 · 2 / (√¾ + ¼)."""
    weight = torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    weight.grad = torch.tensor([2.0], dtype=torch.float64)
    torch.optim.RMSprop([weight], lr=0.1, alpha=0.75, eps=0.25, centered=True).step()
    assert weight.item() == pytest.approx(1 - 0.2 / (math.sqrt(0.75) + 0.25))
    assert abs(weight.item() - walk("rmsprop_centered", [2.0], **SETTINGS)[0]) > 1e-2


def test_equal_gradients_leave_only_epsilon_under_the_root(walk):
    """g → 2 and s → 4: the variance is gone, and a step is 0.1 · 2 / √¼ = 0.4."""
    path = walk("rmsprop_centered", [2.0] * 200, **SETTINGS)
    assert path[-2] - path[-1] == pytest.approx(0.4)


def test_weights_stay_finite_if_rounding_makes_a_variance_negative(make):
    """float32 rounds squares of gradients near 3·10⁴ by tens, so some s − g² become negative."""
    weight = torch.nn.Parameter(torch.zeros(100))
    optimizer = make("optimizer", "rmsprop_centered").build([weight])
    for size in [2.0] * 100 + [1.0] * 1000:
        weight.grad = size * torch.linspace(2e4, 3e4, 100)
        optimizer.step()
    assert (optimizer.state[weight]["s"] < optimizer.state[weight]["g"].square()).any()
    assert weight.isfinite().all()


def test_gradients_are_not_changed(make):
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([2.0, 3.0])
    make("optimizer", "rmsprop_centered").build([weight]).step()
    assert weight.grad.tolist() == [2, 3]


@pytest.mark.parametrize(("key", "value"), [("decay", 1), ("decay", -0.1), ("eps", 0)])
def test_decay_and_eps_out_of_range_are_refused(make, key, value):
    with pytest.raises(ConfigError, match=rf"^optimizer\.{key}="):
        make("optimizer", "rmsprop_centered", **{key: value})
