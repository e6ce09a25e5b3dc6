from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor
from torch.nn.functional import huber_loss, mse_loss

from dqn_lab.types import Bootstrapped, ConfigError, Transition
from dqn_lab.value.expected import huber, q_learning_target, squared_error

ACTION = tensor([1, 0])
OUTPUTS = tensor([[[1.0], [2.0]], [[3.0], [5.0]]])  # Q(s, a) of the actions taken: 2 and 3
TAKEN = tensor([5.0, 1.0])  # δ = 3 and −2


def test_squared_error_has_no_factor_of_a_half():
    assert squared_error(tensor([3.0, -2.0, 0.0])).tolist() == [9.0, 4.0, 0.0]


def test_huber_is_a_parabola_inside_kappa_and_a_line_beyond():
    """κ = 2: ½ · 1² = ½, ½ · 2² = 2, 2 (5 − 1) = 8, 2 (3 − 1) = 4."""
    assert huber(tensor([1.0, -2.0, 5.0, -3.0, 0.0]), 2.0).tolist() == [0.5, 2.0, 8.0, 4.0, 0.0]


def test_the_gradient_of_huber_is_the_error_clipped_to_kappa():
    td_error = tensor([1.0, -1.5, 5.0, -3.0, 0.0], requires_grad=True)
    huber(td_error, 2.0).sum().backward()
    assert td_error.grad.tolist() == [1.0, -1.5, 2.0, -2.0, 0.0]


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=5), st.floats(0.1, 10))
def test_both_losses_are_torchs_own(td_error, kappa):
    delta = torch.tensor(td_error, dtype=torch.float64)
    zero = torch.zeros_like(delta)
    assert squared_error(delta).mean().item() == pytest.approx(mse_loss(delta, zero).item())
    assert huber(delta, kappa).mean().item() == pytest.approx(huber_loss(delta, zero, delta=kappa).item())


def test_the_target_weighs_shifts_discounts_and_adds_the_bonus():
    """First ¼ (2 + 1) + ¾ (4 − 2) = 2.25, so 1 + 0.5 + 0.9 · 2.25 = 3.525; then 2, because the discount is 0."""
    target = q_learning_target(
        reward=tensor([1.0, 2.0]),
        discount=tensor([0.9, 0.0]),
        next_q_values=tensor([[2.0, 4.0], [100.0, 100.0]]),
        bootstrap=Bootstrapped(
            probabilities=tensor([[0.25, 0.75], [0.0, 1.0]]),
            shift=tensor([[1.0, -2.0], [5.0, 5.0]]),
            bonus=tensor([0.5, 0.0]),
        ),
    )
    assert target.tolist() == pytest.approx([3.525, 2.0])


def targets(value, current):
    """Returns targets whose value for the action taken is `TAKEN`: 1 + ½ · 8 and 1."""
    greedy = Bootstrapped(tensor([[0.0, 1.0], [1.0, 0.0]]), torch.zeros(2, 2), torch.zeros(2))
    transition = Transition(None, ACTION, torch.ones(2), None, tensor([0.5, 0.0]))
    return value.target(transition, tensor([[[0.0], [8.0]], [[6.0], [0.0]]]), greedy, current)


def test_the_loss_is_the_squared_error_of_the_action_taken(make):
    value = make("value", "expected")
    target = targets(value, current=None)
    judged = value.loss(OUTPUTS, ACTION, target, None)
    assert target.tolist() == TAKEN.tolist()
    assert [field.tolist() for field in judged] == [[9.0, 4.0], [2.0, 3.0], [3.0, 2.0]]


def test_the_huber_loss_uses_the_given_kappa(make):
    """κ = 2.5: δ = 3 lies beyond, 2.5 (3 − 1.25) = 4.375; δ = −2 inside, ½ · 2² = 2."""
    judged = make("value", "expected", loss="huber", kappa=2.5).loss(OUTPUTS, ACTION, TAKEN, None)
    assert judged.loss.tolist() == [4.375, 2.0]
    assert judged.priority.tolist() == [3.0, 2.0]


def test_squared_error_ignores_kappa(make):
    assert make("value", "expected", kappa=0.1).loss(OUTPUTS, ACTION, TAKEN, None).loss.tolist() == [9.0, 4.0]


def test_with_all_actions_the_targets_of_the_others_are_their_old_values(make):
    target = targets(make("value", "expected", all_actions=True), current=lambda: OUTPUTS)
    assert target.tolist() == [[1.0, 5.0], [1.0, 5.0]]


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (OUTPUTS, [(0 + 9) / 2, (4 + 0) / 2]),
        (OUTPUTS + 1.0, [(1 + 4) / 2, (9 + 1) / 2]),  # after a step that moved every output by 1
    ],
)
def test_with_all_actions_the_loss_is_their_mean(make, outputs, expected):
    value = make("value", "expected", all_actions=True)
    judged = value.loss(outputs, ACTION, targets(value, current=lambda: OUTPUTS), None)
    chosen = outputs.squeeze(-1)[[0, 1], ACTION]
    assert judged.loss.tolist() == expected
    assert judged.q_value.tolist() == chosen.tolist()
    assert judged.priority.tolist() == (TAKEN - chosen).abs().tolist()


def test_with_all_actions_huber_is_averaged_too(make):
    """κ = 1: δ = 0 and 3 give (0 + 2.5) / 2, δ = −2 and 0 give (1.5 + 0) / 2."""
    value = make("value", "expected", loss="huber", all_actions=True)
    judged = value.loss(OUTPUTS, ACTION, targets(value, current=lambda: OUTPUTS), None)
    assert judged.loss.tolist() == [1.25, 0.75]


@pytest.mark.parametrize("kappa", [0, -1, "1"])
def test_a_kappa_that_is_not_positive_is_refused(make, kappa):
    with pytest.raises(ConfigError, match=r"^value\.kappa="):
        make("value", "expected", kappa=kappa)
