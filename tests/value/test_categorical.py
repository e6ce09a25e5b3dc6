from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from dqn_lab.types import Bootstrapped, ConfigError, Transition
from dqn_lab.value.categorical import categorical_target, project

SUPPORT = tensor([0.0, 10.0, 20.0])
DOUBLE = {"dtype": torch.float64}


def greedy(size, num_actions, action=0):
    probabilities = torch.zeros(size, num_actions)
    probabilities[:, action] = 1
    return Bootstrapped(probabilities, torch.zeros(size, num_actions), torch.zeros(size))


def random_case(seed, size=4, num_actions=3, num_atoms=5):
    """Returns the arguments of `categorical_target` in float64, with atoms beyond both ends of the support."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, **DOUBLE)

    bootstrap = Bootstrapped(normal(size, num_actions).softmax(1), normal(size, num_actions), normal(size))
    discount = torch.rand(size, generator=generator, **DOUBLE)
    discount[0] = 0
    masses = normal(size, num_actions, num_atoms).softmax(2)
    return 3 * normal(size), discount, masses, torch.linspace(-2, 3, num_atoms, **DOUBLE), bootstrap


def looped_target(reward, discount, masses, support, bootstrap):
    """Computes the target in loops over actions and atoms, as in Algorithm 1 of the paper."""
    size, num_actions, num_atoms = masses.shape
    low, high = support[0].item(), support[-1].item()
    spacing = (high - low) / (num_atoms - 1)
    target = torch.zeros(size, num_atoms, **DOUBLE)
    for b in range(size):
        for a in range(num_actions):
            for j in range(num_atoms):
                mass = bootstrap.probabilities[b, a].item() * masses[b, a, j].item()
                after = support[j].item() + bootstrap.shift[b, a].item()
                atom = reward[b].item() + bootstrap.bonus[b].item() + discount[b].item() * after
                position = (min(max(atom, low), high) - low) / spacing
                lower = min(math.floor(position), num_atoms - 2)
                target[b, lower] += mass * (lower + 1 - position)
                target[b, lower + 1] += mass * (position - lower)
    return target


@pytest.mark.parametrize(
    ("atom", "expected"),
    [
        (15.0, [0.0, 0.5, 0.5]),  # halfway between two
        (10.0, [0.0, 1.0, 0.0]),  # on one
        (12.5, [0.0, 0.75, 0.25]),  # nearer to the lower
        (0.0, [1.0, 0.0, 0.0]),
        (20.0, [0.0, 0.0, 1.0]),
        (-7.0, [1.0, 0.0, 0.0]),  # below the support
        (99.0, [0.0, 0.0, 1.0]),  # above it
    ],
)
def test_an_atom_is_shared_by_its_neighbours(atom, expected):
    assert project(tensor([[atom]]), tensor([[1.0]]), SUPPORT).tolist() == [expected]


def test_the_shares_of_several_atoms_are_added_up():
    """¼ of (½, ½, 0) from 5, ½ of (0, ½, ½) from 15 and ¼ of (0, 0, 1) from 30."""
    projected = project(tensor([[5.0, 15.0, 30.0]]), tensor([[0.25, 0.5, 0.25]]), SUPPORT)
    assert projected.tolist() == [[0.125, 0.375, 0.5]]


def test_a_support_may_lie_below_zero_and_have_two_atoms():
    assert project(tensor([[-25.0]]), tensor([[1.0]]), tensor([-100.0, 0.0])).tolist() == [[0.25, 0.75]]


ATOMS = st.lists(st.floats(-3, 3), min_size=1, max_size=6)


@given(ATOMS, st.integers(2, 60), st.floats(-1, 1), st.floats(0.5, 4))
def test_no_mass_is_lost_and_none_is_negative(atoms, num_atoms, low, width):
    """Within the support and beyond it."""
    support = torch.linspace(low, low + width, num_atoms, **DOUBLE)
    masses = torch.full((1, len(atoms)), 1 / len(atoms), **DOUBLE)
    projected = project(tensor([atoms], **DOUBLE), masses, support)
    assert (projected >= 0).all()
    assert projected.sum().item() == pytest.approx(1, abs=1e-12)


@given(ATOMS, st.integers(2, 60))
def test_the_mean_is_kept_if_nothing_is_clipped(atoms, num_atoms):
    masses = torch.arange(1.0, len(atoms) + 1, **DOUBLE).softmax(0)
    support = torch.linspace(-3, 3, num_atoms, **DOUBLE)
    projected = project(tensor([atoms], **DOUBLE), masses[None], support)
    mean = (tensor(atoms, **DOUBLE) * masses).sum().item()
    assert (projected * support).sum().item() == pytest.approx(mean, abs=1e-12)


def test_the_end_of_the_support_loses_nothing_to_rounding():
    """In float32, for several bounds."""
    for v_max in (0.1, 0.7, 3.3, 100.0, 1 / 3):
        support = torch.linspace(-v_max / 7, v_max, 51)
        assert project(tensor([[1e9]]), tensor([[1.0]]), support)[0, -1] == 1


def test_rewards_and_discount_move_the_atoms():
    """1 + ½ · (0, 10, 20) = 1, 6, 11 with masses ½, ¼, ¼: (0.9, 0.1, 0), (0.4, 0.6, 0) and (0, 0.9, 0.1)."""
    masses = tensor([[[0.5, 0.25, 0.25]]])
    target = categorical_target(tensor([1.0]), tensor([0.5]), masses, SUPPORT, greedy(1, 1))
    torch.testing.assert_close(target, tensor([[0.45 + 0.1, 0.05 + 0.15 + 0.225, 0.025]]))


def test_a_terminal_transition_is_worth_its_reward_alone():
    """4 = 0.6 · 0 + 0.4 · 10, regardless of the next state's masses and shifts."""
    masses = tensor([[[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]])
    bootstrap = Bootstrapped(tensor([[0.5, 0.5]]), tensor([[7.0, -9.0]]), tensor([0.0]))
    target = categorical_target(tensor([4.0]), tensor([0.0]), masses, SUPPORT, bootstrap)
    torch.testing.assert_close(target, tensor([[0.6, 0.4, 0.0]]))


def test_the_target_is_the_mixture_of_the_shifted_next_actions():
    """With its bonus the reward is 1 + 1 = 2.

    Action 0 (¼) has all mass at 10 and is shifted by 6: 2 + ½ · 16 = 10; action 1 (¾) has it at 0, shifted by −4: 0.
    """
    masses = tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    bootstrap = Bootstrapped(tensor([[0.25, 0.75]]), tensor([[6.0, -4.0]]), tensor([1.0]))
    target = categorical_target(tensor([1.0]), tensor([0.5]), masses, SUPPORT, bootstrap)
    torch.testing.assert_close(target, tensor([[0.75, 0.25, 0.0]]))


@pytest.mark.parametrize("seed", range(5))
def test_the_target_is_that_of_plain_loops(seed):
    case = random_case(seed)
    torch.testing.assert_close(categorical_target(*case), looped_target(*case), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_an_action_that_is_certain_is_the_only_one_that_matters(seed):
    reward, discount, masses, support, _ = random_case(seed)
    certain = Bootstrapped(*(field.double() for field in greedy(4, 3, action=2)))
    alone = Bootstrapped(*(field.double() for field in greedy(4, 1)))
    whole = categorical_target(reward, discount, masses, support, certain)
    torch.testing.assert_close(whole, categorical_target(reward, discount, masses[:, 2:], support, alone))


def test_q_values_are_means(make):
    """Atoms 0, 10, 20: masses ½, ¼, ¼ have the mean 7.5; equal ones 10."""
    value = make("value", "categorical", num_atoms=3, v_max=20.0)
    assert value.num_outputs == 3
    outputs = tensor([[0.5, 0.25, 0.25], [1.0, 1.0, 1.0]]).log()
    torch.testing.assert_close(value.q_values(outputs), tensor([7.5, 10.0]))


def test_the_loss_is_the_cross_entropy_of_the_action_taken(make):
    """Target (½, ½, 0), prediction (½, ¼, ¼): ½ ln 2 + ½ ln 4 = 1.5 ln 2.

    The target's entropy is ln 2, so KL is ½ ln 2.
    """
    value = make("value", "categorical", num_atoms=3, v_max=20.0)
    outputs = tensor([[[9.0, 9.0, 9.0], [0.5, 0.25, 0.25]]])
    outputs[0, 1].log_()
    judged = value.loss(outputs, tensor([1]), tensor([[0.5, 0.5, 0.0]]), None)
    torch.testing.assert_close(judged.loss, tensor([1.5 * math.log(2)]))
    torch.testing.assert_close(judged.priority, tensor([0.5 * math.log(2)]))
    torch.testing.assert_close(judged.q_value, tensor([7.5]))


def test_the_target_of_a_transition_reaches_the_loss(make):
    """Both next actions are certain of 10: 5 + ½ · 10 = 10, which has the probability ¼ online."""
    value = make("value", "categorical", num_atoms=3, v_max=20.0)
    certain = tensor([[[-99.0, 0.0, -99.0], [-99.0, 0.0, -99.0]]])
    transition = Transition(None, tensor([0]), tensor([5.0]), None, tensor([0.5]))
    target = value.target(transition, certain, greedy(1, 2), None)
    outputs = tensor([[[0.5, 0.25, 0.25], [1.0, 1.0, 1.0]]]).log()
    judged = value.loss(outputs, tensor([0]), target, None)
    torch.testing.assert_close(target, tensor([[0.0, 1.0, 0.0]]))
    torch.testing.assert_close(judged.loss, tensor([math.log(4)]))


def test_the_priority_is_zero_if_the_prediction_is_the_target(make):
    value = make("value", "categorical", num_atoms=4)
    outputs = torch.randn(8, 2, 4, generator=torch.Generator().manual_seed(0))
    judged = value.loss(outputs, torch.zeros(8, dtype=torch.long), outputs[:, 0].softmax(-1), None)
    assert (judged.priority >= 0).all()
    torch.testing.assert_close(judged.priority, torch.zeros(8), rtol=0, atol=1e-6)


def test_the_gradient_is_prediction_minus_target(make):
    value = make("value", "categorical", num_atoms=3, v_max=20.0)
    outputs = tensor([[[0.5, 0.25, 0.25]]]).log().requires_grad_()
    value.loss(outputs, tensor([0]), tensor([[0.0, 0.75, 0.25]]), None).loss.sum().backward()
    torch.testing.assert_close(outputs.grad, tensor([[[0.5, -0.5, 0.0]]]))


def test_the_gradient_is_that_of_finite_differences(make):
    value = make("value", "categorical", num_atoms=5, v_min=-2.0, v_max=3.0)
    target = categorical_target(*random_case(0))
    action = tensor([0, 2, 1, 2])
    outputs = random_case(1)[2].log().requires_grad_()
    assert torch.autograd.gradcheck(lambda out: value.loss(out, action, target, None).loss, outputs)


def test_the_support_has_the_type_and_device_of_the_outputs(make):
    value = make("value", "categorical")
    assert value.q_values(torch.zeros(3, 2, 51, dtype=torch.float64)).dtype == torch.float64
    assert value.q_values(torch.zeros(3, 2, 51)).dtype == torch.float32
    assert value.q_values(torch.zeros(3, 2, 51, device="meta")).device.type == "meta"


def test_the_default_covers_cartpole(make):
    """Balancing for ever is worth 1 / (1 − 0.99) = 100."""
    support = make("value", "categorical").support(torch.zeros(1))
    assert support.tolist() == pytest.approx([2.0 * i for i in range(51)])


@pytest.mark.parametrize(("v_min", "v_max"), [(0.0, 0.0), (1.0, -1.0)])
def test_a_support_without_width_is_refused(make, v_min, v_max):
    with pytest.raises(ConfigError, match=rf"^value\.v_min={v_min}: must be less than v_max={v_max}$"):
        make("value", "categorical", v_min=v_min, v_max=v_max)


@pytest.mark.parametrize("num_atoms", [1, 0, 2.5, True])
def test_fewer_than_two_atoms_are_refused(make, num_atoms):
    with pytest.raises(ConfigError, match=r"^value\.num_atoms="):
        make("value", "categorical", num_atoms=num_atoms)


def test_projection_stays_on_its_device():
    atoms, support = torch.zeros(2, 4, device="meta"), torch.zeros(3, device="meta")
    assert project(atoms, atoms, support).device.type == "meta"


def test_each_transition_gets_its_own_priority(make):
    """KL is 0 for the first, which is right, and ½ log(½ / ¼) + ½ log(½ / ¾) = ½ log 4/3 for the second."""
    value = make("value", "categorical", num_atoms=2, v_min=0, v_max=1)
    outputs = tensor([[[1.0, 3.0]], [[1.0, 3.0]]]).log()
    target = tensor([[0.25, 0.75], [0.5, 0.5]])
    judged = value.loss(outputs, tensor([0, 0]), target, None)
    torch.testing.assert_close(judged.priority, tensor([0.0, 0.5 * math.log(4 / 3)]))


def test_the_support_has_the_precision_of_the_outputs(make):
    """Thirds are exact to double precision, not converted from single."""
    value = make("value", "categorical", num_atoms=4, v_min=0, v_max=1)
    support = value.support(torch.zeros(1, **DOUBLE))
    assert support.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1], rel=1e-15)
