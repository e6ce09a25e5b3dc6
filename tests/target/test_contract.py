"""What every target must do with two lists of parameters."""

from __future__ import annotations

import pytest
import torch

from dqn_lab import registry
from dqn_lab.schedule import Progress

pytestmark = pytest.mark.parametrize("name", registry.names("target"))


def parameters(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(3, 2), (3,)]]


def follow(target, online, followed, num_episodes=25, length=20):
    """Calls `target.follow` after every step of several episodes, with an update per step."""
    before = Progress()
    for step in range(1, num_episodes * length + 1):
        after = Progress(step, step // length, step)
        target.follow(online, followed, before, after)
        before = after


def networks(target):
    online = parameters(0)
    return online, parameters(1) if target.has_network else online


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_online_network_is_left_alone(make, name):
    target = make("target", name)
    online, followed = networks(target)
    follow(target, online, followed)
    assert equal(online, parameters(0))


def test_parameters_are_followed_in_place_and_without_gradients(make, name):
    target = make("target", name)
    online, followed = networks(target)
    places = [parameter.data_ptr() for parameter in followed]
    follow(target, online, followed)
    assert [parameter.data_ptr() for parameter in followed] == places
    assert all(parameter.is_leaf and parameter.grad is None for parameter in (*online, *followed))


def test_a_target_network_comes_nearer_and_never_overshoots(make, name):
    target = make("target", name)
    online, followed = networks(target)
    follow(target, online, followed)
    if not target.has_network:
        assert followed is online
        return
    for mine, theirs, before in zip(followed, online, parameters(1), strict=True):
        assert ((mine - theirs).abs() <= (before - theirs).abs() + 1e-6).all()
        assert ((mine - theirs) * (before - theirs) >= -1e-6).all()
        assert not torch.equal(mine, before)


def test_two_networks_that_are_equal_stay_equal(make, name):
    target, online = make("target", name), parameters(0)
    followed = parameters(0)
    follow(target, online, followed)
    assert equal(online, followed)


def test_nothing_happens_without_progress(make, name):
    target = make("target", name)
    online, followed = parameters(0), parameters(1)
    for step in range(40):
        target.follow(online, followed, Progress(step, step, step), Progress(step, step, step))
    assert equal(followed, parameters(1))


def test_parameter_lists_of_different_lengths_are_refused(make, name):
    target = make("target", name)
    if target.has_network:
        with pytest.raises(ValueError, match="shorter"):
            follow(target, parameters(0)[:1], parameters(1))


def test_no_global_randomness_is_used(make, name, check_global_randomness):
    with check_global_randomness():
        target = make("target", name)
        follow(target, *networks(target))
