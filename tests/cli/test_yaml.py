"""Malformed yaml files, on which Hydra would fail or hang, are refused in one line."""

import pytest

from dqn_lab.cli._yaml import read_yaml
from dqn_lab.errors import ConfigError

BOMB = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x]", *(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 9)
)])  # fmt: skip
BAD = {
    "tabs": ("name: mlp\n\thidden: [3]\n", "line 2: "),
    "an open bracket": ("name: mlp\nhidden: [3, 4\n", "line 3: "),
    "a key twice": ("name: mlp\nhidden: [3]\nhidden: [4]\n", "line 1: the key hidden occurs twice"),
    "a python tag": ("name: !!python/object/apply:os.system ['true']\n", "line 1: the tag !!python/object/apply:os."),
    "its own tag": ("name: !net mlp\n", "line 1: the tag !net is not allowed"),
    "a circle": ("name: &a [*a]\n", "line 1: an anchor that contains itself"),
    "a bomb": (BOMB, "more than 100,000 values, counting what aliases repeat"),
    "deep nesting": (f"name: {'[' * 5_000}{']' * 5_000}\n", "nest"),
    "two documents": ("name: mlp\n---\nname: mlp\n", ""),
    "another encoding": (b"name: ml\xff\n", "not UTF-8, at byte 8"),
    "a NUL": (b"name: ml\0\n", ""),
    "a list": ("- mlp\n", "holds no keys"),
    "nothing": ("", "holds no keys"),
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_named_with_its_line(tmp_path, what):
    content, message = BAD[what]
    write(tmp_path / "bad.yaml", content)
    with pytest.raises(ConfigError) as error:
        read_yaml(tmp_path / "bad.yaml")
    (line,) = error.value.problems
    assert line.startswith(f"{tmp_path / 'bad.yaml'}: ")
    assert message in line


@pytest.mark.parametrize("what", BAD)
def test_a_bad_option_is_reported_in_one_line(cli, tmp_path, what):
    write(tmp_path / "mine" / "network" / "bad.yaml", BAD[what][0])
    outcome = cli("train", "--config-dir", "mine", "network=bad", "episodes=1")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert "bad" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine"]


@pytest.mark.parametrize("what", BAD)
def test_a_bad_question_is_reported_in_one_line(cli, tmp_path, what):
    write(tmp_path / "bad.yaml", BAD[what][0])
    outcome = cli("sweep", "bad.yaml")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: bad.yaml: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml"]


def test_recipes_that_include_each_other_are_reported_in_one_line(cli, tmp_path):
    for one, other in (("one", "two"), ("two", "one")):
        write(tmp_path / "mine" / "experiment" / f"{one}.yaml", f"# @package _global_\ndefaults: [{other}]\n")
    outcome = cli("train", "--config-dir", "mine", "experiment=one")
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: experiment=one: ")


def test_components_leaves_out_a_bad_option(cli, tmp_path):
    write(tmp_path / "mine" / "target" / "bad.yaml", "name: [")
    outcome = cli("components", "target", "--config-dir", "mine")
    assert outcome.code == 0
    assert outcome.err.startswith(f"warning: {tmp_path / 'mine' / 'target' / 'bad.yaml'}: not valid yaml: line ")
    assert "periodic" in outcome.out


def test_a_logger_without_its_package_line_is_explained(cli, tmp_path):
    write(tmp_path / "mine" / "logger" / "mine.yaml", "name: my_logger:Mine\n")
    outcome = cli("train", "--config-dir", "mine", "logger=mine")
    assert outcome.problems == [
        "error: logger.name=my_logger:Mine: its yaml begins with the line `# @package logger.NAME`, "
        "NAME being the file's"
    ]
