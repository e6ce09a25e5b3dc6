"""`evaluate`, `components`, help, version and completion."""

import csv
import json
import subprocess
import sys

import pytest


def test_evaluate_prints_the_mean_and_writes_nothing(cli, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    outcome = cli("evaluate", finished, "--episodes", "5")
    assert outcome.code == 0
    assert outcome.out.startswith("CartPole-v1, final policy (step ")
    assert "greedy, 5 episodes: " in outcome.out
    assert " ± " in outcome.out
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


def test_evaluate_gives_the_same_answer_again_and_another_from_other_seeds(cli, finished):
    first, again, other = (
        cli("evaluate", finished, "--episodes", "8", *words).out for words in ((), (), ("--seed", "99"))
    )
    assert first == again
    assert first != other


def test_evaluate_writes_a_row_per_episode_where_asked(cli, finished, tmp_path):
    cli("evaluate", finished, "--episodes", "4", "--policy", "best", "--csv", tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["episode"] for row in rows] == ["0", "1", "2", "3"]
    assert len({row["seed"] for row in rows}) == 4
    assert all(float(row["return"]) == int(row["length"]) for row in rows)


def test_evaluate_imports_outside_code_only_when_trusted(cli, finished, tmp_path):
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path('hacked').touch()\nclass Net: pass\n")
    record = json.loads((finished / "run.json").read_text())
    record["config"]["network"] = {"name": "evil:Net"}
    record["import_path"] = [str(tmp_path)]
    (finished / "run.json").write_text(json.dumps(record))
    outcome = cli("evaluate", finished)
    assert outcome.code == 2
    assert outcome.err == "error: this run imports evil:Net; if you trust that code, add --trust\n"
    assert not (tmp_path / "hacked").exists()
    cli("evaluate", finished, "--trust")
    assert (tmp_path / "hacked").exists()


def test_components_lists_every_group(cli):
    outcome = cli("components")
    assert outcome.code == 0
    for word in ("network", "mlp24", "buffer", "uniform", "keras_adam", "polyak", "tensorboard"):
        assert word in outcome.out


def test_components_explains_a_groups_parameters(cli):
    out = cli("components", "optimizer").out
    assert "optimizer.lr: number > 0 or {start, end, duration, unit}; default 0.001\n      learning rate" in out
    assert "optimizer.momentum: number ≥ 0, < 1; default 0.0" in out
    assert "https://arxiv.org/abs/1412.6980" in out
    assert "constraints: train.batch_size" in cli("components", "buffer").out


@pytest.mark.parametrize("command", [(), ("train",), ("evaluate",), ("components",)])
def test_every_command_has_help(cli, command):
    outcome = cli(*command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith("usage: python -m dqn_lab")
    assert outcome.err == ""


def test_the_version_is_printed(cli):
    assert cli("--version").out.startswith("dqn_lab 0.")


def test_no_command_shows_the_help_and_fails(cli):
    outcome = cli()
    assert outcome.code == 2
    assert "usage:" in outcome.err


def test_help_never_imports_torch_or_hydra():
    code = (
        "import sys; from dqn_lab.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'hydra', 'numpy', 'gymnasium'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize(("line", "expected"), [
    ("dqn-lab ", "train sweep resume verify evaluate play record inspect explain report components"),
    ("dqn-lab train network=mlp2", "network=mlp24 network=mlp256"),
    ("dqn-lab train target.int", "target.interval="), ("dqn-lab components ", "env network value"),
])  # fmt: skip
def test_completion_answers_a_shells_query(cli, monkeypatch, line, expected):
    monkeypatch.setenv("COMP_LINE", line)
    outcome = cli("-sc", "query=bash")
    assert outcome.code == 0
    assert expected in outcome.out


def test_completion_installs_itself(cli):
    assert (
        cli("-sc", "install=bash")
        .out.rstrip()
        .endswith("complete -o nospace -o default -F hydra_bash_completion dqn-lab")
    )
