"""Prioritised sampling against torchrl's `PrioritizedSampler`, in double precision.

Two conventions differ. torchrl divides weights by the buffer's largest only, so those over the batch's are derived; and
it adds ε to the priority of the first transitions too, which is 1 here.
"""

from __future__ import annotations

import os
import sys
import warnings

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.buffer.prioritized import Prioritized

# A wheel of torchrl fits one release of torch. With another release a symbol is missing that its trees never call;
# lazy binding does not look it up.
_flags = sys.getdlopenflags()
sys.setdlopenflags(os.RTLD_LAZY)
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own imports
        pytest.importorskip("torchrl", reason="the proofs need torchrl: pip install -e '.[proofs]'")
        from torchrl.data.replay_buffers.samplers import PrioritizedSampler
finally:
    sys.setdlopenflags(_flags)
try:
    PrioritizedSampler(1, 1.0, 1.0)
except RuntimeError as error:
    pytest.skip(f"torchrl does not fit torch {torch.__version__}: {error}", allow_module_level=True)

CAPACITY = 40
BELOW_ONE = np.nextafter(1.0, 0.0)


class Stored(list):
    """The part of a storage that the sampler uses."""

    ndim = 1


class Both:
    """One buffer of each kind, with the same transitions and priorities.

    Args:
        size: transitions at first.
        alpha: the priority exponent.
        beta: the importance exponent.
        epsilon: added to |δ|.
        normalize: whose largest weight is made 1.
        stratified: whether our draws are stratified.
    """

    def __init__(self, size, *, alpha=0.6, beta=0.4, epsilon=0.01, normalize="buffer", stratified=False):
        self.ours = Prioritized(
            Discrete(1000), 0.9, 1, capacity=CAPACITY, priority_exponent=alpha, importance_exponent=beta,
            priority_epsilon=epsilon, normalize=normalize, stratified=stratified,
        )  # fmt: skip
        self.theirs = PrioritizedSampler(CAPACITY, alpha, beta, eps=epsilon, dtype=torch.float64)
        self.stored, self.written = Stored(), 0
        for _ in range(size):
            self.append()

    def append(self):
        self.ours.append(0, self.written, 0, 0.0, self.written + 1, False, False)
        index, self.written = self.written % CAPACITY, self.written + 1
        self.stored.extend([None] * (len(self.stored) < CAPACITY))
        self.theirs.add(index)
        self.theirs.update_priority(index, torch.tensor(float(self.theirs.default_priority), dtype=torch.float64))

    def learn(self, indices, priorities):
        self.ours.update_priorities(np.asarray(indices), np.asarray(priorities))
        self.theirs.update_priority(torch.tensor(indices), torch.tensor(priorities, dtype=torch.float64))

    def draw(self, draws, monkeypatch):
        """Draws a batch of each from the same uniform numbers, which are patched into numpy for theirs."""
        with monkeypatch.context() as patch:
            patch.setattr(np.random, "uniform", lambda low, high, size: np.asarray(draws) * high)
            indices, info = self.theirs.sample(self.stored, len(draws))
        return self.ours.sample(np.asarray(draws)), indices.numpy(), info["priority_weight"].numpy()

    def probabilities(self):
        """Returns our and their probabilities of drawing each transition."""
        ours = self.ours.masses.leaves[: len(self.stored)] / self.ours.masses.root
        masses = np.array([self.theirs._sum_tree[index] for index in range(len(self.stored))])
        return ours, masses / self.theirs._sum_tree.query(0, len(self.stored))


@st.composite
def histories(draw, **fixed):
    """Draws both buffers, after all transitions got priorities and some were overwritten or updated again."""
    size = draw(st.integers(1, CAPACITY))
    exponents = {name: draw(st.sampled_from([0.0, 0.4, 0.6, 1.0])) for name in ("alpha", "beta")}
    both = Both(size, **exponents, epsilon=draw(st.sampled_from([1e-6, 0.01, 1.0])), **fixed)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    both.learn(range(size), 1 + rng.exponential(size=size))  # above 1, the first priority, to which only theirs adds ε
    for _ in range(draw(st.integers(0, 30))):
        if rng.random() < 0.5:
            both.append()
        else:
            indices = rng.choice(len(both.stored), min(5, len(both.stored)), replace=False)
            both.learn(indices, rng.exponential(size=len(indices)))
    return both, rng


@given(histories())
def test_probabilities_are_those_of_torchrl(history):
    """(|δ| + ε)^α over its sum; a new transition gets the largest |δ| so far."""
    ours, theirs = history[0].probabilities()
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("normalize", ["batch", "buffer"])
@given(data=st.data())
def test_transitions_and_weights_are_those_of_torchrl(normalize, data):
    """(N · P)^−β over the buffer's largest; for the batch, theirs are divided by their largest."""
    both, rng = data.draw(histories(normalize=normalize))
    with pytest.MonkeyPatch.context() as monkeypatch:
        batch, indices, weights = both.draw(rng.random(16), monkeypatch)
    np.testing.assert_array_equal(batch.indices, indices)
    largest = weights.max() if normalize == "batch" else 1.0
    np.testing.assert_allclose(batch.weights, weights / largest, rtol=1e-6)  # ours are in single precision


@given(histories(stratified=True))
def test_stratified_draws_are_those_of_torchrl_with_a_number_per_stratum(history):
    both, rng = history
    draws = rng.random(8)
    strata = (np.arange(8) + draws) / 8
    with pytest.MonkeyPatch.context() as monkeypatch:
        _, indices, _ = both.draw(strata, monkeypatch)
    np.testing.assert_array_equal(both.ours.sample(draws).indices, indices)


@given(histories(), st.sampled_from([0.0, BELOW_ONE]))
def test_both_ends_of_the_unit_interval_draw_the_transitions_of_torchrl(history, draw):
    both, _ = history
    with pytest.MonkeyPatch.context() as monkeypatch:
        batch, indices, _ = both.draw([draw], monkeypatch)
    np.testing.assert_array_equal(batch.indices, indices)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_independent_draws_fit_torchrls_probabilities(monkeypatch, alpha):
    """χ² with 19 degrees of freedom, of 40,000 draws each: both against their probabilities, and against each other."""
    both, rng = Both(20, alpha=alpha, epsilon=0.05), np.random.default_rng(0)
    both.learn(range(20), rng.exponential(size=20))
    _, probabilities = both.probabilities()
    monkeypatch.setattr(np.random, "uniform", np.random.default_rng(1).uniform)
    ours = np.bincount(both.ours.sample(rng.random(40_000)).indices, minlength=20)
    theirs = np.bincount(both.theirs.sample(both.stored, 40_000)[0].numpy(), minlength=20)
    expected = 40_000 * probabilities
    limit = 43.8  # 1 in 1000
    assert ((ours - expected) ** 2 / expected).sum() < limit
    assert ((theirs - expected) ** 2 / expected).sum() < limit
    assert ((ours - theirs) ** 2 / (ours + theirs)).sum() < limit


def test_the_conventions_differ_as_documented():
    """The first priority is 1 here, and 1 + ε in torchrl."""
    both = Both(1, alpha=1.0, epsilon=0.5)
    assert both.ours.masses.root == 1
    assert both.theirs._sum_tree[0] == 1.5
