"""What every bootstrap must return."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dqn_lab import registry

pytestmark = pytest.mark.parametrize("name", registry.names("bootstrap"))


def q_values(batch, num_actions, dtype=torch.float32):
    generator = torch.Generator().manual_seed(batch)
    names = ("online_next", "target_next", "target_obs")
    return SimpleNamespace(
        epsilon=0.1, **{name: torch.randn(batch, num_actions, generator=generator, dtype=dtype) for name in names}
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("batch", "num_actions"), [(1, 1), (1, 4), (5, 2), (32, 6)])
def test_probabilities_shift_and_bonus_have_their_shapes(make, name, batch, num_actions, dtype):
    answer = make("bootstrap", name)(q_values(batch, num_actions, dtype), torch.zeros(batch, dtype=torch.long))
    assert answer.probabilities.shape == answer.shift.shape == (batch, num_actions)
    assert answer.bonus.shape == (batch,)
    assert {field.dtype for field in answer} == {dtype}
    assert all(field.isfinite().all() for field in answer)


def test_probabilities_are_probabilities(make, name):
    probabilities = make("bootstrap", name)(q_values(32, 6), torch.zeros(32, dtype=torch.long)).probabilities
    assert (probabilities >= 0).all()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(32))


def test_a_transitions_answer_does_not_depend_on_the_others(make, name):
    bootstrap, q, action, rows = make("bootstrap", name), q_values(8, 3), torch.arange(8) % 3, torch.tensor([5, 1])
    part = SimpleNamespace(**{key: value if key == "epsilon" else value[rows] for key, value in vars(q).items()})
    for one, whole in zip(bootstrap(part, action[rows]), bootstrap(q, action), strict=True):
        torch.testing.assert_close(one, whole[rows])


def test_q_values_are_read_and_not_changed(make, name):
    q, untouched = q_values(8, 3), q_values(8, 3)
    make("bootstrap", name)(q, torch.zeros(8, dtype=torch.long))
    assert all(torch.equal(vars(q)[key], value) for key, value in vars(untouched).items() if key != "epsilon")


def test_no_global_randomness_is_used(make, name, check_global_randomness):
    with check_global_randomness():
        make("bootstrap", name)(q_values(8, 3), torch.zeros(8, dtype=torch.long))
