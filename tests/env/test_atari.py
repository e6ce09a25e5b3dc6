from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box

from dqn_lab.env.atari import Atari
from dqn_lab.types import ConfigError

pytest.importorskip("ale_py")
pytest.importorskip("cv2")


def test_four_grey_frames_are_observed_together():
    with Atari().make() as env:
        assert env.observation_space == Box(0, 255, (4, 84, 84), np.uint8)
        obs, _ = env.reset(seed=0)
        assert (obs.shape, obs.dtype) == ((4, 84, 84), np.uint8)
        assert all(np.array_equal(frame, obs[0]) for frame in obs)
        following, *_ = env.step(1)
        assert np.array_equal(following[:3], obs[1:])


def test_screen_size_and_frame_stack_can_be_set():
    with Atari(frame_stack=2, screen_size=42).make() as env:
        assert env.observation_space.shape == (2, 42, 42)


@pytest.mark.parametrize("frame_skip", [2, 4])
def test_an_action_is_repeated_for_frame_skip_frames(frame_skip):
    with Atari(frame_skip=frame_skip).make() as env:
        env.reset(seed=0)
        before = env.unwrapped.ale.getEpisodeFrameNumber()
        for _ in range(5):
            env.step(0)
        assert env.unwrapped.ale.getEpisodeFrameNumber() - before == 5 * frame_skip


@pytest.mark.parametrize("truncation_terminates", [False, True])
def test_an_episode_is_truncated_after_max_frames(truncation_terminates):
    """40 frames are ten actions; Pong takes longer."""
    with Atari(id="ALE/Pong-v5", max_frames=40, truncation_terminates=truncation_terminates).make() as env:
        env.reset(seed=0)
        ends = [env.step(0)[2:4] for _ in range(10)]
    assert ends == [(False, False)] * 9 + [(truncation_terminates, True)]


def test_a_lost_life_does_not_end_an_episode():
    with Atari(repeat_action_probability=0.0).make() as env:
        _, info = env.reset(seed=0)
        lives, ended = info["lives"], False
        while info["lives"] == lives and not ended:
            _, _, terminated, truncated, info = env.step(1)  # launches the ball, and lets it pass
            ended = terminated or truncated
    assert info["lives"] == lives - 1
    assert not ended


def test_noop_starts_have_random_lengths():
    with Atari(noop_max=30, repeat_action_probability=0.0).make() as env:
        started = set()
        for seed in range(8):
            env.reset(seed=seed)
            started.add(env.unwrapped.ale.getEpisodeFrameNumber())
    assert len(started) > 3


@pytest.mark.parametrize(("id", "message"), [
    ("CartPole-v1", r"^env\.id=CartPole-v1: must be a game of the Arcade Learning Environment"),
    ("ALE/Breakot-v5", r"^env\.id=ALE/Breakot-v5: no such Gymnasium environment; did you mean ALE/Breakout-v5\?"),
])  # fmt: skip
def test_an_environment_that_is_not_an_atari_game_is_refused(make, configure, id, message):
    from dqn_lab.build import build

    with pytest.raises(ConfigError, match=message):
        build(configure("env=atari/breakout", f"env.id={id}"))
