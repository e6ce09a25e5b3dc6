"""What a report says if runs have too few evaluations for learning curves."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from dqn_lab.analysis.curves import Curve
from dqn_lab.analysis.figures import seeds
from dqn_lab.analysis.figures.seeds import SeedCurve
from dqn_lab.analysis.figures.style import WIDE, looks

pytestmark = pytest.mark.usefixtures("no_figures")
WHY = "There is no learning curve, because the runs were each evaluated only once, at the end: set for example "


def keep_last(run):
    """Leaves a run only its final evaluation."""
    header, *_, last = (run / "evaluations.csv").read_text().splitlines()
    (run / "evaluations.csv").write_text(f"{header}\n{last}\n")


@pytest.mark.parametrize(("steps", "interval"), [(1500, 250), (300, 50), (8000, 1000), (5, 1)])
def test_runs_evaluated_once_have_no_curve_and_the_report_says_why(cli, make, read, tmp_path, steps, interval):
    variants = [{"target.interval": value} for value in (1, 10, 100)]
    directory = make.sweep(tmp_path / "s", variants, range(3), make.noisy, steps=steps, num_evaluations=1)
    outcome = cli(directory)
    said = f"{WHY}evaluation.interval={interval} evaluation.unit=steps."
    assert outcome.code == 0
    assert f"note      {said}" in outcome.out
    assert said in read(directory / "report")
    figures = {path.stem for path in (directory / "report" / "figures").iterdir()}
    assert "outcomes" in figures
    assert not figures & {"learning_curves", "seeds"}


def test_variants_without_a_curve_are_named_and_not_drawn(cli, make, read, tmp_path):
    variants = [{"target.interval": value} for value in (1, 10, 100)]
    directory = make.sweep(tmp_path / "s", variants, range(3), make.noisy)
    for run in directory.glob("target.interval=10,*"):
        keep_last(run)
    outcome = cli(directory)
    assert "note      There is no learning curve of “target.interval=10”, because" in outcome.out
    assert "evaluation.interval=1000 evaluation.unit=steps" in read(directory / "report")
    assert "A dot is a run's only evaluation." in read(directory / "report")
    table = pd.read_csv(directory / "report" / "tables" / "learning_curves.csv")
    assert set(table["variant"]) == {"target.interval=1", "target.interval=100"}


def test_a_report_with_curves_has_no_note_on_missing_curves(cli, sweep, read):
    assert "note" not in cli(sweep).out
    assert "There is no learning curve" not in read(sweep / "report")
    assert "A dot is" not in read(sweep / "report")


def test_runs_without_evaluations_csv_have_no_curve_and_the_report_says_why(cli, sweep):
    for path in sweep.glob("*/evaluations.csv"):
        path.unlink()
    assert "There is no learning curve, because no run has an evaluations.csv: set logger=csv." in cli(sweep).out


def test_a_missing_selected_return_is_explained(cli, make, read, tmp_path):
    scores = {"final": {"return_mean": 9.0}, "last_100": 8.0}
    directory = make.sweep(tmp_path / "s", [{}, {"target.interval": 1}], range(2), make.noisy, num_evaluations=1,
                           scores=scores)  # fmt: skip
    cli(directory)
    assert "The selected return is – if the run was evaluated only at its end" in read(directory / "report")


def test_without_two_evaluations_there_is_no_return_over_the_whole_run(cli, make, tmp_path):
    directory = make.sweep(tmp_path / "s", [{}, {"target.interval": 1}], range(2), make.noisy, num_evaluations=1)
    outcome = cli(directory, "--metric", "mean_return")
    assert outcome.code == 0
    assert "answer    No answer yet: none of 4 runs has a return over the whole run." in outcome.out


def test_a_run_evaluated_once_is_a_dot(make):
    runs = [SeedCurve("0", Curve(np.array([8.0]), np.array([4.0]))), SeedCurve("1", Curve(np.arange(9.0), np.ones(9)))]
    figure = seeds.seeds({"a": runs}, looks(["a"], None), WIDE, low=0.0, high=8.0)
    dots = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    assert [len(each.get_offsets()) for each in dots] == [1]


def test_the_report_says_that_a_selected_final_policy_was_scored_twice(cli, make, read, tmp_path):
    """Its selected return may be the lower one, because the episodes differ."""
    for seed, step in ((0, 8000), (1, 7000), (2, 8000)):
        scores = {"final": {"return_mean": 9.0}, "last_100": 8.0, "selected": {"return_mean": 8.0, "step": step}}
        make.run(tmp_path / "s" / f"plain,seed={seed}-x", make.configure(seed=seed), 9.0, scores=scores)
    cli(tmp_path / "s")
    text = read(tmp_path / "s" / "report")
    assert "In 2 of 3 runs, the selected policy is the final one, which was scored" in text
    assert list(pd.read_csv(tmp_path / "s" / "report" / "tables" / "runs.csv")["best_step"]) == [8000, 7000, 8000]


def test_runs_whose_selected_policy_is_an_earlier_one_have_no_note_on_two_scores(cli, sweep, read):
    cli(sweep)
    assert "scored twice" not in read(sweep / "report")


def test_unequal_numbers_of_steps_are_stated_with_the_answer(cli, make, tmp_path):
    make.sweep(tmp_path / "s" / "short", [{"target.interval": 1}], range(3), make.noisy, steps=5000)
    make.sweep(tmp_path / "s" / "long", [{"target.interval": 10}], range(3), make.noisy, steps=20000)
    out = cli(tmp_path / "s").out
    assert "note      The variants did not take the same number of steps (on average 5,000 to 20,000)" in out
