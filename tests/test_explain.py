"""`explain` of every recipe and of random compositions agrees with what is built."""

import importlib.util
import random
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from dqn_lab import registry
from dqn_lab.build import build, validate
from dqn_lab.explain import PARTS, Reference, deviations, explain
from dqn_lab.types import ConfigError

CONF = Path(__file__).parents[1] / "conf"
RECIPES = sorted(path.relative_to(CONF / "experiment").with_suffix("").as_posix()
                 for path in (CONF / "experiment").rglob("[!_]*.yaml"))  # fmt: skip
EXTRAS = {"atari": "ale_py", "lunar_lander": "Box2D"}  # what a folder, or a recipe, needs
MISSING = {part for part, package in EXTRAS.items() if importlib.util.find_spec(package) is None}


def text_of(it):
    return "\n".join([*(text for _, text in it.steps), *it.numbers.values()])


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_explained(configure, recipe):
    config = configure(f"experiment={recipe}")
    it = explain(
        config, {"itself": Reference(config=config), "the notebook": Reference(config=configure("experiment=tutorial"))}
    )
    assert it.deviations["itself"] == ()
    assert (it.deviations["the notebook"] == ()) == (recipe == "tutorial")
    shown = text_of(it)
    assert len(it.steps) >= 12
    assert "V(s′) = " in shown
    assert "loss = " in shown
    assert "None" not in shown
    assert [piece.group for piece in it.pieces] == [*PARTS]
    assert all(not citation.startswith(("et al", "2", ",")) for piece in it.pieces for citation in piece.citations)
    if not MISSING & {*recipe.split("/")}:
        assert "unknown" not in it.numbers["parameters"]


def drawn(rng, base):
    """Draws an option for each group, until they are valid together."""
    while True:
        config = {**base, "steps": 5000, "episodes": None, "discount": rng.choice([0.9, 0.99])}
        config["train"] = {**base["train"], "batch_size": rng.choice([16, 64]), "interval": rng.choice([1, 4])}
        for group in PARTS:
            names = ["mlp24", "mlp64"] if group == "network" else [path.stem for path in (CONF / group).glob("*.yaml")]
            config[group] = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{rng.choice(sorted(names))}.yaml"))
        config["network"]["dueling"] = rng.choice([True, False])
        try:
            return validate(config)
        except ConfigError:
            continue


def test_two_hundred_compositions_are_explained_and_their_numbers_are_those_of_what_is_built(configure):
    rng = random.Random(0)
    reference, base = configure("experiment=tutorial"), configure()
    for number in range(200):
        config = drawn(rng, base)
        it = explain(config, {"the notebook": Reference(config=reference)})
        shown = text_of(it)
        assert f"γ′ = {config['discount']:g}" in shown
        assert len(it.steps) >= 11
        if number % 10:
            continue
        experiment = build(config)
        count = sum(parameter.numel() for parameter in experiment.agent.engine.online.parameters())
        assert it.numbers["parameters"] == f"{count:,}"
        for group in ("engine", "rollout"):
            assert it.numbers[group].startswith(f"{experiment.choices[group].name}: {experiment.choices[group].reason}")
        if config["buffer"]["name"] != "none":
            assert it.numbers["memory"] == f"{experiment.agent.buffer.nbytes / 1e6:,.1f} MB of replay"


@pytest.mark.parametrize("overrides", [(), ("train.interval=3", "train.num_updates=2", "train.learning_starts=100"),
                                       ("experiment=tutorial",), ("buffer=none", "target=none"),
                                       ("train.learning_starts=1", "train.batch_size=32")])  # fmt: skip
def test_the_number_of_updates_is_exact(configure, overrides):
    config = configure(*overrides, "steps=400", "episodes=null")
    rollout = build(config).rollout
    while rollout.progress.step < 400:
        rollout.advance(rollout.progress._replace(step=400, episode=10**9, updates=10**9))
    assert explain(config, {}).numbers["gradient steps"] == f"{rollout.progress.updates:,}"


def test_without_replay_there_are_no_minibatches_and_one_update_at_a_time(configure):
    config = configure("buffer=none", "train.minibatch_size=16", "train.num_updates=3")
    said = "\n".join(line for _, line in explain(config, {}).steps)
    assert "minibatch" not in said
    assert "3 times" not in said


def test_a_custom_component_explains_itself(configure, monkeypatch):
    """It is explained by its docstring and its values, or by its `explain`."""
    from dqn_lab.exploration._epsilon_greedy import EpsilonGreedy

    class Careful(EpsilonGreedy):
        """Explores for `patience` steps and never again.

        Somebody 2026, "On Care", https://example.org/care.

        Args:
            patience: steps.
        """

        explain = None

        def __init__(self, num_actions: int, *, patience: int = 7) -> None:
            super().__init__(num_actions, lambda progress: float(progress.step < patience))

    monkeypatch.setitem(registry._components, ("exploration", "careful"), Careful)
    config = validate({**configure(), "exploration": {"name": "careful", "patience": 9}})
    del Careful.explain
    monkeypatch.delattr(EpsilonGreedy, "explain")
    it = explain(config, {})
    piece = it.pieces[-1]
    assert piece.summary == "Explores for 9 steps and never again."
    assert piece.citations == ('Somebody 2026, "On Care", https://example.org/care',)
    assert (2, "Explores for 9 steps and never again (patience=9)") in it.steps
    Careful.explain = staticmethod(lambda config: {"act": f"a ← with care, for {config['exploration']['patience']}"})
    assert any(text.startswith("a ← with care, for 9") for _, text in explain(config, {}).steps)


def test_deviations_are_keys_with_both_values(configure):
    found = set(deviations(configure("optimizer.lr=0.5", "bootstrap=double"), Reference(config=configure())))
    assert found == {"optimizer.lr=0.5, not 0.001", "bootstrap=double, not max"}


def test_what_no_key_can_make_equal_is_a_deviation_too(configure):
    """It applies always, or only to Atari games, whose preprocessing is compared as well."""
    mnih = Reference(
        config=configure("experiment=atari/dqn"), differences=("greedy",), differences_in_games=("a lost life",)
    )
    assert list(deviations(mnih.config, mnih)) == ["a lost life", "greedy"]
    assert {"env.noop_max=0, not 30", "env.repeat_action_probability=0.25, not 0.0"} < set(
        deviations(configure("experiment=atari/munchausen"), mnih)
    )
    on_cartpole = list(deviations(configure(), mnih))
    assert on_cartpole[-1] == "greedy"
    assert "a lost life" not in on_cartpole


@pytest.mark.parametrize(
    ("value", "priority"),
    [("expected", "|y − Q(s, a; θ)|"), ("categorical", "KL(y ‖ p(s, a; θ))"), ("quantile", "mean_ij |δᵢⱼ|")],
)
def test_each_value_explains_its_own_priority(configure, value, priority):
    steps = [text for _, text in explain(configure(f"value={value}", "buffer=prioritized"), {}).steps]
    assert f"the priority of each of them ← {priority}" in steps
    assert not any(text.startswith("the priority") for _, text in explain(configure(f"value={value}"), {}).steps)
