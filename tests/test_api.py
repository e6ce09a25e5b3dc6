"""The Python interface: the command line's names, runs and errors, and no global state changed."""

import base64
import doctest
import html
import importlib
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import gymnasium
import nbformat
import numpy as np
import pandas as pd
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbclient import NotebookClient

import dqn_lab
from dqn_lab import api, interrupt
from dqn_lab.analysis import AnalysisError, load_configs, load_runs
from dqn_lab.cli import main
from dqn_lab.cli._overrides import quote, spell
from dqn_lab.cli._workplace import workplace
from dqn_lab.cli.sweep.question import make_question
from dqn_lab.cli.sweep.typed import read_typed
from dqn_lab.env.encode import encode
from dqn_lab.env.gymnasium import Gymnasium
from dqn_lab.records import write_record

QUICK = {"logger": "csv", "display": "none", "episodes": 6}
FEW = ("evaluation.num_episodes=2", "evaluation.final_num_episodes=2")


@pytest.fixture(autouse=True)
def in_a_temporary_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_the_examples_in_the_docstrings_hold():
    globs = {name: getattr(dqn_lab, name) for name in dqn_lab.__all__}
    options = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    runner = doctest.DocTestRunner(optionflags=options)
    examples = 0
    for name in ("train", "resume", "load", "evaluate", "verify", "sweep", "report"):
        for test in doctest.DocTestFinder().find(getattr(dqn_lab, name), name, globs=globs):
            examples += runner.run(test).attempted
    assert examples >= 13
    assert runner.failures == 0


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, dqn_lab; print(sorted({'torch', 'hydra', 'numpy', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_modules_do_not_take_the_place_of_functions():
    """`dqn_lab/train.py` and `evaluate.py` have the names of two functions."""
    from dqn_lab.train import Due

    assert Due.__module__ == "dqn_lab.train"
    assert dqn_lab.train is api.train
    assert dqn_lab.evaluate is api.evaluate
    assert {"train", "load", "evaluate", "sweep", "ConfigError"} <= set(dir(dqn_lab))
    assert not {"Any", "sys", "importlib", "annotations"} & set(dir(dqn_lab))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = dqn_lab.trian


def test_a_run_is_the_same_as_the_commands(tmp_path):
    """It writes the same files and the same rows."""
    run = dqn_lab.train("network=mlp64", *FEW, **QUICK)
    command = [sys.executable, "-m", "dqn_lab", "train", "network=mlp64", *FEW, "hydra.run.dir=by-command"]
    subprocess.run([*command, *(f"{key}={value}" for key, value in QUICK.items())], check=True)
    files = {path.name for path in (tmp_path / "by-command").iterdir()}
    assert {path.name for path in run.directory.iterdir()} == files
    assert (run.directory / "episodes.csv").read_bytes() == (tmp_path / "by-command" / "episodes.csv").read_bytes()
    assert {path.name for path in (run.directory / ".hydra").iterdir()} == {
        "config.yaml",
        "hydra.yaml",
        "overrides.yaml",
    }
    assert run.directory.relative_to(Path.cwd()).parts[0] == "outputs"
    assert run.record["command"].startswith("dqn_lab.train('network=mlp64', 'evaluation.num_episodes=2'")


def test_a_run_has_its_tables_scores_and_policy():
    run = dqn_lab.train(*FEW, **QUICK)
    assert run.status == "completed"
    assert run.episodes["episode"].tolist() == list(range(6))
    assert run.scores["final"]["return_mean"] == run.evaluations["return_mean"].iloc[-1]
    assert run.config["episodes"] == 6
    env = gymnasium.make("CartPole-v1")
    obs, _ = env.reset(seed=0)
    assert run.policy(obs) == int(run.q_values(obs).argmax())
    assert env.action_space.contains(run.policy(obs.tolist()))
    assert repr(run).startswith(f"Run({str(run.directory.relative_to(Path.cwd()))!r}: completed, final return ")
    assert repr(run).endswith(" (standard deviation over 2 episodes))")
    assert repr(dqn_lab.load(run.directory)) == repr(run)


def test_a_torn_table_is_read_and_an_empty_or_missing_one_is_refused():
    run = dqn_lab.train(*FEW, **QUICK)
    path = run.directory / "episodes.csv"
    whole = run.episodes
    path.write_text(path.read_text() + "6,22")
    pd.testing.assert_frame_equal(run.episodes, whole)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    record = json.loads((run.directory / "run.json").read_text())
    (run.directory / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))
    with pytest.raises(dqn_lab.ConfigError, match=r"episodes\.csv: has no row yet"):
        _ = run.episodes
    path.unlink()
    with pytest.raises(dqn_lab.ConfigError, match=r"episodes\.csv: no such file; it was moved or deleted"):
        _ = run.episodes
    record["config"]["logger"] = {}
    (run.directory / "run.json").write_text(json.dumps(record))
    with pytest.raises(dqn_lab.ConfigError, match="the run did not use the csv logger"):
        _ = run.episodes


def test_a_completed_run_without_a_finished_episode_has_an_empty_table():
    run = dqn_lab.train("env=mountain_car", *FEW, **{**QUICK, "episodes": None, "steps": 100})
    assert run.status == "completed"
    assert len(run.episodes) == 0
    assert [*run.episodes.columns[:3]] == ["episode", "step", "return"]
    assert np.isnan(run.episodes["return"].mean())


def test_an_evaluation_is_the_same_as_the_commands():
    run = dqn_lab.train(*FEW, **QUICK)
    frame = dqn_lab.evaluate(run, episodes=4, seed=7)
    with pytest.raises(SystemExit):
        main(["evaluate", str(run.directory), "--episodes", "4", "--seed", "7", "--csv", "e"])
    pd.testing.assert_frame_equal(frame, pd.read_csv("e"))


def test_a_verification_prints_one_line_and_is_true_if_nothing_differs(capsys):
    run = dqn_lab.train(*FEW, **QUICK)
    capsys.readouterr()
    found = dqn_lab.verify(run)
    assert capsys.readouterr() == ("", "")
    assert found
    assert repr(found) == "verified: 6 rows of episodes.csv and 1 row of evaluations.csv are the same, byte for byte"
    path = run.directory / "episodes.csv"
    path.write_text(path.read_text().replace("\n1,", "\n7,"))
    found = dqn_lab.verify(run)
    assert not found
    assert str(found).startswith("not verified: repeating the run gave different results\n  episodes.csv: ")
    assert found.differences == ["episodes.csv: differs from row 2 on: episode was 7, is 1"]


def test_training_twice_in_one_process_gives_the_same_rows():
    one, other = (dqn_lab.train(*FEW, **QUICK) for _ in range(2))
    assert one.directory != other.directory
    pd.testing.assert_frame_equal(one.episodes, other.episodes)


@pytest.mark.parametrize(("words", "keys"), [
    (("netwrok=mlp24", "optimizer.lr=-1"), {}), (("network=mlp25",), {}), ((), {"steps": -1}),
    ((), {"device": "gpu 1"}), (("optimizer.lr=[",), {}),
])  # fmt: skip
def test_a_mistake_has_the_commands_text_and_leaves_nothing(tmp_path, capsys, words, keys):
    with pytest.raises(dqn_lab.ConfigError) as caught:
        dqn_lab.train(*words, **keys)
    with pytest.raises(SystemExit):
        main(
            ["train", *words, *(f"{key}={repr(value) if ' ' in str(value) else value}" for key, value in keys.items())]
        )
    assert capsys.readouterr().err == "".join(f"error: {line}\n" for line in str(caught.value).splitlines())
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes_are_configuration_errors_too(tmp_path):
    with pytest.raises(dqn_lab.ConfigError, match="no such directory"):
        dqn_lab.load("nowhere")
    with pytest.raises(dqn_lab.ConfigError, match="no such question; did you mean target_network"):
        dqn_lab.sweep("target_netwrok")
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(dqn_lab.ConfigError, match=r"mine: no such question; did you mean mine\.yaml"):
        dqn_lab.sweep("mine")
    (tmp_path / "outputs" / "sweeps" / "mine").mkdir(parents=True)
    with pytest.raises(dqn_lab.ConfigError, match="mine: no such directory; did you mean outputs/sweeps/mine"):
        dqn_lab.report("mine")
    run = dqn_lab.train(*FEW, **QUICK)
    with pytest.raises(dqn_lab.ConfigError, match="episodes=0: must be a whole number, at least 1"):
        dqn_lab.evaluate(run, episodes=0)
    with pytest.raises(dqn_lab.ConfigError, match="holds a run already"):
        dqn_lab.train(directory=run.directory, **QUICK)
    with pytest.raises(dqn_lab.ConfigError, match="no such directory"):
        dqn_lab.train(config_dir="nowhere", **QUICK)


@pytest.mark.parametrize("seed", [range(2), [0, 1], (0, 1), np.arange(2), "range(0,2)", "0,1"])
def test_several_seeds_are_for_a_sweep_and_a_run_has_one(seed, tmp_path):
    keys = {"seed": seed}
    (word,) = spell((), keys)
    assert read_typed([word]).seeds == [0, 1]
    with pytest.raises(dqn_lab.ConfigError, match=r"a run has one seed; dqn_lab\.sweep takes several"):
        dqn_lab.train(**keys)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_answered_in_pythons_words(tmp_path):
    """Messages name keywords in place of the command line's flags."""
    (tmp_path / "works.yaml").write_text("question: Is it?\nvariants: {a: [], b: [steps=9]}\ncontrol: a\n")
    run = dqn_lab.train(*FEW, **QUICK)
    mistakes = {
        "config_dir=nowhere: no such directory": lambda: dqn_lab.train(config_dir="nowhere"),
        "(config_dir=DIR)": lambda: dqn_lab.train("network=my_parts:Mine"),
        "config_dir=DIR (train and sweep)": lambda: dqn_lab.train("env.id=their_envs:Mine-v0"),
        "several are dqn_lab.sweep(name, ": lambda: dqn_lab.train(n_envs=4),
        "quick=True: the file has no": lambda: dqn_lab.sweep("works.yaml", quick=True),
        "dqn_lab.report(DIR, metric='auc') shows another": lambda: dqn_lab.sweep("works.yaml", metric="auc"),
        'must be a list of overrides: ["bootstrap=max"]': lambda: ask({"a": {"bootstrap": "max"}}),
        "policy=frist: ": lambda: dqn_lab.evaluate(run, policy="frist"),
    }
    for expected, mistake in mistakes.items():
        with pytest.raises(dqn_lab.ConfigError) as caught:
            mistake()
        assert expected in str(caught.value)
        assert "--" not in str(caught.value)


def test_a_run_stands_for_its_path_and_anything_else_is_refused_in_one_line():
    run = dqn_lab.train(*FEW, **QUICK)
    assert dqn_lab.load(run).directory == Path(run) == run.directory
    assert len(load_configs(run)) == len(load_runs(run, table="evaluations")["run"].unique()) == 1
    assert dqn_lab.report([run]).index.is_file()
    frame = load_configs(run)
    mistakes = [
        (lambda: dqn_lab.load(5), "directory: must be a run's, as text or a path, not int"),
        (lambda: dqn_lab.load(frame), "directory: must be a run's, as text or a path, not DataFrame"),
        (lambda: dqn_lab.report(5), "5: must be a run, the path of a run or a sweep, a frame of load_configs or "),
        (lambda: load_runs(frame[["seed"]]), "a frame without the columns directory and variant: must be of load_con"),
        (lambda: load_configs(None), "None: must be a run, the path of a run or a sweep, a frame of load_configs or "),
        (lambda: dqn_lab.report(frame.iloc[0]), r"a Series: is one row of a frame; pass rows, as in c\.iloc\[\[0\]\]$"),
        (lambda: dqn_lab.report(frame[:0]), "a frame without rows: names no run"),
        (lambda: dqn_lab.report(run, threshold="x"), "threshold='x': must be a finite number"),
        (lambda: dqn_lab.report(run, threshold=float("nan")), "threshold=nan: must be a finite number"),
    ]
    for mistake, expected in mistakes:
        with pytest.raises((dqn_lab.ConfigError, AnalysisError), match=f"^{expected}"):
            mistake()


def test_several_values_are_answered_with_the_variants_that_try_them():
    """The message shows Python code that makes the grid."""
    grid = {"optimizer.lr": [1e-3, 1e-4], "network": ["mlp24"]}
    mistakes = [
        (lambda: dqn_lab.sweep("mine", grid=grid), 2),
        (lambda: dqn_lab.sweep("mine", "optimizer.lr=1e-3,1e-4", variants={"a": []}), 2),
        (lambda: dqn_lab.train("network=mlp24,mlp64,table"), 3),
    ]
    for mistake, number in mistakes:
        with pytest.raises(dqn_lab.ConfigError) as caught:
            mistake()
        variants = eval(re.search("variants=({.*})", str(caught.value))[1])
        assert len(variants) == number
        assert all(label == ", ".join(own) for label, own in variants.items())


def test_a_run_with_code_from_outside_names_the_keyword_that_trusts_it():
    run = dqn_lab.train(*FEW, **QUICK)
    path = run.directory / "run.json"
    record = json.loads(path.read_text())
    record["config"]["network"] = {"name": "my_parts:Mine"}
    path.write_text(json.dumps(record))
    with pytest.raises(dqn_lab.ConfigError, match="if you trust that code, add trust=True"):
        dqn_lab.load(run.directory).policy([0.0, 0.0, 0.0, 0.0])


def test_a_run_that_fails_raises_and_keeps_what_it_has(tmp_path):
    with pytest.raises(dqn_lab.TrainingError, match="the loss became"):
        dqn_lab.train("optimizer=sgd", "optimizer.lr=1e6", directory="failed", **{**QUICK, "episodes": 50})
    assert dqn_lab.load("failed").status == "failed"


def test_warnings_are_python_warnings():
    with pytest.warns(UserWarning, match="both explore"):
        dqn_lab.train("network.noisy=true", *FEW, **{**QUICK, "episodes": 1})


def test_another_hydra_application_is_left_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "theirs.yaml").write_text("a: 1\nb: ${oc.env:HOME}\n")
    environment, path, level = dict(os.environ), list(sys.path), logging.getLogger().level
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.2"):
        theirs = GlobalHydra.instance().hydra
        dqn_lab.train(*FEW, **QUICK)
        with pytest.raises(dqn_lab.ConfigError):
            dqn_lab.train("netwrok=mlp24")
        assert GlobalHydra.instance().hydra is theirs
        assert compose("theirs", ["a=2"]).a == 2
    assert not GlobalHydra.instance().is_initialized()
    assert (dict(os.environ), sys.path, logging.getLogger().level) == (environment, path, level)


def test_a_sweep_returns_a_row_per_run_and_continues(tmp_path):
    (tmp_path / "works.yaml").write_text(
        "question: Does it work?\nbase: [episodes=3, evaluation.final_num_episodes=1, logger=csv]\n"
        "variants: {often: [target.interval=1], seldom: [target.interval=9]}\ncontrol: seldom\nseeds: range(2)\n"
    )
    frame = dqn_lab.sweep("works.yaml")
    assert sorted(zip(frame["variant"], frame["seed"], strict=True)) == [
        ("often", 0), ("often", 1), ("seldom", 0), ("seldom", 1),
    ]  # fmt: skip
    assert np.isfinite(frame["final_return"]).all()
    more = dqn_lab.sweep("works.yaml", "seed=0,1,2", directory=frame.attrs["directory"])
    assert len(more) == 6
    assert set(frame["started"]) <= set(more["started"])


def ask(variants, **keys):
    few = ("hydra/launcher=basic", "episodes=3", "evaluation.final_num_episodes=2", "logger=csv")
    return dqn_lab.sweep("mine", *few, variants=variants, seed=range(2), **keys)


def test_a_sweeps_results_show_intervals_the_answer_and_pythons_next_step(capsys):
    directory = Path(ask({"often": ["target.interval=1"], "seldom": ["target.interval=9"]}).attrs["directory"])
    printed, _, output = capsys.readouterr().out.partition("\n4 of 4 jobs completed\n")
    assert "python -m dqn_lab" not in printed
    question, table, answer, hint = output.strip().split("\n\n")
    assert question == "How do “often” and “seldom” compare?"
    assert table.splitlines()[0] == "variant  runs  mean final return  95 % interval  successes"
    assert re.fullmatch(r"often    2     \S+ +\S+–\S+ +0 of 2 at 475 or more", table.splitlines()[1])
    assert answer.startswith("Undecided: in these runs, the mean final return of “seldom” is ")
    assert max(map(len, (*table.splitlines(), *answer.splitlines()))) <= 110
    assert directory.is_absolute()
    assert hint == f"Figures and tables: dqn_lab.report('outputs/sweeps/{directory.name}')"
    assert [" ".join(answer.split())] == [*dqn_lab.report(directory).answers.values()]


def test_variants_with_different_environments_are_not_compared_and_the_results_say_so(capsys):
    directory = ask({"short": ["env.max_episode_steps=9"], "long": []}).attrs["directory"]
    output = capsys.readouterr().out
    differ = "Runs that differ in env.max_episode_steps are different tasks"
    why = f"{differ}: their returns are not compared with one another."
    assert why in " ".join(output.split())
    assert re.search(r"^short    2     \S+ .*\nlong     2 ", output, re.MULTILINE)
    page = dqn_lab.report(directory)
    assert page.note.startswith(f"{why} CartPole-v1 (max_episode_steps=9): There is no learning curve, ")
    assert f"note {page.note} runs 4 of 4 runs completed report " in " ".join(repr(page).split())
    assert list(page.answers) == ["CartPole-v1 (max_episode_steps=9)", "CartPole-v1"]
    assert "are different tasks: their returns are not compared" in page.index.read_text(encoding="utf-8")


def test_a_call_beside_another_threads_is_refused_and_a_sweep_runs_in_any_thread(tmp_path):
    """Two simultaneous calls would share Hydra; a thread has no signal handlers."""
    with ThreadPoolExecutor(1) as pool:
        with workplace("dqn_lab.train()", None):
            early = pool.submit(dqn_lab.train, "episodes=1").exception()
        words = (*FEW, "logger=csv", "episodes=2", "hydra/launcher=basic")
        late = pool.submit(dqn_lab.sweep, "two", *words, variants={"a": []}, seed=range(2), directory=tmp_path / "two")
        assert len(late.result()) == 2
    assert isinstance(early, dqn_lab.ConfigError)
    assert str(early).startswith("dqn_lab.train: another thread's call is under way, and a process runs one at a time")


@pytest.mark.parametrize(("labels", "question"), [
    (["a"], "How well does “a” do?"), (["a", "b"], "How do “a” and “b” compare?"),
    (["a", "b", "c"], "How do “a”, “b” and “c” compare?"), (list("abcdefg"), "How do these 7 variants compare?"),
])  # fmt: skip
def test_variants_alone_ask_a_question_in_plain_english(labels, question):
    assert make_question("mine", {label: [] for label in labels}).question == question


def test_a_notebook_works(tmp_path):
    """A real kernel does what the README shows: train, show the rows, use the policy, make a mistake."""
    cells = [
        "import dqn_lab",
        "run = dqn_lab.train('evaluation.final_num_episodes=2', logger='csv', episodes=4)\nrun",
        "run.episodes[['episode', 'return']].tail(1)",
        "run.policy([0.0, 0.0, 0.0, 0.0])",
        "try:\n    dqn_lab.train('netwrok=mlp64')\nexcept dqn_lab.ConfigError as error:\n    print(error)",
        "dqn_lab.train('netwrok=mlp64')",
        "dqn_lab.verify(run)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert "100%  episode 4" in "".join(out.get("text", "") for out in outputs[1])
    assert "completed, final return" in outputs[1][-1]["data"]["text/plain"]
    assert "<table" in outputs[2][-1]["data"]["text/html"]
    assert outputs[3][-1]["data"]["text/plain"] in ("0", "1")
    assert outputs[4][0]["text"].startswith("netwrok=mlp64: no such key; did you mean network?")
    assert outputs[5][0]["traceback"][0].startswith("ConfigError: netwrok=mlp64: no such key; did you mean network?")
    assert len(outputs[5][0]["traceback"]) == 1
    assert [out["data"]["text/plain"][:14] for out in outputs[6]] == ["verified: 4 ro"]


@pytest.mark.parametrize(("overrides", "keys", "expected"), [
    (({"steps": 10},), {}, "{'steps': 10}: an override must be text"),
    ((["steps=10"],), {}, r"\['steps=10'\]: an override must be text"),
    ((), {"optimizer.lr": lambda step: 0.1}, r"optimizer\.lr=<lambda>: a function cannot be recorded; a schedule is"),
    ((), {"env": gymnasium.make("CartPole-v1")}, r"an environment is named by its id: 'env\.id=CartPole-v1'"),
    ((), {"env": {1}}, r"env=\{1\}: must be a number, text"),
])  # fmt: skip
def test_what_no_configuration_can_hold_is_named(overrides, keys, expected):
    with pytest.raises(dqn_lab.ConfigError, match=expected):
        dqn_lab.train(*overrides, **keys)
    assert not list(Path().iterdir())


def test_python_values_are_spelled_as_overrides():
    schedule = {"start": 1e-3, "end": 0, "unit": "steps"}
    keys = {"optimizer.lr": schedule, "network.hidden": (8, 8), "steps": None, "env.id": "A b", "clamp": True}
    assert spell(["seed=1"], keys) == [
        "seed=1", "optimizer.lr={start:0.001,end:0,unit:steps}", "network.hidden=[8,8]", "steps=null",
        "env.id='A b'", "clamp=true",
    ]  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the working directory, which it does not use
@given(st.text(alphabet="\\'\"a {}$,=\n", max_size=6))
def test_hydra_reads_quoted_text_as_it_was(text):
    assert OverridesParser.create().parse_override(f"key={quote(text)}").value() == text


class Parts(gymnasium.Env):
    """Observes a number and a state."""

    observation_space = gymnasium.spaces.Dict(
        {"at": gymnasium.spaces.Box(-1, 1, (1,)), "side": gymnasium.spaces.Discrete(2)}
    )

    def __init__(self):
        self.action_space = gymnasium.spaces.Discrete(2)


def test_an_observation_may_be_as_the_environment_returns_it():
    env = Gymnasium(id="Parts-v0").make()
    assert encode(env, {"at": [0.5], "side": 1}).tolist() == [0.5, 0.0, 1.0]
    assert encode(env, [0.5, 0.0, 1.0]).tolist() == [0.5, 0.0, 1.0]
    for wrong in ({"at": [0.5]}, [0.5], "abc", [["a"]], None):
        with pytest.raises(ValueError, match="obs="):
            encode(env, wrong)


gymnasium.register("Parts-v0", Parts)


@pytest.fixture
def own_parts(tmp_path):
    """Writes a directory with a custom exploration, whose ε is the module's `EPSILON`, and a custom environment."""
    lab = tmp_path / "lab"
    (lab / "mine").mkdir(parents=True)
    (lab / "exploration").mkdir()
    (lab / "exploration" / "own.yaml").write_text("name: mine.parts:Own\n")
    (lab / "mine" / "parts.py").write_text(
        "from dqn_lab.exploration.constant import ConstantEpsilon\nfrom mine.numbers import EPSILON\n\n\n"
        "class Own(ConstantEpsilon):\n    def __init__(self, num_actions):\n"
        "        super().__init__(num_actions, epsilon=EPSILON)\n"
    )

    def write(epsilon):
        (lab / "mine" / "numbers.py").write_text(f"EPSILON = {epsilon}\n")
        (lab / "my_worlds.py").write_text(
            "import gymnasium\nfrom gymnasium.envs.classic_control import CartPoleEnv\n\n"
            f"gymnasium.register('World-v0', CartPoleEnv, max_episode_steps={int(epsilon * 10)})\n"
        )
        return lab

    yield write
    for name in ("mine", "mine.parts", "mine.numbers", "my_worlds"):
        sys.modules.pop(name, None)
    gymnasium.registry.pop("World-v0", None)


@pytest.mark.filterwarnings("error:.*Overriding")
def test_a_changed_file_is_reloaded_in_the_same_process(own_parts):
    """The component's module imports the one that changes; the environment's registers itself again."""
    for epsilon in (0.5, 0.9):
        lab = own_parts(epsilon)
        run = dqn_lab.train("exploration=own", "env.id=my_worlds:World-v0", *FEW, **QUICK, config_dir=lab)
        assert set(run.episodes["epsilon"]) == {epsilon}
        assert run.episodes["length"].max() <= epsilon * 10
    own_parts(0.7)
    with pytest.warns(UserWarning, match="Overriding environment"):  # Gymnasium's warning
        assert importlib.reload(sys.modules["my_worlds"]).__file__ == str(lab / "my_worlds.py")


def test_a_sweeps_workers_load_a_changed_file(own_parts, tmp_path):
    (tmp_path / "own.yaml").write_text(
        "question: Does it load?\nbase: [exploration=own, episodes=3, evaluation.final_num_episodes=1, logger=csv]\n"
        "variants: {alone: []}\ncontrol: alone\nseeds: range(1)\n"
    )
    for epsilon in (0.5, 0.9):
        lab = own_parts(epsilon)
        runs = dqn_lab.sweep("own.yaml", config_dir=lab, directory=tmp_path / f"at_{epsilon}")
        (run,) = (path.parent for path in Path(runs.attrs["directory"]).glob("*/run.json"))
        assert set(dqn_lab.load(run).episodes["epsilon"]) == {epsilon}


def test_a_changed_file_that_cannot_be_imported_is_named(own_parts):
    lab = own_parts(0.5)
    dqn_lab.train("exploration=own", *FEW, **QUICK, config_dir=lab)
    (lab / "mine" / "numbers.py").write_text("EPSILON = (\n")
    with pytest.raises(
        dqn_lab.ConfigError, match=r"exploration\.name=mine\.parts:Own: importing it raised SyntaxError"
    ):
        dqn_lab.train("exploration=own", *FEW, **QUICK, config_dir=lab)


def test_a_call_interrupted_before_its_run_says_that_nothing_was_written(monkeypatch, tmp_path):
    def stop(words):
        raise interrupt.Interrupted(2)

    monkeypatch.setattr(api, "compose_config", stop)
    with pytest.raises(KeyboardInterrupt, match=r"^interrupted before the run began; nothing was written$"):
        dqn_lab.train(**QUICK)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_call_says_where_and_what_continues_it(monkeypatch):
    def check():
        raise interrupt.Interrupted(2, safe=True)

    monkeypatch.setattr(interrupt, "check", check)
    with pytest.raises(KeyboardInterrupt) as caught:
        dqn_lab.train(*FEW, **QUICK, directory="stopped")
    assert str(caught.value).startswith("interrupted at episode 0, step 0; stopped; dqn_lab.resume('stopped')")
    assert caught.value.__cause__ is None
    assert caught.value._render_traceback_() == [f"Interrupted: {caught.value}"]


def test_the_call_that_continues_a_run_trusts_code_that_it_trusted(own_parts, monkeypatch):
    def check():
        raise interrupt.Interrupted(2, safe=True)

    monkeypatch.setattr(interrupt, "check", check)
    with pytest.raises(KeyboardInterrupt, match=r"; dqn_lab\.resume\('stopped', trust=True\) continues it$"):
        dqn_lab.train("exploration=own", *FEW, **QUICK, config_dir=own_parts(0.5), directory="stopped")


def test_a_failed_run_names_its_log_without_the_chain_of_errors(monkeypatch):
    monkeypatch.setattr(Gymnasium, "make", broken_make(Gymnasium.make))
    with pytest.raises(dqn_lab.TrainingError, match=r"broken on purpose.*the traceback is in .*train\.log") as caught:
        dqn_lab.train(*FEW, **QUICK, directory="failed")
    assert caught.value.__cause__ is None
    assert "broken on purpose" in Path("failed/train.log").read_text()


def broken_make(make):
    class Broken(gymnasium.Wrapper):
        def step(self, action):
            raise RuntimeError("broken on purpose")

    return lambda self, render_mode=None: Broken(make(self, render_mode))


def test_what_exists_in_this_process_only_is_refused_before_the_first_job(tmp_path):
    class Own:
        pass

    with pytest.raises(dqn_lab.ConfigError, match="network=Own: a component must be a class in a file"):
        dqn_lab.train(network=Own)
    with pytest.raises(dqn_lab.ConfigError, match=r"network\.name=__main__:Own: a component is a class") as caught:
        dqn_lab.train("network.name=__main__:Own")
    assert len(caught.value.problems) == 1
    gymnasium.register("Here-v0", Own)
    with pytest.raises(dqn_lab.ConfigError, match=r"env\.id=Here-v0: "):
        dqn_lab.sweep("target_network", "env.id=Here-v0", seed=range(2))
    gymnasium.register("There-v0", f"{__name__}:InThisFile")
    try:
        with pytest.raises(dqn_lab.ConfigError, match=r"env\.id=There-v0: is registered only in this .*MODULE:There"):
            dqn_lab.sweep("target_network", "env.id=There-v0", seed=range(2))
    finally:
        for name in ("Here-v0", "There-v0"):
            gymnasium.registry.pop(name)
    assert list(tmp_path.iterdir()) == []


class InThisFile(CartPoleEnv):
    """An environment that only the tests' process knows."""


def test_a_sweep_without_a_completed_job_says_why_the_first_failed(monkeypatch):
    monkeypatch.setattr(Gymnasium, "make", broken_make(Gymnasium.make))
    with pytest.raises(dqn_lab.TrainingError, match=r"no job completed; 2 did not, the first: failed: .*on purpose"):
        dqn_lab.sweep("bad", "hydra/launcher=basic", variants={"one": [], "other": ["discount=0.9"]}, seed=[0])


@pytest.mark.parametrize(("words", "expected"), [
    (("-m", "seed=0,1"), r"-m: for several runs in one call, use dqn_lab\.sweep"),
    (("--config-dir lab", "network=my"), r"--config-dir lab: in Python it is a keyword: config_dir='lab'"),
])  # fmt: skip
def test_a_flag_of_the_command_line_is_answered_with_its_keyword(words, expected):
    with pytest.raises(dqn_lab.ConfigError, match=expected):
        dqn_lab.train(*words)


@pytest.mark.parametrize(("call", "expected"), [
    (lambda: dqn_lab.sweep("mine", variants={}), "variants: must be a dictionary, as in "),
    (lambda: dqn_lab.sweep("mine", variants=[["steps=9"]]),
     'variants: each needs a label; write {"9": ["steps=9"]}'),
    (lambda: dqn_lab.sweep("mine", variants={"a": []}, quick=True), "quick=True: only a question in a file"),
    (lambda: dqn_lab.train("network=mlp64", network="mlp24"), "network: is given twice"),
    (lambda: dqn_lab.train(configdir="lab"), "configdir=lab: no such key; write config_dir='lab'"),
])  # fmt: skip
def test_a_call_with_invalid_arguments_is_refused(call, expected):
    with pytest.raises(dqn_lab.ConfigError, match=re.escape(expected)):
        call()
    assert not Path("outputs").exists()


def test_a_run_whose_checkpoints_are_damaged_cannot_continue():
    run = dqn_lab.train(*FEW, directory="run", **QUICK)
    for path in (run.directory / "checkpoint").iterdir():
        path.write_bytes(b"no state")
    write_record(run.directory, {**run.record, "status": "interrupted"})
    with pytest.raises(dqn_lab.ConfigError, match="has no checkpoint that can be loaded: "):
        dqn_lab.resume(run)


def test_a_sweep_says_that_it_found_earlier_runs_and_its_frame_can_be_reported(capsys):
    both = {"often": ["target.interval=1"], "seldom": ["target.interval=9"]}
    ask(both)
    capsys.readouterr()
    runs = ask({"often": both["often"]})
    assert "\nWith 2 earlier runs in this directory:\n" in capsys.readouterr().out
    assert repr(dqn_lab.report(runs)) == repr(dqn_lab.report(runs.attrs["directory"]))
    first = dqn_lab.report(runs[runs["seed"] == 0])
    assert first.progress == "2 of the 4 runs (a selection): all completed"
    assert pd.read_csv(first.index.parent / "tables" / "runs.csv")["seed"].tolist() == [0, 0]
    often = dqn_lab.report(runs[runs["variant"] == "often"], out="often")
    assert (often.question, often.progress) == (
        "How well does “often” do?",
        "2 of the 4 runs (a selection): all completed",
    )


def test_a_run_is_found_from_another_directory(tmp_path, monkeypatch):
    run = dqn_lab.train(*FEW, **QUICK)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(run.episodes) == 6
    assert str(run.directory) in repr(run)


def test_a_notebook_shows_a_run_with_its_curve_and_a_report_with_its_answer(tmp_path):
    run = dqn_lab.train(**QUICK, **{"evaluation.interval": 2}, directory=tmp_path / "<run>")
    shown = run._repr_html_()
    assert "completed, final return" in shown
    assert "&lt;run&gt;" in shown
    assert "<run>" not in shown
    curve = base64.b64decode(re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', shown)[1]).decode()
    assert "greedy return" in curve
    told = dqn_lab.report(run.directory)
    shown = told._repr_html_()
    assert all(html.escape(text) in shown for _, text in told.lines())
    assert str(told.index).replace("<run>", "&lt;run&gt;") in shown
    assert shown.count("<img ") == 1


def test_a_notebook_shows_a_run_without_a_curve(tmp_path):
    run = dqn_lab.train(**{**QUICK, "logger": "tensorboard"}, directory=tmp_path / "run")
    assert run._repr_html_() == f"<div><code>{html.escape(repr(run))}</code></div>"


def test_a_policy_that_plays_with_changed_code_says_so(own_parts, capsys):
    """Wherever it is opened: from Python and by the command."""
    lab = own_parts(0.5)
    dqn_lab.train("exploration=own", *FEW, **QUICK, config_dir=lab, directory="run")
    parts = lab / "mine" / "parts.py"
    parts.write_text(parts.read_text() + "# changed\n")
    said = r"^mine\.parts has changed since the run began; the policy plays with the new code$"
    run = dqn_lab.load("run", trust=True)
    for play in (lambda: dqn_lab.evaluate(run, episodes=1), lambda: run.policy([0.0] * 4)):
        with pytest.warns(UserWarning, match=said) as found:
            play()
        assert found[0].filename == __file__
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["evaluate", "run", "--episodes", "1", "--trust"])
    assert capsys.readouterr().err.startswith("warning: mine.parts has changed since the run began; the policy plays")


def test_an_environment_whose_module_is_not_named_is_not_tracked_and_training_says_so(monkeypatch, tmp_path):
    """The module was imported by hand; named in `env.id`, it is tracked."""
    source = "from gymnasium.envs.classic_control import CartPoleEnv\n\nclass Cell(CartPoleEnv):\n    pass\n"
    (tmp_path / "cells.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    cells = importlib.import_module("cells")
    gymnasium.register("Cell-v0", cells.Cell, max_episode_steps=9)
    said = r"^env\.id=Cell-v0: its class is in cells, so later .* not be noticed; write env\.id=cells:Cell-v0$"
    try:
        with pytest.warns(UserWarning, match=said):
            dqn_lab.train("env.id=Cell-v0", *FEW, **QUICK)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run = dqn_lab.train("env.id=cells:Cell-v0", *FEW, **QUICK)
        assert list(run.record["sources"]) == ["cells"]
    finally:
        gymnasium.registry.pop("Cell-v0")
        sys.modules.pop("cells")


def test_an_environment_of_a_notebook_is_not_tracked_and_training_says_so(monkeypatch):
    monkeypatch.setattr(InThisFile, "__module__", "__main__")
    gymnasium.register("Cell-v0", InThisFile, max_episode_steps=9)
    said = r"^env\.id=Cell-v0: its class is in __main__, so later changes .* not be noticed; .* env\.id=MODULE:Cell-v0$"
    try:
        with pytest.warns(UserWarning, match=said):
            dqn_lab.train("env.id=Cell-v0", *FEW, **QUICK)
    finally:
        gymnasium.registry.pop("Cell-v0")


def test_a_tilde_stands_for_the_users_own_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "lab").mkdir(parents=True)
    run = dqn_lab.train(**QUICK, directory="~/run", config_dir="~/lab")
    assert dqn_lab.load("~/run") == run
    assert dqn_lab.report("~/run").index.is_file()
    with pytest.raises(dqn_lab.ConfigError, match=r"^~nobody-of-this-name: no such directory"):
        dqn_lab.load("~nobody-of-this-name")


def test_a_directory_among_the_overrides_is_not_given_a_number():
    dqn_lab.train("hydra.run.dir=mine", **QUICK)
    with pytest.raises(dqn_lab.ConfigError, match="mine: holds a run already"):
        dqn_lab.train("hydra.run.dir=mine", **QUICK)


def test_a_run_that_the_default_number_of_episodes_ended_early_says_so(recwarn):
    few = {"logger": "csv", "display": "none"}
    with pytest.warns(UserWarning, match=r"episodes=500 ended the run before steps=1,000,000; episodes=null"):
        dqn_lab.train(*FEW, **few, steps=1_000_000, network="mlp24", **{"env.max_episode_steps": 2})
    recwarn.clear()
    dqn_lab.train(*FEW, **few, steps=1_000_000, episodes=3)
    assert not recwarn.list


@pytest.mark.slow
@pytest.mark.skipif(find_spec("optuna") is None, reason='pip install "dqn-lab[optuna]"')
def test_a_search_prints_its_best_trials_and_no_comparison(tmp_path, capsys):
    search = "{params: {target.interval: 'choice(1, 10, 100)'}, num_trials: 3, num_parallel: 1}"
    (tmp_path / "which.yaml").write_text(f"question: Which?\nseeds: range(0, 2)\nsearch: {search}\n")
    words = (*FEW, "hydra/launcher=basic")
    loud = dqn_lab.sweep("which.yaml", *words, **QUICK | {"display": "auto"})
    said = capsys.readouterr().out
    assert "trial 1 of 3: " in said
    assert "the best first" in said
    assert "earlier run" not in said
    assert "no variant is shown" not in said
    quiet = dqn_lab.sweep("which.yaml", *words, **QUICK, directory="again")
    assert "trial 1 of 3: " not in capsys.readouterr().out
    assert sorted(quiet["final_return"]) == sorted(loud["final_return"])
