"""A multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, MinLen
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from torch import Tensor, nn

from dqn_lab.network._head import Head, TrunkAndHead
from dqn_lab.network._linear import check_size, linear
from dqn_lab.registry import register

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU}


@register("network", "mlp")
class MLP(TrunkAndHead):
    """Fully connected layers over a flattened observation, followed by a linear output layer.

    A state of a `Discrete` or `MultiDiscrete` space becomes one-hot inputs; the replay buffer stores the state itself.

    Args:
        observation_space: a `Box` of one or two axes, `MultiBinary`, `Discrete` or `MultiDiscrete`.
        num_actions: A.
        num_outputs: K, outputs per action.
        generator: draws the initial weights.
        hidden: the width of each hidden layer, starting at the input.
        activation: the function after each hidden layer.
        layer_norm: whether to normalise each hidden layer before its activation (Ba, Kiros, Hinton 2016,
            "Layer Normalization", https://arxiv.org/abs/1607.06450).
        init: `fan_in_uniform` draws weights and biases from ±1/√fan_in (`torch.nn.Linear`'s own);
            `glorot_uniform` draws weights from ±√(6 / (fan_in + fan_out)) and sets biases to 0 (Keras' own).
        dueling: whether outputs are a value plus each action's advantage over their mean (Wang et al. 2016, "Dueling
            Network Architectures for Deep Reinforcement Learning", https://arxiv.org/abs/1511.06581). Each stream
            is one linear layer on the last hidden layer; in the paper each has its own hidden layer.
        noisy: whether linear layers have factorised noise of a learned size (Fortunato et al. 2018, "Noisy
            Networks for Exploration", https://arxiv.org/abs/1706.10295): redrawn for each action and, for each
            network, each batch; off in evaluation. In all layers the noise explores by itself: use `exploration=none`.
        noisy_layers: which layers `noisy` makes noisy: `all`, as in the paper, or those of the `head`, after the last
            hidden layer; two streams if it is dueling. The head's noise explores less: combine it with a small ε.
        noisy_sigma: σ₀, the initial size of the noise, in units of 1/√fan_in.

    Raises:
        ValueError: observations are images, or of an unsupported space.
    """

    def __init__(
        self,
        observation_space: Space[Any],
        num_actions: int,
        num_outputs: int,
        generator: torch.Generator,
        *,
        hidden: Annotated[list[Annotated[int, Gt(0)]], MinLen(1)] = [24, 24],  # noqa: B006 (never changed)
        activation: Literal["relu", "tanh", "silu", "gelu"] = "relu",
        layer_norm: bool = False,
        init: Literal["fan_in_uniform", "glorot_uniform"] = "fan_in_uniform",
        dueling: bool = False,
        noisy: bool = False,
        noisy_layers: Literal["all", "head"] = "all",
        noisy_sigma: Annotated[float, Ge(0)] = 0.5,
    ) -> None:
        num_inputs, states = _inputs(observation_space)
        widths = [num_inputs, *hidden, (num_actions + dueling) * num_outputs]
        check_size(sum(map(math.prod, pairwise(widths))) * (1 + noisy), f"hidden={hidden}")

        def make(fan_in: int, fan_out: int, noisy: bool = noisy) -> nn.Linear:
            return linear(fan_in, fan_out, generator, init, noisy_sigma if noisy else None)

        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths[:-1]):
            layers.append(make(fan_in, fan_out, noisy and noisy_layers == "all"))
            layers.extend([nn.LayerNorm(fan_out)] if layer_norm else [])
            layers.append(_ACTIVATIONS[activation]())
        head = Head(hidden[-1], num_actions, num_outputs, make, hidden=None, dueling=dueling)
        super().__init__(nn.Sequential(*layers), head, hidden[-1])
        # [2, inputs]: which number of the state an input reads, and the value for which it is 1
        self.states: Tensor | None
        self.register_buffer("states", states, persistent=False)

    @staticmethod
    def warn(config: Mapping[str, Any]) -> Iterator[str]:
        """Noise in all layers adds to any exploration; a norm over one or two features leaves little to learn from."""
        yield from TrunkAndHead.warn(config)
        network = config["network"]
        if network.get("layer_norm") and min(network["hidden"]) <= 2:
            yield (
                f"network.layer_norm=true, network.hidden={network['hidden']}: a norm over one feature yields a "
                "constant, and over two only their order; the network hardly learns"
            )

    def prepare(self, obs: Tensor) -> Tensor:
        """Returns observations [B, *O] as inputs [B, I]: flattened, states as one-hot."""
        flat = obs.reshape(len(obs), -1)
        if self.states is not None:
            number, value = self.states
            flat = flat[:, number] == value
        return flat.to(self.dtype)


def _inputs(space: Space[Any]) -> tuple[int, Tensor | None]:
    """Returns the number of inputs and, if observations are states, what each input stands for, [2, I].

    Raises:
        ValueError: observations are images, or of an unsupported space.
    """
    if isinstance(space, Box) and len(space.shape) > 2:
        raise ValueError(f"observations are images, {space}; network=nature_cnn and network=minatar_cnn are for images")
    if isinstance(space, (Box, MultiBinary)):
        return math.prod(space.shape), None
    if isinstance(space, Discrete):
        sizes, starts = [int(space.n)], [int(space.start)]
    elif isinstance(space, MultiDiscrete):
        sizes, starts = space.nvec.ravel().tolist(), space.start.ravel().tolist()
    else:
        raise ValueError(f"observations are {space}; supported: Box, MultiBinary, Discrete, MultiDiscrete")
    numbers = [number for number, size in enumerate(sizes) for _ in range(size)]
    values = [start + value for start, size in zip(starts, sizes, strict=True) for value in range(size)]
    return sum(sizes), torch.tensor([numbers, values])
