"""Every file in `sweeps/` opens with its question, composes and builds; another seed needs no second composition."""

from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from dqn_lab.build import validate
from dqn_lab.cli import _compose
from dqn_lab.cli._overrides import parse_seeds
from dqn_lab.cli.sweep.launch import Prepared, master
from dqn_lab.cli.sweep.plan import make_plan
from dqn_lab.cli.sweep.question import read_question
from dqn_lab.cli.sweep.search import check_search
from dqn_lab.records import identity
from dqn_lab.types import ConfigError

SWEEPS = sorted((Path(__file__).parents[1] / "sweeps").glob("*.yaml"))
LAUNCH = ["hydra/launcher=joblib", "hydra.job_logging.root.handlers=[file]", "hydra.sweep.dir='/tmp/a sweep'"]


@pytest.fixture
def composer():
    with _compose.composer():
        yield


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_question_composes_and_builds(composer, path):
    """Variants differ, and are compared at equal environment steps."""
    if path.stem == "recipes_lunar_lander":
        pytest.importorskip("Box2D")
        pytest.importorskip("pygame")
    question = read_question(path, False)
    assert path.read_text(encoding="utf-8").splitlines()[0] == f"# {question.question}"
    assert question.question.endswith("?")
    if question.search:
        assert question.control is None  # its report ranks the trials
        with pytest.MonkeyPatch.context() as patch:  # the sweeper itself is an extra
            patch.setattr("dqn_lab.cli.sweep.search.master", lambda launch: None)
            patch.setattr("dqn_lab.cli.sweep.search.missing_extra", lambda override: None)
            check_search(question, question.search, LAUNCH, [])
        return
    plan = make_plan(question, LAUNCH, [])
    assert len(plan.jobs) == len(question.variants) * len(question.seeds)
    assert len({job.hash for job in plan.jobs}) == len(plan.jobs), "two variants are the same run"
    assert len(question.seeds) >= 30
    budgets = {(config.steps, config.episodes, config.env.id) for config in plan.composed.values()}
    assert len(budgets) == 1
    assert budgets <= {
        (50_000, None, "CartPole-v1"), (100_000, None, "Acrobot-v1"), (120_000, None, "MountainCar-v0"),
        (300_000, None, "LunarLander-v3"),
    }  # fmt: skip
    assert {config.evaluation.final_num_episodes for config in plan.composed.values()} == {100}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_question_has_a_quick_form(composer, path):
    question = read_question(path, True)
    assert 2 <= len(question.seeds) < 30
    _compose.compose_config([*question.base, *question.variants.get(question.control, [])])


OVERRIDES = [
    ["target.interval=3", "++env.kwargs.sutton_barto_reward=true"],
    ["experiment=cartpole", "target=periodic", "display=none"],
    ["experiment=tutorial", "train.learning_starts=${seed}"],
    [],
]


@pytest.mark.parametrize("shared", OVERRIDES, ids=str)
@pytest.mark.parametrize("seed", [0, 7])
def test_another_seed_of_a_variant_equals_composing_it_again(composer, shared, seed):
    config = master(LAUNCH)
    loader = GlobalHydra.instance().config_loader()
    prepared = Prepared(
        loader.get_search_path(), {tuple(shared): _compose.compose_config([*LAUNCH, *shared, "seed=5"])}
    )
    overrides = [*shared, f"seed={seed}", "hydra.sweep.subdir='a,b=c-1'"]
    theirs, ours = (each.load_sweep_config(config, overrides) for each in (loader, prepared))
    for found in (theirs, ours):
        found.hydra.job.num, found.hydra.job.id = 3, "3"  # launchers set these
    assert OmegaConf.to_container(ours, resolve=False) == OmegaConf.to_container(theirs, resolve=False)
    assert validate(_compose.plain(ours)) == validate(_compose.plain(theirs))


def test_a_jobs_hash_is_that_of_its_run_even_if_a_value_follows_the_seed(composer, tmp_path):
    path = tmp_path / "follow.yaml"
    path.write_text(
        "question: Does it?\nvariants: {a: ['train.learning_starts=${seed}'], b: []}\ncontrol: a\nseeds: [5, 6]\n"
    )
    plan = make_plan(read_question(path, False), LAUNCH, [])
    for job in plan.jobs:
        composed = _compose.compose_config([*LAUNCH, *job.overrides])
        assert job.hash == identity(validate(_compose.plain(composed)))


@pytest.mark.parametrize(("text", "seeds"), [
    ("range(1000,1003)", [1000, 1001, 1002]), ("range(3)", [0, 1, 2]), ("range(0, 6, 2)", [0, 2, 4]),
    ("4", [4]), ("2,1", [2, 1]), ("[2,1]", [2, 1]), ([5, 3], [5, 3]),
])  # fmt: skip
def test_seeds_are_written_as_hydra_writes_them(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "range(0)", "a,b", "1.5", "-1", "1,1", "os.getpid()", "true", "interval(0,1)"])
def test_anything_that_is_not_a_seed_is_refused(text):
    with pytest.raises(ConfigError, match="seeds="):
        parse_seeds(text)


def test_a_grid_is_every_combination_labelled_by_its_values(composer, tmp_path):
    path = tmp_path / "grid.yaml"
    path.write_text("question: Which?\ngrid: {optimizer: [adam, sgd], optimizer.lr: [1e-3, 0.1]}\n"
                    "control: optimizer=sgd, lr=0.1\n")  # fmt: skip
    assert read_question(path, False).variants == {
        "optimizer=adam, lr=0.001": ["optimizer=adam", "optimizer.lr=0.001"],
        "optimizer=adam, lr=0.1": ["optimizer=adam", "optimizer.lr=0.1"],
        "optimizer=sgd, lr=0.001": ["optimizer=sgd", "optimizer.lr=0.001"],
        "optimizer=sgd, lr=0.1": ["optimizer=sgd", "optimizer.lr=0.1"],
    }
