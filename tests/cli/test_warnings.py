"""Warnings about valid but probably unintended compositions: printed once and kept in the run's record."""

import json
import os
import subprocess
import sys

import pytest

from dqn_lab.cli import warn

NOISY = "network.noisy=true, exploration=exponential: both explore; exploration=none leaves it to the noise"
LONG = "bootstrap=munchausen, buffer.n_step=3: an approximation, without the steps in between"

ONE = "bootstrap=double, target=none: the same as bootstrap=max, because there is only one network"
UNUSED = "buffer=none, train.batch_size=128: has no effect; a batch is the transition just stored"
RISING = "exploration.start=0.1, exploration.end=0.5: ε rises, so the policy explores more and more"
RAMP = '{"start": 0.0001, "end": 0.001, "duration": 9, "unit": "steps"}'
NARROW = (
    "network.layer_norm=true, network.hidden=[8, 2]: a norm over one feature yields a constant, and over two only "
    "their order; the network hardly learns"
)


def warnings(outcome):
    return [line.removeprefix("warning: ") for line in outcome.err.splitlines() if line.startswith("warning: ")]


def test_a_warning_from_gymnasium_is_one_plain_line(tmp_path):
    words = ("env.id=CartPole-v0", "episodes=2", "evaluation.final_num_episodes=1", "logger=csv", "display=none")
    done = subprocess.run(
        [sys.executable, "-m", "dqn_lab", "train", *words], cwd=tmp_path, capture_output=True, text=True
    )
    found = [line for line in done.stderr.splitlines() if "out of date" in line]
    assert len(found) == 1
    assert found[0].startswith("warning: The environment CartPole-v0 is out of date. ")
    assert done.stderr.count("\x1b") == 0


def on_record(root):
    return sorted((json.loads(path.read_text())["warnings"] for path in root.rglob("run.json")), key=len)


@pytest.mark.parametrize(("overrides", "expected"), [
    ((), []),
    (("network.noisy=true",), [NOISY]),
    (("network.noisy=true", "exploration=none"), []), (("network.noisy=true", "network.noisy_layers=head"), []),
    (("network.hidden=[8,2]", "network.layer_norm=true"), [NARROW]),
    (("network.hidden=[8,3]", "network.layer_norm=true"), []), (("network.hidden=[8,2]",), []),
    (("bootstrap=munchausen", "buffer.n_step=3"), [LONG]),
    (("bootstrap=munchausen",), []), (("bootstrap=double", "buffer.n_step=3"), []),
    (("bootstrap=munchausen", "buffer=none"), []),
    (("bootstrap=double", "target=none"), [ONE]), (("bootstrap=double", "target=polyak"), []),
    (("buffer=none", "train.batch_size=128"), [UNUSED]), (("buffer=none", "train.batch_size=1"), []),
    (("bootstrap=munchausen", "buffer=prioritized", "buffer.n_step=3", "network.noisy=true"), [NOISY, LONG]),
    (("exploration=linear", "exploration.start=0.1", "exploration.end=0.5"), [RISING]),
    (("exploration=ez_greedy", "exploration.start=0.1", "exploration.end=0.5"), [RISING]),
    (("exploration=piecewise", "exploration.points=[[0,1],[10,0.1],[20,0.5]]"),
     ["exploration.points=[[0, 1.0], [10, 0.1], [20, 0.5]]: ε rises, so the policy explores more and more"]),
    (("exploration=piecewise",), []),
    (("optimizer.lr={start:1e-4,end:1e-3,duration:9,unit:steps}",),
     [f"optimizer.lr={RAMP}: it rises, and stays at its largest value to the end of the run"]),
    (("exploration=boltzmann", "exploration.temperature={start:1e-4,end:1e-3,duration:9,unit:steps}"),
     [f"exploration.temperature={RAMP}: it rises, so the policy explores more and more"]),
    (("value=categorical", "network=mlp24"), []),
    (("target.interval=1", "seed=3", "target.interval=2"),
     ["target.interval=1: has no effect, because target.interval=2 follows"]),
    (("value=categorical", "value.v_max=20"),
     ["value.v_max=20: discounted returns of this environment reach about 99.3, and the support clips them"]),
    (("value=categorical", "env=mountain_car"),
     ["value.v_min=0: discounted returns of this environment reach about -86.6, and the support clips them"]),
    (("value=categorical", "env=acrobot", "value.v_min=-100", "value.v_max=0"), []),
    (("value=categorical", "value.v_max=20", "train.max_reward=1"), []),
    (("value=categorical", "env.return_bounds=[0,1e4]", "env.max_episode_steps=100"),
     ["value.v_max=100: discounted returns of this environment reach about 6.34e+03, and the support clips them"]),
])  # fmt: skip
def test_a_warning_is_printed_once_and_kept_in_the_record(cli, quick, tmp_path, overrides, expected):
    outcome = cli("train", *quick, "train.learning_starts=10_000", *overrides)
    assert outcome.code == 0
    assert warnings(outcome) == expected
    assert on_record(tmp_path) == [expected]


@pytest.mark.parametrize(("overrides", "expected"), [
    (("train.learning_starts=49",), []),
    (("train.learning_starts=50",),
     ["train.learning_starts=50, steps=50: the run ends with its first learning step"]),
    (("train.learning_starts=51",),
     ["train.learning_starts=51, steps=50: the run ends before anything is learned"]),
    (("train.learning_starts=1", "train.batch_size=51"),
     ["train.batch_size=51, steps=50: the run ends before a whole batch is stored"]),
    (("train.learning_starts=1", "train.batch_size=64", "buffer=none"), []),
])  # fmt: skip
def test_a_run_that_ends_before_it_learns_gets_a_warning(cli, quick, overrides, expected):
    batch = () if "train.batch_size" in " ".join(overrides) else ("train.batch_size=32",)
    assert warnings(cli("train", *quick, "steps=50", *batch, *overrides)) == expected


@pytest.mark.parametrize(("end", "duration", "unit", "said"), [
    ("0.0", 40, "steps",
     ["from step 40 to 50 nothing is learned; a run with optimizer.lr.duration=50 learns to its end"]),
    ("1e-05", 40, "steps", []), ("0.0", 50, "steps", []), ("0.0", 40, "updates", []), ("0.0", 40, "episodes", []),
])  # fmt: skip
def test_a_learning_rate_that_is_zero_before_the_run_ends_gets_a_warning(cli, quick, end, duration, unit, said):
    lr = f"{{start: 0.001, end: {end}, duration: {duration}, unit: {unit}}}"
    outcome = cli("train", *quick, "train.learning_starts=9", "train.batch_size=8", "episodes=null", "steps=50",
                  f"optimizer.lr={lr}")  # fmt: skip
    assert [line.partition("}: ")[2] for line in warnings(outcome) if line.startswith("optimizer.lr")] == said
    limited = cli("train", *quick, "train.learning_starts=9", "train.batch_size=8", "episodes=3", "steps=50",
                  f"optimizer.lr={lr}")  # fmt: skip
    assert not [line for line in warnings(limited) if line.startswith("optimizer.lr")]  # the run may end sooner


def test_a_warning_about_several_jobs_of_a_grid_is_printed_once(cli, quick, tmp_path):
    outcome = cli("train", "-m", *quick, "train.learning_starts=10_000", "network.noisy=false,true", "seed=0,1")
    assert warnings(outcome) == [NOISY]
    assert on_record(tmp_path) == [[], [], [NOISY], [NOISY]]


@pytest.mark.parametrize("words", [("train", "-m", "seed=0,1"), ("sweep", "replay", "--dry-run")])
def test_an_override_without_effect_is_named_by_a_grid_and_a_sweep(cli, quick, words):
    outcome = cli(*words, *quick, "discount=0.5", "discount=0.9")
    assert warnings(outcome)[0] == "discount=0.5: has no effect, because discount=0.9 follows"


def test_another_command_prints_the_warning_again(cli, quick):
    command = ("train", *quick, "train.learning_starts=10_000", "network.noisy=true")
    assert warnings(cli(*command)) == warnings(cli(*command)) == [NOISY]


def test_a_refused_grid_prints_no_warning(cli, quick):
    outcome = cli("train", "-m", *quick, "network.noisy=true", "buffer.capacity=32,64", "train.batch_size=64")
    assert outcome.code == 2
    assert warnings(outcome) == []


def test_components_lists_the_warnings(cli):
    assert "warnings: With `noisy` in all layers the noise explores by itself" in cli("components", "network").out
    assert "warnings: With buffer.n_step above 1 it is an approximation." in cli("components", "bootstrap").out


def test_a_warning_of_several_lines_is_printed_once_and_many_fit_in_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("DQN_LAB_WARNED", "")
    warn("one\ntwo")
    warn("one\ntwo", *(f"{number} {'long ' * 100}" for number in range(2_000)))
    lines = capsys.readouterr().err.splitlines()
    assert sum("one two" in line for line in lines) == 1
    assert len(os.environ["DQN_LAB_WARNED"]) < 20_000
