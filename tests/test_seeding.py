from __future__ import annotations

import pytest
import torch

from dqn_lab.seeding import Streams, seed_sequence, torch_generator


def test_a_stream_repeats_for_the_same_seed_and_name():
    assert Streams(7)("replay").random(5).tolist() == Streams(7)("replay").random(5).tolist()


@pytest.mark.parametrize(("seed", "name"), [(8, "replay"), (7, "exploration")])
def test_another_seed_or_name_is_another_stream(seed, name):
    assert Streams(7)("replay").random(5).tolist() != Streams(seed)(name).random(5).tolist()


def test_a_stream_does_not_depend_on_the_others():
    alone, crowded = Streams(3), Streams(3)
    crowded("exploration").random(100)
    crowded("added later").random(1)
    assert crowded("replay").random(5).tolist() == alone("replay").random(5).tolist()


def test_a_name_stands_for_one_generator():
    streams = Streams(0)
    assert streams("replay") is streams("replay")


def test_streams_are_the_same_in_every_version():
    """Changing these numbers would change every learning curve."""
    assert seed_sequence(0, "replay").generate_state(2).tolist() == [3186786147, 3062244068]
    assert torch_generator(0, "network").initial_seed() == 8241470298602156061


def test_every_stream_continues_from_its_saved_state():
    streams, other = Streams(5), Streams(5)
    streams("replay").random(3)
    streams("exploration").integers(10, size=7)
    state = streams.state_dict()
    other.load_state_dict(state)
    for name in ("replay", "exploration", "never drawn from"):
        assert other(name).random(4).tolist() == streams(name).random(4).tolist()


def test_a_stream_unused_when_saved_restarts_when_loaded():
    streams = Streams(5)
    state = streams.state_dict()
    first = streams("minibatch").random(4).tolist()
    streams.load_state_dict(state)
    assert streams("minibatch").random(4).tolist() == first


def test_torch_generators_repeat_and_differ_by_name():
    draws = [torch.rand(4, generator=torch_generator(1, name)).tolist() for name in ("network", "network", "else")]
    assert draws[0] == draws[1] != draws[2]


def test_no_global_randomness_is_used(check_global_randomness):
    with check_global_randomness():
        Streams(2)("replay").random(3)
        torch.rand(2, generator=torch_generator(2, "network"))
