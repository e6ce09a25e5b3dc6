"""Trains Stable-Baselines3's DQN, or sb3-contrib's QR-DQN, with rl-baselines3-zoo's settings, for `peers_learning.py`.

The settings are those of `hyperparams/dqn.yml` and `qrdqn.yml` in https://github.com/DLR-RM/rl-baselines3-zoo (commit
22e3ff2); where these say nothing, each library's own default applies.

    pip install stable-baselines3 sb3-contrib
    python tests/benchmarks/sb3_zoo.py zoo_dqn/cartpole SEED [STEPS]
"""

import sys

import _peers

SETTINGS = {
    "cartpole": {
        "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1_000, "gamma": 0.99,
        "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04,
    },
    "acrobot": {
        "learning_rate": 6.3e-4, "batch_size": 128, "buffer_size": 50_000, "learning_starts": 0, "gamma": 0.99,
        "target_update_interval": 250, "train_freq": 4, "gradient_steps": -1, "exploration_fraction": 0.12,
        "exploration_final_eps": 0.1,
    },
    "mountain_car": {
        "learning_rate": 4e-3, "batch_size": 128, "buffer_size": 10_000, "learning_starts": 1_000, "gamma": 0.98,
        "target_update_interval": 600, "train_freq": 16, "gradient_steps": 8, "exploration_fraction": 0.2,
        "exploration_final_eps": 0.07,
    },
}  # fmt: skip
STEPS = {"cartpole": 50_000, "acrobot": 100_000, "mountain_car": 120_000}
NUM_QUANTILES = {"cartpole": 10, "acrobot": 25, "mountain_car": 25}


def main(recipe, seed, num_steps=None):
    import gymnasium as gym
    import torch
    from sb3_contrib import QRDQN
    from stable_baselines3 import DQN
    from stable_baselines3.common.monitor import Monitor

    torch.set_num_threads(1)
    algorithm, name = recipe.split("/")
    task, env = _peers.TASKS[name], Monitor(gym.make(_peers.TASKS[name]))
    policy = {"net_arch": [256, 256]} | ({"n_quantiles": NUM_QUANTILES[name]} if algorithm == "zoo_qrdqn" else {})
    kind = {"zoo_dqn": DQN, "zoo_qrdqn": QRDQN}[algorithm]
    model = kind("MlpPolicy", env, policy_kwargs=policy, seed=int(seed), device="cpu", **SETTINGS[name])
    model.learn(int(num_steps or STEPS[name]))
    final = _peers.play(lambda obs: model.predict(obs, deterministic=True)[0], task, int(seed))
    _peers.print_figures(env.get_episode_rewards(), env.get_episode_lengths(), final)


if __name__ == "__main__":
    main(*sys.argv[1:])
