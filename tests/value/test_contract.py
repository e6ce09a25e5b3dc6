"""What every value must do with outputs [B, A, K]."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dqn_lab import registry
from dqn_lab.types import Bootstrapped, Transition

B, A = 6, 3
pytestmark = pytest.mark.parametrize("name", registry.names("value"))


@pytest.fixture
def case(make, name):
    """Returns a value with everything that an update passes to it."""
    value, generator = make("value", name), torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    return SimpleNamespace(
        value=value,
        outputs=normal(B, A, value.num_outputs),
        next_outputs=normal(B, A, value.num_outputs),
        other_outputs=normal(B, A, value.num_outputs),
        transition=Transition(
            obs=normal(B, 4),
            action=torch.tensor([0, 1, 2, 2, 1, 0]),
            reward=normal(B),
            next_obs=normal(B, 4),
            discount=torch.tensor([0.9, 0.0, 0.81, 0.9, 0.0, 1.0]),
        ),
        bootstrap=Bootstrapped(normal(B, A).softmax(1), normal(B, A), normal(B)),
    )


def target_of(case, next_outputs=None):
    outputs = case.next_outputs if next_outputs is None else next_outputs
    return case.value.target(case.transition, outputs, case.bootstrap, lambda: case.outputs)


def loss_of(case, outputs=None):
    outputs = case.outputs if outputs is None else outputs
    return case.value.loss(outputs, case.transition.action, target_of(case), None)


def test_q_values_drop_the_last_axis(case):
    assert isinstance(case.value.num_outputs, int)
    q_values = case.value.q_values(case.outputs)
    assert q_values.shape == (B, A)
    torch.testing.assert_close(case.value.q_values(case.outputs[2]), q_values[2])
    torch.testing.assert_close(case.value.q_values(case.outputs[None]), q_values[None])


def test_every_transition_has_a_loss_and_a_priority(case):
    judged = loss_of(case)
    assert [field.shape for field in judged] == [(B,)] * 3
    assert all(field.isfinite().all() for field in judged)
    assert (judged.priority >= 0).all()


def test_the_q_value_is_that_of_the_action_taken(case):
    expected = case.value.q_values(case.outputs)[torch.arange(B), case.transition.action]
    torch.testing.assert_close(loss_of(case).q_value, expected)


def test_only_the_loss_carries_a_gradient(case):
    outputs = case.outputs.clone().requires_grad_()
    judged = loss_of(case, outputs)
    assert not judged.q_value.requires_grad
    assert not judged.priority.requires_grad
    judged.loss.sum().backward()
    taken = outputs.grad[torch.arange(B), case.transition.action]
    assert taken.flatten(1).any(1).all()


def test_a_step_down_the_gradient_lowers_the_loss(case):
    outputs = case.outputs.clone().requires_grad_()
    loss_of(case, outputs).loss.sum().backward()
    moved = case.value.loss(outputs.detach() - 1e-3 * outputs.grad, case.transition.action, target_of(case), None)
    assert moved.loss.sum() < loss_of(case).loss.sum()


def test_losses_of_a_minibatch_are_those_of_its_rows_in_the_batch(case):
    target, whole, rows = target_of(case), loss_of(case), torch.tensor([4, 0, 3])
    part = case.value.loss(case.outputs[rows], case.transition.action[rows], target[rows], None)
    for one, all_of_them in zip(part, whole, strict=True):
        torch.testing.assert_close(one, all_of_them[rows])


def test_the_next_state_does_not_count_if_the_discount_is_zero(case):
    target, other = target_of(case), target_of(case, case.other_outputs)
    over = case.transition.discount == 0
    torch.testing.assert_close(target[over], other[over])
    assert not torch.allclose(target[~over], other[~over])


def test_double_precision_goes_all_the_way_through(case):
    single = loss_of(case)
    case.outputs, case.next_outputs = case.outputs.double(), case.next_outputs.double()
    case.bootstrap = Bootstrapped(*(field.double() for field in case.bootstrap))
    fields = case.transition._asdict()
    case.transition = Transition(**{key: item if key == "action" else item.double() for key, item in fields.items()})
    for one, other in zip(loss_of(case), single, strict=True):
        assert one.dtype == torch.float64
        torch.testing.assert_close(one.float(), other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "num_actions"), [(1, 1), (1, 3), (6, 1)])
def test_one_transition_or_one_action_is_enough(case, size, num_actions):
    whole, rows = case.transition, slice(size)
    case.transition = Transition(*(field[rows] for field in whole))._replace(action=whole.action[rows] % num_actions)
    case.bootstrap = Bootstrapped(
        case.bootstrap.probabilities[rows, :num_actions].softmax(1),
        case.bootstrap.shift[rows, :num_actions],
        case.bootstrap.bonus[rows],
    )
    case.outputs, case.next_outputs = case.outputs[rows, :num_actions], case.next_outputs[rows, :num_actions]
    assert len(target_of(case)) == size
    assert [field.shape for field in loss_of(case)] == [(size,)] * 3


def test_acting_first_does_not_hinder_learning(case):
    """Engines act in inference mode, and tensors made there cannot have a gradient later."""
    with torch.inference_mode():
        case.value.q_values(case.outputs)
    outputs = case.outputs.clone().requires_grad_()
    loss_of(case, outputs).loss.sum().backward()
    case.value.q_values(outputs).sum().backward()
    assert outputs.grad.isfinite().all()


def test_no_global_randomness_is_used(make, name, case, check_global_randomness):
    with check_global_randomness():
        make("value", name)
        loss_of(case)
