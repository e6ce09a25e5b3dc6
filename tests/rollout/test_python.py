"""The loop's seam: what a stride is, and that a run saved at any step continues as if it had not been interrupted."""

import itertools

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dqn_lab.build import build
from dqn_lab.checkpoint import Checkpoints
from dqn_lab.schedule import NEVER, Progress
from dqn_lab.types import StateError


class Walk(gymnasium.Env):
    """A walk along a line, left or right at random too; it can be saved."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return np.array([self.at, 0], np.float32), {}

    def step(self, action):
        self.at += 2 * int(action) - 1 + int(self.np_random.integers(-1, 2))
        return np.array([self.at, 1], np.float32), float(self.at), abs(self.at) > 5, False, {}

    def state_dict(self):
        return {"at": self.at, "generator": self.np_random.bit_generator.state}

    def load_state_dict(self, state):
        self.at = state["at"]
        self.np_random.bit_generator.state = state["generator"]


class Closed(Walk):
    """The same; it cannot be saved."""

    state_dict = load_state_dict = None


@pytest.fixture(autouse=True)
def environments():
    for name, entry in {"Walk-v0": Walk, "Closed-v0": Closed}.items():
        gymnasium.register(name, entry, max_episode_steps=30)
    yield
    for name in ("Walk-v0", "Closed-v0"):
        del gymnasium.registry[name]


@pytest.fixture
def rollout(configure):
    """Builds a run's rollout."""

    def make(*overrides, env_id=None):
        config = configure("rollout=python", "logger=csv", *overrides)
        config["env"]["id"] = env_id or config["env"]["id"]
        return build(config).rollout

    return make


def test_a_stride_ends_with_its_episode_and_has_its_row(rollout):
    rolling = rollout()
    strides = [rolling.advance(NEVER) for _ in range(5)]
    assert [stride.after.episode for stride in strides] == [1, 2, 3, 4, 5]
    for before, after in itertools.pairwise(strides):
        assert after.before == before.after
    for number, stride in enumerate(strides):
        (row,) = stride.episodes
        assert (row["episode"], row["step"]) == (number, stride.after.step)
        assert row["length"] == stride.after.step - stride.before.step
    assert rolling.progress == strides[-1].after


@pytest.mark.parametrize("until", [NEVER._replace(step=7), NEVER._replace(step=70, updates=3)])
def test_a_stride_ends_where_it_was_asked_to(rollout, until):
    rolling = rollout("train.learning_starts=4", "train.batch_size=4")
    stride = rolling.advance(until)
    assert stride.after == (Progress(7, 0, 4) if until.step == 7 else Progress(6, 0, 3))
    assert stride.episodes == ()


def test_a_stride_is_one_step_at_least(rollout):
    rolling = rollout()
    assert rolling.advance(Progress()).after.step == 1
    assert rolling.advance(Progress(1)).after.step == 2


def trace(rolling, num_steps, length):
    """Advances in strides of so many steps at most; returns every stride and what was learned at its end."""
    end, seen = rolling.progress.step + num_steps, []
    while (step := rolling.progress.step) < end:
        stride = rolling.advance(NEVER._replace(step=min(end, step + length)))
        weights = [tensor.detach().numpy().tobytes() for tensor in rolling.agent.engine.online.parameters()]
        seen.append((*stride.before, *stride.after, *map(repr, stride.episodes), *weights))
    return seen


def test_how_long_strides_are_changes_nothing(rollout):
    """The rows and the last weights are the same, stride by stride or step by step."""
    rows = []
    for length in (1, 17, 1000):
        *_, last = strides = trace(rollout("experiment=cartpole", "train.learning_starts=128"), 400, length)
        rows.append(([part for stride in strides for part in stride if isinstance(part, str)], last[-4:]))
    assert rows[0] == rows[1] == rows[2]
    assert len(rows[0][0]) > 5


STATEFUL = [
    (), ("experiment=tutorial",), ("experiment=cartpole", "train.learning_starts=128"),
    ("engine=torch", "exploration=ez_greedy", "exploration.start=0.3", "exploration.end=0.3"),
    ("experiment=prioritized", "buffer.normalize=buffer", "train.learning_starts=64", "buffer.capacity=300"),
    ("buffer=none", "target=none", "optimizer=sgd", "optimizer.lr=1e-4", "exploration=boltzmann"),
    ("engine=torch", "experiment=rainbow", "train.learning_starts=128", "train.interval=50"),
    ("engine=torch", "experiment=iqn", "train.learning_starts=128", "train.interval=50"),
    ("bootstrap=munchausen", "optimizer=rmsprop", "target=polyak", "exploration=piecewise"),
    ("env=acrobot", "env.max_episode_steps=90"), ("env=mountain_car", "env.max_episode_steps=90", "env.rescale=true"),
    ("env=frozen_lake", "network=table", "engine=torch"), ("env=cliff_walking", "network=table", "engine=torch"),
    ("env=taxi", "network=table", "engine=torch", "env.max_episode_steps=40"),
]  # fmt: skip


@pytest.mark.parametrize("overrides", STATEFUL, ids=",".join)
@pytest.mark.parametrize("at", [1, 137, 250])
def test_a_run_saved_in_mid_episode_continues_as_if_it_had_not_been_interrupted(rollout, through_files, overrides, at):
    """A fresh object takes the state over: the same next 1,000 steps, rows and weights."""
    saved, other = rollout(*overrides), rollout(*overrides, "seed=0")
    trace(saved, at, 1000)
    other.load_state_dict(through_files(saved.state_dict()))
    num_steps = 200 if "engine=torch" in overrides else 1000
    assert trace(other, num_steps, 50) == trace(saved, num_steps, 50)


@pytest.fixture
def through_files(tmp_path):
    """Takes a state to the disk and back; what is no array, tensor or plain value does not come through."""

    def take(state):
        Checkpoints(tmp_path, 1).save(0, {"rollout": state})
        found = {}
        Checkpoints(tmp_path, 1).restore(found.update)
        return found["rollout"]

    return take


def test_an_environment_that_declares_its_state_is_saved_with_it(rollout, through_files):
    saved, other = (rollout(env_id="Walk-v0") for _ in range(2))
    trace(saved, 77, 1000)
    other.load_state_dict(through_files(saved.state_dict()))
    assert trace(other, 500, 1000) == trace(saved, 500, 1000)


def test_an_environment_whose_state_cannot_be_set_says_so(rollout):
    rolling = rollout(env_id="Closed-v0")
    trace(rolling, 3, 1000)
    with pytest.raises(StateError, match=r"^Closed: cannot be saved in mid-episode"):
        rolling.state_dict()


def test_a_wrapper_with_a_state_of_its_own_says_so(rollout):
    rolling = rollout()
    make_env = rolling.make_env
    rolling.make_env = lambda: gymnasium.wrappers.RecordEpisodeStatistics(make_env())
    trace(rolling, 3, 1000)
    with pytest.raises(StateError, match=r"^RecordEpisodeStatistics: a wrapper"):
        rolling.state_dict()


def test_a_run_can_be_saved_before_its_first_step_and_between_episodes(rollout, through_files):
    saved, other = rollout(), rollout()
    other.load_state_dict(through_files(saved.state_dict()))
    assert trace(other, 50, 1000) == trace(saved, 50, 1000)
    saved.advance(NEVER)
    third = rollout()
    third.load_state_dict(through_files(saved.state_dict()))
    assert trace(third, 200, 1000) == trace(saved, 200, 1000)
