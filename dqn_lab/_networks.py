"""Checks a network: by what it consists of, and by its outputs for observations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from dqn_lab.types import Array, ConfigError

DIFFERING = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)
HOLDERS: dict[type, str] = {list: "List", tuple: "List", dict: "Dict"}  # what torch offers in place of Python's own
NUM_OBSERVATIONS = 8
ROUNDING = 1e-3  # by which Q-values may differ, relative to the largest


@contextlib.contextmanager
def received(space: gymnasium.Space[Any], is_outside: bool) -> Iterator[None]:
    """Adds the observation space to the message of an error in a custom network, which may be made for another one."""
    try:
        yield
    except ConfigError as error:
        if not is_outside:
            raise
        about = f"the network received the observation space {space}, of shape {space.shape}"
        raise ConfigError(f"{error}; {about}") from error.__cause__


def check_parts(network: Any) -> None:
    """Checks what a network consists of.

    Raises:
        ValueError: it is not a network, it has a layer that behaves differently in training and in evaluation, so that
            observing a run would change it, or layers that torch does not know of.
    """
    if not isinstance(network, nn.Module):
        raise ValueError("must be a torch.nn.Module")
    for module in network.modules():
        if isinstance(module, DIFFERING):
            raise ValueError(f"has {module}, which behaves differently in training and in evaluation")
    known = {id(parameter) for parameter in network.parameters()}
    for module in network.modules():
        for name, holder in vars(module).items():
            if type(holder) not in HOLDERS or name.startswith("_"):
                continue
            for part in holder.values() if isinstance(holder, dict) else holder:
                if kind := _unknown(part, known):
                    cure = f"use nn.{kind}{HOLDERS[type(holder)]}"
                    reason = f"keeps layers in the {type(holder).__name__} self.{name}, where torch does not find them"
                    raise ValueError(f"{reason}, so they would never learn; {cure}")


def _unknown(part: Any, known: set[int]) -> str | None:
    """Returns how torch's holder of a layer or a parameter begins if it is one that has to learn and is not known."""
    parameters = list(part.parameters()) if isinstance(part, nn.Module) else [part]
    found = [each for each in parameters if isinstance(each, nn.Parameter) and each.requires_grad]
    kind = "Module" if isinstance(part, nn.Module) else "Parameter"
    return kind if any(id(parameter) not in known for parameter in found) else None


def check_outputs(outputs: Any, shape: tuple[int, int, int]) -> None:
    """Checks a network's outputs for one observation.

    Raises:
        ValueError: they are no tensor of the shape.
    """
    if not isinstance(outputs, torch.Tensor):
        raise ValueError(f"returns a {type(outputs).__name__}; must return a tensor of shape {shape}")
    if outputs.shape != shape:
        raise ValueError(f"returns outputs of shape {tuple(outputs.shape)} for one observation; must be {shape}")


def zeros(space: gymnasium.Space[Any]) -> torch.Tensor:
    """Returns an observation of zeros, [1, *O]."""
    return torch.as_tensor(np.zeros((1, *(space.shape or ())), space.dtype))


def mixing(q_values: Callable[[Array], Array], obs: Array) -> str | None:
    """Returns what is wrong if the Q-values of an observation depend on the others in its batch, or None.

    Args:
        q_values: maps observations [B, *O] to Q-values [B, A].
        obs: observations.
    """
    whole, again = q_values(obs), q_values(obs)
    if not np.array_equal(whole, again):  # it draws random numbers, which another check reports
        return None
    alone = np.concatenate([q_values(each[None]) for each in obs])
    if np.allclose(whole, alone, rtol=0, atol=ROUNDING * np.abs(alone).max()):
        return None
    return (
        "its outputs for an observation depend on the other observations of the batch; dimension 0 is the batch: check "
        "what reduces over it (softmax, mean), transposes or reshapes it"
    )


def observations(env: gymnasium.Env[Any, Any]) -> Array:
    """Returns some observations of an environment, [B, *O]."""
    found = [env.reset(seed=0)[0]]
    num_actions = int(env.action_space.n)  # type: ignore[attr-defined]
    while len(found) < NUM_OBSERVATIONS:
        obs, _, terminated, truncated, _ = env.step(len(found) % num_actions)
        found.append(env.reset()[0] if terminated or truncated else obs)
    return np.stack(found)
