"""Mistakes in custom components: each is named in one line, before a run or in its error."""

import os
import subprocess
import sys

import pytest

from dqn_lab.types import ConfigError

QUICK = ("steps=400", "episodes=null", "evaluation.final_num_episodes=2", "logger=csv", "display=none")


def dqn_lab(*words, cwd):
    command = [sys.executable, "-m", "dqn_lab", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=dict(os.environ), capture_output=True, text=True)


BUFFERS = """
from dqn_lab.buffer.prioritized import Prioritized
from dqn_lab.buffer.uniform import Uniform


class Floor(Prioritized):
    def __init__(self, observation_space, discount, num_envs, *, floor: float = 0.1):
        super().__init__(observation_space, discount, num_envs)
        self.floor = floor


class Even(Uniform):
    def __init__(self, observation_space, discount, num_envs, *, floor: float = 0.1):
        super().__init__(observation_space, discount, num_envs)
"""


@pytest.fixture
def lab(configure, tmp_path, monkeypatch):
    """Returns a function that writes a module `lab_parts` and returns a configuration with components of it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lab_parts", raising=False)

    def choose(source, *overrides, **names):
        (tmp_path / "lab_parts.py").write_text(source)
        config = configure("steps=300", "episodes=null", *overrides)
        return {**config, **{group: {"name": f"lab_parts:{name}"} for group, name in names.items()}}

    yield choose
    sys.modules.pop("lab_parts", None)


@pytest.mark.parametrize("name", ["Floor", "Even"])
def test_a_derived_buffer_works_without_the_keys_of_its_base(lab, name):
    """Its base's `check` and `explain` find their defaults."""
    from dqn_lab.build import validate
    from dqn_lab.explain import explain
    from dqn_lab.trial import rehearse

    config = validate(lab(BUFFERS, buffer=name))
    assert config["buffer"] == {"name": f"lab_parts:{name}", "floor": 0.1}
    assert rehearse(config) == []
    assert any("among the last 50,000 transitions" in text for _, text in explain(config, {}).steps)
    with pytest.raises(ConfigError, match=r"batch_size=60000: must be at most buffer.capacity=50000$"):
        validate({**config, "train": {**config["train"], "batch_size": 60_000}})


def test_a_key_of_the_base_that_a_derived_constructor_does_not_accept_is_named(tmp_path):
    """In the yaml and on the command line."""
    (tmp_path / "my_parts.py").write_text(BUFFERS)
    (tmp_path / "buffer").mkdir()
    said = "a parameter of Prioritized, but not of my_parts:Floor; add `**shared` to its constructor and to its call of"
    for yaml, typed in (("capacity: 10_000\n", []), ("", ["buffer.capacity=10000"])):
        (tmp_path / "buffer" / "mine.yaml").write_text(f"name: my_parts:Floor\n{yaml}")
        done = dqn_lab("train", "--config-dir", ".", "buffer=mine", *typed, *QUICK, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: buffer.capacity=10000: {said}")
