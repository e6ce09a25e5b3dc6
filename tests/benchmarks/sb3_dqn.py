"""Times a step of the reference work with Stable-Baselines3's DQN; a peer for `speed.py`, in an environment of its own.

pip install torch==2.13.0 stable-baselines3==2.9.2 gymnasium
python tests/benchmarks/sb3_dqn.py 6000
"""

import sys
import time

import gymnasium
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

WARM_UP = 1_000


class Stopwatch(BaseCallback):
    """Starts after the warm-up, and prints the time of a step at the end."""

    def _on_step(self) -> bool:
        if self.num_timesteps == WARM_UP:
            self.started = time.perf_counter()
        return True

    def _on_training_end(self) -> None:
        seconds = time.perf_counter() - self.started
        print(f"sb3 {seconds / (self.num_timesteps - WARM_UP) * 1e6:.0f} us/step")


def main():
    torch.set_num_threads(1)
    settings = {
        "learning_rate": 1e-3, "gamma": 0.99, "buffer_size": 50_000, "batch_size": 64, "learning_starts": 64,
        "train_freq": 1, "gradient_steps": 1, "target_update_interval": 500, "tau": 1.0,
        "exploration_fraction": 1e-9, "exploration_final_eps": 0.05, "policy_kwargs": {"net_arch": [24, 24]},
    }  # fmt: skip
    agent = DQN("MlpPolicy", gymnasium.make("CartPole-v1"), seed=0, device="cpu", **settings)
    agent.learn(int(sys.argv[1]), callback=Stopwatch())


if __name__ == "__main__":
    main()
