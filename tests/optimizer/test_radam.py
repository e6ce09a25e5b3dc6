from __future__ import annotations

import math

import pytest


def test_two_steps_by_hand(walk):
    """β₁ = ½ and gradients 2 and 1: m = 1, 1, corrected to 1 / ½ = 2 and 1 / ¾ = 4/3. The second moment is not used."""
    path = walk("radam", [2.0, 1.0], lr=0.1, betas=[0.5, 0.999], eps=1)
    assert path == pytest.approx([1 - 0.2, 1 - 0.2 - 0.4 / 3])


def test_the_sixth_step_is_rectified_by_hand(walk):
    """Six gradients of 2: the corrected m is 2 and v, uncorrected, 4 (1 − β₂⁶); five steps have length 0.1 · 2.

    With β₂ = 0.999, ρ∞ = 1999 and ρ₆ = 1999 − 12 β₂⁶ / (1 − β₂⁶) = 5.99 > 5.
    """
    decayed = 0.999**6
    rho = 1999 - 12 * decayed / (1 - decayed)
    rectified = math.sqrt((rho - 4) * (rho - 2) * 1999 / (1995 * 1997 * rho))
    adam = 2 * math.sqrt(1 - decayed) / (2 * math.sqrt(1 - decayed) + 0.5)
    assert rho == pytest.approx(5.99, abs=0.01)
    path = walk("radam", [2.0] * 6, lr=0.1, betas=[0.5, 0.999], eps=0.5)
    assert path[4] == pytest.approx(1 - 5 * 0.2)
    assert path[5] == pytest.approx(path[4] - 0.1 * rectified * adam)
