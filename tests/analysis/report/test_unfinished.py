"""What a report says on a sweep of which some variants have not begun."""

import json

import pytest

from dqn_lab.analysis import load_configs
from dqn_lab.analysis.report.write import write_report

pytestmark = pytest.mark.usefixtures("no_figures")


def interrupted(make, directory, words, control=None):
    """Writes one finished run of a grid's first variant."""
    make.sweep(directory, [{"target.interval": 1}], range(1), make.noisy)
    make.declare(directory, {name: f"{name},planned" for name in words}, question=None, control=control, seeds=range(2))
    content = json.loads((directory / "sweep.json").read_text())
    content["jobs"][0]["directory"] = next(directory.glob("target*")).name
    (directory / "sweep.json").write_text(json.dumps({**content, "variants": words}))
    return directory


def test_an_interrupted_grid_with_one_variant_keeps_its_question_and_has_no_answer_yet(cli, make, tmp_path):
    words = {f"target.interval={value}": [f"target.interval={value}"] for value in (1, 10)}
    outcome = cli(interrupted(make, tmp_path / "s", words))
    assert "question  What does target.interval change?" in outcome.out
    assert "answer    No answer yet: the control and another variant need two finished runs each." in outcome.out
    assert "1 of 4 runs; 3 not begun" in outcome.out


def test_two_single_runs_are_not_compared_but_their_returns_are_given(cli, make, tmp_path):
    make.run(tmp_path / "a" / "one", make.configure(), 33.9)
    make.run(tmp_path / "a" / "two", make.configure(**{"target.interval": 1}), 40.25)
    out = cli(tmp_path / "a").out
    assert "So far, final return: “target.interval=1” 40.2 (1 seed), “target.interval=10” 33.9 (1 seed)." in out


def test_a_control_that_has_not_begun_is_named(cli, make, tmp_path):
    words = {"one": ["target.interval=1"], "ten": ["target.interval=10"]}
    outcome = cli(interrupted(make, tmp_path / "s", words, control="ten"))
    assert "question  What does target.interval change?" in outcome.out
    assert "answer    No answer: “ten”, the control, has no runs here." in outcome.out


def test_variants_that_differ_only_in_their_task_are_described_one_by_one(cli, make, tmp_path):
    """Tasks are not compared, so the first one's answer does not wait for the others."""
    words = {f"env={name}": [f"env={name}"] for name in ("cartpole", "acrobot")}
    outcome = cli(interrupted(make, tmp_path / "s", words))
    assert "question  How well does “env=cartpole” do?" in outcome.out
    assert "answer    “env=cartpole” has a final return of" in outcome.out


def test_chosen_rows_of_one_variant_are_described(make, sweep):
    words = {f"every {value}": f"target.interval={value}" for value in (1, 10, 100)}
    make.declare(sweep, words, question=None, control="every 1", seeds=range(5))
    runs = load_configs(sweep)
    report = write_report(runs[runs["variant"] == "every 10"])
    assert report.question == "How well does “every 10” do?"
    assert "“every 10” has a mean final return of" in next(iter(report.answers.values()))


def test_two_sweeps_with_the_same_directory_name_are_complete(cli, make, tmp_path):
    for day in ("mon", "tue"):
        directory = make.sweep(tmp_path / day / "interval", [{"target.interval": 1}], range(3), make.noisy)
        make.declare(directory, {"one": "target.interval=1"}, question="Why?", control="one", seeds=range(3))
    outcome = cli(tmp_path / "mon", tmp_path / "tue")
    assert "runs      6 of 6 runs completed" in outcome.out


def test_a_seed_that_two_commits_ran_is_refused_with_both_directories(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{}, {"target.interval": 1}], range(3), make.noisy)
    again = {"commit": "fed456", "changed": False}
    make.run(tmp_path / "s" / "plain,seed=0-again", make.configure(seed=0), 100.0, git=again)
    outcome = cli(tmp_path / "s")
    assert outcome.code == 2
    assert "plain,seed=0-00 (commit abc123) and " in outcome.err
    assert "are the same variant with the same seed, run by different code: name the runs to compare" in outcome.err
    assert not (tmp_path / "s" / "report").exists()


def test_a_threshold_is_a_return(cli, sweep):
    outcome = cli(sweep, "--metric", "wall_seconds", "--threshold", "15")
    assert outcome.code == 2
    assert "--threshold=15: is a return, but the metric is wall_seconds" in outcome.err
