"""Gradient and TD error of a batch, computed outside the engine and the same for every engine."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dqn_lab.engine.torch import BatchQValues, forward, judge, of_rows, put, put_noise
from dqn_lab.hooks import EvaluatesTarget
from dqn_lab.types import Array, Batch, Engine, Noise, Transition
from dqn_lab.value.expected import q_learning_target


def gradient_and_error(engine: Engine, batch: Batch, noise: Noise, epsilon: float) -> tuple[float, float]:
    """Computes the first gradient step that an update will take, by autograd on the engine's own parameters.

    Args:
        engine: the engine before the update.
        batch: the batch to learn from.
        noise: the update's noise.
        epsilon: the policy's ε.

    Returns:
        the gradient's Euclidean norm before any clipping, and the mean |r + discount · V(s′) − Q(s, a)|, computed from
        expected Q-values whatever the value is.
    """
    parameters = [*engine.online.parameters()]
    device = parameters[0].device
    transition = Transition(*(put(part, device) for part in batch.transition))
    noise = Noise(noise.minibatches, *(put_noise(each, device) for each in noise[1:]))
    rows: Tensor | slice = slice(None) if noise.minibatches is None else put(noise.minibatches[0], device)
    with torch.no_grad():
        q_values = BatchQValues(engine, transition, noise, epsilon)
        target, next_value = q_values.targets, q_values.bootstrapped
        expected = q_learning_target(transition.reward, transition.discount, q_values.target_next, next_value)
    own = noise.online if noise.minibatches is None else of_rows(noise.online, rows)
    weights = None if batch.weights is None else put(batch.weights, device)[rows]
    judged = judge(engine, transition.obs[rows], transition.action[rows], target[rows], weights, own)
    gradient = torch.autograd.grad(judged.loss.mean(), parameters, allow_unused=True)
    norm = nn.utils.get_total_norm([part for part in gradient if part is not None])
    return norm.item(), (expected[rows] - judged.q_value).abs().mean().item()


@torch.no_grad()
def target_q_values(engine: Engine, obs: Array) -> Array:
    """Returns the target network's expected values [B, A] at observations [B, *O], without noise."""
    if isinstance(engine, EvaluatesTarget):
        return engine.target_q_values(obs)
    device = next(engine.target.parameters()).device
    values: Array = engine.value.q_values(forward(engine.target, put(obs, device), None)).cpu().numpy()
    return values
