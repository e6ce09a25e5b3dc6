"""Trains C51 with the algorithm of CleanRL's c51.py, for `peers_learning.py`: `cleanrl_dqn.py` with another loss.

It reimplements https://github.com/vwxyzjn/cleanrl (commit fe8d8a0). Like the original, it clips probabilities before
taking the logarithm, so that an atom below 10⁻⁵ gets no gradient; dqn_lab does not.

    python tests/benchmarks/cleanrl_c51.py cartpole SEED [STEPS]
"""

import sys

import torch
from cleanrl_dqn import BATCH_SIZE, DISCOUNT, main

V_MIN, V_MAX, CLIP = -100.0, 100.0, 1e-5


class C51:
    num_outputs, eps = 101, 0.01 / BATCH_SIZE
    support = torch.linspace(V_MIN, V_MAX, num_outputs)
    gap = (V_MAX - V_MIN) / (num_outputs - 1)

    @classmethod
    def q_values(cls, outputs):
        return (outputs.softmax(-1) * cls.support).sum(-1)  # logits [B, A, N] to [B, A]

    @classmethod
    def loss(cls, online, target, batch):
        obs, action, reward, next_obs, terminated = batch
        rows = torch.arange(len(action))
        with torch.no_grad():
            outputs = target(next_obs)
            masses = outputs[rows, cls.q_values(outputs).argmax(1)].softmax(-1)  # [B, N]
            atoms = reward.unsqueeze(1) + DISCOUNT * (1 - terminated).unsqueeze(1) * cls.support
            goal = cls.project(atoms, masses)
        probabilities = online(obs)[rows, action.squeeze(1)].softmax(-1)
        return -(goal * probabilities.clamp(CLIP, 1 - CLIP).log()).sum(-1).mean()

    @classmethod
    def project(cls, atoms, masses):
        """Splits the mass of each atom [B, N] between its two neighbours on the support."""
        position = (atoms.clamp(V_MIN, V_MAX) - V_MIN) / cls.gap
        lower = position.floor().clamp(max=cls.num_outputs - 2)
        share = position - lower
        found = torch.zeros_like(masses)
        found.scatter_add_(1, lower.long(), masses * (1 - share))
        return found.scatter_add_(1, lower.long() + 1, masses * share)


if __name__ == "__main__":
    main(C51, *sys.argv[1:])
