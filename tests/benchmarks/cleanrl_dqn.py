"""Trains DQN with the algorithm of CleanRL's dqn.py, for `peers_learning.py`.

It reimplements https://github.com/vwxyzjn/cleanrl (commit fe8d8a0), whose own file needs an older Python, in the same
order and with plain PyTorch: the settings, the network and the loss, the replay buffer (a ring, drawn from
with replacement), then one loop that acts, steps, stores, updates and copies. Steps count from 0: there is an update at
step 10,010 and at every tenth from then on, and a copy, after the update, at 10,500 and at every 500th. The
evaluation at the end is not CleanRL's.

    python tests/benchmarks/cleanrl_dqn.py cartpole SEED [STEPS]
"""

import sys

import _peers
import gymnasium as gym
import numpy as np
import torch
from torch import nn

STEPS, LEARNING_STARTS, TRAIN_INTERVAL, COPY_INTERVAL = 500_000, 10_000, 10, 500
CAPACITY, BATCH_SIZE, LR, DISCOUNT = 10_000, 128, 2.5e-4, 0.99
EPSILON_START, EPSILON_END, EPSILON_STEPS = 1.0, 0.05, 250_000


class DQN:
    """The parts in which CleanRL's dqn.py and c51.py differ: the network's outputs, Q-values and the loss."""

    num_outputs, eps = 1, 1e-8

    @staticmethod
    def q_values(outputs):
        return outputs.squeeze(-1)  # [B, A, 1] to [B, A]

    @classmethod
    def loss(cls, online, target, batch):
        obs, action, reward, next_obs, terminated = batch
        with torch.no_grad():
            best, _ = cls.q_values(target(next_obs)).max(dim=1)
            goal = reward + DISCOUNT * best * (1 - terminated)
        return nn.functional.mse_loss(cls.q_values(online(obs)).gather(1, action).squeeze(1), goal)


def make_network(env, num_outputs):
    num_actions = int(env.action_space.n)
    return nn.Sequential(
        nn.Linear(env.observation_space.shape[0], 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, num_actions * num_outputs), nn.Unflatten(1, (num_actions, num_outputs)),
    )  # fmt: skip


class Replay:
    """The latest transitions. Only `terminated` is stored, so the loss bootstraps at the time limit."""

    def __init__(self, num_inputs):
        self.obs, self.next_obs = (np.zeros((CAPACITY, num_inputs), np.float32) for _ in range(2))
        self.action = np.zeros((CAPACITY, 1), np.int64)
        self.reward, self.terminated = (np.zeros(CAPACITY, np.float32) for _ in range(2))
        self.num_added = 0

    def add(self, *transition):
        row = self.num_added % CAPACITY
        for array, value in zip(self._arrays(), transition, strict=True):
            array[row] = value
        self.num_added += 1

    def sample(self, rng):
        rows = rng.integers(min(self.num_added, CAPACITY), size=BATCH_SIZE)
        return [torch.from_numpy(array[rows]) for array in self._arrays()]

    def _arrays(self):
        return self.obs, self.action, self.reward, self.next_obs, self.terminated


def train(algorithm, task, seed, num_steps):
    """Returns the network, and the returns and lengths of the training episodes."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    env = gym.make(task)
    env.action_space.seed(seed)
    online, target = (make_network(env, algorithm.num_outputs) for _ in range(2))
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=LR, eps=algorithm.eps)
    replay = Replay(env.observation_space.shape[0])
    returns, lengths, score, length = [], [], 0.0, 0
    obs, _ = env.reset(seed=seed)
    for step in range(num_steps):
        if rng.random() < max(EPSILON_START + (EPSILON_END - EPSILON_START) * step / EPSILON_STEPS, EPSILON_END):
            action = int(env.action_space.sample())
        else:
            with torch.no_grad():
                action = int(algorithm.q_values(online(torch.from_numpy(obs).unsqueeze(0))).argmax())
        next_obs, reward, terminated, truncated, _ = env.step(action)
        replay.add(obs, action, reward, next_obs, terminated)
        obs, score, length = next_obs, score + float(reward), length + 1
        if terminated or truncated:
            returns.append(score)
            lengths.append(length)
            score, length = 0.0, 0
            obs, _ = env.reset()
        if step > LEARNING_STARTS:
            if step % TRAIN_INTERVAL == 0:
                loss = algorithm.loss(online, target, replay.sample(rng))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if step % COPY_INTERVAL == 0:
                target.load_state_dict(online.state_dict())
    return online, returns, lengths


def main(algorithm, name, seed, num_steps=STEPS):
    torch.set_num_threads(1)
    task = _peers.TASKS[name]
    network, returns, lengths = train(algorithm, task, int(seed), int(num_steps))

    @torch.no_grad()
    def greedy(obs):
        return algorithm.q_values(network(torch.from_numpy(obs))).argmax(1).tolist()

    _peers.print_figures(returns, lengths, _peers.play(greedy, task, int(seed)))


if __name__ == "__main__":
    main(DQN, *sys.argv[1:])
