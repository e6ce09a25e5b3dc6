"""The compiled rollout gives the bytes of the Python one, rows and whole state, for strides of any length."""

import itertools

import numpy as np
import pytest
import torch

from dqn_lab import registry
from dqn_lab.build import build
from dqn_lab.evaluate import evaluate
from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy
from dqn_lab.schedule import NEVER
from dqn_lab.statefile import Rows
from dqn_lab.types import StateError, TrainingError
from tests.env import faulty as faulty  # registers its environments
from tests.rollout.compositions import at_random, pairwise

STEPS = 260
COMPILED = "env.implementation=compiled"
BUFFERS = "tests.engine.fused.buffers"


def play(rolling, until, length, rows=None):
    """Advances in strides of at most `length` steps; returns the episodes' rows."""
    rows = [] if rows is None else rows
    while (step := rolling.progress.step) < until:
        rows += rolling.advance(NEVER._replace(step=min(until, step + length))).episodes
    return rows


def assert_same(one, other, where="state"):
    """Checks that two states are the same bit for bit."""
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}[{i}]")
    elif isinstance(one, Rows):
        assert one.written == other.written, where
        assert one.array.tobytes() == other.array.tobytes(), where
    elif isinstance(one, torch.Tensor):
        assert one.numpy().tobytes() == other.numpy().tobytes(), where
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()), where
    else:
        assert repr(one) == repr(other), where


def compare(configure, overrides, lengths=(97, 41), steps=STEPS):
    """Compares both rollouts on a composition, then continues each one's state in the other in mid-episode."""
    rollouts = [build(configure(f"rollout={name}", *overrides)).rollout for name in ("python", "compiled")]
    rows = [play(rolling, steps, length) for rolling, length in zip(rollouts, lengths, strict=True)]
    assert repr(rows[0]) == repr(rows[1])
    states = [rolling.state_dict() for rolling in rollouts]
    assert_same(*states)
    python, compiled = (
        build(configure(f"rollout={name}", *overrides, "seed=99")).rollout for name in ("python", "compiled")
    )
    python.load_state_dict(states[1])
    compiled.load_state_dict(states[0])
    assert repr(play(python, steps + 60, 1000)) == repr(play(compiled, steps + 60, 1))
    assert_same(python.state_dict(), compiled.state_dict())
    return rows[0]


@pytest.mark.parametrize("overrides", [
    pytest.param(overrides, id=",".join(overrides), marks=[pytest.mark.slow] if number % 8 else [])
    for number, overrides in enumerate(pairwise())
])  # fmt: skip
def test_every_composition_gives_the_same_bytes(configure, overrides):
    compare(configure, overrides)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_compositions_at_random_give_the_same_bytes(configure, seed):
    compare(configure, at_random(seed))


def test_the_tutorial_gives_the_same_bytes(configure):
    compare(configure, ("experiment=tutorial", COMPILED, "logger=csv"))


@pytest.mark.parametrize("schedule", [
    ("optimizer.lr={start: 1e-3, end: 1e-5, duration: 9000, unit: updates}",),
    ("exploration=linear", "exploration.unit=updates", "exploration.duration=9000"),
])  # fmt: skip
def test_a_schedule_with_thousands_of_updates_in_a_stride_gives_the_same_bytes(configure, schedule):
    words = COMPILED, "logger=csv", "network.hidden=[4]", "train.learning_starts=8", "train.batch_size=2"
    compare(configure, (*words, "train.num_updates=30", *schedule), lengths=(1000, 1000), steps=300)


MEASURED = {
    "default": (),
    "tutorial": ("experiment=tutorial",),
    "prioritized, n = 3, clipped": ("experiment=prioritized", "buffer.n_step=3", "train.max_reward=0.5"),
    "rainbow": ("experiment=rainbow", "train.batch_size=8"),
    "several batches, rarely": ("train.interval=3", "train.num_updates=2", "train.batch_size=8"),
    "minibatches": ("train.minibatch_size=4", "train.batch_size=8", "train.num_updates=2"),
    "no replay": ("buffer=none", "train.num_updates=3"),
    "iqn": ("experiment=iqn", "train.batch_size=8"),
    "rescaled": ("env=mountain_car", "env.max_episode_steps=30", "env.rescale=true", "train.learning_starts=0"),
}


@pytest.mark.parametrize("option", ["basic", "probe"])
@pytest.mark.parametrize("interval", [1, 7, 30])
@pytest.mark.parametrize("composition", [
    pytest.param(name, marks=[pytest.mark.slow] if name in ("rainbow", "iqn", "rescaled") else []) for name in MEASURED
])  # fmt: skip
def test_diagnostics_give_the_same_bytes(configure, composition, interval, option):
    measuring = f"diagnostics={option}", f"diagnostics.interval={interval}"
    words = COMPILED, "engine=fused", "logger=csv", "train.learning_starts=20", *MEASURED[composition]
    found = compare(configure, (*words, *measuring))
    assert sum(row["grad_norm"] is not None for row in found) > 1


def test_a_stride_ends_before_a_step_that_is_measured(configure):
    words = "train.learning_starts=64", "train.batch_size=64", "diagnostics=probe", "diagnostics.interval=100"
    rolling = build(configure("rollout=compiled", COMPILED, "logger=csv", *words)).rollout
    ends = [rolling.advance(NEVER._replace(step=400)).after.step for _ in range(8)]
    assert ends == [63, 64, 163, 164, 263, 264, 363, 364]


def test_a_stride_holds_many_episodes(configure):
    rolling = build(configure("rollout=compiled", COMPILED, "logger=csv")).rollout
    stride = rolling.advance(NEVER._replace(step=256))
    assert [row["episode"] for row in stride.episodes] == list(range(stride.after.episode))
    assert stride.after.episode > 3
    assert stride.after.step == 256


@pytest.mark.parametrize(("field", "value"), [("episode", 4), ("updates", 31), ("step", 77)])
def test_a_stride_stops_at_the_requested_progress(configure, field, value):
    rolling = build(
        configure("rollout=compiled", COMPILED, "logger=csv", "train.learning_starts=8", "train.batch_size=8")
    ).rollout
    while rolling.progress._asdict()[field] < value:
        stride = rolling.advance(NEVER._replace(**{field: value}))
    assert stride.after._asdict()[field] == value


def test_a_time_limit_beyond_the_largest_integer_is_no_limit(configure):
    parts = "env.max_episode_steps=99999999999999999999", "evaluation.max_steps=null", COMPILED, "logger=csv"
    experiments = [build(configure(f"rollout={name}", *parts, "steps=90")) for name in ("python", "compiled")]
    assert repr(play(experiments[0].rollout, 90, 100)) == repr(play(experiments[1].rollout, 90, 100))
    engine, draws = experiments[1].agent.engine, [np.random.default_rng(0) for _ in range(2)]
    slow, fast = (
        list(evaluate(experiments[1].agent.greedy, experiments[1].make_env, each, 2, own))
        for each, own in zip(draws, (None, engine), strict=True)
    )
    assert slow == fast


def test_a_loss_that_is_not_finite_is_the_same_error_at_the_same_step(configure):
    errors, rows = [], []
    for name in ("python", "compiled"):
        rolling = build(
            configure(f"rollout={name}", COMPILED, "logger=csv", "optimizer=sgd", "optimizer.lr=1e6")
        ).rollout
        rows.append([])
        with pytest.raises(TrainingError, match="the loss became") as caught:
            play(rolling, 10_000, 100, rows[-1])
        errors.append((type(caught.value), str(caught.value), rolling.progress))
    assert errors[0] == errors[1]
    assert repr(rows[0]) == repr(rows[1])


def failing(configure, name, env_id="Faulty-v0", **kwargs):
    """Builds an experiment whose environment makes a mistake."""
    learning = "train.learning_starts=20", "train.batch_size=8", "network.hidden=[8]"
    config = configure(f"rollout={name}", "env.implementation=auto", "logger=csv", *learning)
    config["env"] |= {"id": env_id, "kwargs": kwargs}
    return build(config)


SAID = {
    "nan": r"returned the observation \[.*nan\] in step 12 of an episode; must be finite \(episode 1, step 42 of",
    "inf": r"returned the observation \[-inf .*\] in step 12 of an episode; must be finite \(episode 1, step 42 of",
    "reward": r"returned the reward nan in step 12 of an episode; must be finite \(episode 1, step 42 of",
    "large": r"returned the reward 1e\+39 in step 12 of an episode; must be finite \(episode 1, step 42 of",
    "raise": r"raised in step 12 of an episode: RuntimeError: the wheel came off \(raised in faulty.*\) \(episode 1, ",
    "reset": r"returned the observation \[.*nan\] in reset; must be finite \(episode 2, step 61 of the run\)",
    "raise in reset": r"raised in reset: RuntimeError: the wheel came off \(raised in faulty.*\) \(episode 2, step 61 ",
}


@pytest.mark.parametrize("mistake", SAID)
def test_an_environments_mistake_is_the_same_error_at_the_same_step(configure, mistake):
    errors, rows = [], []
    for name, length in (("python", 1000), ("compiled", 1000), ("compiled", 1)):
        rolling, found = failing(configure, name, mistake=mistake).rollout, []
        with pytest.raises(TrainingError, match=SAID[mistake]) as caught:
            play(rolling, 1000, length, found)
        errors.append((str(caught.value), rolling.progress))
        rows.append(repr(found))
    assert errors[0] == errors[1] == errors[2]
    assert rows[0] == rows[1] == rows[2]


def test_a_rollout_cannot_be_saved_after_a_failed_step(configure):
    """The step has changed part of the state already, so a run could not continue from it."""
    rolling = failing(configure, "compiled", mistake="nan").rollout
    assert rolling.advance(NEVER).after.step == 41
    with pytest.raises(StateError, match=r"the step after it failed: the environment returned the observation"):
        rolling.state_dict()
    with pytest.raises(TrainingError, match="must be finite"):
        rolling.advance(NEVER)


@pytest.mark.parametrize("mistake", ["nan", "reward", "large", "raise"])
def test_evaluation_raises_the_same_error_with_and_without_kernels(configure, mistake):
    experiment, errors = failing(configure, "compiled", mistake=mistake, episode=1), []
    for engine in (None, experiment.agent.engine):
        with pytest.raises(TrainingError, match=r"in step 12 of an episode") as caught:
            list(evaluate(experiment.agent.greedy, experiment.make_env, np.random.default_rng(0), 5, engine))
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("name", ["python", "compiled"])
def test_an_observation_outside_its_space_is_refused(configure, name):
    rolling = failing(configure, name, env_id="Places-v0").rollout
    with pytest.raises(
        TrainingError, match=r"returned the observation \[10\] in step 7 of an episode; must be in Multi"
    ):
        play(rolling, 100, 100)


def test_an_interval_beyond_64_bits_is_one_beyond_the_run(configure):
    words = ("logger=csv", "rollout=compiled", "target.interval=1e20", "train.learning_starts=1e20")
    rolling = build(configure(*words)).rollout
    play(rolling, 100, 100)
    assert rolling.progress.step >= 100
    assert rolling.progress.updates == 0


def test_a_compiled_environment_that_overrides_step_is_refused(configure):
    with pytest.raises(ValueError, match=r"Own overrides step or reset, which its kernels do not know; rollout=python"):
        configure("rollout=compiled", "logger=csv", "env.id=tests.env.faulty:Own-v0")


class Cautious(registry.lookup("exploration", "linear")):
    """Tells the bootstrap another ε than the one it acts with."""

    def policy_epsilon(self, progress):
        return 0.0


class ByMethod(EpsilonGreedy):
    """Defines ε as a method, so that nobody can tell how often it changes."""

    def __init__(self, num_actions):
        self.num_actions = num_actions

    def epsilon(self, progress):
        return max(0.05, 1 - progress.step / 300)


class OfTheClass(registry.lookup("exploration", "boltzmann")):
    """Has a temperature in the class that hides the schedule it is given."""

    temperature = property(lambda self: lambda progress: 1.0 + progress.step, lambda self, value: None)


REASONS = [
    (("engine=torch", COMPILED), "engine=torch: its updates are called from Python"),
    (("env.implementation=gymnasium",), "env=gymnasium: CartPoleEnv is stepped from Python"),
    (("experiment=rainbow", "engine=torch", COMPILED), "engine=torch"),
    (("buffer=prioritized", f"buffer.name={BUFFERS}:Forgetful"), f"buffer={BUFFERS}:Forgetful: its own _put is not"),
    (
        ("exploration=linear", f"exploration.name={__name__}:Cautious"),
        f"exploration={__name__}:Cautious: its own policy_epsilon is not what its kernel does",
    ),
    *[
        (
            (f"exploration={option}", f"exploration.name={__name__}:{name}"),
            f"exploration={__name__}:{name}: its schedule does not say its unit",
        )
        for option, name in {"none": "ByMethod", "boltzmann": "OfTheClass"}.items()
    ],
    ((f"buffer.name={BUFFERS}:Weighted",), f"buffer={BUFFERS}:Weighted: its own sample is not what its kernel does"),
]


@pytest.mark.parametrize(("overrides", "reason"), REASONS)
def test_auto_records_why_it_chose_python(configure, overrides, reason):
    choice = build(configure("rollout=auto", "logger=csv", *overrides)).choices["rollout"]
    assert choice.name == "python"
    assert choice.rejected["compiled"].startswith(reason)


@pytest.mark.parametrize(("overrides", "reason"), REASONS)
def test_an_unsupported_composition_is_refused_in_one_line(configure, overrides, reason):
    with pytest.raises(ValueError, match=f"^rollout=compiled: {reason}") as caught:
        configure("rollout=compiled", "logger=csv", *overrides)
    assert len(str(caught.value).splitlines()) == 1


def test_covering_compositions_cover_every_pair():
    from tests.rollout.compositions import CHOICES, COMMON, NOT_GREEDY

    compositions = pairwise()
    words = {group: [choice for choice in choices if choice] for group, choices in CHOICES.items()}
    for (_, some), (_, others) in itertools.combinations(words.items(), 2):
        for one, other in itertools.product(some, others):
            wanted = {*one, *other} - {word for word in (*one, *other) if word.startswith("train.m")}
            follows = "bootstrap=expected_sarsa" in wanted and wanted & NOT_GREEDY
            if "buffer=none" not in wanted and not follows:
                assert any(wanted <= {*composition} - {*COMMON} for composition in compositions), wanted
