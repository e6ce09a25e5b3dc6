"""Replay of stacked frames, each stored once, against the plain ring of whole stacks."""

from __future__ import annotations

import copy
import itertools

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import FrameStackObservation, TimeLimit
from hypothesis import given
from hypothesis import strategies as st

import dqn_lab
from dqn_lab._stack import Stack
from dqn_lab.buffer import _frames
from dqn_lab.buffer._frames import FrameRing, make_ring
from dqn_lab.buffer._ring import Ring
from dqn_lab.buffer.uniform import Uniform
from dqn_lab.checkpoint import Checkpoints
from dqn_lab.env.stack import space_of

SIDE = 36  # of a frame, the smallest that `nature_cnn` takes


class Screen(gymnasium.Env):
    """Draws the number of steps taken so far; an episode ends after `length` steps."""

    observation_space, action_space = Box(0, 255, (SIDE, SIDE), np.uint8), Discrete(2)

    def __init__(self, length=50):
        self.length, self.time = length, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.start, self.time = int(self.np_random.integers(200)), 0
        return self.draw(), {}

    def step(self, action):
        self.time += 1
        return self.draw(), float(action), self.time == self.length, False, {}

    def draw(self):
        return np.full((SIDE, SIDE), (self.start + self.time) % 256, np.uint8)


def frame(number):
    return np.full((SIDE, SIDE), number, np.uint8)


@st.composite
def episodes(draw):
    """Draws episodes as numbers of their frames: few different ones, so that some look the same."""
    return draw(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=12), min_size=1, max_size=6))


def steps_of(numbers, size):
    """Yields the steps of an episode whose observations are its last `size` frames, the first of them repeated."""
    padded = [numbers[0]] * (size - 1) + numbers
    stacks = [np.stack([frame(number) for number in padded[i : i + size]]) for i in range(len(numbers))]
    for i, (obs, next_obs) in enumerate(itertools.pairwise(stacks)):
        yield obs, i % 3, float(i), next_obs, i == len(stacks) - 2, False


def buffers(size, capacity, n_step, ring=FrameRing):
    """Returns buffers of the same steps: one stores whole stacks, the other each frame once."""
    space = Box(0, 255, (size, SIDE, SIDE), np.uint8)
    plain, once = (Uniform(space, 0.9, 1, capacity=capacity, n_step=n_step) for _ in range(2))
    once.ring = ring(space, capacity)
    return plain, once


def assert_equal(plain, once):
    indices = np.arange(plain.size)
    assert once.size == plain.size
    for one, other in zip(plain.gather(indices), once.gather(indices), strict=True):
        np.testing.assert_array_equal(other, one)
        assert other.dtype == one.dtype


@given(size=st.integers(1, 4), capacity=st.integers(1, 12), n_step=st.integers(1, 4), told=episodes(),
       recent=st.integers(8, 20), saved=st.integers(0, 20))  # fmt: skip
def test_the_stored_transitions_are_those_of_whole_stacks(size, capacity, n_step, told, recent, saved):
    """With few recent frames, so that the same content is stored again, and frames run out of room."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_frames, "RECENT", recent)
        plain, once = buffers(size, capacity, min(n_step, capacity))
        for number, step in enumerate(step for numbers in told for step in steps_of(numbers, size)):
            plain.append(0, *step)
            once.append(0, *step)
            if number == saved:
                state, again = copy.deepcopy(once.state_dict()), buffers(size, capacity, min(n_step, capacity))[1]
                again.load_state_dict(state)
                assert (again.ring.recent, again.ring.keys) == (once.ring.recent, once.ring.keys)
                once = again
            assert_equal(plain.ring, once.ring)


def stacks(rng, count, share):
    """Yields observations and the next ones; unless they share frames, every observation is new."""
    obs = rng.integers(0, 256, (4, SIDE, SIDE), np.uint8)
    for _ in range(count):
        new = rng.integers(0, 256, (4, SIDE, SIDE), np.uint8)
        next_obs = np.stack([*obs[1:], new[0]]) if share else new
        yield obs, next_obs
        obs = next_obs


@pytest.mark.parametrize("again", [None, 250])
@pytest.mark.parametrize(("first", "then"), [(True, True), (False, False), (True, False)])
def test_a_frame_stays_as_long_as_a_transition_refers_to_it(monkeypatch, first, then, again):
    """Frames are overwritten all the time; the state is loaded into a buffer that has been used."""
    monkeypatch.setattr(_frames, "RECENT", 12)
    rng, space = np.random.default_rng(0), Box(0, 255, (4, SIDE, SIDE), np.uint8)
    plain, once, used = Ring(space, 40), FrameRing(space, 40), FrameRing(space, 40)
    room = len(once.frames)
    for obs, next_obs in stacks(rng, 90, share=True):
        used.append(obs, 1, 2.0, next_obs, 3.0)
    for number, (obs, next_obs) in enumerate(itertools.chain(stacks(rng, 250, first), stacks(rng, 250, then))):
        if number == again:
            used.load_state_dict(copy.deepcopy(once.state_dict()))
            assert (used.recent, used.keys) == (once.recent, once.keys)
            assert (used.num_frames, len(used.frames)) == (once.num_frames, len(once.frames))
            once = used
        for ring in (plain, once):
            ring.append(obs, 0, number, next_obs, 1.0)
        assert_equal(plain, once)
    assert (len(once.frames) == room) is (first and then)


def test_frames_of_old_content_are_found_again(monkeypatch):
    """A transition may refer to frames that are almost as old as the search goes."""
    monkeypatch.setattr(_frames, "RECENT", 20)
    rng, space = np.random.default_rng(0), Box(0, 255, (2, SIDE, SIDE), np.uint8)
    plain, once = Ring(space, 10), FrameRing(space, 10)
    seen = [*rng.integers(0, 256, (30, SIDE, SIDE), np.uint8)]
    for number in range(600):
        seen.append(rng.integers(0, 256, (SIDE, SIDE), np.uint8))
        obs, next_obs = (np.stack([seen[-int(i)] for i in rng.integers(1, 22, 2)]) for _ in range(2))
        least = once.least
        for ring in (plain, once):
            ring.append(obs, 0, number, next_obs, 1.0)
        assert once.least >= least  # a checkpoint holds no rows before it
        assert_equal(plain, once)


def test_frames_of_another_type_are_found_again_too():
    space = Box(0, 1, (2, SIDE, SIDE), np.float32)
    once, again = FrameRing(space, 10), FrameRing(space, 10)
    obs = np.random.default_rng(0).random((2, SIDE, SIDE))
    once.append(obs, 0, 0.0, obs, 1.0)
    again.load_state_dict(copy.deepcopy(once.state_dict()))
    again.append(obs, 0, 0.0, obs, 1.0)
    assert again.num_frames == 2


def test_memory_that_is_too_small_is_refused_at_the_start_and_when_room_is_made(monkeypatch):
    space = Box(0, 255, (4, SIDE, SIDE), np.uint8)
    needed = FrameRing(space, 300).nbytes
    assert needed > 300 * SIDE**2
    monkeypatch.setattr("dqn_lab._memory.available", lambda: int(0.9 * needed))
    with pytest.raises(ValueError, match=r"^capacity=300: needs 0\.0 GB, this machine has"):
        FrameRing(space, 300)
    monkeypatch.setattr("dqn_lab._memory.available", lambda: int(1.1 * needed))
    once = FrameRing(space, 300)

    def fill():
        for obs, next_obs in stacks(np.random.default_rng(0), 300, share=False):
            once.append(obs, 0, 0.0, next_obs, 1.0)

    with pytest.raises(ValueError, match=r"^buffer\.capacity=300: short episodes take more memory: needs"):
        fill()


def test_checkpoints_hold_every_frame_that_is_needed_even_if_room_was_made_between_them(tmp_path):
    """A checkpoint saves only the rows written since the one before."""
    rng, space = np.random.default_rng(0), Box(0, 255, (2, SIDE, SIDE), np.uint8)
    plain, once, again = Ring(space, 300), FrameRing(space, 300), FrameRing(space, 300)
    saved, rooms = Checkpoints(tmp_path, keep=2), []
    next_obs = rng.integers(0, 256, (2, SIDE, SIDE), np.uint8)
    for number in range(1400):
        obs, new = next_obs, rng.integers(0, 256, (2, 2, SIDE, SIDE), np.uint8)
        shares = number < 900  # until the first frames are overwritten
        next_obs = np.stack([obs[1], new[0, 0]]) if shares else new[0]
        obs = obs if shares else new[1]
        for ring in (plain, once):
            ring.append(obs, 0, number, next_obs, 1.0)
        if number % 100 == 50:
            rooms.append(len(once.frames))
            saved.save(number, {"ring": once.state_dict()})
            Checkpoints(tmp_path, keep=2).restore(lambda state: again.load_state_dict(state["ring"]))
            assert_equal(plain, again)
    assert rooms[0] == rooms[8] < rooms[-1]


@pytest.mark.parametrize("n_step", [1, 3])
def test_a_step_adds_one_frame(n_step):
    _, once = buffers(4, 1000, n_step)
    for obs, *rest in steps_of(list(range(200)), 4):
        once.append(0, obs, *rest)
    assert once.ring.num_frames == 200
    assert len(once) == 199
    assert once.nbytes < 1.5 * 1000 * SIDE**2
    assert Ring(Box(0, 255, (4, SIDE, SIDE), np.uint8), 1000).nbytes > 8 * 1000 * SIDE**2


def test_a_batch_holds_copies():
    _, once = buffers(2, 10, 1)
    for step in steps_of([1, 2, 3, 4], 2):
        once.append(0, *step)
    batch = once.sample(np.array([0.0, 0.9, 0.9]))
    before = batch.transition.obs.copy()
    for step in steps_of([9] * 20, 2):
        once.append(0, *step)
    np.testing.assert_array_equal(batch.transition.obs, before)
    assert batch.indices.tolist() == [0, 2, 2]


def test_only_stacks_of_large_frames_are_stored_this_way():
    def kind(env):
        return type(make_ring(space_of(env), 100))

    assert kind(FrameStackObservation(Screen(), 4)) is FrameRing
    assert kind(TimeLimit(FrameStackObservation(Screen(), 4), 10)) is FrameRing
    assert kind(gymnasium.wrappers.ClipReward(FrameStackObservation(Screen(), 4), -1, 1)) is FrameRing
    assert kind(Screen()) is Ring
    assert kind(gymnasium.make("CartPole-v1")) is Ring
    assert kind(FrameStackObservation(gymnasium.make("CartPole-v1"), 4)) is Ring
    stacked = FrameStackObservation(Screen(), 4)
    assert kind(gymnasium.wrappers.FlattenObservation(stacked)) is Ring
    assert (
        kind(gymnasium.wrappers.TransformObservation(stacked, lambda obs: obs + 1, stacked.observation_space)) is Ring
    )


def test_a_space_of_stacks_is_still_the_wrappers():
    env = FrameStackObservation(Screen(), 4)
    assert isinstance(space_of(env), Stack)
    assert space_of(env) == env.observation_space


@pytest.fixture
def screen(monkeypatch):
    """Registers an environment of two stacked frames, and returns its id."""
    name = "StackedScreen-v0"
    gymnasium.register(name, lambda render_mode=None: FrameStackObservation(Screen(), 2))
    yield name
    gymnasium.registry.pop(name)


@pytest.mark.filterwarnings("ignore:env.id=:UserWarning")
def test_a_run_does_not_depend_on_how_frames_are_stored(screen, tmp_path, monkeypatch):
    def train(directory, steps):
        return dqn_lab.train(
            f"env.id={screen}", "network=nature_cnn", "buffer=prioritized", "buffer.n_step=3",
            "buffer.capacity=60", "train.batch_size=4", "train.interval=16", "logger=csv", "display=none",
            "evaluation.interval=null", "evaluation.final_num_episodes=1",
            directory=tmp_path / directory, steps=steps, episodes=None,
        )  # fmt: skip

    def replay(run):
        return sum(path.stat().st_size for path in (run.directory / "checkpoint").glob("replay-*"))

    once, part = train("once", 160), train("part", 90)
    dqn_lab.resume(part, steps=160)
    monkeypatch.setattr(_frames, "LARGE", 10**9)
    whole = train("whole", 160)
    for table in ("episodes.csv", "evaluations.csv"):
        written = {(run.directory / table).read_bytes() for run in (once, part, whole)}
        assert len(written) == 1
    assert len(whole.episodes) == 3
    assert whole.episodes["updates"].iloc[-1] >= 5
    assert replay(once) > 0
