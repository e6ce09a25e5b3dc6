"""A custom value, and custom diagnostics."""

import math

import numpy as np
from torch.nn.functional import softplus

from dqn_lab.types import Loss
from dqn_lab.value.expected import q_learning_target


class LogCosh:
    """The expected return with the loss log cosh δ: like δ² / 2 near 0, like |δ| far from it."""

    num_outputs = 1  # K

    def q_values(self, outputs):
        """Reads Q-values [..., A] from outputs [..., A, K]."""
        return outputs.squeeze(-1)

    def target(self, transition, outputs, bootstrap, current):
        """Returns r + bonus + γ Σ p (Q + shift), [B]; `outputs` [B, A, K] are the target network's at s′."""
        return q_learning_target(transition.reward, transition.discount, outputs.squeeze(-1), bootstrap)

    def loss(self, outputs, action, target, noise):
        """Compares outputs [B, A, K] at s with the target."""
        q_value = outputs.squeeze(-1).gather(1, action.unsqueeze(1)).squeeze(1)  # [B]
        size = (target - q_value).abs()
        return Loss(size + softplus(-2 * size) - math.log(2), q_value.detach(), size.detach())


class Largest:
    """The largest |Q| of any batch so far."""

    columns = ("q_largest",)

    def __init__(self, engine, make_env, discount, rng):
        self.engine, self.largest = engine, 0.0

    def observe(self, obs, reward, ended):
        pass

    def before_update(self, batch, noise, epsilon):
        q_values = self.engine.q_values(batch.transition.obs)
        self.largest = max(self.largest, float(np.abs(q_values).max()))

    def after_update(self):
        pass

    def report(self, progress):
        return {"q_largest": self.largest}

    def state_dict(self):
        return {"largest": self.largest}

    def load_state_dict(self, state):
        self.largest = state["largest"]
