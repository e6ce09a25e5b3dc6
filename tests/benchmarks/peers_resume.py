"""Measures what a killed run loses, in dqn_lab and its peers, each saved and restored according to its documentation.

    python tests/benchmarks/peers_resume.py

Every library trains DQN on CartPole for 6,000 steps, twice without interruption, which shows whether its runs repeat at
all; then once more in a process that saves at step 3,000 and is killed with `kill -9`, and in a new process that
restores and continues. The table shows the mean return of the last twenty episodes before and the first twenty after,
whether the episodes are those of the run that was never killed, and which parts of the memory at the save differ when
the new process is about to take its first step. A library that is not installed has a line that says so.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

STEPS, KILLED_AT, SEED = 6_000, 3_000, 0
START, END, DURATION = 1.0, 0.05, 4_800  # of ε, linear, so that it is still decaying at the kill
LR, BATCH_SIZE, CAPACITY, INTERVAL, COPY = 1e-3, 64, 10_000, 4, 500
PARTS = ("network", "target", "optimizer", "replay", "epsilon", "environment", "generators")
Parts = Callable[[], dict[str, Any]]


def epsilon_at(step: int) -> float:
    """Returns ε, for libraries in which this program has to set it."""
    return START + (END - START) * min(1.0, step / DURATION)


class Watched(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Records where every training episode ends, and its return.

    Args:
        env: to be watched.
        step: how many steps the run has made before.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], step: int) -> None:
        super().__init__(env)
        self.count, self.score, self.rows = step, 0.0, list[tuple[int, float]]()

    def reset(self, **options: Any) -> Any:
        self.score = 0.0
        return super().reset(**options)

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = super().step(action)
        self.count, self.score = self.count + 1, self.score + float(reward)
        if terminated or truncated:
            self.rows.append((self.count, self.score))
        return obs, reward, terminated, truncated, info

    def where(self) -> Any:
        """Returns the state that CartPole's next step and next reset depend on."""
        inner: Any = self.unwrapped
        return np.array(inner.state), inner.np_random.bit_generator.state


class Stage:
    """One process of the protocol: `whole`, `first`, which is killed, or `second`, which restores."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.directory = name, directory
        self.restores = name == "second"
        self.env = Watched(gymnasium.make("CartPole-v1"), KILLED_AT if self.restores else 0)

    def write(self, name: str, values: Any) -> None:
        (self.directory / f"{name}.json").write_text(json.dumps(values))

    def note(self, parts: dict[str, Any]) -> None:
        """Records what is in memory: in the first process at the save, in the second before it continues."""
        empty = [name for name in ("network", "target", "optimizer", "replay") if not parts[name]]
        if empty:
            raise RuntimeError(f"nothing to compare: {', '.join(empty)}")
        parts["environment"] = self.env.where()
        parts["generators"] = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        self.write(f"{self.name}-state", {name: digest(value) for name, value in parts.items()})

    def kill(self, parts: dict[str, Any]) -> None:
        """Ends the first process as the OOM killer would."""
        self.note(parts)
        self.write(self.name, self.env.rows)
        os.kill(os.getpid(), signal.SIGKILL)

    def end(self) -> None:
        self.write(self.name, self.env.rows)


def digest(value: Any) -> str:
    """Hashes nested dictionaries, sequences, arrays and tensors."""
    found = hashlib.sha256()

    def add(item: Any) -> None:
        if isinstance(item, torch.Tensor):
            item = item.detach().cpu().numpy()
        if isinstance(item, dict):
            for key in sorted(item, key=str):
                found.update(str(key).encode())
                add(item[key])
        elif isinstance(item, list | tuple):
            for part in item:
                add(part)
        elif isinstance(item, np.ndarray):
            found.update(f"{item.dtype}{item.shape}".encode() + np.ascontiguousarray(item).tobytes())
        else:
            found.update(repr(item).encode())

    add(value)
    return found.hexdigest()


def stable_baselines3(stage: Stage) -> None:
    """Its guide: `CheckpointCallback(save_replay_buffer=True)`; `load`, `load_replay_buffer`, `learn` for the rest."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback, CallbackList, CheckpointCallback

    def parts(model: DQN) -> dict[str, Any]:
        replay: Any = model.replay_buffer
        rows = [replay.observations, replay.next_observations, replay.actions, replay.rewards, replay.dones]
        return {
            "network": model.q_net.state_dict(), "target": model.q_net_target.state_dict(),
            "optimizer": model.policy.optimizer.state_dict(), "replay": [array[: replay.pos] for array in rows],
            "epsilon": model.exploration_rate,
        }  # fmt: skip

    class Watch(BaseCallback):
        def _on_training_start(self) -> None:
            if stage.restores:
                stage.note(parts(self.model))

        def _on_step(self) -> bool:
            if stage.name == "first" and self.num_timesteps == KILLED_AT:
                stage.kill(parts(self.model))
            return True

    saving = CheckpointCallback(KILLED_AT, str(stage.directory), "model", save_replay_buffer=True)
    callback = CallbackList([*([saving] if stage.name == "first" else []), Watch()])
    if stage.restores:
        model = DQN.load(stage.directory / f"model_{KILLED_AT}_steps", env=stage.env, device="cpu")
        model.load_replay_buffer(stage.directory / f"model_replay_buffer_{KILLED_AT}_steps")
        model.learn(STEPS - KILLED_AT, callback, reset_num_timesteps=False)
        return
    model = DQN(
        "MlpPolicy", stage.env, LR, CAPACITY, batch_size=BATCH_SIZE, train_freq=INTERVAL, learning_starts=BATCH_SIZE,
        target_update_interval=COPY, exploration_fraction=DURATION / STEPS, exploration_final_eps=END, seed=SEED,
        device="cpu",
    )  # fmt: skip
    model.learn(STEPS, callback)


def tianshou(stage: Stage) -> None:
    """Its own test of resuming (test/discrete/test_c51.py): algorithm and buffer saved, `resume_from_log`."""
    from tianshou.algorithm.modelfree.dqn import DQN, DiscreteQLearningPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.trainer import OffPolicyTrainerParams
    from tianshou.utils import TensorboardLogger
    from tianshou.utils.net.common import Net
    from torch.utils.tensorboard import SummaryWriter

    model_path, buffer_path = stage.directory / "checkpoint.pth", stage.directory / "train_buffer.pkl"
    np.random.seed(SEED)  # noqa: NPY002
    torch.manual_seed(SEED)
    envs = DummyVectorEnv([lambda: stage.env])
    envs.seed(SEED)
    net = Net(state_shape=(4,), action_shape=2, hidden_sizes=[64, 64])
    policy = DiscreteQLearningPolicy(model=net, action_space=stage.env.action_space, eps_training=START)
    optim = AdamOptimizerFactory(lr=LR)
    algorithm: Any = DQN(policy=policy, optim=optim, target_update_freq=COPY // INTERVAL, is_double=False)
    collector: Any = Collector(algorithm, envs, VectorReplayBuffer(CAPACITY, 1), exploration_noise=True)
    collector.reset()

    def parts() -> dict[str, Any]:
        saved = algorithm.state_dict()
        old = {key: value for key, value in saved.items() if "model_old" in key or "old" in key.split(".")[0]}
        optimizers = [optimizer._optim.state_dict() for optimizer in algorithm._optimizers]
        batch = collector.buffer[:]
        rows = [batch.obs, batch.act, batch.rew, batch.obs_next, batch.terminated, batch.truncated]
        return {
            "network": policy.model.state_dict(), "target": old, "optimizer": optimizers, "replay": rows,
            "epsilon": policy.eps_training,
        }  # fmt: skip

    def save(epoch: int, env_step: int, gradient_step: int) -> str:
        torch.save(algorithm.state_dict(), model_path)
        buffer_path.write_bytes(pickle.dumps(collector.buffer))
        return str(model_path)

    noted = False

    def training_fn(epoch: int, env_step: int) -> None:
        nonlocal noted
        policy.set_eps_training(epsilon_at(env_step))
        if stage.name == "first" and model_path.exists():
            stage.kill(parts())
        if stage.restores and not noted:
            stage.note(parts())
            noted = True

    if stage.restores:
        algorithm.load_state_dict(torch.load(model_path))
        collector.buffer = pickle.loads(buffer_path.read_bytes())
    logger = TensorboardLogger(SummaryWriter(str(stage.directory / "log" / stage.name.replace("second", "first"))),
                               save_interval=2)  # fmt: skip
    algorithm.run_training(OffPolicyTrainerParams(
        training_collector=collector, max_epochs=4, epoch_num_steps=STEPS // 4, batch_size=BATCH_SIZE,
        collection_step_num_env_steps=INTERVAL, update_step_num_gradient_steps_per_sample=1 / INTERVAL,
        test_in_training=False, training_fn=training_fn, logger=logger, resume_from_log=stage.restores,
        save_checkpoint_fn=save if stage.name == "first" else None, show_progress=False, verbose=False,
    ))  # fmt: skip


def torchrl(stage: Stage) -> None:
    """Its guide: `DQNTrainer` with a `Checkpoint`, global generators included, and `load_from_file`."""
    from tensordict.nn import TensorDictSequential
    from torchrl.checkpoint import Checkpoint, GlobalRNGState
    from torchrl.collectors import Collector
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
    from torchrl.envs import Compose, GymWrapper, RewardSum, StepCounter, TransformedEnv
    from torchrl.modules import MLP, EGreedyModule, QValueActor
    from torchrl.objectives import DQNLoss, HardUpdate
    from torchrl.trainers.algorithms.dqn import DQNTrainer

    torch.manual_seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002
    env = TransformedEnv(GymWrapper(stage.env, categorical_action_encoding=True), Compose(RewardSum(), StepCounter()))
    env.set_seed(SEED)
    net = MLP(in_features=4, out_features=2, num_cells=[64, 64])
    actor = QValueActor(net, in_keys=["observation"], spec=env.full_action_spec["action"], action_space="categorical")
    greedy = EGreedyModule(annealing_num_steps=DURATION, eps_init=START, eps_end=END, spec=actor.spec)
    frames = 20
    collector = Collector(
        env, TensorDictSequential(actor, greedy), frames_per_batch=frames, total_frames=STEPS, init_random_frames=0
    )
    loss = DQNLoss(actor, delay_value=True, loss_function="l2", action_space="categorical")
    loss.make_value_estimator(gamma=0.99)
    replay = TensorDictReplayBuffer(storage=LazyTensorStorage(CAPACITY), batch_size=BATCH_SIZE)
    optimizer = torch.optim.Adam(loss.parameters(), lr=LR)
    file = stage.directory / "trainer"
    trainer: Any = DQNTrainer(
        collector=collector, total_frames=STEPS, frame_skip=1, optim_steps_per_batch=frames // INTERVAL,
        loss_module=loss, optimizer=optimizer, replay_buffer=replay, greedy_module=greedy, progress_bar=False,
        target_net_updater=HardUpdate(loss, value_network_update_interval=COPY // INTERVAL), enable_logging=False,
        checkpoint=Checkpoint(generators=GlobalRNGState()), save_trainer_file=file, save_trainer_interval=10**9,
        seed=SEED,
    )  # fmt: skip

    def parts() -> dict[str, Any]:
        saved = loss.state_dict()
        rows = replay[:]
        names = ("observation", "action", ("next", "reward"), ("next", "observation"), ("next", "terminated"))
        return {
            "network": {key: value for key, value in saved.items() if "target" not in key},
            "target": {key: value for key, value in saved.items() if "target" in key},
            "optimizer": optimizer.state_dict(), "replay": [rows[name] for name in names], "epsilon": greedy.eps,
        }  # fmt: skip

    def watch() -> None:
        if stage.name == "first" and trainer.collected_frames >= KILLED_AT:
            trainer.save_trainer(force_save=True)
            stage.kill(parts())

    trainer.register_op("post_steps", watch)
    if stage.restores:
        trainer.load_from_file(file)
        stage.note(parts())
    trainer.train()


def dqn_lab(stage: Stage) -> None:
    """`train`, killed from outside once its first checkpoint exists, then `resume`."""
    from dqn_lab.cli import main

    run = stage.directory / ("run" if stage.name in ("first", "second") else stage.name)
    composed = (
        f"steps={STEPS}", "episodes=null", f"seed={SEED}", "logger=csv", "network=mlp64", f"optimizer.lr={LR}",
        f"train.batch_size={BATCH_SIZE}", f"train.interval={INTERVAL}", f"buffer.capacity={CAPACITY}",
        "exploration=linear", "exploration.unit=steps", f"exploration.duration={DURATION}", f"exploration.end={END}",
        f"target.interval={COPY}", "target.unit=steps", "checkpoint.unit=steps", f"checkpoint.interval={KILLED_AT}",
        f"hydra.run.dir={run}", "display=none",
    )  # fmt: skip
    main(["resume", str(run)] if stage.restores else ["train", *composed])


LIBRARIES = {
    "stable_baselines3": (stable_baselines3, "stable-baselines3"), "tianshou": (tianshou, "tianshou"),
    "torchrl": (torchrl, "torchrl"), "dqn_lab": (dqn_lab, "dqn-lab"),
}  # fmt: skip


def carry_out(library: str, name: str, directory: Path) -> None:
    """Carries out one stage in this process."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    stage = Stage(name, directory)
    LIBRARIES[library][0](stage)
    stage.end()


def spawn(library: str, name: str, directory: Path) -> None:
    """Carries out a stage in a new process, and checks that it ends as it should."""
    command = [sys.executable, __file__, "--stage", library, name, str(directory)]
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        if library == "dqn_lab" and name == "first":
            while process.poll() is None and not [*directory.glob(f"run/checkpoint/{KILLED_AT:012d}*")]:
                time.sleep(0.01)
            process.kill()
        code = process.wait()
    if code != (-signal.SIGKILL if name == "first" else 0):
        raise RuntimeError((directory / f"{name}.log").read_text()[-2000:])


def episodes(library: str, name: str, directory: Path) -> list[list[float]]:
    """Returns where each episode of a stage ended, and its return."""
    if library != "dqn_lab":
        found: list[list[float]] = json.loads((directory / f"{name}.json").read_text())
        return found
    path = directory / ("run" if name == "second" else name) / "episodes.csv"
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    return [[float(row[header.index("step")]), float(row[header.index("return")])] for row in rows]


def compare(library: str, directory: Path) -> str:
    """Carries out the protocol; returns the library's row."""
    for name in ("whole", "again", "first", "second"):
        spawn(library, name, directory)
    whole, again = episodes(library, "whole", directory), episodes(library, "again", directory)
    if library == "dqn_lab":
        resumed, lost = episodes(library, "second", directory), []
        same = (directory / "run/episodes.csv").read_bytes() == (directory / "whole/episodes.csv").read_bytes()
    else:
        resumed = episodes(library, "first", directory) + episodes(library, "second", directory)
        states = [json.loads((directory / f"{name}-state.json").read_text()) for name in ("first", "second")]
        lost = [part for part in PARTS if states[0][part] != states[1][part]]
        same = resumed == whole
    before = [score for step, score in resumed if step <= KILLED_AT][-20:]
    after = [score for step, score in resumed if step > KILLED_AT][:20]
    never = [score for step, score in whole if step > KILLED_AT][:20]
    means = " | ".join(f"{np.mean(scores):.1f}" for scores in (before, after, never))
    first = next((number for number, pair in enumerate(zip(resumed, whole, strict=False)) if pair[0] != pair[1]), None)
    trace = "yes" if same else f"no, from episode {first} on" if first is not None else "no"
    version = importlib.metadata.version(LIBRARIES[library][1])
    repeats = "yes" if whole == again else "no"
    return f"| {library} {version} | {repeats} | {means} | {trace} | {', '.join(lost) or 'nothing'} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=LIBRARIES, help="one library")
    parser.add_argument("--stage", nargs=3, metavar=("LIBRARY", "NAME", "DIRECTORY"), help="for its own use")
    args = parser.parse_args()
    if args.stage:
        carry_out(args.stage[0], args.stage[1], Path(args.stage[2]))
        return
    print("| library | same seed repeats | before | after | never killed | same episodes | not restored |")
    print("|---|---|---|---|---|---|---|")
    for library in [args.only] if args.only else LIBRARIES:
        if importlib.util.find_spec(library) is None:
            print(f"| {library} | not installed |  |  |  |  |  |")
            continue
        with tempfile.TemporaryDirectory() as place:
            print(compare(library, Path(place)), flush=True)


if __name__ == "__main__":
    main()
