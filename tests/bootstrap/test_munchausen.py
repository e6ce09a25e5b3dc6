from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from dqn_lab.bootstrap.max import Max
from dqn_lab.bootstrap.munchausen import Munchausen, munchausen_bonus, soft_policy
from dqn_lab.types import ConfigError
from dqn_lab.value.expected import q_learning_target

LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
Q_VALUES = st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=4, max_size=4)
TEMPERATURE = st.floats(0.01, 10)


def both(rows):
    """Returns the target network's Q-values [B, A], the same for obs and next_obs."""
    q_values = torch.as_tensor(rows, dtype=torch.float64)
    return SimpleNamespace(target_next=q_values, target_obs=q_values)


def target(bootstrap, q_values):
    size = len(q_values.target_next)
    answer = bootstrap(q_values, torch.zeros(size, dtype=torch.long))
    return q_learning_target(torch.ones(size), torch.full((size,), 0.5), q_values.target_next, answer)


def test_the_policy_is_the_softmax_by_temperature():
    """Q / τ = ln 3 and 0 with τ = 2, so π = ¾ and ¼, and τ log π = 2 ln ¾ and 2 ln ¼."""
    probabilities, scaled_log = soft_policy(tensor([[2 * LN3, 0.0]]), 2.0)
    torch.testing.assert_close(probabilities, tensor([[0.75, 0.25]]))
    torch.testing.assert_close(scaled_log, tensor([[2 * (LN3 - LN4), -2 * LN4]]))


def test_the_bonus_is_clipped_below_and_scaled():
    """The bonus of actions 1, 0 and 1: −0.5, −3 clipped to −2, and 0, each times 0.9."""
    scaled_log = tensor([[-1.0, -0.5], [-3.0, -0.1], [-9.0, 0.0]])
    bonus = munchausen_bonus(scaled_log, tensor([1, 0, 1]), 0.9, -2.0)
    torch.testing.assert_close(bonus, tensor([-0.45, -1.8, 0.0]))


def test_a_log_policy_rounded_above_zero_has_no_bonus():
    assert munchausen_bonus(tensor([[1e-7]]), tensor([0]), 0.9, -1.0).tolist() == [0.0]


def test_the_answer_by_hand():
    """τ = 1. At s′: π = ¾, ¼, shifts −ln ¾ and −ln ¼. At s: π = ½, ½, so the bonus is ½ ln ½."""
    q_values = SimpleNamespace(target_next=tensor([[LN3, 0.0]]), target_obs=tensor([[5.0, 5.0]]))
    answer = Munchausen(scale=0.5, temperature=1.0)(q_values, tensor([1]))
    torch.testing.assert_close(answer.probabilities, tensor([[0.75, 0.25]]))
    torch.testing.assert_close(answer.shift, tensor([[LN4 - LN3, LN4]]))
    torch.testing.assert_close(answer.bonus, tensor([-0.5 * LN2]))


def test_the_bonus_depends_on_obs_and_action_only():
    """τ = 1: π(·|s) = ½, ¼, ¼, regardless of the Q-values at s′."""
    q_values = SimpleNamespace(
        target_next=tensor([[0.0, 9.0, 0.0], [7.0, 0.0, 0.0]]), target_obs=tensor([[LN2, 0.0, 0.0], [LN2, 0.0, 0.0]])
    )
    answer = Munchausen(scale=1.0, temperature=1.0, clip=-5.0)(q_values, tensor([0, 2]))
    torch.testing.assert_close(answer.bonus, tensor([-LN2, -LN4]))


def test_the_target_by_hand():
    """τ = 1: the soft value of ln 3 and 0 is ln 4; r + ½ ln ½ + ½ ln 4 = 1 + ½ ln 2."""
    q_values = SimpleNamespace(target_next=tensor([[LN3, 0.0]]), target_obs=tensor([[5.0, 5.0]]))
    assert target(Munchausen(scale=0.5, temperature=1.0), q_values).item() == pytest.approx(1 + LN2 / 2)


@given(Q_VALUES, TEMPERATURE)
def test_the_next_value_is_the_soft_maximum(rows, temperature):
    """Σ π (Q − τ log π) = τ log Σ exp(Q / τ)."""
    q_values = both(rows)
    answer = Munchausen(temperature=temperature)(q_values, torch.zeros(4, dtype=torch.long))
    value = (answer.probabilities * (q_values.target_next + answer.shift)).sum(1)
    torch.testing.assert_close(value, temperature * (q_values.target_next / temperature).logsumexp(1))


@given(Q_VALUES, TEMPERATURE)
def test_the_log_policy_equals_torchs_log_softmax(rows, temperature):
    q_values = both(rows).target_next
    probabilities, scaled_log = soft_policy(q_values, temperature)
    torch.testing.assert_close(probabilities, (q_values / temperature).softmax(1))
    torch.testing.assert_close(scaled_log, temperature * (q_values / temperature).log_softmax(1), rtol=1e-6, atol=1e-9)


@given(st.permutations([-3.0, -1.0, 0.5, 4.0]))
def test_without_bonus_and_temperature_it_is_max(row):
    q_values = both([row, row[::-1]])
    cold = Munchausen(scale=0.0, temperature=1e-9)
    torch.testing.assert_close(cold(q_values, tensor([0, 1])).probabilities, Max()(q_values, None).probabilities)
    torch.testing.assert_close(target(cold, q_values), target(Max(), q_values))


@given(Q_VALUES, st.floats(0, 1), st.floats(-3, 0))
def test_the_bonus_lies_between_its_bounds(rows, scale, clip):
    for action in range(3):
        taken = torch.full((4,), action)
        bonus = Munchausen(scale=scale, temperature=1.0, clip=clip)(both(rows), taken).bonus
        assert (bonus <= 0).all()
        assert (bonus >= scale * clip).all()


@given(Q_VALUES, st.floats(-100, 100))
def test_a_constant_added_to_all_values_changes_nothing(rows, constant):
    one = Munchausen(temperature=1.0)(both(rows), torch.zeros(4, dtype=torch.long))
    raised = both(both(rows).target_next + constant)
    for field, other in zip(one, Munchausen(temperature=1.0)(raised, torch.zeros(4, dtype=torch.long)), strict=True):
        torch.testing.assert_close(field, other, rtol=1e-9, atol=1e-9)


def test_large_values_do_not_overflow():
    """In float32 with the paper's temperature, exp(10⁴ / 0.03) would overflow."""
    q_values = SimpleNamespace(target_next=tensor([[1e4, 9e3, -1e4]]), target_obs=tensor([[-1e4, 1e4, 1e4]]))
    answer = Munchausen()(q_values, tensor([0]))
    assert answer.probabilities.tolist() == [[1.0, 0.0, 0.0]]
    assert answer.shift.tolist() == [[0.0, 1e3, 2e4]]
    torch.testing.assert_close(answer.bonus, tensor([-0.9]))


def test_a_small_gap_between_large_values_is_not_rounded_away():
    """Bit for bit in float32, with values near 2¹⁷ and a gap of 1/64."""
    small, large = tensor([[0.0, 1 / 64]]), tensor([[2.0**17, 2.0**17 + 1 / 64]])
    for one, other in zip(soft_policy(small, 0.03), soft_policy(large, 0.03), strict=True):
        assert torch.equal(one, other)


def test_equal_actions_share_the_probability():
    answer = Munchausen(temperature=0.5)(both([[2.0, 2.0, 2.0, 2.0]]), tensor([3]))
    assert answer.probabilities.tolist() == [[0.25] * 4]
    torch.testing.assert_close(answer.shift, torch.full((1, 4), 0.5 * LN4, dtype=torch.float64))


@pytest.mark.parametrize(
    "wrong", [{"scale": -0.1}, {"scale": 1.1}, {"temperature": 0}, {"temperature": -0.03}, {"clip": 0.1}]
)
def test_values_out_of_range_are_refused(make, wrong):
    (key,) = wrong
    with pytest.raises(ConfigError, match=rf"^bootstrap\.{key}="):
        make("bootstrap", "munchausen", **wrong)


def test_a_row_does_not_depend_on_the_others():
    """Bit for bit: subtracting the batch's maximum, not the row's, would round the small row away."""
    rows = tensor([[0.0, 1.0], [1e6, 1e6 + 1]])
    for together, alone in zip(soft_policy(rows, 0.3), soft_policy(rows[:1], 0.3), strict=True):
        assert torch.equal(together[0], alone[0])


def test_only_the_last_axis_holds_actions():
    q_values = torch.randn((2, 3, 4), generator=torch.Generator().manual_seed(0))
    for together, alone in zip(soft_policy(q_values, 0.3), soft_policy(q_values[1, 2], 0.3), strict=True):
        torch.testing.assert_close(together[1, 2], alone)


@pytest.mark.parametrize(("buffer", "n_steps"), [({}, []), ({"n_step": 1}, []), ({"n_step": 2}, [2])])
def test_n_step_windows_cause_a_warning(buffer, n_steps):
    about = "an approximation, without the steps in between"
    expected = [f"bootstrap=munchausen, buffer.n_step={n_step}: {about}" for n_step in n_steps]
    assert list(Munchausen.warn({"buffer": buffer})) == expected
