"""`resume` imports no code from outside the package that a sweep or a grid from somebody else names, unless trusted."""

import json
import os
import re
import shlex
import shutil
import sys

import gymnasium
import pytest
from hydra.errors import HydraException

from dqn_lab._outside import REFUSED, outside_names
from dqn_lab._paths import config_directory
from dqn_lab.cli import _hydra
from dqn_lab.cli._compose import compose_config, composer
from dqn_lab.cli._trust import LAUNCHING, imported, refusing, trusting
from dqn_lab.errors import ConfigError

EVIL = """
import logging, pathlib, gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
pathlib.Path('hacked').touch()

class Handler(logging.NullHandler): ...
class Net: ...

gymnasium.register("Evil-v0", CartPoleEnv, max_episode_steps=20)
"""
SHORT = ("episodes=1", "evaluation.final_num_episodes=1", "logger=csv")
HANDLER = "{handlers:{x:{class:evil.Handler}}}"
IMPORTING = {  # overrides that import `evil`, if nothing prevents it
    "an id": ["env.id=evil:Evil-v0"],
    "a mapping": ["env={id: 'evil:Evil-v0'}"],
    "a name": ["network={name: 'evil:Net'}"],
    "an added key": ["++network.name=evil:Net", "++network.noise=1"],
    "an interpolation": ["env.id=${logger.wandb.group}", "logger=[csv,wandb]", "logger.wandb.group=evil:Evil-v0"],
    "a resolver": ["""env.id='${oc.decode:"evil:Evil-v0"}'"""],
    "a logger": ["+logger.x={name: 'evil:Net'}"],
    "a handler": ["+hydra.job_logging.handlers.x={class:evil.Handler}"],
    "Hydra's whole part": [f"++hydra={{job_logging:{HANDLER}}}"],
    "a launcher's argument": ["+hydra.launcher.x={_target_:evil.Net}"],
    "a callback": ["+hydra.callbacks.x={_target_:evil.Net}"],
    "another package": ["+env@hydra.job_logging.handlers.x=cartpole", "env.id=CartPole-v1"],
    "a search path": ["hydra.searchpath=[lab]", "network=mine"],
    "an option elsewhere": ["network=ELSEWHERE/network/mine"],
    "a recipe elsewhere": ["experiment=ELSEWHERE/experiment/mine"],
    "a recipe elsewhere that sets a handler": ["experiment=ELSEWHERE/experiment/loud"],
}
DIRECTORY = {  # further words with which a command names a directory of options
    "a directory": ["--config-dir", "lab"], "a directory, joined": ["--config-dir=lab"],
    "an abbreviation": ["--config-d", "lab"], "an abbreviation, joined": ["--config=lab"],
}  # fmt: skip


@pytest.fixture
def foreign(cli, tmp_path, monkeypatch):
    """Writes a module that leaves a file `hacked` when it is imported, and options that name it."""
    (tmp_path / "evil.py").write_text(EVIL)
    lab = tmp_path / "lab"
    for name, text in {
        "network/mine": "name: evil:Net\n",
        "experiment/mine": "# @package _global_\nenv: {id: 'evil:Evil-v0'}\n",
        "experiment/loud": f"# @package _global_\nhydra: {{job_logging: {HANDLER.replace(':', ': ')}}}\n",
    }.items():
        (lab / name).parent.mkdir(parents=True, exist_ok=True)
        (lab / f"{name}.yaml").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("evil", None)
    gymnasium.registry.pop("Evil-v0", None)


def spelled(words, path):
    """Returns words in which `ELSEWHERE` is the way from `conf/GROUP/` to the directory `lab`."""
    elsewhere = os.path.relpath(path / "lab", config_directory() / "network")
    return [word.replace("ELSEWHERE", elsewhere) for word in words]


def write_sweep(directory, command, **others):
    """Writes the `sweep.json` of a directory that somebody else sent."""
    directory.mkdir()
    found = {"name": "x", "question": "What?", "command": command, "control": None, "metric": "final_return",
             "base": [], "variants": {}, "seeds": [], "jobs": []}  # fmt: skip
    (directory / "sweep.json").write_text(json.dumps({**found, **others}))
    return (directory / "sweep.json").read_text()


def refused(cli, foreign, before):
    outcome = cli("resume", "given")
    assert outcome.code == 2, outcome.out
    assert outcome.problems == outcome.err.splitlines() != []
    assert not (foreign / "hacked").exists()
    assert [path.name for path in (foreign / "given").iterdir()] == ["sweep.json"]
    assert (foreign / "given" / "sweep.json").read_text() == before
    assert REFUSED not in os.environ
    return outcome.err


@pytest.mark.parametrize("words", [*IMPORTING.values(), *DIRECTORY.values()], ids=[*IMPORTING, *DIRECTORY])
def test_a_sweep_from_elsewhere_imports_nothing_untrusted(cli, foreign, words):
    text = {"question": "What?", "variants": {"a": [], "b": ["target.interval=9"]}, "seeds": [0]}
    (foreign / "asked.yaml").write_text(json.dumps(text))
    own = ["network=mine"] if words in DIRECTORY.values() else spelled(words, foreign)
    flags = words if words in DIRECTORY.values() else []
    base = [*SHORT, *(word for word in own if not word.lstrip("+").startswith("hydra."))]
    command = shlex.join(["dqn-lab", "sweep", "asked.yaml", *SHORT, "hydra/launcher=basic", *own, *flags])
    refused(cli, foreign, write_sweep(foreign / "given", command, base=base))


@pytest.mark.parametrize("words", IMPORTING.values(), ids=IMPORTING)
def test_a_question_from_elsewhere_imports_nothing_untrusted(cli, foreign, words):
    """The words are in its file, which the sweep's command names."""
    variants = {"a": spelled(words, foreign), "b": []}
    text = json.dumps({"question": "What?", "base": SHORT, "variants": variants, "seeds": [0]})
    (foreign / "asked.yaml").write_text(text)
    refused(
        cli, foreign, write_sweep(foreign / "given", "dqn-lab sweep asked.yaml hydra/launcher=basic", base=[*SHORT])
    )


@pytest.mark.parametrize("words", [
    words for words in IMPORTING.values() if not re.search(r"hydra\.(?!launcher)", words[-1].split("=")[0])
])  # fmt: skip
def test_a_grid_from_elsewhere_imports_nothing_untrusted(cli, foreign, words):
    """A grid's own overrides of Hydra's part are ignored, apart from those of the launcher."""
    base = [*SHORT, *spelled(words, foreign)]
    jobs = [{"variant": "a", "seed": 0, "directory": "a", "hash": ""}]
    before = write_sweep(
        foreign / "given", "dqn-lab train -m", question=None, base=base, variants={"a": []}, seeds=[0], jobs=jobs
    )
    refused(cli, foreign, before)


@pytest.mark.parametrize(("base", "command"), [(["--config-dir=lab"], []), (["--config-d=lab"], []),
                                               ([], ["--config-dir", "lab"]), ([], ["-cd", "lab"])])  # fmt: skip
def test_a_grid_from_elsewhere_adds_no_directory_untrusted(cli, foreign, base, command):
    jobs = [{"variant": "a", "seed": 0, "directory": "a", "hash": ""}]
    refused(cli, foreign, write_sweep(
        foreign / "given", shlex.join(["dqn-lab", "train", "-m", *command]), question=None,
        base=[*base, *SHORT, "network=mine"], variants={"a": []}, seeds=[0], jobs=jobs,
    ))  # fmt: skip


@pytest.mark.parametrize("name", ["..", ".", "", "../given", "/tmp/x"])
def test_a_grid_from_elsewhere_writes_only_in_its_own_directory(cli, foreign, name):
    jobs = [{"variant": "a", "seed": 0, "directory": name, "hash": ""}]
    before = write_sweep(
        foreign / "given", "dqn-lab train -m", question=None, base=[*SHORT], variants={"a": []}, seeds=[0], jobs=jobs
    )
    assert "damaged: it does not say what its jobs are" in refused(cli, foreign, before)


def test_a_sweep_and_a_grid_that_are_trusted_import_their_code(cli, foreign):
    words = shlex.join([*SHORT, "seed=0", "env.id=evil:Evil-v0", "hydra/launcher=basic"])
    write_sweep(foreign / "given", f"dqn-lab sweep target_network --quick {words}", base=["x=1"])
    assert "given: holds a sweep over [x=1]" in cli("resume", "given", "--trust").err
    assert (foreign / "hacked").exists()
    (foreign / "hacked").unlink()
    sys.modules.pop("evil")
    gymnasium.registry.pop("Evil-v0")
    cli("train", "-m", *SHORT, "env.id=evil:Evil-v0", "target.interval=1,10", "hydra.sweep.dir=grid")
    shutil.rmtree(next((foreign / "grid").glob("*/run.json")).parent)
    (foreign / "hacked").unlink()
    sys.modules.pop("evil")
    gymnasium.registry.pop("Evil-v0")
    outcome = cli("resume", "grid", "--trust")
    assert outcome.code == 0, outcome.err
    assert (foreign / "hacked").exists()


@pytest.mark.parametrize(("words", "is_allowed"), [
    ("hydra/launcher=joblib", True), ("hydra/launcher=basic", True), ("hydra.launcher.n_jobs=-1", True),
    ("hydra.sweeper.max_batch_size=8", True), ("hydra.sweeper.params.x=1", False),
    ("hydra/launcher=slurm", False), ("hydra/launcher=../x", False), ("hydra.launcher.python=ls", False),
    ("hydra.launcher.pre_dispatch=x", False), ("hydra.launcher.n_jobs=${x}", False),
    ("hydra.launcher.n_jobs=1\nls", False), ("hydra.launcher.n_jobs={a:b}", False), ("+hydra.job.env_set.A=b", False),
])  # fmt: skip
def test_a_recorded_command_may_choose_only_launchers_that_run_no_code(words, is_allowed):
    assert bool(LAUNCHING.fullmatch(words)) == is_allowed


def test_a_search_over_hydras_own_part_is_refused(cli, foreign):
    text = {"question": "What?", "seeds": [0], "search": {"params": {"hydra.job_logging": "choice({class:evil.X},1)"}}}
    (foreign / "asked.yaml").write_text(json.dumps(text))
    said = cli("sweep", "asked.yaml").err
    assert "search.params: hydra.job_logging=…: write it after the sweep's name on the command line" in said


@pytest.mark.parametrize("words", [
    words for words in IMPORTING.values() if not any(word.lstrip("+").startswith("hydra.") for word in words)
])  # fmt: skip
def test_a_job_composed_by_a_launcher_imports_nothing_untrusted(cli, foreign, words):
    """A search's trials are composed in its workers, also with values that were not checked before."""
    with composer():
        master = compose_config([])
        loader = _hydra.context(master).config_loader
        with refusing(trust=False):
            assert os.environ[REFUSED]  # which workers inherit
            with pytest.raises((ConfigError, HydraException)) as caught:
                loader.load_sweep_config(master, spelled(words, foreign))
    assert re.search("if you trust|an option is a file in a directory", str(caught.value))
    assert REFUSED not in os.environ
    assert not (foreign / "hacked").exists()


def test_an_option_is_not_read_from_outside_a_directory_of_options(cli, foreign):
    (word,) = spelled(["network=ELSEWHERE/network/mine"], foreign)
    outcome = cli("train", word, *SHORT)
    assert (outcome.code, len(outcome.problems)) == (2, 1)
    assert "an option is a file in a directory with options" in outcome.err
    assert not (foreign / "hacked").exists()


def test_a_run_with_custom_components_needs_trust_to_continue():
    assert trusting({"network": {"name": "mine:Net"}}) == " --trust"
    assert trusting({"network": {"name": "mlp"}}) == ""
    assert outside_names({"logger": "x"}) == set()
    variants = {"a": ["env.id=my:E"]}
    grid = {"command": "dqn-lab train -m --config-dir lab", "base": ["network=wide"], "variants": variants}
    assert imported(grid) == ["--config-dir=lab", "env.id=my:E"]
    assert imported({**grid, "command": "dqn-lab train -m -cd lab"}) == ["--config-dir=lab", "env.id=my:E"]
    assert imported({**grid, "command": "dqn-lab train -m", "variants": {"a": []}}) == []


@pytest.mark.parametrize("name", ["evil:Net", "gone", None, 3])
@pytest.mark.parametrize("command", ["verify", "evaluate", "inspect"])
def test_an_engine_is_taken_from_a_record_only_if_it_is_the_packages_own(cli, foreign, command, name):
    few = ("steps=100", "episodes=null", "evaluation.final_num_episodes=1", "logger=csv", "hydra.run.dir=given")
    assert cli("train", *few).code == 0
    record = json.loads((foreign / "given" / "run.json").read_text())
    (foreign / "given" / "run.json").write_text(json.dumps({**record, "engine": {"name": name}}))
    assert cli(command, "given").code == 0
    assert not (foreign / "hacked").exists()
