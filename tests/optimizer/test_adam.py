from __future__ import annotations

import math

import pytest

from dqn_lab.types import ConfigError


def test_two_steps_by_hand(walk):
    """With β = (½, ¾), ε = 1 and gradients 2 and 1, the moments are m = 1, 1 and v = 1, 1.

    Corrected they are 1 / ½ = 2 and 1 / ¼ = 4, then 1 / ¾ = 4/3 and 1 / (7/16) = 16/7.
    """
    first = 1 - 0.1 * 2 / (2 + 1)
    second = first - 0.1 * (4 / 3) / (math.sqrt(16 / 7) + 1)
    assert walk("adam", [2.0, 1.0], lr=0.1, betas=[0.5, 0.75], eps=1) == pytest.approx([first, second])


def test_the_first_step_is_as_long_as_the_learning_rate(walk):
    assert walk("adam", [1e-3], lr=0.1, eps=1e-30) == pytest.approx([0.9])


@pytest.mark.parametrize(("key", "value"), [("betas", [0.9, 1]), ("betas", [-0.1, 0.9]), ("betas", [0.9]), ("eps", -1)])
def test_betas_and_eps_out_of_range_are_refused(make, key, value):
    with pytest.raises(ConfigError, match=rf"^optimizer\.{key}"):
        make("optimizer", "adam", **{key: value})
