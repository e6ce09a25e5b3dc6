"""Published numbers beside the lab's: each recipe's sweep, and the verdicts."""

import importlib
from pathlib import Path

import pandas as pd
import pytest
import torch

from dqn_lab.cli.sweep.question import read_question
from dqn_lab.tasks import TASKS

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def published():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TESTS / "benchmarks")
        yield importlib.import_module("tests.benchmarks.published")


@pytest.fixture(scope="module")
def verdicts(published):
    return published.verdicts


@pytest.fixture
def peers(published, monkeypatch):
    monkeypatch.syspath_prepend(TESTS / "benchmarks")
    return importlib.import_module("tests.benchmarks.peers_learning")


def test_the_data_belong_to_recipes_and_are_possible(published):
    runs = published.read()
    assert set(runs["recipe"]) <= set(published.THEIRS)
    assert not runs.duplicated(["recipe", "seed"]).any()
    for recipe, own in runs.groupby("recipe"):
        bounds = TASKS[published.TASK[recipe.partition("/")[2]]].bounds
        for theirs in published.THEIRS[recipe]:
            assert own[theirs.metric].between(*bounds).all()
        assert (own["seed"] >= 1000).all()


def test_every_recipe_has_a_published_number(published):
    folder = TESTS.parent / "conf" / "experiment" / "published"
    recipes = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("[!_]*.yaml")}
    assert set(published.THEIRS) == recipes


def test_welchs_interval_by_hand(verdicts):
    """Both means have variance 1/3: t with 4 degrees of freedom is 2.776, the standard error √(2/3)."""
    assert verdicts.welch([1.0, 2.0, 3.0], 0.0, (2 / 3) ** 0.5, 3) == pytest.approx((2.0, -0.2670, 4.2670), abs=1e-4)
    # ours do not vary: t with their 2 degrees of freedom is 4.303, the standard error √(9 / 2)
    assert verdicts.welch([10.0] * 5, 12.0, 3.0, 3) == pytest.approx((-2.0, -11.1273, 7.1273), abs=1e-4)
    assert verdicts.welch([500.0] * 5, 500.0, 0.0, 3) == (0.0, 0.0, 0.0)


def test_the_interval_of_a_further_mean_by_hand(verdicts):
    """s is 1, the factor √(1/3 + 1/3), and t with 2 degrees of freedom 4.303."""
    assert verdicts.predicted_mean([1.0, 2.0, 3.0], 3) == pytest.approx((-1.5131, 5.5131), abs=1e-4)


@pytest.mark.parametrize(("number", "low", "high", "level"), [
    (19, 1.0, 19.0, 0.9), (39, 1.0, 39.0, 0.95), (78, 1.0, 78.0, 1 - 2 / 79), (79, 2.0, 78.0, 0.95),
    (119, 3.0, 117.0, 0.95),
])  # fmt: skip
def test_the_interval_of_a_further_run_counts_runs(verdicts, number, low, high, level):
    assert verdicts.predicted_run([float(i) for i in range(number, 0, -1)]) == pytest.approx((low, high, level))


@pytest.mark.parametrize(("mean", "expected"), [
    (-2.0, "better, +4.0 (+1.7 to +6.3); theirs could not be a mean of 3 of ours, −1.5 to 5.5"),
    (7.0, "worse, −5.0 (−7.3 to −2.7); theirs could not be a mean of 3 of ours, −1.5 to 5.5"),
    (2.0, "equivalent within ±2.5, +0.0 (−2.3 to +2.3); theirs could be a mean of 3 of ours, −1.5 to 5.5"),
    (1.0, "undecided, +1.0 (−1.3 to +3.3); theirs could be a mean of 3 of ours, −1.5 to 5.5"),
])  # fmt: skip
def test_a_verdict_against_seeds_is_in_words(verdicts, mean, expected):
    """The intervals are those computed by hand above."""
    assert verdicts.of_seeds([1.0, 2.0, 3.0], mean, (2 / 3) ** 0.5, 3, 2.5) == expected


def test_a_verdict_against_one_run_counts_the_runs_that_are_as_good(verdicts):
    ours = [100.0, *[400.0] * 8, *[500.0] * 30]
    assert verdicts.of_one_run(ours, 500.0) == (
        "could be one of ours, of which 95 % lie in 100.0 to 500.0; 30 of 39 are as good"
    )
    assert verdicts.of_one_run(ours, 90.0) == (
        "could not be one of ours, of which 95 % lie in 100.0 to 500.0; 39 of 39 are as good"
    )


def test_slm_labs_moving_average_is_over_checkpoints(published):
    """The latest returns at steps 1,000, 2,000, 3,000 and 4,000 are 1, 2, 2 and 4."""
    steps, returns = pd.Series([500, 1_500, 3_100, 3_999]), pd.Series([1.0, 2.0, 3.0, 4.0])
    assert published.moving_average(steps, returns) == pytest.approx(9 / 4)
    # the first episode ends after the first checkpoint, which has no return yet
    assert published.moving_average(pd.Series([1_500]), pd.Series([6.0])) == 6.0


def test_slm_labs_moving_average_is_over_a_window_of_checkpoints(published, monkeypatch):
    monkeypatch.setattr(published, "WINDOW", 3)
    steps, returns = pd.Series([500, 1_500, 3_100, 3_999]), pd.Series([1.0, 2.0, 3.0, 4.0])
    assert published.moving_average(steps, returns) == pytest.approx(8 / 3)


@pytest.mark.parametrize("recipe", ["zoo_dqn/cartpole", "slm_dqn/lunar_lander"])
def test_completed_runs_become_rows_once(published, make_run, tmp_path, monkeypatch, recipe):
    monkeypatch.setattr(published, "DATA", tmp_path / "published.csv")
    monkeypatch.setattr(published, "VERSIONS", ("torch",))
    for seed in (1001, 1000):
        make_run(f"sweep/{seed}", seed=seed, final=100.0 + seed)
    make_run("sweep/other", seed=1002, status="interrupted")
    for _ in range(2):
        published.write(published.collect(recipe, tmp_path / "sweep"))
    runs = published.read()
    assert runs["seed"].tolist() == [1000, 1001]
    assert runs["final_return"].tolist() == [1100.0, 1101.0]
    assert runs["last_100"].tolist() == [300.0, 300.0]
    assert runs["moving_average"].dropna().tolist() == ([20.0, 20.0] if "slm" in recipe else [])
    assert runs["versions"].tolist() == ["torch 2", "torch 2"]


def test_a_recipe_that_was_not_run_has_no_numbers(published):
    rows = [line for line in published.table(published.read().iloc[:0]).splitlines() if "`zoo_dqn/acrobot`" in line]
    assert [row.endswith("| not run | | 0 | |") for row in rows] == [True, True]


def test_the_table_says_what_was_measured(published):
    ours = pd.DataFrame({"recipe": "zoo_dqn/acrobot", "seed": range(5), "final_return": [-80.0, -79, -78, -77, -76]})
    ours["last_100"] = ours["final_return"] - 10
    row, training = [line for line in published.table(ours).splitlines() if "`zoo_dqn/acrobot`" in line]
    assert "| −76.64 ± 11.75 |" in row
    assert "| −78.0 |" in row
    assert row.endswith("| 5 | could be one of ours, of which 67 % lie in −80.0 to −76.0; 1 of 5 are as good |")
    assert training.startswith("| `zoo_dqn/acrobot` | −82.74 | the same run's last 100 training episodes | −88.0 |")
    assert training.endswith(
        "| 5 | could not be one of ours, of which 67 % lie in −90.0 to −86.0; 0 of 5 are as good |"
    )


def test_a_recipes_sweep_has_one_variant(published, tmp_path):
    for recipe in published.THEIRS:
        (tmp_path / "question.yaml").write_text(published.question_of(recipe), encoding="utf-8")
        question = read_question(tmp_path / "question.yaml", False)
        assert question.variants == {recipe: [f"experiment=published/{recipe}", "logger=csv"]}
        assert question.seeds == [*range(1000, 1030)]


def test_a_runs_figures_by_hand(peers):
    """Each step has the return of its episode: (1 · 1 + 3 · 3) / 4."""
    found = peers._peers.figures([1.0, 3.0], [1, 3], 7.0)
    assert found == {"final": 7.0, "last_100": 2.0, "training": 2.5}


@pytest.mark.parametrize(("low", "high", "expected"), [
    (-24.0, 24.0, "equivalent within ±25"), (10.0, 24.0, "equivalent within ±25"),
    (-26.0, 24.0, "undecided within ±25"), (26.0, 30.0, "different by more than 25"),
    (-40.0, -26.0, "different by more than 25"),
])  # fmt: skip
def test_equivalence_is_decided_by_the_interval(peers, low, high, expected):
    assert peers.verdict(low, high, 25.0) == expected


def test_the_peers_table_compares_the_seeds_that_both_sides_have(peers, tmp_path):
    """Means 2 and 4, variances of the means 1/3 each: t with 4 degrees of freedom is 2.132 at 90 %."""
    path = tmp_path / "peers.csv"
    rows = [f"zoo_dqn/cartpole,{side},{seed},{value},{value},{value}" for side, first in (("dqn_lab", 1), ("peer", 3))
            for seed, value in enumerate(range(first, first + 3))]  # fmt: skip
    path.write_text("\n".join([*rows, "zoo_dqn/cartpole,dqn_lab,3,9.0,9.0,9.0", "zoo_dqn/cartpole,dq"]))
    found = peers.table(peers.read(path)).splitlines()
    assert found[2] == (
        "| `zoo_dqn/cartpole` | final policy | 3 | 2.0 | 4.0 | −2.0 (−3.7 to −0.3) | equivalent within ±25 |"
    )
    assert found[-1] == "| `cleanrl_dqn/cartpole` | | 0 | | | | not run |"


@pytest.mark.parametrize("side", ["dqn_lab", "peer"])
def test_both_sides_of_cleanrl_run(peers, side):
    found = peers.run("cleanrl_dqn/cartpole", side, 0, None, 200)
    assert set(found) == set(peers.FIGURES)
    assert 0 < found["training"] <= 200
    assert 0 < found["final"] <= 500


def test_cleanrls_projection_agrees_with_the_labs(peers):
    from dqn_lab.value.categorical import project

    c51 = importlib.import_module("cleanrl_c51").C51
    generator = torch.Generator().manual_seed(0)
    masses = torch.rand(8, 101, generator=generator).softmax(-1)
    atoms = 260 * torch.rand(8, 101, generator=generator) - 130  # some beyond the support
    atoms[0] = c51.support  # and some on it
    torch.testing.assert_close(c51.project(atoms, masses), project(atoms, masses, c51.support), atol=1e-5, rtol=0)
