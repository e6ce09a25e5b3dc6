"""Which environments are restored exactly in mid-episode."""

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
    """Plays random actions; returns everything that the environment returned."""
    found = []
    for _ in range(num_steps):
        obs, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        found += [np.array(obs).tobytes(), float(reward), terminated, truncated]
        if terminated or truncated:
            found.append(np.array(env.reset()[0]).tobytes())
    return found


@pytest.mark.parametrize("at", [0, 1, 40, 333])
@pytest.mark.parametrize("game", GAMES)
def test_a_minatar_game_continues_exactly(tmp_path, game, at):
    """The state goes through a file, so it is only arrays and plain values."""
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


def test_a_saved_state_is_a_copy():
    """Later steps of the environment do not change it."""
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


def test_an_unknown_wrapper_or_subclass_is_not_treated_as_exact():
    """It may have additional state."""
    with Gymnasium(implementation="gymnasium").make() as env:
        assert state.is_exact(env)
        assert not state.is_exact(gymnasium.wrappers.RecordEpisodeStatistics(env))

    class Mine(type(env.unwrapped)):
        pass

    assert not state.is_exact(Mine())


def documented():
    """Returns how each option of `env` is restored, read from the README's table."""
    text = (ROOT / "dqn_lab" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*) \| (exactly|by playing the episode again) \|$", text, re.MULTILINE)
    return {name: how for names, how in rows for name in re.findall(r"`([a-z_/]+)`", names)}


def test_the_readme_lists_how_every_environment_is_restored():
    assert set(documented()) == set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_environments_are_restored_as_the_readme_states(option):
    if option.split("/")[0] in NEEDED:
        pytest.importorskip(NEEDED[option.split("/")[0]])
    config = OmegaConf.to_container(OmegaConf.load(OPTIONS[option]))
    with registry.create("env", registry.validate("env", config)).make() as env:
        assert documented()[option] == ("exactly" if state.is_exact(env) else "by playing the episode again")
