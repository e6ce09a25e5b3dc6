from __future__ import annotations

import pytest


def test_weights_decay_without_a_gradient(walk):
    """Without a gradient: 1 − 0.1 · 0.5 = 0.95, then 0.95²."""
    assert walk("adamw", [0.0, 0.0], lr=0.1, weight_decay=0.5) == pytest.approx([0.95, 0.9025])


def test_the_decay_is_not_part_of_the_gradient(walk):
    """β = (½, ¾), ε = 1, gradient 2: Adam's step 0.1 · 2 / (2 + 1) is the same as without decay."""
    path = walk("adamw", [2.0], lr=0.1, betas=[0.5, 0.75], eps=1, weight_decay=0.5)
    assert path == pytest.approx([0.95 - 0.1 * 2 / 3])


def test_without_decay_it_is_adam(walk):
    gradients = [2.0, -1.0, 0.5]
    assert walk("adamw", gradients, weight_decay=0) == pytest.approx(walk("adam", gradients), rel=1e-12)
