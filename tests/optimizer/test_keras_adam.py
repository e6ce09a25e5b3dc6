from __future__ import annotations

import math

import pytest

SETTINGS = {"lr": 0.1, "betas": [0.5, 0.75], "eps": 1}


def test_two_steps_by_hand(walk):
    """With β = (½, ¾) and gradients 2 and 1, the moments are m = 1, 1 and v = 1, 1, so m / (√v + 1) = ½ twice.

    The rates are 0.1 · √(1 − ¾) / (1 − ½) = 0.1 and 0.1 · √(1 − 9/16) / (1 − ¼) = 0.1 · √7 / 3.
    """
    first = 1 - 0.1 / 2
    second = first - 0.1 * math.sqrt(7) / 3 / 2
    assert walk("keras_adam", [2.0, 1.0], **SETTINGS) == pytest.approx([first, second])


def test_torchs_adam_takes_other_steps(walk):
    """Torch corrects the root before ε is added: 0.1 · 2 / (2 + 1) where Keras moves by 0.1 / 2."""
    keras, torchs = walk("keras_adam", [2.0, 1.0], **SETTINGS), walk("adam", [2.0, 1.0], **SETTINGS)
    assert torchs[0] == pytest.approx(1 - 0.2 / 3)
    assert all(abs(one - other) > 1e-3 for one, other in zip(keras, torchs, strict=True))


def test_without_epsilon_it_is_torchs_adam(walk):
    gradients = [2.0, -1.0, 0.5]
    assert walk("keras_adam", gradients, eps=1e-30) == pytest.approx(walk("adam", gradients, eps=1e-30), rel=1e-12)
