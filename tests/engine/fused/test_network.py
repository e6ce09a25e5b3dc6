"""The network in compiled code, forward and backward."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium.spaces import Box
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from dqn_lab._numba import inline, kernel
from dqn_lab.engine.fused import FusedEngine, layout, support
from dqn_lab.engine.fused.layout import CHUNK, TILE
from dqn_lab.engine.fused.network import (
    backward,
    clear_gradient,
    collect,
    forward,
    num_values,
    observe,
    output_place,
    output_width,
)
from dqn_lab.engine.fused.noise import draw, spread_gradient
from dqn_lab.engine.fused.plan import flatten, make_plan
from dqn_lab.engine.fused.simd import either, view
from dqn_lab.engine.fused.update import Parts, begin_step, copy_outputs, make_evaluate
from dqn_lab.engine.fused.workspace import allocate, part
from dqn_lab.seeding import torch_generator
from dqn_lab.types import NetworkNoise
from tests.engine.fused.compositions import ARRAY, compositions, create, few, jitter, many, networks


def gradient(engine):
    """Returns the last update's gradient, which torch's engine keeps with its parameters."""
    if isinstance(engine, FusedEngine):
        places = [(parameter.data_ptr() - engine._params.ctypes.data) // parameter.itemsize
                  for parameter in engine.online.parameters()]  # fmt: skip
        sizes = [parameter.numel() for parameter in engine.online.parameters()]
        return np.concatenate(
            [engine._state[2][place : place + size] for place, size in zip(places, sizes, strict=True)]
        )
    return torch.cat([parameter.grad.flatten() for parameter in engine.parameters[0]]).numpy()


def has_kinks(engine, obs, noise=None):
    """Returns whether some input of a ReLU is so near 0 that rounding may change its sign."""
    near = []
    watch = lambda module, inputs: near.append(((inputs[0] != 0) & (inputs[0].abs() < 1e-5)).any().item())  # noqa: E731
    network = support.perceptron(engine.online)
    handles = [module.register_forward_pre_hook(watch) for module in network.layers if type(module) is nn.ReLU]
    if network is not engine.online:
        embed = lambda module, inputs, outputs: watch(module, (outputs,))  # noqa: E731
        handles.append(engine.online.embedding.register_forward_hook(embed))
    engine.q_values(obs, noise)
    for handle in handles:
        handle.remove()
    return any(near)


def has_ties(engine, obs):
    """Returns whether rounding may decide which of two actions is better."""
    best = np.sort(engine.q_values(obs), 1)[:, -2:]
    return bool((np.ptp(best, axis=1) < 1e-5).any()) and best.shape[1] > 1


@many
@given(compositions())
def test_gradients_in_single_precision_are_those_of_torch(composition):
    """The error is at most 1e-5 of the largest gradient plus four times the effect of rounding.

    That effect is large if a layer norm has two features: nearly equal numbers cancel. It is measured by torch's own
    error, and by how far the exact gradients move when each weight is rounded once.
    """
    optimizer = {**composition.optimizer, "max_grad_value": None, "max_grad_norm": None}
    composition = composition._replace(optimizer=optimizer, minibatch_size=None)
    engine, fused = (composition.build(name, torch.float32) for name in ("torch", "fused"))
    exact = composition.build("torch", torch.float64)
    ((batch, noise),), ((batch64, _),) = (composition.batches(dtype, 1) for dtype in (torch.float32, torch.float64))
    assume(
        not has_kinks(exact, batch64.transition.obs, noise.online) and not has_kinks(exact, batch64.transition.next_obs)
    )
    assume(not has_ties(exact, batch64.transition.next_obs))
    for each in (engine, fused):
        each.update(batch, noise)
    exact.update(batch64, noise)
    rounded = [composition.build("torch", torch.float64) for _ in range(5)]
    for number, each in enumerate(rounded):
        jitter(each, torch.finfo(torch.float32).eps / 2, number)
        each.update(batch64, noise)
    error, *rounding = (np.abs(gradient(each) - gradient(exact)).max() for each in (fused, engine, *rounded))
    assert error <= 1e-5 * np.abs(gradient(exact)).max() + 4 * max(rounding)


@many
@given(compositions())
def test_greedy_actions_are_those_of_torch_outside_ties(composition):
    engine, fused = (composition.build(name, torch.float32) for name in ("torch", "fused"))
    obs = np.random.default_rng(composition.seed).normal(size=(200, *composition.obs)).astype(np.float32)
    expected, q_values = engine.q_values(obs), fused.q_values(obs)
    best = np.sort(expected, 1)
    clear = np.ptp(best[:, -2:], axis=1) > 1e-5
    np.testing.assert_array_equal(q_values.argmax(1)[clear], expected.argmax(1)[clear])


@many
@given(compositions(), st.sampled_from([torch.float32, torch.float64]), st.integers(1, 200), st.data())
def test_q_values_of_a_row_depend_on_nothing_but_the_row(composition, dtype, number, data):
    """They are equal bit for bit in any batch, of any size and at any index."""
    fused, rng = composition.build("fused", dtype), np.random.default_rng(composition.seed)
    obs = rng.normal(size=(number, *composition.obs)).astype(ARRAY[dtype])
    place = data.draw(st.integers(0, number - 1))
    np.testing.assert_array_equal(fused.q_values(obs)[place], fused.q_values(obs[place : place + 1])[0])


@inline
def draw_if_noisy(params, purpose, plan, space):
    """Draws noise if some layer is noisy."""
    if plan[layout.NOISE_SIZE]:
        draw(params, purpose, plan, space)


evaluate = make_evaluate(Parts(forward, backward, copy_outputs, None, None), draw_if_noisy)


@kernel
def outputs_at(out, obs, rows, order, params, plan, settings, space):
    """Computes the outputs, [B · A · K]."""
    kept = view(space, 0, 0)
    evaluate(out, kept, obs, rows, order, params, layout.ONLINE, plan, settings, space)


@kernel
def differentiate(dy, obs, rows, order, params, grad, plan, space):
    """Computes the gradient of Σ dy · outputs, [B, A · K] each."""
    begin_step(grad, plan, space)
    draw_if_noisy(params, layout.ONLINE, plan, space)
    drawn = either(plan[layout.NOISE_SIZE] > 0, part(space, plan, layout.DRAWN), params)
    gradient = part(space, plan, layout.GRADIENT)
    for start in range(0, len(order), CHUNK * TILE):
        chunk = order[start : start + CHUNK * TILE]
        observe(obs, rows, chunk, plan, space)
        forward(drawn, chunk, layout.ONLINE, plan, space)
        clear_gradient(len(chunk), plan, space)
        for j in range(len(chunk)):
            for i in range(dy.shape[1]):
                gradient[output_place(j, output_width(layout.ONLINE, plan), num_values(plan)) + i * TILE] = dy[
                    chunk[j], i
                ]
        backward(drawn, grad, len(chunk), plan, space)
    collect(grad, plan, space)
    if plan[layout.NOISE_SIZE]:
        spread_gradient(grad, plan, space)


@few
@given(networks, st.integers(1, 4), st.integers(1, 5), st.integers(1, 90), st.integers(0, 99))
def test_any_number_of_outputs_goes_forward_and_backward_as_in_torch(
    configuration, num_outputs, num_actions, size, seed
):
    """A dueling network has one state value for each output."""
    space, generator, rng = Box(-1, 1, (4,)), torch_generator(seed, "network"), np.random.default_rng(seed)
    network = create("network", configuration, space, num_actions, num_outputs, generator).double()
    names = {"value.name": "expected", "network.activation": configuration["activation"]}
    names |= {"bootstrap.name": "max", "optimizer.name": "adam"}
    plan = make_plan(names, network, create("value", {"name": "expected"}), create("optimizer", {"name": "adam"}))
    params = flatten(network, plan).numpy()
    space, rows, order = allocate(plan, size, np.float64), rng.permutation(size), rng.permutation(size)
    obs, dy = rng.normal(size=(size, 4)), rng.normal(size=(size, num_actions * num_outputs))
    out, grad = np.empty_like(dy), np.empty_like(params)
    settings, noise = np.zeros(len(layout.SETTINGS)), None
    if network.noise_size:
        noise = NetworkNoise(torch.from_numpy(network.draw_noise(rng, size, "online").shared))
        space[plan[layout.NOISE] :][: network.noise_size] = noise.shared  # the first purpose is `ONLINE`
    outputs_at(out.reshape(-1), obs, rows, order, params, plan, settings, space)
    differentiate(dy, obs, rows, order, params, grad, plan, space)
    outputs = network(torch.from_numpy(obs[rows]), noise).flatten(1)
    np.testing.assert_allclose(out, outputs.detach(), rtol=1e-10, atol=1e-10)
    (outputs * torch.from_numpy(dy)).sum().backward()
    for parameter in network.parameters():
        place = (parameter.data_ptr() - params.ctypes.data) // 8
        own = grad[place : place + parameter.numel()].reshape(parameter.shape)
        np.testing.assert_allclose(own, parameter.grad, rtol=1e-9, atol=1e-9)
