"""Bad input: each mistake one line on stderr, exit code 2, and nothing left behind."""

import os

import pytest

MISTAKES = {
    "netwrok=mlp24": "netwrok=mlp24: no such key; did you mean network?",
    "network=mlp42": "network=mlp42: no such option; did you mean mlp",
    "experiment=acrobot/dqm": "experiment=acrobot/dqm: no such option; did you mean acrobot/dqn?",
    "env=minatar/brekout": "env=minatar/brekout: no such option; did you mean minatar/breakout?",
    "optimizer.lr.start=1e-3": "optimizer.lr.start=1e-3: optimizer.lr=0.001 has no keys; set it as a whole",
    "network=null": "network=null: ",
    "network=nature_cnn": "network=nature_cnn: needs images to observe, a Box of three axes (channels, height, width)",
    "network=minatar_cnn": "network=minatar_cnn: needs images to observe, a Box of three axes (height, width",
    "target.intervall=10": "target.intervall=10: no such key; did you mean interval?",
    "target.interval=0": "target.interval=0: must be greater than 0",
    "target.interval=ten": "target.interval=ten: must be a valid integer",
    "target.interval=true": "target.interval=true: must be a valid integer",
    "target.interval=1.5": "target.interval=1.5: must be a valid integer",
    "target.unit=step": "target.unit=step: did you mean steps? choices: episodes, steps, updates",
    "lr=1e-3": "lr=1e-3: no such key; did you mean optimizer.lr?",
    "learning_rate=1e-3": "learning_rate=1e-3: no such key; did you mean optimizer.lr?",
    "gamma=0.9": "gamma=0.9: no such key; did you mean discount?",
    "batch_size=32": "batch_size=32: no such key; did you mean train.batch_size?",
    "buffer_size=1e4": "buffer_size=1e4: no such key; did you mean buffer.capacity?",
    "epsilon=0.1": "epsilon=0.1: no such key; did you mean exploration.start or exploration.end?",
    "hidden=64": "hidden=64: no such key; did you mean network.hidden?",
    "--episodes=10": "unrecognized arguments: --episodes=10; a key is set without dashes: episodes=10 (see --help)",
    "--multirn": "unrecognized arguments: --multirn; did you mean --multirun? (see --help)",
    "optimizer.lr=abc": "optimizer.lr=abc: must be a valid number",
    "optimizer.lr=-1": "optimizer.lr=-1: must be greater than 0",
    "optimizer.lr=nan": "optimizer.lr=nan: must be a finite number",
    "optimizer.lr=inf": "optimizer.lr=inf: must be a finite number",
    "buffer.capacity=-1": "buffer.capacity=-1: must be greater than 0",
    "buffer.capacity=1e18": "buffer.capacity=1000000000000000000: needs ",
    "buffer.capacity=32": "train.batch_size=64: must be at most buffer.capacity=32",
    "train.batch_size=0": "train.batch_size=0: must be greater than 0",
    "train.minibatch_size=65": "train.minibatch_size=65: must be at most train.batch_size=64",
    "network.hidden=[]": "network.hidden=[]: must have at least 1 item",
    "network.hidden=[24,-1]": "network.hidden[1]=-1: must be greater than 0",
    "optimizer.lr={start:1e-3,end:0,unit:steps}": "optimizer.lr.duration: must be given",
    "optimizer.lr={start:1,end:0,duration:0,unit:steps}": "optimizer.lr.duration=0: must be greater than 0",
    "optimizer.betas=[0.9]": "optimizer.betas[1]: must be given",
    "optimizer.betas=[0.9,1.0]": "optimizer.betas[1]=1.0: must be less than 1",
    "optimizer.max_grad_norm=0": "optimizer.max_grad_norm=0: must be greater than 0",
    "discount=1.5": "discount=1.5: must be less than or equal to 1",
    "seed=-1": "seed=-1: must be greater than or equal to 0",
    "episodes=0": "episodes=0: must be greater than 0",
    "episodes=null": "episodes=null, steps=null: one of them must say when the run ends",
    "env.id=NoSuch-v1": "env.id=NoSuch-v1: no such Gymnasium environment; choices: CartPole-v0",
    "env.id=CartPol-v1": "env.id=CartPol-v1: no such Gymnasium environment; did you mean CartPole-v1?",
    "env.id=Pendulum-v1": "env.id=Pendulum-v1: actions are Box(-2.0, 2.0, (1,), float32); supported: Discrete",
    "env.id=Blackjack-v1": "network=mlp: needs a Box of numbers to observe, got MultiDiscrete([32 11 2])",
    "env=frozen_lake": "network=mlp: needs a Box of numbers to observe, got Discrete(16); network=table looks",
    "network=table": "network.low=null: number 1 of those observed is unbounded",
    "device=quantum": "device=quantum: no such kind of device; here: cpu",
    "device=cuda:99": "device=cuda:99: not available on this machine; here: cpu",
    "hydra.run.dir=/dev/null/run": "/dev/null/run: cannot be written: Not a directory",
    "hydra.run.dir=/dev/null": "/dev/null: is not a directory",
    "target.interval=1,2": "target.interval=1,2: Ambiguous value",
    "target.interval=[1": "target.interval=[1: ",
    "+made.up=1": "made={\"up\": 1}: no such key",
    "value._target_=os.system": "value._target_=os.system: no such key",
    "network.name=os:system": "network.name=os:system: no class 'system' there",
    "env.kwargs=3": "env.kwargs=3: must be an object",
    "seed=${nothing}": "Interpolation key 'nothing' not found full_key: seed",
    "seed=???": "Missing mandatory value: seed",
    "num_threads=1e10": "num_threads=10000000000.0: must be less than or equal to 256",
    "optimiser.lr=3": "optimiser.lr=3: no such key; did you mean optimizer?",
    "--foo": "unrecognized arguments: --foo",
    "--confg-dir": "unrecognized arguments: --confg-dir; did you mean --config-dir?",
    "--config-dir=/nowhere": "--config-dir=/nowhere: no such directory",
    "--experimental-rerun=x.pickle": "--experimental-rerun: not supported, because it reads a pickle",
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_one_line(cli, quick, tmp_path, mistake):
    words = [word for word in quick if not word.startswith(mistake.partition("=")[0] + "=")]
    outcome = cli("train", *words, mistake)
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {MISTAKES[mistake]}")
    assert list(tmp_path.iterdir()) == []


def test_every_mistake_is_reported_at_once(cli, tmp_path):
    outcome = cli("train", "target.intervall=10", "netwrok=x", "optimizer.lr=-1", "seed=-1", "value.kappa=0")
    assert outcome.code == 2
    keys = sorted(line.split("=")[0].removeprefix("error: ") for line in outcome.problems)
    assert keys == ["netwrok", "optimizer.lr", "seed", "target.intervall", "value.kappa"]
    assert list(tmp_path.iterdir()) == []


def test_a_key_under_a_number_is_named_beside_other_unknown_keys(cli):
    outcome = cli("train", "optimizer.lr.start=1e-3", "foo=1", "target.tau.x=1")
    assert outcome.code == 2
    lines = [line.removeprefix("error: ") for line in outcome.err.splitlines()]
    assert [line.partition(": ")[0] for line in lines] == ["optimizer.lr.start=1e-3", "foo=1", "target.tau.x=1"]


@pytest.mark.parametrize(("words", "expected"), [
    (("target.interval=5,0", "seed=1,2"), "job 3 (target.interval=0 seed=1) and 1 more: target.interval=0: must be"),
    (("seed=1,2", "optimizer.lr=-1"), "every job: optimizer.lr=-1: must be greater than 0"),
    (("network=mlp24,mlp42",), "job 2 (network=mlp42): network=mlp42: no such option"),
    (("seed=1,1",), "job 2 (seed=1): the same as job 1"),
    (("seed=1,2", "hydra.sweep.dir=/dev/null/sweep"), "/dev/null/sweep: cannot be written"),
])  # fmt: skip
def test_every_job_of_a_grid_is_checked_before_the_first_starts(cli, tmp_path, words, expected):
    outcome = cli("train", "-m", *words)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {expected}")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_holds_a_run_is_refused(cli, quick, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    outcome = cli("train", *quick, f"hydra.run.dir='{finished}'")
    assert (outcome.code, outcome.err) == (2, f"error: {finished}: holds a run already\n")
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


@pytest.mark.parametrize(("words", "expected"), [
    (("trian",), "trian: no such command; did you mean train? choices: train, sweep, resume, "),
    (("components", "netwrk"), "netwrk: no such group; did you mean network?"),
    (("evaluate",), "the following arguments are required: RUN"),
    (("evaluate", "."), ".: no run here (there is no readable run.json)"),
    (("evaluate", "nowhere", "--episodes", "0"), "argument --episodes: 0: must be at least 1, at most 1,000,000"),
    (("evaluate", "nowhere", "--episodes", "ten"), "argument --episodes: invalid positive value: 'ten'"),
    (("evaluate", "nowhere", "--epsiodes", "3"), "unrecognized arguments: --epsiodes 3; did you mean --episodes?"),
])  # fmt: skip
def test_other_commands_say_in_one_line_what_is_wrong(cli, words, expected):
    outcome = cli(*words)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {expected}")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_by_pickle(path):
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch hacked'\ntR.")


@pytest.mark.parametrize("damage", [truncate, replace_by_pickle, os.unlink, lambda path: path.write_bytes(b"")])
def test_a_damaged_checkpoint_is_refused_and_never_executed(cli, finished, tmp_path, damage):
    damage(finished / "checkpoint" / "final.safetensors")
    outcome = cli("evaluate", finished)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert "final.safetensors: " in line
    assert not (tmp_path / "hacked").exists()


def test_a_checkpoint_of_another_network_is_refused(cli, quick, finished, tmp_path):
    cli("train", *quick, "network=mlp64", f"hydra.run.dir='{tmp_path}/other'")
    (tmp_path / "other" / "checkpoint" / "final.safetensors").replace(finished / "checkpoint" / "final.safetensors")
    outcome = cli("evaluate", finished)
    assert outcome.code == 2
    assert "holds another network" in outcome.err
