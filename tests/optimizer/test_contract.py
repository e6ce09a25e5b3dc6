"""What every optimizer must build."""

from __future__ import annotations

import io

import pytest
import torch

from dqn_lab import registry
from dqn_lab.types import ConfigError

pytestmark = pytest.mark.parametrize("name", registry.names("optimizer"))


def parameters(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 2), (3,), ()]
    return [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=dtype) + 3) for shape in shapes]


def descend(optimizer, weights, num_steps):
    """Takes steps down ½ Σ w², whose gradient is w itself."""
    for _ in range(num_steps):
        for weight in weights:
            weight.grad = weight.detach().clone()
        optimizer.step()


def size(weights):
    return sum(weight.detach().square().sum().item() for weight in weights)


def test_a_torch_optimizer_is_built(make, name):
    weights = parameters()
    optimizer = make("optimizer", name).build(iter(weights))
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert [weight for group in optimizer.param_groups for weight in group["params"]] == weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_go_downhill(make, name, dtype):
    weights = parameters(dtype)
    before = size(weights)
    descend(make("optimizer", name).build(weights), weights, 5)
    assert size(weights) < before
    assert {weight.dtype for weight in weights} == {dtype}


def test_a_parameter_without_gradient_does_not_move(make, name):
    weights = parameters()
    optimizer = make("optimizer", name).build(weights)
    weights[0].grad = torch.ones_like(weights[0])
    optimizer.step()
    assert not torch.equal(weights[0], parameters()[0])
    assert torch.equal(weights[1], parameters()[1])


def test_the_description_can_be_built_more_than_once(make, name):
    description, paths = make("optimizer", name), []
    for _ in range(2):
        weights = parameters()
        descend(description.build(weights), weights, 3)
        paths.append(weights)
    assert all(torch.equal(one, other) for one, other in zip(*paths, strict=True))


@pytest.mark.parametrize("num_steps", [0, 1, 4])
def test_an_optimizer_continues_from_its_saved_state(make, name, num_steps):
    description, weights = make("optimizer", name), parameters()
    optimizer = description.build(weights)
    descend(optimizer, weights, num_steps)
    copies = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    other, file = description.build(copies), io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    descend(optimizer, weights, 3)
    descend(other, copies, 3)
    assert all(torch.equal(one, another) for one, another in zip(weights, copies, strict=True))


def test_clipping_is_off_by_default_and_can_be_set(make, name):
    plain, clipped = make("optimizer", name), make("optimizer", name, max_grad_value=2, max_grad_norm=10)
    assert (plain.max_grad_value, plain.max_grad_norm) == (None, None)
    assert (clipped.max_grad_value, clipped.max_grad_norm) == (2, 10)


@pytest.mark.parametrize("key", ["lr", "max_grad_value", "max_grad_norm"])
@pytest.mark.parametrize("value", [0, -1e-3])
def test_rates_and_limits_that_are_not_positive_are_refused(make, name, key, value):
    with pytest.raises(ConfigError, match=rf"^optimizer\.{key}=.*: must be greater than 0$"):
        make("optimizer", name, **{key: value})


def test_no_global_randomness_is_used(make, name, check_global_randomness):
    with check_global_randomness():
        weights = parameters()
        descend(make("optimizer", name).build(weights), weights, 2)


def test_an_optimizer_is_built_with_the_start_of_its_ramp(make, name):
    ramp = {"start": 0.5, "end": 0.25, "duration": 10, "unit": "updates"}
    (group,) = make("optimizer", name, lr=ramp).build(parameters()).param_groups
    assert group["lr"] == 0.5


def test_torchs_optimizers_step_all_parameters_in_one_call(make, name):
    """It is faster than one call per parameter, and equal up to rounding."""
    optimizer = make("optimizer", name).build(parameters())
    if type(optimizer).__module__.startswith("torch."):
        assert optimizer.defaults.get("fused") or optimizer.defaults.get("foreach")
