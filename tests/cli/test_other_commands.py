"""`evaluate`, `components`, help, version and completion."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dqn_lab.analysis.report.metrics import METRICS
from dqn_lab.cli import COMMANDS, _completion, _index


def test_evaluate_prints_the_mean_and_writes_nothing(cli, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    outcome = cli("evaluate", finished, "--episodes", "5")
    assert outcome.code == 0
    assert outcome.out.startswith("CartPole-v1, final policy (step ")
    assert re.search(r"greedy: \S+ ± \S+ \(standard deviation over 5 episodes\), from \S+ to \S+\n$", outcome.out)
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


def test_evaluate_repeats_its_result_and_changes_it_with_the_seed(cli, finished):
    first, again, other = (
        cli("evaluate", finished, "--episodes", "8", *words).out for words in ((), (), ("--seed", "99"))
    )
    assert first == again
    assert first != other


def test_evaluate_writes_a_row_per_episode_if_asked(cli, finished, tmp_path):
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


def test_a_custom_logger_is_imported_only_when_trusted_and_only_if_it_is_used(cli, finished, tmp_path):
    """To evaluate and to verify needs no logger; to resume does, unless another one is chosen."""
    (tmp_path / "spying.py").write_text("import pathlib; pathlib.Path('hacked').touch()\nclass Log: pass\n")
    record = json.loads((finished / "run.json").read_text())
    record["config"]["logger"]["mine"] = {"name": "spying:Log"}
    record["import_path"] = [str(tmp_path)]
    (finished / "run.json").write_text(json.dumps(record))
    outcome = cli("resume", finished, "episodes=90")
    assert outcome.problems == ["error: this run imports spying:Log; if you trust that code, add --trust"]
    shutil.copytree(finished, tmp_path / "copy")
    for words in (("evaluate", finished), ("verify", finished), ("resume", finished, "episodes=90", "logger=[]")):
        assert cli(*words).code == 0
    assert not (tmp_path / "hacked").exists()
    cli("resume", "copy", "episodes=90", "--trust")
    assert (tmp_path / "hacked").exists()


def test_a_policy_plays_without_the_memory_that_its_training_needed(cli, finished):
    record = json.loads((finished / "run.json").read_text())
    record["config"]["buffer"]["capacity"] = 10**12
    (finished / "run.json").write_text(json.dumps(record))
    assert cli("evaluate", finished).code == 0


def test_components_lists_every_group_and_marks_the_defaults(cli):
    outcome = cli("components")
    assert outcome.code == 0
    for word in ("network", "mlp24*", "buffer", "uniform*", "keras_adam", "polyak", "tensorboard", "csv*", "wandb*"):
        assert word in outcome.out.split()


def test_components_explains_a_groups_parameters(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    out = cli("components", "optimizer").out
    assert "optimizer.lr: number > 0 or {start, end, duration, unit}; default 0.001\n      learning rate" in out
    assert "optimizer.momentum: number ≥ 0 and < 1; default 0.0" in out
    assert "optimizer.betas: [number ≥ 0 and < 1, number ≥ 0 and < 1]; default [0.9, 0.999]" in out
    shown = cli("components", "network").out + cli("components", "exploration").out + cli("components", "env").out
    assert "network.hidden: list of integers > 0; " in shown
    assert "network.low: list of (numbers or null) or null; " in shown
    assert "exploration.points: list of [integer ≥ 0, number ≥ 0 and ≤ 1]; " in shown
    assert "env.return_bounds: [number, number] or null; " in shown
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


def test_help_of_a_command_may_be_asked_for_in_either_order(cli):
    assert cli("help", "evaluate").out == cli("evaluate", "--help").out
    assert "commands:" in cli("help", "nonsense").out


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
    ("dqn-lab ", ["train", "sweep", "components", "--version"]), ("dqn-lab tr", ["train"]),
    ("dqn-lab train network=mlp2", ["network=mlp24", "network=mlp256"]),
    ("dqn-lab train network=mlp24,mlp6", ["network=mlp24,mlp64"]),
    ("dqn-lab train env=minatar/b", ["env=minatar/breakout"]),
    ("dqn-lab train target.int", ["target.interval="]),
    ("dqn-lab train network.activation=t", ["network.activation=tanh"]),
    ("dqn-lab train network.dueling=", ["network.dueling=true", "network.dueling=false"]),
    ("dqn-lab train display=n", ["display=none", "display=notebook"]),
    ("dqn-lab train evaluation.unit=e", ["evaluation.unit=episodes"]),
    ("dqn-lab train target=polyak target.t", ["target.tau="]),
    ("dqn-lab train experiment=c51 value.v_m", ["value.v_min=", "value.v_max="]),
    ("dqn-lab train evaluation.num", ["evaluation.num_episodes="]), ("dqn-lab train --cf", ["--cfg"]),
    ("dqn-lab components ", ["env", "network", "experiment", "sweep"]),
    ("dqn-lab sweep target_i", ["target_interval"]), ("dqn-lab sweep target_interval --q", ["--quick"]),
    ("dqn-lab sweep target_interval network=mlp6", ["network=mlp64"]),
    ("dqn-lab evaluate ru", ["runs/"]), ("dqn-lab report runs/", ["runs/one/"]),
    ("dqn-lab report runs --metric ", list(METRICS)), ("dqn-lab play runs/none --policy b", ["best"]),
    ("dqn-lab play runs/one --policy ", ["step_90"]), ("dqn-lab explain exp", ["experiment="]),
    ("dqn-lab explain experiment=rain", ["experiment=rainbow"]), ("dqn-lab explain ru", ["runs/"]),
])  # fmt: skip
def test_completion_answers_a_shells_query(cli, monkeypatch, tmp_path, line, expected):
    (tmp_path / "runs" / "one" / "checkpoint").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "checkpoint" / "step_90.safetensors").touch()
    (tmp_path / "runs" / "one" / "checkpoint" / "000000000090.safetensors").touch()
    monkeypatch.setenv("COMP_LINE", line)
    outcome = cli("-sc", "query=bash")
    assert outcome.code == 0
    answers = outcome.out.splitlines()
    assert set(expected) <= set(answers)
    assert all(answer.startswith(line.rpartition(" ")[2]) for answer in answers)
    assert "000000000090" not in answers


def test_completion_knows_a_custom_directory(cli, monkeypatch, tmp_path):
    (tmp_path / "mine" / "network").mkdir(parents=True)
    (tmp_path / "mine" / "network" / "mlp_mine.yaml").write_text("name: my_nets:Net\nwidth: 3\n")
    monkeypatch.setenv("COMP_LINE", "dqn-lab train --config-dir mine network=mlp_mine network.w")
    assert cli("-sc", "query=bash").out == "network.width=\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_installs_itself(cli, shell):
    assert "dqn-lab -sc query=" in cli("-sc", f"install={shell}").out


def test_bash_completes(tmp_path):
    """The installed function answers in a real shell."""
    program = Path(sys.executable).with_name("dqn-lab")
    if shutil.which("bash") is None or not program.exists():
        pytest.skip("needs bash and the console script")
    script = (
        f'PATH="{program.parent}:$PATH"; eval "$(dqn-lab -sc install=bash)"; COMP_LINE="dqn-lab sweep target_int"; '
        'COMP_POINT=${#COMP_LINE}; _dqn_lab dqn-lab target_int sweep; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "target_interval\n", done.stderr


@pytest.mark.parametrize("words", [
    ("train", "--help"), ("-sc", "query=bash"), ("sweep",), ("components", "experiment"),
])  # fmt: skip
def test_help_and_completion_import_neither_torch_nor_hydra(words):
    _index.read()  # the first command after a change of the code builds the index
    code = (
        f"import sys; from dqn_lab.cli import main\ntry: main({list(words)})\nexcept SystemExit: pass\n"
        "assert not {'torch', 'hydra', 'gymnasium', 'pandas'} & set(sys.modules)"
    )
    environment = {**os.environ, "COMP_LINE": "dqn-lab train target.int"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_components_lists_recipes_and_questions(cli):
    assert re.search(r"^rainbow +Rainbow \(Hessel et al. 2018\)", cli("components", "experiment").out, re.MULTILINE)
    assert "target_interval" in cli("components", "sweep").out


def test_components_prints_paper_class_and_contract(cli):
    out = " ".join(cli("components", "buffer").out.split())
    assert "https://arxiv.org/abs/1511.05952" in out
    assert "class: dqn_lab.buffer.prioritized:Prioritized" in out
    assert "__init__(observation_space, discount, num_envs, *, PARAMETER: TYPE = DEFAULT, …)" in out
    assert "append(env_index: int, obs: Any, action: int, reward: float, next_obs: Any, terminated: bool," in out
    assert "forward(obs: Tensor) -> Tensor" in cli("components", "network").out


def test_help_shows_the_keys_of_what_is_chosen(cli):
    out = cli("train", "target=polyak", "--help").out
    assert "  target.tau=0.005\n" in out
    assert "target.unit=updates" in out
    assert "  evaluation.num_episodes=10\n" in out


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])
def test_completion_knows_the_flags_of_every_command(cli, command):
    assert sorted({*re.findall(r"--[a-z-]+", cli(command, "--help").out)}) == [*_completion.FLAGS[command]]


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_a_command_works_with_closed_streams(tmp_path, closed):
    words = "train steps=100 episodes=null logger=csv display=none evaluation.final_num_episodes=1 hydra.run.dir=run"

    def close():
        for number in closed:
            os.close(number)

    done = subprocess.run(
        [sys.executable, "-m", "dqn_lab", *words.split()], cwd=tmp_path, preexec_fn=close, check=False
    )
    assert done.returncode == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "completed"


def test_letters_that_a_locale_cannot_read_are_refused(tmp_path):
    (tmp_path / "한글").mkdir()
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "dqn_lab", "report", "한글"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **locale}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: .*: has letters that this locale cannot read; set PYTHONUTF8=1\n", done.stderr)
