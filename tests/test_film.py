"""A film shows the episode that is evaluated, in a format that browsers play."""

import av
import gymnasium
import numpy as np
import pytest
from PIL import Image

from dqn_lab import film, video
from dqn_lab.env.gymnasium import Gymnasium
from dqn_lab.evaluate import episode_seeds, evaluate, watch

CARTPOLE = Gymnasium(id="CartPole-v1").make
LINE = np.array([[0.1, 0.4, 1.0, 0.6], [-0.1, -0.4, -1.0, -0.6]], np.float32)


def balance(obs):
    return obs @ LINE.T


def undecided(obs):
    return np.zeros((len(obs), 2), np.float32)


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return stream.codec_context.name, stream.codec_context.pix_fmt, float(stream.average_rate), pictures


@pytest.mark.parametrize("policy", [balance, undecided])
def test_what_is_watched_is_the_episode_that_is_evaluated(policy):
    """From the same seed: the same return and length, ties broken alike."""
    episodes = list(evaluate(policy, CARTPOLE, np.random.default_rng(1), 20))
    for episode in episodes[:5]:
        moments = list(watch(policy, CARTPOLE(), episode.seed))
        assert len(moments) - 1 == episode.length
        assert sum(moment.reward for moment in moments) == episode.score
        assert [moment.action is None for moment in moments] == [False] * episode.length + [True]
        assert (moments[-1].terminated, moments[-1].truncated) == (episode.length < 500, episode.length == 500)


def test_fewer_episodes_are_the_first_of_more():
    assert episode_seeds(np.random.default_rng(5), 100)[:7] == episode_seeds(np.random.default_rng(5), 7)


def test_every_state_of_an_episode_is_drawn_as_the_environment_draws_it():
    env, twin = film.open_stage(CARTPOLE), CARTPOLE("rgb_array")
    shots = list(film.shoot(balance, env, 3))
    twin.reset(seed=3)
    assert np.array_equal(shots[0].picture, twin.render())
    for moment, shot in zip(watch(balance, CARTPOLE(), 3), shots, strict=True):
        assert np.array_equal(shot.picture, twin.render())
        if moment.action is not None:
            twin.step(moment.action)
    assert [shot.step for shot in shots] == list(range(len(shots)))
    assert shots[-1].score == len(shots) - 1
    assert shots[-1].ended


@pytest.mark.parametrize("height", [100, 101])
def test_an_mp4_is_read_back_with_its_pictures_size_and_codec(tmp_path, height):
    """H.264 in yuv420p, the pixel format that every browser plays; odd sides are made even."""
    pictures = [np.full((height, 150, 3), 10 * i, np.uint8) for i in range(20)]
    assert video.write_video(tmp_path / "a.mp4", pictures, 25) == 20
    codec, format_, fps, found = read(tmp_path / "a.mp4")
    assert (codec, format_, fps, len(found)) == ("h264", "yuv420p", 25.0, 20)
    assert found[0].shape == (height + height % 2, 150, 3)
    assert all(abs(int(each.mean()) - 10 * i) <= 3 for i, each in enumerate(found))


def test_a_gif_shows_at_most_25_pictures_a_second_and_the_last(tmp_path):
    pictures = np.zeros((50, 50, 60, 3), np.uint8)
    for i in range(50):
        pictures[i, :, i : i + 10] = 255  # a bar that moves
    assert video.write_video(tmp_path / "a.gif", pictures, 50, width=30) == 26
    with Image.open(tmp_path / "a.gif") as image:
        assert image.size == (30, 25)
        assert image.n_frames == 26
        assert image.info["duration"] == 40
        image.seek(25)
        last = np.asarray(image.convert("L"))[0]
        assert (last > 128).sum() == 5
        assert last[25:29].min() > 200


def test_a_film_that_fails_leaves_no_file(tmp_path):
    def breaking():
        yield np.zeros((40, 40, 3), np.uint8)
        raise RuntimeError("the environment fell over")

    for name in ("a.mp4", "a.gif"):
        with pytest.raises(RuntimeError):
            video.write_video(tmp_path / name, breaking(), 10)
    assert list(tmp_path.iterdir()) == []


def test_episodes_side_by_side_stand_still_when_they_have_ended():
    def episode(shade, length):
        for step in range(length + 1):
            picture = np.full((240, 300, 3), shade + 10 * step, np.uint8)
            yield film.Shot(picture, float(step), step, step == length)

    pictures = list(film.side_by_side([episode(0, 2), episode(1, 4)], ["short", "long"]))
    assert len(pictures) == 5
    assert {picture.shape for picture in pictures} == {pictures[0].shape}
    assert pictures[0].shape[1] == 2 * 300 + film.GAP
    assert [int(picture[-1, 0, 0]) for picture in pictures] == [0, 10, 20, 20, 20]
    assert [int(picture[-1, -1, 0]) for picture in pictures] == [1, 11, 21, 31, 41]


@pytest.mark.parametrize("drawn", [
    np.full((84, 80, 3), 128, np.uint8), np.full((84, 80, 4), 128), np.full((84, 80, 1), 128, np.uint8),
    np.full((84, 80), 128), np.full((84, 80, 3), 128.4), np.full((84, 80, 3), 128 / 255, np.float32),
])  # fmt: skip
def test_pictures_of_any_kind_become_bytes(drawn):
    env = gymnasium.make("CartPole-v1")
    env.render = lambda: drawn
    picture = film._picture(env)
    assert (picture.shape, picture.dtype, {*picture.flat}) == ((84, 80, 3), np.uint8, {128})


@pytest.mark.parametrize("drawn", [None, np.zeros(3), np.zeros((4, 5, 2)), np.array([["a"]])])
def test_what_is_no_picture_is_refused_in_one_line(drawn):
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array", disable_env_checker=True)
    env.unwrapped.render = lambda: drawn
    with pytest.raises(film.RenderError, match=r"^render returned .*; must be a picture, \[height, width, 3\]$"):
        film.open_stage(lambda mode=None: env)


def test_small_pictures_are_enlarged_and_grey_ones_have_colours():
    env = gymnasium.make("CartPole-v1")
    env.render = lambda: np.ones((84, 80), np.float32)
    picture = film._picture(env)
    assert (picture.shape, picture.max()) == ((84, 80, 3), 255)
    assert film.labelled(film.Shot(picture, 0.0, 0, False)).shape[1] == 240
