from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import tensor

from dqn_lab.types import Bootstrapped, ConfigError, Transition
from dqn_lab.value.expected import huber
from dqn_lab.value.quantile import midpoints, pairwise, quantile_huber, quantile_target

DOUBLE = {"dtype": torch.float64}


def one_hot(action, num_actions):
    probabilities = torch.nn.functional.one_hot(action, num_actions).double()
    return Bootstrapped(probabilities, torch.zeros_like(probabilities), torch.zeros(len(action), **DOUBLE))


def random_case(seed, size=4, num_actions=3, num_quantiles=5):
    """Returns outputs at s and s′, a transition and a bootstrap, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, **DOUBLE)

    discount = torch.rand(size, generator=generator, **DOUBLE)
    discount[0] = 0
    action = torch.randint(num_actions, (size,), generator=generator)
    shape = size, num_actions, num_quantiles
    transition = Transition(None, action, normal(size), None, discount)
    bootstrap = Bootstrapped(normal(*shape[:2]).softmax(1), normal(*shape[:2]), normal(size))
    return normal(*shape), normal(*shape), transition, bootstrap


def looped(quantiles, samples, weights, kappa):
    """Computes one transition's loss and priority: each online quantile against each weighted target sample."""
    loss = priority = 0.0
    for i, quantile in enumerate(quantiles):
        fraction = (2 * i + 1) / (2 * len(quantiles))
        for sample, weight in zip(samples, weights, strict=True):
            delta = sample - quantile
            huber = delta**2 / 2 if abs(delta) <= kappa else kappa * (abs(delta) - kappa / 2)
            loss += weight * abs(fraction - (delta < 0)) * huber / kappa
            priority += weight * abs(delta) / len(quantiles)
    return loss, priority


def test_midpoints_divide_the_unit_interval():
    assert midpoints(1, torch.zeros(1)).tolist() == [0.5]
    assert midpoints(4, torch.zeros(1)).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert midpoints(4, torch.zeros(1, **DOUBLE)).dtype == torch.float64
    assert midpoints(4, torch.zeros(1, device="meta")).device.type == "meta"


def test_errors_above_weigh_the_fraction_and_errors_below_the_rest():
    """κ = 2, τ = ¼: ¼ · ½ / 2, ¾ · ½ / 2, ¼ · 2 (3 − 1) / 2, ¾ · 2 (3 − 1) / 2."""
    td_error = tensor([1.0, -1.0, 3.0, -3.0, 0.0])
    assert quantile_huber(td_error, tensor(0.25), 2.0).tolist() == [0.0625, 0.1875, 0.5, 1.5, 0.0]


@given(st.floats(-50, 50), st.floats(0.01, 0.99))
def test_with_a_small_kappa_it_is_the_quantile_regression_loss(td_error, fraction):
    loss = quantile_huber(tensor(td_error, **DOUBLE), tensor(fraction, **DOUBLE), 1e-9)
    assert loss.item() == pytest.approx(td_error * (fraction - (td_error < 0)), abs=1e-8)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=5), st.floats(0.01, 0.99), st.floats(0.1, 10))
def test_loss_and_gradient_are_those_of_the_weighted_huber_loss(td_error, fraction, kappa):
    one, other = (tensor(td_error, requires_grad=True, **DOUBLE) for _ in range(2))
    loss = quantile_huber(one, tensor(fraction, **DOUBLE), kappa)
    expected = torch.where(other < 0, 1 - fraction, fraction) * huber(other, kappa) / kappa
    torch.testing.assert_close(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(one.grad, other.grad)


def test_pairs_are_summed_over_quantiles_and_averaged_over_samples():
    """¼ · (1 + 3) + ¾ · (2 + 4)."""
    assert pairwise(tensor([[[1.0, 2.0], [3.0, 4.0]]]), tensor([[0.25, 0.75]])).tolist() == [5.5]


def test_the_target_is_samples_and_their_weights():
    """Samples are 1 + 1 + ½ (θ + shift); each action's probability is split over its two quantiles."""
    bootstrap = Bootstrapped(tensor([[0.25, 0.75]]), tensor([[2.0, -4.0]]), tensor([1.0]))
    quantiles = tensor([[[0.0, 2.0], [4.0, 8.0]]])
    target = quantile_target(tensor([1.0]), tensor([0.5]), quantiles, bootstrap)
    assert target.tolist() == [[[3.0, 4.0, 2.0, 4.0], [0.125, 0.125, 0.375, 0.375]]]


def test_a_terminal_transition_is_worth_its_reward_alone():
    bootstrap = Bootstrapped(tensor([[0.25, 0.75]]), tensor([[2.0, -4.0]]), tensor([0.0]))
    target = quantile_target(tensor([3.0]), tensor([0.0]), tensor([[[0.0, 2.0], [4.0, 8.0]]]), bootstrap)
    assert target[0, 0].tolist() == [3.0] * 4
    assert target[0, 1].sum() == 1


def test_q_values_are_the_quantiles_means(make):
    value = make("value", "quantile", num_quantiles=2)
    assert value.num_outputs == 2
    assert value.q_values(tensor([[1.0, 4.0], [-1.0, 0.0]])).tolist() == [2.5, -0.5]


def test_the_loss_by_hand(make):
    """Quantiles 0 and 2 (τ = ¼, ¾) against samples 1 and 5, each of weight ½; κ = 1.

    δ of the first: 1 and 5, ¼ · ½ and ¼ · 4.5; of the second: −1 and 3, ¼ · ½ and ¾ · 2.5. Half of all that is
    ½ (0.125 + 1.125 + 0.125 + 1.875) = 1.625, and the mean |δ| is (1 + 5 + 1 + 3) / 4 = 2.5.
    """
    value = make("value", "quantile", num_quantiles=2)
    outputs = tensor([[[7.0, 7.0], [0.0, 2.0]]])
    judged = value.loss(outputs, tensor([1]), tensor([[[1.0, 5.0], [0.5, 0.5]]]), None)
    assert [field.tolist() for field in judged] == [[1.625], [1.0], [2.5]]


def test_the_loss_uses_the_given_kappa_and_divides_by_it(make):
    """τ = ½, δ = 3, κ = 2: ½ · 2 (3 − 1) / 2 = 1; without the division it would be 2."""
    value = make("value", "quantile", num_quantiles=1, kappa=2)
    judged = value.loss(tensor([[[0.0]]]), tensor([0]), tensor([[[3.0], [1.0]]]), None)
    assert judged.loss.tolist() == [1.0]


def test_samples_count_by_their_weights(make):
    """τ = ½, κ = 1: ¼ · ½ · ½ for δ = 1, and ¾ · ½ · 2.5 for δ = −3; the mean |δ| is ¼ · 1 + ¾ · 3."""
    value = make("value", "quantile", num_quantiles=1)
    judged = value.loss(tensor([[[0.0]]]), tensor([0]), tensor([[[1.0, -3.0], [0.25, 0.75]]]), None)
    assert judged.loss.tolist() == [0.0625 + 0.9375]
    assert judged.priority.tolist() == [2.5]


@pytest.mark.parametrize("kappa", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_loss_of_a_mixture_is_that_of_plain_loops(make, seed, kappa):
    value = make("value", "quantile", num_quantiles=5, kappa=kappa)
    outputs, next_outputs, transition, bootstrap = random_case(seed)
    judged = value.loss(outputs, transition.action, value.target(transition, next_outputs, bootstrap, None), None)
    for b, action in enumerate(transition.action.tolist()):
        shifted = next_outputs[b] + bootstrap.shift[b, :, None]
        samples = transition.reward[b] + bootstrap.bonus[b] + transition.discount[b] * shifted
        weights = (bootstrap.probabilities[b, :, None] / 5).expand(3, 5)
        expected = looped(outputs[b, action].tolist(), samples.flatten().tolist(), weights.flatten().tolist(), kappa)
        assert (judged.loss[b].item(), judged.priority[b].item()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_certain_next_action_gives_plain_qr_dqn(make, seed):
    """Algorithm 1 of the paper: N samples r + γ θ_j(s′, a*), each of weight 1 / N."""
    value = make("value", "quantile", num_quantiles=5)
    outputs, next_outputs, transition, _ = random_case(seed)
    best = next_outputs.mean(-1).argmax(1)
    target = value.target(transition, next_outputs, one_hot(best, 3), None)
    judged = value.loss(outputs, transition.action, target, None)
    for b, action in enumerate(transition.action.tolist()):
        samples = transition.reward[b] + transition.discount[b] * next_outputs[b, best[b]]
        expected = looped(outputs[b, action].tolist(), samples.tolist(), [1 / 5] * 5, 1.0)
        assert (judged.loss[b].item(), judged.priority[b].item()) == pytest.approx(expected, rel=1e-12)


def test_actions_without_probability_change_nothing_at_all(make):
    """Bit for bit, however far off their samples are."""
    value = make("value", "quantile", num_quantiles=8)
    outputs, next_outputs, transition, _ = random_case(0, num_quantiles=8)
    best = tensor([2, 0, 1, 2])
    others = next_outputs + 1e6 * (1 - one_hot(best, 3).probabilities).unsqueeze(-1)
    one, other = (
        value.loss(outputs, transition.action, value.target(transition, given, one_hot(best, 3), None), None)
        for given in (next_outputs, others)
    )
    assert all(torch.equal(*fields) for fields in zip(one, other, strict=True))


def test_the_quantiles_of_a_known_distribution_are_found(make):
    """Samples 0 … 9 are equally likely: the quantiles at ¼ and ¾ are 2 and 7, which a small κ finds."""
    value = make("value", "quantile", num_quantiles=2, kappa=1e-3)
    target = torch.stack([torch.arange(10.0), torch.full((10,), 0.1)])[None]
    outputs = tensor([[[4.0, 4.0]]], requires_grad=True)
    optimizer = torch.optim.SGD([outputs], 0.02)
    for _ in range(2000):
        optimizer.zero_grad()
        value.loss(outputs, tensor([0]), target, None).loss.sum().backward()
        optimizer.step()
    torch.testing.assert_close(outputs.detach(), tensor([[[2.0, 7.0]]]), rtol=0, atol=0.02)


def test_the_gradient_is_that_of_finite_differences(make):
    value = make("value", "quantile", num_quantiles=5)
    outputs, next_outputs, transition, bootstrap = random_case(0)
    target = value.target(transition, next_outputs, bootstrap, None)
    outputs.requires_grad_()
    assert torch.autograd.gradcheck(lambda out: value.loss(out, transition.action, target, None).loss, outputs)


@pytest.mark.parametrize("kappa", [0, -1, "1"])
def test_a_kappa_that_is_not_positive_is_refused(make, kappa):
    with pytest.raises(ConfigError, match=r"^value\.kappa="):
        make("value", "quantile", kappa=kappa)


@pytest.mark.parametrize("num_quantiles", [0, -3, 1.5])
def test_fewer_than_one_quantile_is_refused(make, num_quantiles):
    with pytest.raises(ConfigError, match=r"^value\.num_quantiles="):
        make("value", "quantile", num_quantiles=num_quantiles)
