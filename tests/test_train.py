"""The loop: what is stored, what is counted, and that the same seed gives the same bytes."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dqn_lab.build import build, validate
from dqn_lab.cli._quiet import Quiet
from dqn_lab.run import Run
from dqn_lab.schedule import Every, Progress
from dqn_lab.train import Clock, Due, train
from dqn_lab.types import Stride, TrainingError

SHORT = ("logger=csv", "episodes=12", "evaluation.interval=5", "evaluation.num_episodes=2",
         "evaluation.final_num_episodes=2", "exploration.decay=0.8")  # fmt: skip


class Counting(gymnasium.Env):
    """Observes [episode, step within it, steps in all], in one array that it reuses.

    Episodes are terminated and truncated in turn, after 3, 4, 5, 3, … steps.
    """

    observation_space = Box(0, np.inf, (3,), np.float32)
    action_space = Discrete(2)

    def __init__(self):
        self.obs = np.zeros(3, np.float32)
        self.episode = -1
        self.total = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.inside = 0
        return self._observe()

    def step(self, action):
        self.inside += 1
        self.total += 1
        ended = self.inside == 3 + self.episode % 3
        obs, info = self._observe()
        return obs, float(self.inside), ended and self.episode % 2 == 0, ended and self.episode % 2 == 1, info

    def _observe(self):
        self.obs[:] = self.episode, self.inside, self.total
        return self.obs, {}


class Listing(Counting):
    """Observes lists of numbers."""

    def _observe(self):
        obs, info = super()._observe()
        return obs.tolist(), info


class Raising(Counting):
    def step(self, action):
        if self.total == 7:
            raise RuntimeError("out of track")
        return super().step(action)


@pytest.fixture(autouse=True)
def environments():
    entries = {"Counting-v0": Counting, "Raising-v0": Raising, "Listing-v0": Listing}
    for name, entry in entries.items():
        gymnasium.register(name, entry)
    yield
    for name in entries:
        del gymnasium.registry[name]


@pytest.fixture
def stored(configure):
    """Trains in the counting environment; returns the agent's replay memory, row by row."""

    def run(*overrides):
        config = configure("logger=csv", "episodes=null", "steps=60", "evaluation.interval=null", *overrides)
        config["env"]["id"] = "Counting-v0"
        experiment = build(validate(config))
        train(experiment.rollout, experiment.due, Silent())
        ring = experiment.agent.buffer.ring
        return [
            dict(zip(ring.arrays._fields, row, strict=True))
            for row in zip(*(a[: ring.size] for a in ring.arrays), strict=True)
        ]

    return run


class Silent:
    def stride(self, stride):
        pass

    def evaluate(self, progress):
        pass

    def save(self, progress):
        pass


@pytest.mark.parametrize("n_step", [1, 2, 3, 7])
def test_no_transition_crosses_an_episode(stored, n_step):
    rows = stored(f"buffer.n_step={n_step}")
    assert len(rows) > 40
    for row in rows:
        episode, start, total = row["obs"]
        next_episode, end, next_total = row["next_obs"]
        assert next_episode == episode
        assert end - start == next_total - total
        assert end - start == min(n_step, 3 + episode % 3 - start)


@pytest.mark.parametrize("n_step", [1, 2, 3, 7])
def test_truncation_bootstraps_from_the_true_last_observation_and_termination_does_not(stored, n_step):
    for row in stored(f"buffer.n_step={n_step}"):
        episode, start, _ = row["obs"]
        end = row["next_obs"][1]
        last = end == 3 + episode % 3
        expected = 0.0 if last and episode % 2 == 0 else 0.99 ** (end - start)
        assert row["discount"] == pytest.approx(expected)
        assert row["reward"] == pytest.approx(sum(0.99**k * (start + k + 1) for k in range(int(end - start))))


def test_with_truncation_terminates_every_episode_ends_with_discount_zero(stored):
    rows = stored("env.truncation_terminates=true")
    ends = [row["discount"] for row in rows if row["next_obs"][1] == 3 + row["obs"][0] % 3]
    assert len(ends) > 10
    assert not any(ends)


def test_an_environment_that_raises_is_named_with_its_step(configure):
    config = configure("logger=csv", "evaluation.interval=null")
    config["env"]["id"] = "Raising-v0"
    experiment = build(config)
    expected = r"RuntimeError: out of track \(raised in .*\) \(episode 2, step 8 of the run\)$"
    with pytest.raises(TrainingError, match=expected):
        train(experiment.rollout, experiment.due, Silent())


@pytest.mark.parametrize(("budget", "expected"), [
    ("episodes=4", (15, 4)), ("episodes=null steps=10", (10, 2)), ("episodes=4 steps=10", (10, 2)),
    ("episodes=2 steps=1000", (7, 2)),
])  # fmt: skip
def test_a_run_ends_with_its_episodes_or_its_steps_whichever_come_first(configure, budget, expected):
    config = configure("logger=csv", "evaluation.interval=null", *budget.split())
    config["env"]["id"] = "Counting-v0"
    experiment = build(config)
    train(experiment.rollout, experiment.due, Silent())
    assert experiment.rollout.progress[:2] == expected


@pytest.mark.parametrize("engine", ["torch", "fused"])
def test_observations_may_be_lists_of_numbers(configure, tmp_path, engine):
    tables = []
    for name in ("Listing-v0", "Counting-v0"):
        config = configure(*SHORT, f"engine={engine}", "train.learning_starts=8", "train.batch_size=8")
        config["env"]["id"] = name
        Run(build(config), tmp_path / name, {}).execute(Quiet())
        tables.append((tmp_path / name / "episodes.csv").read_bytes())
    assert tables[0] == tables[1]


class Timed:
    """A rollout and its observer, in which everything takes a given time on a clock of their own."""

    def __init__(self, monkeypatch, advance, evaluate, save):
        self.now, self.saves, self.progress = 0.0, [], Progress()
        self.costs = advance, evaluate, save
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def advance(self, until):
        self.now += self.costs[0]
        before, self.progress = self.progress, self.progress._replace(step=self.progress.step + 1)
        return Stride(before, self.progress, [])

    def stride(self, stride):
        pass

    def evaluate(self, progress):
        self.now += self.costs[1]

    def save(self, progress):
        self.saves.append(self.now)
        self.now += self.costs[2]


@pytest.mark.parametrize(("advance", "evaluate", "save", "pause"), [
    (1, 0, 0.5, 60), (20, 0, 0.5, 60), (20, 600, 0.5, 620), (1, 0, 10, 190), (20, 600, 100, 1900),
])  # fmt: skip
def test_checkpoints_by_the_clock_become_rarer_only_if_saving_takes_long(monkeypatch, advance, evaluate, save, pause):
    """Saving may take 5 % of the time; neither slow strides nor slow evaluations, one per step, count as saving."""
    timed = Timed(monkeypatch, advance, evaluate, save)
    train(timed, Due(steps=2000, episodes=None, evaluations=Every(1, "steps"), checkpoints=Clock(60)), timed)
    pauses = np.diff(timed.saves) - save
    assert len(pauses) > 4
    assert (pauses >= pause).all()
    assert (pauses < pause + advance + evaluate).all()


def rows(configure, directory: Path, *overrides) -> dict[str, bytes]:
    """Executes a run and returns its CSV files."""
    chooses = any(override.startswith("exploration=") for override in overrides)
    short = [word for word in SHORT if not (chooses and word.startswith("exploration."))]
    experiment = build(configure(*short, *overrides))
    Run(experiment, directory, {}).execute(Quiet())
    return {path.name: path.read_bytes() for path in directory.glob("*.csv") if path.name != "timing.csv"}


COMPOSITIONS = [
    (),
    ("experiment=tutorial",),
    ("bootstrap=double", "value=huber", "buffer.n_step=3", "target=polyak", "exploration=linear"),
    ("buffer=none", "target=none", "optimizer=sgd", "exploration=constant"),
]


@pytest.mark.parametrize("composition", COMPOSITIONS, ids=lambda overrides: ",".join(overrides) or "default")
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(configure, tmp_path, composition):
    first, again = (rows(configure, tmp_path / name, *composition) for name in ("first", "again"))
    other = rows(configure, tmp_path / "other", *composition, "seed=1")
    assert first == again
    assert first["episodes.csv"].count(b"\n") == 13
    assert first["episodes.csv"] != other["episodes.csv"]


@pytest.mark.parametrize("overrides", [
    ("evaluation.interval=null",), ("evaluation.interval=1",), ("logger=[csv,tensorboard]",),
    ("logger=[csv,wandb]", "logger.wandb.mode=offline"), ("evaluation.final_num_episodes=7",),
])  # fmt: skip
def test_observing_a_run_never_changes_it(configure, tmp_path, overrides):
    plain = rows(configure, tmp_path / "plain")
    observed = rows(configure, tmp_path / "observed", *overrides)
    assert plain["episodes.csv"] == observed["episodes.csv"]


def test_extending_a_run_does_not_change_its_past(configure, tmp_path):
    short = rows(configure, tmp_path / "short")["episodes.csv"]
    long = rows(configure, tmp_path / "long", "episodes=15")["episodes.csv"]
    assert long.startswith(short)
    assert len(long) > len(short)


def test_clipping_rewards_does_not_change_the_return(configure, tmp_path):
    """The counting environment's rewards are 1, 2, 3, … within an episode."""
    config = configure("logger=csv", "episodes=2", "evaluation.final_num_episodes=1", "train.max_reward=1.5")
    config["env"]["id"] = "Counting-v0"
    experiment = build(config)
    record = Run(experiment, tmp_path / "run", {}).execute(Quiet())
    assert record["scores"]["last_100"] == (6 + 10) / 2
    assert record["scores"]["final"]["return_mean"] == 6
    assert experiment.agent.buffer.ring.arrays.reward[:7].tolist() == [1.0, 1.5, 1.5, 1.0, 1.5, 1.5, 1.5]
