"""Plays the policies that rl-baselines3-zoo trained in today's Gymnasium, and reads how their training went.

    git clone https://github.com/DLR-RM/rl-trained-agents
    python tests/benchmarks/zoo_agents.py rl-trained-agents
    python tests/benchmarks/zoo_agents.py rl-trained-agents --epsilon 0.1

Prints the mean return of 100 episodes of each policy, greedy or with some random actions, and the mean return of the
last 100 episodes of the run that trained it. A policy that scores what was published shows that the task has not
changed since. The files were read at commit cd35bde; `published.py` compares the second number with the lab's runs.
"""

import argparse
import csv
import io
import zipfile
from pathlib import Path

import _peers
import gymnasium
import numpy as np
import torch

NETWORKS = {"dqn": "q_net", "qrdqn": "quantile_net"}  # their names in the files
NUM_QUANTILES = {"cartpole": 10, "acrobot": 25, "mountain_car": 25}


def read_policy(path, network, num_quantiles):
    """Returns the greedy policy of a Stable-Baselines3 file, observations [B, O] to actions [B]."""
    with zipfile.ZipFile(path) as archive:
        weights = torch.load(io.BytesIO(archive.read("policy.pth")), map_location="cpu", weights_only=True)
    names = [name.removesuffix(".weight") for name in weights if name.startswith(f"{network}.") and "weight" in name]
    layers = [(weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in names]

    def greedy(obs):
        hidden = torch.as_tensor(obs, dtype=torch.float32)
        for weight, bias in layers[:-1]:
            hidden = torch.relu(hidden @ weight.T + bias)
        weight, bias = layers[-1]
        return (hidden @ weight.T + bias).unflatten(1, (num_quantiles, -1)).mean(1).argmax(1).numpy()

    return greedy


def with_random_actions(policy, num_actions, epsilon, seed):
    """Returns a policy that takes a uniformly random action with probability ε."""
    rng = np.random.default_rng(seed)

    def act(obs):
        actions = policy(obs)
        return np.where(rng.random(len(actions)) < epsilon, rng.integers(num_actions, size=len(actions)), actions)

    return act


def read_returns(path):
    """Returns the training episodes' returns from a monitor file."""
    with path.open(newline="", encoding="utf-8") as file:
        next(file)  # a comment
        return [float(row["r"]) for row in csv.DictReader(file)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="a clone of rl-trained-agents")
    parser.add_argument("--seed", type=int, default=0, help="of the episodes")
    parser.add_argument("--epsilon", type=float, default=0.0, help="the share of random actions")
    args = parser.parse_args()
    print("| run | policy, 100 episodes | last 100 training episodes |\n|---|---|---|")
    for algorithm, network in NETWORKS.items():
        for name, task in _peers.TASKS.items():
            folder = args.directory / algorithm / f"{task}_1"
            num_quantiles = NUM_QUANTILES[name] if algorithm == "qrdqn" else 1
            policy = read_policy(folder / f"{task}.zip", network, num_quantiles)
            policy = with_random_actions(policy, gymnasium.make(task).action_space.n, args.epsilon, args.seed)
            score = _peers.play(policy, task, args.seed)
            last = read_returns(folder / "0.monitor.csv")[-100:]
            print(f"| zoo_{algorithm}/{name} | {score:.2f} | {sum(last) / len(last):.2f} |")


if __name__ == "__main__":
    main()
