from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from hypothesis import given
from hypothesis import strategies as st

from dqn_lab.build import build
from dqn_lab.cli._quiet import Quiet
from dqn_lab.network._cnn import Convolution
from dqn_lab.network._linear import NoisyLinear
from dqn_lab.run import Run
from dqn_lab.seeding import torch_generator
from dqn_lab.types import ConfigError

ATARI, MINATAR = Box(0, 255, (4, 84, 84), np.uint8), Box(0, 1, (10, 10, 6), bool)
MINATAR_RUN = ("network=minatar_cnn", "++env.id=Pictures-v0", "++env.kwargs.shape=[10,10,4]", "++env.kwargs.dtype=bool",
               "logger=csv", "evaluation.interval=null", "evaluation.final_num_episodes=4")  # fmt: skip


@pytest.fixture
def cnn(make):
    def network(name, space, num_actions=2, num_outputs=1, **configuration):
        return make("network", name, space, num_actions, num_outputs, torch_generator(0, "network"), **configuration)

    return network


def shapes(network):
    return [tuple(weight.shape) for weight in network.parameters()]


def test_layers_have_the_shapes_of_the_papers(cnn):
    """84 pixels become 20, 9 and 7; 64 · 7 · 7 = 3136 features."""
    assert shapes(cnn("nature_cnn", ATARI, 6)) == [
        (32, 4, 8, 8), (32,), (64, 32, 4, 4), (64,), (64, 64, 3, 3), (64,), (512, 3136), (512,), (6, 512), (6,),
    ]  # fmt: skip
    assert shapes(cnn("minatar_cnn", MINATAR, 6)) == [(16, 6, 3, 3), (16,), (128, 1024), (128,), (6, 128), (6,)]


def test_each_dueling_stream_has_its_own_hidden_layer(cnn):
    network = cnn("minatar_cnn", MINATAR, 6, 5, dueling=True)
    streams = [(128, 1024), (128,), (5, 128), (5,), (128, 1024), (128,), (30, 128), (30,)]
    assert shapes(network) == [(16, 6, 3, 3), (16,), *streams]


@pytest.mark.parametrize("seed", range(3))
def test_only_the_gradient_into_a_dueling_heads_features_is_scaled(cnn, seed):
    """The scale 1/√2 of Wang et al. changes the gradients of the convolutions, not the outputs or the streams'."""
    images = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (2, 4, 84, 84), np.uint8))
    plain = cnn("nature_cnn", ATARI, 3, dueling=True)
    scaled = cnn("nature_cnn", ATARI, 3, dueling=True, dueling_gradient_scale=0.5**0.5)
    outputs = [network(images) for network in (plain, scaled)]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    for layer, other in zip(plain.layers, scaled.layers, strict=True):
        for weight, another in zip(layer.parameters(), other.parameters(), strict=True):
            factor = 0.5**0.5 if isinstance(layer, torch.nn.Conv2d) else 1.0
            torch.testing.assert_close(another.grad, factor * weight.grad)


def test_a_head_of_one_stream_scales_no_gradient(cnn):
    assert cnn("nature_cnn", ATARI, dueling_gradient_scale=0.5).head.gradient_scale == 1.0


def test_only_the_dense_layers_are_noisy(cnn):
    network = cnn("minatar_cnn", MINATAR, noisy=True)
    assert [type(layer) for layer in network.layers if hasattr(layer, "weight")] == [
        torch.nn.Conv2d, NoisyLinear, NoisyLinear,
    ]  # fmt: skip
    assert network.draw_noise(np.random.default_rng(0), 3, "online").shared.shape == (1024 + 128 + 128 + 2,)


def test_a_convolution_by_hand(cnn):
    """A 3 × 3 image, its centre at 2 and the rest at 1, under a filter of ones and one of minus ones: 10 and −10."""
    network = cnn("minatar_cnn", Box(0, 9, (3, 3, 1)))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    weights = [layer.weight.data for layer in network.layers if hasattr(layer, "weight")]
    weights[0][0], weights[0][1] = 1, -1
    weights[1][0, 0], weights[1][1, 1] = 1, 1
    weights[2][0, 0], weights[2][1, 1] = 3, 1
    image = torch.ones(1, 3, 3, 1)
    image[0, 1, 1] = 2
    assert network(image).flatten().tolist() == [30, 0]


@pytest.mark.parametrize("name", ["nature_cnn", "minatar_cnn"])
def test_bytes_become_numbers_from_0_to_1_and_truth_values_0_and_1(cnn, name):
    space = Box(0, 255, (36, 36, 2), np.uint8)
    network, obs = cnn(name, space, channels="last"), torch.from_numpy(np.stack([space.sample()]))
    torch.testing.assert_close(network(obs), network(obs.double() / 255))
    torch.testing.assert_close(network(obs > 127), network((obs > 127).float()))
    torch.testing.assert_close(network(255 * (obs > 127)), network((obs > 127).float() * 255))


@pytest.mark.parametrize("name", ["nature_cnn", "minatar_cnn"])
def test_the_channel_axis_can_be_first_or_last(cnn, name):
    last = cnn(name, Box(0, 255, (40, 50, 3), np.uint8), channels="last")
    first = cnn(name, Box(0, 255, (3, 40, 50), np.uint8), channels="first")
    obs = torch.randint(256, (2, 40, 50, 3), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    torch.testing.assert_close(first(obs.permute(0, 3, 1, 2).contiguous()), last(obs))


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 30))
def test_the_input_size_that_a_convolution_needs_is_the_inverse_of_its_output_size(kernel, stride, pixels):
    convolution = Convolution(1, kernel, stride)
    needed = convolution.needed(pixels)
    assert convolution.size(needed) == pixels
    assert convolution.size(needed - 1) == pixels - 1


def test_initial_weights_fill_the_range_of_their_rule(cnn):
    weight, bias, *_ = cnn("nature_cnn", ATARI).parameters()
    for parameter in (weight, bias):
        assert 0.8 / 16 < parameter.abs().max() <= 1 / math.sqrt(4 * 8 * 8) == 1 / 16


@pytest.mark.parametrize(("name", "space", "problem"), [
    ("nature_cnn", Box(-1, 1, (4,)), r"needs images as observations, a Box of three axes \(channels, height, "),
    ("minatar_cnn", Box(-1, 1, (4, 4)), r"needs images as observations, a Box of three axes \(height, width, ch"),
    ("minatar_cnn", Discrete(4), "needs images as observations, a Box of three axes .* got Discrete"),
])  # fmt: skip
def test_observations_that_are_not_images_are_refused(cnn, name, space, problem):
    with pytest.raises(ConfigError, match=f"^network={name}: {problem}"):
        cnn(name, space)


def test_an_image_too_small_is_refused(cnn):
    cnn("nature_cnn", Box(0, 255, (4, 36, 36), np.uint8))
    cnn("minatar_cnn", Box(0, 255, (3, 3, 4), np.uint8))
    for shape, said in {(4, 36, 35): "36 × 35", (84, 80, 4): "80 × 4", (10, 10, 4): "10 × 4"}.items():
        hint = "; network.channels=last fits this shape" if shape[0] == 84 else ""
        least = rf"^network\.channels=first: images of shape .* are {said}, and must be at least 36 × 36{hint}$"
        with pytest.raises(ConfigError, match=least):
            cnn("nature_cnn", Box(0, 255, shape, np.uint8))


@pytest.mark.parametrize(("name", "shape", "said"), [
    ("nature_cnn", (84, 84, 4), "first: images of shape .* have 84 channels and 84 × 4 pixels; network.channels=last"),
    ("minatar_cnn", (4, 84, 84), "last: images of shape .* have 84 channels and 4 × 84 pixels; network.channels=first"),
])  # fmt: skip
def test_an_image_that_is_square_only_with_the_other_order_is_refused(cnn, name, shape, said):
    with pytest.raises(ConfigError, match=rf"^network\.channels={said} makes them square$"):
        cnn(name, Box(0, 255, shape, np.uint8))


def test_an_image_need_not_be_square(cnn):
    for name, shape in {"minatar_cnn": (20, 16, 16), "nature_cnn": (36, 36, 40)}.items():
        outputs = cnn(name, Box(0, 255, shape, np.uint8))(torch.zeros(2, *shape, dtype=torch.uint8))
        assert len(outputs) == 2


@pytest.mark.parametrize("value", ["expected", "categorical", "quantile", "implicit_quantile"])
def test_every_value_trains_on_images_reproducibly(configure, tmp_path, value):
    flags = ("network.dueling=true", "network.noisy=true", "exploration=none", "steps=80", "episodes=null")
    tables = []
    for name in ("first", "again"):
        Run(build(configure(*MINATAR_RUN, *flags, f"value={value}")), tmp_path / name, {}).execute(Quiet())
        tables.append((tmp_path / name / "episodes.csv").read_bytes())
    assert tables[0] == tables[1]
    assert b"nan" not in tables[0]


def test_black_and_white_are_told_apart(configure, tmp_path):
    run = Run(build(configure(*MINATAR_RUN, "episodes=60", "discount=0", "bootstrap=max")), tmp_path / "run", {})
    assert run.execute(Quiet())["scores"]["final"]["return_mean"] == 5


def test_auto_leaves_images_to_torch_and_says_why(configure):
    reason = "does not run network=minatar_cnn, only mlp"
    choice = build(configure(*MINATAR_RUN)).choices["engine"]
    assert (choice.name, choice.rejected["fused"]) == ("torch", reason)
    assert choice.rejected["compiled"] == "network=minatar_cnn: compiling gains little for it"
