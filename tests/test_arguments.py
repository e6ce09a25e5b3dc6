"""The arguments of calls from Python: what is accepted, and one line for what is not, in Python's words."""

import ast
import logging
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from omegaconf import OmegaConf

import dqn_lab
from dqn_lab import api, interrupt
from dqn_lab.analysis.report import write as writing
from dqn_lab.cli import report as reporting
from dqn_lab.cli import verify as verifying
from dqn_lab.cli._overrides import adding, spell
from dqn_lab.cli.sweep.question import make_question
from dqn_lab.env import _mistakes
from dqn_lab.logger.csv import CSVLogger

QUICK = {"logger": "csv", "display": "none", "episodes": 2, "evaluation.final_num_episodes": 1}


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run():
    return dqn_lab.train(**QUICK, directory="run")


def test_a_type_checker_knows_the_names_of_the_package_and_no_others():
    tree = ast.parse(Path(dqn_lab.__file__).read_text(encoding="utf-8"))
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"]
    seen = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(dqn_lab.__all__) <= seen
    assert {"Report", "Verification"} <= {getattr(dqn_lab, name).__name__ for name in dqn_lab.__all__}


@pytest.mark.parametrize(("keys", "said"), [
    ({"episodes": 2.0}, "episodes=2.0: must be a whole number, at least 1"),
    ({"episodes": True}, "episodes=True: must be a whole number, at least 1"),
    ({"episodes": "2"}, "episodes='2': must be a whole number, at least 1"),
    ({"seed": -1}, "seed=-1: must be a whole number, at least 0"),
    ({"policy": None}, "policy=None: "),
    ({"policy": 200}, "policy=200: "),
])  # fmt: skip
def test_an_evaluations_arguments_are_checked(run, keys, said):
    with pytest.raises(dqn_lab.ConfigError, match=f"^{re.escape(said)}"):
        dqn_lab.evaluate(run, **keys)
    assert len(dqn_lab.evaluate(run, episodes=np.int64(1))) == 1


@pytest.mark.parametrize("value", ["no", "False", 0, None])
def test_a_flag_is_true_or_false(run, value):
    said = re.escape(f"={value!r}: must be True or False")
    for call in (
        lambda: dqn_lab.load(run.directory, trust=value),
        lambda: dqn_lab.evaluate(run, trust=value),
        lambda: dqn_lab.resume(run, trust=value, episodes=9),
        lambda: dqn_lab.verify(run, evaluate=value),
        lambda: dqn_lab.report(run, videos=value),
        lambda: dqn_lab.sweep("target_network", quick=value),
    ):
        with pytest.raises(dqn_lab.ConfigError, match=rf"^\w+{said}$"):
            call()
    assert dqn_lab.load(run.directory, trust=np.bool_(True)).trust is True


@pytest.mark.parametrize("directory", ["", b"x", 3, "w ${z}"])
def test_a_directory_to_write_to_is_a_path(directory, tmp_path):
    for call in (dqn_lab.train, lambda directory: dqn_lab.sweep("target_network", directory=directory)):
        with pytest.raises(dqn_lab.ConfigError, match=f"^directory={re.escape(repr(directory))}: must "):
            call(directory=directory)
    with pytest.raises(dqn_lab.ConfigError, match=f"^out={re.escape(repr(directory))}: must "):
        dqn_lab.report("nowhere", out=directory)
    assert not list(tmp_path.iterdir())


def test_a_tilde_stands_for_the_users_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dqn_lab.train(**QUICK, directory="~/mine").directory == tmp_path / "mine"


@pytest.mark.parametrize(("call", "said"), [
    (lambda: dqn_lab.train("hydra.run.dir=b", directory="a"), "hydra.run.dir=b: leave it out; directory= names"),
    (lambda: dqn_lab.sweep("target_network", "hydra.sweep.dir=b", directory="a"),
     "hydra.sweep.dir=b: a sweep's directory is set with directory=…"),
    (lambda: dqn_lab.train("--help"), "--help: is the command line's; write help(dqn_lab.train)"),
    (lambda: dqn_lab.train(out="x"), "out=x: no such key; write directory='x'"),
    (lambda: dqn_lab.train(config_dir=__file__), f"config_dir={__file__}: is not a directory"),
    (lambda: dqn_lab.sweep("target_network", seeds=range(2)), "seeds=[0,1]: write seed=[0,1]"),
    (lambda: dqn_lab.sweep("target_network", n_jobs=2), "n_jobs=2: write 'hydra.launcher.n_jobs=2'"),
    (lambda: dqn_lab.sweep("mine", variants={"a": {"target=none"}}),
     'variants.a={\'target=none\'}: must be a list of overrides: ["target=none"]'),
    (lambda: dqn_lab.sweep("mine", variants={"a": iter(["target=none"])}),
     "variants.a: must be a list of overrides, not a list_iterator"),
    (lambda: dqn_lab.report(".", compare=["a"]), "compare=['a']: must be two variants, as in ('periodic', 'polyak')"),
])  # fmt: skip
def test_a_mistake_is_answered_with_the_python_to_write(call, said):
    with pytest.raises(dqn_lab.ConfigError) as caught:
        call()
    assert str(caught.value).startswith(said)


def test_the_command_lines_flags_are_keywords_in_a_reports_mistakes(run):
    with pytest.raises(dqn_lab.ConfigError, match=r"^against=no\.csv: "):
        dqn_lab.report(run, against="no.csv")
    with pytest.raises(dqn_lab.ConfigError, match=r"choose another directory with out=…$"):
        dqn_lab.report(run, out=run.directory)


def test_a_grid_in_place_of_variants_is_answered_with_its_variants():
    with pytest.raises(dqn_lab.ConfigError) as caught:
        dqn_lab.sweep("mine", variants={"target.interval": [1, 10], "bootstrap": ["max"]})
    shown = eval(str(caught.value).partition("variants=")[2])
    assert make_question("mine", shown).variants == {
        f"target.interval={number}, bootstrap=max": [f"target.interval={number}", "bootstrap=max"] for number in (1, 10)
    }


def test_an_environments_arguments_may_be_a_dictionary():
    (word,) = spell((), {"env.kwargs": {"goal_velocity": 0.01}})
    assert adding(word) == "++env.kwargs={goal_velocity:0.01}"
    run = dqn_lab.train(
        "env=mountain_car", "env.max_episode_steps=9", **{"env.kwargs": {"goal_velocity": 0.01}}, **QUICK
    )
    assert run.config["env"]["kwargs"] == {"goal_velocity": 0.01}


def test_omegaconfs_values_are_spelled_as_pythons():
    both = OmegaConf.create({"hidden": [8, 8], "same": "${hidden}"})
    assert spell((), {"network.hidden": both.hidden, "network": both}) == [
        "network.hidden=[8,8]", "network={hidden:[8,8],same:[8,8]}",
    ]  # fmt: skip


@pytest.mark.parametrize(("keys", "said"), [
    ({"env": CartPoleEnv}, "env=CartPoleEnv: an environment is named by its id: 'env.id=MODULE:NAME'"),
    ({"env": lambda: CartPoleEnv()}, "env=<lambda>: an environment is named by its id: 'env.id=MODULE:NAME'"),
    ({"callback": lambda step: 1}, "callback='<lambda>': no such key; there are no callbacks"),
    ({"network": CartPoleEnv}, "network=CartPoleEnv: a component must be a class in a file"),
])  # fmt: skip
def test_classes_and_functions_are_answered_by_what_the_key_is(keys, said):
    with pytest.raises(dqn_lab.ConfigError, match=f"^{re.escape(said)}"):
        dqn_lab.train(**keys)


def test_a_vector_environment_is_answered_with_the_id_of_a_single_one():
    with pytest.raises(dqn_lab.ConfigError, match=r"'env\.id=CartPole-v1'$"):
        dqn_lab.train(env=gymnasium.make_vec("CartPole-v1", 2))


def test_a_run_that_cannot_be_written_is_named(run, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(logging, "FileHandler", refuse)
    with pytest.raises(dqn_lab.ConfigError, match=r"run/train\.log: Permission denied$"):
        dqn_lab.resume(run, episodes=3)


def test_a_logger_that_raises_stop_iteration_is_named_with_the_log(monkeypatch):
    def write(self, table, row):
        raise StopIteration

    monkeypatch.setattr(CSVLogger, "write", write)
    with pytest.raises(dqn_lab.TrainingError, match=r"^logger=csv: write raised StopIteration.* in .*run/train\.log$"):
        dqn_lab.train(**QUICK, directory="run")
    assert "Traceback" in Path("run/train.log").read_text()


def test_an_interrupted_evaluation_or_verification_says_that_nothing_was_written(run, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "play", stop)
    monkeypatch.setattr(verifying, "_tables", stop)
    with pytest.raises(
        interrupt.Interrupted, match=r"^interrupted before the episodes were played; nothing was written$"
    ):
        dqn_lab.evaluate(run)
    with pytest.raises(interrupt.Interrupted, match=r"^interrupted before the run was verified; nothing was written$"):
        dqn_lab.verify(run)


def test_an_environment_without_spaces_is_named():
    gymnasium.register("Bare-v0", type("Bare", (gymnasium.Env,), {}))
    try:
        with pytest.raises(dqn_lab.ConfigError, match=r"^env\.id=Bare-v0: its class must set action_space and obs"):
            dqn_lab.train("env.id=Bare-v0")
    finally:
        gymnasium.registry.pop("Bare-v0")


def test_an_environment_that_shares_only_its_version_number_is_not_suggested(monkeypatch):
    monkeypatch.setattr(_mistakes, "known", lambda _: ["CartPole-v1", "Ctuple-v0"])
    with pytest.raises(dqn_lab.ConfigError, match=r"no such Gymnasium environment; choices: "):
        dqn_lab.train("env.id=nope-v0")
    with pytest.raises(dqn_lab.ConfigError, match=r"did you mean CartPole-v1\? "):
        dqn_lab.train("env.id=Cartpol-v1")


def test_a_reports_videos_of_changed_code_say_so(run, monkeypatch):
    """Once, though each variant's video is made anew."""
    shooter = lambda trust, tell: lambda path: tell("parts has changed") or b""  # noqa: E731
    monkeypatch.setattr(reporting, "shooter", shooter)
    monkeypatch.setattr(writing, "write_report", lambda *_, shoot, **__: [shoot(run.directory) for _ in range(2)])
    with pytest.warns(UserWarning, match="^parts has changed$") as found:
        dqn_lab.report(run, videos=True)
    assert [each.filename for each in found] == [__file__]
