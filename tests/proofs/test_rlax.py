"""Losses, their gradients and n-step returns against rlax (DeepMind), in double precision."""

from __future__ import annotations

import functools
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab import registry
from dqn_lab.buffer._windows import Windows
from dqn_lab.buffer.uniform import Uniform
from dqn_lab.types import Bootstrapped, NetworkNoise, Transition

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about their own imports
    jax = pytest.importorskip("jax", reason="the proofs need jax: pip install -e '.[proofs]'")
    rlax = pytest.importorskip("rlax", reason="the proofs need rlax: pip install -e '.[proofs]'")
    import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # from rlax's own calls

B, A = 6, 3
TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
ATOMS, V_MIN, V_MAX = 7, -2.0, 3.0
QUANTILES, KAPPA = 5, 0.7
SAMPLES, POLICY = 4, 6  # fractions of IQN's target network, and of its online network if that selects
SCALE, TEMPERATURE, CLIP = 0.9, 0.3, -1.0
EPSILON = 0.3
SUPPORT = np.linspace(V_MIN, V_MAX, ATOMS)
FRACTIONS = (np.arange(QUANTILES) + 0.5) / QUANTILES

VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    "squared": ("expected", {"loss": "squared"}),
    "huber": ("expected", {"loss": "huber", "kappa": KAPPA}),
    "categorical": ("categorical", {"num_atoms": ATOMS, "v_min": V_MIN, "v_max": V_MAX}),
    "quantile": ("quantile", {"num_quantiles": QUANTILES, "kappa": KAPPA}),
    "implicit_quantile": ("implicit_quantile", {"kappa": KAPPA}),
}
WIDTHS = {  # outputs for each action: of the online network at s, of the target network, of the online network at s′
    "squared": (1, 1, 1),
    "huber": (1, 1, 1),
    "categorical": (ATOMS, ATOMS, ATOMS),
    "quantile": (QUANTILES, QUANTILES, QUANTILES),
    "implicit_quantile": (QUANTILES, SAMPLES, POLICY),
}
BOOTSTRAPS: dict[str, dict[str, Any]] = {
    "max": {},
    "double": {},
    "expected_sarsa": {},
    "munchausen": {"scale": SCALE, "temperature": TEMPERATURE, "clip": CLIP},
}


class Case:
    """A batch with outputs [B, A, K] of both networks, drawn from a seed; discounts of 0 and 1 are among them."""

    def __init__(self, widths: tuple[int, int, int], seed: int, size: float) -> None:
        rng, (width, target_width, selector_width) = np.random.default_rng(seed), widths

        def outputs(num_outputs: int) -> np.ndarray:
            return size * rng.normal(size=(B, A, num_outputs))

        self.outputs, self.online_next = outputs(width), outputs(selector_width)
        self.target_obs, self.target_next = outputs(target_width), outputs(target_width)
        self.action = rng.integers(A, size=B)
        self.reward = rng.normal(size=B) * size
        self.discount = np.array([0.0, 1.0, 0.99, *rng.random(B - 3)])
        self.probabilities = rng.dirichlet(np.ones(A), size=B)
        self.shift, self.bonus = rng.normal(size=(B, A)), rng.normal(size=B)
        self.fractions = rng.random((B, width))  # used by implicit quantiles only


cases = functools.partial(
    st.builds, Case, seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.01, 0.3, 1.0, 4.0, 50.0])
)


def ours(value: Any, bootstrap: Any, case: Case) -> tuple[np.ndarray, np.ndarray, Any]:
    """Returns each transition's loss [B], its gradient with respect to the outputs at s [B, A, K], and the `Loss`."""
    outputs = torch.tensor(case.outputs, requires_grad=True)
    action = torch.tensor(case.action)
    transition = Transition(None, action, torch.tensor(case.reward), None, torch.tensor(case.discount))
    names = ("online_next", "target_next", "target_obs")
    q_values = SimpleNamespace(**{name: value.q_values(torch.tensor(getattr(case, name))) for name in names})
    q_values.epsilon = EPSILON
    answer = bootstrap(q_values, action)
    target = value.target(transition, torch.tensor(case.target_next), answer, lambda: outputs.detach())
    judged = value.loss(outputs, action, target, NetworkNoise(rows=torch.tensor(case.fractions)))
    judged.loss.sum().backward()
    return judged.loss.detach().numpy(), outputs.grad.numpy(), judged


def theirs(loss: Any, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Returns loss and gradient of a function of one transition's outputs and of a namespace with the rest of it."""
    rest = {name: array for name, array in vars(case).items() if name != "outputs"}
    values, gradients = _compiled(loss)(case.outputs, rest)
    return np.asarray(values), np.asarray(gradients)


@functools.cache
def _compiled(loss: Any) -> Any:
    def one(outputs: Any, rest: dict[str, Any]) -> Any:
        return loss(outputs, SimpleNamespace(**rest))

    return jax.jit(jax.vmap(jax.value_and_grad(one)))


def error(kind: str, td_error: Any) -> Any:
    """rlax's l2_loss is ½δ², and dqn_lab's squared error δ²."""
    return 2 * rlax.l2_loss(td_error) if kind == "squared" else rlax.huber_loss(td_error, KAPPA)


def expected_max(kind: str, outputs: Any, t: Any) -> Any:
    return error(kind, rlax.q_learning(outputs[:, 0], t.action, t.reward, t.discount, t.target_next[:, 0]))


def expected_double(kind: str, outputs: Any, t: Any) -> Any:
    q_values = t.target_next[:, 0], t.online_next[:, 0]
    return error(kind, rlax.double_q_learning(outputs[:, 0], t.action, t.reward, t.discount, *q_values))


def expected_mixture(kind: str, outputs: Any, t: Any) -> Any:
    next_q_values = t.target_next[:, 0] + t.shift
    parts = t.reward + t.bonus, t.discount, next_q_values, t.probabilities
    return error(kind, rlax.expected_sarsa(outputs[:, 0], t.action, *parts))


def categorical_max(outputs: Any, t: Any) -> Any:
    return rlax.categorical_q_learning(SUPPORT, outputs, t.action, t.reward, t.discount, SUPPORT, t.target_next)


def categorical_double(outputs: Any, t: Any) -> Any:
    selector = jax.nn.softmax(t.online_next) @ SUPPORT
    parts = t.action, t.reward, t.discount, SUPPORT, t.target_next, selector
    return rlax.categorical_double_q_learning(SUPPORT, outputs, *parts)


def categorical_mixture(outputs: Any, t: Any) -> Any:
    """Computes the loss for the mixture of the actions' shifted distributions, projected as one."""
    atoms = t.reward + t.bonus + t.discount * (SUPPORT + t.shift[:, None])
    masses = t.probabilities[:, None] * jax.nn.softmax(t.target_next)
    target = rlax.categorical_l2_project(atoms.ravel(), masses.ravel(), SUPPORT)
    return -(jax.lax.stop_gradient(target) * jax.nn.log_softmax(outputs[t.action])).sum()


def quantile_max(fractions: Any, outputs: Any, t: Any) -> Any:
    """In rlax quantiles are the first axis, and the loss is not divided by κ."""
    parts = t.action, t.reward, t.discount, t.target_next.T, t.target_next.T
    return rlax.quantile_q_learning(outputs.T, fractions(t), *parts, huber_param=KAPPA) / KAPPA


def quantile_double(fractions: Any, outputs: Any, t: Any) -> Any:
    parts = t.action, t.reward, t.discount, t.online_next.T, t.target_next.T
    return rlax.quantile_q_learning(outputs.T, fractions(t), *parts, huber_param=KAPPA) / KAPPA


def quantile_mixture(fractions: Any, outputs: Any, t: Any) -> Any:
    next_quantiles = (t.target_next + t.shift[:, None]).T
    parts = t.action, t.reward + t.bonus, t.discount, next_quantiles, t.probabilities
    return rlax.quantile_expected_sarsa(outputs.T, fractions(t), *parts, huber_param=KAPPA) / KAPPA


def midpoints(t: Any) -> Any:
    return FRACTIONS


def drawn(t: Any) -> Any:
    return t.fractions


def expected_sarsa(mixture: Any, mean: Any) -> Any:
    """Returns a mixture's loss for the ε-greedy policy of rlax."""

    def loss(outputs: Any, t: Any) -> Any:
        t.probabilities = rlax.epsilon_greedy(EPSILON).probs(mean(t.target_next))
        t.shift, t.bonus = jnp.zeros(A), 0.0
        return mixture(outputs, t)

    return loss


def munchausen(mixture: Any, mean: Any) -> Any:
    """Returns a mixture's loss for Munchausen's bootstrap, with jax's own log-softmax."""

    def loss(outputs: Any, t: Any) -> Any:
        log_next = jax.nn.log_softmax(mean(t.target_next) / TEMPERATURE)
        log_obs = jax.nn.log_softmax(mean(t.target_obs) / TEMPERATURE)
        t.probabilities, t.shift = jnp.exp(log_next), -TEMPERATURE * log_next
        t.bonus = SCALE * jnp.clip(TEMPERATURE * log_obs[t.action], CLIP, 0)
        return mixture(outputs, t)

    return loss


def expected_mean(outputs: Any) -> Any:
    return outputs[:, 0]


def categorical_mean(outputs: Any) -> Any:
    return jax.nn.softmax(outputs) @ SUPPORT


def quantile_mean(outputs: Any) -> Any:
    return outputs.mean(1)


MIXTURES = {
    "squared": functools.partial(expected_mixture, "squared"),
    "huber": functools.partial(expected_mixture, "huber"),
    "categorical": categorical_mixture,
    "quantile": functools.partial(quantile_mixture, midpoints),
    "implicit_quantile": functools.partial(quantile_mixture, drawn),
}
MEANS = {
    "squared": expected_mean,
    "huber": expected_mean,
    "categorical": categorical_mean,
    "quantile": quantile_mean,
    "implicit_quantile": quantile_mean,
}
LOSSES = {
    ("squared", "max"): functools.partial(expected_max, "squared"),
    ("squared", "double"): functools.partial(expected_double, "squared"),
    ("huber", "max"): functools.partial(expected_max, "huber"),
    ("huber", "double"): functools.partial(expected_double, "huber"),
    ("categorical", "max"): categorical_max,
    ("categorical", "double"): categorical_double,
    ("quantile", "max"): functools.partial(quantile_max, midpoints),
    ("quantile", "double"): functools.partial(quantile_double, midpoints),
    ("implicit_quantile", "max"): functools.partial(quantile_max, drawn),
    ("implicit_quantile", "double"): functools.partial(quantile_double, drawn),
    **{(kind, "expected_sarsa"): expected_sarsa(MIXTURES[kind], MEANS[kind]) for kind in MIXTURES},
    **{(kind, "munchausen"): munchausen(MIXTURES[kind], MEANS[kind]) for kind in MIXTURES},
}


@pytest.mark.parametrize(("kind", "bootstrap"), LOSSES)
@given(data=st.data())
def test_a_loss_and_its_gradient_are_those_of_rlax(make, kind, bootstrap, data):
    name, configuration = VALUES[kind]
    value = make("value", name, **configuration)
    case = data.draw(cases(st.just(WIDTHS[kind])))
    loss, gradient, judged = ours(value, make("bootstrap", bootstrap, **BOOTSTRAPS[bootstrap]), case)
    expected_loss, expected_gradient = theirs(LOSSES[kind, bootstrap], case)
    np.testing.assert_allclose(loss, expected_loss, **TOLERANCE)
    np.testing.assert_allclose(gradient, expected_gradient, **TOLERANCE)
    q_values = jax.vmap(MEANS[kind])(case.outputs)[np.arange(B), case.action]
    np.testing.assert_allclose(judged.q_value.numpy(), q_values, **TOLERANCE)


@pytest.mark.parametrize("kind", MIXTURES)
@given(data=st.data())
def test_the_loss_of_any_bootstrap_is_that_of_rlaxs_expected_sarsa(make, kind, data):
    """The next actions' probabilities and shifts and the bonus are random."""
    name, configuration = VALUES[kind]
    value = make("value", name, **configuration)
    case = data.draw(cases(st.just(WIDTHS[kind])))
    answer = Bootstrapped(*map(torch.tensor, (case.probabilities, case.shift, case.bonus)))
    loss, gradient, _ = ours(value, lambda q_values, action: answer, case)
    expected_loss, expected_gradient = theirs(MIXTURES[kind], case)
    np.testing.assert_allclose(loss, expected_loss, **TOLERANCE)
    np.testing.assert_allclose(gradient, expected_gradient, **TOLERANCE)


def test_every_value_and_every_bootstrap_is_compared_with_rlax():
    assert {name for name, _ in VALUES.values()} == set(registry.names("value"))
    assert set(BOOTSTRAPS) == set(registry.names("bootstrap"))
    assert set(LOSSES) == {(kind, bootstrap) for kind in VALUES for bootstrap in BOOTSTRAPS}


@jax.jit
@jax.vmap
def _divergences(outputs: Any, target_next: Any, action: Any, reward: Any, discount: Any) -> Any:
    masses = jax.nn.softmax(target_next)
    best = (masses @ SUPPORT).argmax()
    target = rlax.categorical_l2_project(reward + discount * SUPPORT, masses[best], SUPPORT)
    return jax.scipy.special.rel_entr(target, jax.nn.softmax(outputs[action])).sum()


@given(cases(st.just(WIDTHS["categorical"])))
def test_a_categorical_priority_is_the_divergence_from_rlaxs_projection(make, case):
    """KL(target ‖ p): cross-entropy less entropy, or jax's relative entropy."""
    name, configuration = VALUES["categorical"]
    _, _, judged = ours(make("value", name, **configuration), make("bootstrap", "max"), case)
    divergence = _divergences(case.outputs, case.target_next, case.action, case.reward, case.discount)
    np.testing.assert_allclose(judged.priority.numpy(), divergence, rtol=1e-9, atol=1e-10)


@functools.cache
def _n_step_returns(n_step: int) -> Any:
    return jax.jit(functools.partial(rlax.n_step_bootstrapped_returns, n=n_step))


def n_step_returns(rewards: Any, discounts: Any, following: Any, n_step: int) -> list[float]:
    """Returns rlax's n-step return of every step of an episode; `following` holds the next states' values."""
    return np.asarray(_n_step_returns(n_step)(rewards, discounts, following)).tolist()


@st.composite
def episodes(draw):
    """Draws an episode's rewards, of few lengths because jax compiles each, and whether it terminated."""
    length = draw(st.sampled_from([1, 2, 3, 7]))
    rewards = draw(st.lists(st.floats(-10, 10), min_size=length, max_size=length))
    return np.array(rewards), draw(st.booleans())


@given(
    several=st.lists(episodes(), min_size=1, max_size=4),
    n_step=st.integers(1, 4),
    discount=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_windows_store_rlaxs_n_step_return_of_every_step(several, n_step, discount, seed):
    """Σ rewards + discount · v(next_obs), with a random function v of the observation."""
    windows, stored = Windows(n_step, discount, 1), []
    values = np.random.default_rng(seed).normal(size=100)
    expected, obs = [], 0
    for rewards, terminated in several:
        length = len(rewards)
        for step, reward in enumerate(rewards.tolist()):
            last = step == length - 1
            ends = last and terminated, last and not terminated
            stored += windows.push(0, obs + step, 0, reward, obs + step + 1, *ends)
        discounts = np.full(length, discount)
        discounts[-1] *= not terminated
        following = values[obs + 1 : obs + length + 1]
        expected += n_step_returns(rewards, discounts, following, n_step)
        obs += length + 1
    found = [reward + follows * values[next_obs] for _, _, reward, next_obs, follows in stored]
    np.testing.assert_allclose(found, expected, **TOLERANCE)


@given(several=st.lists(episodes(), min_size=1, max_size=4), n_step=st.integers(1, 4), capacity=st.integers(1, 20))
def test_a_buffer_keeps_the_latest_of_these_returns(several, n_step, capacity):
    """In single precision, after the oldest were overwritten; the value of observation n is √n."""
    buffer, expected, obs = Uniform(Discrete(100), 0.9, 1, capacity=capacity, n_step=n_step), [], 0
    for rewards, terminated in several:
        length = len(rewards)
        for step, reward in enumerate(rewards.tolist()):
            last = step == length - 1
            buffer.append(0, obs + step, 0, reward, obs + step + 1, last and terminated, last and not terminated)
        discounts = np.full(length, 0.9)
        discounts[-1] *= not terminated
        following = np.sqrt(np.arange(obs + 1.0, obs + length + 1))
        expected += n_step_returns(rewards, discounts, following, n_step)
        obs += length + 1
    kept = buffer.ring.gather(np.roll(np.arange(len(buffer)), -buffer.ring.head % len(buffer)))
    found = kept.reward + kept.discount * np.sqrt(kept.next_obs)
    np.testing.assert_allclose(found, expected[-capacity:], rtol=1e-5, atol=1e-5)
