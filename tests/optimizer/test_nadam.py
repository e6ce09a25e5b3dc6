from __future__ import annotations

import math

import pytest

from dqn_lab.types import ConfigError

SETTINGS = {"lr": 0.1, "betas": [0.5, 0.75], "eps": 1}


def test_two_steps_by_hand(walk):
    """With β = (½, ¾), ε = 1 and gradients 2 and 1, the moments are m = 1, 1 and v = 1, 1.

    v is corrected to 1 / ¼ = 4, then 1 / (7/16) = 16/7. Without momentum_decay μ is always ½ · ½ = ¼, its products ¼,
    1/16, 1/64. A step weighs the gradient by (1 − μₜ) / (1 − μ₁…μₜ) and m by μₜ₊₁ / (1 − μ₁…μₜ₊₁).
    """
    first = 1 - 0.1 * ((3 / 4) / (3 / 4) * 2 + (1 / 4) / (15 / 16) * 1) / (2 + 1)
    second = first - 0.1 * ((3 / 4) / (15 / 16) * 1 + (1 / 4) / (63 / 64) * 1) / (math.sqrt(16 / 7) + 1)
    assert walk("nadam", [2.0, 1.0], **SETTINGS, momentum_decay=0) == pytest.approx([first, second])


def test_the_share_of_momentum_rises_by_hand(walk):
    """With 0.96^momentum_decay = ½: μ₁ = ½ (1 − ½ · ½) = 3/8 and μ₂ = ½ (1 − ½ · ¼) = 7/16."""
    first = 1 - 0.1 * ((5 / 8) / (5 / 8) * 2 + (7 / 16) / (1 - 3 / 8 * 7 / 16) * 1) / (2 + 1)
    path = walk("nadam", [2.0], **SETTINGS, momentum_decay=math.log(0.5) / math.log(0.96))
    assert path == pytest.approx([first])


def test_without_any_momentum_it_is_adam(walk):
    gradients, settings = [2.0, -1.0, 0.5], {"lr": 0.1, "betas": [0, 0.75]}
    assert walk("nadam", gradients, **settings) == pytest.approx(walk("adam", gradients, **settings), rel=1e-12)


def test_a_negative_momentum_decay_is_refused(make):
    with pytest.raises(ConfigError, match=r"^optimizer\.momentum_decay=-1: "):
        make("optimizer", "nadam", momentum_decay=-1)
