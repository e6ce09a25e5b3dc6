"""Bad input: each mistake is one line on stderr with exit code 2, and nothing is written."""

import os

import pytest

from dqn_lab._nearest import did_you_mean
from dqn_lab.cli import _compose
from dqn_lab.errors import ConfigError

MISTAKES = {
    "netwrok=mlp24": "netwrok=mlp24: no such key; did you mean network?",
    "network=mlp42": "network=mlp42: no such option; did you mean mlp",
    "experiment=acrobot/dqm": "experiment=acrobot/dqm: no such option; did you mean acrobot/dqn?",
    "env=minatar/brekout": "env=minatar/brekout: no such option; did you mean minatar/breakout?",
    "optimizer.lr.start=1e-3": "optimizer.lr.start=1e-3: optimizer.lr=0.001 has no keys; set it as a whole: "
    "'optimizer.lr={start: …, end: …, duration: …, unit: …}'",
    "optimizer.lr=linear": "optimizer.lr=linear: must be a number, or a schedule: "
    "'optimizer.lr={start: …, end: …, duration: …, unit: …}'",
    "optimizer.lr=[1e-3,1e-4]": "optimizer.lr=[0.001, 0.0001]: must be a number, or a schedule: 'optimizer.lr={start",
    "train.replay_ratio=4": "train.replay_ratio=4: no such key; updates per environment step: train.interval=1 "
    "train.num_updates=4",
    "exploration__end=0.1": "exploration__end=0.1: no such key; write a dot: exploration.end=0.1",
    "seed.x=1": "seed.x=1: seed=0 has no keys",
    "network=null": "network=null: must be one of the group's options; choices: ",
    "network=nature_cnn": "network=nature_cnn: needs images as observations, a Box of three axes (channels, ",
    "network=minatar_cnn": "network=minatar_cnn: needs images as observations, a Box of three axes (height, width",
    "device=${oc.env:HOME}": "device=${oc.env:HOME}: run.json would hold the variable's value",
    "target.intervall=10": "target.intervall=10: no such key; did you mean interval?",
    "target.interval=0": "target.interval=0: must be greater than 0",
    "target.interval=ten": "target.interval=ten: must be a whole number",
    "target.interval=true": "target.interval=true: must be a whole number",
    "target.interval=1.5": "target.interval=1.5: must be a whole number",
    "target.unit=step": "target.unit=step: no such choice; did you mean steps? choices: episodes, steps, updates",
    "lr=1e-3": "lr=1e-3: no such key; did you mean optimizer.lr?",
    "learning_rate=1e-3": "learning_rate=1e-3: no such key; did you mean optimizer.lr?",
    "gamma=0.9": "gamma=0.9: no such key; did you mean discount?",
    "batch_size=32": "batch_size=32: no such key; did you mean train.batch_size?",
    "buffer_size=1e4": "buffer_size=1e4: no such key; did you mean buffer.capacity?",
    "epsilon=0.1": "epsilon=0.1: no such key; ε goes from exploration.start to exploration.end; a constant one is "
                   "exploration=constant exploration.epsilon=0.1",
    "algo=dqn": "algo=dqn: no such key; did you mean experiment?",
    "optimizer.learning_rate=1": "optimizer.learning_rate=1: no such key; did you mean optimizer.lr?",
    "train.gamma=1": "train.gamma=1: no such key; did you mean discount?",
    "network.layers=2": "network.layers=2: no such key; did you mean network.hidden?",
    "buffer.batch_size=2": "buffer.batch_size=2: no such key; did you mean train.batch_size?",
    "train_batch_size=2": "train_batch_size=2: no such key; did you mean train.batch_size?",
    "optimizer.lr=1e-3,1e-4": "optimizer.lr=1e-3,1e-4: several values need `train -m`",
    "logger=tb": "logger=tb: no such option; did you mean tensorboard?",
    "display=quiet": "display=quiet: no such choice; choices: auto, bar, lines, notebook, none",
    "steps=10k": "steps=10k: must be a whole number, as in 10_000 or 1e4",
    "exploration_fraction=0.1":
        "exploration_fraction=0.1: no such key; ε falls over a number of steps: exploration=linear exploration.unit",
    "target_update_interval=100":
        "target_update_interval=100: no such key; write target.interval=100 target.unit=steps",
    "num_envs=4": "num_envs=4: no such key; a run has one environment; several runs are `train -m",
    "env-id=CartPole-v1": "env-id=CartPole-v1: no such key; write underscores or dots, not dashes: env.id=CartPole-v1",
    "batch-size=8": "batch-size=8: no such key; write underscores or dots, not dashes: train.batch_size=8",
    "network.hidden=[64,64,]": "network.hidden=[64,64,]: has an extra comma: network.hidden=[64,64]",
    "double_q=true": "double_q=true: no such key; write bootstrap=double",
    "prioritized_replay=true": "prioritized_replay=true: no such key; write buffer=prioritized",
    "end_e=0.1": "end_e=0.1: no such key; did you mean exploration.end?",
    "network=cnn": "network=cnn: no such option; did you mean nature_cnn?",
    "PER": "PER: is not KEY=VALUE; write buffer=prioritized",
    "rainbow": "rainbow: is not KEY=VALUE; did you mean experiment=rainbow?",
    "CartPole-v1": "CartPole-v1: is not KEY=VALUE; did you mean env.id=CartPole-v1?",
    "value=mse": "value=mse: no such option; did you mean expected?",
    "epsilon_decay=0.9": "epsilon_decay=0.9: no such key; did you mean exploration.decay?",
    "hydra.launcher.n_jobs=2": "hydra.launcher.n_jobs=2: no such key; several jobs at once: hydra/launcher=joblib "
                               "hydra.launcher.n_jobs=2",
    "experiment=ddqn": "experiment=ddqn: no such option; did you mean double_dqn?",
    "experiment=DQN": "experiment=DQN: no such option; did you mean dqn?",
    "env=pong": "env=pong: no such option; did you mean atari/pong?",
    "optimizer=adam,sgd": "optimizer=adam,sgd: several values need `train -m`",
    "env.kwargs.foo=1": "env.kwargs={'foo': 1}: CartPole-v1 has no argument foo; choices: sutton_barto_reward",
    "network=double": "network=double: no such option; did you mean bootstrap=double? choices: minatar_cnn, ",
    "network=dueling": "network=dueling: no such option; did you mean experiment=dueling or network.dueling=true? ",
    "network=dqn": "network=dqn: no such option; did you mean experiment=dqn? choices: ",
    "network=wide": "network=wide: no such option; choices: minatar_cnn, mlp120x84, mlp24, mlp256, mlp64, nature_cnn, "
                    "table; if it is your own option, add --config-dir DIR",
    "env=MyEnv-v0": "env=MyEnv-v0: no such option; did you mean env.id=MyEnv-v0? choices: ",
    "env.id=Nope-v0": "env.id=Nope-v0: no such Gymnasium environment; choices: CartPole-v0, CartPole-v1, "
                      "MountainCar-v0, Acrobot-v1, ",
    "env=atari/ponk": "env=atari/ponk: no such option; did you mean atari/pong? choices: atari/breakout, atari/pong, ",
    "experiment=published/zoo": "experiment=published/zoo: no such option; choices: published/",
    "network=[64,64]": "network=[64,64]: must be one of the group's options; did you mean network.hidden=[64,64]? choi",
    "network={hiden:[8]}": "network={hiden:[8]}: hiden: no such key; did you mean hidden? choices: hidden, ",
    "optimizer=0.1": "optimizer=0.1: must be one of the group's options; choices: adam, ",
    "logger=[3]": "logger=[3]: must be one of the group's options; choices: csv, ",
    "network.hidden='[64, 64]'":
        "network.hidden='[64, 64]': is text, in quotes; without them: network.hidden=[64,64]",
    "wandb.mode=offline": "wandb.mode=offline: no such key here; did you mean logger=[csv,wandb] logger.wandb.mode=…?",
    "policy_kwargs=1": "policy_kwargs=1: no such key; the network has keys of its own, as in network.hidden=[64,64]",
    "activation_fn=tanh": "activation_fn=tanh: no such key; did you mean network.activation?",
    "target_tau=0.1": "target_tau=0.1: no such key; write target=polyak target.tau=0.1",
    "env='CartPole-v1'": "env=CartPole-v1: no such option; did you mean cartpole?",
    "optimizer.lr={start:1,end:0,duration:0.1,unit:steps}":
        "optimizer.lr.duration=0.1: must be a whole number, not a fraction of the run",
    "target=soft": "target=soft: no such option; did you mean polyak?",
    "env.rungs=4": "env.rungs=4: no such key; choices: id, implementation, ",
    "--learning-rate=1e-3": "unrecognized arguments: --learning-rate=1e-3; a key is set without dashes: "
    "optimizer.lr=1e-3 (see --help)",
    "hidden=64": "hidden=64: no such key; did you mean network.hidden?",
    "hidden_sizes=64": "hidden_sizes=64: no such key; did you mean network.hidden?",
    "tau=0.01": "tau=0.01: no such key here; did you mean target=polyak target.tau=…?",
    "target.tau=0.01":
        "target.tau=0.01: no such key here; did you mean target=polyak target.tau=…? choices here: interval, unit",
    "exploration.epsilon=0.1": "exploration.epsilon=0.1: no such key here; did you mean exploration=constant "
    "exploration.epsilon=…?",
    "network.name=residual": "network.name=residual: no such component; choices: minatar_cnn, mlp, nature_cnn, table; "
    "a custom one is MODULE:CLASS",
    "env.id=CartPole": "env.id=CartPole: has no version, so its meaning may change; write env.id=CartPole-v1",
    "double=true": "double=true: no such key here; did you mean bootstrap=double?",
    "wandb=false": "wandb=false: no such key here; did you mean logger=wandb?",
    "logger=none": "logger=none: no such option; choices: csv, tensorboard, wandb; for no logger, write logger=[]",
    "network=parts:Mine": "network=parts:Mine: no such option; choices: minatar_cnn, mlp120x84, mlp24, mlp256, mlp64, "
    "nature_cnn, table; name a custom component in a new yaml file, DIR/network/NAME.yaml (--config-dir DIR)",
    "env.id=nowhere:Line-v0": "env.id=nowhere:Line-v0: no module 'nowhere' on Python's path; name its directory ",
    "network.hidden=[8] seed=1": "network.hidden=[8] seed=1: contains several overrides; pass each as its own argument",
    "--episodes=10": "unrecognized arguments: --episodes=10; a key is set without dashes: episodes=10 (see --help)",
    "--multirn": "unrecognized arguments: --multirn; did you mean --multirun? (see --help)",
    "optimizer.lr=abc": "optimizer.lr=abc: must be a number",
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
    "network=table": "network.low=null: observed number 1 is unbounded",
    "device=quantum": "device=quantum: no such type of device; available: cpu",
    "device=cuda:99": "device=cuda:99: not available on this machine; available: cpu",
    "hydra.run.dir=/dev/null/run": "/dev/null/run: cannot be written: Not a directory",
    "hydra.run.dir=/dev/null": "/dev/null: is not a directory",
    "target.interval=1,2": "target.interval=1,2: several values need `train -m`",
    "network.hidden=1,2": "network.hidden=1,2: several values need `train -m`; a list is written network.hidden=[1,2]",
    "seed=range(3)": "seed=range(3): a run has one seed; several need `train -m seed=0,1,2`",
    "seed=[0,1]": "seed=[0,1]: a run has one seed; several need `train -m seed=0,1,2`",
    "seed='0,1'": "seed='0,1': a run has one seed; several need `train -m seed=0,1,2`",
    "target.interval=[1": "target.interval=[1: a bracket is not closed",
    "target.interval": "target.interval: has no value; write target.interval=VALUE",
    "a = 5": "a = 5: write it without spaces: a=5",
    "[32, 32": "[32, 32: is not KEY=VALUE, as in seed=3 or network=mlp64",
    "evaluation=none": "evaluation=none: evaluation is a section, whose keys are set one by one: evaluation.interval, ",
    "network.hidden=64": "network.hidden=64: must be a list, as in network.hidden=[64]",
    "network.hidden[0]=3": "network.hidden[0]=3: an item of a list cannot be set alone; set the whole list: net",
    "seed=int(abc)": "seed=int(abc): its value cannot be read; put quotes around text with special characters",
    "seed=maybe(3)": "seed=maybe(3): no such function maybe; put quotes around text",
    "=3": "=3: has no key; write KEY=VALUE, as in seed=3",
    "seed=\x07": "seed=\\x07: has a character that cannot be printed",
    f"network={'n' * 5_000}": f"network={'n' * 400}",
    "--resume": "unrecognized arguments: --resume; `python -m dqn_lab resume RUN` continues a run",
    "--seed 3": "--seed 3: a key is set without dashes: seed=3",
    "logger=[csv,tensorbord]": "logger=[csv,tensorbord]: logger=tensorbord: no such option; did you mean tensorboard?",
    "logger.csv=null": "logger.csv=null: must be a logger; list loggers as in logger=[csv]",
    "+seed=3": "+seed=3: exists already; write it without +: seed=3",
    "~nothing": "~nothing: no such key; choices: seed",
    "hydra.run.dir=": "hydra.run.dir, hydra.sweep.dir: must name a directory, not the current one",
    f"hydra.run.dir={'d' * 5_000}": "ddd",
    "hydra/launcher=nope": "hydra/launcher=nope: no such option; choices: basic, joblib",
    "hydra.job.num=x": "hydra.job.num=x: cannot be set to this value",
    "optimizer.lr={start:1,end:0,durations:9,unit:steps}": "optimizer.lr.duration: must be given",
    "+made.up=1": "made={\"up\": 1}: no such key",
    "value._target_=os.system": "value._target_=os.system: no such key",
    "network.name=os:system": "network.name=os:system: no class 'system' in os",
    "network.name=table": "network.name=table: has other keys than the chosen option; write network=table",
    "network.name=mlp64": "network.name=mlp64: an option, not a component; write network=mlp64",
    "network={name: mlp64}": "network={name: mlp64}: an option, not a component; write network=mlp64",
    "network={name: parts:Mine, width: 8}": "network={name: parts:Mine, width: 8}: name a custom component in a new "
    "yaml file, DIR/network/NAME.yaml (--config-dir DIR)",
    "--env CartPole-v1": "--env CartPole-v1: a key is set without dashes: env.id=CartPole-v1",
    "MlpPolicy": "MlpPolicy: is not KEY=VALUE; did you mean network=mlp64?",
    "exploration=eps_greedy": "exploration=eps_greedy: no such option; did you mean linear?",
    "episodes=none": "episodes=none: must be a whole number, or null",
    "logger=null": "logger=null: must be one of the group's options; choices: csv, tensorboard, wandb; for no logger, "
    "write logger=[]",
    "config_dir=lab": "config_dir=lab: no such key; write --config-dir lab",
    "env.id=cartpole": "env.id=cartpole: no such Gymnasium environment; did you mean CartPole-v1? choices:",
    "env.id=Frozen_Lake": "env.id=Frozen_Lake: no such Gymnasium environment; did you mean FrozenLake-v1? choices:",
    "env.kwargs=3": "env.kwargs=3: must be a mapping, as in env.kwargs={name: 1}",
    "seed=${nothing}": "seed: ${nothing}: no such key",
    "seed=???": "seed: must be given",
    "num_threads=1e10": "num_threads=10000000000.0: must be less than or equal to 256",
    "optimiser.lr=3": "optimiser.lr=3: no such key; did you mean optimizer.lr?",
    "--foo": "unrecognized arguments: --foo",
    "--confg-dir": "unrecognized arguments: --confg-dir; did you mean --config-dir?",
    "--config-dir=/nowhere": "--config-dir=/nowhere: no such directory",
    "--experimental-rerun=x.pickle": "--experimental-rerun: not supported, because it reads a pickle",
}  # fmt: skip


@pytest.mark.parametrize("words", [
    "buffer=prioritised buffer.alpha=0.5", "target=polyack target.tau=0.1",
    "hydra/launcher=jobli hydra.launcher.n_jobs=3",
])  # fmt: skip
def test_the_keys_of_an_unknown_option_are_not_judged(cli, words):
    outcome = cli("train", "-m", *words.split())
    assert outcome.code == 2
    assert outcome.err.count("\n") == outcome.err.count(": no such option; did you mean") == 1


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_in_one_line(cli, quick, tmp_path, mistake):
    words = [word for word in quick if not word.startswith(mistake.partition("=")[0] + "=")]
    outcome = cli("train", *words, mistake)
    assert outcome.code == 2
    assert outcome.out == ""
    line, *others = outcome.err.splitlines()
    assert len(others) == ("durations" in mistake)
    assert line.startswith(f"error: {MISTAKES[mistake]}")
    assert list(tmp_path.iterdir()) == []


def test_flags_of_other_libraries_are_translated_with_their_values(cli):
    outcome = cli("train", "--env-id", "CartPole-v1", "--total-timesteps", "1000")
    assert outcome.problems[0].endswith("a key is set without dashes: env.id=CartPole-v1 steps=1000 (see --help)")
    assert "env.kwargs.rungs=…" in cli("train", "env.rungs=4").err


def test_suggestions_compare_numbers_by_value():
    assert did_you_mean("optimizer.lr=1e-3", ["optimizer.lr=0.01", "optimizer.lr=0.001"]).endswith("0.001? ")
    assert did_you_mean("lr=1e-3", ["lr=0.003,n=9", "lr=0.001,n=10"]).endswith("'lr=0.001,n=10'? ")


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
    assert (outcome.code, outcome.err) == (
        2,
        f"error: {finished}: holds a run already; choose another directory, or remove this one\n",
    )
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}


@pytest.mark.parametrize(("words", "expected"), [
    (("trian",), "trian: no such command; did you mean train? choices: train, sweep, resume, "),
    (("components", "netwrk"), "netwrk: no such group; did you mean network?"),
    (("evaluate",), "the following arguments are required: RUN"),
    (("evaluate", "."), ".: no run here (there is no readable run.json)"),
    (("evaluate", "nowhere"), "nowhere: no such directory"),
    (("resume",), "the following arguments are required: RUN (see"),
    (("components", "mlp24"), "mlp24: no such group; did you mean components network? choices: env, "),
    (("sweep", "replay", "seeds=range(3)"), "seeds=range(3): write seed='range(3)'"),
    (("sweep", "replay", "seeds=5"), "seeds=5: write seed='range(5)' for 5 seeds, or seed=5 for this one seed"),
    (("sweep", "replay", "--seeds", "5"), "unrecognized arguments: --seeds 5; write seed='range(5)' for 5 seeds, or"),
    (("sweep", "replay", "--variants", "uniform"), "unrecognized arguments: --variants uniform; belongs in a"),
    (("sweep", "replay", "n_jobs=2"), "n_jobs=2: write hydra.launcher.n_jobs=2"),
    (("train", "--num-envs", "4"), "unrecognized arguments: --num-envs; a run has one environment"),
    (("evaluate", "no\0where"), "no\\x00where: no such directory"),
    (("evaluate", "n" * 5_000), "nnn"),
    (("sweep", "target_intervall"), "target_intervall: no such question; did you mean target_interval?"),
    (("sweep", "replay", "--dir", ""), "argument --dir: '': must name a directory"),
    (("sweep", "replay", "hydra.launcher=nope"), "hydra.launcher=nope: choose a launcher with hydra/"),
    (("sweep", "replay", "hydra.launcher.n_jobs=0"), "hydra.launcher.n_jobs=0: must be at least 1"),
    (("train", "-m", "seed=1,2", "hydra.launcher=nope"), "hydra.launcher=nope: choose a launcher with hydra/"),
    (("train", "-m", "seed=1,2", "hydra/sweeper=optuna"), "hydra/sweeper=optuna: a grid runs every combination of its"),
    (("train", "-m", "seed=1,2", "hydra.sweeper._target_=hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.Sweeper"),
     "hydra/sweeper=basic: a grid runs every combination of its values; to search, write a question with `search:`"),
    (("train", "-m", "seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=0"), "hydra.launcher.n_jobs=0: must"),
    (("train", "-m", "seed=1,2", "hydra.launcher._target_=os.system"), "hydra.launcher=os.system: choose a launcher"),
    (("train", "-m", "seed=1,2", "hydra.sweep.dir="), "hydra.run.dir, hydra.sweep.dir: must name a directory"),
    (("train", "--config-dir", ""), "--config-dir=: no such directory"),
    (("train", "--config-dir", "c" * 5_000), "--config-dir=ccc"),
    (("-sc", "install=tcsh"), "-sc: must be install=bash, install=zsh or install=fish"),
    (("evaluate", "nowhere", "--episodes", "0"), "argument --episodes: 0: must be at least 1, at most 1,000,000"),
    (("evaluate", "nowhere", "--episodes", "ten"), "argument --episodes: ten: must be a whole number, at least 0"),
    (("evaluate", "nowhere", "--epsiodes", "3"), "unrecognized arguments: --epsiodes 3; did you mean --episodes?"),
])  # fmt: skip
def test_other_commands_say_in_one_line_what_is_wrong(cli, tmp_path, words, expected):
    outcome = cli(*words)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {expected}")
    assert list(tmp_path.iterdir()) == []


def test_evaluate_names_the_runs_that_are_there(cli, finished, tmp_path):
    """A directory of runs, a file and a missing path each get their own message."""
    errors = [cli("evaluate", path).err for path in (tmp_path, finished / "episodes.csv", tmp_path / "nothing")]
    assert errors[0] == f"error: {tmp_path}: is not a run; runs below it: {finished}\n"
    assert errors[1] == f"error: {finished / 'episodes.csv'}: is a file; name a run's directory: {finished}\n"
    assert errors[2] == f"error: {tmp_path / 'nothing'}: no such directory\n"


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_played(cli, finished, tmp_path, monkeypatch):
    monkeypatch.setattr("dqn_lab.cli.evaluate.play", None)
    outcome = cli("evaluate", finished, "--csv", tmp_path / "nowhere" / "scores.csv")
    path = tmp_path / "nowhere"
    assert (outcome.code, outcome.err) == (2, f"error: --csv {path / 'scores.csv'}: no such directory: {path}\n")


def test_a_list_that_the_shell_split_at_spaces_is_joined(cli):
    outcome = cli("train", "network.hidden=[32,", "0]", "a", "=", "5")
    assert outcome.problems == [
        "error: a = 5: write it without spaces: a=5",
        "error: network.hidden[1]=0: must be greater than 0",
    ]


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
    assert ("has no final policy; policies here: best" if damage is os.unlink else "final.safetensors: ") in line
    assert not (tmp_path / "hacked").exists()


def test_a_checkpoint_of_another_network_is_refused(cli, quick, finished, tmp_path):
    cli("train", *quick, "network=mlp64", f"hydra.run.dir='{tmp_path}/other'")
    (tmp_path / "other" / "checkpoint" / "final.safetensors").replace(finished / "checkpoint" / "final.safetensors")
    outcome = cli("evaluate", finished)
    assert outcome.code == 2
    assert "holds another network" in outcome.err


def test_a_misspelt_environment_is_looked_up_in_its_module(cli, tmp_path):
    (tmp_path / "my_envs.py").write_text(
        "import gymnasium\nfor name in ('Grid-v0', 'Maze-v0'):\n    gymnasium.register(name, 'my_envs:Grid')\n"
    )
    outcome = cli("train", "--config-dir", ".", "env.id=my_envs:Grid-v3")
    said = "no such Gymnasium environment; did you mean my_envs:Grid-v0? choices: my_envs:Grid-v0, my_envs:Maze-v0"
    assert outcome.problems == [f"error: env.id=my_envs:Grid-v3: {said}"]


def test_an_unregistered_class_is_refused_with_the_line_that_registers_it(cli, tmp_path):
    names = "import gymnasium\nclass Bare(gymnasium.Env): ...\nclass Known(gymnasium.Env): ...\n"
    (tmp_path / "bare_envs.py").write_text(f"{names}gymnasium.register(id='Well-v0', entry_point='bare_envs:Known')\n")
    line = 'gymnasium.register(id="Bare-v0", entry_point="bare_envs:Bare")'
    said = cli("train", "--config-dir", ".", "env.id=bare_envs:Bare").problems
    assert said == [f"error: env.id=bare_envs:Bare: a class that is not registered; add {line} to its module and "
                    "write env.id=bare_envs:Bare-v0"]  # fmt: skip
    said = cli("train", "--config-dir", ".", "env.id=bare_envs:Known").problems
    assert said == ["error: env.id=bare_envs:Known: a class; its environment is env.id=bare_envs:Well-v0"]
    said = cli("train", "--config-dir", ".", "env.id=bare_envs.py:Well-v0").problems
    assert said == ["error: env.id=bare_envs.py:Well-v0: a module is named without .py and slashes: bare_envs"]


def test_a_second_multirun_in_a_directory_is_refused(cli, quick, tmp_path):
    words = ("train", "-m", "seed=1,2", "hydra.sweep.dir=runs", *quick)
    assert cli(*words).code == 0
    outcome = cli(*words)
    assert outcome.code == 2
    assert outcome.out == ""
    assert [line.partition(": ")[0] for line in outcome.err.splitlines()] == ["error", "error"]
    assert all(line.endswith("holds a run already") for line in outcome.err.splitlines())


@pytest.mark.parametrize("override", ["netwrok=mlp24", "target.intervall=10"])
def test_a_misspelt_key_is_found_with_one_composition(monkeypatch, override):
    """Composing takes most of the time until the error is printed."""
    composed = []
    real = _compose.compose
    monkeypatch.setattr(_compose, "compose", lambda *args, **kwargs: composed.append(args) or real(*args, **kwargs))
    with _compose.composer(), pytest.raises(ConfigError, match="no such key; did you mean"):
        _compose.compose_config(["seed=1", override])
    assert [words for _, words in composed] == [["seed=1"]]
