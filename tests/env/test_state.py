"""Which environments are saved exactly in mid-episode, and that they are."""

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from omegaconf import OmegaConf

from dqn_lab import registry, statefile
from dqn_lab.env import state
from dqn_lab.env.gymnasium import Gymnasium

ROOT = Path(__file__).parents[2]
OPTIONS = {str(path.relative_to(ROOT / "conf" / "env").with_suffix("")): path
           for path in sorted((ROOT / "conf" / "env").rglob("*.yaml"))}  # fmt: skip
GAMES = ["Asterix", "Breakout", "Freeway", "Seaquest", "SpaceInvaders"]
NEEDED = {"minatar": "minatar", "atari": "ale_py", "lunar_lander": "Box2D"}


def play(env, rng, num_steps):
    """Plays at random; returns everything that the environment said."""
    said = []
    for _ in range(num_steps):
        obs, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        said += [np.array(obs).tobytes(), float(reward), terminated, truncated]
        if terminated or truncated:
            said.append(np.array(env.reset()[0]).tobytes())
    return said


@pytest.mark.parametrize("at", [0, 1, 40, 333])
@pytest.mark.parametrize("game", GAMES)
def test_a_game_of_minatar_goes_on_exactly(tmp_path, game, at):
    """Through a file, so that it is known to be arrays and plain values only."""
    pytest.importorskip("minatar")
    with (
        Gymnasium(id=f"MinAtar/{game}-v1", max_episode_steps=300).make() as env,
        Gymnasium(id=f"MinAtar/{game}-v1", max_episode_steps=300).make() as other,
    ):
        env.reset(seed=at)
        other.reset(seed=1000)
        play(env, np.random.default_rng(at), at)
        statefile.save(tmp_path / "state", "test", state.save(env))
        found, _ = statefile.load(tmp_path / "state", "test")
        state.load(other, found)
        expected = play(env, np.random.default_rng(1), 600)
        assert play(other, np.random.default_rng(1), 600) == expected


def test_what_was_saved_is_a_copy():
    """Going on with the environment changes nothing in it."""
    pytest.importorskip("minatar")
    with (
        Gymnasium(id="MinAtar/SpaceInvaders-v1").make() as env,
        Gymnasium(id="MinAtar/SpaceInvaders-v1").make() as other,
    ):
        env.reset(seed=3)
        play(env, np.random.default_rng(0), 20)
        found = state.save(env)
        expected = play(env, np.random.default_rng(1), 100)
        for _ in range(2):
            state.load(other, found)
            assert play(other, np.random.default_rng(1), 100) == expected


def test_a_wrapper_or_a_subclass_that_nobody_knows_is_not_taken_for_exact():
    """It may have a state of its own."""
    with Gymnasium(implementation="gymnasium").make() as env:
        assert state.is_exact(env)
        assert not state.is_exact(gymnasium.wrappers.RecordEpisodeStatistics(env))

    class Mine(type(env.unwrapped)):
        pass

    assert not state.is_exact(Mine())


def documented():
    """Reads the table of the README: how each option of `env` is restored."""
    text = (ROOT / "dqn_lab" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*) \| (exactly|by playing the episode again) \|$", text, re.MULTILINE)
    return {name: how for names, how in rows for name in re.findall(r"`([a-z_/]+)`", names)}


def test_the_readme_says_of_every_environment_how_it_is_restored():
    assert set(documented()) == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_what_the_readme_says_is_what_the_code_does(option):
    if option.split("/")[0] in NEEDED:
        pytest.importorskip(NEEDED[option.split("/")[0]])
    config = OmegaConf.to_container(OmegaConf.load(OPTIONS[option]))
    with registry.create("env", registry.validate("env", config)).make() as env:
        assert documented()[option] == ("exactly" if state.is_exact(env) else "by playing the episode again")
