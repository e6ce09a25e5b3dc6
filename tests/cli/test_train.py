"""`train` from the command line: the directory it writes, multiruns, failures, interruption."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas
import pytest
import yaml

from dqn_lab import interrupt
from dqn_lab.analysis import load_configs
from dqn_lab.analysis.report.material import gather
from dqn_lab.analysis.report.question import Options
from dqn_lab.cli import _continue, _index
from dqn_lab.cli._runs import make_directory
from dqn_lab.cli.sweep import jobs, launch


def only_run(root):
    (record,) = root.rglob("run.json")
    return record.parent


def test_a_run_writes_its_directory_under_outputs(cli, tmp_path):
    outcome = cli("train", "episodes=6", "evaluation.final_num_episodes=2", "network=mlp24", "target.interval=10")
    assert outcome.code == 0
    directory = only_run(tmp_path / "outputs")
    assert {path.name for path in directory.iterdir()} == {
        ".hydra", ".lock", "checkpoint", "wandb",
        "episodes.csv", "evaluations.csv", "run.json", "timing.csv", "train.log",
    }  # fmt: skip
    assert "network=mlp24,target.interval=10-" in directory.name
    record = json.loads((directory / "run.json").read_text())
    assert record["status"] == "completed"
    assert record["wandb"]["offline"] is True
    assert record["command"].endswith(
        "train episodes=6 evaluation.final_num_episodes=2 network=mlp24 target.interval=10"
    )
    assert set(record["versions"]) >= {"dqn_lab", "python", "torch", "gymnasium", "numpy"}


def test_the_summary_says_how_it_went_and_what_to_type_next(cli, tmp_path):
    outcome = cli("train", "episodes=6", "evaluation.final_num_episodes=2", "logger=csv")
    directory = only_run(tmp_path / "outputs").relative_to(tmp_path)
    assert "100%  episode 6" in outcome.out
    assert "(standard deviation over 2 fresh episodes), final policy" in outcome.out
    assert "engine" not in outcome.out  # the default needs no explanation
    engine = json.loads((tmp_path / directory / "run.json").read_text())["engine"]
    assert engine["rejected"] == dict.fromkeys(("compiled", "torch"), "slower than fused")
    *_, report, evaluate = outcome.out.splitlines()
    assert report == f"next      python -m dqn_lab report {directory}"
    assert evaluate == f"          python -m dqn_lab evaluate {directory}"
    assert "final policy" in cli("evaluate", directory, "--episodes", "1").out


def test_pandas_reads_the_csv_with_the_expected_types(cli, quick, finished):
    frame = pandas.read_csv(finished / "episodes.csv")
    assert frame.dtypes.astype(str).to_dict() == {
        "episode": "int64", "step": "int64", "return": "float64", "length": "int64", "epsilon": "float64",
        "updates": "int64", "loss": "float64", "q_value": "float64",
    }  # fmt: skip


def test_the_same_command_twice_makes_two_directories_with_the_same_rows(cli, quick, tmp_path):
    for _ in range(2):
        assert cli("train", *quick).code == 0
    first, second = (path.read_bytes() for path in (tmp_path / "outputs").rglob("episodes.csv"))
    assert first == second


def test_a_single_run_is_composed_validated_and_built_once_and_argv_is_unchanged(cli, quick, monkeypatch):
    from dqn_lab import build
    from dqn_lab.cli import _compose

    counts = dict.fromkeys(("compose", "validate", "build"), 0)
    for name, module in {"compose": _compose, "validate": build, "build": build}.items():
        original = getattr(module, name)

        def counted(*args, name=name, original=original, **kwargs):
            counts[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, counted)
    words = ("train", "experiment=cartpole", "steps=40", *quick)
    assert cli(*words).code == 0
    assert counts == {"compose": 1, "validate": 1, "build": 1}
    assert sys.argv == ["dqn-lab", *words]


def test_two_runs_started_at_once_get_their_own_directories(tmp_path):
    first, second, third = (make_directory(tmp_path / "12-00-00_default", bump=True) for _ in range(3))
    assert [path.name for path in (first, second, third)] == [
        "12-00-00_default", "12-00-00_default_2", "12-00-00_default_3",
    ]  # fmt: skip


def test_a_path_with_odd_characters_is_a_path(cli, quick, tmp_path):
    odd = tmp_path / "it's {odd} $x,=[1] 길"
    escaped = str(odd).replace("'", "\\'")
    assert cli("train", *quick, f"hydra.run.dir='{escaped}'").code == 0
    assert (odd / "episodes.csv").is_file()


def test_the_notebooks_line_is_printed_when_asked(cli):
    outcome = cli("train", "experiment=tutorial", "episodes=14", "display=notebook", "logger=csv",
                  "evaluation.final_num_episodes=1")  # fmt: skip
    lines = [line for line in outcome.out.splitlines() if line.startswith("Episode: ")]
    assert len(lines) == 14
    assert lines[12].startswith("Episode: 12, Total Reward: ")
    assert lines[12].endswith(".0, Epsilon: 0.94")


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_grid_shows_how_far_it_is_and_its_results_by_variant(tmp_path, quick, launcher):
    """A single run's lines are not printed, with either launcher."""
    flags = (f"hydra/launcher={launcher}", "hydra.sweep.dir=grid", *(w for w in quick if not w.startswith("display")))
    words = [sys.executable, "-m", "dqn_lab", "train", "-m", "target.interval=1,10", "seed=range(2)", *flags]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "error" not in ended.stderr
    *lines, total, one, other, files, hint = ended.stdout.splitlines()
    assert total == "4 of 4 jobs completed"
    assert one.startswith("target.interval=1   mean final return ")
    assert other.startswith("target.interval=10  mean final return ")
    assert re.search(r" \(95 %: [\d.]+ to [\d.]+\)  0 of 2 at 475 or more$", other)
    assert (files, hint) == ("files     grid", "next      python -m dqn_lab report grid")
    assert lines[-1] == ""
    assert lines[:-1]
    assert all(re.match(r" ?\d\d%|100%", line) for line in lines[:-1])
    assert len(list((tmp_path / "grid").rglob("episodes.csv"))) == 4


def test_a_grid_whose_display_is_typed_shows_each_job_as_a_single_run(cli, quick):
    words = [word for word in quick if not word.startswith("display")]
    out = cli("train", "-m", "seed=range(2)", *words, "display=lines", "hydra.sweep.dir=grid").out
    assert "job 1 of 2: seed=0" in out
    assert "job 2 of 2: seed=1" in out
    assert out.count("fresh episodes), final policy") == 2
    assert "jobs (" not in out
    assert out.endswith("files     grid\nnext      python -m dqn_lab report grid\n")


def test_a_note_about_all_jobs_is_printed_once(cli, quick):
    words = [word for word in quick if not word.startswith("display")]
    slow = cli("train", "-m", *words, "experiment=q_learning_cartpole", "steps=200", "seed=range(2)")
    assert slow.out.count("because fused, ") == 1


def test_a_grid_of_seeds_is_named_by_what_its_jobs_have_in_common(cli, quick):
    out = cli("train", "-m", "seed=0,1", "network.hidden=[4]", *quick, "hydra.sweep.dir=grid").out
    (line,) = [line for line in out.splitlines() if "mean final return" in line]
    assert line.startswith("network.hidden=[4], ")


def test_a_job_whose_record_is_gone_is_listed(cli, quick, monkeypatch):
    def without_record(config, num_jobs):
        said = job(config, num_jobs)
        for path in Path("grid").glob("*/run.json"):
            path.write_text("{")
        return said

    job = launch.job
    monkeypatch.setattr(launch, "job", without_record)
    outcome = cli("train", "-m", "seed=0", *quick, "hydra.sweep.dir=grid")
    assert outcome.code == 1
    assert ": has no readable run.json\n" in outcome.out
    assert "next " not in outcome.out


def test_a_grid_is_labelled_and_ordered_as_typed(cli, quick):
    """Labels are the options' names, and the first variant typed is the control."""
    few = ("train", "-m", "optimizer.lr=3e-4,1e-3", "discount=0.90", "hydra.sweep.dir=numbers")
    assert "optimizer.lr=3e-4" in (out := cli(*few, *quick).out)
    assert "0.0003" not in out
    words = ("train", "-m", "value=huber,expected", "network.hidden=[8],[4,4]", "seed=0,1", "hydra.sweep.dir=grid")
    outcome = cli(*words, *quick)
    table = [line.partition("  ")[0] for line in outcome.out.splitlines() if "mean final return" in line]
    assert table == [
        "value=huber, network.hidden=[8]", "value=huber, network.hidden=[4,4]",
        "value=expected, network.hidden=[8]", "value=expected, network.hidden=[4,4]",
    ]  # fmt: skip
    assert list(load_configs("grid")["variant"].cat.categories) == table
    material = gather(["grid"], Options())
    assert (material.control, material.control_reason) == (table[0], "the first; --control names another")
    assert material.question == "What do value and network.hidden change, alone and together?"
    cli("train", "-m", "value=huber", "seed=2,3", "hydra.sweep.dir=grid", *quick)
    assert len(load_configs("grid")) == 10
    assert cli("resume", "grid").err.startswith("error: grid: is a grid without a record of its jobs, ")


def test_an_interrupted_grid_says_what_never_began_and_is_resumed(cli, quick, tmp_path, monkeypatch):
    def stopped(config, num_jobs, begun=[]):  # noqa: B006
        begun.append(config)
        if len(begun) == 2:
            raise interrupt.Interrupted(2)
        return job(config, num_jobs)

    job = launch.job
    words = ("train", "-m", "target.interval=1,10", "seed=0,1", *quick)
    cli(*words, "hydra.sweep.dir=whole")
    with monkeypatch.context() as patch:
        patch.setattr(launch, "job", stopped)
        outcome = cli(*words, "hydra.sweep.dir=grid")
    assert outcome.code == 130
    assert "3 of 4 jobs never began: target.interval=1 seed=1" in outcome.err
    assert outcome.err.endswith("next      python -m dqn_lab resume grid\n")
    resumed = cli("resume", "grid")
    assert (resumed.code, resumed.out.splitlines()[0]) == (0, "3 of 4 jobs to run, 1 completed already")
    assert resumed.out.count("mean final return") == 2
    assert "4 of 4 jobs completed" in resumed.out
    assert "trained" not in resumed.out  # one table in place of three summaries
    rows = [{path.parent.name: path.read_bytes() for path in (tmp_path / name).glob("*/episodes.csv")}
            for name in ("grid", "whole")]  # fmt: skip
    assert rows[0] == rows[1]
    assert cli("resume", "grid").out.startswith("0 of 4 jobs to run")
    recorded = (tmp_path / "grid" / "sweep.json").read_text()
    shutil.rmtree(tmp_path / "grid" / json.loads(recorded)["jobs"][0]["directory"])
    for before, after, said in (
        (
            '"target.interval=1"\n',
            '"network.name=os:system"\n',
            "this run imports os:system; if you trust that code, add --trust",
        ),
        ('"directory": "', '"directory": "../', "damaged: it does not say what its jobs are"),
        ('"base": [', '"base": [1,', "damaged: it does not say what its jobs are"),
    ):
        (tmp_path / "grid" / "sweep.json").write_text(recorded.replace(before, after))
        assert said in cli("resume", "grid").err


def test_a_grid_over_environments_is_labelled_as_typed_with_a_section_for_each(cli, quick):
    words = ("train", "-m", "env=cartpole,acrobot", "bootstrap=munchausen,max", "seed=0,1", "hydra.sweep.dir=grid")
    cli(*words, "env.max_episode_steps=20", *quick)
    material = gather(["grid"], Options())
    assert material.tasks == list(dict.fromkeys(load_configs("grid")["task"]))
    assert [name.partition(" ")[0] for name in material.tasks] == ["CartPole-v1", "Acrobot-v1"]
    assert list(material.scores["variant"].cat.categories) == ["bootstrap=munchausen", "bootstrap=max"]
    assert material.control == "bootstrap=munchausen"
    assert material.question == "What does bootstrap change?"


def test_the_report_of_a_grid_of_seeds_names_what_was_run(cli, quick):
    cli("train", "-m", "seed=0,1", "network.hidden=[4]", "buffer.capacity=500", *quick, "hydra.sweep.dir=mm")
    assert (
        gather(["mm"], Options()).question == "How well does “network.hidden=[4], buffer.capacity=500, episodes=6” do?"
    )
    cli("train", "-m", "seed=0,1", "hydra.sweep.dir=nn", *(word for word in quick if not word.startswith("episodes")),
        "steps=300", "episodes=null")  # fmt: skip
    labels = ["network.hidden=[4], buffer.capacity=500, episodes=6", "steps=300, episodes=null"]
    assert list(gather(["mm", "nn"], Options()).scores["variant"].cat.categories) == labels


def test_jobs_that_differ_only_in_their_seed_are_composed_once(cli, quick, monkeypatch):
    composed = []
    compose = jobs.compose_config
    monkeypatch.setattr(jobs, "compose_config", lambda words, number: composed.append(words) or compose(words, number))
    outcome = cli("train", "-m", "target.interval=10,0", "seed=range(5)", *quick)
    assert outcome.err.startswith("error: job 6 (target.interval=0 seed=0 ")
    assert outcome.err.endswith(") and 4 more: target.interval=0: must be greater than 0\n")
    assert len(composed) == 1 + 1
    assert cli("train", "-m", "seed=0,1,-1", "hydra.sweep.dir=grid", *quick).code == 2


def test_the_end_of_a_multirun_counts_its_own_jobs_only(cli, quick, tmp_path, monkeypatch):
    """Another multirun may write to the same directory at the same time."""
    job = launch.job

    def beside_another(config, num_jobs):
        said = job(config, num_jobs)
        (record,) = (tmp_path / "sweep").glob("*/run.json")
        (tmp_path / "sweep" / "other").mkdir()
        (tmp_path / "sweep" / "other" / "run.json").write_bytes(record.read_bytes())
        return said

    monkeypatch.setattr(launch, "job", beside_another)
    outcome = cli("train", "-m", "seed=0", "hydra.sweep.dir=sweep", *quick)
    assert outcome.code == 0
    assert "1 of 1 jobs completed" in outcome.out


def test_a_run_is_the_same_alone_and_in_a_multirun(cli, quick, tmp_path):
    cli("train", "-m", "seed=3,4", *quick)
    cli("train", "seed=4", *quick, "hydra.run.dir=alone")
    (swept,) = (path for path in (tmp_path / "outputs").rglob("episodes.csv") if "seed=4" in str(path))
    assert swept.read_bytes() == (tmp_path / "alone" / "episodes.csv").read_bytes()


def test_a_failed_job_does_not_stop_the_others(cli, quick):
    outcome = cli("train", "-m", "optimizer=sgd", "optimizer.lr=1e6,1e-4", *quick)
    assert outcome.code == 1
    assert "1 of 2 jobs completed" in outcome.out
    (line,) = [line for line in outcome.out.splitlines() if "failed" in line]
    assert line.startswith("  failed: optimizer=sgd,optimizer.lr=1e6")
    assert "the loss became" in line
    assert outcome.err == ""


def test_an_option_of_a_recipe_may_be_replaced(cli, quick, tmp_path):
    """The recipe's settings of the replaced option are dropped; the user's overrides stay and are checked."""
    assert cli("train", "experiment=cartpole", "target=periodic", *quick).code == 0
    record = json.loads((only_run(tmp_path / "outputs") / "run.json").read_text())
    assert record["config"]["target"] == {"name": "periodic", "interval": 10, "unit": "episodes"}
    assert record["config"]["buffer"]["n_step"] == 5
    refused = cli("train", "experiment=cartpole", "target=periodic", "target.tau=0.5", *quick)
    assert refused.err.startswith("error: target.tau=0.5: no such key here; did you mean target=polyak target.tau")


def test_an_option_of_a_recipe_may_be_replaced_by_a_custom_one(cli, tmp_path):
    lab = tmp_path / "lab"
    (lab / "exploration").mkdir(parents=True)
    (lab / "experiment").mkdir()
    (lab / "exploration" / "rare.yaml").write_text("name: rare_of_lab:Rare\n")
    (lab / "rare_of_lab.py").write_text(
        "from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy\nfrom dqn_lab.schedule import Constant\n\n\n"
        "class Rare(EpsilonGreedy):\n    def __init__(self, num_actions, *, often: float = 0.1):\n"
        "        super().__init__(num_actions, Constant(often))\n"
    )
    words = "train", "--config-dir", "lab", "experiment=dqn", "exploration=rare"
    shown = yaml.safe_load(cli(*words, "--cfg", "job").out)
    assert shown["exploration"] == {"name": "rare_of_lab:Rare", "often": 0.1}
    refused = cli(*words, "exploration.end=0.1", "--cfg", "job")
    assert refused.err == "error: exploration.end=0.1: no such key; choices: often\n"


def test_an_own_file_of_a_shipped_component_has_the_keys_that_it_leaves_out(cli, tmp_path):
    (tmp_path / "lab" / "env").mkdir(parents=True)
    (tmp_path / "lab" / "env" / "hill.yaml").write_text("name: gymnasium\nid: MountainCar-v0\n")
    shown = yaml.safe_load(cli("train", "--config-dir", "lab", "env=hill", "env.rescale=true", "--cfg", "job").out)
    assert shown["env"]["rescale"] is True
    assert shown["env"]["max_episode_steps"] is None
    outcome = cli("train", "--config-dir", "lab", "env=hill", "env.rescal=true")
    assert outcome.err.startswith("error: env.rescal=true: no such key; did you mean rescale?")


@pytest.mark.parametrize(("settings", "said"), [
    ("target: {tauu: 0.1}", "target.tauu=0.1: no such key; did you mean tau?"),
    ("logger: {wandbb: {mode: offline}}", "logger.wandbb.name=None: must be a component's name"),
])  # fmt: skip
def test_a_mistake_in_a_recipe_is_not_taken_for_a_setting_of_another_option(cli, tmp_path, settings, said):
    (tmp_path / "lab" / "experiment").mkdir(parents=True)
    head = "# @package _global_\ndefaults:\n  - /experiment/dqn\n  - _self_\n"
    (tmp_path / "lab" / "experiment" / "own.yaml").write_text(f"{head}{settings}\n")
    outcome = cli("train", "--config-dir", "lab", "experiment=own", "exploration=none")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {said}")


def test_the_configuration_is_shown_as_it_is_run(cli):
    shown = yaml.safe_load(cli("train", "experiment=cartpole", "target=periodic", "logger=csv", "--cfg", "job").out)
    assert shown["target"] == {"name": "periodic", "interval": 10, "unit": "episodes"}
    assert shown["logger"] == {"csv": {"name": "csv"}}
    outcome = cli("train", "-m", "seed=0,1", "--cfg", "job")
    assert outcome.code == 2
    assert outcome.err.startswith("error: --multirun, --cfg: a grid has several configurations")


def test_a_run_stays_in_its_directory_if_hydra_changes_into_it(cli, quick, tmp_path):
    assert cli("train", *quick, "hydra.job.chdir=true", "hydra.run.dir=one").code == 0
    assert only_run(tmp_path) == tmp_path / "one"


def test_a_recipe_may_set_keys_of_a_logger_that_is_not_used(cli, quick, tmp_path):
    recipe = tmp_path / "lab" / "experiment" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nlogger:\n  wandb:\n    project: mine\n    mode: offline\n")
    shown = cli("train", "--config-dir", "lab", "--cfg", "job", "experiment=mine")
    assert (shown.code, "project: mine" in shown.out) == (0, True)
    assert cli("train", "--config-dir", "lab", "experiment=mine", "logger=csv", *quick).code == 0
    record = json.loads((only_run(tmp_path / "outputs") / "run.json").read_text())
    assert set(record["config"]["logger"]) == {"csv"}


def test_an_environments_own_arguments_need_no_plus(cli, quick, tmp_path):
    assert cli("train", "env.kwargs.sutton_barto_reward=true", *quick).code == 0
    frame = pandas.read_csv(only_run(tmp_path / "outputs") / "episodes.csv")
    assert set(frame["return"]) == {-1.0}
    wrong = cli("train", "env.kwargs.gravty=1", *quick)
    assert wrong.err.startswith("error: env.kwargs={'gravty': 1}: ")


def test_a_sweep_is_not_run_over_an_earlier_one(cli, quick):
    sweep = ("train", "-m", "seed=0,1", "hydra.sweep.dir=sweep", *quick)
    assert cli(*sweep).code == 0
    again = cli(*sweep)
    assert again.code == 2
    assert again.err.startswith("error: job 1 (seed=0 ")
    assert again.err.endswith(": holds a run already\n")
    failed = cli("train", "-m", "optimizer=sgd", "optimizer.lr=1e30,2e30", "hydra.sweep.dir=sweep", *quick)
    assert failed.code == 1
    assert "0 of 2 jobs completed" in failed.out


@pytest.mark.parametrize("grid", ["hydra.run.dir=out", "-m seed=1,2 hydra.sweep.dir=out"])
def test_a_reader_that_closes_the_pipe_does_not_end_the_run(tmp_path, grid):
    words = f"{sys.executable} -m dqn_lab train episodes=40 logger=csv evaluation.final_num_episodes=1 {grid}"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    subprocess.run(f"{words} | head -1", shell=True, cwd=tmp_path, check=True, capture_output=True, env=environment)
    statuses = [json.loads(path.read_text())["status"] for path in (tmp_path / "out").rglob("run.json")]
    assert statuses == ["completed"] * (2 if "-m" in grid else 1)


@pytest.mark.parametrize("words", ["sweep target_network --dry-run", "train --help", "--help", "components"])
def test_a_closed_pipe_ends_a_command_silently(tmp_path, words):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-m", "dqn_lab", *words.split()], cwd=tmp_path, stdout=writer,
                           stderr=subprocess.PIPE, text=True)  # fmt: skip
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_a_run_under_nohup_outlives_its_terminal(tmp_path):
    words = f"exec {sys.executable} -m dqn_lab train episodes=150 logger=csv evaluation.interval=null hydra.run.dir=run"
    shell = ["sh", "-c", f"trap '' HUP; {words} evaluation.final_num_episodes=1"]
    with subprocess.Popen(shell, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        rows, deadline = tmp_path / "run" / "episodes.csv", time.monotonic() + 60
        while not (rows.exists() and rows.read_text().count("\n") > 3) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=60) == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "completed"


def test_a_failed_run_exits_with_one(cli, quick, tmp_path):
    outcome = cli("train", "optimizer=sgd", "optimizer.lr=1e6", *quick)
    assert outcome.code == 1
    assert len(outcome.err.splitlines()) == 1
    assert json.loads((only_run(tmp_path / "outputs") / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize("flags", [
    ("-m", "seed=1,2"), ("seed=1,2", "-m"), ("seed=1,2", "--multirun", "discount=0.9"),
])  # fmt: skip
def test_flags_may_stand_anywhere(cli, quick, flags):
    assert "2 of 2 jobs completed" in cli("train", *quick, *flags).out


def test_cfg_job_shows_the_configuration_and_runs_nothing(cli, tmp_path):
    outcome = cli("train", "network=mlp64", "--cfg", "job")
    assert outcome.code == 0
    assert "- 64\n" in outcome.out
    assert "hydra:" not in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_causes_a_warning(cli, quick, monkeypatch, tmp_path, caplog):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    quick = [word for word in quick if word != "logger=csv"]
    assert cli("train", *quick).code == 0
    record = json.loads((only_run(tmp_path / "outputs") / "run.json").read_text())
    assert record["wandb"]["offline"] is True
    assert "does not answer" in (only_run(tmp_path / "outputs") / "train.log").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_says_so_and_keeps_what_it_has(tmp_path, number, code):
    words = [sys.executable, "-m", "dqn_lab", "train", "episodes=100000", "logger=csv", "hydra.run.dir=run"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    attentive = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731 (also in the background)
    with subprocess.Popen(
        words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=attentive
    ) as process:
        rows = tmp_path / "run" / "episodes.csv"
        deadline = time.monotonic() + 60
        while not (rows.exists() and rows.read_text().count("\n") > 3) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    line, hint = errors.splitlines()
    assert line.startswith("error: interrupted at episode ")
    assert hint == "next      python -m dqn_lab resume run"
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    assert rows.read_text().endswith("\n")


@pytest.mark.parametrize(("words", "what"), [
    (("train",), "a run began"), (("train", "-m", "seed=0,1"), "a run began"),
    (("sweep", "replay", "--quick"), "a job began"), (("resume", "finished"), "the run continued"),
])  # fmt: skip
def test_a_command_interrupted_before_it_writes_says_so(cli, finished, monkeypatch, words, what):
    def stop(*_):
        raise interrupt.Interrupted(2)

    monkeypatch.setattr(_index, "read", stop)
    monkeypatch.setattr(_continue, "prepare", stop)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    outcome = cli(*words)
    assert (outcome.code, outcome.err) == (130, f"error: interrupted before {what}; nothing was written\n")
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_run_without_fast_kernels_says_so_at_its_start(cli, quick):
    words = [word for word in quick if not word.startswith("display")]
    slow = cli("train", *words, "experiment=q_learning_cartpole", "steps=200")
    fused = "fused, which is many times faster for small networks, does not run network=table, only mlp"
    said = f"engine=torch, because {fused}\n"
    assert slow.out.startswith(said)
    assert "because fused, " not in cli("train", *words).out


def test_the_fastest_engine_for_wide_layers_is_not_reported(cli, quick):
    words = [word for word in quick if not word.startswith("display")]
    wide = cli("train", *words, "network.hidden=[1600,1600]", "train.learning_starts=10_000", "hydra.run.dir=wide")
    assert "engine" not in wide.out
    assert "torch is faster beyond" in json.loads(Path("wide/run.json").read_text())["engine"]["rejected"]["fused"]


def test_the_next_command_trusts_a_custom_environment(cli, quick, tmp_path):
    (tmp_path / "other_envs.py").write_text(
        "import gymnasium\nfrom gymnasium.envs.classic_control import CartPoleEnv\n"
        "gymnasium.register('Mine-v0', CartPoleEnv, max_episode_steps=50)\n"
    )
    words = [word for word in quick if not word.startswith("display")]
    out = cli("train", "--config-dir", ".", "env.id=other_envs:Mine-v0", *words).out
    assert out.rstrip().endswith(" --trust")
