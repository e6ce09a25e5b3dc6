"""The README's commands compose, and its example files are the ones the tests run."""

import re
import shlex
from pathlib import Path

import pytest

from dqn_lab.cli import COMMANDS, _hydra
from dqn_lab.cli.train import check_jobs
from dqn_lab.registry import GROUPS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
TRAIN = [
    line.partition(" #")[0].strip()
    for line in LINES
    if line.startswith("python -m dqn_lab train") and "--config-dir" not in line  # tests/extension runs those whole
]


@pytest.mark.parametrize("line", TRAIN)
def test_every_train_command_composes_and_builds(line):
    args = _hydra.parse_flags(shlex.split(line)[4:])
    with _hydra.composer():
        base = _hydra.compose_config(_hydra.about_hydra(args.overrides))
        jobs = _hydra.expand(args.overrides, base) or []
        check_jobs([*jobs[:1], *jobs[1:][-1:]], Path("nowhere"))  # those between are like them


def test_there_are_commands_to_check():
    assert len(TRAIN) >= 8


def test_every_command_named_exists():
    named = set(re.findall(r"python -m dqn_lab (\w+)", README))
    assert named == set(COMMANDS)


def test_the_example_component_is_the_one_that_is_tested():
    lab = ROOT / "tests" / "extension" / "my_lab"
    for path in (lab / "my_parts.py", lab / "network" / "residual.yaml", lab / "buffer" / "recent.yaml"):
        assert path.read_text(encoding="utf-8").strip() in README, path.name


def test_every_group_stands_in_the_readme():
    assert all(f"| `{group}` |" in README for group in GROUPS)


def test_every_file_that_is_linked_exists():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert all((ROOT / link).exists() for link in links)
