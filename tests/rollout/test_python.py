"""The Python rollout: what a stride is, and that a run saved at any step continues as if not interrupted."""

import itertools

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dqn_lab import interrupt
from dqn_lab.build import build
from dqn_lab.checkpoint import Checkpoints
from dqn_lab.exploration.none import Greedy
from dqn_lab.schedule import NEVER, Progress
from dqn_lab.types import StateError, TrainingError


class Walk(gymnasium.Env):
    """A walk along a line, with random steps too; it can be saved."""

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
    """A walk whose state cannot be set, but whose episodes can be replayed."""

    state_dict = load_state_dict = None


class Private(Closed):
    """A closed walk with a private random generator."""

    def __init__(self):
        self.own = np.random.default_rng(0)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.own = np.random.default_rng(seed)
        return super().reset(seed=seed)

    def step(self, action):
        self.at += self.own.random()  # so that no two episodes are the same by chance
        return super().step(action)


class Unseeded(Private):
    """A private walk that no seed repeats."""

    def reset(self, *, seed=None, options=None):
        self.own = np.random.default_rng()
        return Closed.reset(self, seed=seed)


class Fragile(Closed):
    """A closed walk of which only one instance can be played at a time."""

    playing = None

    def reset(self, *, seed=None, options=None):
        Fragile.playing = Fragile.playing or self
        if Fragile.playing is not self:
            raise OSError("the port is taken")
        return super().reset(seed=seed)

    def close(self):
        Fragile.playing = None if Fragile.playing is self else Fragile.playing


@pytest.fixture(autouse=True)
def environments():
    kinds = (Walk, Closed, Private, Unseeded, Fragile)
    for kind in kinds:
        gymnasium.register(f"{kind.__name__}-v0", kind, max_episode_steps=30)
    yield
    for kind in kinds:
        del gymnasium.registry[f"{kind.__name__}-v0"]


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
def test_a_stride_ends_at_the_requested_progress(rollout, until):
    rolling = rollout("train.learning_starts=4", "train.batch_size=4")
    stride = rolling.advance(until)
    assert stride.after == (Progress(7, 0, 4) if until.step == 7 else Progress(6, 0, 3))
    assert stride.episodes == ()


def test_a_stride_is_one_step_at_least(rollout):
    rolling = rollout()
    assert rolling.advance(Progress()).after.step == 1
    assert rolling.advance(Progress(1)).after.step == 2


def trace(rolling, num_steps, length):
    """Advances in strides of at most `length` steps; returns every stride and the weights at its end."""
    end, seen = rolling.progress.step + num_steps, []
    while (step := rolling.progress.step) < end:
        stride = rolling.advance(NEVER._replace(step=min(end, step + length)))
        weights = [tensor.detach().numpy().tobytes() for tensor in rolling.agent.engine.online.parameters()]
        seen.append((*stride.before, *stride.after, *map(repr, stride.episodes), *weights))
    return seen


def test_the_length_of_strides_changes_nothing(rollout):
    """The rows and the last weights are the same for strides of any length."""
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
    """A fresh rollout loads the state: the same steps, rows and weights follow."""
    saved, other = rollout(*overrides), rollout(*overrides, "seed=0")
    trace(saved, at, 1000)
    other.load_state_dict(through_files(saved.state_dict()))
    num_steps = 200 if "engine=torch" in overrides else 1000
    assert trace(other, num_steps, 50) == trace(saved, num_steps, 50)


@pytest.fixture
def through_files(tmp_path):
    """Saves a state and loads it again, which only arrays, tensors and plain values survive."""

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


def after_episodes(rolling, count, steps=0):
    """Advances by `count` episodes, and `steps` steps of the next."""
    for _ in range(count):
        rolling.advance(NEVER)
    if steps:
        rolling.advance(NEVER._replace(step=rolling.progress.step + steps))
    return rolling


@pytest.mark.parametrize(("episodes", "steps"), [(0, 1), (0, 3), (1, 0), (1, 1), (5, 0), (5, 4)])
def test_an_environment_whose_state_cannot_be_set_replays_its_episode(rollout, through_files, episodes, steps):
    """In mid-episode, and between episodes, when the last one is replayed to restore the generator."""
    saved, other = rollout(env_id="Closed-v0"), rollout(env_id="Closed-v0")
    after_episodes(saved, episodes, steps)
    other.load_state_dict(through_files(saved.state_dict()))
    assert trace(other, 300, 20) == trace(saved, 300, 20)
    third = rollout(env_id="Closed-v0")
    third.load_state_dict(through_files(saved.state_dict()))
    assert trace(third, 100, 1000) == trace(saved, 100, 1000)


def test_a_wrapper_with_its_own_state_has_the_episode_replayed(rollout, through_files):
    saved, other = rollout(), rollout()
    for rolling in (saved, other):
        make_env = rolling.make_env
        rolling.make_env = lambda make_env=make_env: gymnasium.wrappers.RecordEpisodeStatistics(make_env())
    after_episodes(saved, 3, 5)
    other.load_state_dict(through_files(saved.state_dict()))
    assert trace(other, 300, 1000) == trace(saved, 300, 1000)


REFUSED = (
    r"cannot be saved, because its episode came out differently .*; let it draw .* from self\.np_random .*, or give"
)


@pytest.mark.parametrize("episodes", [1, 4])
@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("name", ["Private", "Unseeded"])
def test_an_environment_with_a_private_generator_cannot_be_saved(rollout, name, episodes, steps):
    """From its second episode on; the first one begins with a seed, which may repeat it."""
    rolling = after_episodes(rollout(env_id=f"{name}-v0"), episodes + (steps == 0), steps)
    for _ in range(2):
        with pytest.raises(StateError, match=rf"^{name}: {REFUSED}") as caught:
            rolling.state_dict()
        assert "\n" not in str(caught.value)
        after_episodes(rolling, 1)


def test_an_episode_that_differs_when_replayed_cannot_be_restored(rollout):
    saved = after_episodes(rollout(env_id="Unseeded-v0"), 1).state_dict()
    with pytest.raises(StateError, match=rf"^Unseeded: {REFUSED}"):
        rollout(env_id="Unseeded-v0").load_state_dict(saved)


def test_a_wrapper_that_remembers_other_episodes_cannot_be_saved(rollout):
    rolling = rollout()
    make_env = rolling.make_env
    rolling.make_env = lambda: gymnasium.wrappers.NormalizeObservation(make_env())
    after_episodes(rolling, 3)
    with pytest.raises(StateError, match=rf"^CartPoleEnv: {REFUSED}"):
        rolling.state_dict()


def test_an_environment_that_fails_when_replayed_cannot_be_saved(rollout):
    rolling = after_episodes(rollout(env_id="Fragile-v0"), 2)
    expected = (
        r"^Fragile: cannot be saved, because .* again failed: .*OSError: the port is taken \(raised in .*; give it"
    )
    with pytest.raises(StateError, match=expected):
        rolling.state_dict()


def test_an_environment_that_cannot_be_made_again_cannot_be_saved(rollout):
    rolling = after_episodes(rollout(env_id="Closed-v0"), 2)
    rolling.make_env = lambda: 1 / 0
    for _ in range(2):
        with pytest.raises(
            StateError, match=r"^Closed: .* making another failed: ZeroDivisionError: .*; give it state"
        ):
            rolling.state_dict()


def test_the_trial_replay_changes_nothing_and_happens_once(rollout):
    watched, alone = rollout(env_id="Closed-v0"), rollout(env_id="Closed-v0")
    made, make_env = [], watched.make_env
    watched.make_env = lambda: made.append(make_env()) or made[-1]
    rows = [(after_episodes(watched, 1).tally, watched.state_dict()["progress"]) for _ in range(6)]
    assert len(made) == 2
    assert rows == [(after_episodes(alone, 1).tally, list(alone.progress)) for _ in range(6)]
    assert trace(watched, 100, 1000) == trace(alone, 100, 1000)


def test_a_process_that_is_asked_to_stop_does_not_wait_for_a_replay(rollout, monkeypatch):
    rolling = after_episodes(rollout(env_id="Unseeded-v0"), 2)
    monkeypatch.setattr(interrupt.asked, "number", 15)
    assert rolling.state_dict()["env"]["actions"].size


EXTRAS = {"minatar": ("minatar",), "atari": ("ale_py", "cv2"), "lunar_lander": ("Box2D",)}
FROM_EXTRAS = [
    *(("minatar", f"env=minatar/{game}", "network=minatar_cnn")
      for game in ("asterix", "breakout", "freeway", "seaquest", "space_invaders")),
    ("atari", "env=atari/breakout", "env.noop_max=30", "env.max_frames=400"),
    ("atari", "env=atari/pong", "env.max_frames=400"),
    ("lunar_lander", "env=lunar_lander"),
    ("lunar_lander", "env=lunar_lander", "+env.kwargs.enable_wind=true", "env.max_episode_steps=70"),
]  # fmt: skip


@pytest.mark.parametrize("overrides", FROM_EXTRAS, ids=",".join)
@pytest.mark.parametrize("at", [1, 137, 250])
def test_a_run_on_an_environment_from_an_extra_continues_as_if_it_had_not_been_interrupted(
    rollout, through_files, overrides, at
):
    extra, *overrides = overrides
    for package in EXTRAS[extra]:
        pytest.importorskip(package)
    overrides = (*overrides, "train.learning_starts=1_000_000", "buffer.capacity=1000", "exploration.end=1.0")
    if extra == "atari":
        overrides = (*overrides, "network=nature_cnn", "env.screen_size=36")
    saved, other = rollout(*overrides, "engine=torch"), rollout(*overrides, "engine=torch", "seed=0")
    trace(saved, at, 1000)
    other.load_state_dict(through_files(saved.state_dict()))
    assert trace(other, 300, 50) == trace(saved, 300, 50)


def test_a_run_can_be_saved_before_its_first_step_and_between_episodes(rollout, through_files):
    saved, other = rollout(), rollout()
    other.load_state_dict(through_files(saved.state_dict()))
    assert trace(other, 50, 1000) == trace(saved, 50, 1000)
    saved.advance(NEVER)
    third = rollout()
    third.load_state_dict(through_files(saved.state_dict()))
    assert trace(third, 200, 1000) == trace(saved, 200, 1000)


class Counting(Greedy):
    """Counts its steps, and resets the count at an episode's end."""

    columns = ("count", "since")
    count = 0

    def select(self, q_values, draw, env_index, progress):
        self.count += 1
        return 0

    def end_episode(self, env_index):
        self.count = 0

    def report(self, progress):
        return {"count": self.count, "since": progress.step}


def test_an_exploration_reports_before_end_episode_is_called(rollout):
    """The report gets the progress at the episode's start, as the schedules of ε need it."""
    rolling = rollout()
    rolling.agent.exploration = Counting(2)
    since = 0
    for _ in range(3):
        (row,) = rolling.advance(NEVER).episodes
        assert (row["count"], row["since"]) == (row["length"], since)
        since = row["step"]


@pytest.mark.parametrize("action", [5, -1, 0.5])
def test_an_invalid_action_is_reported_as_the_explorations_mistake(rollout, action):
    rolling = rollout(env_id="Walk-v0")  # which does not check its actions
    rolling.agent.exploration = Counting(2)
    rolling.advance(Progress(3, 10, 1000))
    rolling.agent.exploration.select = lambda *_: action
    said = (
        rf"exploration=.*:Counting returned {action}; must be an integer from 0 to 1 \(episode 0, step 4 of the run\)"
    )
    with pytest.raises(TrainingError, match=said):
        rolling.advance(NEVER)
