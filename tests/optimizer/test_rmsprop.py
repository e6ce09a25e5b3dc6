from __future__ import annotations

import math

import pytest

SETTINGS = {"lr": 0.1, "alpha": 0.75, "eps": 1}


def test_two_steps_by_hand(walk):
    """v = ¼ · 4 = 1, then ¾ · 1 + ¼ · 1 = 1; ε is added outside the root: 2 / (1 + 1) and 1 / (1 + 1)."""
    assert walk("rmsprop", [2.0, 1.0], **SETTINGS) == pytest.approx([1 - 0.1, 1 - 0.1 - 0.05])


def test_momentum_accumulates_steps(walk):
    """The steps 1 and ½ of the test above become 1 and ½ · 1 + ½ = 1."""
    assert walk("rmsprop", [2.0, 1.0], **SETTINGS, momentum=0.5) == pytest.approx([1 - 0.1, 1 - 0.2])


def test_the_mean_is_not_subtracted(walk):
    """If centred, the root would shrink with equal gradients; here v = ¼ and 7/16 times g²."""
    path = walk("rmsprop", [2.0, 2.0], lr=0.1, alpha=0.75, eps=1e-30)
    assert path == pytest.approx([1 - 0.2, 1 - 0.2 - 0.1 / math.sqrt(7 / 16)])
