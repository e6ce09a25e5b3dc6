"""The report command: what it writes, and its errors on bad input."""

import json
import os
import subprocess
import sys
from functools import partial
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest

from dqn_lab.analysis import SkippedRuns, load_configs
from dqn_lab.analysis._numbers import largest_in, number
from dqn_lab.analysis.report.tables import interval
from dqn_lab.analysis.report.write import write_report


class Page(HTMLParser):
    """Reads a page: its text, its tags and ids, and the tags that would make a browser fetch a file."""

    def __init__(self, path):
        super().__init__()
        self.text, self.fetched, self.ids, self.tags = "", [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(self.text.replace("\u200b", "").replace("\u00a0", " ").split())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        if tag in ("script", "iframe", "object", "embed") or (tag in ("img", "link", "source") and not str(
            found.get("href", found.get("src"))
        ).startswith("data:")):  # fmt: skip
            self.fetched.append(tag)

    def handle_data(self, data):
        self.text += data


only_words = pytest.mark.usefixtures("no_figures")


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def test_a_plain_multirun_gives_a_page_with_figures_and_tables(cli, sweep):
    outcome = cli(sweep)
    assert (outcome.code, outcome.err) == (0, "")
    assert "question  What does target.interval change?" in outcome.out
    assert "runs      15 of 15 runs completed" in outcome.out
    page = Page(sweep / "report" / "index.html")
    assert page.text.index("What does target.interval change?") < page.text.index("Learning curves")
    for words in (
        "Difference from “target.interval=1”",
        "Every seed",
        "Sensitivity to target.interval",
        "5 seeds per variant",
    ):
        assert words in page.text
    for name in ("learning_curves", "differences", "outcomes", "distribution", "success_rates", "sensitivity", "seeds"):
        for suffix in ("svg", "png"):
            assert (sweep / "report" / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    for name in ("results", "comparison", "runs"):
        assert (sweep / "report" / "tables" / f"{name}.md").read_text().count("|") > 10


def test_the_page_fetches_nothing_and_every_id_is_there_once(cli, sweep):
    cli(sweep)
    page = Page(sweep / "report" / "index.html")
    assert page.fetched == []
    assert len(page.ids) == len(set(page.ids))
    assert "http" not in (sweep / "report" / "index.html").read_text().replace("http://www.w3.org/", "")


@only_words
def test_the_answer_in_the_page_is_the_one_of_the_statistics(cli, sweep):
    from dqn_lab.analysis import answer, compare, load_configs

    sentence = answer(compare(load_configs(sweep), control="target.interval=1"))
    outcome = cli(sweep)
    assert sentence in outcome.out
    assert " ".join(sentence.split()) in Page(sweep / "report" / "index.html").text


def test_the_same_data_give_the_same_bytes(cli, sweep, tmp_path):
    cli(sweep, "--out", tmp_path / "first")
    cli(sweep, "--out", tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_the_bytes_do_not_depend_on_the_hashes_of_the_process(sweep, tmp_path):
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "dqn_lab", "report", str(sweep), "--out", str(tmp_path / hash_seed)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


@only_words
def test_variants_come_in_the_order_of_their_numbers(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": value} for value in (9, 10, 2, 100)], range(3), make.noisy)
    cli(tmp_path / "s")
    results = pd.read_csv(tmp_path / "s" / "report" / "tables" / "results.csv")
    assert list(results["variant"]) == [f"target.interval={value}" for value in (2, 9, 10, 100)]


@only_words
def test_an_unfinished_sweep_is_labelled(cli, make, tmp_path):
    variants = [{"target.interval": 1}, {"target.interval": 10}]
    make.sweep(tmp_path / "s", variants, range(3), make.noisy)
    make.run(tmp_path / "s" / "target.interval=10,seed=3-x", make.configure(seed=3), 0, status="failed")
    variants = {"often": "target.interval=1", "seldom": "target.interval=10"}
    make.declare(tmp_path / "s", variants, question="How often?", control="seldom", seeds=range(10))
    outcome = cli(tmp_path / "s")
    assert "question  How often?" in outcome.out
    assert "runs      6 of 20 runs; 1 failed, 13 not begun" in outcome.out
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "Only completed runs count" in text
    assert "Few seeds: if 63 % of runs had some outcome, 3 seeds would all miss it 5 % of the time." in text
    assert "differences from “seldom” (the sweep's control)" in text


@only_words
def test_a_variant_without_a_finished_run_is_named(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(3), make.noisy)
    variants = {"one": "target.interval=1", "ten": "target.interval=10", "never": "target.interval=999"}
    make.declare(tmp_path / "s", variants, question="Which?", control="one", seeds=range(3))
    cli(tmp_path / "s")
    assert (
        "a comparison needs two finished runs: “never” (0 finished)."
        in Page(tmp_path / "s" / "report" / "index.html").text
    )


@only_words
def test_the_page_says_why_runs_failed(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(3), make.noisy)
    failed, why = make.configure(seed=3, **{"target.interval": 10}), "the loss became nan in episode 2"
    make.run(tmp_path / "s" / "target.interval=10,seed=3-x", failed, 0, status="failed", error=why)
    with (tmp_path / "s" / "target.interval=10,seed=3-x" / "evaluations.csv").open("r+") as file:
        file.readline()
        file.truncate(file.tell())
    assert cli(tmp_path / "s").code == 0
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert f"target.interval=10, seed 3 failed: {why}" in text
    other = make.configure(seed=3, **{"target.interval": 10, "env.id": "Acrobot-v1"})
    make.run(tmp_path / "s" / "env.id=Acrobot-v1,target.interval=10,seed=3-y", other, 0, status="failed", error="no")
    assert cli(tmp_path / "s").code == 0
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert f"CartPole-v1: target.interval=10, seed 3 failed: {why}" in text
    assert "Acrobot-v1: target.interval=10, seed 3 failed: no" in text
    assert "learning curve only" not in text  # its empty evaluations.csv is no news


@only_words
def test_the_trials_of_a_search_are_ranked_and_not_compared_with_one_of_them(cli, make, tmp_path):
    def level(variant, seed):
        return 100.0 + 90 * (variant["target.interval"] == 10) + seed

    make.sweep(tmp_path / "s", [{"target.interval": value} for value in (1, 10, 100)], range(5), level)
    trials = {f"interval={value}": f"target.interval={value}" for value in (10, 1, 100)}
    make.declare(tmp_path / "s", trials, question=None, control=None, seeds=range(5), is_search=True)
    outcome = cli(tmp_path / "s")
    assert "Of the 3 trials, “interval=10” has the highest mean" in outcome.out
    assert "Mean final return of “interval=10”: 192.0 (5 seeds)." in " ".join(outcome.out.split())
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "The variants are the trials of a search, and the best one was chosen by" in text
    assert "Against" not in text
    make.sweep(tmp_path / "one", [{"target.interval": value} for value in (1, 10, 100)], [0], level)
    make.declare(tmp_path / "one", trials, question=None, control=None, seeds=[0], is_search=True)
    assert "Of 3 trials, “interval=10” has the highest mean final return: 190.0 (1 seed)." in " ".join(
        cli(tmp_path / "one").out.split()
    )
    assert "has the lowest mean wall time in seconds: 12.5" in " ".join(
        cli(tmp_path / "one", "--metric", "wall_seconds").out.split()
    )


@only_words
def test_a_trial_with_a_failed_run_is_not_the_best(cli, make, tmp_path):
    def level(variant, seed):
        return 100.0 + variant["target.interval"] + seed

    make.sweep(tmp_path / "s", [{"target.interval": value} for value in (1, 10)], range(2), level)
    make.run(tmp_path / "s" / "target.interval=10,seed=2-x", make.configure(seed=2, **{"target.interval": 10}), 0,
             status="interrupted")  # fmt: skip
    make.run(tmp_path / "s" / "target.interval=1,seed=2-x", make.configure(seed=2, **{"target.interval": 1}), 103.0)
    trials = {"ten": "target.interval=10", "one": "target.interval=1"}
    make.declare(tmp_path / "s", trials, question=None, control=None, seeds=range(3), is_search=True)
    said = cli(tmp_path / "s").out
    assert "“one” has a mean final return of 102.0 (3 seeds" in said
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "ten, seed 2 interrupted Left" not in text
    assert "ten, seed 2 interrupted" in text
    assert "Not compared" not in text


def test_a_search_beside_another_sweep_leaves_it_its_control(cli, make, tmp_path):
    def level(variant, seed):
        return 100.0 + variant["target.interval"] + seed

    for name in ("searched", "asked"):
        make.sweep(tmp_path / name, [{"target.interval": value} for value in (1, 10)], range(3), level)
        trials = {f"{name} {value}": f"target.interval={value}" for value in (1, 10)}
        make.declare(tmp_path / name, trials, question=None, control=None, seeds=range(3), is_search=name == "searched")
    assert cli(tmp_path / "searched", tmp_path / "asked").code == 0
    text = Page(tmp_path / "searched" / "report" / "index.html").text
    assert "The variants of searched are the trials of a search" in text
    assert "Against “searched 1”" in text


def test_without_a_finished_run_there_is_no_answer(cli, make, tmp_path):
    make.sweep(
        tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(2), make.noisy, status="running"
    )
    outcome = cli(tmp_path / "s")
    assert outcome.code == 0
    assert "answer    No answer yet" in outcome.out
    assert "0 of 4 runs; 4 interrupted" in outcome.out


def test_one_variant_is_described(cli, make, tmp_path):
    make.sweep(tmp_path / "alone", [{}], range(4), lambda variant, seed: 400.0 + 50 * seed)
    outcome = cli(tmp_path / "alone")
    assert "question  How well does “alone” do?" in outcome.out
    assert "“alone” has a mean final return of 475.0 (4 seeds, 95 % interval" in outcome.out
    assert "2 of 4 runs reach 475" in outcome.out


@only_words
def test_seeds_alone_are_titled_by_what_was_run(cli, make, tmp_path):
    make.sweep(tmp_path / "mm", [{"target.interval": 1}], range(2), make.noisy, command="python -m dqn_lab train -m "
               "target.interval=1 'seed=range(2)' evaluation.interval=9 hydra.sweep.dir=mm")  # fmt: skip
    assert "question  How well does “target.interval=1” do?" in cli(tmp_path / "mm").out
    make.sweep(tmp_path / "nn", [{}], range(2), make.noisy, command="python -m dqn_lab train -m seed=0,1")
    assert "question  How well does the default do?" in cli(tmp_path / "nn").out


@only_words
def test_each_environment_has_its_own_section_and_the_page_says_so(cli, make, tmp_path):
    variants = [
        {"env.id": task, "target.interval": value} for task in ("CartPole-v1", "Acrobot-v1") for value in (1, 10)
    ]
    make.sweep(tmp_path / "s", variants, range(3), make.noisy)
    outcome = cli(tmp_path / "s")
    assert "answer    Acrobot-v1: " in outcome.out
    assert "answer    CartPole-v1: " in outcome.out
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert (
        "Runs that differ in their environment are different tasks: their returns are not compared with one another. "
        "Each task has its own answer, figures and tables."
    ) in text
    assert (tmp_path / "s" / "report" / "tables" / "Acrobot-v1-results.csv").exists()


def test_two_keys_give_an_interaction_and_a_heat_map(cli, make, tmp_path):
    variants = [{"target.interval": value, "buffer.n_step": n} for value in (1, 10) for n in (1, 3)]
    make.sweep(tmp_path / "s", variants, range(3), make.noisy)
    cli(tmp_path / "s")
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "What do buffer.n_step and target.interval change, alone and together?" in text
    for name in ("interaction", "heat_map"):
        assert (tmp_path / "s" / "report" / "figures" / f"{name}.svg").exists()


@only_words
@pytest.mark.parametrize("is_declared", [False, True])
def test_rows_of_a_frame_are_reported_as_a_selection_beside_the_whole(make, sweep, is_declared):
    if is_declared:
        variants = {f"every {value}": f"target.interval={value}" for value in (1, 10, 100)}
        make.declare(sweep, variants, question="Does it matter?", control="every 1", seeds=range(5))
    runs = load_configs(sweep)
    whole = write_report(runs)
    before = contents(sweep / "report")
    assert whole.index == sweep / "report" / "index.html"
    assert whole.progress == "15 of 15 runs completed"
    part = write_report(runs[runs["seed"] < 3])
    assert contents(sweep / "report") == before
    assert part.index == sweep / "report-selection" / "index.html"
    assert part.progress == "9 of the 15 runs (a selection): all completed"
    text = Page(part.index).text
    assert part.progress in text
    assert "The runs were chosen by hand, and the table of runs lists them." in text
    for command in ("python -m dqn_lab", "Commands"):
        assert command in Page(whole.index).text
        assert command not in text


@only_words
def test_the_unreadable_runs_of_a_frame_do_not_make_it_a_selection(sweep):
    (next(sweep.iterdir()) / "run.json").write_text("{")
    with pytest.warns(SkippedRuns):
        runs = load_configs(sweep)
    assert write_report(runs).index == sweep / "report" / "index.html"
    assert write_report(runs[1:]).index == sweep / "report-selection" / "index.html"


@only_words
def test_the_question_of_chosen_rows_names_only_keys_that_differ_among_them(make, tmp_path):
    grid = [{"target.interval": value, "buffer.n_step": n} for value in (1, 10) for n in (1, 3)]
    make.sweep(tmp_path / "s", grid, range(3), make.noisy)
    words = {f"{a},{b}": [a, b] for a, b in ([f"{key}={each[key]}" for key in each] for each in grid)}
    make.declare(tmp_path / "s", {name: name for name in words}, question=None, control=None, seeds=range(3))
    content = json.loads((tmp_path / "s" / "sweep.json").read_text())
    (tmp_path / "s" / "sweep.json").write_text(json.dumps({**content, "variants": words}))
    runs = load_configs(tmp_path / "s")
    assert write_report(runs).question == "What do target.interval and buffer.n_step change, alone and together?"
    assert write_report(runs[runs["target.interval"] == 1]).question == "What does buffer.n_step change?"


@only_words
def test_the_caveat_about_few_seeds_has_a_singular_for_one_seed(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": 1}], range(3), make.noisy)
    make.sweep(tmp_path / "s", [{"target.interval": 10}], range(1), make.noisy)
    cli(tmp_path / "s")
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "if 95 % of runs had some outcome, 1 seed would miss it 5 % of the time" in text


def test_an_incomplete_grid_has_no_interaction_figure(cli, make, tmp_path):
    variants = [{"target.interval": i, "buffer.n_step": n} for i, n in ((1, 1), (1, 3), (10, 1), (100, 5))]
    make.sweep(tmp_path / "s", variants, range(3), make.noisy)
    assert cli(tmp_path / "s").code == 0
    assert not (tmp_path / "s" / "report" / "figures" / "heat_map.svg").exists()


@only_words
def test_numbers_beside_a_word_come_in_the_order_of_their_size(cli, make, tmp_path):
    variants = [{"target.interval": i, "buffer.capacity": size} for i in (1, 10) for size in (9, 10, 100, None)]
    make.sweep(tmp_path / "s", variants, range(3), make.noisy)
    cli(tmp_path / "s")
    table = pd.read_csv(tmp_path / "s" / "report" / "tables" / "interaction.csv", keep_default_na=False)
    assert list(dict.fromkeys(table["buffer.capacity"].astype(str))) == ["9", "10", "100", "null"]


def test_a_label_may_contain_special_characters(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(2), make.noisy)
    variants = {"a $5 \\frac": "target.interval=1", "$x$": "target.interval=10"}
    make.declare(tmp_path / "s", variants, question="Which?", control="$x$", seeds=range(2))
    assert cli(tmp_path / "s").code == 0
    assert ">a $5 \\frac</text>" in (tmp_path / "s" / "report" / "figures" / "outcomes.svg").read_text()


def test_a_control_without_runs_is_not_replaced(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(3), make.noisy)
    variants = {"one": "target.interval=1", "ten": "target.interval=10", "never": "target.interval=999"}
    make.declare(tmp_path / "s", variants, question="Which?", control="never", seeds=range(3))
    outcome = cli(tmp_path / "s")
    assert "answer    No answer: “never”, the control, has no runs here." in outcome.out
    assert "runs      6 of 9 runs; 3 not begun" in outcome.out
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "“never” has no runs here, and no other control was declared." in text
    assert not (tmp_path / "s" / "report" / "tables" / "comparison.csv").exists()


@only_words
def test_a_curve_that_cannot_be_read_is_listed_and_its_result_counts(cli, sweep):
    torn = min(sweep.glob("*/evaluations.csv"))
    torn.write_text("step,episode\n100,1\n")
    cli(sweep)
    text = Page(sweep / "report" / "index.html").text
    assert "its learning curve only: evaluations.csv: lacks the column return_mean" in text
    assert pd.read_csv(sweep / "report" / "tables" / "results.csv")["seeds"].tolist() == [5, 5, 5]


def test_unreadable_curves_are_reported_and_missing_ones_are_not(cli, sweep):
    for path in sweep.glob("*/evaluations.csv"):
        path.write_text("step,episode\n100,1\n")
    assert cli(sweep).code == 0
    assert "no run has evaluations to load" in Page(sweep / "report" / "index.html").text
    for path in sweep.glob("*/evaluations.csv"):
        path.unlink()
    assert cli(sweep).code == 0
    assert "Left out" not in Page(sweep / "report" / "index.html").text


@only_words
def test_references_are_not_compared_with_one_another(cli, make, sweep, tmp_path):
    cli(sweep, "--out", tmp_path / "old")
    cli(sweep, "--against", tmp_path / "old" / "tables" / "runs.csv", "--out", tmp_path / "new")
    table = pd.read_csv(tmp_path / "new" / "tables" / "comparison.csv")
    assert list(table["variant"]) == [f"target.interval={value}" for value in (1, 10, 100)]
    runs = pd.read_csv(tmp_path / "old" / "tables" / "runs.csv")
    assert [f"target.interval={value}" for value in runs["target.interval"]] == list(runs["variant"])


@only_words
def test_a_reference_keeps_what_did_not_complete(cli, make, sweep, tmp_path):
    make.run(sweep / "target.interval=10,seed=9-x", make.configure(seed=9), 0, status="failed")
    cli(sweep, "--out", tmp_path / "old")
    cli(sweep, "--against", tmp_path / "old" / "tables" / "runs.csv", "--out", tmp_path / "new")
    table = pd.read_csv(tmp_path / "new" / "tables" / "results.csv").set_index("variant")
    assert table["seeds"]["target.interval=10 (reference)"] == 5


@only_words
def test_the_task_threshold_applies_to_final_returns_only(cli, sweep):
    cli(sweep, "--metric", "mean_return")
    assert not (sweep / "report" / "figures" / "success_rates.svg").exists()
    cli(sweep)
    assert (sweep / "report" / "figures" / "success_rates.svg").exists()


def test_variants_that_never_reach_the_threshold_are_named_and_not_drawn(cli, make, tmp_path):
    variants = [{"target.interval": value} for value in (1, 10, 100)]
    make.sweep(
        tmp_path / "s", variants, range(5), lambda variant, seed: 500.0 if variant["target.interval"] < 50 else 90.0
    )
    assert cli(tmp_path / "s").code == 0
    assert "No run of “target.interval=100” reaches it." in Page(tmp_path / "s" / "report" / "index.html").text
    figures = tmp_path / "s" / "report" / "figures"
    assert "target.interval=100" not in (figures / "steps_to_threshold.svg").read_text(encoding="utf-8")
    assert "solved at 475" in (figures / "learning_curves.svg").read_text(encoding="utf-8")


def test_a_threshold_far_from_all_curves_is_not_drawn(cli, make, tmp_path):
    """It would flatten the curves."""
    make.sweep(tmp_path / "s", [{}, {"target.interval": 1}], range(30), lambda variant, seed: 20.0 + seed)
    cli(tmp_path / "s")
    figure = (tmp_path / "s" / "report" / "figures" / "learning_curves.svg").read_text(encoding="utf-8")
    assert "solved at" not in figure


def test_many_variants_get_a_plot_each(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": value} for value in range(1, 10)], range(4), make.noisy)
    assert cli(tmp_path / "s").code == 0
    assert "Grey: the control." in Page(tmp_path / "s" / "report" / "index.html").text


@only_words
def test_results_that_are_not_finite_are_named_and_not_counted(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(3), make.noisy)
    make.run(tmp_path / "s" / "target.interval=10,seed=7-x", make.configure(seed=7), float("nan"))
    make.run(tmp_path / "s" / "target.interval=10,seed=8-x", make.configure(seed=8), float("inf"))
    outcome = cli(tmp_path / "s")
    assert outcome.code == 0
    text = Page(tmp_path / "s" / "report" / "index.html").text
    named = "“target.interval=10” seed 7, “target.interval=10” seed 8."
    assert f"2 completed runs have no finite final return and are left out: {named}" in text
    results = pd.read_csv(tmp_path / "s" / "report" / "tables" / "results.csv")
    assert list(results["seeds"]) == [3, 3]


@only_words
def test_torn_rows_are_survived_and_broken_records_are_listed(cli, sweep):
    runs = sorted(path for path in sweep.iterdir() if path.is_dir())
    with (runs[0] / "evaluations.csv").open("a") as file:
        file.write("9000,9")
    (runs[1] / "run.json").write_text('{"status": "comp')
    outcome = cli(sweep)
    assert outcome.code == 0
    text = Page(sweep / "report" / "index.html").text
    assert "Left out" in text
    assert runs[1].name in text


@only_words
def test_steps_that_differ_between_variants_are_pointed_out(cli, make, tmp_path):
    make.sweep(tmp_path / "a", [{"target.interval": 1}], range(3), make.noisy, steps=8000)
    make.sweep(tmp_path / "b", [{"target.interval": 10}], range(3), make.noisy, steps=16000)
    cli(tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert (
        "did not take the same number of steps (on average 8,000 to 16,000)" in Page(tmp_path / "out/index.html").text
    )


@only_words
def test_compare_shows_only_the_second_variant_against_the_first(cli, sweep):
    outcome = cli(sweep, "--compare", "target.interval=100", "target.interval=1")
    assert "question  Does “target.interval=1” differ from “target.interval=100”?" in outcome.out
    table = pd.read_csv(sweep / "report" / "tables" / "comparison.csv")
    assert list(table[["variant", "control"]].iloc[0]) == ["target.interval=1", "target.interval=100"]


@only_words
def test_compare_takes_the_directories_of_two_sweeps(cli, make, tmp_path):
    make.sweep(tmp_path / "a", [{}], range(3), lambda variant, seed: 100.0 + seed)
    make.sweep(tmp_path / "b", [{}], range(3), lambda variant, seed: 200.0 + seed)
    outcome = cli("--compare", tmp_path / "a", tmp_path / "b")
    assert "question  Does “b” differ from “a”?" in outcome.out
    table = pd.read_csv(tmp_path / "a" / "report" / "tables" / "comparison.csv")
    assert table["difference"].item() == pytest.approx(100)


@only_words
def test_a_reports_runs_can_be_the_reference_of_another(cli, make, sweep, tmp_path):
    cli(sweep, "--out", tmp_path / "old")
    outcome = cli(sweep, "--against", tmp_path / "old" / "tables" / "runs.csv", "--out", tmp_path / "new")
    assert outcome.code == 0
    assert "question  Do these runs differ from the reference runs?" in outcome.out
    assert "15 of 15 runs" in outcome.out
    table = pd.read_csv(tmp_path / "new" / "tables" / "comparison.csv")
    assert set(table["control"]) == {"target.interval=1 (reference)"}
    assert table.set_index("variant")["difference"]["target.interval=1"] == pytest.approx(0)


@only_words
def test_the_threshold_can_be_chosen(cli, make, tmp_path):
    make.sweep(
        tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(3), lambda variant, seed: 100.0 * seed
    )
    cli(tmp_path / "s", "--threshold", "100")
    assert list(pd.read_csv(tmp_path / "s" / "report" / "tables" / "results.csv")["successes"]) == [2, 2]


@only_words
def test_a_metric_can_be_chosen_and_lower_may_be_better(cli, make, tmp_path):
    for value, seconds in ((1, 10.0), (10, 99.0)):
        for seed in range(5):
            config = make.configure(seed=seed, **{"target.interval": value})
            make.run(tmp_path / "s" / f"i={value},seed={seed}-x", config, 100.0 + seed, wall_seconds=seconds + seed)
    cli(tmp_path / "s", "--metric", "wall_seconds")
    table = pd.read_csv(tmp_path / "s" / "report" / "tables" / "comparison.csv")
    assert (table["difference"].item(), table["verdict"].item()) == (89.0, "worse")
    assert "left of the line is better" in Page(tmp_path / "s" / "report" / "index.html").text


@only_words
def test_labels_of_several_overrides_are_told_apart_and_a_missing_space_does_not_matter(cli, make, tmp_path):
    variants = [{"target.interval": value, "buffer.n_step": n} for value, n in ((1, 1), (10, 3))]
    make.sweep(tmp_path / "s", variants, range(2), make.noisy)
    labels = list(pd.read_csv(write_report(tmp_path / "s").index.parent / "tables" / "results.csv")["variant"])
    outcome = cli(tmp_path / "s", "--control", labels[1].replace(" ", ""))
    assert outcome.code == 0
    assert pd.read_csv(tmp_path / "s" / "report" / "tables" / "comparison.csv")["control"].item() == labels[1]
    problem = cli(tmp_path / "s", "--control", f"{labels[1]}0").err
    assert f"did you mean '{labels[1]}'? choices: '{labels[0]}', '{labels[1]}'" in problem


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere"], "nowhere: no such directory"),
        (["empty"], "empty: no runs here"),
        (["interval", "--metric", "final_retrun"], "metric=final_retrun: no such metric; did you mean final_return?"),
        (["interval", "--control", "x"], "x: no such variant; choices: target.interval=1, target.interval=10"),
        (["interval", "--compare", "target.interval=1", "x"], "x: no such variant; choices: target.interval=1"),
        (["interval", "--compare", "target.interval=1", "target.interval=1"], "the same variant twice"),
        (["interval", "--against", "none.csv"], "--against none.csv: No such file"),
        (["interval", "--against", "other.csv"], "--against other.csv: lacks seed and final_return; it has: a, b"),
        (["interval", "--against", "interval"], "--against interval: is a directory; name a file, such as a report's"),
        (
            ["interval", "--against", "elsewhere.csv"],
            "--against: its runs are of Acrobot-v1, but these are of CartPole-v1",
        ),
        (["interval", "--against", "nameless.csv"], "--against nameless.csv: row 2 names no variant"),
        (["interval", "--threshold", "nan"], "nan: must be a finite number"),
        (["interval", "--threshold", "abc"], "abc: must be a finite number"),
        (["interval", "--out", "precious"], "precious: exists already and is not a report"),
        (["--metric", "final_return"], "PATH: missing"),
    ],
)
def test_bad_input_prints_one_line_and_writes_nothing(cli, sweep, tmp_path, words, problem):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "nameless.csv").write_text("variant,seed,final_return\na,1,2\n,2,3\n")
    (tmp_path / "elsewhere.csv").write_text("environment,seed,final_return\nAcrobot-v1,1,-90\n")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years")
    before = contents(tmp_path)
    outcome = cli(*words)
    assert outcome.code == 2
    assert outcome.err.startswith("error: ")
    assert problem in outcome.err
    assert outcome.err.count("\n") == 1
    assert {name: text for name, text in contents(tmp_path).items() if ".cache" not in str(name)} == before


@only_words
def test_an_unwritable_directory_prints_one_line_and_keeps_the_old_report(cli, sweep, tmp_path):
    cli(sweep)
    before = contents(sweep / "report")
    (tmp_path / "file").write_text("")
    outcome = cli(sweep, "--out", tmp_path / "file" / "report")
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert contents(sweep / "report") == before


@only_words
def test_a_failure_half_way_leaves_the_old_report(cli, sweep, monkeypatch):
    cli(sweep)
    before = contents(sweep / "report")

    def fail(page):
        raise OSError(28, "No space left on device", "index.html")

    monkeypatch.setattr("dqn_lab.analysis.report.write.write_page", fail)
    outcome = cli(sweep)
    assert (outcome.code, outcome.err) == (1, "error: index.html: No space left on device\n")
    assert contents(sweep / "report") == before
    assert not list(sweep.glob(".report-*"))


@only_words
def test_a_new_report_replaces_the_old_one(cli, sweep):
    cli(sweep)
    (sweep / "report" / "figures" / "stale.svg").write_text("")
    cli(sweep)
    assert not (sweep / "report" / "figures" / "stale.svg").exists()


def test_names_that_look_like_html_stay_text(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{"target.interval": 1}, {"target.interval": 10}], range(2), make.noisy)
    variants = {"<script>alert(1)</script>": "target.interval=1", "a & b": "target.interval=10"}
    make.declare(tmp_path / "s", variants, question='Is <b> "bold"?', control="a & b", seeds=range(2))
    assert cli(tmp_path / "s").code == 0
    page = Page(tmp_path / "s" / "report" / "index.html")
    assert "script" not in page.tags
    assert 'Is <b> "bold"?' in page.text


def test_a_report_never_imports_torch(sweep):
    code = (
        "import sys; from dqn_lab.cli import main\n"
        f"try: main(['report', {str(sweep)!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_loads_neither_pandas_nor_matplotlib():
    code = (
        "import sys; from dqn_lab.cli import main\n"
        "try: main(['report', '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'pandas', 'matplotlib', 'numpy', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_page_names_commands_and_versions(cli, sweep):
    cli(sweep)
    text = Page(sweep / "report" / "index.html").text
    record = json.loads(next(sweep.glob("*/run.json")).read_text())
    assert record["command"] in text
    assert record["git"]["commit"] in text


def test_the_caveat_about_few_seeds_says_what_the_intervals_allow_for(cli, make, tmp_path):
    """Intervals of means allow for outcomes that few seeds miss if the bounds are known."""
    for name, changes, allowed in (
        ("known", {}, "The intervals of the means allow for such unseen outcomes;"),
        ("unknown", {"env.id": "Mine-v0"}, "The intervals of the means do not allow for such unseen outcomes;"),
    ):
        make.sweep(tmp_path / name, [{"target.interval": value, **changes} for value in (1, 10)], range(5), make.noisy)
        cli(tmp_path / name)
        text = Page(tmp_path / name / "report" / "index.html").text
        assert f"if 45 % of runs had some outcome, 5 seeds would all miss it 5 % of the time. {allowed}" in text
        assert ("Set env.return_bounds=[low,high]" in text) == (name == "unknown")
        bounds = "allowing for rare failures within the bounds of the return (it lies between 0 and 500)"
        assert (bounds in text) == (name == "known")


@only_words
def test_rare_failures_are_given_as_the_reason_and_seeds_are_estimated(cli, make, tmp_path):
    def level(variant, seed):
        return {1: 450.0, 10: 480.0}[variant["target.interval"]] + seed % 5

    make.sweep(tmp_path / "s", [{"target.interval": value} for value in (1, 10)], range(10), level)
    cli(tmp_path / "s")
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "undecided: too few seeds to rule out rare failures" in text
    assert "10 seeds are too few for a verdict: failures too rare to have shown up so far could cancel the" in text
    assert "About 29 fresh seeds per variant would probably decide." in text
    table = pd.read_csv(tmp_path / "s" / "report" / "tables" / "comparison.csv")
    assert (table["verdict"].item(), table["reason"].item()) == ("undecided", "rare failures")
    assert "| 29 |" in (tmp_path / "s" / "report" / "tables" / "comparison.md").read_text()


@only_words
@pytest.mark.filterwarnings("ignore::dqn_lab.analysis.NoBounds")
@pytest.mark.parametrize(("high", "said"), [
    (600, "allowing for rare failures within the bounds of the return (it lies between −10 and 600)"),
    (60, "env.return_bounds=[-10,60]: a final return lies outside, so no bounds are assumed."),
])  # fmt: skip
def test_stated_bounds_are_used_unless_a_return_contradicts_them(cli, make, tmp_path, high, said):
    changes = {"env.id": "Mine-v0", "env.return_bounds": [-10, high]}
    make.sweep(tmp_path / "s", [{"target.interval": value, **changes} for value in (1, 10)], range(5), make.noisy)
    cli(tmp_path / "s")
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "Mine-v0; final return" in text
    assert said in text
    assert "Set env.return_bounds" not in text


def test_malicious_labels_are_shown_as_plain_text(cli, make, tmp_path, caplog):
    labels = ["=cmd|' /C calc'!A0", "<script>alert(1)</script>|x", "목표\x07", "\u202e\t"]
    variants = [{"target.interval": value} for value in range(1, len(labels) + 1)]
    make.sweep(tmp_path / "s", variants, range(2), make.noisy)
    variants = {label: f"target.interval={number}" for number, label in enumerate(labels, 1)}
    make.declare(tmp_path / "s", variants, question="<b>Which?\x00", control=labels[0], seeds=range(2))
    assert cli(tmp_path / "s").code == 0
    page = Page(tmp_path / "s" / "report" / "index.html")
    assert "script" not in page.tags
    assert "<script>alert(1)</script>|x" in page.text
    for path in (tmp_path / "s" / "report").rglob("*.svg"):
        ElementTree.parse(path)
    results = (tmp_path / "s" / "report" / "tables" / "results.csv").read_text()
    assert "\n'=cmd" in results
    assert "findfont" not in caplog.text
    assert not set(results) & {"\x07", "\u202e", "\t"}


@only_words
def test_figures_that_mean_nothing_with_few_seeds_are_left_out(cli, make, tmp_path):
    variants = [{"target.interval": value} for value in (1, 10, 100)]
    for seeds, shown in ((4, False), (5, True)):
        directory = make.sweep(tmp_path / str(seeds), variants, range(seeds), make.noisy)
        cli(directory)
        text = Page(directory / "report" / "index.html").text
        assert ("10th percentile" in text.partition("How to read this")[0]) == shown
        assert ("IQM is the mean" in text) == shown
        assert ("Distribution of the final return" in text) == shown


def test_a_single_run_has_a_name_and_a_curve_and_no_interval(cli, make, tmp_path):
    run = tmp_path / "2026-11-28" / "11-34-40_network=mlp24,seed=0-ddbcd837"
    make.run(run, make.configure(seed=0), 138.4)
    outcome = cli(run)
    assert "question  How well does “network=mlp24” do?" in outcome.out
    assert "“network=mlp24” has a final return of 138.4, with one seed: less than 475." in outcome.out
    text = Page(run / "report" / "index.html").text
    assert "1 run, completed" in text
    assert "Greedy return of one run." in text
    assert "One seed says little" in text
    assert "P(better)" not in text
    assert "95 % interval" not in text
    assert "12.5 seconds" in text
    assert [path.stem for path in sorted((run / "report" / "figures").glob("*.svg"))] == ["learning_curves"]
    curve = pd.read_csv(run / "report" / "tables" / "learning_curves.csv")
    assert curve["low"].isna().all()


def test_with_very_many_runs_the_page_shows_some_and_the_tables_all(cli, make, tmp_path, monkeypatch):
    monkeypatch.setattr("dqn_lab.analysis.report.evidence.MAX_SHOWN", 3)
    monkeypatch.setattr("dqn_lab.analysis.report.page.MOST_ROWS", 6)
    monkeypatch.setattr("dqn_lab.analysis.figures.seeds.MAX_CURVES", 6)
    make.sweep(tmp_path / "s", [{"target.interval": value} for value in (1, 2, 3, 4)], range(5), make.noisy)
    cli(tmp_path / "s")
    text = Page(tmp_path / "s" / "report" / "index.html").text
    assert "Of 4 variants, only the control and those with the best means are shown; the tables list all." in text
    assert "The first 6 of 20 rows; the CSV file has all." in text
    assert "Of 15 runs, 6 are shown, evenly spaced in that order." in text
    assert len(pd.read_csv(tmp_path / "s" / "report" / "tables" / "runs.csv")) == 20
    assert len(pd.read_csv(tmp_path / "s" / "report" / "tables" / "results.csv")) == 4


@only_words
def test_the_table_of_runs_says_what_its_scores_are(cli, sweep):
    cli(sweep)
    text = Page(sweep / "report" / "index.html").text
    assert (
        "The training return (last_100 in the CSV file) is the mean return of the last 100 training episodes, while"
        in text
    )
    assert (
        "The selected return (best_return in the CSV file) is the mean greedy return, over fresh episodes, of the"
        in text
    )


def test_the_numbers_of_a_table_have_the_same_decimals():
    frame = pd.DataFrame({"low": [0.4871, -0.2], "high": [312.51, float("nan")]})
    write = partial(number, largest=largest_in(frame, "low", "high"))
    assert [write(value) for value in frame["low"]] == ["0.5", "−0.2"]
    assert interval(frame.to_dict("records")[0], "low", "high", write) == "0.5–312.5"
    assert largest_in(frame.iloc[1:], "high") == 0.0
    assert number(-0.2, largest=largest_in(frame.iloc[1:], "low")) == "−0.200"


@only_words
def test_the_numbers_of_a_column_have_one_form(cli, make, tmp_path):
    make.sweep(tmp_path / "s", [{}, {"target.interval": 1}], range(2), lambda variant, seed: 500.0 - seed / 4)
    cli(tmp_path / "s")
    table = (tmp_path / "s" / "report" / "tables" / "runs.md").read_text().splitlines()
    assert [cell.strip() for cell in table[4].split("|")[2:-1]] == [
        "0",
        "completed",
        "500.0",
        "505.0",
        "400.0",
        "8,000",
    ]
