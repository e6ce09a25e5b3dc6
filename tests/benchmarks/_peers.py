"""Code shared by the peers' programs; it runs in their Python, which may lack dqn_lab."""

import json

import gymnasium as gym
import numpy as np

TASKS = {"cartpole": "CartPole-v1", "acrobot": "Acrobot-v1", "mountain_car": "MountainCar-v0"}
NUM_EPISODES = 100  # of the final evaluation


def play(greedy, task, seed):
    """Returns the mean return of the final policy over fresh episodes.

    Args:
        greedy: observations [B, O] to actions [B].
        task: the environment's id.
        seed: the run's.
    """
    envs = [gym.make(task) for _ in range(NUM_EPISODES)]
    seeds = np.random.SeedSequence([seed, 1]).generate_state(NUM_EPISODES).tolist()
    obs = np.array([env.reset(seed=own)[0] for env, own in zip(envs, seeds, strict=True)])
    total, playing = 0.0, [*range(NUM_EPISODES)]
    while playing:
        over = set()
        for i, action in zip(playing, greedy(obs[playing]), strict=True):
            obs[i], reward, terminated, truncated, _ = envs[i].step(int(action))
            total += float(reward)
            if terminated or truncated:
                over.add(i)
        playing = [i for i in playing if i not in over]
    return total / NUM_EPISODES


def figures(returns, lengths, final):
    """Returns a run's three figures, by name, from its training episodes and its final policy's mean return."""
    weighted = sum(value * length for value, length in zip(returns, lengths, strict=True))
    return {
        "final": final,
        "last_100": sum(returns[-100:]) / len(returns[-100:]),
        "training": weighted / sum(lengths),  # every step counts the return of the episode that it was part of
    }


def print_figures(returns, lengths, final):
    """Prints a run's figures as `peers_learning.py` reads them."""
    print(json.dumps(figures(returns, lengths, final)))
