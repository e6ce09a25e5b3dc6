import torch

from dqn_lab.types import Bootstrapped


class Softmax:
    """The expected next value if actions were drawn from softmax(Q / temperature)."""

    def __init__(self, *, temperature: float = 1.0):
        self.temperature = temperature

    def __call__(self, q_values, action):
        """Weighs the next actions; adds nothing to their values or to the reward."""
        probabilities = torch.softmax(q_values.target_next / self.temperature, dim=1)  # [B, A]
        nothing = torch.zeros_like(probabilities)
        return Bootstrapped(probabilities, shift=nothing, bonus=nothing[:, 0])
